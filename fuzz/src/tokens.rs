//! Access tokens, which clients send and could make up.

use std::time::{SystemTime, UNIX_EPOCH};

use access_token::{AccessTokens, Caller, TokenError};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;

use crate::{
    run::block_on,
    services::{JWT_SECRET, secret},
};

/// Seconds by which the clocks of two machines may differ, and one for the time that a check takes.
const LEEWAY: i64 = 30 + 1;

/// A token that is signed as one of ours, whatever it says.
#[derive(Deserialize)]
struct Signed {
    header: Value,
    claims: Value,
    /// A bit of the text that is changed after that.
    changed: Option<usize>,
}

/// A token is accepted only if it was signed with the shop's key, as it is, for the shop, and is valid now. An input is
/// such a token, or what one is to say; there, small times are counted from now.
pub fn check(input: &[u8]) {
    let tokens = AccessTokens::new(secret());
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(Signed { header, mut claims, changed }) = serde_json::from_str(text) else {
        return only_ours(&tokens, text);
    };
    for name in ["exp", "nbf", "iat"] {
        if let Some(offset) = claims[name].as_i64().filter(|offset| offset.abs() < 1_000_000) {
            claims[name] = (now() + offset).into();
        }
    }
    let content = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let mut token = format!("{content}.{}", signature(&content)).into_bytes();
    only_ours(&tokens, std::str::from_utf8(&token).expect("a token is ASCII"));
    if let Some(bit) = changed {
        let at = bit / 8 % token.len();
        token[at] ^= 1 << (bit % 8);
        if let Ok(token) = std::str::from_utf8(&token) {
            let accepted = block_on(tokens.verify(token));
            assert!(accepted.is_err(), "a changed token is accepted: {token}");
        }
    }
}

fn only_ours(tokens: &AccessTokens, token: &str) {
    let caller = match block_on(tokens.verify(token)) {
        Ok(caller) => caller,
        Err(TokenError::Undecided) => panic!("a secret that is there can't be read: {token}"),
        Err(TokenError::Expired | TokenError::Invalid) => return,
    };
    let ours = || {
        let (content, signed) = token.rsplit_once('.')?;
        let (header, claims) = content.split_once('.')?;
        let part = |text| -> Option<Value> {
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        Some(signed == signature(content) && is_ours(&part(header)?, &part(claims)?, &caller))
    };
    assert_eq!(ours(), Some(true), "accepted: {token}");
}

/// What the verification has to have seen, told without it.
fn is_ours(header: &Value, claims: &Value, caller: &Caller) -> bool {
    let time = |name: &str| claims[name].as_f64().map(|time| time as i64);
    header["alg"] == "HS256"
        && header["kid"] == "v1"
        && claims["iss"] == "user-service"
        && claims["aud"] == "shop"
        && claims["role"] == caller.role.as_str()
        && claims["sub"].as_str().and_then(|id| id.parse().ok()) == Some(caller.user_id)
        && time("nbf").is_some_and(|from| from <= now() + LEEWAY)
        && time("exp").is_some_and(|until| until >= now() - LEEWAY)
}

fn signature(content: &str) -> String {
    let key: Hmac<Sha256> =
        Hmac::new_from_slice(JWT_SECRET.as_bytes()).expect("HMAC takes keys of any length");
    BASE64_URL_SAFE_NO_PAD.encode(key.chain_update(content).finalize().into_bytes())
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
