use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponseParts, ResponseParts},
};
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};

use crate::{input::InvalidValue, problem::Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a client calls one thing that it wants done once, however often it has to ask: the header `Idempotency-Key`, 1
/// to 255 visible ASCII characters.
///
/// As an extractor it is required; an `Option` of it is not. What is sent has to be a key in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key as the client sent it. Other clients may use the same.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for IdempotencyKey {
    type Error = InvalidValue;

    fn try_from(text: &str) -> Result<Self, InvalidValue> {
        if (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue::new("must be 1 to 255 visible ASCII characters"))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let missing = || InvalidValue::new("is required: a header with a new value each time");
        sent(parts).and_then(|key| key.ok_or_else(missing)).map_err(wrong)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        sent(parts).map_err(wrong)
    }
}

fn sent(parts: &Parts) -> Result<Option<IdempotencyKey>, InvalidValue> {
    let key = parts.headers.get(IDEMPOTENCY_KEY);
    // What is no text at all is refused as an empty one is.
    key.map(|key| key.to_str().unwrap_or_default().try_into()).transpose()
}

fn wrong(InvalidValue(detail): InvalidValue) -> Problem {
    Problem::invalid_field("/Idempotency-Key", detail)
}

/// Whether an answer is that to a repetition: then it has the header `Idempotency-Replayed: true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed(pub bool);

impl IntoResponseParts for Replayed {
    type Error = std::convert::Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Self::Error> {
        if self.0 {
            parts.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        Ok(parts)
    }
}

impl Problem {
    /// 422: the key stands for something else that was asked for before.
    pub fn idempotency_key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "Idempotency key reused",
            "The Idempotency-Key was used for another request; something new needs a new key.",
        )
    }
}

#[cfg(test)]
mod tests {
    use axum::{extract::Request, response::IntoResponse};

    use super::*;

    #[test]
    fn a_key_is_visible_ascii() {
        let long = "k".repeat(256);
        for key in ["", " ", "a b", "ä", "\u{7f}", "a\n", long.as_str()] {
            assert!(IdempotencyKey::try_from(key).is_err(), "{key:?}");
        }
        assert!(IdempotencyKey::try_from(&long[1..]).is_ok());
    }

    #[tokio::test]
    async fn a_key_that_is_optional_must_be_one_if_it_is_there() {
        let request = |key: Option<&[u8]>| {
            let mut request = Request::builder();
            if let Some(key) = key {
                request = request.header(IDEMPOTENCY_KEY, HeaderValue::from_bytes(key).unwrap());
            }
            request.body(()).unwrap().into_parts().0
        };
        let optional = async |key| {
            let parts = &mut request(key);
            <IdempotencyKey as OptionalFromRequestParts<()>>::from_request_parts(parts, &()).await
        };
        assert_eq!(optional(None).await.unwrap(), None);
        assert_eq!(optional(Some(b"one")).await.unwrap().unwrap().as_str(), "one");
        for wrong in [b"".as_slice(), b"a b", b"\xff"] {
            assert_eq!(optional(Some(wrong)).await.unwrap_err().status(), 400);
        }
        let without = &mut request(None);
        let required = <IdempotencyKey as FromRequestParts<()>>::from_request_parts(without, &());
        assert_eq!(required.await.unwrap_err().errors()[0].pointer, "/Idempotency-Key");
    }

    #[test]
    fn only_the_answer_to_a_repetition_says_so() {
        let header =
            |replayed| (Replayed(replayed), ()).into_response().headers().get(IDEMPOTENCY_REPLAYED).cloned();
        assert_eq!((header(true).unwrap().to_str().unwrap(), header(false)), ("true", None));
    }
}
