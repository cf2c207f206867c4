//! The cache of product-service.
//!
//! While Redis answers, a read that begins after a write was answered shows what was written, or something newer. Whatever
//! happens to Redis, what is read is at most as old as an entry gets. Both are judged by the moments at which shoppers
//! asked and were answered, which are all of one clock, and never by how long something took.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use super::{CACHE_FAILED, Evidence, Finding, number, text};
use crate::{
    announcements::is_id,
    journal::{Attempt, Deed, Outcome, What},
    plan::Kind,
    story::LogLine,
    visit::PAGE,
};

/// How old what is read can be at most: as old as an entry may be when it is shown, and the time that showing it takes.
pub(super) const OLDEST: Duration = Duration::from_secs(36 + 4);
/// For how long at most anything stays in Redis: longer than it may be shown, so that an older version is seen to be one.
const KEPT: Duration = Duration::from_secs(120);
/// After a failure the cache is left alone, for as long as this at most before it is tried again.
const LEFT_ALONE: Duration = Duration::from_secs(45);
/// What a product's version is when it is gone: newer than any other.
const GONE: i64 = i64::MAX;

/// While Redis answered all that it was asked, reads are current.
pub(super) fn reads_are_current(evidence: &Evidence<'_>) -> Vec<Finding> {
    let unwell = unwell(evidence);
    stale(evidence, Duration::ZERO).filter(|(read, _)| !read.is_excused(&unwell)).map(Finding::from).collect()
}

/// Whatever Redis did, no read is older than its entries get.
pub(super) fn reads_are_bounded(evidence: &Evidence<'_>) -> Vec<Finding> {
    stale(evidence, OLDEST).map(Finding::from).collect()
}

/// Entries belong to this environment, and none is there for longer than it may be.
pub(super) fn entries_expire(evidence: &Evidence<'_>) -> Vec<Finding> {
    let wrong = evidence.cache.iter().filter(|entry| {
        let products = entry.key.starts_with(&format!("{}:products:", evidence.environment));
        !products || entry.expires_in.is_none_or(|left| left > KEPT)
    });
    wrong.map(|entry| Finding::new("", format!("{entry:?}"))).collect()
}

/// What the API shows of each product in the end is what the table has of it.
pub(super) fn products_are_shown(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (key, _) in evidence.histories("products").filter(|(key, _)| is_id(key)) {
        let shown = evidence.visit.products.get(key);
        let is_right = match (evidence.row("products", key), shown) {
            (Some(kept), Some((200, shown))) => is_as_kept(shown, kept),
            (None, Some((404, _))) => true,
            _ => false,
        };
        if !is_right {
            findings.push(Finding::new(key, format!("product {key} is shown as {shown:?}")));
        }
    }
    findings
}

/// And so are lists: the newest products first, of all or of a category.
pub(super) fn lists_are_shown(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (category, shown) in &evidence.visit.lists {
        let belongs =
            |row: &Value| category.as_ref().is_none_or(|category| text(row, "category") == category);
        let kept = evidence.entities("products").filter(|(_, row)| belongs(row));
        let mut newest: Vec<&str> = kept.map(|(_, row)| text(row, "created_at")).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        newest.truncate(PAGE);
        let times: Vec<&str> = shown.iter().map(|item| text(item, "created_at")).collect();
        let ids: BTreeSet<&str> = shown.iter().map(|item| text(item, "product_id")).collect();
        let is_kept = |item: &Value| {
            let kept = evidence.row("products", text(item, "product_id"));
            kept.is_some_and(|kept| belongs(kept) && is_as_kept(item, kept))
        };
        if times != newest || ids.len() != shown.len() || !shown.iter().all(is_kept) {
            let list = category.as_deref().unwrap_or("all products");
            let found = format!("the list of {list} begins with {shown:?}, and should with {newest:?}");
            findings.push(Finding::new("", found));
        }
    }
    findings
}

/// The lines in which functions say that they leave the cache alone for a while.
pub(super) fn failures<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = &'e LogLine> {
    evidence.log.iter().filter(|line| line.text.contains(CACHE_FAILED))
}

/// Whether what the API shows of a product is what the table has.
fn is_as_kept(shown: &Value, kept: &Value) -> bool {
    const MEMBERS: [&str; 7] = ["name", "category", "price", "stock", "version", "created_at", "updated_at"];
    MEMBERS.iter().all(|member| shown[*member] == kept[*member])
}

