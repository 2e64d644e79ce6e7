//! A worker: takes one piece of work after the other, and hands over what became of it.
//!
//! Called by `run`, which starts as many as `--jobs` says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::manifest::{self, Row};
use crate::plan::Step;
use crate::planner::{Queue, Terms, Work};
use crate::record::{Record, Timed};
use crate::versions::Chain;
use crate::work::{failure, perform};

/// How long objects in flight may go on once a stop is asked for. Multipart uploads do not use it: they are aborted.
const GRACE: Duration = Duration::from_secs(6);

/// See the module.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub number: usize,
    /// Both sides.
    pub route: Arc<Route>,
    /// Where work comes from.
    pub queue: Queue,
    /// Where records go.
    pub records: mpsc::Sender<Timed>,
    /// Takes lines for the journal, where there is one.
    pub journal: Option<mpsc::Sender<String>>,
    /// Cancelled when the run is to end.
    pub stop: CancellationToken,
    /// The run's start.
    pub started: Instant,
}

/// Whether there is someone to work for.
enum Then {
    GoOn,
    Stop,
}

impl Worker {
    /// Works until there is nothing left or the run is to end.
    pub async fn run(self) -> Result<(), Error> {
        while let Some(work) = self.claim().await {
            let then = match work {
                Work::One(step) => self.carry_out(*step, self.errand(), None).await?,
                Work::Row(row, terms) => self.row(*row, &terms).await?,
                Work::Versions { key, steps, on_target } => self.versions(Chain::new(key, on_target), steps).await?,
            };
            if matches!(then, Then::Stop) {
                break;
            }
        }
        Ok(())
    }

    /// An object of a manifest, which is looked up first.
    async fn row(&self, row: Row, terms: &Terms) -> Result<Then, Error> {
        let start_ms = self.elapsed_ms();
        let entry = row.entry().clone();
        let errand = Errand::new(self.stop.clone());
        let looking = manifest::resolve(&self.route, terms, row, &errand);
        let step = tokio::select! {
            step = looking => step,
            () = self.out_of_grace() => return Ok(Then::Stop),
        };
        match step {
            Ok(step) => self.carry_out(step, self.errand().of_list(), None).await,
            Err(Error::GivenUp) => Ok(Then::Stop),
            Err(error) if error.is_of_side() => Err(error),
            Err(error) => Ok(self.hand_over(failure(entry, &error, &errand), start_ms).await),
        }
    }

    async fn versions(&self, mut chain: Chain, steps: Vec<Step>) -> Result<Then, Error> {
        for step in steps {
            // What is not begun is left to the next run, as it is between two objects.
            if self.stop.is_cancelled() {
                return Ok(Then::Stop);
            }
            if let Then::Stop = self.carry_out(step, self.errand().writing_once(), Some(&mut chain)).await? {
                return Ok(Then::Stop);
            }
        }
        Ok(Then::GoOn)
    }

    fn errand(&self) -> Errand {
        Errand::new(self.stop.clone()).noting(self.journal.clone())
    }

    async fn carry_out(&self, step: Step, errand: Errand, chain: Option<&mut Chain>) -> Result<Then, Error> {
        let start_ms = self.elapsed_ms();
        let _shown = self.route.progress.working_on(step.entry().key.to_string());
        let errand = Arc::new(errand);
        let working = async {
            match chain {
                Some(chain) => chain.perform(&self.route, step, &errand).await,
                None => perform(&self.route, step, &errand).await,
            }
        };
        let outcome = tokio::select! {
            outcome = working => outcome,
            () = self.out_of_grace() => Err(Error::GivenUp),
        };
        let record = match outcome {
            // The run has its own reason for ending; this object is simply not reached.
            Err(Error::GivenUp) => return Ok(Then::Stop),
            outcome => outcome?,
        };
        Ok(self.hand_over(record, start_ms).await)
    }

    async fn hand_over(&self, record: Record, start_ms: u64) -> Then {
        self.route.progress.add_items(1);
        let timed = Timed { record, worker: self.number, start_ms, end_ms: self.elapsed_ms() };
        if self.records.send(timed).await.is_err() { Then::Stop } else { Then::GoOn }
    }

    async fn claim(&self) -> Option<Work> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            work = async { self.queue.lock().await.recv().await } => work,
        }
    }

    async fn out_of_grace(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
