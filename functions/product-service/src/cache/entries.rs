use std::time::Duration;

use domain_events::{Money, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Category, Description, Product, ProductImage, ProductName};

/// Stands in every key for the shape of what is kept under it. It has to be counted up with any change of an entry or a page,
/// also one that old code could read: during a deployment and after its withdrawal, old code writes what new code reads.
pub(super) const SCHEMA: &str = "v1";

/// The longest that an entry is shown, counted from a moment at which it was true: that is how old a product can be, whatever
/// becomes of Redis. Each entry is shown for a time of its own, at least two thirds of that, so that those which were made
/// together are not read from the table together.
pub(super) const LONGEST_LIFE: Duration = Duration::from_secs(36);
const SHORTEST_LIFE: Duration = Duration::from_secs(24);

/// How long it is remembered that there is no product with an id, at most.
const UNKNOWN_LIFE: Duration = Duration::from_secs(10);

/// How long Redis keeps an entry. When it is no longer shown, it still keeps older versions out that somebody has read before
/// and writes only now; after this time they would not be shown either.
const KEPT: Duration = Duration::from_secs(60);

/// Clocks of two environments differ by less. An entry that says it is good for longer than any can be is no entry.
const CLOCKS_DIFFER: Duration = Duration::from_secs(1);

/// Version, and until when it is shown, in digits of fixed width: their order as text is the order of what they say.
const RANK: usize = 20 + 1 + 15 + 1;

/// Writes entries, each unless a newer version is there, or the same one for longer. What can't be an entry is as good as
/// nothing.
pub(super) const WRITE: &str = r"
for i, key in ipairs(KEYS) do
  local new, kept = ARGV[2 * i - 1], redis.pcall('GET', key)
  local rank = type(kept) == 'string' and string.match(kept, '^%d+:%d+:')
  if not (rank and #rank == 37 and rank > string.sub(new, 1, 37)) then
    redis.call('SET', key, new, 'PX', ARGV[2 * i])
  end
end
return 1";

/// What is known of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Product(Product),
    /// There is no product.
    Unknown,
    /// The product was removed. No other will ever have its id.
    Gone,
}

/// A product as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct KeptProduct {
    product_id: Uuid,
    name: ProductName,
    description: Description,
    category: Category,
    price: Money,
    stock: u32,
    images: Vec<ProductImage>,
    version: u64,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Entry {
    /// What it is ordered by: a product's version, before all of them that there is none, after all that it is gone.
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Product(product) => product.version,
            Self::Unknown => 0,
            Self::Gone => u64::MAX,
        }
    }

    /// The entry as Redis keeps it, and for how long it does, in milliseconds. `true_at` is a moment at which it was true; if
    /// that was long ago, the entry is not to be shown, but still keeps older versions out.
    pub(super) fn encode(&self, true_at: Timestamp) -> Option<(String, u64)> {
        let (life, kept, body) = match self {
            Self::Product(product) => {
                let body = serde_json::to_string(&KeptProduct::from(product.clone())).ok()?;
                (between(SHORTEST_LIFE, LONGEST_LIFE), KEPT, body)
            }
            Self::Unknown => (between(UNKNOWN_LIFE / 2, UNKNOWN_LIFE), UNKNOWN_LIFE, String::new()),
            Self::Gone => (LONGEST_LIFE, KEPT, String::new()),
        };
        let until = true_at.as_millis().saturating_add(millis(life));
        Some((format!("{:020}:{until:015}:{body}", self.version()), kept.as_millis() as u64))
    }

    /// Reads an entry of a product; `None` if it can't be one, or may no longer be shown.
    pub(super) fn decode(kept: &[u8], id: Uuid, now: Timestamp) -> Option<Self> {
        let kept = std::str::from_utf8(kept).ok()?;
        let (rank, body) = kept.split_at_checked(RANK)?;
        let (version, until) = rank.strip_suffix(':')?.split_once(':')?;
        let (version, until): (u64, i64) = (version.parse().ok()?, until.parse().ok()?);
        if version == u64::MAX {
            return body.is_empty().then_some(Self::Gone);
        }
        let latest = now.as_millis() + millis(LONGEST_LIFE + CLOCKS_DIFFER);
        if !(now.as_millis() + 1..=latest).contains(&until) {
            return None;
        }
        if version == 0 {
            return body.is_empty().then_some(Self::Unknown);
        }
        let product: Product = serde_json::from_str::<KeptProduct>(body).ok()?.into();
        (product.product_id == id && product.version == version).then_some(Self::Product(product))
    }
}

