use std::{borrow::Cow, time::Duration};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_http_client::{
    Connector,
    tls::{self, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    behavior_version::BehaviorVersion,
    http::{HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn},
    stalled_stream_protection::StalledStreamProtectionConfig,
};
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};

use crate::ConfigError;

/// Time limits of every call to AWS: to connect, of one attempt, and of all attempts with the waits between them.
///
/// What is called here answers in milliseconds, so that an attempt of two seconds has met something broken, and another one
/// is more likely to succeed than a longer wait. All three fit into the limit of the operation. That leaves time to answer
/// in: a start, which has ten seconds, makes its calls side by side; a request and a message end before their invocation
/// does, however much of its time is used up, since `lambda-dispatch` takes from them what is left then.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(7);
const ATTEMPTS: u32 = 3;

/// The longest wait before the second attempt, and twice that before the third; each is a random part of it. The SDK's
/// own second would cost a request that met one broken connection half a second.
///
/// The mode is `standard`, whose quota of retries ends them when most calls fail anyway. `adaptive` would hold back first
/// attempts, too, by a rate that each client learns: here a client is alone in its environment and makes one request's
/// calls, so that there is nothing to pace, and one hot row would slow down the calls for all others.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The roots under which AWS has its certificates. Reading the 140 and more that a system trusts takes longer than
/// all the rest of a start.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// Looks up an environment variable.
type Variables = fn(&str) -> Option<String>;

/// The settings for all AWS SDK clients of the process, from the environment that Lambda sets: `AWS_REGION`, the
/// credentials, and optionally `AWS_ENDPOINT_URL`. Call it once; every client that is made from the result uses
/// the same HTTP client and connection pool.
pub fn aws() -> Result<SdkConfig, ConfigError> {
    from_variables(crate::optional)
}

fn from_variables(variable: Variables) -> Result<SdkConfig, ConfigError> {
    let region = variable("AWS_REGION")
        .or_else(|| variable("AWS_DEFAULT_REGION"))
        .ok_or_else(|| ConfigError::missing_variable("AWS_REGION"))?;
    let credentials = EnvironmentCredentials(variable);
    // Read here only to refuse to start without them.
    credentials.read()?;
    let credentials = SharedCredentialsProvider::new(credentials);

    match variable("AWS_ENDPOINT_URL") {
        None => Ok(settings(&region, credentials, trust_store(variable)?).build()),
        Some(url) if url.starts_with("https://") => {
            Ok(settings(&region, credentials, trust_store(variable)?).endpoint_url(url).build())
        }
        // A local cloud: there is nobody to trust, and so no certificate to load.
        Some(url) if url.starts_with("http://") => {
            Ok(settings(&region, credentials, TrustStore::empty()).endpoint_url(url).build())
        }
        Some(url) => Err(ConfigError::new(format!(
            "environment variable AWS_ENDPOINT_URL must begin with http:// or https://, found {url:?}"
        ))),
    }
}

fn settings(
    region: &str,
    credentials: SharedCredentialsProvider,
    roots: TrustStore,
) -> aws_types::sdk_config::Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(http_client(roots))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_WAIT))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .operation_timeout(OPERATION_TIMEOUT)
                .build(),
        )
        // What is sent and received is small, and the time limits above hold for all of it.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(TokioSleep::new())
        .time_source(SystemTimeSource::new())
}

/// One connector, made here and now, for all clients.
///
/// The client that `aws-smithy-http-client` would build makes a connector, and with it reads all certificates,
/// for each SDK client that is created, throws it away, and makes another one for the first request.
fn http_client(roots: TrustStore) -> SharedHttpClient {
    let tls =
        TlsContext::builder().with_trust_store(roots).build().expect("a trust store is all that it needs");
    let connector = Connector::builder()
        .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .sleep_impl(TokioSleep::new())
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .tls_context(tls)
        .build();
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_settings, _components| connector.clone())
}

/// In whom to trust, as PEM: Amazon's roots, or what the file named by `SSL_CERT_FILE` holds. That is for a proxy that looks
/// into TLS, an endpoint of one's own, or a region whose endpoints have certificates of others.
///
/// [`aws()`] has them already; this is for connections that no SDK makes, to a cache or a database.
pub fn trusted_roots() -> Result<Cow<'static, str>, ConfigError> {
    roots_from_variables(crate::optional)
}

fn roots_from_variables(variable: Variables) -> Result<Cow<'static, str>, ConfigError> {
    let Some(path) = variable("SSL_CERT_FILE") else { return Ok(Cow::Borrowed(AMAZON_ROOTS)) };
    let pem = std::fs::read_to_string(&path).map_err(|error| {
        ConfigError::new(format!("can't read trusted roots from {path} (SSL_CERT_FILE)")).caused_by(error)
    })?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(ConfigError::new(format!("there is no certificate in {path} (SSL_CERT_FILE)")));
    }
    Ok(Cow::Owned(pem))
}

fn trust_store(variable: Variables) -> Result<TrustStore, ConfigError> {
    Ok(TrustStore::empty().with_pem_certificate(roots_from_variables(variable)?.as_bytes()))
}

/// Credentials out of the environment, read again whenever the SDK asks for fresh ones.
#[derive(Debug)]
struct EnvironmentCredentials(Variables);

