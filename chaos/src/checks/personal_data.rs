use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::Value;

use super::{Evidence, Finding, accounts::deleted, text};
use crate::announcements::is_id;

/// So long is the part of what somebody gave that nobody else gave: a UUID.
const MARK: usize = 32;

/// What people gave (address, name, where to send things) is in no event, and once they are gone in no table, queue or
/// log, in no report and not in the cache, neither as it was given nor inside of something that is encoded in base64.
pub(super) fn is_gone(evidence: &Evidence<'_>) -> Vec<Finding> {
    let gone: BTreeSet<&str> = deleted(evidence).collect();
    let everybody = marks(evidence);
    let left: BTreeMap<&str, &str> = everybody
        .iter()
        .filter(|(_, user)| gone.contains(*user))
        .map(|(mark, user)| (*mark, *user))
        .collect();
    let mut findings = Vec::new();

    let events = evidence.recording.events.iter().map(|event| ("an event", event.body.to_string()));
    findings.extend(search(&everybody, events));

    let rows =
        evidence.tables.iter().flat_map(|(table, rows)| rows.values().map(|row| (*table, row.to_string())));
    let messages = evidence.messages.iter().map(|message| (message.queue.as_str(), message.body.clone()));
    let log = evidence.log.iter().map(|line| ("the log", line.text.clone()));
    let reported = evidence.report.iter();
    let reported =
        reported.flat_map(|(table, rows)| rows.iter().map(|row| (table.as_str(), row.to_string())));
    let cached =
        evidence.cache.iter().map(|entry| (entry.key.as_str(), format!("{} {}", entry.key, entry.value)));
    findings.extend(search(&left, rows.chain(messages).chain(log).chain(reported).chain(cached)));
    findings
}

/// What tells each user from all others, with the user.
fn marks<'e>(evidence: &'e Evidence<'_>) -> BTreeMap<&'e str, &'e str> {
    let mut marks = BTreeMap::new();
    for (user, changes) in evidence.histories("users").filter(|(key, _)| is_id(key)) {
        for row in changes.iter().filter_map(|change| change.after.as_ref()) {
            marks.extend(
                ["email", "name"].into_iter().filter_map(|name| Some((mark(text(row, name))?, user))),
            );
        }
    }
    for (_, changes) in evidence.histories("orders").filter(|(key, _)| is_id(key)) {
        for row in changes.iter().filter_map(|change| change.after.as_ref()) {
            let parts = row["shipping_address"].as_object().into_iter().flat_map(|address| address.values());
            let known = parts.filter_map(Value::as_str).filter_map(mark);
            marks.extend(known.map(|mark| (mark, text(row, "user_id"))));
        }
    }
    marks
}

/// The UUID in a text, if there is one.
fn mark(text: &str) -> Option<&str> {
    text.split(|letter: char| !letter.is_ascii_hexdigit() && letter != '-').find(|part| part.len() >= MARK)
}

/// The places that hold one of the marks.
fn search<'p>(marks: &BTreeMap<&str, &str>, places: impl Iterator<Item = (&'p str, String)>) -> Vec<Finding> {
    let (mut patterns, mut users) = (Vec::new(), Vec::new());
    for (mark, user) in marks {
        for pattern in std::iter::once((*mark).to_owned()).chain(in_base64(mark)) {
            patterns.push(pattern);
            users.push(*user);
        }
    }
    let Ok(finder) = AhoCorasick::builder().ascii_case_insensitive(true).build(&patterns) else {
        return vec![Finding::new("", "there is too much to look for")];
    };
    let found = |(place, text): (&str, String)| {
        let found = finder.find(&text)?;
        let user = users[found.pattern().as_usize()];
        Some(Finding::new(user, format!("what user {user} gave is in {place}: {text}")))
    };
    places.filter_map(found).collect()
}

/// The characters that are the same whatever is encoded before and behind it.
fn in_base64(mark: &str) -> [String; 3] {
    [0, 1, 2].map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&[0; 2][..before], mark.as_bytes()].concat());
        encoded[(before * 8).div_ceil(6)..(before + mark.len()) * 8 / 6].to_owned()
    })
}
