use axum::extract::{FromRequestParts, Path};
use deserr::Deserr;
use http::request::Parts;
use uuid::Uuid;

use crate::{
    input::{InputErrors, InvalidValue},
    problem::Problem,
};

/// The id in the path of a resource, `/api/orders/{id}`; what is no id is 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let id = Path::<Uuid>::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|_| not_found())
    }
}

/// The ids in the path of a part of a resource, `/api/products/{id}/images/{image_id}`; what is no id is 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathIds(pub Uuid, pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let ids = Path::<(Uuid, Uuid)>::from_request_parts(parts, state).await;
        ids.map(|Path((whole, part))| Self(whole, part)).map_err(|_| not_found())
    }
}

/// What is no id is the id of nothing.
fn not_found() -> Problem {
    Problem::not_found("There is nothing with this id.")
}

/// How many items a page of a list may have: 1 to 100, 20 if the client does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, try_from(String) = PageLimit::try_from -> InvalidValue)]
pub struct PageLimit(usize);

impl PageLimit {
    /// The number.
    pub fn get(self) -> usize {
        self.0
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(20)
    }
}

impl TryFrom<String> for PageLimit {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(limit @ 1..=100) => Ok(Self(limit)),
            _ => Err(InvalidValue::new("must be a number from 1 to 100")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_to_a_hundred_items() {
        assert_eq!(PageLimit::try_from("1".to_owned()).unwrap().get(), 1);
        assert_eq!(PageLimit::try_from("100".to_owned()).unwrap().get(), 100);
        for wrong in ["", "0", "101", "-1", "1.5", "ten", "99999999999999999999"] {
            PageLimit::try_from(wrong.to_owned()).unwrap_err();
        }
    }
}
