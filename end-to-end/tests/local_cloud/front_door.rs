//! The API as clients meet it through API Gateway.

use crate::client::Client;

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn every_service_is_ready_and_describes_itself() {
    let client = Client::default();
    for collection in ["users", "products", "orders"] {
        for probe in ["live", "ready"] {
            let health = client.get(&format!("/api/{collection}/health/{probe}")).expect(200);
            assert_eq!(health["status"], "up");
        }
        let document = client.get(&format!("/api/{collection}/openapi.json")).expect(200);
        assert!(document["paths"][format!("/api/{collection}")].is_object());
    }
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn errors_of_the_gateways_own_paths_are_problems_too() {
    let client = Client::default();
    for path in ["/", "/api", "/api/nothing", "/api/users/nothing/here", "/api/orders/x/y/z"] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (404, Some("application/problem+json")),
            "{path}"
        );
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
    }
    let answer = client.send("DELETE", "/api/products", &[], None);
    assert_eq!(answer.status, 405);
    assert!(answer.header("allow").unwrap().contains("GET"));
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_browser_of_the_allowed_origin_may_call_and_another_may_not() {
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin.to_owned()),
            ("access-control-request-method", "POST".to_owned()),
            ("access-control-request-headers", "content-type,authorization".to_owned()),
        ];
        Client::default().send("OPTIONS", "/api/orders", &headers, None)
    };
    let allowed = preflight("http://localhost:3000");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("http://localhost:3000"));
    // A browser takes the answer for a permission only if it is a success, too.
    assert_eq!((allowed.status, allowed.body.as_str()), (204, ""));
    assert_eq!(preflight("https://elsewhere.example").header("access-control-allow-origin"), None);
}

#[test]
#[ignore = "needs the local cloud: cargo xtask test"]
fn a_product_is_revalidated_by_its_tag() {
    let admin = Client::admin();
    let path = format!("/api/products/{}", admin.new_product(1));
    let tag = admin.get(&path).header("etag").unwrap().to_owned();
    let again = admin.send("GET", &path, &[("if-none-match", tag)], None);
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}
