//! One bucket's objects as a stream of pages in byte order of their keys.
//!
//! Pages are fetched ahead of their use by a task of their own. The order is checked, never assumed: a page that
//! repeats or goes back is asked for again from the last good key, and a store that really lists in another order is
//! refused with a sentence. Knows nothing of what is done with the objects. Called by `run`, `preflight`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{EncodingType, Object};
use common::tasks::TaskSet;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::store::Store;
use crate::sweep::{Sweep, Swept};
use crate::walk::walk;

/// Pages fetched ahead of their use: enough to hide a round trip, little enough to stay flat in memory.
const PAGES_AHEAD: usize = 2;

/// How often a page that goes back is asked for again before the store's order is held to be another one.
pub(crate) const DISORDER_ATTEMPTS: u32 = 3;

/// A page that takes longer is worth being asked for together with others.
const SLOW_PAGE: Duration = Duration::from_millis(10);

/// So many pages in a row must be slow.
const SLOW_COUNT: u32 = 3;

/// So many pages in a row without an object, each promising more, are a listing that goes in circles.
pub(crate) const EMPTY_PAGES_MAX: u32 = 1_000;

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key below the side's prefix.
    pub key: Key,
    /// Length in bytes.
    pub size: u64,
    /// The entity tag without quotes; empty when the store gives none.
    pub etag: String,
    /// When it was last written, by the store's clock.
    pub last_modified: Option<Timestamp>,
    /// The storage class as the store names it.
    pub storage_class: Option<String>,
    /// Which version of the key it is, where versions are listed.
    pub version: Option<Version>,
}

/// One of the versions of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The store's name for it; `null` for one that was written before versions were kept.
    pub id: String,
    /// Whether it is no object but the mark of a deletion.
    pub is_marker: bool,
}

impl Entry {
    /// The version's id, where there is one.
    pub fn version_id(&self) -> Option<&str> {
        self.version.as_ref().map(|version| version.id.as_str())
    }

    /// Whether it is the mark of a deletion.
    pub fn is_marker(&self) -> bool {
        self.version.as_ref().is_some_and(|version| version.is_marker)
    }

    /// The key as people see it, with the version where there is one.
    pub fn name(&self) -> String {
        match &self.version {
            Some(version) => format!("{} (version {})", self.key, version.id),
            None => self.key.to_string(),
        }
    }
}

/// A page of a listing.
#[derive(Debug)]
pub struct Page {
    /// The objects, strictly ascending by key, all above those of earlier pages.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` at the end.
    next: Option<From>,
}

impl Page {
    /// Whether the listing ends with this page.
    pub fn is_last(&self) -> bool {
        self.next.is_none()
    }

    /// Where the next page begins; `None` at the end.
    pub fn next(self) -> Option<From> {
        self.next
    }
}

/// A listing being read: a queue of pages and the page in hand.
#[derive(Debug)]
pub struct Listing<T = Entry> {
    pages: mpsc::Receiver<Vec<T>>,
    page: std::vec::IntoIter<T>,
    has_ended: bool,
    end: Arc<AtomicBool>,
}

/// The other end of a [`Listing`], for the task that lists.
#[derive(Debug)]
pub(crate) struct Producer<T> {
    /// Takes pages, until nobody wants more.
    pub(crate) sender: mpsc::Sender<Vec<T>>,
    /// To be set when everything was sent; without it, the listing broke off.
    pub(crate) end: Arc<AtomicBool>,
    /// For the requests.
    pub(crate) errand: Errand,
}

impl Listing {
    /// Begins to list `store` by a task in `tasks`; an error of the listing is an error of the set.
    pub fn start(store: &Store, tasks: &mut TaskSet<Error>) -> Self {
        let store = store.clone();
        Self::of(
            tasks,
            |producer| async move { send_pages(&store, producer.sender, &producer.end, &producer.errand).await },
        )
    }
}

impl<T: Send + 'static> Listing<T> {
    /// What `produce` sends, by a task in `tasks`.
    pub(crate) fn of<F>(tasks: &mut TaskSet<Error>, produce: impl FnOnce(Producer<T>) -> F) -> Self
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let end = Arc::new(AtomicBool::new(false));
        let stop = tasks.token();
        let producing = produce(Producer { sender, end: Arc::clone(&end), errand: Errand::new(stop.clone()) });
        tasks.spawn(async move {
            tokio::select! {
                outcome = producing => outcome,
                () = stop.cancelled() => Ok(()),
            }
        });
        Self { pages, page: Vec::new().into_iter(), has_ended: false, end }
    }

    /// The next one; `None` at the end, and also when the listing failed: then its task has the error.
    pub async fn next(&mut self) -> Option<T> {
        loop {
            if let Some(entry) = self.page.next() {
                return Some(entry);
            }
            if let Some(page) = self.pages.recv().await {
                self.page = page.into_iter();
            } else {
                self.has_ended = true;
                return None;
            }
        }
    }

    /// Whether everything given so far can be relied upon: `false` once the listing broke off before its end.
    pub fn is_sound(&self) -> bool {
        !self.has_ended || self.end.load(Ordering::Acquire)
    }
}

