//! What a difference means: a finding of which kind, in which words. Called by the comparison, which has found it.

use std::collections::BTreeMap;

use common::finding::{Finding, FindingKind};

use super::inventory::Object;
use super::{queries, words};
use crate::error::Result;

/// Longer texts are not shown in a finding: nobody reads them there.
const SHOWN_MAX: usize = 160;
/// At most so many names stand in one finding.
const NAMED_MAX: usize = 10;
/// Aspects whose text is never shown: it can be long, and function bodies, their settings and options are known to hold secrets.
const HIDDEN: [&str; 5] = ["body", "parsed body", "text", "settings", "foreign options"];

/// One note for all objects whose queries could not be compared; nothing where there is none.
pub(super) fn not_compared(mut labels: Vec<String>, source_major: i32, target_major: i32) -> Option<Finding> {
    labels.dedup();
    let more = match labels.len().checked_sub(NAMED_MAX) {
        Some(more) if more > 0 => format!(" and {more} more"),
        _ => String::new(),
    };
    let detail = format!(
        "PostgreSQL {source_major} and {target_major} print queries in different words, so the text of these was not \
         compared: {}{more}",
        labels.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ")
    );
    (!labels.is_empty()).then(|| Finding::new(FindingKind::Note, "schema", "query text", detail))
}

/// An object that only the source has.
pub(super) fn source_only(object: &Object) -> Result<Finding> {
    // pg_dump passes over such an index of a table, and so do we: no query can use it. One of a partitioned table it carries.
    let is = |aspects: &BTreeMap<String, String>, aspect, value| aspects.get(aspect).is_some_and(|seen| seen == value);
    let aspects = object.aspects()?;
    if object.kind == "index" && is(&aspects, "valid", "false") && !is(&aspects, "partitioned", "true") {
        let detail = "is invalid on the source and was left behind; build it anew on the target if it is wanted";
        return Ok(Finding::new(FindingKind::Note, object.label(), "valid", detail));
    }
    Ok(Finding::new(FindingKind::SourceOnly, object.label(), "existence", "is missing on the target"))
}

/// A user mapping whose options a role may not see: `pg_dump` carried as much of them as the role could see on the source.
pub(super) fn unreadable(source: &Object, target: &Object) -> Result<Option<Finding>> {
    if source.kind != "user mapping" {
        return Ok(None);
    }
    let is_hidden = |object: &Object| -> Result<bool> {
        Ok(object.aspects()?.get("readable").is_none_or(|readable| readable != "true"))
    };
    let detail = match (is_hidden(source)?, is_hidden(target)?) {
        (true, _) => "the source's role may not see them, so they were not carried; set them on the target",
        (false, true) => "the target's role may not see them, so they were not compared",
        (false, false) => return Ok(None),
    };
    Ok(Some(Finding::new(FindingKind::Unknown, source.label(), "options", detail)))
}

/// An aspect that is not the same on both sides.
pub(super) fn differs(object: &Object, aspect: &str, left: Option<&str>, right: Option<&str>) -> Finding {
    // A newer server brings newer versions of its extensions. A dump puts the columns that a table inherits first, and does not
    // say that triggers of foreign keys are switched off: they are on again.
    let is_on_again = aspect == queries::FOREIGN_KEY_TRIGGERS && right.is_none();
    let is_newer = object.kind == "extension" && aspect == "version";
    // Before 18 a table could do without a NOT NULL that it inherits; and no dump carries every name of one.
    let is_kept = aspect == "not null" && left == Some("false") && right == Some(queries::INHERITED);
    let is_named = object.kind == queries::NOT_NULL && aspect == "name";
    let is_expected = is_newer || is_on_again || is_kept || is_named || aspect == "order of columns";
    let kind = if is_expected { FindingKind::Note } else { FindingKind::Differs };
    let long = left.into_iter().chain(right).any(|text| text.len() > SHOWN_MAX);
    let detail = if long || HIDDEN.contains(&aspect) {
        "is not the same on both sides".into()
    } else {
        let show = |text: Option<&str>| text.map_or("absent".into(), |text| words::shown(aspect, text));
        format!("is {} on the source, {} on the target", show(left), show(right))
    };
    Finding::new(kind, object.label(), aspect, detail)
}
