//! Whether somebody still writes to the source: who is connected when a run begins, and which tables changed while it ran.
//!
//! What is written after the snapshot is not in the target, and nobody would notice until it is missed. Where the position of the
//! write-ahead log is the same, nothing was written at all, by anybody. The counters of `pg_stat_all_tables` need no right and no scan, but
//! servers update them up to seconds late: they say where to look, and reading the table again says what is so. Called by `run`.

use std::collections::{BTreeMap, BTreeSet};

use common::digest::RowDigest;
use common::error::Class;
use common::finding::{Finding, FindingKind};
use common::report::Check;
use common::units;

use crate::catalog::{RelationName, Table, user_schema};
use crate::connect::Session;
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Side};
use crate::plan::{Plan, TablePlan};
use crate::record::TableRecord;
use crate::verify;

/// As much of the source is read again at most to see whether it changed: seconds, while a service is down.
const READ_AGAIN_BYTES_MAX: u64 = 512 << 20;
/// The aspect of findings about them.
const ASPECT: &str = "late writes";
/// What follows from all of them.
const NOT_THERE: &str = "what came after the snapshot is not in the target";

/// What a server says of the writes to it so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Rows inserted, updated and deleted in each table since its counters began.
    tables: BTreeMap<RelationName, [i64; 3]>,
    /// How far the whole server's write-ahead log is; `None` where it does not say.
    wal: Option<String>,
    /// It only repeats what another server writes, and counts nothing of that.
    is_standby: bool,
}

impl WriteCounts {
    /// Asks the source, in a session of its own: within a transaction the answer would not change any more.
    pub async fn read(source: &Endpoint) -> Result<Self> {
        let session = Session::open(source, Side::Source).await?;
        let statement = format!(
            "SELECT n.nspname::text, c.relname::text, pg_stat_get_tuples_inserted(c.oid),
                    pg_stat_get_tuples_updated(c.oid), pg_stat_get_tuples_deleted(c.oid)
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND {}",
            user_schema()
        );
        let rows = session.query("read the source's write counters", &statement, &[]).await?;
        let count = |row: &tokio_postgres::Row| {
            (RelationName { schema: row.get(0), name: row.get(1) }, [row.get(2), row.get(3), row.get(4)])
        };
        let tables = rows.iter().map(count).collect();
        let standby = "SELECT pg_is_in_recovery()";
        let is_standby = session.value("look whether the source is a standby", standby, &[]).await?;
        // Last, so that it covers what was read before.
        let statement = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text";
        let wal = match session.value("read how far the source's WAL is", statement, &[]).await {
            Ok(wal) => wal,
            Err(error) => {
                tracing::debug!(%error, "the source does not say how far its WAL is");
                None
            }
        };
        Ok(Self { tables, wal, is_standby })
    }

    /// What can be said where nothing was found that is missing, though `written_count` tables were written to between `self` and
    /// `later`.
    pub fn check(&self, later: &Self, written_count: usize) -> Check {
        const NAME: &str = "the source since the snapshot";
        if later.is_standby {
            let detail = "it is a standby, which does not count what is written on its primary";
            return Check::warn(NAME, detail, "for the final run stop whoever writes to the primary");
        }
        let detail = match (&self.wal, &later.wal) {
            _ if written_count > 0 => {
                let tables = units::counted(written_count as u64, "table");
                format!("{tables} written to, by the server's counters; what was copied is what they hold")
            }
            (Some(before), Some(after)) if before == after => {
                format!("nothing was written on its whole server: its WAL is at {after}, as before the snapshot")
            }
            (Some(before), Some(after)) => {
                format!(
                    "no table written to, by the server's counters; the WAL of the whole server went from {before} to {after}"
                )
            }
            _ => "no table written to, by the server's counters".into(),
        };
        Check::pass(NAME, detail)
    }

    /// Those of all who hold rows of `table`.
    fn of(&self, table: &Table) -> [i64; 3] {
        let counts = table.holders().iter().filter_map(|holder| self.tables.get(&holder.name));
        counts.fold([0; 3], |sum, counts| std::array::from_fn(|kind| sum[kind] + counts[kind]))
    }

    /// The tables of `plan` whose counters differ between `self` and `later`, smallest first.
    pub fn changed<'a>(&self, later: &Self, plan: &'a Plan) -> Vec<(&'a TablePlan, Change)> {
        let change = |table: &'a TablePlan| {
            let [before, after] = [self, later].map(|counts| counts.of(&table.table));
            (before != after).then_some((table, Change { before, after }))
        };
        let mut changed: Vec<(&TablePlan, Change)> = plan.tables.iter().filter_map(change).collect();
        changed.sort_by_key(|(table, _)| table.table.bytes);
        changed
    }

    /// One finding for each table that came between `self` and `later` and that `plan` does not have.
    pub fn new_tables(&self, later: &Self, plan: &Plan) -> Vec<Finding> {
        let holders = plan.tables.iter().flat_map(|table| table.table.holders()).map(|table| &table.name);
        let planned: BTreeSet<&RelationName> =
            holders.chain(plan.left_out.iter().map(|left_out| &left_out.name)).collect();
        let is_new = |name: &&RelationName| {
            !self.tables.contains_key(name) && !planned.contains(name) && !plan.planted.has_schema(&name.schema)
        };
        let note = |name| {
            let detail = format!(
                "was made on the source since the snapshot; {NOT_THERE}: copy it by hand, or migrate again with --clean"
            );
            Finding::new(FindingKind::Note, format!("table {name}"), ASPECT, detail)
        };
        later.tables.keys().filter(is_new).map(note).collect()
    }
}

