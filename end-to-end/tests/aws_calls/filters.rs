//! Which changes of a table make Lambda call the function: the filters of its event source mapping in the template.

use std::path::Path;

use serde_json::Value;

/// The patterns of the stream of a table's resource, as in `UserTable`; a record has to fit one of them.
pub(crate) struct Filters(Vec<Value>);

impl Filters {
    pub(crate) fn of(table: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
        let template: yaml_serde::Value =
            yaml_serde::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mapping = &template["Resources"][format!("{table}StreamMapping")]["Properties"];
        let filters = mapping["FilterCriteria"]["Filters"].as_sequence().unwrap();
        Self(
            filters
                .iter()
                .map(|filter| serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap())
                .collect(),
        )
    }

    pub(crate) fn let_through(&self, record: &Value) -> bool {
        self.0.iter().any(|pattern| fits(pattern, record))
    }
}

/// The part of Lambda's filter rules that the template uses: members that fit, and lists of values or of `exists`.
fn fits(pattern: &Value, value: &Value) -> bool {
    match pattern {
        Value::Object(members) => members.iter().all(|(name, pattern)| fits(pattern, &value[name])),
        Value::Array(choices) => choices.iter().any(|choice| match choice {
            Value::Object(rule) => match (rule.len(), &rule["exists"]) {
                (1, Value::Bool(exists)) => *exists != value.is_null(),
                _ => panic!("a rule that these tests do not know: {choice}"),
            },
            literal => literal == value,
        }),
        other => panic!("not a pattern: {other}"),
    }
}
