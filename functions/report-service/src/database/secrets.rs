use secrecy::SecretString;
use serde::Deserialize;

/// The content of the secret `<environment>/microservices/database`: where the database is.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Fields")]
pub struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) dbname: String,
    pub(super) password_secret_arn: String,
}

/// The content of the secret that `password_secret_arn` names, which RDS writes and rotates.
#[derive(Debug, Clone, Deserialize)]
pub struct Login {
    pub(super) username: String,
    pub(super) password: SecretString,
}

/// The fields before they are checked. The name of the user is in the other secret, beside the password.
#[derive(Deserialize)]
struct Fields {
    host: String,
    port: String,
    dbname: String,
    password_secret_arn: String,
}

/// The port is no number.
#[derive(Debug, thiserror::Error)]
#[error("has a \"port\" that is no port")]
pub struct InvalidPort;

impl Place {
    /// A database and the secret that holds its password.
    pub fn new(host: &str, port: u16, dbname: &str, password_secret_arn: &str) -> Self {
        let [host, dbname, password_secret_arn] = [host, dbname, password_secret_arn].map(str::to_owned);
        Self { host, port, dbname, password_secret_arn }
    }
}

impl Login {
    /// A user and its password.
    pub fn new(username: &str, password: impl Into<SecretString>) -> Self {
        Self { username: username.to_owned(), password: password.into() }
    }
}

impl TryFrom<Fields> for Place {
    type Error = InvalidPort;

    fn try_from(fields: Fields) -> Result<Self, InvalidPort> {
        let Fields { host, port, dbname, password_secret_arn } = fields;
        let port = port.parse().map_err(|_| InvalidPort)?;
        Ok(Self { host, port, dbname, password_secret_arn })
    }
}
