//! Keeps a table's own triggers and rules from acting on rows that come a second time: what they did was done on the source.
//!
//! Called by `repair`, and by `copy` where a run that goes on has made the triggers already.

use crate::catalog::Table;
use crate::connect::Session;
use crate::error::Result;
use crate::sql;

/// What gives back the state they had, within the same transaction.
pub(crate) struct Quiet {
    end: String,
}

impl Quiet {
    /// Switches off every trigger and rule of `table`, and of its leaves, where its rows go through it.
    pub(crate) async fn begin(session: &Session, table: &Table) -> Result<Self> {
        // What is done to a trigger of a partitioned table is done to its copies: so the root comes first, and its leaves
        // after it, with those that were off.
        let statement = "SELECT t.name, a.* FROM unnest($1::text[]) WITH ORDINALITY AS t (name, position) JOIN LATERAL (
                             SELECT 'TRIGGER', tgname, tgenabled FROM pg_trigger
                             WHERE tgrelid = to_regclass(t.name) AND NOT tgisinternal
                             UNION ALL
                             SELECT 'RULE', rulename, ev_enabled FROM pg_rewrite
                             WHERE ev_class = to_regclass(t.name) AND rulename <> '_RETURN') AS a (kind, name, enabled) ON true
                         WHERE a.enabled <> 'D' OR t.position > 1
                         ORDER BY t.position";
        let names = table.names_sql();
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        for row in session.query("list triggers and rules", statement, &[&names]).await? {
            let (table, kind, name): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
            let state = match u8::try_from(row.get::<_, i8>(3)) {
                Ok(b'A') => "ENABLE ALWAYS",
                Ok(b'R') => "ENABLE REPLICA",
                Ok(b'D') => "DISABLE",
                _ => "ENABLE",
            };
            let name = sql::identifier(name);
            begin.push(format!("ALTER TABLE {table} DISABLE {kind} {name}"));
            end.push(format!("ALTER TABLE {table} {state} {kind} {name}"));
        }
        session.execute("switch triggers and rules off", &begin.join("; ")).await?;
        Ok(Self { end: end.join("; ") })
    }

    /// Gives each the state back that it had.
    pub(crate) async fn end(&self, session: &Session) -> Result<()> {
        session.execute("switch triggers and rules on again", &self.end).await
    }
}
