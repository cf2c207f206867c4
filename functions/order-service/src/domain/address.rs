use deserr::Deserr;
use problem_details::{InputErrors, InvalidValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an order goes. Personal data: it never leaves the service in an event or a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[deserr(error = InputErrors, deny_unknown_fields)]
pub(crate) struct ShippingAddress {
    /// Who receives it.
    #[schema(example = "Ada Lovelace")]
    pub(crate) name: AddressLine,
    /// Street and number.
    #[schema(example = "12 St James's Square")]
    pub(crate) line1: AddressLine,
    /// Flat, floor, care of.
    #[deserr(default)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) line2: Option<AddressLine>,
    /// As the country writes it.
    #[schema(example = "SW1Y 4JH")]
    pub(crate) postal_code: PostalCode,
    /// Town or city.
    #[schema(example = "London")]
    pub(crate) city: AddressLine,
    /// The country.
    pub(crate) country: Country,
}

/// One line of an address: 1 to 100 characters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = AddressLine::try_from -> InvalidValue)]
#[schema(value_type = String, min_length = 1, max_length = 100)]
pub(crate) struct AddressLine(String);

/// A postal code of any country: 1 to 16 characters.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = PostalCode::try_from -> InvalidValue)]
#[schema(value_type = String, min_length = 1, max_length = 16)]
pub(crate) struct PostalCode(String);

/// An ISO 3166-1 alpha-2 code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Deserr, ToSchema)]
#[serde(transparent)]
#[deserr(error = InputErrors, try_from(String) = Country::try_from -> InvalidValue)]
#[schema(value_type = String, pattern = "^[A-Z]{2}$", example = "GB")]
pub(crate) struct Country(String);

/// All officially assigned codes.
const COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO \
    FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE \
    JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO \
    MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW \
    PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM \
    TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

impl ShippingAddress {
    /// All parts in a fixed sequence.
    pub(super) fn parts(&self) -> [Option<&str>; 6] {
        let Self { name, line1, line2, postal_code, city, country } = self;
        let line2 = line2.as_ref().map(|line| line.0.as_str());
        [Some(&name.0), Some(&line1.0), line2, Some(&postal_code.0), Some(&city.0), Some(&country.0)]
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        let line = |text: &str| AddressLine::try_from(text.to_owned()).unwrap();
        Self {
            name: line("Ada Lovelace"),
            line1: line("12 St James's Square"),
            line2: Some(line("2nd floor")),
            postal_code: PostalCode::try_from("SW1Y 4JH".to_owned()).unwrap(),
            city: line("London"),
            country: Country::try_from("GB".to_owned()).unwrap(),
        }
    }
}

/// Without its content: it must not reach a log by way of an error.
impl std::fmt::Debug for ShippingAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShippingAddress(..)")
    }
}

impl TryFrom<String> for AddressLine {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        bounded(&text, 100)
            .map(Self)
            .ok_or(InvalidValue::new("must be 1 to 100 characters of text in one line"))
    }
}

impl TryFrom<String> for PostalCode {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Self, InvalidValue> {
        bounded(&text, 16)
            .map(Self)
            .ok_or(InvalidValue::new("must be 1 to 16 characters of text in one line"))
    }
}

impl TryFrom<String> for Country {
    type Error = InvalidValue;

    fn try_from(code: String) -> Result<Self, InvalidValue> {
        if COUNTRIES.split(' ').any(|known| known == code) {
            Ok(Self(code))
        } else {
            Err(InvalidValue::new("must be an ISO 3166-1 alpha-2 code such as DE"))
        }
    }
}

/// The text without white space around it, if it has 1 to `most` characters and no control character.
fn bounded(text: &str, most: usize) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_trimmed_bounded_and_one_line() {
        let line = |text: &str| AddressLine::try_from(text.to_owned());
        assert_eq!(line("  12 Some Street ").unwrap().0, "12 Some Street");
        assert!(line(&"ü".repeat(100)).is_ok());
        for text in ["", "   ", "two\nlines", "a\u{0}b", &"x".repeat(101)] {
            assert!(line(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_country_is_one_that_exists() {
        assert!(COUNTRIES.split(' ').is_sorted());
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        for code in ["", "de", "DEU", "XX", "DE ", "E", "AD AE"] {
            assert!(Country::try_from(code.to_owned()).is_err(), "{code:?}");
        }
        assert!(Country::try_from("DE".to_owned()).is_ok());
    }

    #[test]
    fn debug_shows_nothing_of_an_address() {
        assert_eq!(format!("{:?}", ShippingAddress::example()), "ShippingAddress(..)");
    }
}