/// One finding for each of the `changed` tables whose content is no longer what the run copied: `records` hold what its
/// snapshot saw, `now` reads the source as it is now. As much as [`READ_AGAIN_BYTES_MAX`] is read again; beyond that the
/// counters must do.
pub async fn findings(
    changed: Vec<(&TablePlan, Change)>,
    records: &[TableRecord],
    now: &Context,
) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut room = READ_AGAIN_BYTES_MAX;
    for (table, change) in changed {
        let record = records.iter().find(|record| record.name == table.table.name);
        // Nothing of it is in the target, and that has been said: no word of what came later.
        if record.is_some_and(|record| record.failure.is_some() && record.source.is_none()) {
            continue;
        }
        let copied = record.and_then(|record| record.source);
        let (Some(copied), Some(left)) = (copied, room.checked_sub(table.table.bytes)) else {
            findings.push(change.finding(&table.table.name, None));
            continue;
        };
        room = left;
        match verify::digest_whole_source(now, table).await {
            Ok(found) if found == copied => {}
            Ok(found) => findings.push(change.finding(&table.table.name, Some((copied, found)))),
            Err(Error::Statement { source, .. }) if source.class() == Class::Permanent => {
                let detail = format!("cannot be read again on the source as it was copied: {source}; {NOT_THERE}");
                findings.push(Finding::new(FindingKind::Note, format!("table {}", table.table.name), ASPECT, detail));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}

/// What the counters of a table were and are: rows inserted, updated, deleted.
pub struct Change {
    before: [i64; 3],
    after: [i64; 3],
}

impl Change {
    fn finding(&self, name: &RelationName, digests: Option<(RowDigest, RowDigest)>) -> Finding {
        let words = ["inserted", "updated", "deleted"].into_iter().zip(self.before.into_iter().zip(self.after));
        let parts: Vec<String> = words
            .filter(|(_, (before, after))| after > before)
            .map(|(word, (before, after))| format!("{} {word}", units::count(after.abs_diff(before))))
            .collect();
        let rows = if parts.is_empty() { "its counters were reset".into() } else { parts.join(", ") };
        let what = match digests {
            Some((copied, found)) if copied.rows != found.rows => format!(
                "has changed on the source since the snapshot: it had {} rows, and now has {}",
                units::count(copied.rows),
                units::count(found.rows)
            ),
            Some(_) => "has changed on the source since the snapshot".into(),
            None => format!("was written to on the source since just before the snapshot ({rows})"),
        };
        let detail = format!("{what}; {NOT_THERE}: stop the writers, then --repair");
        Finding::new(FindingKind::Note, format!("table {name}"), ASPECT, detail)
    }
}

/// Who else is connected to the source, and could write to it.
pub async fn connected(session: &Session) -> Result<Check> {
    const NAME: &str = "nobody else at the source";
    let statement = "SELECT format('%s as %s', coalesce(nullif(application_name, ''), 'unnamed'), usename), count(*)
                     FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> $1
                       AND coalesce(to_jsonb(pg_stat_activity) ->> 'backend_type', 'client backend') = 'client backend'
                     GROUP BY 1 ORDER BY 2 DESC, 1";
    let rows = session.query("look who is connected", statement, &[&crate::connect::APPLICATION_NAME]).await?;
    if rows.is_empty() {
        return Ok(Check::pass(NAME, "no other session with the source database"));
    }
    let shown: Vec<String> =
        rows.iter().take(5).map(|row| format!("{} × {}", row.get::<_, i64>(1), row.get::<_, String>(0))).collect();
    let more = if rows.len() > 5 { " and more" } else { "" };
    let fix = "for the final run stop whoever writes; what is written after the snapshot is not carried over";
    Ok(Check::warn(NAME, format!("connected to the source: {}{more}", shown.join(", ")), fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_log_that_did_not_move_proves_that_nothing_was_written() {
        let at = |wal: Option<&str>| WriteCounts { wal: wal.map(Into::into), ..WriteCounts::default() };
        let said = |before, after, written| at(before).check(&at(after), written).detail;
        assert!(said(Some("0/16"), Some("0/16"), 0).contains("nothing was written on its whole server"));
        assert!(said(Some("0/16"), Some("0/17"), 0).contains("from 0/16 to 0/17"));
        for other in [said(Some("0/16"), Some("0/16"), 1), said(None, None, 0)] {
            assert!(!other.contains("nothing was written"), "{other}");
        }
        let standby = WriteCounts { is_standby: true, ..at(Some("0/16")) };
        assert_eq!(standby.check(&standby, 0).outcome, common::report::CheckOutcome::Warn);
    }

    #[test]
    fn a_change_is_told_by_what_was_done() {
        let name = RelationName { schema: "public".into(), name: "logs".into() };
        let detail = |before, after, digests| Change { before, after }.finding(&name, digests).detail;
        let counted = detail([10, 5, 0], [12, 5, 1], None);
        assert!(counted.contains("(2 inserted, 1 deleted)"), "{counted}");
        assert!(detail([10, 5, 0], [0, 0, 0], None).contains("its counters were reset"));
        let rows = |rows| RowDigest { rows, ..RowDigest::EMPTY };
        let seen = detail([10, 5, 0], [12, 5, 1], Some((rows(10), rows(11))));
        assert!(seen.contains("it had 10 rows, and now has 11"), "{seen}");
    }
}
