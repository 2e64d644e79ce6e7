//! The listing of a store that lists folder by folder, put into byte order.
//!
//! Stores that keep objects in a tree of folders list `a/b` before `a-b`, because they sort names within a folder, while
//! bytes say the opposite: `-` comes before `/`. Such a store is listed one folder at a time; a folder waits until all
//! names that come before its `/` have been given out. What waits is bounded by the nesting of names within names. Small folders
//! would each cost the time of an answer, so those that come next are asked for together.
//! Called by `listing`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use aws_sdk_s3::types::EncodingType;
use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::{Entry, entry};
use crate::store::Store;

/// Entries given out at a time.
const BATCH: usize = 1000;

/// Folders asked for at the same time.
const FOLDERS_TOGETHER: usize = 8;

/// Items of folders whose turn has not come, beyond which no more are asked for.
const ITEMS_AHEAD_MAX: usize = 8_000;

/// A page that was asked for ahead is asked for again when its turn comes later than this: what it lists may have changed.
const PAGE_AGE_MAX: Duration = Duration::from_secs(30);

/// Walks through all of `store` and gives the entries to `sender` in byte order. Ends early when nobody takes them any more.
pub(crate) async fn walk(store: &Store, errand: &Errand, sender: &mpsc::Sender<Vec<Entry>>) -> Result<(), Error> {
    let fetch = |folder: Key, token: Option<String>| fetch(store, folder, token, errand).boxed();
    Walk { fetch, sender, batch: Vec::new(), ahead: HashMap::new() }.run().await
}

/// A walk under way: entries in byte order, on their way out.
struct Walk<'a, F> {
    /// Asks for the page of a folder that begins at a token, or for its first one.
    fetch: F,
    sender: &'a mpsc::Sender<Vec<Entry>>,
    batch: Vec<Entry>,
    /// First pages of folders whose turn has not come, and when they were asked for.
    ahead: HashMap<Key, (Instant, Page)>,
}

/// What a page lists, and where the next one begins.
type Page = (Vec<Item>, Option<String>);

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Object(Entry),
    /// With the `/` at its end.
    Folder(Key),
}

impl Item {
    fn key(&self) -> &Key {
        match self {
            Self::Object(entry) => &entry.key,
            Self::Folder(key) => key,
        }
    }

    /// The name by which a folder's store sorts it: without the `/`.
    fn name(&self) -> &[u8] {
        let bytes = self.key().as_bytes();
        match self {
            Self::Object(_) => bytes,
            Self::Folder(_) => bytes.strip_suffix(b"/").unwrap_or(bytes),
        }
    }
}

impl<'f, F> Walk<'_, F>
where
    F: Fn(Key, Option<String>) -> BoxFuture<'f, Result<Page, Error>>,
{
    async fn run(mut self) -> Result<(), Error> {
        // A list and no recursion: a key may have a thousand slashes, and each would take its share of the stack.
        let mut path = vec![Level::new(Key::from(""))];
        while let Some(level) = path.last_mut() {
            match level.listed() {
                Some(Item::Object(entry)) => self.put(entry).await,
                Some(Item::Folder(folder)) => {
                    let page = self.first_page(&folder, level).await?;
                    let mut inner = Level::new(folder);
                    inner.take(page);
                    path.push(inner);
                }
                None if self.sender.is_closed() => return Ok(()),
                None if level.is_whole => drop(path.pop()),
                None => {
                    let page = (self.fetch)(level.folder.clone(), level.token.take()).await?;
                    level.take(page);
                }
            }
        }
        self.give_out().await;
        Ok(())
    }

    /// The first page of `folder`, and on the way those of the folders that come next on its own `level`.
    async fn first_page(&mut self, folder: &Key, level: &Level) -> Result<Page, Error> {
        match self.ahead.remove(folder) {
            Some((asked, page)) if asked.elapsed() < PAGE_AGE_MAX => return Ok(page),
            _ => {}
        }
        let waiting: usize = self.ahead.values().map(|(_, (items, _))| items.len()).sum();
        let beside = if waiting < ITEMS_AHEAD_MAX { FOLDERS_TOGETHER - 1 } else { 0 };
        let to_come = level.folders_to_come().filter(|folder| !self.ahead.contains_key(folder));
        let folders: Vec<Key> = std::iter::once(folder).chain(to_come.take(beside)).cloned().collect();
        let asked = Instant::now();
        let mut pages =
            try_join_all(folders.iter().map(|folder| (self.fetch)(folder.clone(), None))).await?.into_iter();
        let page = pages.next().unwrap_or_default();
        self.ahead.extend(folders.into_iter().skip(1).zip(pages.map(|page| (asked, page))));
        Ok(page)
    }

    async fn put(&mut self, entry: Entry) {
        self.batch.push(entry);
        if self.batch.len() >= BATCH {
            self.give_out().await;
        }
    }

    async fn give_out(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if !batch.is_empty() {
            // Nobody takes it when the run ended early; the walk ends at the next page.
            let _ = self.sender.send(batch).await;
        }
    }
}

/// A folder that is being walked through.
struct Level {
    folder: Key,
    /// What is left of the page in hand.
    items: VecDeque<Item>,
    /// Where the next page begins; `None` at the first one.
    token: Option<String>,
    /// Whether there are no more pages.
    is_whole: bool,
    /// Folders whose turn has not come.
    waiting: BTreeSet<Key>,
}

