//! The committed bill is the one that follows from the calls and the prices.

use end_to_end::bill;

#[test]
fn the_committed_bill_is_up_to_date() {
    let committed = std::fs::read_to_string(bill::document_path()).expect("docs/performance/costs.md");
    let generated = bill::refreshed(&committed).expect("a document with all parts");
    assert!(
        committed == generated,
        "docs/performance/costs.md is stale: run `cargo run --package end-to-end --bin costs`"
    );
}
