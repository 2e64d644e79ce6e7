//! The schemas of both sides compared, object by object and aspect by aspect.
//!
//! The proof that what `pg_dump` and `pg_restore` were asked to do, and what we did ourselves, is there. Only this folder
//! knows what a schema consists of; [`schema`] is called by `run` after a migration and by `--verify`.

mod comments;
mod functions;
mod inventory;
mod queries;
mod rarer;
mod reprint;
mod rights;
mod types;
mod words;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use common::finding::{Finding, FindingKind};
use futures::{Stream, TryStreamExt as _};

use self::inventory::Object;
use self::reprint::{holds_query, reprinted};
use crate::catalog::ServerVersion;
use crate::connect::Session;
use crate::error::Result;
use crate::preset::Planted;
use crate::rights::Rights;

/// Longer texts are not shown in a finding: nobody reads them there.
const SHOWN_MAX: usize = 160;
/// At most so many names stand in one finding.
const NAMED_MAX: usize = 10;
/// Aspects whose text is never shown: it can be long, and function bodies and options are known to hold secrets.
const HIDDEN: [&str; 3] = ["body", "text", "foreign options"];
/// Aspects that a server prints from its own parse trees, or that hold such a print.
const EXPRESSIONS: [&str; 7] =
    ["definition", "default", "using", "with check", "arguments", "parsed body", "partition key"];
/// Kinds that others can belong to.
const PARENTS: [&str; 6] = ["table", "view", "materialised view", "foreign table", "domain", "type"];

/// Compares the schemas of both sides and returns what differs; nothing means that they are the same.
///
/// Left out are the system's objects, those that extensions bring, what the platform `planted`, the journal, and owners
/// and privileges unless they travel (`rights`). Where the majors
/// differ, the text of queries (views, rules) is not comparable: servers print the same query in different words. Such
/// objects are named in one note, and views are still compared column by column.
///
/// Both sides pass by in the same order: the memory in use does not grow with the number of objects.
pub async fn schema(
    source: &Session,
    target: &Session,
    source_version: ServerVersion,
    target_version: ServerVersion,
    planted: &Planted,
    rights: Rights,
) -> Result<Vec<Finding>> {
    let mut comparison = Comparison::new(source_version.major(), target_version.major());
    let common_major = source_version.min(target_version).major();
    let questions = |version| queries::all(version, common_major).into_iter().chain(rights::all(rights));
    for ((kinds, of_source), (_, of_target)) in questions(source_version).zip(questions(target_version)) {
        let (on_source, on_target) =
            tokio::try_join!(inventory::ask(source, kinds, &of_source), inventory::ask(target, kinds, &of_target))?;
        comparison.add(on_source, on_target, planted).await?;
    }
    Ok(comparison.findings())
}

/// What was found so far, and what the rest of the objects must know of it.
struct Comparison {
    source_major: i32,
    target_major: i32,
    findings: Vec<Finding>,
    /// Objects whose queries are printed in other words.
    spelled: Vec<String>,
    /// What others belong to, and one side lacks. A missing table is one finding, not one for each of its columns.
    missing_on_target: BTreeSet<Vec<String>>,
    missing_on_source: BTreeSet<Vec<String>>,
}

impl Comparison {
    fn new(source_major: i32, target_major: i32) -> Self {
        Self {
            source_major,
            target_major,
            findings: Vec::new(),
            spelled: Vec::new(),
            missing_on_target: BTreeSet::new(),
            missing_on_source: BTreeSet::new(),
        }
    }

    /// Compares the objects of one question, which come in the same order from both sides.
    async fn add(
        &mut self,
        source: impl Stream<Item = Result<Object>>,
        target: impl Stream<Item = Result<Object>>,
        planted: &Planted,
    ) -> Result<()> {
        let (mut source, mut target) = (pin!(source), pin!(target));
        let (mut left, mut right) = (source.try_next().await?, target.try_next().await?);
        loop {
            if let Some(object) = left.take_if(|object| planted.holds(&object.kind, &object.name)) {
                // What belongs to it stays behind too, on either side.
                self.missing_on_target.insert(object.name.clone());
                self.missing_on_source.insert(object.name);
                left = source.try_next().await?;
                continue;
            }
            match order(left.as_ref(), right.as_ref()) {
                None => return Ok(()),
                Some(Ordering::Less) => {
                    self.source_only(left.take())?;
                    left = source.try_next().await?;
                }
                Some(Ordering::Greater) => {
                    self.target_only(right.take());
                    right = target.try_next().await?;
                }
                Some(Ordering::Equal) => {
                    if let (Some(left), Some(right)) = (&left, &right) {
                        self.both(left, right)?;
                    }
                    (left, right) = tokio::try_join!(source.try_next(), target.try_next())?;
                }
            }
        }
    }