impl Level {
    fn new(folder: Key) -> Self {
        Self { folder, items: VecDeque::new(), token: None, is_whole: false, waiting: BTreeSet::new() }
    }

    fn take(&mut self, (items, next): Page) {
        (self.items, self.is_whole, self.token) = (items.into(), next.is_none(), next);
    }

    /// Folders of this level whose turn is still to come, about in that order.
    fn folders_to_come(&self) -> impl Iterator<Item = &Key> {
        let listed = self.items.iter().filter_map(|item| match item {
            Item::Folder(folder) => Some(folder),
            Item::Object(_) => None,
        });
        self.waiting.iter().chain(listed)
    }

    /// The next in byte order of what is listed: an object, or a folder whose turn it is. `None` when there is no more, or
    /// more has to be listed first.
    fn listed(&mut self) -> Option<Item> {
        loop {
            let is_due = match (self.waiting.first(), self.items.front()) {
                (Some(first), Some(next)) => first < next.key(),
                (Some(_), None) => self.is_whole,
                (None, _) => false,
            };
            if is_due {
                return self.waiting.pop_first().map(Item::Folder);
            }
            match self.items.pop_front()? {
                Item::Folder(folder) => drop(self.waiting.insert(folder)),
                object @ Item::Object(_) => return Some(object),
            }
        }
    }
}

async fn fetch(store: &Store, folder: Key, token: Option<String>, errand: &Errand) -> Result<Page, Error> {
    let prefix = store.full_prefix(&folder)?;
    let output = store
        .call("ListObjectsV2", None, errand, || {
            store
                .client()
                .list_objects_v2()
                .bucket(store.bucket())
                .set_prefix((!prefix.is_empty()).then(|| prefix.clone()))
                .delimiter("/")
                .set_continuation_token(token.clone())
                .encoding_type(EncodingType::Url)
                .send()
        })
        .await?;
    let encoded = output.encoding_type() == Some(&EncodingType::Url);
    let token = output.next_continuation_token.filter(|_| output.is_truncated == Some(true));
    let objects = output.contents.unwrap_or_default().into_iter();
    let mut items: Vec<Item> =
        objects.map(|object| entry(object, store, encoded).map(Item::Object)).collect::<Result<_, _>>()?;
    for common in output.common_prefixes.unwrap_or_default() {
        let Some(listed) = common.prefix else { continue };
        let key = if encoded { Key::from_listing(&listed, store.plus_means()) } else { Key::from(listed.as_str()) };
        // What does not lie deeper could go round for ever.
        let inner =
            key.below(store.prefix()).filter(|key| *key != folder && key.as_bytes().starts_with(folder.as_bytes()));
        let broken = || Error::ListingBroken { place: store.place(), what: "a folder outside the prefix".into() };
        items.push(Item::Folder(inner.ok_or_else(broken)?));
    }
    // An object beside a folder of the same name comes first: its key is a prefix of the folder's.
    items.sort_by(|one, other| one.name().cmp(other.name()).then_with(|| one.key().cmp(other.key())));
    Ok((items, token))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What a walk gives out over a tree in memory, whose folders are listed on pages of three.
    fn walked(keys: &BTreeSet<Vec<u8>>) -> Vec<Vec<u8>> {
        let fetch = |folder: Key, token: Option<String>| {
            let begin: usize = token.map_or(0, |token| token.parse().unwrap());
            let items = items(keys, folder.as_bytes());
            let page = items.iter().skip(begin).take(3).cloned().collect();
            let next = (begin + 3 < items.len()).then(|| (begin + 3).to_string());
            futures::future::ready(Ok((page, next))).boxed()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (sender, mut receiver) = mpsc::channel(16);
            Walk { fetch, sender: &sender, batch: Vec::new(), ahead: HashMap::new() }.run().await.unwrap();
            drop(sender);
            let mut out = Vec::new();
            while let Some(batch) = receiver.recv().await {
                out.extend(batch.into_iter().map(|entry| entry.key.as_bytes().to_vec()));
            }
            out
        })
    }

    /// What `folder` holds, as a store that sorts names lists it.
    fn items(keys: &BTreeSet<Vec<u8>>, folder: &[u8]) -> Vec<Item> {
        let mut names: BTreeMap<(Vec<u8>, bool), Item> = BTreeMap::new();
        for key in keys.iter().filter(|key| key.starts_with(folder)) {
            let rest = &key[folder.len()..];
            let slash = rest.iter().position(|byte| *byte == b'/');
            let (name, is_folder) = slash.map_or((rest, false), |slash| (&rest[..slash], true));
            let full = Key::from([folder, name, if is_folder { b"/" } else { b"" }].concat());
            names.insert((name.to_vec(), is_folder), if is_folder { Item::Folder(full) } else { object(full) });
        }
        names.into_values().collect()
    }

    fn object(key: Key) -> Item {
        let (etag, last_modified, storage_class, version) = (String::new(), None, None, None);
        Item::Object(Entry { key, size: 0, etag, last_modified, storage_class, version })
    }

    proptest! {
        #[test]
        fn folders_come_out_in_byte_order(keys in proptest::collection::btree_set("[-!a/0b]{1,6}", 0..80)) {
            let keys: BTreeSet<Vec<u8>> = keys.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(walked(&keys), keys.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn folders_may_be_as_deep_as_a_key_allows() {
        let keys = BTreeSet::from(["/".repeat(1024).into_bytes(), b"a/".repeat(512)]);
        assert_eq!(walked(&keys), keys.into_iter().collect::<Vec<_>>());
    }
}
