//! The committed bill is the one that follows from the calls and the prices, and so are its copies.

use std::fs;

use end_to_end::bill;

#[test]
fn the_committed_bill_is_up_to_date() {
    let committed = document("performance/costs.md");
    let generated = bill::refreshed(&committed).expect("a document with all parts");
    assert!(
        committed == generated,
        "docs/performance/costs.md is stale: run `cargo run --package end-to-end --bin costs`"
    );
}

#[test]
fn what_other_documents_copy_of_the_bill_is_up_to_date() {
    let bill = document("performance/costs.md");

    let pieces = table(&bill, "a million times");
    assert!(document("PERFORMANCE.md").contains(&pieces), "docs/PERFORMANCE.md should have:\n{pieces}");

    let example = table(&bill, "for a million orders");
    let rows: Vec<Vec<&str>> = example.lines().map(|row| row.split('|').map(str::trim).collect()).collect();
    let sum = |column: &str| -> f64 {
        let column = rows[0].iter().position(|heading| *heading == column).expect(column);
        rows.last().expect("a row of sums")[column].trim_matches('*').parse().expect("dollars")
    };
    let (together, traces) = (sum("**all**"), sum("X-Ray"));
    let untraced = together - traces;
    let operations = document("OPERATIONS.md");
    for row in [
        format!("| API, functions, tables, events, logs, transfer | {untraced:.1} | {untraced:.1} |\n"),
        format!("| X-Ray | | {traces:.1} |\n"),
        format!("| **together** | **{untraced:.1}** | **{together:.1}** |\n"),
    ] {
        assert!(operations.contains(&row), "docs/OPERATIONS.md should have: {row}");
    }
}

/// The table whose first heading is this.
fn table(document: &str, heading: &str) -> String {
    let lines = document.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    let table: String =
        lines.take_while(|line| line.starts_with('|')).map(|line| format!("{line}\n")).collect();
    assert!(!table.is_empty(), "no table begins with {heading}");
    table
}

fn document(name: &str) -> String {
    let folder = bill::document_path().ancestors().nth(2).expect("docs").to_owned();
    fs::read_to_string(folder.join(name)).expect(name)
}
