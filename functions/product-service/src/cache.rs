//! Products in Redis, so that most reads need no table.
//!
//! What is kept follows from the table and is never needed: without an answer from Redis a read goes to the table, and a
//! write is done when the table has it. Every entry of a product carries its version and is only ever replaced by the same
//! or a newer one, in one step; whoever changes a product writes its new version, and so does the stream, which misses
//! nothing. docs/ARCHITECTURE.md has what this promises.

/// Keeping away from what has just failed.
mod circuit;
/// The one connection, its time limits and its certificates.
mod connection;
/// Products as they are kept, and how one replaces another.
mod entries;
/// What a change makes out of date.
mod news;
/// First pages of lists, and how they become invalid.
mod pages;
/// The token with which Redis knows the service.
mod secret;
/// One read for all who want the same at the same time.
mod single_flight;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use aws_types::SdkConfig;
use domain_events::{Clock, Timestamp};
use dynamodb_store::{Consistency, Page, StoreError};
use lambda_dispatch::HandlerError;
use redis::{FromRedisValue, Pipeline};
use uuid::Uuid;

use self::{
    connection::Connection,
    entries::{Entry, SCHEMA},
    pages::KeptPage,
    single_flight::SingleFlight,
};
pub use self::{connection::Limits, secret::CacheSecret};
pub(crate) use self::{news::News, pages::List};
use crate::{
    domain::{Category, Product},
    repository::Repository,
};

/// Where Redis is and how to get in.
#[derive(Debug)]
pub struct CacheSettings {
    /// Its address, as in `rediss://redis.example:6379`. There is no connection without TLS.
    pub url: String,
    /// Whose entries they are: environments may share a Redis.
    pub environment: String,
    /// Whose certificates to accept, as PEM.
    pub roots: Cow<'static, str>,
    /// The secret with the token.
    pub secret: CacheSecret,
    /// How long to wait.
    pub limits: Limits,
}

/// Products and first pages in Redis. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// What all keys begin with.
    prefix: String,
    clock: Clock,
    reads: SingleFlight<Uuid, Read<Option<Product>>>,
    page_reads: SingleFlight<(List, usize), Read<Page<Product>>>,
}

/// What a read of the table comes to, for all who wait for it.
pub(crate) type Read<T> = Result<T, Arc<StoreError>>;

/// What is kept of a list's first page.
#[derive(Debug, Default)]
struct Kept {
    /// The list's present generation.
    generation: Option<String>,
    page: Option<KeptPage>,
    /// What is known of the products of the page.
    entries: HashMap<Uuid, Entry>,
}

impl Cache {
    /// The cache that the environment describes, if there is one: `CACHE_URL`, `CACHE_SECRET_ID` and `ENVIRONMENT`.
    pub(crate) async fn from_env(aws: &SdkConfig, clock: &Clock) -> Result<Option<Self>, HandlerError> {
        let Some(url) = service_config::optional("CACHE_URL") else { return Ok(None) };
        let settings = CacheSettings {
            url,
            environment: service_config::required("ENVIRONMENT")?,
            roots: service_config::trusted_roots()?,
            secret: CacheSecret::load(aws, service_config::required("CACHE_SECRET_ID")?).await,
            limits: Limits::default(),
        };
        Self::new(settings, clock.clone()).map(Some)
    }

