//! A look at both ends before anything is changed: what stands in the way, each with its fix.
//!
//! Source first, then target, then both together. Nothing is written, except that a migration tries a multipart upload on
//! the target and aborts it, which creates no object. Called by `run`.

mod both;
mod list;
mod policy;
mod source;
mod target;
mod versions;

use common::error::{Class, OperatorError as _, sentence};
use common::report::{Check, CheckOutcome};
use common::settings::Mode;

use crate::copy::Route;
use crate::dialect;
use crate::errand::Errand;
use crate::error::Error;
use crate::journal::Memory;
use crate::listing::{self, Page};
use crate::manifest::Place;
use crate::plan::Policy;
use crate::store::Store;

pub(crate) use source::is_archived;

/// What preflight is told about the run.
#[derive(Debug, Clone, Copy)]
pub struct Intent {
    /// What the run will do.
    pub mode: Mode,
    /// What it may do.
    pub policy: Policy,
    /// Whether objects that only the target has are put up with.
    pub allow_extra: bool,
    /// Whether all versions are migrated.
    pub versions: bool,
    /// Whether there is a journal.
    pub has_state: bool,
}

/// The checks so far and whether one of them stands in the way.
#[derive(Debug, Default)]
struct Findings {
    checks: Vec<Check>,
    /// Whether all that stands in the way may pass by itself.
    transient: bool,
}

impl Findings {
    fn add(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Adds the check that `error` makes fail.
    fn fail(&mut self, name: String, error: &Error) {
        self.transient = error.class() == Class::Transient;
        self.add(Check::fail(name, sentence(error), fix(error)));
    }

    /// Adds what was found out at the same time.
    fn extend(&mut self, other: Self) {
        let may_pass = |findings: &Self| findings.transient || findings.failed().next().is_none();
        self.transient = (self.transient || other.transient) && may_pass(self) && may_pass(&other);
        self.checks.extend(other.checks);
    }

    fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == CheckOutcome::Fail)
    }
}

/// What preflight comes to.
#[derive(Debug)]
pub struct Looked {
    /// What was looked at.
    pub checks: Vec<Check>,
    /// Whether both sides can be listed, so that a dry run can count whatever else stands in the way.
    pub can_list: bool,
    /// [`Error::Refused`] when something stands in the way.
    pub outcome: Result<(), Error>,
}

/// Looks at both ends, and at the list that is migrated by, where there is one.
pub async fn preflight(
    route: &Route,
    intent: Intent,
    list: Option<&Place>,
    memory: &Memory,
    errand: &Errand,
) -> Looked {
    let mut findings = Findings::default();
    let mut can_list = look(route, intent, memory, errand, &mut findings).await;
    if let Some(list) = list {
        can_list &= list::check(list, route, errand, &mut findings).await;
    }
    let failed: Vec<&Check> = findings.failed().collect();
    let outcome = if failed.is_empty() {
        Ok(())
    } else {
        Err(Error::Refused {
            reasons: failed.iter().map(|check| check.detail.clone()).collect(),
            fixes: failed.iter().filter_map(|check| check.fix.clone()).collect(),
            transient: findings.transient,
        })
    };
    Looked { checks: findings.checks, can_list, outcome }
}

/// Whether both sides can be listed.
async fn look(route: &Route, intent: Intent, memory: &Memory, errand: &Errand, findings: &mut Findings) -> bool {
    // Both sides at the same time: what a second run with nothing to do takes is mostly this.
    let (mut of_source, mut of_target) = (Findings::default(), Findings::default());
    let (source_page, target_page) = futures::join!(
        async {
            let page = first_page(&route.source, errand, &mut of_source).await;
            if let Some(page) = &page {
                source::check(&route.source, page, errand, &mut of_source).await;
            }
            page
        },
        async {
            let page = first_page(&route.target, errand, &mut of_target).await;
            if page.is_some() {
                target::check(route, intent.mode, errand, &mut of_target).await;
            }
            page
        }
    );
    findings.extend(of_source);
    findings.extend(of_target);
    let (Some(source), Some(target)) = (source_page, target_page) else { return false };
    if intent.versions {
        versions::check(route, intent, errand, findings).await;
    } else {
        both::check(route, &source, &target, intent, memory, findings);
    }
    true
}

/// The first page of a side: shows that it is reached, that the credentials are good, that the bucket is there, in this
/// region, and may be listed.
async fn first_page(store: &Store, errand: &Errand, findings: &mut Findings) -> Option<Page> {
    let name = format!("{} can be listed", store.side());
    let page = async {
        store.set_dialect(dialect::dialect(store, errand).await?);
        listing::first(store, errand).await
    };
    match page.await {
        Ok(page) => {
            let what = if page.entries.is_empty() { "it is empty" } else { "it has objects" };
            findings.add(Check::pass(name, format!("{} ({}): {what}", store.place(), store.engine())));
            Some(page)
        }
        Err(error) => {
            findings.fail(name, &error);
            if let (Some(owner), true, Some(check)) = (store.owner(), error.is_denied(), findings.checks.last_mut()) {
                let rights = check.fix.take().unwrap_or_default();
                check.fix = Some(format!("check that the account {owner} owns the bucket, as was said; {rights}"));
            }
            None
        }
    }
}

fn fix(error: &Error) -> String {
    error.hint().unwrap_or_else(|| "see the service's own message".into())
}
