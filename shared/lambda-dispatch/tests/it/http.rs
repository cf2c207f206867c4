use std::time::Duration;

use serde_json::{Value, json};
use test_support::door::{self, HttpAnswer, HttpEvent};

use crate::probe::Probe;

#[tokio::test]
async fn every_front_door_gets_the_same_answer() {
    let (_, door) = Probe::door();
    for request in [door::http_v2, door::http_v1, door::alb] {
        let answer = door.http(request("GET", "/api/probes")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "fine"));
        assert!(answer.header("x-request-id").is_some());
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

fn assert_problem(answer: &HttpAnswer, status: u16, name: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:problem-type:shop:{name}"));
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
}

#[tokio::test]
async fn an_unknown_route_is_a_problem() {
    let (_, door) = Probe::door();
    for path in ["/", "/api/probes/nothing/here", "/api/other", "/api/probes%00"] {
        assert_problem(&door.http(door::http_v2("GET", path)).await, 404, "not-found");
    }
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let (_, door) = Probe::door();
    let answer = door.http(door::http_v2("DELETE", "/api/probes")).await;
    assert_problem(&answer, 405, "method-not-allowed");
    let allow = answer.header("allow").unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn a_path_means_the_same_through_either_front_door() {
    let (_, door) = Probe::door();
    // An HTTP API has decoded the path, but for percent signs; a load balancer has not.
    for (decoded, encoded) in [
        ("/api/probes", "/api/pr%6Fbes"),
        ("/api/probes/a b", "/api/probes/a%20b"),
        ("/api/probes/%2541", "/api/probes/%2541"),
    ] {
        let gateway = door.http(door::http_v2("GET", decoded)).await;
        let balancer = door.http(door::alb("GET", encoded)).await;
        assert_eq!(balancer.status, gateway.status, "{encoded}");
        if gateway.status != 200 {
            assert_eq!(balancer.json()["instance"], gateway.json()["instance"], "{encoded}");
        }
    }
}

#[tokio::test]
async fn a_request_comes_from_where_the_front_door_saw_it_come_from() {
    let (_, door) = Probe::door();
    for front in [door::http_v2, door::http_v1, door::alb] {
        for address in ["192.0.2.7", "2001:db8::7"] {
            let request = front("GET", "/api/probes/address").sent_from(address);
            assert_eq!(door.http(request.clone()).await.body, address);
            // What a client says of itself is not asked.
            for header in ["x-forwarded-for", "forwarded", "x-real-ip"] {
                let answer = door.http(request.clone().header(header, "198.51.100.9")).await;
                assert_eq!(answer.body, address, "{header}");
            }
        }
        let answer = door.http(front("GET", "/api/probes/address").sent_from("unknown")).await;
        assert_eq!(answer.body, "nobody knows");
    }
}

#[tokio::test]
async fn an_event_that_does_not_say_where_it_comes_from_is_answered() {
    let (_, door) = Probe::door();
    let answered =
        async |event: Value| HttpAnswer::parse(&door.invoke(&event.to_string()).await.unwrap()).body;
    let event = |front: fn(&str, &str) -> HttpEvent| -> Value {
        serde_json::from_str(&front("GET", "/api/probes/address").build()).unwrap()
    };
    let mut v2 = event(door::http_v2);
    let mut v1 = event(door::http_v1);
    let mut balancer = event(door::alb);
    for none in [Value::Null, json!("")] {
        v2["requestContext"]["http"]["sourceIp"] = none.clone();
        v1["requestContext"]["identity"]["sourceIp"] = none;
        assert_eq!(answered(v2.clone()).await, "nobody knows");
        assert_eq!(answered(v1.clone()).await, "nobody knows");
    }
    balancer["multiValueHeaders"].as_object_mut().unwrap().remove("x-forwarded-for");
    assert_eq!(answered(balancer).await, "nobody knows");
}

#[tokio::test]
async fn a_panic_is_a_problem_that_shows_nothing() {
    let (_, door) = Probe::door();
    let answer = door.http(door::http_v2("GET", "/api/probes/panic")).await;
    assert_problem(&answer, 500, "internal-error");
    assert!(!answer.body.contains("secret"), "{}", answer.body);
    assert_eq!(
        door.http(door::http_v2("GET", "/api/probes")).await.status,
        200,
        "the next request is served"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_end_is_answered_in_time() {
    let (_, door) = Probe::door();
    let event = door::http_v2("GET", "/api/probes/forever").build();
    let answer = door.invoke_within(&event, Duration::from_secs(3)).await.unwrap();
    let answer = HttpAnswer::parse(&answer);
    assert_problem(&answer, 503, "temporarily-unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_unread() {
    let (_, door) = Probe::door();
    let post =
        |bytes: usize| door::http_v2("POST", "/api/probes").bytes("application/json", &vec![b' '; bytes]);
    let answer = door.http(post(lambda_dispatch::BODY_LIMIT)).await;
    assert_eq!((answer.status, answer.body), (201, lambda_dispatch::BODY_LIMIT.to_string()));
    assert_problem(&door.http(post(lambda_dispatch::BODY_LIMIT + 1)).await, 413, "body-too-large");
}

#[tokio::test]
async fn what_http_does_not_allow_is_the_clients_fault() {
    let (_, door) = Probe::door();
    let answer = door.http(door::http_v2("GET", "/api/probes").header("x-name", "line\nbreak")).await;
    assert_problem(&answer, 400, "malformed-request");
    let mut event: Value = serde_json::from_str(&door::http_v2("GET", "/api/probes").build()).unwrap();
    event["rawQueryString"] = json!("a=\u{0}\u{7f} <>");
    let answer = HttpAnswer::parse(&door.invoke(&event.to_string()).await.unwrap());
    assert_problem(&answer, 400, "malformed-request");
}

#[tokio::test]
async fn health_is_answered_under_both_paths() {
    let (probe, door) = Probe::door();
    for path in ["/health/live", "/health/ready", "/api/probes/health/live", "/api/probes/health/ready"] {
        let answer = door.http(door::alb("GET", path)).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("up")), "{path}");
    }
    probe.handled.lock().unwrap().push(("".to_owned(), "".to_owned()));
    assert_problem(&door.http(door::alb("GET", "/health/ready")).await, 503, "temporarily-unavailable");
    assert_eq!(door.http(door::alb("GET", "/health/live")).await.status, 200);
}

#[tokio::test]
async fn the_openapi_document_describes_every_route() {
    let (_, door) = Probe::door();
    let served = door.http(door::http_v2("GET", "/api/probes/openapi.json")).await;
    assert_eq!(served.header("content-type"), Some("application/json"));
    assert_eq!(served.body, <Probe as lambda_dispatch::Service>::OPENAPI);

    let document = serde_json::to_value(lambda_dispatch::openapi::<Probe>()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/api/probes"]["post"]["responses"]["default"].is_object());
    assert!(document["paths"]["/api/probes/health/ready"]["get"].is_object());
    assert!(document["components"]["schemas"]["Problem"].is_object());
}

#[tokio::test]
async fn an_unknown_event_fails_the_invocation_with_one_clear_error() {
    let (_, door) = Probe::door();
    for event in ["{}", r#"{"Records":[{"eventSource":"aws:kinesis"}]}"#, "[1,2]"] {
        let error = door.invoke(event).await.unwrap_err();
        assert!(error.to_string().starts_with("unknown event"), "{error}");
    }
}
