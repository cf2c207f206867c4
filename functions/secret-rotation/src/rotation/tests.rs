//! The steps as Secrets Manager asks for them, with a stand-in for it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::HttpRequest,
    },
    http::{Response, StatusCode},
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:dev/api-a1b2c3";
const OTHER: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:other-a1b2c3";
const STEPS: [Step; 4] = [Step::Create, Step::Set, Step::Test, Step::Finish];
/// All calls of a rotation in which nothing fails.
const CALLS: usize = 4 + 1 + 3 + 5;

#[tokio::test]
async fn the_steps_replace_the_key_and_nothing_else() {
    let manager = SecretsManager::before_a_rotation();
    manager.take_all("v2").await.unwrap();
    manager.has_rotated();
    assert_eq!(manager.calls(), CALLS);
}

#[tokio::test]
async fn a_rotation_that_breaks_off_anywhere_is_completed_by_a_repetition() {
    for broken_call in 1..=CALLS {
        for lost in [Lost::Request, Lost::Answer] {
            let manager = SecretsManager::before_a_rotation();
            manager.0.lock().unwrap().breaks = Some((broken_call, lost));
            assert!(manager.take_all("v2").await.is_err(), "call {broken_call} fails");
            manager.take_all("v2").await.unwrap();
            manager.has_rotated();
        }
    }
}

#[tokio::test]
async fn every_step_may_be_repeated_at_any_time() {
    let manager = SecretsManager::before_a_rotation();
    for last in 1..=STEPS.len() {
        for step in STEPS.into_iter().take(last).chain([STEPS[last - 1]]) {
            manager.take(step, SECRET, "v2").await.unwrap();
        }
    }
    let made = manager.value("v2");
    manager.take_all("v2").await.unwrap();
    assert_eq!(manager.value("v2"), made);
    manager.has_rotated();
}

#[tokio::test]
async fn two_calls_of_a_step_at_once_make_one_version() {
    let manager = SecretsManager::before_a_rotation();
    let create = || manager.take(Step::Create, SECRET, "v2");
    let (one, other) = tokio::join!(create(), create());
    assert!(one.is_ok() && other.is_ok());
    manager.take_all("v2").await.unwrap();
    manager.has_rotated();
}

#[tokio::test]
async fn a_version_without_a_value_never_becomes_the_current_one() {
    let manager = SecretsManager::before_a_rotation();
    manager.take(Step::Test, SECRET, "v2").await.unwrap();
    let refusal = manager.take(Step::Finish, SECRET, "v2").await.unwrap_err();
    assert_eq!(refusal, "version v2 has no value yet");
    manager.has_not_rotated();
}

#[tokio::test]
async fn only_the_announced_version_of_the_own_secret_is_touched() {
    let manager = SecretsManager::before_a_rotation();
    for step in STEPS {
        let refusal = manager.take(step, SECRET, "v3").await.unwrap_err();
        assert_eq!(refusal, "version v3 is not pending");
        let refusal = manager.take(step, OTHER, "v2").await.unwrap_err();
        assert_eq!(refusal, format!("this function does not rotate {OTHER}"));
    }
    manager.has_not_rotated();
}

#[tokio::test]
async fn what_somebody_writes_meanwhile_is_not_taken_back() {
    let manager = SecretsManager::before_a_rotation();
    manager.take(Step::Create, SECRET, "v2").await.unwrap();
    manager.put("by-hand", &json!({ "api_key": "another", "jwt_secret": "x".repeat(64) }), CURRENT);
    for step in [Step::Test, Step::Finish] {
        let refusal = manager.take(step, SECRET, "v2").await.unwrap_err();
        assert_eq!(refusal, "the current version was changed after the pending one was made of it");
    }
    assert_eq!(manager.at(CURRENT), "by-hand");
}

/// Members that people replace: with a new one, or because the old one leaked.
const MEMBERS: [&str; 2] = ["api_key", "jwt_secret"];

#[tokio::test]
async fn what_somebody_writes_between_two_rotations_goes_into_the_next_one() {
    for member in MEMBERS {
        let manager = SecretsManager::before_a_rotation();
        manager.take_all("v2").await.unwrap();
        let by_hand = manager.write_by_hand(member);
        assert_eq!(manager.rotate("v3").await, Ok("v3".to_owned()), "{member}");
        assert_eq!((manager.at(CURRENT), manager.at(PREVIOUS)), ("v3".to_owned(), "by-hand".to_owned()));
        let new = manager.value("v3");
        assert_eq!((&new["api_key"], &new["more"]), (&by_hand["api_key"], &by_hand["more"]));
        assert_ne!(new["jwt_secret"], by_hand["jwt_secret"]);
    }
}

