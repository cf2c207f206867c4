//! What the template promises about permissions and queues, as far as it can be read off without deploying.

use std::path::Path;

use domain_events::Payload;
use yaml_serde::Value;

/// The part of a service that its resources' names begin with, and the tables of the others.
const SERVICES: [(&str, [&str; 2]); 3] = [
    ("User", ["ProductTable", "OrderTable"]),
    ("Product", ["UserTable", "OrderTable"]),
    ("Order", ["UserTable", "ProductTable"]),
];

fn template() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    yaml_serde::from_str(&std::fs::read_to_string(path).expect("template.yaml")).expect("YAML")
}

fn resources(template: &Value, kind: &str) -> Vec<(String, Value)> {
    let resources = template["Resources"].as_mapping().expect("resources");
    let found: Vec<_> = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| {
            (name.as_str().unwrap_or_default().to_owned(), resource["Properties"].clone())
        })
        .collect();
    assert!(!found.is_empty(), "no {kind} in the template");
    found
}

/// A text, or each text of a sequence.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Sequence(values) => values.iter().flat_map(texts).collect(),
        Value::Tagged(tagged) => texts(&tagged.value),
        Value::Mapping(_) => panic!("a function in its long form, which these checks do not read: {value:?}"),
        other => other.as_str().map(str::to_owned).into_iter().collect(),
    }
}

fn statements(role: &Value) -> Vec<Value> {
    let policies = role["Policies"].as_sequence().expect("policies");
    let statements = policies.iter().map(|policy| &policy["PolicyDocument"]["Statement"]);
    statements.flat_map(|statements| statements.as_sequence().expect("statements").clone()).collect()
}

#[test]
fn no_role_has_a_wildcard_or_may_scan() {
    let template = template();
    for (name, role) in resources(&template, "AWS::IAM::Role") {
        assert!(role["ManagedPolicyArns"].is_null(), "{name} has a managed policy");
        for statement in statements(&role) {
            let actions = texts(&statement["Action"]);
            assert!(actions.iter().all(|action| !action.contains('*')), "{name}: {actions:?}");
            assert!(!actions.iter().any(|action| action == "dynamodb:Scan"), "{name} may scan a table");
            // Only X-Ray knows no resources.
            let anything = texts(&statement["Resource"]).iter().any(|resource| resource.contains('*'));
            assert!(
                !anything || actions.iter().all(|action| action.starts_with("xray:")),
                "{name}: {actions:?}"
            );
        }
    }
}

#[test]
fn no_service_may_touch_the_table_of_another() {
    let template = template();
    let roles = resources(&template, "AWS::IAM::Role");
    for (service, others) in SERVICES {
        let role = roles.iter().find(|(name, _)| *name == format!("{service}ServiceLambdaRole"));
        let (_, role) = role.unwrap_or_else(|| panic!("{service} has no role"));
        let resources: Vec<String> =
            statements(role).iter().flat_map(|part| texts(&part["Resource"])).collect();
        assert!(
            resources.iter().any(|resource| resource.contains(&format!("{service}Table"))),
            "{resources:?}"
        );
        for other in others {
            assert!(
                !resources.iter().any(|resource| resource.contains(other)),
                "{service} may touch {other}"
            );
        }
    }
}

#[test]
fn every_queue_gives_three_tries_and_more_time_than_its_function_has() {
    let template = template();
    let timeout = resources(&template, "AWS::Serverless::Function")
        .iter()
        .map(|(_, function)| function["Timeout"].as_u64())
        .chain([template["Globals"]["Function"]["Timeout"].as_u64()])
        .flatten()
        .max()
        .expect("a timeout");
    let mut consumed = 0;
    for (name, queue) in resources(&template, "AWS::SQS::Queue") {
        assert_eq!(queue["MessageRetentionPeriod"], 1_209_600, "{name} keeps its messages for 14 days");
        if name.ends_with("DLQ") {
            continue;
        }
        consumed += 1;
        assert!(queue["VisibilityTimeout"].as_u64() >= Some(6 * timeout), "{name}");
        assert_eq!(queue["ReceiveMessageWaitTimeSeconds"], 20, "{name}");
        assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], 3, "{name}");
        let dead_letters = texts(&queue["RedrivePolicy"]["deadLetterTargetArn"]);
        assert_eq!(dead_letters, [format!("{}.Arn", name.replace("Queue", "DLQ"))], "{name}");
    }
    assert_eq!(consumed, 4);
}

#[test]
fn every_batch_can_fail_in_part() {
    let template = template();
    let mut batches = 0;
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        for (event, source) in function["Events"].as_mapping().expect("events") {
            if source["Type"] == "SQS" || source["Type"] == "DynamoDB" {
                batches += 1;
                let types = texts(&source["Properties"]["FunctionResponseTypes"]);
                assert_eq!(types, ["ReportBatchItemFailures"], "{name} {event:?}");
            }
        }
    }
    assert_eq!(batches, 7);
}

#[test]
fn every_filter_lets_events_through_that_exist() {
    for subscription in test_support::subscriptions() {
        for event_type in &subscription.event_types {
            let known = Payload::TYPES.contains(&event_type.as_str());
            assert!(known, "{} waits for {event_type}", subscription.queue);
        }
    }
}

#[test]
fn every_table_is_encrypted_and_can_be_restored() {
    for (name, table) in resources(&template(), "AWS::DynamoDB::Table") {
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true, "{name}");
        assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true, "{name}");
        assert_eq!(table["StreamSpecification"]["StreamViewType"], "NEW_AND_OLD_IMAGES", "{name}");
    }
}
