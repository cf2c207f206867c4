//! The committed OpenAPI documents are those that the code generates, and say one thing under each name.

use std::collections::HashSet;

use order_service::OrderService;
use product_service::ProductService;
use report_service::ReportService;
use serde_json::Value;
use user_service::UserService;

#[test]
fn the_committed_openapi_documents_are_up_to_date() {
    for (path, generated) in end_to_end::openapi_documents().expect("documents") {
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == generated, "{} is stale: run `cargo xtask openapi`", path.display());
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let document = serde_json::to_value(end_to_end::openapi()).expect("a document");
    let mut names = HashSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let name =
                operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no name"));
            assert!(names.insert(name.to_owned()), "{name} is not unique");
        }
    }
}

#[test]
fn services_mean_the_same_by_the_same_schema() {
    let documents = [
        lambda_dispatch::openapi::<UserService>(),
        lambda_dispatch::openapi::<ProductService>(),
        lambda_dispatch::openapi::<OrderService>(),
        lambda_dispatch::openapi::<ReportService>(),
    ];
    let merged = serde_json::to_value(end_to_end::openapi()).expect("a document");
    for document in documents {
        let document: Value = serde_json::to_value(document).expect("a document");
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            assert_eq!(&merged["components"]["schemas"][name], schema, "{name} has two meanings");
        }
    }
}
