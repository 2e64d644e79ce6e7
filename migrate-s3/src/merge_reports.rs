//! `migrate-s3 merge-reports`: whether the reports of all shares add up to the whole.
//!
//! Every share listed everything: the digests of what they listed must be the same, or the source has moved between them;
//! and the digests of their own shares must sum up to it, or one is missing or double. Called by `lib`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use common::aws::SideOptions;
use common::error::OperatorError as _;
use common::exit::ExitStatus;
use common::finding::Verdict;
use common::location::Location;
use common::report::{Report, Totals, summary};

use crate::args::MergeArgs;
use crate::errand::Errand;
use crate::error::Error;
use crate::listing::{self, From};
use crate::read::{Wanted, read};
use crate::shard::{Listed, Shard};
use crate::store::{Side, Store};

/// Settings under which a share's report keeps what it listed.
pub const SHARD: &str = "shard";
/// See [`SHARD`].
pub const LISTED_ALL: &str = "listed by all shares";
/// See [`SHARD`].
pub const LISTED_OWN: &str = "listed by this share";

/// The report's name in its place.
const REPORT: &str = "report.json";

/// A report has 2,000 items and findings at most; more than this is something else.
const REPORT_BYTES_MAX: u64 = 64 << 20;

/// Adds up, prints what came of it, and gives the exit status of the whole.
pub async fn run(args: &MergeArgs) -> ExitStatus {
    match read_all(args).await.and_then(|reports| merge(&reports)) {
        Ok(merged) => {
            // A reader that has gone away still has the exit status.
            let _ = summary::print(&merged.text());
            merged.status
        }
        Err(error) => {
            common::error::show(&error);
            error.class().exit_status()
        }
    }
}

async fn read_all(args: &MergeArgs) -> Result<Vec<Report>, Error> {
    let mut reports = Vec::new();
    for location in &args.locations {
        match location {
            Location::Directory(directory) => {
                for path in paths(directory)? {
                    let text = std::fs::read(&path).map_err(|error| wrong(path.display(), error.to_string()))?;
                    reports.push(parse(path.display(), &text)?);
                }
            }
            Location::S3(url) => {
                let side = SideOptions::of_process(args.report_endpoint_url.clone(), args.report_region.clone());
                let store = Store::new(Side::Target, url.clone(), side).await?;
                reports.extend(read_bucket(&store).await?);
            }
        }
    }
    Ok(reports)
}

/// The reports in `directory`, or in the directories directly below.
fn paths(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let own = directory.join(REPORT);
    if own.is_file() {
        return Ok(vec![own]);
    }
    let entries = std::fs::read_dir(directory).map_err(|error| wrong(directory.display(), error.to_string()))?;
    let paths = entries.flatten().map(|entry| entry.path().join(REPORT)).filter(|path| path.is_file());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    Ok(paths)
}

/// The same under a prefix.
async fn read_bucket(store: &Store) -> Result<Vec<Report>, Error> {
    let errand = Errand::new(tokio_util::sync::CancellationToken::new());
    let (mut own, mut below, mut from) = (Vec::new(), Vec::new(), From::Start);
    loop {
        let page = listing::fetch(store, &from, None, &errand).await?;
        for entry in &page.entries {
            match entry.key.as_str().and_then(|key| key.strip_suffix(REPORT)) {
                Some("") => own.push(entry.clone()),
                Some(folder) if folder.ends_with('/') && folder.matches('/').count() == 1 => below.push(entry.clone()),
                _ => {}
            }
        }
        match page.next() {
            Some(next) => from = next,
            None => break,
        }
    }
    let mut reports = Vec::new();
    for entry in if own.is_empty() { below } else { own } {
        let place = format!("{}{}", store.url(), entry.key);
        if entry.size > REPORT_BYTES_MAX {
            return Err(wrong(place, "it is too large for a report".into()));
        }
        let mut text = Vec::new();
        let sink = &mut |chunk: &[u8]| text.extend_from_slice(chunk);
        read(store, Wanted::of(&entry), 0..entry.size, &errand, sink).await?;
        reports.push(parse(place, &text)?);
    }
    Ok(reports)
}

