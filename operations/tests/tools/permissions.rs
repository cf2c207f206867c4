use serde_json::Value;
use uuid::Uuid;

use super::{
    cloud::{of_no_concern, send, turn, variable},
    commands::{empty, tools},
};

/// A call of IAM as the account's owner.
async fn iam(action: &str, parameters: &[(&str, &str)]) -> String {
    let owner = "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none";
    let fixed = [("Action", action), ("Version", "2010-05-08")];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let form: Vec<(String, String)> = fixed.iter().chain(parameters).map(owned).collect();
    let address = variable("SHOP_CLOUD_URL");
    let call = move || {
        let mut answer = ureq::post(address).header("authorization", owner).send_form(form).unwrap();
        answer.body_mut().read_to_string().unwrap()
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once('<').unwrap().0
}

/// The policy of docs/RUNBOOK.md, for this environment, but for some statements.
fn policy(without: &[&str]) -> String {
    let runbook = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RUNBOOK.md");
    let runbook = std::fs::read_to_string(runbook).unwrap();
    let (_, policy) = runbook.split_once("```json\n").unwrap();
    let (policy, _) = policy.split_once("```").unwrap();
    let environment = variable("SHOP_ENVIRONMENT");
    let policy = policy.replace("shop-prod", &environment).replace("prod", &environment);
    let mut policy: Value = serde_json::from_str(&policy).unwrap();
    let statements = policy["Statement"].as_array_mut().unwrap();
    statements.retain(|statement| !without.contains(&statement["Sid"].as_str().unwrap()));
    policy.to_string()
}

/// Runs the tools as somebody who may do this and nothing else: whether they succeed, and what they say.
async fn run_as(key: (&str, &str), arguments: &[&str]) -> (bool, String) {
    let mut command = tools(arguments);
    command.env("AWS_ACCESS_KEY_ID", key.0).env("AWS_SECRET_ACCESS_KEY", key.1);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
#[ignore = "needs the local cloud: cargo xtask test"]
async fn the_policy_of_the_runbook_is_enough_and_without_change_nothing_can_be_changed() {
    let _turn = turn().await;
    let user = format!("operator-{}", Uuid::now_v7());
    iam("CreateUser", &[("UserName", &user)]).await;
    let created = iam("CreateAccessKey", &[("UserName", &user)]).await;
    let key = (element(&created, "AccessKeyId"), element(&created, "SecretAccessKey"));
    let put = |without: &'static [&'static str]| {
        let (user, policy) = (user.clone(), policy(without));
        async move {
            let parameters = [("UserName", &*user), ("PolicyName", "tools"), ("PolicyDocument", &*policy)];
            iam("PutUserPolicy", &parameters).await
        }
    };
    send("user-events-dlq", &of_no_concern(&user)).await;

    assert!(!run_as(key, &["dlq", "list"]).await.0, "the cloud enforces access");

    put(&["Change"]).await;
    let (_, said) = run_as(key, &["doctor"]).await;
    assert!(said.contains("dead letters") && !said.contains("can't be looked at"), "{said}");
    let (is_done, said) = run_as(key, &["dlq", "show", "user-events"]).await;
    assert!(is_done && said.contains("of_no_concern"), "{said}");
    let (is_done, said) = run_as(key, &["dlq", "redrive", "user-events", "--all", "--yes"]).await;
    assert!(!is_done && said.contains("0 of"), "{said}");

    put(&[]).await;
    let (is_done, said) = run_as(key, &["dlq", "redrive", "user-events", "--all", "--yes"]).await;
    assert!(is_done && said.contains("1 of"), "{said}");
    iam("DeleteUserPolicy", &[("UserName", &user), ("PolicyName", "tools")]).await;
    empty("user-events").await;
}