/// How many reads had to be current, and how many had not to be older than an entry gets.
pub(super) fn counts(evidence: &Evidence<'_>) -> (usize, usize) {
    let unwell = unwell(evidence);
    let (excused, current): (Vec<_>, Vec<_>) = reads(evidence).partition(|read| read.is_excused(&unwell));
    (current.len(), excused.len())
}

/// From when to when.
type Period = (SystemTime, SystemTime);

/// Somebody reads a product and is shown a version of it.
struct Read<'e> {
    deed: &'e Deed,
    product: &'e str,
    version: i64,
    from: SystemTime,
    to: SystemTime,
}

impl Read<'_> {
    /// Whether it may show what was left in Redis when something was wrong: for as long as an entry of that time lives.
    fn is_excused(&self, unwell: &[Period]) -> bool {
        unwell.iter().any(|(from, to)| *from <= self.to && self.from <= *to + OLDEST)
    }
}

impl From<(Read<'_>, i64)> for Finding {
    fn from((read, written): (Read<'_>, i64)) -> Self {
        let Read { deed, product, version, .. } = read;
        let name = |version| match version {
            GONE => "that it is gone".to_owned(),
            version => format!("version {version}"),
        };
        let (shown, written) = (name(version), name(written));
        Self::new(
            product,
            format!(
                "deed {}: product {product} is shown as {shown}, and {written} was answered before",
                deed.number
            ),
        )
    }
}

/// Reads that show an older version than one of which somebody had been told so long before they began, and that version.
fn stale<'e>(evidence: &'e Evidence<'_>, before: Duration) -> impl Iterator<Item = (Read<'e>, i64)> {
    let written = written(evidence);
    reads(evidence).filter_map(move |read| {
        let known = written.get(read.product)?.iter().filter(|(told, _)| *told + before <= read.from);
        let newest = known.map(|(_, version)| *version).max()?;
        (read.version < newest).then_some((read, newest))
    })
}

fn reads<'e>(evidence: &'e Evidence<'_>) -> impl Iterator<Item = Read<'e>> {
    evidence.deeds.iter().flat_map(|deed| {
        let What::ReadProduct { product_id } = &deed.what else { return Vec::new() };
        let read = |attempt: &Attempt| {
            let (from, to) = (attempt.at, attempt.at + attempt.took);
            Some(Read { deed, product: product_id, version: shown(attempt)?, from, to })
        };
        deed.attempts.iter().filter_map(read).collect()
    })
}

/// The version that an answer shows.
fn shown(attempt: &Attempt) -> Option<i64> {
    match &attempt.outcome {
        Outcome::Answer { status: 200, body, .. } => Some(number(body, "version")),
        Outcome::Answer { status: 304, etag, .. } => etag.as_ref()?.trim_matches('"').parse().ok(),
        Outcome::Answer { status: 404, .. } => Some(GONE),
        _ => None,
    }
}

/// Which versions of products somebody was told of that they are written, and when.
fn written<'e>(evidence: &'e Evidence<'_>) -> BTreeMap<&'e str, Vec<(SystemTime, i64)>> {
    let mut written = BTreeMap::<&str, Vec<(SystemTime, i64)>>::new();
    for deed in evidence.deeds {
        for attempt in &deed.attempts {
            let Outcome::Answer { status, body, .. } = &attempt.outcome else { continue };
            let (product, version) = match (&deed.what, status) {
                (What::CreateProduct { .. }, 201) => (text(body, "product_id"), number(body, "version")),
                (What::ChangeStock { product_id, .. } | What::EditProduct { product_id }, 200) => {
                    (product_id.as_str(), number(body, "version"))
                }
                (What::DeleteProduct { product_id }, 204) => (product_id.as_str(), GONE),
                _ => continue,
            };
            written.entry(product).or_default().push((attempt.at + attempt.took, version));
        }
    }
    written
}

/// When something was wrong with Redis: as it was injected, or as a function saw it, which goes on without the cache for a
/// while then and so leaves in it what others still find there.
fn unwell(evidence: &Evidence<'_>) -> Vec<Period> {
    let injected = evidence.outages.iter().filter(|outage| outage.kind == Kind::Cache);
    let since = |millis: i64| UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs());
    let seen = failures(evidence).map(|line| (since(line.at), since(line.at) + LEFT_ALONE));
    injected.map(|outage| (outage.from, outage.to + LEFT_ALONE)).chain(seen).collect()
}