    fn both(&mut self, source: &Object, target: &Object) -> Result<()> {
        if let Some(finding) = unreadable(source, target)? {
            self.findings.push(finding);
            return Ok(());
        }
        if source.aspects == target.aspects {
            return Ok(());
        }
        let (on_source, on_target) = (source.aspects()?, target.aspects()?);
        for (aspect, left, right) in unequal_aspects(&on_source, &on_target) {
            if EXPRESSIONS.contains(&aspect) && left.map(reprinted) == right.map(reprinted) {
                continue;
            }
            // Since 16 a server writes ICU's names of locales in one form.
            if aspect == "ICU locale" && self.source_major < 16 && self.target_major >= 16 {
                continue;
            }
            if self.source_major != self.target_major && is_query(source, aspect, left, right) {
                if source.kind == "policy" {
                    let detail =
                        "its query is printed in other words by the other major: look whether it means the same";
                    self.findings.push(Finding::new(FindingKind::Unknown, source.label(), aspect, detail));
                } else {
                    self.spelled.push(source.label());
                }
            } else {
                self.findings.push(differs(source, aspect, left, right));
            }
        }
        Ok(())
    }

    fn source_only(&mut self, object: Option<Object>) -> Result<()> {
        let Some(object) = object else { return Ok(()) };
        if !self.missing_on_target.contains(&object.parent) {
            self.findings.push(source_only(&object)?);
        }
        if PARENTS.contains(&object.kind.as_str()) {
            self.missing_on_target.insert(object.name);
        }
        Ok(())
    }

    fn target_only(&mut self, object: Option<Object>) {
        let Some(object) = object else { return };
        // Every new database has it.
        let is_everywhere = object.kind == "extension" && object.name == ["plpgsql"];
        if !is_everywhere && !self.missing_on_source.contains(&object.parent) {
            let detail = "exists on the target only";
            self.findings.push(Finding::new(FindingKind::TargetOnly, object.label(), "existence", detail));
        }
        if PARENTS.contains(&object.kind.as_str()) {
            self.missing_on_source.insert(object.name);
        }
    }

    fn findings(mut self) -> Vec<Finding> {
        self.findings.extend(not_compared(self.spelled, self.source_major, self.target_major));
        self.findings
    }
}

/// How two objects stand in the order of both sides; `None` when there is none any more. Whoever has ended comes last.
fn order(left: Option<&Object>, right: Option<&Object>) -> Option<Ordering> {
    match (left, right) {
        (None, None) => None,
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some(left), Some(right)) => Some((&left.kind, &left.name).cmp(&(&right.kind, &right.name))),
    }
}

/// Aspects with their texts on the source and the target, where these are not the same.
fn unequal_aspects<'a>(
    source: &'a BTreeMap<String, String>,
    target: &'a BTreeMap<String, String>,
) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
    let names: BTreeSet<&String> = source.keys().chain(target.keys()).collect();
    let texts = names
        .into_iter()
        .map(|name| (name.as_str(), source.get(name).map(String::as_str), target.get(name).map(String::as_str)));
    texts.filter(|(_, left, right)| left != right).collect()
}

/// Whether both texts are or hold queries that a server prints from its own parse tree. Checks, defaults, indexes, keys and triggers
/// can hold none, whatever their names and literals say.
fn is_query(object: &Object, aspect: &str, left: Option<&str>, right: Option<&str>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    match (object.kind.as_str(), aspect) {
        ("rule" | "view" | "materialised view", "definition") | (_, "parsed body") => true,
        ("policy", _) => holds_query(left) && holds_query(right),
        _ => false,
    }
}