/// A random time between two.
pub(super) fn between(shortest: Duration, longest: Duration) -> Duration {
    shortest + (longest - shortest).mul_f64(fastrand::f64())
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl From<Product> for KeptProduct {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.product_id,
            name: product.name,
            description: product.description,
            category: product.category,
            price: product.price,
            stock: product.stock,
            images: product.images,
            version: product.version,
            created_at: product.created_at,
            updated_at: product.updated_at,
        }
    }
}

impl From<KeptProduct> for Product {
    fn from(kept: KeptProduct) -> Self {
        Self {
            product_id: kept.product_id,
            name: kept.name,
            description: kept.description,
            category: kept.category,
            price: kept.price,
            stock: kept.stock,
            images: kept.images,
            version: kept.version,
            created_at: kept.created_at,
            updated_at: kept.updated_at,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use domain_events::Currency;

    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    pub(crate) fn product() -> Product {
        Product {
            product_id: ID,
            name: ProductName::try_from("Mug".to_owned()).unwrap(),
            description: Description::try_from("Holds \"0.3\" l.".to_owned()).unwrap(),
            category: Category::try_from("Küche".to_owned()).unwrap(),
            price: Money { amount: 500, currency: Currency::try_from("EUR".to_owned()).unwrap() },
            stock: 3,
            images: vec![picture()],
            version: 12,
            created_at: Timestamp::from_millis(1_795_000_000_123),
            updated_at: Timestamp::from_millis(1_795_000_001_456),
        }
    }

    fn picture() -> ProductImage {
        serde_json::from_str(
            r#"{"image_id":"00000000-0000-0000-0000-000000000001","content_type":"image/png","width":3,"height":4}"#,
        )
        .unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis)
    }

    fn decoded(text: &str, now: Timestamp) -> Option<Entry> {
        Entry::decode(text.as_bytes(), ID, now)
    }

    #[test]
    fn the_shape_of_an_entry_is_that_of_its_schema() {
        let (text, kept) = Entry::Product(product()).encode(at(0)).unwrap();
        let shape = r#"{"product_id":"00000000-0000-0000-0000-000000000007","name":"Mug","description":"Holds \"0.3\" l.","category":"Küche","price":{"amount":500,"currency":"EUR"},"stock":3,"images":[{"image_id":"00000000-0000-0000-0000-000000000001","content_type":"image/png","width":3,"height":4}],"version":12,"created_at":"2026-11-18T11:06:40.123Z","updated_at":"2026-11-18T11:06:41.456Z"}"#;
        assert_eq!((SCHEMA, &text[RANK..]), ("v1", shape), "another shape needs another schema");
        assert!(text.starts_with("00000000000000000012:001795000"), "{text}");
        assert_eq!(kept, 60_000);
        assert_eq!(decoded(&text, at(0)), Some(Entry::Product(product())));
    }

    #[test]
    fn an_entry_is_shown_for_its_life_from_when_it_was_true() {
        for _ in 0..100 {
            let (text, _) = Entry::Product(product()).encode(at(0)).unwrap();
            assert!(decoded(&text, at(23_999)).is_some());
            assert!(decoded(&text, at(36_000)).is_none());
            let (text, _) = Entry::Unknown.encode(at(0)).unwrap();
            assert_eq!(decoded(&text, at(4_999)), Some(Entry::Unknown));
            assert_eq!(decoded(&text, at(10_000)), None);
        }
        let (text, _) = Entry::Product(product()).encode(at(100_000)).unwrap();
        assert_eq!(decoded(&text, at(0)), None, "no entry is good for so long");
    }

    #[test]
    fn what_is_gone_stays_so() {
        let (text, kept) = Entry::Gone.encode(at(0)).unwrap();
        assert_eq!((decoded(&text, at(59_000)), kept), (Some(Entry::Gone), 60_000));
    }

    #[test]
    fn what_cannot_be_an_entry_is_none() {
        let (text, _) = Entry::Product(product()).encode(at(0)).unwrap();
        assert_eq!(Entry::decode(text.as_bytes(), Uuid::from_u128(8), at(0)), None, "another product's");
        for end in 0..text.len() {
            assert_eq!(Entry::decode(&text.as_bytes()[..end], ID, at(0)), None);
        }
        let other_version = text.replacen("12:", "13:", 1);
        for garbage in ["", "garbage", "ü", "\0", &other_version, &text.replace("Mug", "Mu\\"), &text[1..]] {
            assert_eq!(decoded(garbage, at(0)), None, "{garbage}");
        }
        assert_eq!(Entry::decode(&[0xff; 100], ID, at(0)), None);
        assert_eq!(
            decoded(&text.replace(r#""version""#, r#""colour":"red","version""#), at(0)),
            decoded(&text, at(0))
        );
    }
}