impl EnvironmentCredentials {
    fn read(&self) -> Result<Credentials, ConfigError> {
        let required = |name| (self.0)(name).ok_or_else(|| ConfigError::missing_variable(name));
        Ok(Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            (self.0)("AWS_SESSION_TOKEN"),
            None,
            "environment",
        ))
    }
}

impl ProvideCredentials for EnvironmentCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let credentials: provider::Result = self.read().map_err(CredentialsError::not_loaded);
        future::ProvideCredentials::ready(credentials)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_ROOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

    fn local(name: &str) -> Option<String> {
        let value = match name {
            "AWS_REGION" => "eu-central-1",
            "AWS_ACCESS_KEY_ID" => "key",
            "AWS_SECRET_ACCESS_KEY" => "secret",
            "AWS_ENDPOINT_URL" => "http://localhost:4566",
            "SSL_CERT_FILE" => "/no/such/file",
            _ => return None,
        };
        Some(value.to_owned())
    }

    fn on_lambda(name: &str) -> Option<String> {
        match name {
            "AWS_ENDPOINT_URL" => None,
            "AWS_SESSION_TOKEN" => Some("token".to_owned()),
            "SSL_CERT_FILE" => None,
            _ => local(name),
        }
    }

    fn with_roots(name: &str, file: &str) -> Option<String> {
        if name == "SSL_CERT_FILE" { Some(file.to_owned()) } else { on_lambda(name) }
    }

    fn error(variables: Variables) -> String {
        from_variables(variables).unwrap_err().to_string()
    }

    #[test]
    fn a_local_endpoint_needs_no_trusted_roots() {
        let config = from_variables(local).unwrap();
        assert_eq!(config.region().unwrap().as_ref(), "eu-central-1");
        assert_eq!(config.endpoint_url(), Some("http://localhost:4566"));
    }

    #[tokio::test]
    async fn on_lambda_the_roots_are_amazons_and_the_credentials_come_from_the_environment() {
        let config = from_variables(on_lambda).unwrap();
        assert_eq!(config.endpoint_url(), None);
        let credentials = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        assert_eq!(credentials.access_key_id(), "key");
        assert_eq!(credentials.secret_access_key(), "secret");
        assert_eq!(credentials.session_token(), Some("token"));
    }

    #[test]
    fn every_call_has_time_limits_and_retries() {
        let config = from_variables(local).unwrap();
        let limits = config.timeout_config().unwrap();
        assert_eq!(limits.connect_timeout(), Some(CONNECT_TIMEOUT));
        assert_eq!(limits.operation_attempt_timeout(), Some(ATTEMPT_TIMEOUT));
        assert_eq!(limits.operation_timeout(), Some(OPERATION_TIMEOUT));
        let retries = config.retry_config().unwrap();
        assert_eq!((retries.max_attempts(), retries.initial_backoff()), (ATTEMPTS, FIRST_WAIT));
    }

    #[test]
    fn all_attempts_have_their_time() {
        // Each wait may be twice as long as the one before.
        let waits = FIRST_WAIT * (2u32.pow(ATTEMPTS - 1) - 1);
        assert!(ATTEMPT_TIMEOUT * ATTEMPTS + waits < OPERATION_TIMEOUT);
        assert!(CONNECT_TIMEOUT < ATTEMPT_TIMEOUT);
    }

    #[test]
    fn the_default_region_is_a_fallback() {
        let config = from_variables(|name| match name {
            "AWS_REGION" => None,
            "AWS_DEFAULT_REGION" => Some("us-west-2".to_owned()),
            _ => local(name),
        });
        assert_eq!(config.unwrap().region().unwrap().as_ref(), "us-west-2");
    }

    #[test]
    fn the_trusted_roots_are_amazons_or_those_of_the_file_that_is_named() {
        let amazon = roots_from_variables(on_lambda).unwrap();
        assert!(matches!(amazon, Cow::Borrowed(pem) if pem.contains("-----BEGIN CERTIFICATE-----")));

        const AMAZON_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/amazon-roots.pem");
        let own = roots_from_variables(|name| with_roots(name, AMAZON_FILE)).unwrap();
        assert!(matches!(own, Cow::Owned(pem) if pem == AMAZON_ROOTS));

        let nobody = roots_from_variables(|name| with_roots(name, NO_ROOTS)).unwrap_err();
        assert!(nobody.to_string().contains("no certificate"));
    }

    #[test]
    fn what_is_missing_or_malformed_is_named() {
        assert_eq!(
            error(|name| local(name).filter(|_| name != "AWS_REGION")),
            "missing environment variable AWS_REGION"
        );
        assert_eq!(
            error(|name| local(name).filter(|_| name != "AWS_SECRET_ACCESS_KEY")),
            "missing environment variable AWS_SECRET_ACCESS_KEY"
        );
        assert_eq!(
            error(|name| local(name).map(|v| v.replace("http:", ""))),
            r#"environment variable AWS_ENDPOINT_URL must begin with http:// or https://, found "//localhost:4566""#
        );
        let unreadable: Variables = |name| local(name).map(|v| v.replace("http:", "https:"));
        assert_eq!(error(unreadable), "can't read trusted roots from /no/such/file (SSL_CERT_FILE)");
        assert!(error(|name| with_roots(name, NO_ROOTS)).contains("no certificate"));
    }
}
