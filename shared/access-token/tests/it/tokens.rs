use std::time::{SystemTime, UNIX_EPOCH};

use access_token::{AccessTokens, Caller, Claims, Role, TokenError};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt as _;
use hmac::{Hmac, Mac as _};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384};
use uuid::Uuid;

use crate::{KEY, OLD_KEY, tokens, tokens_of, version};

const USER: Uuid = Uuid::from_u128(7);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Claims {
    Claims::new(USER, Role::Customer, now())
}

/// Nothing here waits: a fixed secret is never refreshed.
fn verify(tokens: &AccessTokens, token: &str) -> Result<Caller, TokenError> {
    tokens.verify(token).now_or_never().unwrap()
}

/// The verdict on claims that have been changed in this way, validly signed.
fn verdict(change: impl FnOnce(&mut Claims)) -> Result<Caller, TokenError> {
    let mut claims = claims();
    change(&mut claims);
    let tokens = tokens();
    verify(&tokens, &tokens.sign(&claims).unwrap())
}

/// A token made by hand, signed with HMAC-SHA-256.
fn forge(header: &Value, claims: &Value, key: &str) -> String {
    let message = unsigned(header, claims);
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap().chain_update(&message);
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn header() -> Value {
    json!({ "typ": "JWT", "alg": "HS256", "kid": "v2" })
}

#[test]
fn an_issued_token_is_accepted() {
    let tokens = tokens();
    for role in [Role::Customer, Role::Admin] {
        let issued = tokens.issue(USER, role).unwrap();
        assert_eq!(issued.expires_in, 900);
        assert!(issued.token.len() < 1024);
        assert_eq!(verify(&tokens, &issued.token), Ok(Caller { user_id: USER, role }));
    }
}

#[test]
fn a_token_made_by_hand_of_the_right_parts_is_accepted() {
    // Without this, the tests below could all fail for another reason than the one that they name.
    let token = forge(&header(), &json!(claims()), KEY);
    assert_eq!(verify(&tokens(), &token), Ok(Caller { user_id: USER, role: Role::Customer }));
}

#[test]
fn each_token_has_an_id_of_its_own_and_names_the_version_of_its_key() {
    let tokens = tokens();
    let parts = |token: &str| -> Vec<Value> {
        let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        token.split('.').take(2).map(json).collect()
    };
    let [first, second] = [(); 2].map(|()| parts(&tokens.issue(USER, Role::Customer).unwrap().token));
    assert_eq!(first[0], header());
    assert_eq!((&first[1]["iss"], &first[1]["aud"]), (&json!("user-service"), &json!("shop")));
    assert_ne!(first[1]["jti"], second[1]["jti"]);
}

#[test]
fn a_token_is_valid_from_nbf_to_exp_give_or_take_half_a_minute() {
    assert_eq!(verdict(|c| c.exp = now() - 60), Err(TokenError::Expired));
    assert_eq!(verdict(|c| c.exp = 0), Err(TokenError::Expired));
    assert_eq!(verdict(|c| c.nbf = now() + 60), Err(TokenError::Invalid));
    assert!(verdict(|c| c.exp = now() - 20).is_ok());
    assert!(verdict(|c| c.nbf = now() + 20).is_ok());
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    assert_eq!(verdict(|c| c.iss = "order-service".into()), Err(TokenError::Invalid));
    assert_eq!(verdict(|c| c.aud = "warehouse".into()), Err(TokenError::Invalid));
}

#[test]
fn every_claim_is_required_and_well_formed() {
    for claim in ["sub", "role", "iss", "aud", "iat", "nbf", "exp", "jti"] {
        for replacement in [None, Some(Value::Null), Some(json!("x")), Some(json!(-1)), Some(json!([]))] {
            let mut changed = json!(claims());
            match &replacement {
                Some(value) => changed[claim] = value.clone(),
                None => drop(changed.as_object_mut().unwrap().remove(claim)),
            }
            let token = forge(&header(), &changed, KEY);
            assert_eq!(verify(&tokens(), &token), Err(TokenError::Invalid), "{claim}: {replacement:?}");
        }
    }
}

#[test]
fn no_other_algorithm_is_accepted_whatever_the_header_says() {
    let claims = json!(claims());
    for algorithm in ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", ""] {
        let header = json!({ "typ": "JWT", "alg": algorithm, "kid": "v2" });
        assert_eq!(verify(&tokens(), &forge(&header, &claims, KEY)), Err(TokenError::Invalid), "{algorithm}");
        let bare = unsigned(&header, &claims);
        assert_eq!(verify(&tokens(), &format!("{bare}.")), Err(TokenError::Invalid), "{algorithm}");
        assert_eq!(verify(&tokens(), &bare), Err(TokenError::Invalid), "{algorithm}");
    }
    // Signed as its header says, with the right key.
    let message = unsigned(&json!({ "alg": "HS384", "kid": "v2" }), &claims);
    let mac = Hmac::<Sha384>::new_from_slice(KEY.as_bytes()).unwrap().chain_update(&message).finalize();
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()));
    assert_eq!(verify(&tokens(), &token), Err(TokenError::Invalid));
}

