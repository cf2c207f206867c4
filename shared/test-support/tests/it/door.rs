use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer, HttpEvent};

fn built(event: &HttpEvent) -> Value {
    serde_json::from_str(&event.build()).unwrap()
}

#[test]
fn an_http_api_shows_the_query_raw_and_decoded() {
    let event = built(
        &door::http_v2("GET", "/api/products?limit=5&category=a%20b")
            .query("cursor", "x/y&z")
            .query("limit", "6")
            .header("If-None-Match", "\"1\"")
            .bearer("token"),
    );
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["rawPath"], "/api/products");
    assert_eq!(event["rawQueryString"], "limit=5&category=a%20b&cursor=x%2Fy%26z&limit=6");
    assert_eq!(event["queryStringParameters"], json!({"limit": "5,6", "category": "a b", "cursor": "x/y&z"}));
    assert_eq!(event["requestContext"]["http"]["method"], "GET");
    assert_eq!(event["headers"]["if-none-match"], "\"1\"");
    assert_eq!(event["headers"]["authorization"], "Bearer token");
    assert!(event.get("body").is_none());
    assert!(built(&door::http_v2("GET", "/")).get("queryStringParameters").is_none());
}

#[test]
fn bodies_are_carried_as_text_or_encoded() {
    let event = built(&door::http_v2("POST", "/").json(&json!({"a": 1})));
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(r#"{"a":1}"#), &json!(false)));
    assert_eq!(event["headers"]["content-type"], "application/json");
    let event = built(&door::http_v2("POST", "/").json("x").body("text/plain", "{"));
    assert_eq!((&event["body"], &event["headers"]["content-type"]), (&json!("{"), &json!("text/plain")));
    let event = built(&door::http_v2("POST", "/").bytes("image/png", &[0xff, 0]));
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
}

#[test]
fn the_other_front_doors_have_their_own_shapes() {
    let event = built(&door::http_v1("GET", "/api/products?a=1&a=x%20y"));
    assert_eq!(event["httpMethod"], "GET");
    assert_eq!(event["queryStringParameters"], json!({"a": "x y"}));
    assert_eq!(event["multiValueQueryStringParameters"], json!({"a": ["1", "x y"]}));
    assert_eq!(event["multiValueHeaders"]["host"], json!(["api.example.com"]));

    let event = built(&door::alb("GET", "/health/ready?a=1&a=x%20y"));
    assert!(event["requestContext"]["elb"]["targetGroupArn"].is_string());
    assert_eq!(event["multiValueQueryStringParameters"], json!({"a": ["1", "x%20y"]}));
    assert_eq!(event["multiValueHeaders"]["host"], json!(["api.example.com"]));
    assert!(event.get("headers").is_none());
}

#[test]
fn every_front_door_says_where_a_request_comes_from() {
    let sent =
        |request: HttpEvent| built(&request.header("x-forwarded-for", "198.51.100.9").sent_from("192.0.2.7"));
    let event = sent(door::http_v2("GET", "/"));
    assert_eq!(event["requestContext"]["http"]["sourceIp"], "192.0.2.7");
    assert_eq!(event["headers"]["x-forwarded-for"], "198.51.100.9, 192.0.2.7");
    let event = sent(door::http_v1("GET", "/"));
    assert_eq!(event["requestContext"]["identity"]["sourceIp"], "192.0.2.7");
    let event = sent(door::alb("GET", "/"));
    assert_eq!(event["multiValueHeaders"]["x-forwarded-for"], json!(["198.51.100.9, 192.0.2.7"]));
    assert_eq!(built(&door::http_v2("GET", "/"))["headers"]["x-forwarded-for"], "192.0.2.1");
}

#[test]
fn answers_are_read_whatever_their_shape() {
    let answer = HttpAnswer::parse(
        &json!({
            "statusCode": 401,
            "headers": {"Content-Type": "application/problem+json"},
            "multiValueHeaders": {"WWW-Authenticate": ["Bearer", "Other"]},
            "body": "eyJhIjoxfQ==",
            "isBase64Encoded": true,
        })
        .to_string(),
    );
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("content-TYPE"), Some("application/problem+json"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer, Other"));
    assert_eq!(answer.json(), json!({"a": 1}));
}

#[test]
fn a_batch_names_its_queue_and_its_failures_name_its_messages() {
    let batch: Value = serde_json::from_str(&door::sqs_redelivery("dev-user-events", ["a", "b"], 3)).unwrap();
    let second = &batch["Records"][1];
    assert_eq!(second["eventSource"], "aws:sqs");
    assert_eq!(second["eventSourceARN"], "arn:aws:sqs:us-east-1:123456789012:dev-user-events");
    assert_eq!((&second["body"], &second["messageId"]), (&json!("b"), &json!(door::message_id(1))));
    assert_eq!(second["attributes"]["ApproximateReceiveCount"], "3");

    let answer = r#"{"batchItemFailures":[{"itemIdentifier":"message-1"}]}"#;
    assert_eq!(door::failures(answer), [door::message_id(1)]);
    assert!(door::failures(r#"{"batchItemFailures":[]}"#).is_empty());
}

#[test]
#[should_panic = "not the answer to a batch"]
fn an_answer_of_another_kind_is_not_taken_for_success() {
    door::failures("null");
}
