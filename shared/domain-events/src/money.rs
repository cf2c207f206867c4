use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{PartialSchema, ToSchema};

/// An amount in the currency's minor unit (cents), never a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Money {
    /// Minor units of the currency: 1999 is 19.99 EUR.
    #[schema(example = 1999)]
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl Money {
    /// This unit price times a quantity; `None` if it can't be represented.
    pub fn times(self, quantity: u32) -> Option<Self> {
        Some(Self { amount: self.amount.checked_mul(i64::from(quantity))?, ..self })
    }

    /// The sum; `None` if the currencies differ or it can't be represented.
    pub fn plus(self, other: Self) -> Option<Self> {
        let amount = self.amount.checked_add(other.amount)?;
        (self.currency == other.currency).then_some(Self { amount, ..self })
    }
}

/// An ISO 4217 alphabetic code: three upper-case letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// The text is not three upper-case letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 4217 code such as EUR")]
pub struct InvalidCurrency;

impl TryFrom<String> for Currency {
    type Error = InvalidCurrency;

    fn try_from(text: String) -> Result<Self, InvalidCurrency> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if code.iter().all(u8::is_ascii_uppercase) { Ok(Self(code)) } else { Err(InvalidCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[A-Z]{3}$"))
            .description(Some("ISO 4217 alphabetic code"))
            .examples(["EUR"])
            .into()
    }
}

impl ToSchema for Currency {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_are_never_mixed_and_sums_never_wrap() {
        let money =
            |amount, code: &str| Money { amount, currency: Currency::try_from(code.to_owned()).unwrap() };
        assert_eq!(money(1, "EUR").plus(money(2, "EUR")), Some(money(3, "EUR")));
        assert_eq!(money(1, "EUR").plus(money(2, "USD")), None);
        assert_eq!(money(i64::MAX, "EUR").plus(money(1, "EUR")), None);
        assert_eq!(money(i64::MAX / 2, "EUR").times(3), None);
    }

    #[test]
    fn a_currency_is_three_capitals() {
        for wrong in ["", "eur", "EURO", "E1R", "€€€"] {
            assert_eq!(Currency::try_from(wrong.to_owned()), Err(InvalidCurrency), "{wrong}");
        }
    }
}
