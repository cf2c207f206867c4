use std::path::Path;

use serde_json::{Value, json};
use yaml_serde::Value as Yaml;

/// The `CreateTable` request, but for the name, of a table in the repository's template: tests meet the very
/// keys and indexes that are deployed.
pub(crate) fn table_definition(resource: &str) -> Value {
    table_definition_in(&template(), resource)
}

/// Which queue gets which events, as the template has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic's resource, as in `OrderEventsTopic`.
    pub topic: String,
    /// The queue's resource, as in `StockRequestsQueue`.
    pub queue: String,
    /// The event types that its filter lets pass.
    pub event_types: Vec<String>,
    /// The condition under which there is a queue, as in `HasReporting`; none if it is always there.
    pub condition: Option<String>,
}

/// The subscriptions of the repository's template: tests route events as the deployed stack does.
pub fn subscriptions() -> Vec<Subscription> {
    let template: Yaml = yaml_serde::from_str(&template()).expect("the template is YAML");
    let resources = template["Resources"].as_mapping().expect("resources").values();
    let text = |value: &Yaml| match value {
        Yaml::Tagged(tagged) => tagged.value.as_str().unwrap_or_default().to_owned(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    resources
        .filter(|resource| resource["Type"] == "AWS::SNS::Subscription")
        .map(|resource| (&resource["Properties"], resource["Condition"].as_str()))
        .filter(|(properties, _)| properties["Protocol"] == "sqs")
        .map(|(properties, condition)| {
            let event_types = properties["FilterPolicy"]["event_type"].as_sequence().expect("a filter");
            Subscription {
                topic: text(&properties["TopicArn"]),
                queue: text(&properties["Endpoint"]).trim_end_matches(".Arn").to_owned(),
                event_types: event_types.iter().map(text).collect(),
                condition: condition.map(str::to_owned),
            }
        })
        .collect()
}

/// What the HTTP API of the repository's template tells browsers (CORS), but for the origins, which are a parameter.
pub fn cors() -> Value {
    let template: Yaml = yaml_serde::from_str(&template()).expect("the template is YAML");
    let document = &template["Resources"]["HttpApi"]["Properties"]["DefinitionBody"];
    let mut cors = document["x-amazon-apigateway-cors"].as_mapping().expect("CORS in the definition").clone();
    cors.remove("allowOrigins");
    serde_json::to_value(cors).unwrap_or_else(|error| panic!("x-amazon-apigateway-cors: {error}"))
}

fn template() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// CloudFormation names the parts of a table as DynamoDB does; a stream alone is switched on by being
/// described.
fn table_definition_in(template: &str, resource: &str) -> Value {
    let template: Yaml = yaml_serde::from_str(template).expect("the template is YAML");
    let table = &template["Resources"][resource];
    assert_eq!(table["Type"], "AWS::DynamoDB::Table", "{resource} in the template");
    let properties = &table["Properties"];
    let part = |name: &str| -> Value {
        serde_json::to_value(&properties[name]).unwrap_or_else(|error| panic!("{resource}.{name}: {error}"))
    };
    json!({
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": part("AttributeDefinitions"),
        "KeySchema": part("KeySchema"),
        "GlobalSecondaryIndexes": part("GlobalSecondaryIndexes"),
        "StreamSpecification": {
            "StreamEnabled": true,
            "StreamViewType": part("StreamSpecification")["StreamViewType"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_names_topic_queue_and_event_types() {
        let found = subscriptions();
        let requests = found.iter().find(|subscription| subscription.queue == "StockRequestsQueue");
        let requests = requests.expect("a subscription");
        assert_eq!((requests.topic.as_str(), &requests.condition), ("OrderEventsTopic", &None));
        let reports = found.iter().filter(|subscription| subscription.queue == "ReportEventsQueue");
        let conditions: Vec<_> = reports.filter_map(|report| report.condition.as_deref()).collect();
        assert_eq!(conditions, ["HasReporting"; 3]);
        assert!(found.iter().all(|subscription| !subscription.event_types.is_empty()), "{found:?}");
    }

    #[test]
    fn takes_keys_indexes_and_stream_and_steps_over_intrinsic_functions() {
        let template = "
Resources:
  OrderTable:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: !If [IsProd, Retain, Delete]
    Properties:
      TableName: !Sub ${Environment}-orders
      AttributeDefinitions: [{AttributeName: order_id, AttributeType: S}]
      KeySchema: [{AttributeName: order_id, KeyType: HASH}]
      GlobalSecondaryIndexes: []
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
      DeletionProtectionEnabled: !If [IsProd, true, false]
";
        assert_eq!(
            table_definition_in(template, "OrderTable"),
            json!({
                "BillingMode": "PAY_PER_REQUEST",
                "AttributeDefinitions": [{"AttributeName": "order_id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "order_id", "KeyType": "HASH"}],
                "GlobalSecondaryIndexes": [],
                "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            })
        );
    }
}
