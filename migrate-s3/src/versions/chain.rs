//! The versions of one key, carried out one after the other.
//!
//! A version that could not be written holds up those after it: written later, it would be newer than they. A write whose
//! answer was lost is looked for before it is repeated, because twice written is two versions.

use std::sync::Arc;

use common::error::Class;
use common::finding::{Finding, FindingKind};
use common::report::ItemState;

use super::listing::of_key;
use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::listing::Entry;
use crate::plan::Step;
use crate::record::Record;
use crate::work::perform;

/// How often a version is tried whose writing ended without an answer.
const ATTEMPTS_MAX: u32 = 4;

const HELD_UP: &str = "an earlier version of the key could not be carried over, and versions have the order in which they \
                       are written";

/// See the module.
#[derive(Debug)]
pub struct Chain {
    key: Key,
    /// How many versions the target has by now.
    on_target: usize,
    is_held_up: bool,
}

impl Chain {
    /// The work on `key`, of which the target has `on_target` versions.
    pub fn new(key: Key, on_target: usize) -> Self {
        Self { key, on_target, is_held_up: false }
    }

    /// Carries out the next step.
    pub async fn perform(&mut self, route: &Arc<Route>, step: Step, errand: &Arc<Errand>) -> Result<Record, Error> {
        let (source, is_write) = match &step {
            Step::Copy { source, .. } | Step::Mark { source } => (source.clone(), true),
            other => (other.entry().clone(), false),
        };
        if !is_write {
            let record = perform(route, step, errand).await?;
            self.is_held_up |=
                record.findings.iter().any(|finding| finding.aspect == "content") || record.failure.is_some();
            return Ok(record);
        }
        if self.is_held_up {
            return perform(route, Step::Unaligned { source, why: HELD_UP }, errand).await;
        }
        for attempt in 1.. {
            let mut record = perform(route, step.clone(), errand).await?;
            if record.state == ItemState::Copied {
                self.on_target += 1;
                return Ok(self.kept(record));
            }
            let is_transient = record.failure.as_ref().is_some_and(|failure| failure.class == Class::Transient);
            // Swift leaves a second mark of deletion and does not say so.
            if (is_transient || source.is_marker()) && attempt < ATTEMPTS_MAX {
                match self.look(route, &source, errand).await {
                    Look::There(target) => {
                        self.on_target += 1;
                        let found = if source.is_marker() {
                            Step::Marked { source, target }
                        } else {
                            Step::Compare { source, target, may_replace: false }
                        };
                        record = perform(route, found, errand).await?;
                        if record.state == ItemState::Equal {
                            record.state = ItemState::Copied;
                            return Ok(record);
                        }
                    }
                    Look::NotThere if is_transient => continue,
                    Look::NotThere | Look::Unknown => {}
                }
            }
            self.is_held_up = true;
            return Ok(record);
        }
        unreachable!("the loop ends by its attempts")
    }

    /// What was written must have become a version, or the next one would replace it.
    fn kept(&mut self, mut record: Record) -> Record {
        let id = record.proved.as_ref().and_then(|proved| proved.target_version_id.as_deref());
        if id.is_none_or(|id| id == "null") {
            let detail = "the target keeps no versions: it gave this one no id";
            record.findings.push(Finding::new(FindingKind::Error, record.entry.name(), "version", detail));
            record.state = ItemState::Failed;
            self.is_held_up = true;
        }
        record
    }

    /// Whether the version that was being written is there.
    async fn look(&self, route: &Route, source: &Entry, errand: &Errand) -> Look {
        let Ok(mut versions) = of_key(&route.target, &self.key, errand).await else { return Look::Unknown };
        match versions.len() {
            count if count == self.on_target => Look::NotThere,
            count if count == self.on_target + 1 => match versions.pop() {
                Some(newest) if newest.is_marker() == source.is_marker() && newest.size == source.size => {
                    Look::There(newest)
                }
                _ => Look::Unknown,
            },
            _ => Look::Unknown,
        }
    }
}

enum Look {
    There(Entry),
    NotThere,
    /// Someone else writes there, or the target cannot be asked.
    Unknown,
}
