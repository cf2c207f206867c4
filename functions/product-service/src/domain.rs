/// The stock of an order: what is decided about it, and what becomes of it.
mod reservation;

use std::fmt;

use deserr::Deserr;
use domain_events::{Currency, Money, Timestamp};
use image_uploads::Image;
use problem_details::{IdempotencyKey, InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) use self::reservation::{Line, RejectionReason, Reservation, ReservationState, units_by_product};

/// Something that the shop sells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) product_id: Uuid,
    pub(crate) name: ProductName,
    pub(crate) description: Description,
    pub(crate) category: Category,
    pub(crate) price: Money,
    /// Units that nobody has ordered yet.
    pub(crate) stock: u32,
    /// In the order in which they were asked for.
    pub(crate) images: Vec<ProductImage>,
    pub(crate) version: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A picture of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProductImage {
    /// The upload that it came by. Ids grow with the time at which uploads were asked for.
    pub(crate) image_id: Uuid,
    #[serde(flatten)]
    pub(crate) image: Image,
}

/// What an order has to know of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Price of one unit.
    pub(crate) price: Money,
    /// Units that nobody has ordered yet.
    pub(crate) stock: u32,
}

/// What an admin says about a new product.
#[derive(Debug, Clone)]
pub(crate) struct NewProduct {
    pub(crate) name: ProductName,
    pub(crate) description: Description,
    pub(crate) category: Category,
    pub(crate) price: Money,
    pub(crate) stock: u32,
}

impl Product {
    /// The most pictures that a product can have.
    pub(crate) const MAX_IMAGES: usize = 10;
}

impl NewProduct {
    /// Tells one request from another under the same key. It is kept in rows, so that what goes in and in which order can't
    /// change.
    pub(crate) fn fingerprint(&self) -> String {
        let Self { name, description, category, price, stock } = self;
        let (amount, stock) = (price.amount.to_string(), stock.to_string());
        let currency = price.currency.to_string();
        let mut hash = Sha256::new();
        // Every text comes with its length, so that no two requests are the same bytes.
        for text in [name.as_str(), description.as_str(), category.as_str(), &amount, &currency, &stock] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        format!("{:x}", hash.finalize())
    }

    /// The product in its first version.
    pub(crate) fn into_product(self, product_id: Uuid, at: Timestamp) -> Product {
        Product {
            product_id,
            name: self.name,
            description: self.description,
            category: self.category,
            price: self.price,
            stock: self.stock,
            images: Vec::new(),
            version: 1,
            created_at: at,
            updated_at: at,
        }
    }
}

/// What is to be different about a product; what is `None` stays as it is. Stock is not part of it: it is never
/// set, only taken from and added to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProductChange {
    pub(crate) name: Option<ProductName>,
    pub(crate) description: Option<Description>,
    pub(crate) category: Option<Category>,
    pub(crate) price: Option<Money>,
}

impl ProductChange {
    /// Whether a product is as it is to be.
    pub(crate) fn is_made_to(&self, product: &Product) -> bool {
        fn is<T: PartialEq>(present: &T, wanted: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| wanted == present)
        }
        is(&product.name, self.name.as_ref())
            && is(&product.description, self.description.as_ref())
            && is(&product.category, self.category.as_ref())
            && is(&product.price, self.price.as_ref())
    }

    /// Whether nothing is to be different.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a product is called: one line of 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = ProductName::try_from -> InvalidValue)]
pub(crate) struct ProductName(String);

/// What there is to say about a product: up to 5000 characters on any number of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = Description::try_from -> InvalidValue)]
pub(crate) struct Description(String);

/// What a product is listed under: 1 to 64 letters, digits, spaces, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Deserr)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = Category::try_from -> InvalidValue)]
pub(crate) struct Category(String);

/// A price as a client gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(crate) struct Price {
    #[deserr(try_from(i64) = valid_amount -> InvalidValue)]
    amount: i64,
    #[deserr(try_from(String) = valid_currency -> InvalidValue)]
    currency: Currency,
}

/// Units of a product that an admin puts on offer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, try_from(i64) = Stock::try_from -> InvalidValue)]
pub(crate) struct Stock(u32);

