use std::{error::Error, fmt};

/// A setting is missing or malformed, so that the service can't start.
///
/// Its text is one line that names the setting. `Debug` shows the same line with all causes, because that is what
/// a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
    #[source]
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), cause: None }
    }

    pub(crate) fn missing_variable(name: &str) -> Self {
        Self::new(format!("missing environment variable {name}"))
    }

    pub(crate) fn caused_by(self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", telemetry::chain(self))
    }
}
