//! What clients ask for.

use deserr::Deserr;
use domain_events::{Currency, Timestamp};
use problem_details::{InputErrors, InvalidValue, PageLimit, Problem};
use utoipa::IntoParams;

use crate::reports::{InvalidRange, Range, Ranking};

/// Which sales, how they are summed, and which part of the sums.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SalesQuery {
    /// Orders that were placed at this time or later: a day, which begins at midnight UTC, or a moment (RFC 3339; `+` of
    /// an offset is sent as `%2B`).
    #[param(value_type = String, example = "2026-11-01")]
    pub(super) from: Moment,
    /// Orders that were placed before this time; at most 366 days after `from`.
    #[param(value_type = String, example = "2026-12-01")]
    pub(super) to: Moment,
    /// What sales are summed by.
    #[param(inline, example = "day")]
    pub(super) by: By,
    /// Rows per page.
    #[deserr(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000, default = 100)]
    pub(super) limit: RowLimit,
    /// Where the page starts: `next_cursor` of the page before, with the same `from`, `to` and `by`.
    #[deserr(default)]
    pub(super) cursor: Option<String>,
}

/// Which products are ranked, and how.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TopQuery {
    /// Orders that were placed at this time or later: a day, which begins at midnight UTC, or a moment (RFC 3339; `+` of
    /// an offset is sent as `%2B`).
    #[param(value_type = String, example = "2026-11-01")]
    pub(super) from: Moment,
    /// Orders that were placed before this time; at most 366 days after `from`.
    #[param(value_type = String, example = "2026-12-01")]
    pub(super) to: Moment,
    /// What products are ranked by.
    #[param(inline, example = "units")]
    by: RankedBy,
    /// Only what was sold for this currency. By revenue it is required: amounts of several can't be compared.
    #[deserr(default, try_from(String) = some_currency -> InvalidValue)]
    #[param(value_type = Option<String>, pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: Option<Currency>,
    /// How many products.
    #[deserr(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 20)]
    pub(super) limit: PageLimit,
}

/// Which orders.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = InputErrors, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FunnelQuery {
    /// Orders that were placed at this time or later: a day, which begins at midnight UTC, or a moment (RFC 3339; `+` of
    /// an offset is sent as `%2B`).
    #[param(value_type = String, example = "2026-11-01")]
    pub(super) from: Moment,
    /// Orders that were placed before this time; at most 366 days after `from`.
    #[param(value_type = String, example = "2026-12-01")]
    pub(super) to: Moment,
}

/// What sales are summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr, utoipa::ToSchema)]
#[deserr(error = InputErrors, rename_all = lowercase)]
#[schema(rename_all = "lowercase")]
pub(super) enum By {
    Day,
    Week,
    Month,
    Product,
    Category,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr, utoipa::ToSchema)]
#[deserr(error = InputErrors, rename_all = lowercase)]
#[schema(rename_all = "lowercase")]
enum RankedBy {
    Units,
    Revenue,
}

/// A day or a moment, as clients write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, try_from(String) = Moment::try_from -> InvalidValue)]
pub(super) struct Moment(Timestamp);

/// How many rows a page may have: 1 to 1000, 100 if the client does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr)]
#[deserr(error = InputErrors, try_from(String) = RowLimit::try_from -> InvalidValue)]
pub(super) struct RowLimit(u16);

impl By {
    /// As in the query.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Product => "product",
            Self::Category => "category",
        }
    }
}

impl RowLimit {
    pub(super) fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for RowLimit {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<String> for RowLimit {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        match text.parse() {
            Ok(limit @ 1..=1000) => Ok(Self(limit)),
            _ => Err(InvalidValue::new("must be a number from 1 to 1000")),
        }
    }
}

impl TryFrom<String> for Moment {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        const A_DAY: usize = "2026-11-22".len();
        let moment = if text.len() == A_DAY { format!("{text}T00:00:00Z") } else { text };
        let moment = Timestamp::try_from(moment);
        moment.map(Self).map_err(|_| {
            InvalidValue::new("must be a day (2026-11-22) or an RFC 3339 moment (2026-11-22T09:30:00Z)")
        })
    }
}

fn some_currency(text: String) -> Result<Option<Currency>, InvalidValue> {
    let currency = Currency::try_from(text);
    currency.map(Some).map_err(|_| InvalidValue::new("must be an ISO 4217 code such as EUR"))
}

/// The range between two moments that clients sent.
pub(super) fn range(Moment(from): Moment, Moment(to): Moment) -> Result<Range, InvalidRange> {
    Range::new(from, to)
}

impl From<InvalidRange> for Problem {
    fn from(wrong: InvalidRange) -> Self {
        Self::invalid_field("/to", wrong.to_string())
    }
}

impl TopQuery {
    /// `None`, if the currency is missing.
    pub(super) fn ranking(&self) -> Option<Ranking> {
        match self.by {
            RankedBy::Units => Some(Ranking::Units(self.currency)),
            RankedBy::Revenue => self.currency.map(Ranking::Revenue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_midnight_in_utc() {
        let read = |text: &str| Moment::try_from(text.to_owned()).map(|Moment(moment)| moment.to_string());
        for (text, expected) in [
            ("2026-11-22", "2026-11-22T00:00:00.000Z"),
            ("2024-02-29", "2024-02-29T00:00:00.000Z"),
            ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00.000Z"),
            ("2026-11-22T01:30:00.125+02:00", "2026-11-21T23:30:00.125Z"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for wrong in [
            "",
            "today",
            "2026-02-30",
            "2026-11",
            "22.11.2026",
            "2026-11-22T09:30:00",
            "1795000000",
            "2026-11-2è",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_page_has_one_to_a_thousand_rows() {
        let read = |text: &str| RowLimit::try_from(text.to_owned()).map(RowLimit::get);
        assert_eq!([read("1"), read("1000")], [Ok(1), Ok(1000)]);
        for wrong in ["", "0", "1001", "-1", "ten", "70000"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
