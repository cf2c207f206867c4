use std::time::Duration;

use domain_events::Timestamp;
use dynamodb_store::Position;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::entries::{between, millis};
use crate::domain::{Category, Product};

/// How long a page is shown, at most. An index may have the change that has just made a new page necessary a moment later,
/// so that a page can be out of date when it is made.
const LONGEST_LIFE: Duration = Duration::from_secs(18);
const SHORTEST_LIFE: Duration = Duration::from_secs(12);

/// How long the token of a list's generation is kept; longer than any page that names it.
pub(super) const TOKEN_LIFE: Duration = Duration::from_secs(120);

/// A list whose first pages are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum List {
    /// All products, newest first.
    Newest,
    /// Those of a category, newest first.
    Category(String),
}

/// The first page of a list, as it is kept: products have entries of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeptPage {
    /// The list's generation, as it was before the table was read.
    generation: String,
    /// Until when the page is shown, in milliseconds since 1970.
    until: i64,
    pub(super) ids: Vec<Uuid>,
    pub(super) next: Option<Position>,
}

/// A new generation's name, which no other will ever have.
pub(super) fn token() -> String {
    Uuid::now_v7().to_string()
}

impl List {
    pub(crate) fn of(category: Option<&Category>) -> Self {
        category.map_or(Self::Newest, |category| Self::Category(category.as_str().to_owned()))
    }

    /// Whether a product that there is is in the list.
    pub(super) fn has(&self, product: &Product) -> bool {
        match self {
            Self::Newest => true,
            Self::Category(category) => product.category.as_str() == category,
        }
    }

    /// Its part of a key. No category has a colon.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Newest => "newest".to_owned(),
            Self::Category(category) => format!("category:{category}"),
        }
    }
}

impl KeptPage {
    pub(super) fn new(
        generation: String,
        read_at: Timestamp,
        ids: Vec<Uuid>,
        next: Option<Position>,
    ) -> Self {
        let until = read_at.as_millis().saturating_add(millis(between(SHORTEST_LIFE, LONGEST_LIFE)));
        Self { generation, until, ids, next }
    }

    /// The page as Redis keeps it, and for how long it does, in milliseconds.
    pub(super) fn encode(&self) -> Option<(String, u64)> {
        Some((serde_json::to_string(self).ok()?, LONGEST_LIFE.as_millis() as u64))
    }

    /// Reads a page; `None` if it can't be one, is of another generation, or may no longer be shown.
    pub(super) fn decode(kept: &[u8], generation: &str, now: Timestamp) -> Option<Self> {
        let page: Self = serde_json::from_slice(kept).ok()?;
        let latest = now.as_millis() + millis(LONGEST_LIFE) + 1000;
        let shown = (now.as_millis() + 1..=latest).contains(&page.until);
        (shown && page.generation == generation).then_some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shown_in_its_generation_and_time() {
        let at = |millis: i64| Timestamp::from_millis(1_795_000_000_000 + millis);
        let page = KeptPage::new("one".to_owned(), at(0), vec![Uuid::from_u128(7)], None);
        let (text, _) = page.encode().unwrap();
        let decoded = |generation, now| KeptPage::decode(text.as_bytes(), generation, now);
        assert_eq!(decoded("one", at(11_999)), Some(page.clone()));
        assert_eq!(
            (decoded("two", at(0)), decoded("one", at(18_000)), decoded("one", at(-8_000))),
            (None, None, None)
        );
        let shape = format!(
            r#"{{"generation":"one","until":{},"ids":["00000000-0000-0000-0000-000000000007"],"next":null}}"#,
            page.until
        );
        assert_eq!(
            (super::super::entries::SCHEMA, &text),
            ("v1", &shape),
            "another shape needs another schema"
        );
        assert_eq!(KeptPage::decode(b"{", "one", at(0)), None);
    }
}
