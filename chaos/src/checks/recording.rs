use super::{Evidence, Finding, number};
use crate::{announcements::is_id, recorder::TABLES};

/// What the other checks go by is complete: the last recorded change of each row is what its table says.
pub(super) fn tables_are_as_recorded(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in TABLES {
        for (key, changes) in evidence.histories(table) {
            let recorded = changes.last().and_then(|last| last.after.as_ref());
            let kept = evidence.row(table, key);
            if recorded != kept {
                let found = format!("{table} {key}: recorded {recorded:?}, kept {kept:?}");
                findings.push(Finding::new(key, found));
            }
        }
        for (key, _) in evidence.entities(table).filter(|(key, _)| evidence.history(table, key).is_empty()) {
            findings.push(Finding::new(key, format!("{table} {key} was never seen to change")));
        }
    }
    findings
}

/// Each change of a row counts: from 1, one at a time. An account's row may be written anew without a new version, for
/// what concerns nobody else.
pub(super) fn versions_have_no_gap(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for table in TABLES {
        let counted = |key: &str| is_id(key) || key.starts_with("reservation#");
        for (key, changes) in evidence.histories(table).filter(|(key, _)| counted(key)) {
            let mut before = 0;
            for after in changes.iter().filter_map(|change| change.after.as_ref()) {
                let version = number(after, "version");
                if version != before + 1 && !(table == "users" && version == before) {
                    let found = format!("{table} {key}: version {version} comes after {before}");
                    findings.push(Finding::new(key, found));
                }
                before = version;
            }
        }
    }
    findings
}
