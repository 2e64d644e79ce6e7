//! What a database is made of, as rows that two servers can be compared by: kind, name, aspects.
//!
//! The same questions go to both sides. They rely on the session's empty `search_path`, under which the server
//! qualifies every name that it prints. Columns of catalogs that came or went with a major version are read through
//! `to_jsonb`, where one that is missing is just absent. Owners and privileges are asked for only where they travel.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{queries, rights};
use crate::catalog::ServerVersion;
use crate::connect::Session;
use crate::error::{Error, Result};
use crate::rights::Rights;

/// An object of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object {
    /// For example `table`, `index`, `column`.
    pub(super) kind: String,
    /// The parts of its name, the schema first where it has one.
    pub(super) name: Vec<String>,
    /// The relation or type without which it cannot be; empty where there is none.
    pub(super) parent: Vec<String>,
    /// What it is like, by aspect. An aspect that does not apply is absent.
    pub(super) aspects: BTreeMap<String, String>,
}

impl Object {
    /// As it stands in findings, for example `index public.users_email`.
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind, self.name.join("."))
    }
}

/// Lists everything that users made in a database: neither the system's own objects, nor those that extensions bring,
/// nor our journal.
pub(super) async fn read(session: &Session, version: ServerVersion, travels: Rights) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    for (kinds, statement) in queries::all(version).into_iter().chain(rights::all(travels)) {
        for row in session.query(&format!("list {kinds}"), &statement, &[]).await? {
            // An object that a server cannot name must not bring the run down.
            let unnamed = |error| Error::Defect(format!("the {kinds} cannot be listed: {error}"));
            let aspects: String = row.try_get(3).map_err(unnamed)?;
            objects.push(Object {
                kind: row.try_get(0).map_err(unnamed)?,
                name: row.try_get(1).map_err(unnamed)?,
                parent: row.try_get(2).map_err(unnamed)?,
                aspects: parse(&aspects)?,
            });
        }
    }
    Ok(objects)
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
