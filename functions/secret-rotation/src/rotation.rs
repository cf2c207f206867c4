use std::collections::HashMap;

use aws_sdk_secretsmanager::{Client, error::SdkError};
use aws_types::SdkConfig;
use lambda_runtime::Diagnostic;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::content::{self, Unusable};

const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
const PREVIOUS: &str = "AWSPREVIOUS";

/// What Secrets Manager sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    step: Step,
    secret_id: String,
    /// The id of the version that is to become the current one.
    client_request_token: String,
}

/// Secrets Manager asks for them in this order, and for any of them again if one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Step {
    #[serde(rename = "createSecret")]
    Create,
    #[serde(rename = "setSecret")]
    Set,
    #[serde(rename = "testSecret")]
    Test,
    #[serde(rename = "finishSecret")]
    Finish,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    AlreadyFinished,
    Created,
    AlreadyCreated,
    /// Nobody but the services has the key, and they read it from the secret.
    NobodyToTell,
    Tested,
    /// The test of a rotation that only begins later is a version without a value.
    NothingToTest,
    Finished,
}

#[derive(Debug, thiserror::Error)]
enum RotationError {
    #[error("this function does not rotate {0}")]
    AnotherSecret(String),
    #[error("the secret has no current version")]
    NoCurrentVersion,
    #[error("version {0} is not pending")]
    NotPending(String),
    /// Its rotation got stuck at the very end, and somebody has written the secret since.
    #[error("version {0} was replaced by another")]
    Replaced(String),
    #[error("version {0} has no value yet")]
    NoValue(String),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("can't {0} the secret")]
    Call(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Rotates one secret. Each step may be repeated, and does nothing once the rotation is finished.
pub(crate) struct Rotation {
    client: Client,
    secret_id: String,
}

impl Rotation {
    pub(crate) fn new(config: &SdkConfig, secret_id: String) -> Self {
        Self { client: Client::new(config), secret_id }
    }

    /// Does what is asked, and says so in one line.
    pub(crate) async fn handle(&self, request: &Request) -> Result<(), Diagnostic> {
        let Request { step, client_request_token: version_id, .. } = request;
        match self.take(request).await {
            Ok(outcome) => {
                tracing::info!(?step, version_id, ?outcome, "rotation step");
                Ok(())
            }
            Err(error) => {
                // As text: in all its details an error of the SDK has the answer that it did not understand.
                let error_message = telemetry::chain(&error).to_string();
                tracing::error!(?step, version_id, error = error_message, "rotation step failed");
                Err(Diagnostic { error_type: "RotationError".to_owned(), error_message })
            }
        }
    }

    async fn take(&self, request: &Request) -> Result<Outcome, RotationError> {
        let Request { step, secret_id, client_request_token: version } = request;
        if *secret_id != self.secret_id {
            return Err(RotationError::AnotherSecret(secret_id.clone()));
        }
        let stages = self.stages().await?;
        let Some(current) = replaced_by(version, &stages)? else {
            if *step == Step::Finish && has(&stages[version], PENDING) {
                self.end_pending(version).await?;
            }
            return Ok(Outcome::AlreadyFinished);
        };
        match step {
            Step::Create => self.create(version, &current).await,
            Step::Set => Ok(Outcome::NobodyToTell),
            Step::Test => match self.value(version).await? {
                Some(pending) => self.test(version, &pending, &current).await.map(|()| Outcome::Tested),
                None => Ok(Outcome::NothingToTest),
            },
            Step::Finish => {
                let pending = self.value(version).await?;
                let pending = pending.ok_or_else(|| RotationError::NoValue(version.clone()))?;
                // Once more, because what services can't use ends the shop.
                self.test(version, &pending, &current).await?;
                self.finish(version, &current).await
            }
        }
    }

    async fn create(&self, version: &str, current: &str) -> Result<Outcome, RotationError> {
        if self.value(version).await?.is_some() {
            return Ok(Outcome::AlreadyCreated);
        }
        let next = content::successor_of(&self.current_value(current).await?)?;
        let request = self.client.put_secret_value().secret_id(&self.secret_id).client_request_token(version);
        match request.secret_string(next.expose_secret()).version_stages(PENDING).send().await {
            Ok(_) => Ok(Outcome::Created),
            // Another call of this step was faster. A version never changes its value.
            Err(error) if is(&error, |error| error.is_resource_exists_exception()) => {
                Ok(Outcome::AlreadyCreated)
            }
            Err(error) => Err(RotationError::Call("write", error.into())),
        }
    }

    async fn test(&self, version: &str, pending: &SecretString, current: &str) -> Result<(), RotationError> {
        Ok(content::test(version, pending, &self.current_value(current).await?).await?)
    }

    /// Secrets Manager makes the replaced version the previous one, and refuses if another is the current one by now.
    async fn finish(&self, version: &str, current: &str) -> Result<Outcome, RotationError> {
        let request = self.client.update_secret_version_stage().secret_id(&self.secret_id);
        let request =
            request.version_stage(CURRENT).move_to_version_id(version).remove_from_version_id(current);
        request.send().await.map_err(|error| RotationError::Call("move the stage of", error.into()))?;
        self.end_pending(version).await?;
        Ok(Outcome::Finished)
    }

    /// What is pending elsewhere than at the current version is a rotation under way, for Secrets Manager, which it
    /// begins again. That is what the stage would become as soon as somebody writes the secret by hand.
    async fn end_pending(&self, version: &str) -> Result<(), RotationError> {
        let request = self.client.update_secret_version_stage().secret_id(&self.secret_id);
        let removed = request.version_stage(PENDING).remove_from_version_id(version).send().await;
        removed.map(drop).map_err(|error| RotationError::Call("remove a stage of", error.into()))
    }

    /// The stages of each version.
    async fn stages(&self) -> Result<HashMap<String, Vec<String>>, RotationError> {
        let described = self.client.describe_secret().secret_id(&self.secret_id).send().await;
        let described = described.map_err(|error| RotationError::Call("describe", error.into()))?;
        Ok(described.version_ids_to_stages.unwrap_or_default())
    }

    async fn current_value(&self, current: &str) -> Result<SecretString, RotationError> {
        self.value(current).await?.ok_or(RotationError::NoCurrentVersion)
    }

    /// The value of a version. A version that was only announced has none.
    async fn value(&self, version: &str) -> Result<Option<SecretString>, RotationError> {
        let request = self.client.get_secret_value().secret_id(&self.secret_id).version_id(version);
        match request.send().await {
            Ok(answer) => Ok(answer.secret_string.map(SecretString::from)),
            Err(error) if is(&error, |error| error.is_resource_not_found_exception()) => Ok(None),
            Err(error) => Err(RotationError::Call("read", error.into())),
        }
    }
}

fn is<E, R>(error: &SdkError<E, R>, kind: impl Fn(&E) -> bool) -> bool {
    error.as_service_error().is_some_and(kind)
}

/// Which version the given one is about to replace; none if it has done so. Only what Secrets Manager has announced
/// may replace anything, and what was replaced does not come back.
fn replaced_by(
    version: &str,
    stages: &HashMap<String, Vec<String>>,
) -> Result<Option<String>, RotationError> {
    let at = |stage| stages.iter().find(|(_, stages)| has(stages, stage)).map(|(version, _)| version);
    let current = at(CURRENT).ok_or(RotationError::NoCurrentVersion)?;
    if current == version {
        return Ok(None);
    }
    if at(PREVIOUS).is_some_and(|previous| previous == version) {
        return Err(RotationError::Replaced(version.to_owned()));
    }
    match at(PENDING) {
        Some(pending) if pending == version => Ok(Some(current.clone())),
        _ => Err(RotationError::NotPending(version.to_owned())),
    }
}

fn has(stages: &[String], stage: &str) -> bool {
    stages.iter().any(|name| name == stage)
}

#[cfg(test)]
mod tests;
