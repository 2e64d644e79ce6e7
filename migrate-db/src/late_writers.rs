//! Whether somebody still writes to the source: who is connected when a run begins, and which tables changed while it ran.
//!
//! What is written after the snapshot is not in the target, and nobody would notice until it is missed. The counters of
//! `pg_stat_all_tables` need no right and no scan. Called by `run`.

use std::collections::BTreeMap;

use common::finding::{Finding, FindingKind};
use common::report::Check;
use common::units;

use crate::catalog::{RelationName, user_schema};
use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::{Result, Side};
use crate::plan::Plan;

/// Rows inserted, updated and deleted in each table since its counters began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteCounts(BTreeMap<RelationName, [i64; 3]>);

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
        Ok(Self(rows.iter().map(count).collect()))
    }

    /// One finding for each table of `plan` that was written to between `self` and `later`.
    pub fn changes(&self, later: &Self, plan: &Plan) -> Vec<Finding> {
        let changed = |name: &RelationName| {
            let [before, after] = [self, later].map(|counts| counts.0.get(name).copied().unwrap_or_default());
            (before != after).then(|| finding(name, before, after))
        };
        plan.tables.iter().filter_map(|table| changed(&table.table.name)).collect()
    }
}

fn finding(name: &RelationName, before: [i64; 3], after: [i64; 3]) -> Finding {
    let words = ["inserted", "updated", "deleted"].into_iter().zip(before.into_iter().zip(after));
    let parts: Vec<String> = words
        .filter(|(_, (before, after))| after > before)
        .map(|(word, (before, after))| format!("{} {word}", units::count(after.abs_diff(before))))
        .collect();
    let rows = if parts.is_empty() { "its counters were reset".into() } else { parts.join(", ") };
    let detail = format!(
        "was written to on the source after the snapshot ({rows}); what came after it is not in the target: stop the \
         writers, then --repair"
    );
    Finding::new(FindingKind::Note, format!("table {name}"), "late writes", detail)
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
    fn a_change_is_told_by_what_was_done() {
        let name = RelationName { schema: "public".into(), name: "logs".into() };
        let detail = finding(&name, [10, 5, 0], [12, 5, 1]).detail;
        assert!(detail.contains("(2 inserted, 1 deleted)"), "{detail}");
        assert!(finding(&name, [10, 5, 0], [0, 0, 0]).detail.contains("its counters were reset"));
    }
}
