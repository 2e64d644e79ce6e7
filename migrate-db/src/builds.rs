//! How far the target is with the indexes that it builds, for the display: they can take as long as the rows did.
//!
//! Called by `run`. Only looks; a target before PostgreSQL 12 cannot tell, and then nothing is shown.

use std::time::Duration;

use common::progress::{Progress, Working};
use common::tasks::Background;

use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::{Result, Side};

/// How often the target is asked.
const INTERVAL: Duration = Duration::from_secs(5);
/// Smaller databases are done before anybody looks.
const WORTH_WATCHING_BYTES: u64 = 256 << 20;

/// Shows the builds in `progress` until the value is dropped; `None` where there is too little to build.
pub fn watch(target: &Endpoint, progress: &Progress, bytes: u64) -> Option<Background> {
    let (target, progress) = (target.clone(), progress.clone());
    (bytes >= WORTH_WATCHING_BYTES).then(|| {
        Background::spawn(async move {
            // Whoever builds will meet the same trouble and say so.
            if let Err(error) = show(&target, &progress).await {
                tracing::debug!(%error, "index builds cannot be watched");
            }
        })
    })
}

async fn show(target: &Endpoint, progress: &Progress) -> Result<()> {
    let session = Session::open(target, Side::Target).await?;
    let statement = "
        SELECT format('%I.%I', n.nspname, c.relname), p.phase,
               (CASE WHEN p.tuples_total > 0 THEN 100.0 * p.tuples_done / p.tuples_total
                     WHEN p.blocks_total > 0 THEN 100.0 * p.blocks_done / p.blocks_total END)::integer
        FROM pg_stat_progress_create_index p
        JOIN pg_class c ON c.oid = p.relid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.datname = current_database() ORDER BY 1";
    let mut shown: Vec<Working> = Vec::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let rows = session.query("look at the index builds", statement, &[]).await?;
        let label = |row: &tokio_postgres::Row| {
            label(row.get::<_, &str>(0), row.get::<_, Option<&str>>(1).unwrap_or_default(), row.get(2))
        };
        let now: Vec<Working> = rows.iter().map(|row| progress.working_on(label(row))).collect();
        // The old ones go only now, so that a build does not vanish between two looks.
        drop(std::mem::replace(&mut shown, now));
    }
}

/// For example `an index of public.logs, sorting: 43 %`.
fn label(table: &str, phase: &str, percent: Option<i32>) -> String {
    let phase = phase.strip_prefix("building index: ").unwrap_or(phase);
    match percent {
        Some(percent) => format!("an index of {table}, {phase}: {percent} %"),
        None => format!("an index of {table}, {phase}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_named_by_table_phase_and_share() {
        let scanning = label("public.logs", "building index: scanning table", Some(43));
        assert_eq!(scanning, "an index of public.logs, scanning table: 43 %");
        assert_eq!(label("public.logs", "initializing", None), "an index of public.logs, initializing");
    }
}
