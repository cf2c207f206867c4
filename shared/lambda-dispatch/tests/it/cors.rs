//! Pages of other origins.

use test_support::{
    cors,
    door::{self, HttpAnswer, HttpEvent},
};

use crate::{function::Function, probe::Probe};

const SHOP: &str = "https://shop.example";
const ELSEWHERE: &str = "https://elsewhere.example";

fn function() -> Function {
    Function::start(&[("CORS_ORIGINS", "http://localhost:3000,https://shop.example")])
}

fn preflight(front: fn(&str, &str) -> HttpEvent, origin: &str) -> HttpEvent {
    front("OPTIONS", "/api/probes").header("origin", origin).header("access-control-request-method", "POST")
}

/// The headers of CORS alone.
fn told(answer: &HttpAnswer) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    headers.filter(|(name, _)| name.starts_with("access-control-") || *name == "vary").collect()
}

/// One of the template's lists, or its `maxAge`, as it stands in a header.
fn of_the_template(name: &str) -> String {
    match &cors()[name] {
        serde_json::Value::Array(list) => {
            list.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(",")
        }
        number => number.to_string(),
    }
}

#[tokio::test]
async fn a_load_balancers_preflight_is_answered_as_the_template_has_it_for_the_api() {
    let answer = function().http(preflight(door::alb, SHOP)).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let expected = [
        ("access-control-allow-headers", &*of_the_template("allowHeaders")),
        ("access-control-allow-methods", &of_the_template("allowMethods")),
        ("access-control-allow-origin", SHOP),
        ("access-control-max-age", &of_the_template("maxAge")),
        ("vary", "origin"),
    ];
    assert_eq!(told(&answer), expected);
    assert!(answer.header("x-request-id").is_some());
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_read_the_answer_also_that_to_an_error() {
    let function = function();
    for (path, status) in [("/api/probes", 200), ("/api/nothing", 404), ("/api/probes/panic", 500)] {
        let answer = function.http(door::alb("GET", path).header("origin", SHOP)).await;
        assert_eq!(answer.status, status);
        let expected = [
            ("access-control-allow-origin", SHOP),
            ("access-control-expose-headers", &of_the_template("exposeHeaders")),
            ("vary", "origin"),
        ];
        assert_eq!(told(&answer), expected);
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_told_nothing() {
    let function = function();
    let answer = function.http(preflight(door::alb, ELSEWHERE)).await;
    assert_eq!((answer.status, told(&answer)), (204, vec![("vary", "origin")]));
    let get = door::alb("GET", "/api/probes");
    for request in [get.clone().header("origin", ELSEWHERE), get] {
        let answer = function.http(request).await;
        assert_eq!((answer.status, told(&answer)), (200, vec![("vary", "origin")]));
    }
}

#[tokio::test]
async fn a_preflight_is_answered_through_an_http_api_that_adds_the_headers_itself() {
    let function = function();
    let answer = function.http(preflight(door::http_v2, SHOP)).await;
    assert_eq!((answer.status, answer.body.as_str(), told(&answer)), (204, "", vec![]));
    let answer = function.http(door::http_v2("GET", "/api/probes").header("origin", SHOP)).await;
    assert_eq!((answer.status, told(&answer)), (200, vec![]));
}

#[tokio::test]
async fn without_origins_nothing_is_told_through_any_front_door() {
    let (_, door) = Probe::door();
    for front in [door::http_v2, door::http_v1, door::alb] {
        let answer = door.http(preflight(front, SHOP)).await;
        assert_eq!((answer.status, told(&answer)), (204, vec![]));
        let answer = door.http(front("GET", "/api/probes").header("origin", SHOP)).await;
        assert_eq!((answer.status, told(&answer)), (200, vec![]));
    }
}

#[tokio::test]
async fn what_is_no_preflight_is_a_wrong_method() {
    let function = function();
    let options = |front: fn(&str, &str) -> HttpEvent| front("OPTIONS", "/api/probes");
    for front in [door::http_v2, door::alb] {
        for request in [
            options(front),
            options(front).header("origin", SHOP),
            options(front).header("access-control-request-method", "POST"),
        ] {
            let answer = function.http(request).await;
            assert_eq!(answer.status, 405);
            assert!(answer.header("allow").is_some());
        }
    }
}
