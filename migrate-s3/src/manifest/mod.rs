//! `--manifest`: what is to be migrated is read off a list instead of the source's listing.
//!
//! The list is an S3 Inventory in CSV (its `manifest.json`, whose files are read and held against their MD5s) or a manifest of
//! S3 Batch Operations (`bucket,key[,version]`), gzipped where its name ends so. It is read piece by piece, never whole, and
//! in any order: each object is looked up on the target by itself. Called by `run` and `worker`.

mod file;
mod row;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::Ordering;

use common::aws::SideOptions;
use common::location::BucketUrl;
use common::settings::SettingError;
use common::tasks::TaskSet;
use jiff::Timestamp;

use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::head;
use crate::listing::{Entry, Listing, Producer};
use crate::merge::Pair;
use crate::plan::{Step, step};
use crate::planner::Terms;
use file::{Lines, Plan};

/// Rows given out at a time.
const BATCH: usize = 1000;

/// Why an object of a list is left behind that is not there any more.
pub const GONE: &str = "the source no longer has it";

/// Where a list is: a file here or an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file of this machine.
    File(PathBuf),
    /// An object, reached like the target.
    Object {
        /// Its bucket.
        bucket: String,
        /// Its key.
        key: String,
    },
}

impl FromStr for Place {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("s3://") else { return Ok(Self::File(PathBuf::from(text))) };
        let url: BucketUrl = text.parse()?;
        match rest.split_once('/') {
            Some((_, key)) if !key.is_empty() => Ok(Self::Object { bucket: url.bucket, key: key.into() }),
            _ => Err(SettingError::Invalid {
                name: format!("the manifest `{text}`"),
                reason: "it names a bucket and no object".into(),
                how: Some("give s3://bucket/path/manifest.json, or s3://bucket/path/list.csv".into()),
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Object { bucket, key } => write!(formatter, "s3://{bucket}/{key}"),
        }
    }
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// An object as the list describes it, size and ETag included.
    Described(Entry),
    /// An object of which only the name is given.
    Named(Entry),
    /// One that is not to be migrated, and why.
    Left(Entry, &'static str),
}

impl Row {
    /// The entry, as far as it is known.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Described(entry) | Self::Named(entry) | Self::Left(entry, _) => entry,
        }
    }
}

/// Begins to read the list at `place` by a task in `tasks`; `side` is how a bucket is reached.
pub fn start(place: &Place, side: &SideOptions, source: &BucketUrl, tasks: &mut TaskSet<Error>) -> Listing<Row> {
    let (place, side, source) = (place.clone(), side.clone(), source.clone());
    Listing::of(tasks, |producer| async move { produce(&place, &side, &source, &producer).await })
}

/// Whether the list at `place` can be begun with, and when it was made, where it says so. A list of names is as good as the day.
pub async fn made_at(place: &Place, route: &Route, errand: &Errand) -> Result<Option<Timestamp>, Error> {
    let plan = Plan::open(place, route.target.options(), route.source.url(), errand).await?;
    Ok(plan.made_at)
}

async fn produce(place: &Place, side: &SideOptions, source: &BucketUrl, producer: &Producer<Row>) -> Result<(), Error> {
    let plan = Plan::open(place, side, source, &producer.errand).await?;
    let mut batch = Vec::new();
    for file in &plan.files {
        let mut lines = Lines::open(file, &producer.errand).await?;
        while let Some(line) = lines.next().await? {
            let row = row::parse(&line, &plan.schema, source);
            batch.push(row.map_err(|what| lines.wrong(&what))?);
            if batch.len() == BATCH && producer.sender.send(std::mem::take(&mut batch)).await.is_err() {
                return Ok(());
            }
        }
    }
    if batch.is_empty() || producer.sender.send(batch).await.is_ok() {
        producer.end.store(true, Ordering::Release);
    }
    Ok(())
}

/// What to do with `row`: asks the source where the list does not say enough, and the target whether it has it.
pub async fn resolve(route: &Route, terms: &Terms, row: Row, errand: &Errand) -> Result<Step, Error> {
    let source = match row {
        Row::Left(source, why) => return Ok(Step::Left { source, why }),
        Row::Described(source) => source,
        Row::Named(source) => match head::sure(&route.source, &source.key, source.version_id(), errand).await {
            Ok(head) => Entry { size: head.size, etag: head.etag, last_modified: head.last_modified, ..source },
            Err(error) if error.is_not_found() => return Ok(Step::Left { source, why: GONE }),
            Err(error) => return Err(error),
        },
    };
    let pair = match head::sure(&route.target, &source.key, None, errand).await {
        Ok(head) => {
            let target = Entry {
                key: source.key.clone(),
                size: head.size,
                etag: head.etag,
                last_modified: head.last_modified,
                storage_class: None,
                version: None,
            };
            Pair::Both { source, target }
        }
        Err(error) if error.is_not_found() => Pair::SourceOnly(source),
        Err(error) => return Err(error),
    };
    Ok(step(pair, terms.policy, &terms.memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        assert_eq!("list.csv".parse::<Place>().unwrap(), Place::File("list.csv".into()));
        let object = Place::Object { bucket: "lists".into(), key: "a/manifest.json".into() };
        assert_eq!("s3://lists/a/manifest.json".parse::<Place>().unwrap(), object);
        assert!("s3://lists/".parse::<Place>().is_err());
    }
}
