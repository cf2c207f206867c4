//! New inputs out of known ones: JSON stays JSON, also where it stands in a text of JSON, as bodies do in events.

use fastrand::Rng;
use serde_json::{Map, Number, Value, json};

/// libFuzzer's own mutation of the first so many bytes, in place, to at most so many.
type Mutate = fn(&mut [u8], usize, usize) -> usize;

/// Room for what becomes of one text.
const LONGEST_TEXT: usize = 512;

/// Texts that somewhere mean something: words of the samples, and what is at the border of what is allowed.
const TEXTS: [&str; 48] = [
    "",
    "0",
    "-1",
    "null",
    "true",
    "*",
    "\u{0}",
    "\u{fffe}",
    "\u{1f600}",
    "e\u{301}",
    "%2F",
    "..",
    "a,b",
    "W/\"1\"",
    "\"1\"",
    "\"18446744073709551616\"",
    "Bearer ACCESS_TOKEN",
    "Bearer ADMIN_TOKEN",
    "API_KEY",
    "REFRESH_TOKEN",
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "application/json",
    "text/plain",
    "00000000-0000-0000-0000-000000000000",
    "2026-11-22T09:44:00Z",
    "-009999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "[]",
    "{}",
    "EUR",
    "XTS",
    "limit=0",
    "limit=100&cursor=AQ",
    "status=PENDING",
    "customer",
    "admin",
    "INSERT",
    "REMOVE",
    "aws:sqs",
    "aws:dynamodb",
    "idempotency-key",
    "if-match",
    "x-forwarded-for",
];

/// Replaces an input by one that differs in a few places.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, raw: Mutate) -> usize {
    let mut rng = Rng::with_seed(seed.into());
    let known = serde_json::from_slice::<Value>(&data[..size]).ok().filter(|_| rng.u8(..) >= 16);
    let Some(mut value) = known else { return raw(data, size, max_size) };
    for _ in 0..=rng.usize(..3) {
        change(&mut value, &mut rng, raw);
    }
    let text = written(&value);
    if text.len() > max_size {
        return raw(data, size, max_size);
    }
    data[..text.len()].copy_from_slice(text.as_bytes());
    text.len()
}

/// An input with a part of another one in it.
pub fn cross(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    let mut rng = Rng::with_seed(seed.into());
    let values = (serde_json::from_slice::<Value>(one), serde_json::from_slice::<Value>(other));
    let text = match values {
        (Ok(mut one), Ok(mut other)) => {
            let places = count(&other);
            let from = rng.usize(..places);
            let part = place(&mut other, &mut from.clone()).map(|part| part.take()).unwrap_or_default();
            // Rather in the same place than in any other.
            let to = if rng.bool() { from % count(&one) } else { rng.usize(..count(&one)) };
            if let Some(place) = place(&mut one, &mut to.clone()) {
                *place = part;
            }
            written(&one).into_bytes()
        }
        _ => one.to_owned(),
    };
    let size = text.len().min(out.len());
    out[..size].copy_from_slice(&text[..size]);
    size
}

/// Changes one place.
fn change(value: &mut Value, rng: &mut Rng, raw: Mutate) {
    let number = rng.usize(..count(value));
    let other = place(value, &mut rng.usize(..count(value))).cloned().unwrap_or_default();
    let Some(place) = place(value, &mut number.clone()) else { return };
    match place {
        Value::String(text) => match rng.u8(..12) {
            0 => *text = rng.choice(TEXTS).unwrap_or_default().to_owned(),
            1 => *place = any(rng),
            2 => *place = other,
            _ => *text = changed(text, rng, raw),
        },
        Value::Object(members) => change_members(members, rng, other),
        Value::Array(elements) => match rng.u8(..5) {
            0 => elements.push(other),
            1 if !elements.is_empty() => drop(elements.remove(rng.usize(..elements.len()))),
            2 if !elements.is_empty() => elements.push(elements[rng.usize(..elements.len())].clone()),
            3 => rng.shuffle(elements),
            _ => *place = any(rng),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => *place = if rng.bool() { any(rng) } else { other },
    }
}

fn change_members(members: &mut Map<String, Value>, rng: &mut Rng, other: Value) {
    let names: Vec<String> = members.keys().cloned().collect();
    let name = rng.choice(&names).cloned().unwrap_or_default();
    match rng.u8(..4) {
        0 => drop(members.remove(&name)),
        1 => drop(members.insert(name, other)),
        2 => drop(members.insert(rng.choice(TEXTS).unwrap_or_default().to_owned(), other)),
        _ => drop(members.insert(name, any(rng))),
    }
}

/// A text that has become another: by what it says, if that is JSON itself.
fn changed(text: &str, rng: &mut Rng, raw: Mutate) -> String {
    if let Ok(mut value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
        change(&mut value, rng, raw);
        return value.to_string();
    }
    let mut bytes = text.as_bytes().to_owned();
    let size = bytes.len();
    bytes.resize(size + LONGEST_TEXT, 0);
    let size = raw(&mut bytes, size, size + LONGEST_TEXT);
    String::from_utf8_lossy(&bytes[..size]).into_owned()
}

/// A value of any kind.
fn any(rng: &mut Rng) -> Value {
    match rng.u8(..10) {
        0 => Value::Null,
        1 => rng.bool().into(),
        2 => json!([]),
        3 => json!({}),
        4 => Number::from_f64([0.5, -0.0, 1e300, 1e-300][rng.usize(..4)]).into(),
        5 => [0, 1, -1, 2, 10, 50, 51, 100, 101, 1_000_000_000][rng.usize(..10)].into(),
        6 => [i64::MAX, i64::MIN, i64::from(u32::MAX), i64::from(u32::MAX) + 1][rng.usize(..4)].into(),
        7 => u64::MAX.into(),
        8 => rng.i64(..).into(),
        _ => rng.choice(TEXTS).unwrap_or_default().into(),
    }
}

/// How many places there are.
fn count(value: &Value) -> usize {
    let inner: usize = match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    };
    inner + 1
}

/// The place with a number, which is counted down on the way.
fn place<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(elements) => elements.iter_mut().find_map(|element| place(element, number)),
        Value::Object(members) => members.values_mut().find_map(|member| place(member, number)),
        _ => None,
    }
}

/// The value as text, and what front doors write first, first: services may look at how an event begins.
fn written(value: &Value) -> String {
    const FIRST: [&str; 3] = ["version", "routeKey", "requestContext"];
    let Value::Object(members) = value else { return value.to_string() };
    let first = FIRST.iter().filter_map(|name| members.get_key_value(*name));
    let rest = members.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let members = first.chain(rest).map(|(name, value)| format!("{}:{value}", json!(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}
