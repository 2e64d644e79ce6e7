//! Whether two texts that differ are the same query: servers print what they read in their own words, and each major in others.
//!
//! The target reads the source's text, prints it, and forgets it. What `pg_restore` made of the same text is printed in the same words,
//! and whatever else somebody has made of it is not. Called by the comparison, for views, policies, rules and bodies of functions.

use common::error::{Class, OperatorError as _};

use super::functions;
use super::inventory::Object;
use crate::connect::Session;
use crate::error::{Error, Result};
use crate::sql;

/// An aspect of an object, with both texts of it.
pub(super) struct Wording {
    /// The object, on the source.
    pub(super) object: Object,
    /// The aspect.
    pub(super) aspect: String,
    /// Its query, in the source's words.
    pub(super) on_source: String,
    /// Its query, in the target's words.
    pub(super) on_target: String,
}

impl Wording {
    /// Whether the texts of this aspect can be held against each other in the target's words.
    pub(super) fn is_of(object: &Object, aspect: &str) -> bool {
        match object.kind.as_str() {
            "view" | "materialised view" | "rule" => aspect == "definition",
            "policy" => matches!(aspect, "using" | "with check"),
            _ => aspect == "parsed body",
        }
    }

    /// The source's text in the target's words; `None` where the target cannot read it, or makes nothing: without the right to have
    /// temporary objects, or on a replica.
    ///
    /// In a transaction that is rolled back: what it makes is temporary, and what it reads it locks against changes only.
    pub(super) async fn in_the_targets_words(&self, target: &Session) -> Result<Option<String>> {
        let action = format!("read the {} of the {}", self.aspect, self.object.label());
        target.execute(&action, "BEGIN").await?;
        let printed = match self.read_and_print(target, &action).await {
            Err(error @ Error::Statement { .. }) if error.class() == Class::Permanent => {
                tracing::debug!(%error, "a query is not compared");
                Ok(None)
            }
            printed => printed,
        };
        target.execute(&action, "ROLLBACK").await?;
        printed
    }

    /// A statement of its own for each text, so that none can be more than one.
    async fn read_and_print(&self, target: &Session, action: &str) -> Result<Option<String>> {
        match (self.object.kind.as_str(), self.object.name.as_slice()) {
            ("view" | "materialised view", _) => self.of_view(target, action).await.map(Some),
            ("policy", [schema, table, _]) => self.of_policy(target, action, schema, table).await.map(Some),
            ("rule", [schema, relation, _]) => self.of_rule(target, action, schema, relation).await,
            _ => self.of_function(target, action).await,
        }
    }

    async fn of_view(&self, target: &Session, action: &str) -> Result<String> {
        let create = format!("CREATE TEMPORARY VIEW migrate_db_view AS {}", self.on_source.trim_end_matches(';'));
        target.query(action, &create, &[]).await?;
        target.value(action, "SELECT pg_get_viewdef('pg_temp.migrate_db_view'::regclass)", &[]).await
    }

    /// Of what is shown as of what is let in: both are expressions over the table's columns.
    async fn of_policy(&self, target: &Session, action: &str, schema: &str, table: &str) -> Result<String> {
        let temporary = temporary_like(target, action, schema, table).await?;
        let create = format!("CREATE POLICY migrate_db_policy ON {temporary} USING ({})", self.on_source);
        target.query(action, &create, &[]).await?;
        let print = "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = $1::text::regclass";
        target.value(action, print, &[&temporary]).await
    }

    async fn of_rule(&self, target: &Session, action: &str, schema: &str, relation: &str) -> Result<Option<String>> {
        let temporary = temporary_like(target, action, schema, relation).await?;
        let own: String =
            target.value(action, "SELECT format(' TO %I.%I', $1::text, $2::text)", &[&schema, &relation]).await?;
        let text = self.on_source.trim_end_matches(';');
        let Some(create) = renamed(text, &own, &format!(" TO {temporary}")) else { return Ok(None) };
        target.query(action, &create, &[]).await?;
        let print = r"SELECT regexp_replace(pg_get_ruledef(oid), ' TO pg_temp(_[0-9]+)?\.', format(' TO %I.', $2::text))
                      FROM pg_rewrite WHERE ev_class = $1::text::regclass";
        target.value(action, print, &[&temporary, &schema]).await.map(Some)
    }

    /// As the target has the function, but for its schema and its body, which may call parameters by the function's name.
    async fn of_function(&self, target: &Session, action: &str) -> Result<Option<String>> {
        let find = format!(
            "SELECT pg_get_functiondef(p.oid), format('%I.%I(', n.nspname, p.proname), format('pg_temp.%I(', p.proname),
                    p.proname::text
             FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {} = $1",
            functions::name()
        );
        let found = target.query(action, &find, &[&self.object.name]).await?;
        let Some(row) = found.first() else { return Ok(None) };
        let (whole, own): (String, String) = (row.get(0), row.get(1));
        let (temporary, name): (String, String) = (row.get(2), row.get(3));
        let head = whole.trim_end().strip_suffix(self.on_target.trim_end());
        let Some(head) = head.and_then(|head| renamed(head, &own, &temporary)) else { return Ok(None) };
        target.query(action, &format!("{head}{}", self.on_source), &[]).await?;
        let print = "SELECT pg_get_function_sqlbody(oid) FROM pg_proc
                     WHERE pronamespace = pg_my_temp_schema() AND proname = $1";
        target.value(action, print, &[&name]).await
    }
}

/// Makes a temporary table with the columns of a relation, and of the same name, by which a text may call them. Returns what SQL calls it.
async fn temporary_like(target: &Session, action: &str, schema: &str, relation: &str) -> Result<String> {
    let name = sql::identifier(relation);
    let create = format!("CREATE TEMPORARY TABLE {name} (LIKE {})", sql::qualified(schema, relation));
    target.query(action, &create, &[]).await?;
    Ok(format!("pg_temp.{name}"))
}

/// `text` with another name where the first `name` stands; `None` where it does not: it must not run under its own.
fn renamed(text: &str, name: &str, other: &str) -> Option<String> {
    text.contains(name).then(|| text.replacen(name, other, 1))
}
