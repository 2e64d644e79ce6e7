//! The listing of a store that lists folder by folder, put into byte order.
//!
//! Stores that keep objects in a tree of folders list `a/b` before `a-b`, because they sort names within a folder, while
//! bytes say the opposite: `-` comes before `/`. Such a store is listed one folder at a time; a folder waits until all
//! names that come before its `/` have been given out. What waits is bounded by the nesting of names within names.
//! Called by `listing`.

use std::collections::BTreeSet;

use aws_sdk_s3::types::EncodingType;
use futures::future::{BoxFuture, FutureExt as _};
use tokio::sync::mpsc;

use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::{Entry, entry};
use crate::store::Store;

/// Entries given out at a time.
const BATCH: usize = 1000;

/// A walk under way: entries in byte order, on their way out.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    errand: &'a Errand,
    sender: &'a mpsc::Sender<Vec<Entry>>,
    batch: Vec<Entry>,
}

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

impl<'a> Walk<'a> {
    /// A walk through `store` that gives its entries to `sender`.
    pub(crate) fn new(store: &'a Store, errand: &'a Errand, sender: &'a mpsc::Sender<Vec<Entry>>) -> Self {
        Self { store, errand, sender, batch: Vec::new() }
    }

    /// Walks through everything. Returns early when nobody takes the entries any more.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        self.folder(Key::from("")).await?;
        self.give_out().await;
        Ok(())
    }

    fn folder(&mut self, folder: Key) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let mut waiting = BTreeSet::new();
            let mut token = None;
            loop {
                let (items, next) = fetch(self.store, &folder, token, self.errand).await?;
                for item in items {
                    for folder in due(&mut waiting, item.key()) {
                        self.folder(folder).await?;
                    }
                    match item {
                        Item::Object(entry) => self.put(entry).await,
                        Item::Folder(key) => drop(waiting.insert(key)),
                    }
                }
                if self.sender.is_closed() {
                    return Ok(());
                }
                match next {
                    Some(next) => token = Some(next),
                    None => break,
                }
            }
            for folder in waiting {
                self.folder(folder).await?;
            }
            Ok(())
        }
        .boxed()
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

/// Takes out of `waiting` the folders that come before `next`, in order.
fn due(waiting: &mut BTreeSet<Key>, next: &Key) -> Vec<Key> {
    let mut due = Vec::new();
    while let Some(first) = waiting.first().filter(|first| *first < next).cloned() {
        waiting.remove(&first);
        due.push(first);
    }
    due
}

async fn fetch(
    store: &Store,
    folder: &Key,
    token: Option<String>,
    errand: &Errand,
) -> Result<(Vec<Item>, Option<String>), Error> {
    let prefix = store.full_key(folder)?;
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
        let broken = || Error::ListingBroken { place: store.place(), what: "a folder outside the prefix".into() };
        items.push(Item::Folder(key.below(store.prefix()).ok_or_else(broken)?));
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

    /// The walk's own order over a tree in memory.
    fn walk(keys: &BTreeSet<Vec<u8>>, folder: &[u8], out: &mut Vec<Vec<u8>>) {
        let mut names: BTreeMap<(Vec<u8>, bool), Key> = BTreeMap::new();
        for key in keys.iter().filter(|key| key.starts_with(folder)) {
            let rest = &key[folder.len()..];
            let slash = rest.iter().position(|byte| *byte == b'/');
            let (name, is_folder) = slash.map_or((rest, false), |slash| (&rest[..slash], true));
            let full = [folder, name, if is_folder { b"/" } else { b"" }].concat();
            names.insert((name.to_vec(), is_folder), Key::from(full));
        }
        let mut waiting = BTreeSet::new();
        for ((_, is_folder), key) in names {
            for folder in due(&mut waiting, &key) {
                walk(keys, folder.as_bytes(), out);
            }
            if is_folder {
                waiting.insert(key);
            } else {
                out.push(key.as_bytes().to_vec());
            }
        }
        for folder in waiting {
            walk(keys, folder.as_bytes(), out);
        }
    }

    proptest! {
        #[test]
        fn folders_come_out_in_byte_order(keys in proptest::collection::btree_set("[-!a/0]{1,6}", 0..40)) {
            let keys: BTreeSet<Vec<u8>> = keys.into_iter().map(String::into_bytes).collect();
            let mut out = Vec::new();
            walk(&keys, b"", &mut out);
            prop_assert_eq!(out, keys.into_iter().collect::<Vec<_>>());
        }
    }
}
