//! The run of one bucket: listings merged into steps, steps carried out by workers, records booked.
//!
//! list source, list target ─► merge ─► plan ─► queue ─► workers ─► records ─► ledger. Every arrow is bounded, so memory
//! is flat in the number of objects. Called by `outcome` for each bucket in turn.

use std::sync::Arc;
use std::time::Instant;

use common::finding::{Finding, FindingKind, Verdict};
use common::limits::ByteBudget;
use common::progress::Progress;
use common::report::Check;
use common::settings::Mode;
use common::tasks::TaskSet;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use crate::arrived::Likenesses;
use crate::census::Census;
use crate::compare::Depth;
use crate::config::{Config, Leg, Place};
use crate::copy::{Capabilities, Route};
use crate::errand::Errand;
use crate::error::Error;
use crate::etags::Etags;
use crate::extra::Extra;
use crate::journal::Memory;
use crate::limits::{Limits, Pace};
use crate::manifest::{self, Row};
use crate::merge_reports;
use crate::plan::{Policy, Step};
use crate::planner::{Planner, Terms, Work};
use crate::preflight::{Intent, preflight};
use crate::record::Ledger;
use crate::shard::Share;
use crate::state::State;
use crate::store::{Side, Store};
use crate::worker::Worker;

/// Steps planned ahead of the workers.
const STEPS_AHEAD: usize = 256;

/// Keys planned ahead of the workers where each of them may have many versions.
const KEYS_AHEAD: usize = 16;

/// Records that wait to be booked.
const RECORDS_AHEAD: usize = 256;

/// What runs of all buckets share.
#[derive(Debug)]
pub struct Books {
    /// What preflight looked at.
    pub checks: Vec<Check>,
    /// What was done.
    pub ledger: Ledger,
    /// What a dry run counted, by bucket.
    pub censuses: Vec<(Option<String>, Census)>,
    /// What else is worth keeping, by name.
    pub settings: std::collections::BTreeMap<String, String>,
    /// Counters for the display.
    pub progress: Progress,
    /// The run's start.
    pub started: Instant,
}

/// Runs `leg` to its end, or to the first error that concerns all of it.
pub async fn run(config: &Config, leg: &Leg, stop: &CancellationToken, books: &mut Books) -> Result<(), Error> {
    let errand = Errand::new(stop.clone());
    let content = Arc::new(Pace::new(config.content_per_second));
    let limits = |side| Limits::new(side, config.jobs, Pace::new(config.requests_per_second), Arc::clone(&content));
    let store = |side, place: &Place| {
        let Place { url, options, owner } = place.clone();
        Store::of_owner(side, url, options, owner)
    };
    let (source, target) = (store(Side::Source, &leg.source).await?, store(Side::Target, &leg.target).await?);
    let route = Arc::new(Route {
        etags: Etags::default(),
        kept: Likenesses::default(),
        source: source.limited(limits("source")),
        target: target.limited(limits("target")),
        budget: ByteBudget::new(config.memory_bytes),
        memory_bytes: config.memory_bytes,
        capabilities: Capabilities::default(),
        begun: std::sync::Mutex::default(),
        leftovers: std::sync::Mutex::default(),
        depth: if config.verify_stored { Depth::Kept } else { Depth::Full },
        progress: books.progress.clone(),
    });
    let policy = Policy { verify: config.mode == Mode::Verify, overwrite: config.overwrite };
    let (mut state, mut memory) = open_state(config, leg, &errand).await?;
    *route.begun.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = memory.take_uploads();
    let outcome = pass(config, leg, stop, books, route, policy, (state.as_mut(), memory)).await;
    // Closed however the run ended, also when it was stopped, so that the next one need not wait.
    let closed = match &mut state {
        Some(state) => state.close(&Errand::new(CancellationToken::new())).await,
        None => Ok(()),
    };
    outcome.and(closed)
}

async fn pass(
    config: &Config,
    leg: &Leg,
    stop: &CancellationToken,
    books: &mut Books,
    route: Arc<Route>,
    policy: Policy,
    (state, memory): (Option<&mut State>, Memory),
) -> Result<(), Error> {
    let errand = Errand::new(stop.clone());
    let allow_extra = config.allow_extra || config.delete_max.is_some();
    let has_state = config.state.is_some();
    let intent = Intent { mode: config.mode, policy, allow_extra, versions: config.versions, has_state };
    books.progress.begin_phase("preflight", None, None);
    let looked = preflight(&route, intent, config.manifest.as_ref(), &memory, &errand).await;
    books.checks.extend(looked.checks);
    let share = Share::of(config.shard);
    let pass = Pass { config, leg, route, policy, share, stop };
    match config.mode {
        // What stands in the way of a migration is no reason not to count.
        Mode::DryRun if looked.can_list => pass.count(memory, books).await.and(looked.outcome),
        Mode::DryRun => looked.outcome,
        Mode::Migrate | Mode::Verify => {
            looked.outcome?;
            pass.work(memory, state, books).await
        }
    }
}