#[tokio::test]
async fn a_rotation_that_was_almost_finished_does_not_take_back_what_somebody_writes() {
    for member in MEMBERS {
        let manager = SecretsManager::before_a_rotation();
        manager.0.lock().unwrap().breaks = Some((CALLS, Lost::Request));
        assert!(manager.take_all("v2").await.is_err());
        manager.write_by_hand(member);
        let refusal = manager.rotate("v3").await.unwrap_err();
        assert_eq!(refusal, "version v2 was replaced by another", "{member}");
        assert_eq!(manager.at(CURRENT), "by-hand");
    }
}

fn decided(version: &str, stages: &[(&str, &[&str])]) -> Result<Option<String>, String> {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let stages = stages.iter().map(|(version, stages)| ((*version).to_owned(), names(stages)));
    replaced_by(version, &stages.collect()).map_err(|error| error.to_string())
}

#[test]
fn only_the_pending_version_replaces_the_current_one() {
    let pending: [(&str, &[&str]); 3] = [("v1", &[PREVIOUS]), ("v2", &[CURRENT]), ("v3", &[PENDING])];
    assert_eq!(decided("v3", &pending), Ok(Some("v2".to_owned())));
    assert_eq!(decided("v2", &pending), Ok(None));
    for other in ["v4", ""] {
        assert_eq!(decided(other, &pending), Err(format!("version {other} is not pending")));
    }
    let replaced = Err("version v1 was replaced by another".to_owned());
    assert_eq!(decided("v1", &pending), replaced);
    assert_eq!(decided("v1", &[("v1", &[PREVIOUS, PENDING]), ("v2", &[CURRENT])]), replaced);
    for finished in [[CURRENT, PENDING].as_slice(), &[CURRENT]] {
        assert_eq!(decided("v2", &[("v1", &[PREVIOUS]), ("v2", finished)]), Ok(None));
    }
    assert_eq!(decided("v3", &[("v3", &[PENDING])]), Err("the secret has no current version".to_owned()));
}

#[test]
fn an_event_of_secrets_manager_is_understood() {
    let event = include_str!("../../../../events/secret-rotation/create-secret.json");
    for (name, step) in [
        ("createSecret", Step::Create),
        ("setSecret", Step::Set),
        ("testSecret", Step::Test),
        ("finishSecret", Step::Finish),
    ] {
        let request: Request = serde_json::from_str(&event.replace("createSecret", name)).unwrap();
        assert_eq!(request.step, step);
        assert!(request.secret_id.starts_with("arn:aws:secretsmanager:"));
        assert_eq!(request.client_request_token.len(), 36);
    }
    assert!(serde_json::from_str::<Request>(&event.replace("createSecret", "dropSecret")).is_err());
}

/// What does not arrive when a call breaks.
#[derive(Clone, Copy, Debug)]
enum Lost {
    Request,
    Answer,
}

#[derive(Debug, Default)]
struct Kept {
    values: BTreeMap<String, String>,
    stages: BTreeMap<String, String>,
    calls: usize,
    breaks: Option<(usize, Lost)>,
}

#[derive(Clone, Debug, Default)]
struct SecretsManager(Arc<Mutex<Kept>>);

impl SecretsManager {
    /// The first version is the current one, the second is announced.
    fn before_a_rotation() -> Self {
        let manager = Self::default();
        manager.put("v1", &json!({ "api_key": "k", "jwt_secret": "o".repeat(64), "more": "m" }), CURRENT);
        manager.0.lock().unwrap().stages.insert(PENDING.to_owned(), "v2".to_owned());
        manager
    }

    /// A version with this stage; what was the current one before it is the previous one then.
    fn put(&self, version: &str, value: &Value, stage: &str) {
        let mut kept = self.0.lock().unwrap();
        kept.values.insert(version.to_owned(), value.to_string());
        let before = kept.stages.insert(stage.to_owned(), version.to_owned());
        if let Some(before) = before.filter(|_| stage == CURRENT) {
            kept.stages.insert(PREVIOUS.to_owned(), before);
        }
    }

    /// Somebody writes the current version anew with another value of this member; answers what is there then.
    fn write_by_hand(&self, member: &str) -> Value {
        let mut value = self.value(&self.at(CURRENT));
        value[member] = "x".repeat(64).into();
        self.put("by-hand", &value, CURRENT);
        value
    }

    /// What Secrets Manager does when it is time to: it announces a version, unless one is pending that is not the
    /// current one, which is a rotation to be completed. Answers the version whose steps were taken.
    async fn rotate(&self, next: &str) -> Result<String, String> {
        let version = {
            let stages = &mut self.0.lock().unwrap().stages;
            let pending = stages.get(PENDING).filter(|pending| **pending != stages[CURRENT]).cloned();
            let version = pending.unwrap_or_else(|| next.to_owned());
            stages.insert(PENDING.to_owned(), version.clone());
            version
        };
        self.take_all(&version).await.map(|()| version)
    }

