//! What a database is made of, as rows that two servers can be compared by: kind, name, aspects.
//!
//! The same questions go to both sides. They rely on the session's empty `search_path`, under which the server
//! qualifies every name that it prints. Columns of catalogs that came or went with a major version are read through
//! `to_jsonb`, where one that is missing is just absent. Owners and privileges are asked for only where they travel.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use crate::connect::Session;
use crate::error::{Error, Result};

/// An object of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    /// For example `table`, `index`, `column`.
    pub(super) kind: String,
    /// The parts of its name, the schema first where it has one.
    pub(super) name: Vec<String>,
    /// The relation or type without which it cannot be; empty where there is none.
    pub(super) parent: Vec<String>,
    /// What it is like: a JSON object as the server prints it. An aspect that does not apply is null.
    pub(super) aspects: String,
}

/// Objects of one question, in the order of kind, name and aspects, byte by byte.
pub(super) type Objects = Pin<Box<dyn Stream<Item = Result<Object>> + Send>>;

impl Object {
    /// As it stands in findings, for example `index public.users_email`.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind, self.name.join("."))
    }

    /// What it is like, by aspect. One that does not apply is absent.
    pub(super) fn aspects(&self) -> Result<BTreeMap<String, String>> {
        parse(&self.aspects)
    }
}

/// Asks one of the questions of `queries` and `rights`: what users made in a database, neither the system's own objects, nor
/// those that extensions bring, nor our journal. The answer is never in memory as a whole.
pub(super) async fn ask(session: &Session, kinds: &str, question: &str) -> Result<Objects> {
    // Both sides must come in the order that we compare by, which is that of UTF-8. The bytes of KOI8-R sort otherwise.
    let statement = format!(
        "SELECT * FROM ({question}) AS o (kind, name, parent, aspects)
         ORDER BY kind COLLATE \"C\",
                  CASE WHEN getdatabaseencoding() NOT IN ('UTF8', 'SQL_ASCII')
                       THEN ARRAY(SELECT convert_to(part, 'UTF8') FROM unnest(name) WITH ORDINALITY AS u (part, place)
                                  ORDER BY place) END,
                  name COLLATE \"C\", aspects COLLATE \"C\""
    );
    let action = format!("list {kinds}");
    let rows = session.stream(&action, &statement).await?;
    let (side, kinds) = (session.side(), kinds.to_owned());
    let failed =
        move |error: tokio_postgres::Error| Error::Statement { side, action: action.clone(), source: error.into() };
    Ok(Box::pin(rows.map_err(failed).map(move |row| object(&row?, &kinds))))
}

fn object(row: &tokio_postgres::Row, kinds: &str) -> Result<Object> {
    // An object that a server cannot name must not bring the run down.
    let unnamed = |error| Error::Defect(format!("the {kinds} cannot be listed: {error}"));
    Ok(Object {
        kind: row.try_get(0).map_err(unnamed)?,
        name: row.try_get(1).map_err(unnamed)?,
        parent: row.try_get(2).map_err(unnamed)?,
        aspects: row.try_get(3).map_err(unnamed)?,
    })
}

fn parse(aspects: &str) -> Result<BTreeMap<String, String>> {
    let values: BTreeMap<String, Value> = serde_json::from_str(aspects)
        .map_err(|error| Error::Defect(format!("a description of the schema cannot be read: {error}")))?;
    let text = |(aspect, value)| match value {
        Value::Null => None,
        Value::String(text) => Some((aspect, text)),
        other => Some((aspect, other.to_string())),
    };
    Ok(values.into_iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aspects_that_do_not_apply_are_absent() {
        let aspects =
            parse(r#"{"valid": true, "definition": "CREATE …", "start": 9223372036854775807, "bounds": null}"#);
        let expected = [("definition", "CREATE …"), ("start", "9223372036854775807"), ("valid", "true")];
        assert_eq!(aspects.unwrap(), expected.map(|(aspect, text)| (aspect.to_owned(), text.to_owned())).into());
    }
}
