//! How long a migration takes at least: a short sample of reading, for a dry run.
//!
//! Writing cannot be tried, since a dry run changes nothing; so this is what the source and the way to it allow.

use std::time::{Duration, Instant};

use common::progress::Progress;
use common::report::Check;
use common::units;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::connect::Pool;
use crate::error::{Error, Result};
use crate::plan::{Plan, TablePlan};
use crate::segment::{self, Range};
use crate::stream::{self as rows, Surroundings};

/// How long the source is read for.
const SAMPLE: Duration = Duration::from_secs(3);
/// Everything passes twice: it is copied, and read back.
const PASSES: f64 = 2.0;

/// Reads from the largest tables on, through as many sessions as a migration would, for [`SAMPLE`] at most, and says what
/// follows from it.
pub async fn sample(readers: &Pool, plan: &Plan, stop: &CancellationToken) -> Result<Check> {
    let around = Surroundings { progress: Progress::new("tables"), stop: stop.child_token() };
    let started = Instant::now();
    let segments = plan.tables.iter().flat_map(|table| table.ranges.iter().map(move |range| (table, range)));
    let reading = stream::iter(segments)
        .map(|(table, range)| read(readers, table, range, around.clone()))
        .buffer_unordered(readers.width())
        .try_collect::<()>();
    let whole = tokio::select! {
        outcome = reading => outcome.map(|()| true)?,
        () = tokio::time::sleep(SAMPLE) => false,
    };
    around.stop.cancel();
    if stop.is_cancelled() {
        return Err(Error::Cancelled);
    }
    let seconds = started.elapsed().as_secs_f64();
    let read = around.progress.snapshot().bytes_done;
    Ok(Check::pass("time", describe(whole, read, seconds, plan.bytes(), readers.width())))
}

async fn read(readers: &Pool, table: &TablePlan, range: &Range, around: Surroundings) -> Result<()> {
    let lease = readers.take().await?;
    let statement = segment::copy_out(&table.table, range, table.format);
    let from = rows::End { session: lease.session(), statement };
    match rows::digest(from, table.format, table.spelling.clone(), around).await {
        Ok(_) => lease.give_back(),
        // The end of the sample, or of the run.
        Err(Error::Cancelled) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn describe(whole: bool, read: u64, seconds: f64, bytes: u64, sessions: usize) -> String {
    if whole {
        return format!(
            "all rows were read in {} through {}",
            units::duration(seconds),
            units::counted(sessions as u64, "session")
        );
    }
    let rate = read as f64 / seconds;
    if rate < 1.0 {
        return format!("nothing came from the source within {}: no telling", units::duration(seconds));
    }
    format!(
        "the source gives {} through {}: reading all of it takes {}, a migration at least {} and its index builds",
        units::rate(rate),
        units::counted(sessions as u64, "session"),
        units::estimate(bytes as f64 / rate),
        units::estimate(PASSES * bytes as f64 / rate),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_tells_how_long_the_rest_takes() {
        insta::assert_snapshot!(describe(false, 300_000_000, 3.0, 120_000_000_000, 4));
        insta::assert_snapshot!(describe(false, 0, 3.0, 1, 4));
        insta::assert_snapshot!(describe(true, 5, 0.04, 7, 4));
    }
}
