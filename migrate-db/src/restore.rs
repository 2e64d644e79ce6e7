//! The schema's way into the target, before and after the rows. What cannot be restored is a finding, and the rest goes on:
//! one view that the new major does not know must not hold up a cutover, and must not pass in silence either.
//!
//! Called by `run`.

use std::time::Instant;

use common::finding::{Finding, FindingKind};
use tokio_util::sync::CancellationToken;

use crate::catalog::ForeignKey;
use crate::connect::Session;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::journal::{self, Journal, Step};
use crate::plan::Plan;
use crate::record::Recorder;
use crate::schema::{Complaint, Schema, Section};

/// The aspect of findings about objects that could not be restored.
pub const RESTORE: &str = "restore";

/// What both restores of a run need.
#[derive(Clone, Copy)]
pub struct Restore<'a> {
    /// The plan, which says what is left to us.
    pub plan: &'a Plan,
    /// Where to.
    pub target: &'a Endpoint,
    /// Takes the findings and the times.
    pub recorder: &'a Recorder,
    /// So many sessions may restore at the same time.
    pub jobs: usize,
    /// Cancelled when the run is to end early.
    pub stop: &'a CancellationToken,
}

impl Restore<'_> {
    /// Restores what comes before the rows, unless an earlier start of the run did so without a complaint: whoever has
    /// mended the cause of one runs the same command again, and then what was missing arrives.
    pub async fn pre_data(&self, schema: &Schema, journal: &Journal, control: &Session) -> Result<()> {
        if journal.is_done(Step::PreData) {
            return Ok(());
        }
        let started = Instant::now();
        let complaints = schema.restore_pre_data(self.plan, self.target, self.jobs, self.stop).await?;
        if complaints.is_empty() {
            journal::finish_step(control, Step::PreData).await?;
        }
        self.report(complaints);
        self.recorder.span("run", "schema", "schema", started);
        Ok(())
    }

    /// Restores what comes after the rows; `again` when an earlier start of the run may have begun with it. Returns the foreign
    /// keys that could not be made since rows violate them, about which more is to be said than the server says.
    pub async fn post_data(&self, schema: &Schema, again: bool, control: &Session) -> Result<Vec<&ForeignKey>> {
        let started = Instant::now();
        let mut violated = Vec::new();
        for section in [Section::PostData, Section::Last] {
            let list = schema.list(self.plan, section);
            let mut complaints = schema.restore(section, &list, self.target, again, self.stop).await?.standing;
            for key in &self.plan.restored_foreign_keys {
                let is_of_key = |complaint: &Complaint| complaint.is_of_violated_key(&key.table, &key.name);
                violated.extend(complaints.iter().any(is_of_key).then_some(key));
            }
            complaints.retain(|one| !violated.iter().any(|key| one.is_of_violated_key(&key.table, &key.name)));
            self.report(complaints);
        }
        self.recorder.span("run", "schema", "triggers, policies, rules", started);
        journal::finish_step(control, Step::PostData).await?;
        Ok(violated)
    }

    /// Said at once as well: the earlier somebody knows, the more time there is to mend it.
    fn report(&self, complaints: Vec<Complaint>) {
        for Complaint { entry, message } in complaints {
            tracing::warn!("{entry} cannot be restored: {message}");
            self.recorder.finding(Finding::new(FindingKind::Error, entry, RESTORE, message));
        }
    }
}
