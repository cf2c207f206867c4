use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Evidence, Finding};
use crate::{announcements::Announcement, recorder::Published};

/// A change that others have to hear of has its event on the table's topic, under the id of the change, with the
/// version that the change wrote. It may be there several times, and is the same each time.
pub(super) fn every_change_is_published(evidence: &Evidence<'_>) -> Vec<Finding> {
    let published = by_id(evidence);
    let mut findings = Vec::new();
    for (change, announcement) in evidence.recording.announcements() {
        let events = published.get(change.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let Announcement { kind, subject, version } = &announcement;
        let says_so = |event: &&Published| {
            event.table == change.table
                && (event.text("type"), event.text("subject")) == (*kind, subject.as_str())
                && event.body["data"]["version"] == *version
        };
        if events.is_empty()
            || !events.iter().all(says_so)
            || events.windows(2).any(|pair| pair[0].body != pair[1].body)
        {
            let bodies: Vec<String> = events.iter().map(|event| event.body.to_string()).collect();
            let found = format!("{kind} of {subject}, version {version}, change {}: {bodies:?}", change.id);
            findings.push(Finding::new(subject, found));
        }
    }
    findings
}

/// A topic gets nothing but events, each of a change that happened: so there is exactly one event for each change.
pub(super) fn nothing_else_is_published(evidence: &Evidence<'_>) -> Vec<Finding> {
    let announced: HashMap<&str, Announcement> = evidence
        .recording
        .announcements()
        .into_iter()
        .map(|(change, event)| (change.id.as_str(), event))
        .collect();
    let unknown = evidence.recording.events.iter().filter(|event| !announced.contains_key(event.text("id")));
    unknown.map(|event| Finding::new(event.text("subject"), event.body.to_string())).collect()
}

/// Without the copies, an entity's events are in the order of its versions.
///
/// What follows an event that failed may be published before it, and then comes again after it; and a copy whose sender
/// has long given up can come much later. So there has to be one publication of each event such that these are in order.
pub(super) fn are_in_order(evidence: &Evidence<'_>) -> Vec<Finding> {
    let published = by_id(evidence);
    let mut reached = BTreeMap::<(&str, String), (i64, SystemTime)>::new();
    let mut findings = Vec::new();
    for (change, Announcement { subject, version, .. }) in evidence.recording.announcements() {
        // An order and its reservation have the same subject, on different topics.
        let entity = (change.table, subject);
        let (before, so_far) = reached.get(&entity).copied().unwrap_or((0, UNIX_EPOCH));
        let times = || published.get(change.id.as_str()).into_iter().flatten().map(|event| event.at);
        if let Some(next) = times().filter(|at| *at >= so_far).min() {
            reached.insert(entity, (version, next));
        } else if times().next().is_some() {
            let found =
                format!("version {version} of {} was last published before version {before}", entity.1);
            findings.push(Finding::new(entity.1, found));
        }
    }
    findings
}

/// Everything that topics were given, by the events' ids.
fn by_id<'e>(evidence: &'e Evidence<'_>) -> HashMap<&'e str, Vec<&'e Published>> {
    let mut events = HashMap::<&str, Vec<&Published>>::new();
    for event in &evidence.recording.events {
        events.entry(event.text("id")).or_default().push(event);
    }
    events
}
