//! `migrate-s3 merge-reports`: whether the reports of all shares add up to the whole.
//!
//! Every share listed everything: the digests of what they listed must be the same, or the source has moved between them;
//! and the digests of their own shares must sum up to it, or one is missing or double. Called by `lib`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::error::OperatorError as _;
use common::exit::ExitStatus;
use common::finding::Verdict;
use common::report::{Report, Totals, summary};

use crate::args::MergeArgs;
use crate::error::Error;
use crate::shard::{Listed, Shard};

/// Settings under which a share's report keeps what it listed.
pub const SHARD: &str = "shard";
/// See [`SHARD`].
pub const LISTED_ALL: &str = "listed by all shares";
/// See [`SHARD`].
pub const LISTED_OWN: &str = "listed by this share";

/// Adds up, prints what came of it, and gives the exit status of the whole.
pub fn run(args: &MergeArgs) -> ExitStatus {
    match read_all(&args.directories).and_then(|reports| merge(&reports)) {
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

fn read_all(directories: &[PathBuf]) -> Result<Vec<Report>, Error> {
    let mut paths = Vec::new();
    for directory in directories {
        let own = directory.join("report.json");
        if own.is_file() {
            paths.push(own);
            continue;
        }
        let entries = std::fs::read_dir(directory).map_err(|error| wrong(directory, error.to_string()))?;
        paths.extend(entries.flatten().map(|entry| entry.path().join("report.json")).filter(|path| path.is_file()));
    }
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Result<Report, Error> {
    let text = std::fs::read(path).map_err(|error| wrong(path, error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| wrong(path, format!("it is no report: {error}")))
}

fn wrong(path: &Path, what: String) -> Error {
    Error::Merge { place: path.display().to_string(), what }
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
