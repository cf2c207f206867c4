use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use access_token::{AccessTokens, Role, TokenError};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::HttpRequest,
    },
    http::{Response, StatusCode},
};
use aws_smithy_types::body::SdkBody;
use problem_details::Problem;
use serde_json::json;
use service_config::{DEFAULT_TTL, SecretCache};
use uuid::Uuid;

use crate::{API_KEY, KEY, OLD_KEY, tokens_of, version};

/// A start asks for the current version of the secret, a look-up for the current and the previous one.
const A_START_AND_A_LOOK: usize = 1 + 2;

#[tokio::test]
async fn a_token_of_a_version_that_is_not_yet_known_is_accepted_after_one_look() {
    let manager = SecretsManager::default();
    manager.holds("v1", OLD_KEY);
    let verifier = manager.tokens().await;
    let issuer = tokens_of(version("v2", KEY), None);
    let token = issuer.issue(Uuid::nil(), Role::Customer).unwrap().token;

    manager.holds("v2", KEY);
    assert!(verifier.verify(&token).await.is_ok());
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(manager.requests(), A_START_AND_A_LOOK);
}

#[tokio::test]
async fn tokens_of_invented_versions_can_not_make_a_service_ask_all_the_time() {
    let manager = SecretsManager::default();
    manager.holds("v1", KEY);
    let verifier = manager.tokens().await;
    for invented in 0..50 {
        let attacker = tokens_of(version(&format!("v{}", invented + 2), KEY), None);
        let token = attacker.issue(Uuid::nil(), Role::Admin).unwrap().token;
        assert_eq!(verifier.verify(&token).await, Err(TokenError::Invalid));
    }
    assert_eq!(manager.requests(), A_START_AND_A_LOOK);
}

#[tokio::test]
async fn a_token_that_can_not_be_checked_is_not_called_invalid() {
    let manager = SecretsManager::default();
    manager.holds("v1", OLD_KEY);
    let verifier = manager.tokens().await;
    let token = tokens_of(version("v2", KEY), None).issue(Uuid::nil(), Role::Customer).unwrap().token;
    manager.holds_nothing();
    assert_eq!(verifier.verify(&token).await, Err(TokenError::Undecided));
    assert_eq!(Problem::from(TokenError::Undecided).status(), 503);
    assert_eq!(Problem::from(TokenError::Invalid).status(), 401);
}

/// Stands in for the network and for Secrets Manager behind it.
#[derive(Clone, Debug, Default)]
struct SecretsManager {
    current: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
}

impl SecretsManager {
    fn holds(&self, version: &str, jwt_secret: &str) {
        let secret = json!({ "api_key": API_KEY, "jwt_secret": jwt_secret }).to_string();
        *self.current.lock().unwrap() = json!({ "VersionId": version, "SecretString": secret }).to_string();
    }

    /// From now on, a secret without a text.
    fn holds_nothing(&self) {
        *self.current.lock().unwrap() = "{}".to_owned();
    }

    async fn tokens(&self) -> AccessTokens {
        let connector = SharedHttpConnector::new(self.clone());
        let config = test_support::sdk_config("http://localhost")
            .into_builder()
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        AccessTokens::new(SecretCache::load(&config, "secret", DEFAULT_TTL).await.unwrap())
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl HttpConnector for SecretsManager {
    /// The previous version is the current one; nothing here depends on it.
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let body = SdkBody::from(self.current.lock().unwrap().clone());
        HttpConnectorFuture::ready(Ok(Response::new(StatusCode::try_from(200).unwrap(), body)))
    }
}
