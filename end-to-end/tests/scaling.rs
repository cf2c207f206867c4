//! The committed figures on scaling are those that follow from the calls, the limits and the template.

use std::fs;

use end_to_end::scaling;

#[test]
fn the_committed_figures_on_scaling_are_up_to_date() {
    let committed = fs::read_to_string(scaling::document_path()).expect("docs/SCALING.md");
    let generated = scaling::refreshed(&committed).expect("a document with all parts");
    assert!(
        committed == generated,
        "docs/SCALING.md is stale: run `cargo run --package end-to-end --bin scaling`"
    );
}

#[test]
fn the_templates_own_limits_are_those_of_the_figures() {
    let template = scaling::document_path().with_file_name("../template.yaml");
    let template = fs::read_to_string(template).expect("template.yaml");
    let parameter = template.split("\n  ThrottlingRateLimit:\n").nth(1).expect("a limit of each route");
    let default = parameter.lines().find_map(|line| line.trim().strip_prefix("Default: "));
    assert_eq!(default, Some("500"));
    let mapping = template.split("\n  StockRequestsMapping:\n").nth(1).expect("a mapping of stock requests");
    let line = |name: &str| mapping.lines().find_map(|line| line.trim().strip_prefix(name));
    assert_eq!((line("BatchSize: "), line("MaximumConcurrency: ")), (Some("10"), Some("10")));
}
