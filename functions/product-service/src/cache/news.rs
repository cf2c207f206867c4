use std::collections::{BTreeSet, HashMap};

use domain_events::Timestamp;
use uuid::Uuid;

use super::{entries::Entry, pages::List};
use crate::domain::{Category, Product};

/// What has changed, and what is to be made known of it.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// The newest that is known of each product, and a moment at which it was true.
    entries: HashMap<Uuid, (Entry, Timestamp)>,
    /// Lists that have other products now.
    lists: BTreeSet<List>,
}

impl News {
    /// A new product.
    pub(crate) fn created(product: &Product) -> Self {
        let mut news = Self::default();
        news.change(None, product);
        news
    }

    /// A product as a change has left it, which may have brought it into this category. Which one it came from only the
    /// stream knows; the lists of that one show it no more, since its entry says where it is.
    pub(crate) fn changed(product: &Product, category: Option<&Category>) -> Self {
        let mut news = Self::default();
        news.add(product.product_id, Entry::Product(product.clone()), product.updated_at);
        news.lists.extend(category.map(|category| List::of(Some(category))));
        news
    }

    /// A product is gone. It is on no page from now on, since its entry says so.
    pub(crate) fn removed(id: Uuid, at: Timestamp) -> Self {
        let mut news = Self::default();
        news.add(id, Entry::Gone, at);
        news
    }

    /// A row as it was and as it is.
    pub(crate) fn change(&mut self, before: Option<&Product>, after: &Product) {
        // The time of a change is taken before it is made, so that the product was like this then or a little later: not
        // before another change that may have come since.
        self.add(after.product_id, Entry::Product(after.clone()), after.updated_at);
        match before {
            None => self.lists.extend([List::Newest, List::of(Some(&after.category))]),
            Some(before) if before.category != after.category => {
                self.lists
                    .extend([&before.category, &after.category].map(|category| List::of(Some(category))));
            }
            Some(_) => {}
        }
    }

    /// A row as it was before it was removed.
    pub(crate) fn removal(&mut self, before: &Product, at: Timestamp) {
        self.add(before.product_id, Entry::Gone, at);
        self.lists.extend([List::Newest, List::of(Some(&before.category))]);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (Uuid, &Entry, Timestamp)> {
        self.entries.iter().map(|(id, (entry, true_at))| (*id, entry, *true_at))
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &List> {
        self.lists.iter()
    }

    fn add(&mut self, id: Uuid, entry: Entry, true_at: Timestamp) {
        let newest = self.entries.get(&id).is_none_or(|(known, _)| known.version() <= entry.version());
        if newest {
            self.entries.insert(id, (entry, true_at));
        }
    }
}
