use std::fmt::Display;

use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::StoreError;
use crate::query::{Page, Position};
use crate::table::{Item, Table, from_item};

/// How many partitions share the feed's writes: each takes 1000 a second. Rows keep their shard, so that a
/// larger number needs no change of old rows; a smaller one would hide some.
const SHARDS: u8 = 4;
const SHARD: &str = "feed";
const POSITION: &str = "feed_position";

/// All rows of a table that take part, newest first, through a sparse index over `feed` and `feed_position`.
///
/// Every shard is read as far as it can be expected to have rows of the page, and the results are merged. A position is
/// the last row's own and unique, so that later pages neither repeat nor skip a row, whatever is added on top meanwhile.
#[derive(Clone, Debug)]
pub struct Feed {
    table: Table,
    index: &'static str,
}

/// The attributes that make a row part of a feed: `#[serde(flatten)]` it into the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedEntry {
    /// The shard: follows from the id.
    pub feed: String,
    /// The place in the feed: time, then id.
    pub feed_position: String,
}

impl Feed {
    /// The feed that `index` of `table` holds.
    pub fn new(table: &Table, index: &'static str) -> Self {
        Self { table: table.clone(), index }
    }

    /// The entry of a new row. The order of `created_at` as text has to be its order in time.
    pub fn entry(id: impl Display, created_at: impl Display) -> FeedEntry {
        let id = id.to_string();
        let shard = Sha256::digest(&id)[0] % SHARDS;
        FeedEntry { feed: shard_name(shard), feed_position: format!("{created_at}#{id}") }
    }

    /// Reads the next `limit` rows after a position, or the newest ones.
    pub async fn page<T: DeserializeOwned>(
        &self,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Page<T>, StoreError> {
        let not_here = || StoreError::malformed::<Position>("not a place in a feed");
        let after = after.as_ref().map(|position| position.get(POSITION).ok_or_else(not_here)).transpose()?;
        // One row more than asked for tells whether there is a next page.
        let wanted = limit + 1;
        let read = expected_per_shard(wanted);
        let shards = (0..SHARDS).map(|shard| self.newest_of(shard, after, read));
        let mut shards: Vec<Vec<(String, Item)>> = try_join_all(shards).await?;
        let oldest = oldest_of_page(&shards, wanted).map(str::to_owned);
        // A shard whose rows all belong to the page can have more of them.
        let rest = (0..SHARDS).zip(&shards).filter_map(|(shard, rows)| {
            let last = rows.last().map(|(place, _)| place.as_str())?;
            let more =
                read < wanted && rows.len() >= read && oldest.as_deref().is_none_or(|oldest| last > oldest);
            more.then(|| self.newest_of(shard, Some(last), wanted - read))
        });
        let rest = try_join_all(rest).await?;
        shards.extend(rest);
        let mut rows: Vec<(String, Item)> = shards.into_iter().flatten().collect();
        rows.sort_unstable_by(|(one, _), (other, _)| other.cmp(one));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(place, _)| Position::new(POSITION, place.clone()));
        let items = rows.into_iter().map(|(_, item)| from_item(item)).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    async fn newest_of(
        &self,
        shard: u8,
        before: Option<&str>,
        wanted: usize,
    ) -> Result<Vec<(String, Item)>, StoreError> {
        let mut query = self.table.query(Some(self.index)).partition(SHARD, shard_name(shard)).newest_first();
        if let Some(place) = before {
            query = query.before(POSITION, place);
        }
        let place_of = |item: Item| match item.get(POSITION).and_then(|place| place.as_s().ok()) {
            Some(place) => Ok((place.clone(), item)),
            None => Err(StoreError::malformed::<FeedEntry>("no place in the feed")),
        };
        query.read(wanted).await?.items.into_iter().map(place_of).collect()
    }
}

/// As many rows of each shard as make up the next `wanted` of all, but for one page in some ten thousand: ids decide
/// about shards as dice do, so this is the mean and four standard deviations.
fn expected_per_shard(wanted: usize) -> usize {
    let (wanted, share) = (wanted as f64, 1.0 / f64::from(SHARDS));
    let rows = wanted * share + 4.0 * (wanted * share * (1.0 - share)).sqrt();
    (rows.ceil() as usize).min(wanted as usize)
}

/// The last place of a page of `wanted` rows, if there are so many.
fn oldest_of_page(shards: &[Vec<(String, Item)>], wanted: usize) -> Option<&str> {
    let mut places: Vec<&str> = shards.iter().flatten().map(|(place, _)| place.as_str()).collect();
    places.sort_unstable_by(|one, other| other.cmp(one));
    places.get(wanted - 1).copied()
}

fn shard_name(shard: u8) -> String {
    format!("feed#{shard}")
}