async fn send_pages(
    store: &Store,
    sender: mpsc::Sender<Vec<Entry>>,
    end: &AtomicBool,
    errand: &Errand,
) -> Result<(), Error> {
    if store.lists_by_folder() {
        walk(store, errand, &sender).await?;
        end.store(true, Ordering::Release);
        return Ok(());
    }
    let mut last: Option<Key> = None;
    let mut from = From::Start;
    let (mut empty_count, mut slow_count) = (0, 0);
    loop {
        let asked = Instant::now();
        let page = next_page(store, last.as_ref(), from, errand).await?;
        slow_count = if asked.elapsed() > SLOW_PAGE { slow_count + 1 } else { 0 };
        last = page.entries.last().map(|entry| entry.key.clone()).or(last);
        empty_count = if page.entries.is_empty() { empty_count + 1 } else { 0 };
        // The receiver is gone when the run ended early: nobody wants the rest.
        if !page.entries.is_empty() && sender.send(page.entries).await.is_err() {
            return Ok(());
        }
        match page.next {
            Some(_) if empty_count == EMPTY_PAGES_MAX => {
                let what = format!("{empty_count} empty pages in a row, each of which promises more");
                return Err(Error::ListingBroken { place: store.place(), what });
            }
            Some(next) => from = next,
            None => {
                end.store(true, Ordering::Release);
                return Ok(());
            }
        }
        // Once: a store that cannot be listed so is listed to its end as it can.
        let Some(after) = last.clone().filter(|after| slow_count == SLOW_COUNT && after.as_str().is_some()) else {
            continue;
        };
        match Sweep::new(store, errand, &sender).run(after).await? {
            Swept::Unable => {}
            swept => {
                end.store(swept == Swept::All, Ordering::Release);
                return Ok(());
            }
        }
    }
}

/// The page after `last`, asked for as the page before it said, and by key when that leads astray.
pub(crate) async fn next_page(
    store: &Store,
    last: Option<&Key>,
    mut from: From,
    errand: &Errand,
) -> Result<Page, Error> {
    for attempt in 1.. {
        let page = fetch(store, &from, None, errand).await?;
        let Some((before, after)) = first_disorder(last, &page.entries) else { return Ok(page) };
        tracing::warn!(side = %store.side(), %before, %after, attempt, "the listing goes back; asking for the page again");
        if attempt == DISORDER_ATTEMPTS {
            return Err(Error::ListingOrder { place: store.place(), before, after });
        }
        // A key that the SDK cannot send cannot be a starting point; the token is tried again instead.
        if let Some(key) = last.filter(|key| key.as_str().is_some()) {
            from = From::Key(key.clone());
        }
    }
    unreachable!("the loop ends by its attempts")
}

/// Where a page begins.
#[derive(Debug, Clone)]
pub enum From {
    /// At the first object.
    Start,
    /// Where an earlier page ended, in the store's words.
    Token(String),
    /// After this key.
    Key(Key),
}

/// The first page of `store`'s listing, in order where the store's dialect is one of order.
pub async fn first(store: &Store, errand: &Errand) -> Result<Page, Error> {
    if store.lists_by_folder() {
        fetch(store, &From::Start, None, errand).await
    } else {
        next_page(store, None, From::Start, errand).await
    }
}

/// One page of `store`'s listing; `entries_max` only for probes.
pub async fn fetch(store: &Store, from: &From, entries_max: Option<i32>, errand: &Errand) -> Result<Page, Error> {
    if store.lists_by_version_1() {
        return fetch_by_version_1(store, from, entries_max, errand).await;
    }
    let prefix = store.prefix();
    let (token, start_after) = match from {
        From::Start => (None, None),
        From::Token(token) => (Some(token.clone()), None),
        From::Key(key) => (None, key.under(prefix).as_str().map(ToOwned::to_owned)),
    };
    let output = store
        .call("ListObjectsV2", None, errand, || {
            store
                .client()
                .list_objects_v2()
                .bucket(store.bucket())
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .set_continuation_token(token.clone())
                .set_start_after(start_after.clone())
                .set_max_keys(entries_max)
                .encoding_type(EncodingType::Url)
                .send()
        })
        .await?;
    let encoded = output.encoding_type() == Some(&EncodingType::Url);
    let entries = entries(output.contents, store, encoded)?;
    page(store, entries, output.is_truncated == Some(true), output.next_continuation_token)
}

