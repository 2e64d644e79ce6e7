//! Keeps a table's own triggers and rules from acting on rows that come a second time: what they did was done on the source.
//!
//! Called by `repair`, and by `copy` where a run that goes on has made the triggers already.

use crate::catalog::RelationName;
use crate::connect::Session;
use crate::error::Result;
use crate::sql;

/// Statements around the rows, within their transaction.
pub(crate) struct Quiet {
    begin: String,
    end: String,
}

impl Quiet {
    /// For every trigger and rule of `table` that is not switched off already.
    pub(crate) async fn of(session: &Session, table: &RelationName) -> Result<Self> {
        let statement = "SELECT 'TRIGGER', tgname, tgenabled FROM pg_trigger
                         WHERE tgrelid = to_regclass($1) AND NOT tgisinternal AND tgenabled <> 'D'
                         UNION ALL
                         SELECT 'RULE', rulename, ev_enabled FROM pg_rewrite
                         WHERE ev_class = to_regclass($1) AND rulename <> '_RETURN' AND ev_enabled <> 'D'";
        let (mut begin, mut end) = (Vec::new(), Vec::new());
        for row in session.query("list triggers and rules", statement, &[&table.sql()]).await? {
            let (kind, name): (&str, &str) = (row.get(0), row.get(1));
            let when = match u8::try_from(row.get::<_, i8>(2)) {
                Ok(b'A') => "ENABLE ALWAYS",
                Ok(b'R') => "ENABLE REPLICA",
                _ => "ENABLE",
            };
            let (table, name) = (table.sql(), sql::identifier(name));
            begin.push(format!("ALTER TABLE {table} DISABLE {kind} {name}"));
            end.push(format!("ALTER TABLE {table} {when} {kind} {name}"));
        }
        Ok(Self { begin: begin.join("; "), end: end.join("; ") })
    }

    /// Switches them off.
    pub(crate) async fn begin(&self, session: &Session) -> Result<()> {
        session.execute("switch triggers and rules off", &self.begin).await
    }

    /// Gives each the state back that it had.
    pub(crate) async fn end(&self, session: &Session) -> Result<()> {
        session.execute("switch triggers and rules on again", &self.end).await
    }
}