/// The journal. A verification reads nothing into it and believes nothing of it; a dry run writes nothing.
async fn open_state(config: &Config, leg: &Leg, errand: &Errand) -> Result<(Option<State>, Memory), Error> {
    match &config.state {
        Some(location) if config.mode == Mode::Migrate => {
            let (state, memory) = State::open(location, leg, config.shard, errand).await?;
            Ok((Some(state), memory))
        }
        Some(location) if config.mode == Mode::DryRun => {
            Ok((None, State::peek(location, leg, config.shard, errand).await?))
        }
        _ => Ok((None, Memory::default())),
    }
}

/// One pass over both listings.
struct Pass<'a> {
    config: &'a Config,
    leg: &'a Leg,
    route: Arc<Route>,
    policy: Policy,
    share: Share,
    stop: &'a CancellationToken,
}

impl Pass<'_> {
    fn planner(&self, tasks: &mut TaskSet<Error>, memory: Memory) -> Planner {
        let terms = Terms { policy: self.policy, memory, share: self.share.clone() };
        let (source, target) = (&self.route.source, &self.route.target);
        if let Some(place) = &self.config.manifest {
            let rows = manifest::start(place, &self.leg.target.options, source.url(), tasks);
            Planner::of_manifest(rows, terms)
        } else if self.config.versions {
            Planner::of_versions(source, target, terms, tasks)
        } else {
            Planner::of_objects(source, target, terms, tasks)
        }
    }

    /// What this share listed goes into the report, for `merge-reports`.
    fn note_share(&self, books: &mut Books) {
        if let Some(shard) = self.share.shard {
            let (all, own) = self.share.listed();
            for (name, text) in [
                (merge_reports::SHARD, shard.to_string()),
                (merge_reports::LISTED_ALL, all.to_string()),
                (merge_reports::LISTED_OWN, own.to_string()),
            ] {
                books.settings.insert(name.into(), text);
            }
        }
    }

    /// The dry run.
    async fn count(&self, memory: Memory, books: &mut Books) -> Result<(), Error> {
        books.progress.begin_phase("list", None, None);
        let mut tasks = TaskSet::new(self.stop);
        let mut planner = self.planner(&mut tasks, memory);
        let mut census = Census::at(self.config.prices);
        // Objects of a manifest, each looked up by itself.
        let mut rows = FuturesUnordered::new();
        while let Some(work) = planner.next().await {
            census.count_key(&work);
            books.progress.add_items(work.count());
            match work {
                Work::Row(row, terms) => rows.push(self.look_up(*row, terms)),
                work => work.steps().iter().for_each(|step| census.count(step)),
            }
            while rows.len() >= self.config.jobs {
                rows.next().await.transpose()?.iter().for_each(|step| census.count(step));
            }
        }
        while let Some(step) = rows.next().await {
            census.count(&step?);
        }
        drop(rows);
        drop(planner);
        tasks.join().await?;
        let totals = &mut books.ledger.totals;
        totals.listed += census.objects;
        totals.bytes_listed += census.copy_bytes;
        totals.equal += census.compare + census.known + census.marked;
        totals.failed += census.differ + census.unaligned;
        totals.target_only += census.extra;
        totals.skipped += census.left;
        books.censuses.push((self.leg.name.clone(), census));
        Ok(())
    }

    async fn look_up(&self, row: Row, terms: Arc<Terms>) -> Result<Step, Error> {
        manifest::resolve(&self.route, &terms, row, &Errand::new(self.stop.clone())).await
    }

    /// The migration and the verification.
    async fn work(&self, memory: Memory, mut state: Option<&mut State>, books: &mut Books) -> Result<(), Error> {
        let phase = if self.policy.verify { "verify" } else { "copy" };
        books.progress.begin_phase(phase, None, None);
        let mut tasks = TaskSet::new(self.stop);
        let errand = Errand::new(CancellationToken::new());
        let planner = self.planner(&mut tasks, memory);
        let (steps, queue) = mpsc::channel(if self.config.versions { KEYS_AHEAD } else { STEPS_AHEAD });
        tasks.spawn(feed(planner, steps, self.route.progress.clone()));
        let (records, mut booked) = mpsc::channel(RECORDS_AHEAD);
        let (notes, mut lines) = mpsc::channel(RECORDS_AHEAD);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..self.config.jobs {
            let worker = Worker {
                number,
                route: Arc::clone(&self.route),
                queue: Arc::clone(&queue),
                records: records.clone(),
                journal: state.is_some().then(|| notes.clone()),
                stop: tasks.token(),
                started: books.started,
            };
            tasks.spawn(worker.run());
        }
        drop((records, notes, queue));
        let token = tasks.token();
        let bucket = self.leg.name.as_deref().filter(|_| self.config.legs.len() > 1);
        let ledger = &mut books.ledger;
        let source = &self.leg.source.url;
        let mut extra = Extra::new(self.config, self.leg).filter(|_| !self.policy.verify);
        let booking = async {
            let mut outcome = Ok(());
            loop {
                let timed = tokio::select! {
                    biased;
                    Some(line) = lines.recv() => {
                        note(state.as_deref_mut(), &line, &errand).await;
                        continue;
                    }
                    timed = booked.recv() => timed,
                };
                let Some(timed) = timed else { break };
                let now = match &mut extra {
                    Some(extra) => extra.hold(timed, self.route.target.prefix()),
                    None => vec![timed],
                };
                for timed in now {
                    let booked = ledger.book(timed, source, bucket, state.as_deref_mut(), &errand).await;
                    if outcome.is_ok() && booked.is_err() {
                        // What is in flight is still booked, so that the books say what was done.
                        token.cancel();
                        outcome = booked;
                    }
                }
            }
            outcome
        };
        let (worked, booked) = tokio::join!(tasks.join(), booking);
        let outcome = worked.and(booked);
        if let Some(extra) = &mut extra {
            self.delete(extra, outcome.is_ok() && !self.stop.is_cancelled(), books).await?;
        }
        outcome?;
        self.note_share(books);
        self.note_leftovers(&mut books.ledger);
        Ok(())
    }

    /// Deletes what only the target has, if everything else went well; books it either way.
    async fn delete(&self, extra: &mut Extra, is_done: bool, books: &mut Books) -> Result<(), Error> {
        let errand = Errand::new(self.stop.clone());
        let is_clean = is_done && books.ledger.totals.failed == 0 && books.ledger.verdict != Verdict::Different;
        let bucket = self.leg.name.as_deref().filter(|_| self.config.legs.len() > 1);
        if extra.is_over() {
            tracing::warn!("more objects are only on the target than --delete-max allows; none of them was deleted");
        }
        for timed in extra.finish(&self.route, is_clean, &errand).await {
            books.ledger.book(timed, &self.leg.source.url, bucket, None, &errand).await?;
        }
        Ok(())
    }

    /// Unfinished uploads of other keys than those that were copied are not ours to abort; they cost money, so they are
    /// named.
    fn note_leftovers(&self, ledger: &mut Ledger) {
        let leftovers = self.route.leftovers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count: usize = leftovers.values().map(Vec::len).sum();
        if let Some(key) = leftovers.keys().min() {
            let detail = format!(
                "{count} unfinished multipart uploads were there before this run, for example of {key:?}, and were left alone"
            );
            ledger.note(Finding::new(FindingKind::Note, self.route.target.url().to_string(), "uploads", detail));
        }
    }
}

/// Writes `line` at once: it is for the case that the next thing that happens is a kill. That it cannot be written is no
/// reason to end the run.
async fn note(state: Option<&mut State>, line: &str, errand: &Errand) {
    let Some(state) = state else { return };
    let written = async {
        state.append(line, errand).await?;
        state.flush(errand).await
    };
    if let Err(error) = written.await {
        tracing::warn!(%error, "the journal does not know of an upload that has begun");
    }
}

/// Feeds the workers; sets the totals of the display as the listing goes on.
async fn feed(mut planner: Planner, queue: mpsc::Sender<Work>, progress: Progress) -> Result<(), Error> {
    let (mut objects, mut bytes) = (0, 0);
    while let Some(work) = planner.next().await {
        objects += work.count();
        bytes += work.bytes();
        progress.set_totals(Some(bytes), Some(objects));
        // All workers are gone when the run ended early.
        if queue.send(work).await.is_err() {
            break;
        }
    }
    Ok(())
}