    /// Begins with the first step, as Secrets Manager does each time, and ends with the first that fails.
    async fn take_all(&self, version: &str) -> Result<(), String> {
        for step in STEPS {
            self.take(step, SECRET, version).await?;
        }
        Ok(())
    }

    async fn take(&self, step: Step, secret: &str, version: &str) -> Result<(), String> {
        let connector = SharedHttpConnector::new(self.clone());
        let config = test_support::sdk_config("http://localhost")
            .into_builder()
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let request =
            Request { step, secret_id: secret.to_owned(), client_request_token: version.to_owned() };
        let rotation = Rotation::new(&config, SECRET.to_owned());
        rotation.handle(&request).await.map_err(|diagnostic| diagnostic.error_message)
    }

    fn has_rotated(&self) {
        assert_eq!((self.at(CURRENT), self.at(PREVIOUS)), ("v2".to_owned(), "v1".to_owned()));
        assert!(!self.0.lock().unwrap().stages.contains_key(PENDING), "there is something left to do");
        let [mut old, mut new] = ["v1", "v2"].map(|version| self.value(version));
        assert_ne!(old["jwt_secret"], new["jwt_secret"]);
        assert_eq!(old["jwt_secret"].take().as_str().map(str::len), Some(64));
        assert_eq!(new["jwt_secret"].take().as_str().map(str::len), Some(64));
        assert_eq!(old, new);
    }

    fn has_not_rotated(&self) {
        assert_eq!(self.at(CURRENT), "v1");
        assert_eq!(self.0.lock().unwrap().values.len(), 1, "a version was made");
    }

    fn at(&self, stage: &str) -> String {
        self.0.lock().unwrap().stages[stage].clone()
    }

    fn value(&self, version: &str) -> Value {
        serde_json::from_str(&self.0.lock().unwrap().values[version]).unwrap()
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }
}

impl HttpConnector for SecretsManager {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let kept = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            // Others have their turn between any two calls.
            tokio::task::yield_now().await;
            let operation =
                request.headers().get("x-amz-target").unwrap().rsplit('.').next().unwrap().to_owned();
            let input: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let answer = kept.lock().unwrap().answer(&operation, &input);
            let (status, body) = match answer {
                Ok(body) => (200, body),
                Err(kind) => (400, json!({ "__type": kind })),
            };
            Ok(Response::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body.to_string())))
        })
    }
}

impl Kept {
    fn answer(&mut self, operation: &str, input: &Value) -> Result<Value, &'static str> {
        assert_eq!(input["SecretId"], SECRET);
        self.calls += 1;
        let lost = self.breaks.filter(|(call, _)| *call == self.calls).map(|(_, lost)| lost);
        if let Some(Lost::Request) = lost {
            return Err("AccessDeniedException");
        }
        let answer = self.done(operation, input);
        if let Some(Lost::Answer) = lost { Err("AccessDeniedException") } else { answer }
    }

    fn done(&mut self, operation: &str, input: &Value) -> Result<Value, &'static str> {
        let text =
            |name: &str| input[name].as_str().unwrap_or_else(|| panic!("{operation}: {name}")).to_owned();
        match operation {
            "DescribeSecret" => {
                let mut versions: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
                for (stage, version) in &self.stages {
                    versions.entry(version).or_default().push(stage);
                }
                Ok(json!({ "VersionIdsToStages": versions }))
            }
            "GetSecretValue" => match self.values.get(&text("VersionId")) {
                Some(value) => Ok(json!({ "VersionId": input["VersionId"], "SecretString": value })),
                None => Err("ResourceNotFoundException"),
            },
            "PutSecretValue" => {
                assert_eq!(input["VersionStages"], json!([PENDING]));
                let (version, value) = (text("ClientRequestToken"), text("SecretString"));
                if self.values.get(&version).is_some_and(|kept| *kept != value) {
                    return Err("ResourceExistsException");
                }
                self.values.insert(version.clone(), value);
                self.stages.insert(PENDING.to_owned(), version);
                Ok(json!({}))
            }
            "UpdateSecretVersionStage" => {
                let (stage, left) = (text("VersionStage"), text("RemoveFromVersionId"));
                if self.stages.get(&stage) != Some(&left) {
                    return Err("InvalidParameterException");
                }
                if stage == CURRENT {
                    self.stages.insert(PREVIOUS.to_owned(), left);
                    self.stages.insert(stage, text("MoveToVersionId"));
                } else {
                    assert_eq!((&*stage, &input["MoveToVersionId"]), (PENDING, &Value::Null));
                    self.stages.remove(&stage);
                }
                Ok(json!({}))
            }
            other => panic!("a rotation does not call {other}"),
        }
    }
}