fn not_compared(mut labels: Vec<String>, source_major: i32, target_major: i32) -> Option<Finding> {
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

fn source_only(object: &Object) -> Result<Finding> {
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
fn unreadable(source: &Object, target: &Object) -> Result<Option<Finding>> {
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

fn differs(object: &Object, aspect: &str, left: Option<&str>, right: Option<&str>) -> Finding {
    // A newer server brings newer versions of its extensions. A dump puts the columns that a table inherits first, and does not
    // say that triggers of foreign keys are switched off: they are on again.
    let is_on_again = aspect == queries::FOREIGN_KEY_TRIGGERS && right.is_none();
    let is_newer = object.kind == "extension" && aspect == "version";
    let is_expected = is_newer || is_on_again || ["order of columns", queries::INHERITED_NAME].contains(&aspect);
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

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, stream};

    use super::*;

    fn object(kind: &str, name: &[&str], parent: &[&str], aspects: &[(&str, &str)]) -> Object {
        let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect();
        let aspects = serde_json::to_string(&aspects.iter().copied().collect::<BTreeMap<_, _>>()).unwrap();
        Object { kind: kind.into(), name: owned(name), parent: owned(parent), aspects }
    }

    fn users() -> Vec<Object> {
        vec![
            object("table", &["public", "users"], &[], &[("persistence", "p")]),
            object("column", &["public", "users", "id"], &["public", "users"], &[("type", "bigint")]),
            object("index", &["public", "by_id"], &["public", "users"], &[("valid", "true")]),
        ]
    }

    /// Each object as the answer to a question of its own, as the table before its columns is.
    fn differences(source: &[Object], target: &[Object], source_major: i32, target_major: i32) -> Vec<Finding> {
        let mut comparison = Comparison::new(source_major, target_major);
        let asked = |objects: &[Object], number: usize| stream::iter(objects.get(number).cloned().map(Ok));
        for number in 0..source.len().max(target.len()) {
            let nobody = Planted::default();
            let work = comparison.add(asked(source, number), asked(target, number), &nobody);
            work.now_or_never().unwrap().unwrap();
        }
        comparison.findings()
    }

    fn lines(source: &[Object], target: &[Object], majors: (i32, i32)) -> Vec<String> {
        let line = |finding: Finding| {
            format!("{}: {} {}: {}", finding.kind.words(), finding.item, finding.aspect, finding.detail)
        };
        differences(source, target, majors.0, majors.1).into_iter().map(line).collect()
    }

    #[test]
    fn equal_schemas_have_no_findings() {
        assert!(lines(&users(), &users(), (17, 17)).is_empty());
    }

    #[test]
    fn a_missing_table_is_one_finding() {
        let expected = ["source only: table public.users existence: is missing on the target"];
        assert_eq!(lines(&users(), &[], (17, 17)), expected);
        let expected = ["target only: table public.users existence: exists on the target only"];
        assert_eq!(lines(&[], &users(), (17, 17)), expected);
    }

    #[test]
    fn both_texts_of_an_aspect_are_shown_unless_they_are_long_or_private() {
        let mut target = users();
        target[1].aspects = r#"{"type": "integer", "default": 0}"#.into();
        let expected = [
            "differs: column public.users.id default: is absent on the source, `0` on the target",
            "differs: column public.users.id type: is `bigint` on the source, `integer` on the target",
        ];
        assert_eq!(lines(&users(), &target, (17, 17)), expected);
        let function = |body| vec![object("function", &["public", "f()"], &[], &[("body", body)])];
        let expected = ["differs: function public.f() body: is not the same on both sides"];
        assert_eq!(lines(&function("SELECT 'secret'"), &function("SELECT 'public'"), (13, 17)), expected);
    }

    #[test]
    fn queries_are_compared_between_equal_majors_only() {
        let view = |query| vec![object("view", &["public", "v"], &[], &[("definition", query)])];
        let (old, new) = (view(" SELECT t.a FROM t"), view(" SELECT a FROM t"));
        assert_eq!(lines(&old, &new, (17, 17)).len(), 1);
        let expected =
            ["note: schema query text: PostgreSQL 13 and 17 print queries in different words, so the text of \
                         these was not compared: view public.v"];
        assert_eq!(lines(&old, &new, (13, 17)), expected);
    }

    #[test]
    fn what_a_server_prints_otherwise_once_it_read_its_own_print_is_equal_and_bodies_are_not() {
        let (printed, again) = ("(ARRAY['a'::character varying])::text[]", "ARRAY[('a'::character varying)::text]");
        let constraint = |text| vec![object("constraint", &["public", "t", "c"], &[], &[("definition", text)])];
        assert!(lines(&constraint(printed), &constraint(again), (18, 18)).is_empty());
        assert_eq!(
            lines(&constraint(printed), &constraint("ARRAY[('b'::character varying)::text]"), (18, 18)).len(),
            1
        );
        let function = |text| vec![object("function", &["public", "f()"], &[], &[("body", text)])];
        assert_eq!(lines(&function(printed), &function(again), (18, 18)).len(), 1);
        let granted = |text| vec![object("rights on relation", &["public", "t"], &[], &[("privileges", text)])];
        let found = lines(&granted("reader SELECT"), &granted("reader DELETE, reader SELECT"), (13, 17));
        assert!(found[0].starts_with("differs: "), "a privilege is no query: {found:?}");
    }

    #[test]
    fn both_sides_pass_by_in_order() {
        let tables = |names: &[&str]| -> Vec<Object> {
            names.iter().map(|name| object("table", &["public", name], &[], &[])).collect()
        };
        let mut comparison = Comparison::new(17, 17);
        let asked = |names: &[&str]| stream::iter(tables(names).into_iter().map(Ok));
        let nobody = Planted::default();
        let work = comparison.add(asked(&["a", "c", "d", "f"]), asked(&["b", "c", "e", "f", "g"]), &nobody);
        work.now_or_never().unwrap().unwrap();
        let found: Vec<String> = comparison.findings().into_iter().map(|finding| finding.item).collect();
        assert_eq!(found, ["a", "b", "d", "e", "g"].map(|name| format!("table public.{name}")));
    }

    #[test]
    fn an_invalid_index_and_another_version_of_an_extension_are_worth_a_note() {
        let invalid = vec![object("index", &["public", "broken"], &[], &[("valid", "false")])];
        assert!(lines(&invalid, &[], (17, 17))[0].starts_with("note: index public.broken"));
        let extension = |version| vec![object("extension", &["citext"], &[], &[("version", version)])];
        let expected = ["note: extension citext version: is `1.6` on the source, `1.7` on the target"];
        assert_eq!(lines(&extension("1.6"), &extension("1.7"), (13, 17)), expected);
    }
}