    /// A cache that connects when it is first used.
    pub fn new(settings: CacheSettings, clock: Clock) -> Result<Self, HandlerError> {
        let CacheSettings { url, environment, roots, secret, limits } = settings;
        let address = url.strip_prefix("rediss://").and_then(|address| address.rsplit_once(':'));
        let Some((host, port)) = address.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)))
        else {
            return Err(format!("the cache's address must be rediss://host:port, found {url:?}").into());
        };
        Ok(Self(Arc::new(Inner {
            connection: Connection::new(host, port, roots, secret, limits),
            prefix: format!("{environment}:products:{SCHEMA}:"),
            clock,
            reads: SingleFlight::default(),
            page_reads: SingleFlight::default(),
        })))
    }

    /// A product, from the cache or through it; `None` if the cache is of no use.
    pub(crate) async fn product(&self, repository: &Repository, id: Uuid) -> Option<Read<Option<Product>>> {
        match self.entries(&[id]).await?.remove(&id) {
            Some(Entry::Product(product)) => Some(Ok(Some(product))),
            Some(Entry::Unknown | Entry::Gone) => Some(Ok(None)),
            None => {
                let (cache, repository) = (self.clone(), repository.clone());
                let read = async move { cache.read(&repository, id).await.map_err(Arc::new) };
                Some(self.0.reads.join(&id, read).await)
            }
        }
    }

    /// The first page of a list, from the cache or through it; `None` if the cache is of no use.
    pub(crate) async fn first_page(
        &self,
        repository: &Repository,
        category: Option<&Category>,
        limit: usize,
    ) -> Option<Read<Page<Product>>> {
        let list = List::of(category);
        let kept = self.kept(&list, limit).await?;
        if let Some(page) = kept.complete(&list) {
            return Some(Ok(page));
        }
        let (cache, repository, category) = (self.clone(), repository.clone(), category.cloned());
        let key = (list, limit);
        let list = key.0.clone();
        let read = async move {
            let read = cache.read_page(&repository, &list, category.as_ref(), limit, kept).await;
            read.map_err(Arc::new)
        };
        Some(self.0.page_reads.join(&key, read).await)
    }

    /// Makes known what has changed, in one round trip.
    pub(crate) async fn tell(&self, news: News) {
        let mut commands = redis::pipe();
        self.write(&mut commands, news.entries());
        for list in news.lists() {
            self.set_generation(&mut commands, list);
        }
        if !commands.is_empty() {
            self.run::<()>(&commands).await;
        }
    }

    /// Has a product kept as it is now.
    pub(crate) async fn read_anew(&self, repository: &Repository, id: Uuid) {
        telemetry::can_fail("reading a product for the cache", self.read(repository, id).await.map(drop));
    }

    /// Reads a product from the table and keeps it. The read sees every write that was acknowledged before it, and what is
    /// written after it has a newer version: the entry can be out of date, but never replaces what is not.
    async fn read(&self, repository: &Repository, id: Uuid) -> Result<Option<Product>, StoreError> {
        let read_at = self.0.clock.now();
        let product = repository.find(id, Consistency::Strong).await?;
        let entry = product.clone().map_or(Entry::Unknown, Entry::Product);
        let mut commands = redis::pipe();
        self.write(&mut commands, [(id, &entry, read_at)]);
        self.run::<()>(&commands).await;
        Ok(product)
    }

    async fn read_page(
        &self,
        repository: &Repository,
        list: &List,
        category: Option<&Category>,
        limit: usize,
        mut kept: Kept,
    ) -> Result<Page<Product>, StoreError> {
        let missing = kept.missing();
        if !missing.is_empty() {
            let read_at = self.0.clock.now();
            let found = repository.find_many(&missing).await?;
            kept.entries.extend(missing.iter().map(|id| (*id, Entry::Unknown)));
            kept.entries
                .extend(found.into_iter().map(|product| (product.product_id, Entry::Product(product))));
            let read = missing.iter().filter_map(|id| Some((*id, kept.entries.get(id)?, read_at)));
            let mut commands = redis::pipe();
            self.write(&mut commands, read);
            self.run::<()>(&commands).await;
            if let Some(page) = kept.complete(list) {
                return Ok(page);
            }
        }
        // Known before the table is read: what changes the list from now on makes the page one of another generation.
        let generation = match kept.generation {
            Some(generation) => Some(generation),
            None => self.begin_generation(list).await,
        };
        let read_at = self.0.clock.now();
        let page = repository.products(category, None, limit).await?;
        if let Some(generation) = generation {
            let ids = page.items.iter().map(|product| product.product_id).collect();
            let kept = KeptPage::new(generation, read_at, ids, page.next.clone());
            self.keep_page(list, limit, &kept).await;
        }
        Ok(page)
    }

    async fn keep_page(&self, list: &List, limit: usize, page: &KeptPage) {
        let Some((text, life)) = page.encode() else { return };
        let mut commands = redis::pipe();
        commands.cmd("SET").arg(self.page_key(list, limit)).arg(text).arg("PX").arg(life).ignore();
        self.run::<()>(&commands).await;
    }

    /// What is kept of a first page.
    async fn kept(&self, list: &List, limit: usize) -> Option<Kept> {
        let mut commands = redis::pipe();
        commands.cmd("MGET").arg(self.generation_key(list)).arg(self.page_key(list, limit));
        let (found,): (Vec<Option<Vec<u8>>>,) = self.run(&commands).await?;
        let [Some(generation), page] = found.as_slice() else { return Some(Kept::default()) };
        let Ok(generation) = String::from_utf8(generation.clone()) else { return Some(Kept::default()) };
        let decode = |page: &Vec<u8>| KeptPage::decode(page, &generation, self.0.clock.now());
        let page = page.as_ref().and_then(decode);
        let entries = match &page {
            Some(page) if !page.ids.is_empty() => self.entries(&page.ids).await?,
            _ => HashMap::new(),
        };
        Some(Kept { generation: Some(generation), page, entries })
    }

    /// What is known of ids, which are at least one.
    async fn entries(&self, ids: &[Uuid]) -> Option<HashMap<Uuid, Entry>> {
        let mut commands = redis::pipe();
        // Also of a single one: a key with something else than a text then has nothing, and is no failure.
        let mget = commands.cmd("MGET");
        ids.iter().for_each(|id| {
            mget.arg(self.entry_key(*id));
        });
        let (found,): (Vec<Option<Vec<u8>>>,) = self.run(&commands).await?;
        let now = self.0.clock.now();
        let entry = |(id, kept): (&Uuid, Option<Vec<u8>>)| Some((*id, Entry::decode(&kept?, *id, now)?));
        Some(ids.iter().zip(found).filter_map(entry).collect())
    }

    /// Adds the command that writes entries, each with a moment at which it was true.
    fn write<'a>(
        &self,
        commands: &mut Pipeline,
        entries: impl IntoIterator<Item = (Uuid, &'a Entry, Timestamp)>,
    ) {
        let entries = entries.into_iter().filter_map(|(id, entry, true_at)| {
            let (text, life) = entry.encode(true_at)?;
            Some((self.entry_key(id), text, life))
        });
        let entries: Vec<(String, String, u64)> = entries.collect();
        if entries.is_empty() {
            return;
        }
        // The text of the script goes along, so that it never has to be asked for; Redis compiles it once.
        let eval = commands.cmd("EVAL").arg(entries::WRITE).arg(entries.len());
        for (key, _, _) in &entries {
            eval.arg(key);
        }
        for (_, text, life) in &entries {
            eval.arg(text).arg(life);
        }
        eval.ignore();
    }

    fn set_generation(&self, commands: &mut Pipeline, list: &List) {
        let set = commands.cmd("SET").arg(self.generation_key(list)).arg(pages::token());
        set.arg("PX").arg(pages::TOKEN_LIFE.as_millis() as u64).ignore();
    }

    /// The generation of a list that has none, or that somebody else has just begun.
    async fn begin_generation(&self, list: &List) -> Option<String> {
        let mut commands = redis::pipe();
        let key = self.generation_key(list);
        let set = commands.cmd("SET").arg(&key).arg(pages::token());
        set.arg("PX").arg(pages::TOKEN_LIFE.as_millis() as u64).arg("NX").ignore();
        commands.cmd("GET").arg(&key);
        let (generation,): (Option<String>,) = self.run(&commands).await?;
        generation
    }

    async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Option<T> {
        self.0.connection.run(commands).await
    }

    fn entry_key(&self, id: Uuid) -> String {
        format!("{}entry:{id}", self.0.prefix)
    }

    fn generation_key(&self, list: &List) -> String {
        format!("{}generation:{}", self.0.prefix, list.name())
    }

    fn page_key(&self, list: &List, limit: usize) -> String {
        format!("{}page:{limit}:{}", self.0.prefix, list.name())
    }
}

impl Kept {
    /// The products of the page of which nothing is known.
    fn missing(&self) -> Vec<Uuid> {
        let ids = self.page.iter().flat_map(|page| &page.ids);
        ids.filter(|id| !self.entries.contains_key(id)).copied().collect()
    }

    /// The page, if all of its products are known and still in the list.
    fn complete(&self, list: &List) -> Option<Page<Product>> {
        let page = self.page.as_ref()?;
        let product = |id| match self.entries.get(id) {
            Some(Entry::Product(product)) if list.has(product) => Some(product.clone()),
            _ => None,
        };
        let items = page.ids.iter().map(product).collect::<Option<Vec<Product>>>()?;
        Some(Page { items, next: page.next.clone() })
    }
}