/// Units that come into stock or, if negative, leave it; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, try_from(i64) = StockChange::try_from -> InvalidValue)]
pub(crate) struct StockChange(i64);

/// Stands for something that its client may ask for repeatedly, and that is done once: nobody else has the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnceKey([u8; 32]);

impl OnceKey {
    /// The key that a client has given to what it wants done once.
    pub(crate) fn new(user_id: Uuid, key: &IdempotencyKey) -> Self {
        Self(Sha256::new().chain_update(user_id.as_bytes()).chain_update(key.as_str()).finalize().into())
    }
}

impl fmt::Display for OnceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl ProductName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProductName {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let text = text.trim();
        match text.chars().count() {
            1..=200 if !text.contains(char::is_control) => Ok(Self(text.to_owned())),
            _ => Err(InvalidValue::new("must have 1 to 200 characters, none of them a control character")),
        }
    }
}

impl Description {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let text = text.trim();
        let is_layout = |character| matches!(character, '\n' | '\r' | '\t');
        let strange = |character: char| character.is_control() && !is_layout(character);
        match text.chars().count() {
            0..=5000 if !text.contains(strange) => Ok(Self(text.to_owned())),
            _ => Err(InvalidValue::new(
                "must have at most 5000 characters, no control characters but line breaks and tabs",
            )),
        }
    }
}

impl Category {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Category {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        let text = text.trim();
        let allowed = |character: char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
        match text.chars().count() {
            1..=64 if text.chars().all(allowed) => Ok(Self(text.to_owned())),
            _ => Err(InvalidValue::new("must have 1 to 64 letters, digits, spaces, - or _")),
        }
    }
}

impl From<Price> for Money {
    fn from(Price { amount, currency }: Price) -> Self {
        Self { amount, currency }
    }
}

/// A thousand million of the main unit: far beyond any price, and small enough that an order's total is in range.
const MAX_AMOUNT: i64 = 100_000_000_000;

fn valid_amount(amount: i64) -> Result<i64, InvalidValue> {
    let range = "must be 0 to 100000000000, in the currency's minor unit";
    if (0..=MAX_AMOUNT).contains(&amount) { Ok(amount) } else { Err(InvalidValue::new(range)) }
}

fn valid_currency(code: String) -> Result<Currency, InvalidValue> {
    Currency::try_from(code).map_err(|invalid| InvalidValue(invalid.to_string().into()))
}

impl Stock {
    /// The most units of one product that can be on offer.
    pub(crate) const MAX: u32 = 1_000_000_000;

    pub(crate) fn units(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Stock {
    type Error = InvalidValue;

    fn try_from(units: i64) -> Result<Self, InvalidValue> {
        match u32::try_from(units) {
            Ok(units @ 0..=Self::MAX) => Ok(Self(units)),
            _ => Err(InvalidValue::new("must be 0 to 1000000000")),
        }
    }
}

impl StockChange {
    pub(crate) fn units(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for StockChange {
    type Error = InvalidValue;

    fn try_from(units: i64) -> Result<Self, InvalidValue> {
        if units != 0 && units.unsigned_abs() <= u64::from(Stock::MAX) {
            Ok(Self(units))
        } else {
            Err(InvalidValue::new("must be -1000000000 to 1000000000 and not 0"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_bounded_in_characters() {
        let name = |text: &str| ProductName::try_from(text.to_owned());
        assert_eq!(name("  Mug ").unwrap().as_str(), "Mug");
        assert!(name(&"ü".repeat(200)).is_ok());
        for wrong in ["", "  ", "a\nb", "a\0b", &"ü".repeat(201)] {
            name(wrong).unwrap_err();
        }
        let description = |text: &str| Description::try_from(text.to_owned());
        assert!(description("").is_ok() && description("one\r\n\ttwo").is_ok());
        assert!(description("\u{7}").is_err() && description(&"x".repeat(5001)).is_err());
        let category = |text: &str| Category::try_from(text.to_owned());
        assert!(category("Küche & Bad").is_err() && category("Küche-Bad_2 neu").is_ok());
    }
}
