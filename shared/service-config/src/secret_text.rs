use std::fmt::{self, Display};

use serde::de::{self, DeserializeOwned, value::MapDeserializer};
use serde_json::Value;

/// Reads a secret: a JSON object of strings, further members are ignored.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, MalformedSecret> {
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        return Err(MalformedSecret("is not a JSON object".to_owned()));
    };
    let strings = members.into_iter().filter_map(|(name, value)| match value {
        Value::String(value) => Some((name, value)),
        _ => None,
    });
    T::deserialize(MapDeserializer::new(strings))
}

/// What is wrong with a secret, to be read after its name: `has no string "jwt_secret"`.
///
/// serde_json's own error would quote the value that it did not like.
#[derive(Debug)]
pub struct MalformedSecret(String);

impl de::Error for MalformedSecret {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self(format!("has no string \"{field}\""))
    }

    fn invalid_type(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self(format!("has a string where {expected} is needed"))
    }

    fn invalid_value(_: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self(format!("has another value where {expected} is needed"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("has another value where one of {expected:?} is needed"))
    }
}

impl Display for MalformedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MalformedSecret {}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::ApiSecret;

    fn error<T: DeserializeOwned>(text: &str) -> String {
        let Err(error) = parse::<T>(text) else { panic!("{text} was accepted") };
        error.to_string()
    }

    #[test]
    fn the_missing_key_is_named() {
        let long = "x".repeat(32);
        assert_eq!(error::<ApiSecret>(r#"{"api_key":"k"}"#), r#"has no string "jwt_secret""#);
        assert_eq!(error::<ApiSecret>(r#"{"api_key":"k","jwt_secret":5}"#), r#"has no string "jwt_secret""#);
        assert_eq!(
            error::<ApiSecret>(r#"{"api_key":"k","jwt_secret":"short"}"#),
            r#"has a "jwt_secret" of fewer than 32 bytes"#
        );
        assert_eq!(
            error::<ApiSecret>(&format!(r#"{{"api_key":"","jwt_secret":"{long}"}}"#)),
            r#"has an empty "api_key""#
        );
        parse::<ApiSecret>(&format!(r#"{{"api_key":"k","jwt_secret":"{long}","port":1}}"#)).unwrap();
    }

    #[test]
    fn no_error_shows_a_value() {
        #[derive(Debug, Deserialize)]
        enum Mode {
            On,
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only the errors matter")]
        struct Settings {
            mode: Mode,
            port: u16,
        }
        for text in [
            "hunter2",
            r#""hunter2""#,
            r#"["hunter2"]"#,
            r#"{"mode":"hunter2"}"#,
            r#"{"mode":"On","port":"hunter2"}"#,
            r#"{"mode":"On","port":"hunter2""#,
        ] {
            let message = error::<Settings>(text);
            assert!(!message.contains("hunter2"), "{message}");
        }
        assert!(matches!(Mode::On, Mode::On));
    }
}
