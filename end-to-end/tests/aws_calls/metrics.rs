//! What alarms and the dashboard watch of the shop's own metrics is what the functions write.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;
use yaml_serde::Value as Yaml;

use crate::{function::ENVIRONMENT, ledger::Measured};

const NAMESPACE: &str = "Shop";
const TEMPLATE: &str = "stacks/monitoring.yaml";

/// A metric: its name, and its dimensions with their values.
type Metric = (String, BTreeMap<String, String>);

/// Panics if something is watched that nobody writes.
pub(crate) fn compare(measured: &[Measured]) {
    let written: BTreeSet<Metric> =
        measured.iter().flat_map(|measured| &measured.metrics).flat_map(|line| of_line(line)).collect();
    let template = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(TEMPLATE));
    let template: Yaml = yaml_serde::from_str(&template.unwrap()).unwrap();
    let (alarms, graphs) = (of_alarms(&template), of_dashboard(&template));
    assert!(!alarms.is_empty() && !graphs.is_empty(), "{TEMPLATE} watches no metric of {NAMESPACE}");
    for metric in alarms.into_iter().chain(graphs) {
        assert!(written.contains(&metric), "{TEMPLATE} watches {metric:?}; the functions write {written:?}");
    }
}

/// The metrics that CloudWatch makes of a line.
fn of_line(line: &str) -> Vec<Metric> {
    let line: Value = serde_json::from_str(line).unwrap();
    let mut metrics = Vec::new();
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        assert_eq!(directive["Namespace"], NAMESPACE);
        for dimensions in directive["Dimensions"].as_array().unwrap() {
            let with_value = |name: &Value| (text(name), text(&line[text(name)]));
            let dimensions: BTreeMap<_, _> = dimensions.as_array().unwrap().iter().map(with_value).collect();
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line[text(&metric["Name"])].is_number(), "{line}");
                metrics.push((text(&metric["Name"]), dimensions.clone()));
            }
        }
    }
    metrics
}

fn of_alarms(template: &Yaml) -> Vec<Metric> {
    let resources = template["Resources"].as_mapping().unwrap().values();
    resources
        .map(|resource| &resource["Properties"])
        .filter(|alarm| alarm["Namespace"] == NAMESPACE)
        .map(|alarm| {
            let dimensions = alarm["Dimensions"].as_sequence().unwrap().iter().map(|dimension| {
                let value = match &dimension["Value"] {
                    Yaml::Tagged(value) if value.value == "Environment" => ENVIRONMENT,
                    value => value.as_str().unwrap_or_else(|| panic!("{dimension:?} has another value")),
                };
                (dimension["Name"].as_str().unwrap().to_owned(), value.to_owned())
            });
            (alarm["MetricName"].as_str().unwrap().to_owned(), dimensions.collect())
        })
        .collect()
}

fn of_dashboard(template: &Yaml) -> Vec<Metric> {
    let Yaml::Tagged(body) = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"] else {
        panic!("the dashboard's body is not made by Fn::Sub")
    };
    // What is put in for optional parts stands on lines of its own.
    let lines = body.value[0].as_str().unwrap().lines();
    let body: String = lines.filter(|line| !line.trim_start().starts_with("${")).collect();
    let body: Value = serde_json::from_str(&body.replace("${Environment}", ENVIRONMENT)).unwrap();
    let widgets = body["widgets"].as_array().unwrap().iter();
    let metrics = widgets.filter_map(|widget| widget["properties"]["metrics"].as_array());
    metrics.flat_map(|metrics| of_widget(metrics)).collect()
}

/// The metrics of a widget, in which `...` stands for what is as in the line before.
fn of_widget(metrics: &[Value]) -> Vec<Metric> {
    let mut line: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for metric in metrics {
        let parts = metric.as_array().unwrap().iter().filter(|part| part.is_string());
        let mut next: Vec<String> = parts.map(text).collect();
        if next.first().is_some_and(|first| first == "...") {
            let same = line.len() + 1 - next.len();
            next.splice(..1, line[..same].iter().cloned());
        }
        line = next;
        if line.first().is_some_and(|namespace| namespace == NAMESPACE) {
            let dimensions = line[2..].chunks(2).map(|pair| (pair[0].clone(), pair[1].clone()));
            found.push((line[1].clone(), dimensions.collect()));
        }
    }
    found
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