#[test]
fn an_unsigned_token_is_refused() {
    let message = unsigned(&header(), &json!(claims()));
    assert_eq!(verify(&tokens(), &format!("{message}.")), Err(TokenError::Invalid));
}

#[test]
fn a_token_signed_with_another_key_is_refused_even_if_it_has_expired() {
    let mut claims = claims();
    for _ in 0..2 {
        let token = forge(&header(), &json!(claims), "another secret of enough letters");
        assert_eq!(verify(&tokens(), &token), Err(TokenError::Invalid));
        claims.exp = 1;
    }
}

#[test]
fn a_rotated_secret_keeps_its_tokens_valid_for_one_more_version() {
    let before = tokens_of(version("v1", OLD_KEY), None);
    let token = before.issue(USER, Role::Admin).unwrap().token;
    assert!(verify(&tokens(), &token).is_ok());

    let later = tokens_of(version("v3", "the signing secret of next year!"), Some(version("v2", KEY)));
    assert_eq!(verify(&later, &token), Err(TokenError::Invalid));
}

#[test]
fn a_version_is_only_good_for_its_own_key() {
    let claims = json!(claims());
    let with_version = |kid: Value| json!({ "alg": "HS256", "kid": kid });
    assert!(verify(&tokens(), &forge(&with_version(json!("v1")), &claims, OLD_KEY)).is_ok());
    for (kid, key) in [("v1", KEY), ("v2", OLD_KEY), ("v3", KEY), ("", KEY)] {
        let token = forge(&with_version(json!(kid)), &claims, key);
        assert_eq!(verify(&tokens(), &token), Err(TokenError::Invalid), "{kid}");
    }
    for header in [json!({ "alg": "HS256" }), with_version(Value::Null), with_version(json!(2))] {
        assert_eq!(verify(&tokens(), &forge(&header, &claims, KEY)), Err(TokenError::Invalid), "{header}");
    }
}

#[test]
fn a_token_of_excessive_length_is_refused() {
    let mut claims = json!(claims());
    claims["more"] = json!("x".repeat(2000));
    assert!(verify(&tokens(), &forge(&header(), &claims, KEY)).is_ok());
    claims["more"] = json!("x".repeat(4096));
    assert_eq!(verify(&tokens(), &forge(&header(), &claims, KEY)), Err(TokenError::Invalid));
}

#[test]
fn only_the_api_key_itself_matches() {
    let tokens = tokens();
    assert!(tokens.api_key_matches("the-api-key"));
    for wrong in ["", "the-api-ke", "the-api-key ", "The-api-key", "the-api-kez"] {
        assert!(!tokens.api_key_matches(wrong), "{wrong:?}");
    }
}

#[test]
fn nothing_secret_is_in_the_debug_text() {
    let text = format!("{:?}", tokens());
    assert!(!text.contains("signing secret") && !text.contains("api-key"), "{text}");
}

proptest! {
    #[test]
    fn a_token_in_which_anything_is_changed_is_refused(
        position: prop::sample::Index,
        replacement in "[ -~]",
    ) {
        let tokens = tokens();
        let token = tokens.issue(USER, Role::Customer).unwrap().token;
        let at = position.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &replacement);
        prop_assume!(changed != token);
        prop_assert_eq!(verify(&tokens, &changed), Err(TokenError::Invalid));
    }

    #[test]
    fn garbage_is_refused(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,60}", 0..5)) {
        prop_assert_eq!(verify(&tokens(), &text), Err(TokenError::Invalid));
        prop_assert_eq!(verify(&tokens(), &parts.join(".")), Err(TokenError::Invalid));
    }
}
