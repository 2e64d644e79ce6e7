//! The schemas of both sides compared, object by object and aspect by aspect.
//!
//! The proof that what `pg_dump` and `pg_restore` were asked to do, and what we did ourselves, is there. Only this folder
//! knows what a schema consists of; [`schema`] is called by `run` after a migration and by `--verify`.

mod comments;
mod differences;
mod functions;
mod inventory;
mod queries;
mod rarer;
mod reprint;
mod rights;
mod types;
mod views;
mod words;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use common::finding::{Finding, FindingKind};
use futures::{Stream, TryStreamExt as _};

use self::differences::{differs, not_compared, source_only, unreadable};
use self::inventory::Object;
use self::reprint::{holds_query, reprinted};
use self::views::View;
use crate::catalog::ServerVersion;
use crate::connect::Session;
use crate::error::Result;
use crate::preset::Planted;
use crate::rights::Rights;

/// Aspects that a server prints from its own parse trees, or that hold such a print.
const EXPRESSIONS: [&str; 8] =
    ["definition", "default", "using", "with check", "arguments", "parsed body", "partition key", "tables"];
/// Kinds that others can belong to.
const PARENTS: [&str; 6] = ["table", "view", "materialised view", "foreign table", "domain", "type"];

/// Compares the schemas of both sides and returns what differs; nothing means that they are the same.
///
/// Left out are the system's objects, those that extensions bring, what the platform `planted`, the journal, and owners
/// and privileges unless they travel (`rights`). Servers of different majors print the same query in different words: views are compared
/// in the target's ([`views`]), and other objects with queries (rules, bodies of functions) are named in one note.
///
/// Both sides pass by in the same order: the memory in use does not grow with the number of objects, but for views whose texts differ.
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
    comparison.compare_views(target).await?;
    Ok(comparison.findings())
}

/// What was found so far, and what the rest of the objects must know of it.
struct Comparison {
    source_major: i32,
    target_major: i32,
    findings: Vec<Finding>,
    /// Views whose texts differ.
    views: Vec<View>,
    /// Other objects whose queries are printed in other words.
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
            views: Vec::new(),
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
            if aspect == "not null" && left.map(queries::without_heritage) == right.map(queries::without_heritage) {
                continue;
            }
            // Since 16 a server writes ICU's names of locales in one form.
            if aspect == "ICU locale" && self.source_major < 16 && self.target_major >= 16 {
                continue;
            }
            if let (true, Some(left), Some(right)) = (is_view(source, aspect), left, right) {
                let (on_source, on_target) = (left.to_owned(), right.to_owned());
                self.views.push(View { label: source.label(), on_source, on_target });
            } else if self.source_major != self.target_major && is_query(source, aspect, left, right) {
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

    /// Holds the views whose texts differ against what the target makes of the source's text.
    async fn compare_views(&mut self, target: &Session) -> Result<()> {
        for view in std::mem::take(&mut self.views) {
            match views::in_the_targets_words(target, &view).await? {
                Some(printed) if printed == view.on_target => {}
                None if self.source_major != self.target_major => self.spelled.push(view.label),
                printed => {
                    let detail = match printed {
                        Some(_) => "is another query on the target than on the source",
                        None => "is not the same on both sides",
                    };
                    self.findings.push(Finding::new(FindingKind::Differs, view.label, "definition", detail));
                }
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

fn is_view(object: &Object, aspect: &str) -> bool {
    aspect == "definition" && ["view", "materialised view"].contains(&object.kind.as_str())
}

/// Whether both texts are or hold queries that a server prints from its own parse tree. Checks, defaults, indexes, keys and triggers
/// can hold none, whatever their names and literals say.
fn is_query(object: &Object, aspect: &str, left: Option<&str>, right: Option<&str>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    match (object.kind.as_str(), aspect) {
        ("rule", "definition") | (_, "parsed body") => true,
        ("policy", _) => holds_query(left) && holds_query(right),
        _ => false,
    }
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
        let rule = |query| vec![object("rule", &["public", "v"], &[], &[("definition", query)])];
        let (old, new) = (rule(" SELECT t.a FROM t"), rule(" SELECT a FROM t"));
        assert_eq!(lines(&old, &new, (17, 17)).len(), 1);
        let expected =
            ["note: schema query text: PostgreSQL 13 and 17 print queries in different words, so the text of \
                         these was not compared: rule public.v"];
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