/// The same for a store that knows the first version of listings only: the next page begins after the last key.
async fn fetch_by_version_1(
    store: &Store,
    from: &From,
    entries_max: Option<i32>,
    errand: &Errand,
) -> Result<Page, Error> {
    let prefix = store.prefix();
    let marker = match from {
        From::Key(key) => key.under(prefix).as_str().map(ToOwned::to_owned),
        From::Start | From::Token(_) => None,
    };
    let output = store
        .call("ListObjects", None, errand, || {
            store
                .client()
                .list_objects()
                .bucket(store.bucket())
                .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                .set_marker(marker.clone())
                .set_max_keys(entries_max)
                .encoding_type(EncodingType::Url)
                .send()
        })
        .await?;
    let encoded = output.encoding_type() == Some(&EncodingType::Url);
    let entries = entries(output.contents, store, encoded)?;
    page(store, entries, output.is_truncated == Some(true), None)
}

fn entries(objects: Option<Vec<Object>>, store: &Store, encoded: bool) -> Result<Vec<Entry>, Error> {
    objects.unwrap_or_default().into_iter().map(|object| entry(object, store, encoded)).collect()
}

fn page(store: &Store, entries: Vec<Entry>, is_truncated: bool, token: Option<String>) -> Result<Page, Error> {
    let next = match (is_truncated, token, entries.last()) {
        (false, ..) => None,
        (true, Some(token), _) => Some(From::Token(token)),
        // It says that there is more and not where: what comes after the last key.
        (true, None, Some(last)) if last.key.as_str().is_some() => Some(From::Key(last.key.clone())),
        (true, None, _) => {
            let what = "a page that promises more and does not say where it begins";
            return Err(Error::ListingBroken { place: store.place(), what: what.into() });
        }
    };
    Ok(Page { entries, next })
}

pub(crate) fn entry(object: Object, store: &Store, encoded: bool) -> Result<Entry, Error> {
    let broken = |what: &str| Error::ListingBroken { place: store.place(), what: what.into() };
    let listed = object.key.ok_or_else(|| broken("an object without a key"))?;
    let key = if encoded { Key::from_listing(&listed, store.plus_means()) } else { Key::from(listed.as_str()) };
    let key = key.below(store.prefix()).ok_or_else(|| broken("a key outside the prefix that was asked for"))?;
    let size =
        object.size.and_then(|size| u64::try_from(size).ok()).ok_or_else(|| broken("an object without a size"))?;
    Ok(Entry {
        key,
        size,
        etag: object.e_tag.map(|etag| etag.trim_matches('"').to_owned()).unwrap_or_default(),
        last_modified: object.last_modified.and_then(|time| Timestamp::from_nanosecond(time.as_nanos()).ok()),
        storage_class: object.storage_class.map(|class| class.as_str().to_owned()),
        version: None,
    })
}

/// The first pair of neighbours, beginning with `last`, that is not strictly ascending.
fn first_disorder(last: Option<&Key>, entries: &[Entry]) -> Option<(Key, Key)> {
    let keys = entries.iter().map(|entry| &entry.key);
    let before = last.into_iter().chain(keys.clone());
    let after = keys.skip(usize::from(last.is_none()));
    before.zip(after).find(|(before, after)| before >= after).map(|(before, after)| (before.clone(), after.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[&str]) -> Vec<Entry> {
        let entry = |key: &&str| Entry {
            key: Key::from(*key),
            size: 0,
            etag: String::new(),
            last_modified: None,
            storage_class: None,
            version: None,
        };
        keys.iter().map(entry).collect()
    }

    #[test]
    fn disorder_is_found_within_and_between_pages() {
        let last = Key::from("b");
        assert_eq!(first_disorder(None, &page(&["a", "b", "c"])), None);
        assert_eq!(first_disorder(Some(&last), &page(&["c", "d"])), None);
        assert_eq!(first_disorder(Some(&last), &page(&["b"])), Some(("b".into(), "b".into())));
        assert_eq!(first_disorder(None, &page(&["a/b", "a-b"])), Some(("a/b".into(), "a-b".into())));
        assert_eq!(first_disorder(Some(&last), &[]), None);
    }
}
