//! One bucket's versions as a stream of histories, one for each key, in byte order of the keys.
//!
//! What `listing` promises holds here too: the order is checked, and a page that repeats or goes back is asked for again.

use std::sync::atomic::Ordering;

use common::tasks::TaskSet;

use super::page::{Mark, Page, fetch};
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::{DISORDER_ATTEMPTS, EMPTY_PAGES_MAX, Entry, Listing, Producer};
use crate::store::Store;

/// All versions of a key are held at a time; more than these do not fit any bound on memory.
const VERSIONS_MAX: usize = 100_000;

/// A key and all its versions, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The key.
    pub key: Key,
    /// Its versions and marks of deletion, oldest first; at least one.
    pub versions: Vec<Entry>,
}

/// Begins to list the versions of `store` by a task in `tasks`; an error of the listing is an error of the set.
pub fn start(store: &Store, tasks: &mut TaskSet<Error>) -> Listing<History> {
    let store = store.clone();
    Listing::of(tasks, |producer| async move { produce(&store, &producer).await })
}

async fn produce(store: &Store, producer: &Producer<History>) -> Result<(), Error> {
    let mut gathered = Gathered { store, ids: std::collections::HashSet::new(), open: None };
    let mut mark = Mark::default();
    let mut empty_count = 0;
    loop {
        let (histories, next) = gathered.next_page(&mark, &producer.errand).await?;
        empty_count = if histories.is_empty() && gathered.open.is_none() { empty_count + 1 } else { 0 };
        if !histories.is_empty() && producer.sender.send(histories).await.is_err() {
            return Ok(());
        }
        match next {
            Some(_) if empty_count == EMPTY_PAGES_MAX => {
                let what = format!("{empty_count} empty pages in a row, each of which promises more");
                return Err(Error::ListingBroken { place: store.place(), what });
            }
            Some(next) => mark = next,
            None => break,
        }
    }
    let last: Vec<History> = gathered.open.take().map(History::closed).into_iter().collect();
    if last.is_empty() || producer.sender.send(last).await.is_ok() {
        producer.end.store(true, Ordering::Release);
    }
    Ok(())
}

impl History {
    /// From newest first, as it was listed, to oldest first.
    fn closed(mut self) -> Self {
        self.versions.reverse();
        self
    }
}

/// The key whose versions are still coming, and what was seen of them.
struct Gathered<'a> {
    store: &'a Store,
    ids: std::collections::HashSet<String>,
    open: Option<History>,
}

impl Gathered<'_> {
    /// The histories that the page at `mark` completes, and where the next page begins.
    async fn next_page(&mut self, mark: &Mark, errand: &Errand) -> Result<(Vec<History>, Option<Mark>), Error> {
        for attempt in 1.. {
            let page = fetch(self.store, self.store.prefix(), mark, errand).await?;
            let Some((before, after)) = self.first_disorder(&page) else {
                let histories = self.take(page.entries)?;
                return Ok((histories, page.next));
            };
            tracing::warn!(side = %self.store.side(), %before, %after, attempt, "the listing goes back; asking for the page again");
            if attempt == DISORDER_ATTEMPTS {
                return Err(Error::ListingOrder { place: self.store.place(), before, after });
            }
        }
        unreachable!("the loop ends by its attempts")
    }

    /// The first key that comes after a higher one, or with a version that was there already.
    fn first_disorder(&self, page: &Page) -> Option<(Key, Key)> {
        let mut last = self.open.as_ref().map(|history| &history.key);
        for entry in &page.entries {
            let is_double = self.open.as_ref().is_some_and(|open| open.key == entry.key)
                && entry.version_id().is_some_and(|id| self.ids.contains(id));
            match last {
                Some(before) if *before > entry.key || is_double => return Some((before.clone(), entry.key.clone())),
                _ => last = Some(&entry.key),
            }
        }
        None
    }

    fn take(&mut self, entries: Vec<Entry>) -> Result<Vec<History>, Error> {
        let mut histories = Vec::new();
        for entry in entries {
            if self.open.as_ref().is_none_or(|open| open.key != entry.key) {
                let opened = History { key: entry.key.clone(), versions: Vec::new() };
                histories.extend(self.open.replace(opened).map(History::closed));
                self.ids.clear();
            }
            self.ids.extend(entry.version_id().map(ToOwned::to_owned));
            let Some(open) = &mut self.open else { continue };
            if open.versions.len() == VERSIONS_MAX {
                let what = format!("more than {VERSIONS_MAX} versions of {:?}", open.key);
                return Err(Error::ListingBroken { place: self.store.place(), what });
            }
            open.versions.push(entry);
        }
        Ok(histories)
    }
}

/// The versions of `key` alone, oldest first.
pub async fn of_key(store: &Store, key: &Key, errand: &Errand) -> Result<Vec<Entry>, Error> {
    let (mut versions, mut mark, full_key) = (Vec::new(), Mark::default(), store.full_prefix(key)?);
    loop {
        let page = fetch(store, &full_key, &mark, errand).await?;
        // Keys that begin like this one come after it.
        let is_past = page.entries.last().is_some_and(|last| last.key > *key);
        versions.extend(page.entries.into_iter().filter(|entry| entry.key == *key));
        match page.next {
            Some(next) if !is_past && versions.len() <= VERSIONS_MAX => mark = next,
            _ => break,
        }
    }
    versions.reverse();
    Ok(versions)
}
