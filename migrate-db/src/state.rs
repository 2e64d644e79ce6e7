//! What a run has come to know; grows as it goes, and is what is left for the report, whatever the end was.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use common::progress::Progress;
use common::report::Check;

use crate::catalog::ServerVersion;
use crate::large_object;
use crate::plan::Plan;
use crate::preflight;
use crate::record::{Recorder, TableRecord};
use crate::seal::{Seal, Sealer};
use crate::statistics::Carrier;
use crate::way::Way;
use crate::width::Width;

/// See the module.
pub struct State {
    /// Identifies the run; taken from the journal when one goes on.
    pub run_id: String,
    /// The source's version.
    pub source_version: Option<ServerVersion>,
    /// The target's version.
    pub target_version: Option<ServerVersion>,
    /// Sessions that work at the same time, once both servers are known.
    pub width: Option<Width>,
    /// The source's statistics, where they can be carried over.
    pub statistics: Option<Carrier>,
    /// What preflight looked at.
    pub checks: Vec<Check>,
    /// The plan, once made.
    pub plan: Option<Arc<Plan>>,
    /// One record per table that was reached.
    pub records: Arc<Mutex<Vec<TableRecord>>>,
    /// What became of the large objects.
    pub large_objects: Option<large_object::Record>,
    /// Findings and times.
    pub recorder: Recorder,
    /// Counters for the display.
    pub progress: Progress,
    /// Puts the seal in the journal's place, once the run was proved equal and the result is out. Not before: whoever is
    /// killed between the two must be able to run the same command again.
    pub sealer: Option<Sealer>,
    /// The finished run whose work is on the target already: it is compared, and nothing is copied.
    pub finished_before: Option<Seal>,
    /// The target was emptied by this run: starting again must not do it again.
    pub cleaned: bool,
    /// How the source is reached.
    pub way: Way,
}

/// At the beginning.
impl Default for State {
    fn default() -> Self {
        Self {
            run_id: uuid::Uuid::now_v7().to_string(),
            source_version: None,
            target_version: None,
            width: None,
            statistics: None,
            checks: Vec::new(),
            plan: None,
            records: Arc::default(),
            large_objects: None,
            recorder: Recorder::default(),
            progress: Progress::new("tables"),
            sealer: None,
            finished_before: None,
            cleaned: false,
            way: Way::default(),
        }
    }
}

impl State {
    /// The same at the beginning, with the way to the source as it is.
    pub fn begin_again(&mut self) {
        let way = std::mem::take(&mut self.way);
        *self = Self {
            run_id: std::mem::take(&mut self.run_id),
            progress: self.progress.clone(),
            cleaned: self.cleaned,
            way,
            ..Self::default()
        };
    }

    /// The records so far.
    pub fn records(&self) -> Vec<TableRecord> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a table's newer record in the place of its older one.
    pub fn replace_record(&self, newer: TableRecord) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.retain(|record| record.name != newer.name);
        records.push(newer);
    }

    /// What a dry run has found, for a person.
    pub fn describe(&self) -> String {
        let mut text = preflight::describe(&self.checks);
        match (&self.finished_before, &self.plan) {
            (Some(seal), _) => {
                let run = &seal.run_id;
                let _ = writeln!(
                    text,
                    "The target holds the finished work of run {run}: both sides would be compared, nothing copied."
                );
            }
            (None, Some(plan)) => text.push_str(&plan.describe()),
            (None, None) => {}
        }
        if !self.way.plan.is_empty() {
            text.push_str("To get at the source it would make on the platform, and delete at the end:\n");
            for thing in &self.way.plan {
                let _ = writeln!(text, "  {thing}");
            }
            text.push_str("What is in the source is looked at when they are there, or with --via-app.\n");
        }
        text
    }
}
