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
mod wording;
mod words;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use common::finding::{Finding, FindingKind};
use futures::{Stream, TryStreamExt as _};

use self::differences::{differs, not_compared, source_only, unreadable};
use self::inventory::Object;
use self::reprint::{holds_query, reprinted};
use self::wording::Wording;
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
/// and privileges unless they travel (`rights`). Servers of different majors print the same query in different words: queries are
/// compared in the target's ([`wording`]), and those that it cannot read again are named in one note.
///
/// Both sides pass by in the same order: the memory in use does not grow with the number of objects, but for those whose texts differ.
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
    comparison.compare_wordings(target).await?;
    Ok(comparison.findings())
}

/// What was found so far, and what the rest of the objects must know of it.
struct Comparison {
    source_major: i32,
    target_major: i32,
    findings: Vec<Finding>,
    /// Queries whose texts differ.
    wordings: Vec<Wording>,
    /// Objects whose queries are printed in other words that the target cannot read.
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
            wordings: Vec::new(),
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
            if let (true, Some(left), Some(right)) = (Wording::is_of(source, aspect), left, right) {
                let (on_source, on_target) = (left.to_owned(), right.to_owned());
                self.wordings.push(Wording { object: source.clone(), aspect: aspect.into(), on_source, on_target });
            } else {
                self.findings.push(differs(source, aspect, left, right));
            }
        }
        Ok(())
    }

    /// Holds the texts that differ against what the target makes of the source's.
    async fn compare_wordings(&mut self, target: &Session) -> Result<()> {
        for wording in std::mem::take(&mut self.wordings) {
            match wording.in_the_targets_words(target).await? {
                Some(printed) if printed == wording.on_target => {}
                printed => self.not_the_same(&wording, printed.is_some()),
            }
        }
        Ok(())
    }

    /// Says of two texts that they are not the same query, or, unless that `is_known`, that they may be where majors print queries in
    /// different words.
    fn not_the_same(&mut self, wording: &Wording, is_known: bool) {
        const MAY_BE: &str = "its query is printed in other words by the other major: look whether it means the same";
        let Wording { object, aspect, on_source, on_target } = wording;
        let is_policy = object.kind == "policy";
        let may_be = !is_known && self.source_major != self.target_major && (!is_policy || holds_query(on_source));
        let finding = |kind, detail| Finding::new(kind, object.label(), aspect, detail);
        match (is_policy, may_be) {
            (true, true) => self.findings.push(finding(FindingKind::Unknown, MAY_BE)),
            (true, false) => self.findings.push(differs(object, aspect, Some(on_source), Some(on_target))),
            (false, true) => self.spelled.push(object.label()),
            (false, false) => {
                let other = "is another query on the target than on the source";
                let detail = if is_known { other } else { "is not the same on both sides" };
                self.findings.push(finding(FindingKind::Differs, detail));
            }
        }
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
    fn queries_that_the_target_cannot_read_again_are_a_note_between_majors() {
        let query = |kind: &str, aspect: &str, text: &str| {
            let object = object(kind, &["public", "v"], &[], &[]);
            Wording { object, aspect: aspect.into(), on_source: text.into(), on_target: "other".into() }
        };
        let found = |majors: (i32, i32), wording: Wording, is_known| {
            let mut comparison = Comparison::new(majors.0, majors.1);
            comparison.not_the_same(&wording, is_known);
            comparison.findings().into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
        };
        for (kind, aspect) in [("rule", "definition"), ("function", "parsed body"), ("view", "definition")] {
            assert_eq!(found((13, 17), query(kind, aspect, "SELECT 1"), false), [FindingKind::Note]);
            assert_eq!(found((13, 17), query(kind, aspect, "SELECT 1"), true), [FindingKind::Differs]);
            assert_eq!(found((17, 17), query(kind, aspect, "SELECT 1"), false), [FindingKind::Differs]);
        }
        assert_eq!(found((13, 17), query("policy", "using", "(SELECT 1)"), false), [FindingKind::Unknown]);
        assert_eq!(found((13, 17), query("policy", "using", "(a > 1)"), false), [FindingKind::Differs]);
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