fn parse(place: impl Display, text: &[u8]) -> Result<Report, Error> {
    serde_json::from_slice(text).map_err(|error| wrong(place, format!("it is no report: {error}")))
}

fn wrong(place: impl Display, what: String) -> Error {
    Error::Merge { place: place.to_string(), what }
}

/// What all shares are together.
#[derive(Debug)]
struct Merged {
    totals: Totals,
    verdict: Verdict,
    status: ExitStatus,
    shares: usize,
}

fn merge(reports: &[Report]) -> Result<Merged, Error> {
    let together = |what: String| Error::Merge { place: "the reports together".into(), what };
    let first = reports.first().ok_or_else(|| together("there is none".into()))?;
    let mut shares = BTreeMap::new();
    let (mut own, mut totals) = (Listed::default(), Totals { unit: "object".into(), ..Totals::default() });
    for report in reports {
        let name = &report.source.location;
        let setting = |name: &str| report.settings.get(name).ok_or_else(|| together(format!("one has no `{name}`")));
        let shard = setting(SHARD)?;
        let same = (&report.source.location, &report.target.location, &report.mode);
        if same != (&first.source.location, &first.target.location, &first.mode) {
            return Err(together(format!("the share {shard} is of another migration: {name}")));
        }
        if setting(LISTED_ALL)? != &first.settings[LISTED_ALL] {
            return Err(together(format!(
                "the share {shard} listed another source than the first one did: it has moved"
            )));
        }
        if shares.insert(shard.clone(), report.exit_code).is_some() {
            return Err(together(format!("the share {shard} is there twice")));
        }
        own.merge(setting(LISTED_OWN)?.parse().map_err(|()| together(format!("the share {shard} has no digest")))?);
        add(&mut totals, &report.totals);
    }
    let count = first.settings[SHARD].split_once('/').map_or("1", |(_, count)| count);
    for index in 0..count.parse::<u32>().unwrap_or(1) {
        let share = format!("{index}/{count}");
        if share.parse::<Shard>().is_err() || !shares.contains_key(&share) {
            return Err(together(format!("the share {share} is missing")));
        }
    }
    if own.to_string() != first.settings[LISTED_ALL] {
        return Err(together("their shares do not add up to what was listed".into()));
    }
    let (verdict, status) = worst(reports);
    Ok(Merged { totals, verdict, status, shares: shares.len() })
}

fn add(totals: &mut Totals, other: &Totals) {
    totals.listed += other.listed;
    totals.copied += other.copied;
    totals.equal += other.equal;
    totals.skipped += other.skipped;
    totals.failed += other.failed;
    totals.target_only += other.target_only;
    totals.bytes_listed += other.bytes_listed;
    totals.bytes_copied += other.bytes_copied;
}

/// The worst of all: what failed, then what was stopped, what differs, what is not proved.
fn worst(reports: &[Report]) -> (Verdict, ExitStatus) {
    let is = |verdict: Verdict| reports.iter().any(|report| report.verdict == verdict);
    [
        (Verdict::Failed, ExitStatus::Failed),
        (Verdict::Stopped, ExitStatus::Transient),
        (Verdict::Different, ExitStatus::Different),
        (Verdict::Unproved, ExitStatus::Unproved),
    ]
    .into_iter()
    .find(|(verdict, _)| is(*verdict))
    .unwrap_or((Verdict::Equal, ExitStatus::Done))
}

impl Merged {
    fn text(&self) -> String {
        let Totals { listed, copied, equal, skipped, failed, .. } = &self.totals;
        format!(
            "{} shares are the whole\n{listed} listed = {copied} copied + {equal} equal + {skipped} skipped + {failed} failed\n{}\n",
            self.shares,
            self.verdict.word()
        )
    }
}
