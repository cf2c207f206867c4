//! The committed OpenAPI document is the one that the code generates.

use std::path::Path;

#[test]
fn the_committed_openapi_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let committed = std::fs::read_to_string(path).expect("docs/openapi.json");
    let generated = end_to_end::openapi_json().expect("a document");
    assert!(committed == generated, "docs/openapi.json is stale: run `cargo xtask openapi`");
}
