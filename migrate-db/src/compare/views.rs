//! Whether two views whose texts differ are the same query: servers print what they read in their own words, and each major in others.
//!
//! The target makes a view of the source's text, prints it, and forgets it. What `pg_restore` made of the same text is printed in the
//! same words, and whatever else somebody has made of it is not. Called by the comparison, for views and materialised views.

use common::error::{Class, OperatorError as _};

use crate::connect::Session;
use crate::error::{Error, Result};

/// A view whose texts differ.
pub(super) struct View {
    /// Its name in findings.
    pub(super) label: String,
    /// Its query, in the source's words.
    pub(super) on_source: String,
    /// Its query, in the target's words.
    pub(super) on_target: String,
}

/// The source's query of `view` in the target's words; `None` where the target cannot make it, or makes nothing: without the right to have
/// temporary objects, or on a replica.
///
/// In a transaction that is rolled back. A query of its own each, so that no text can be more than one statement.
pub(super) async fn in_the_targets_words(target: &Session, view: &View) -> Result<Option<String>> {
    let action = format!("read the query of the {}", view.label);
    target.execute(&action, "BEGIN").await?;
    let create = format!("CREATE TEMPORARY VIEW migrate_db_view AS {}", view.on_source.trim_end_matches(';'));
    let printed = match target.query(&action, &create, &[]).await {
        Ok(_) => {
            let print = "SELECT pg_get_viewdef('pg_temp.migrate_db_view'::regclass)";
            target.value(&action, print, &[]).await.map(Some)
        }
        Err(error @ Error::Statement { .. }) if error.class() == Class::Permanent => {
            tracing::debug!(%error, "a query is not compared");
            Ok(None)
        }
        Err(error) => Err(error),
    };
    target.execute(&action, "ROLLBACK").await?;
    printed
}
