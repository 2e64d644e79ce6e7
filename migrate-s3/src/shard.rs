//! A share of a bucket's objects: every run lists everything and works on the keys whose hash is its own.
//!
//! Stateless, so that array jobs need nothing in common but their number. What each share listed in all and what it took
//! for its own is added up in a digest that does not depend on order; `merge_reports` holds them against each other.
//! Pure. Called by `config`, `run`.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use common::location::Location;
use common::settings::{SettingError, Variables};

use crate::digest;
use crate::key::Key;
use crate::listing::Entry;
use crate::merge::Pair;

/// Which share of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: u32,
    count: u32,
}

/// More shares than this are a slip: an array job has 10,000 at most.
const COUNT_MAX: u32 = 10_000;

impl FromStr for Shard {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if index < count && count <= COUNT_MAX => Ok(Self { index, count }),
            _ => Err(SettingError::Invalid {
                name: format!("the share `{text}`"),
                reason: "it is not I/N with I from 0 to N-1".into(),
                how: Some(format!("write 0/4, 1/4, 2/4, 3/4 for four shares; {COUNT_MAX} are the most")),
            }),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// What an orchestrator says in its own variables: AWS Batch, or Kubernetes with the number of completions beside.
    pub fn of_orchestrator(variables: &Variables) -> Result<Option<Self>, SettingError> {
        for (index, count) in
            [("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"), ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS")]
        {
            let Some(number) = variables.get(index)? else { continue };
            let Some(of) = variables.get(count)? else {
                return Err(SettingError::Missing {
                    what: format!("the number of shares, {count}, beside {index}"),
                    how: format!("set {count} to the number of runs, or give --shard"),
                });
            };
            return format!("{number}/{of}").parse().map(Some);
        }
        Ok(None)
    }

    /// Whether `key` is in this share.
    pub fn holds(self, key: &Key) -> bool {
        digest::crc64nvme(key.as_bytes()) % u64::from(self.count) == u64::from(self.index)
    }

    /// The share's own place in `location`.
    pub fn place(self, location: Location) -> Location {
        match location {
            Location::Directory(path) => Location::Directory(path.join(self.name())),
            Location::S3(mut url) => {
                url.prefix = format!("{}{}/", url.prefix, self.name());
                Location::S3(url)
            }
        }
    }

    /// A name for files: `shard-3-of-8`.
    pub fn name(self) -> String {
        format!("shard-{}-of-{}", self.index, self.count)
    }
}

/// The part of the plan that is this run's, and what was listed for it.
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// `None` for all of it.
    pub shard: Option<Shard>,
    /// By all shares, and by this one.
    listed: Arc<Mutex<(Listed, Listed)>>,
}

impl Share {
    /// That of `shard`, or everything.
    pub fn of(shard: Option<Shard>) -> Self {
        Self { shard, ..Self::default() }
    }

    /// What was listed so far: by all shares, and by this one.
    pub fn listed(&self) -> (Listed, Listed) {
        *self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `pair` is this run's to work on.
    pub fn takes(&self, pair: &Pair) -> bool {
        let Some(shard) = self.shard else { return true };
        let (Pair::SourceOnly(entry) | Pair::TargetOnly(entry) | Pair::Both { source: entry, .. }) = pair;
        let is_own = shard.holds(&entry.key);
        if !matches!(pair, Pair::TargetOnly(_)) {
            self.note(std::slice::from_ref(entry), is_own);
        }
        is_own
    }

    /// The same for a key and its versions on the source.
    pub fn takes_versions(&self, key: &Key, source: &[Entry]) -> bool {
        let Some(shard) = self.shard else { return true };
        let is_own = shard.holds(key);
        self.note(source, is_own);
        is_own
    }

    fn note(&self, source: &[Entry], is_own: bool) {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in source {
            listed.0.add(entry);
            if is_own {
                listed.1.add(entry);
            }
        }
    }
}

/// The digest of a set of listed objects: their number and the sum of their hashes, which no order changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listed {
    count: u64,
    sum: u128,
}

impl Listed {
    /// Takes one more object.
    pub fn add(&mut self, entry: &Entry) {
        let version = entry.version_id().map(|id| format!("\0{id}")).unwrap_or_default();
        let rest = format!("\0{}\0{}{version}", entry.size, entry.etag);
        let text = [entry.key.as_bytes(), rest.as_bytes()].concat();
        let sha = digest::sha256(&text);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(sha[..16].try_into().unwrap_or_default()));
        self.count += 1;
    }

    /// Takes another set, which has nothing in common with this one.
    pub fn merge(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.count += other.count;
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} objects, digest {:032x}", self.count, self.sum)
    }
}

impl FromStr for Listed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (count, sum) = text.split_once(" objects, digest ").ok_or(())?;
        Ok(Self { count: count.parse().map_err(|_| ())?, sum: u128::from_str_radix(sum, 16).map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(key: &[u8]) -> Entry {
        Entry {
            key: Key::from(key.to_vec()),
            size: 1,
            etag: "e".into(),
            last_modified: None,
            storage_class: None,
            version: None,
        }
    }

    proptest! {
        #[test]
        fn every_key_is_in_one_share_and_the_shares_are_the_whole(
            keys in proptest::collection::btree_set(proptest::collection::vec(any::<u8>(), 0..8), 0..40), count in 1u32..9,
        ) {
            let (mut whole, mut sum) = (Listed::default(), Listed::default());
            for key in &keys {
                whole.add(&entry(key));
            }
            for index in 0..count {
                let (shard, mut own) = (Shard { index, count }, Listed::default());
                keys.iter().map(|key| entry(key)).filter(|entry| shard.holds(&entry.key)).for_each(|entry| own.add(&entry));
                prop_assert_eq!(own.to_string().parse(), Ok(own));
                sum.merge(own);
            }
            prop_assert_eq!(sum, whole);
        }
    }

    #[test]
    fn orchestrators_are_understood() {
        let shard = |pairs: [(&str, &str); 2]| Shard::of_orchestrator(&Variables::from(pairs));
        let batch = shard([("AWS_BATCH_JOB_ARRAY_INDEX", "2"), ("AWS_BATCH_JOB_ARRAY_SIZE", "5")]).unwrap();
        assert_eq!(batch.unwrap().to_string(), "2/5");
        let job = shard([("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "3")]).unwrap();
        assert_eq!(job.unwrap().name(), "shard-0-of-3");
        assert!(
            shard([("JOB_COMPLETION_INDEX", "0"), ("X", "3")]).unwrap_err().to_string().contains("JOB_COMPLETIONS")
        );
        for wrong in ["4/4", "1", "a/b", "-1/2", "0/0", "0/10001"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
