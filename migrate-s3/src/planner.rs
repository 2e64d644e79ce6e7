//! From two listings to the work of a run, piece by piece, in byte order of the keys.
//!
//! One piece is one step for the objects as they are now, and all the steps of a key for its versions. Called by `run`.

use std::sync::Arc;

use common::tasks::TaskSet;

use crate::error::Error;
use crate::journal::Memory;
use crate::key::Key;
use crate::listing::{Entry, Listing};
use crate::manifest::Row;
use crate::merge::{Merge, Pair};
use crate::plan::{Policy, Step, step};
use crate::shard::Share;
use crate::store::Store;
use crate::versions::{self, Histories, History};

/// What a worker takes at a time.
#[derive(Debug)]
pub enum Work {
    /// One step.
    One(Box<Step>),
    /// An object of a manifest, to be looked up by whoever takes it.
    Row(Box<Row>, Arc<Terms>),
    /// All steps of a key, to be carried out in this order; the target has `on_target` versions of it.
    Versions {
        /// The key.
        key: Key,
        /// The steps.
        steps: Vec<Step>,
        /// Versions, marks of deletion among them.
        on_target: usize,
    },
}

impl Work {
    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        match self {
            Self::One(step) => std::slice::from_ref(step),
            Self::Versions { steps, .. } => steps,
            Self::Row(..) => &[],
        }
    }

    /// How many objects or versions it is about.
    pub fn count(&self) -> u64 {
        if let Self::Row(..) = self { 1 } else { self.steps().len() as u64 }
    }

    /// Bytes of content that will be read of the source, as far as that is known.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Row(row, _) => row.entry().size,
            _ => self.steps().iter().map(Step::bytes).sum(),
        }
    }
}

/// What every piece of work is planned with.
#[derive(Debug)]
pub struct Terms {
    /// What may be done.
    pub policy: Policy,
    /// What earlier runs know.
    pub memory: Memory,
    /// Which part is this run's.
    pub share: Share,
}

/// See the module.
#[derive(Debug)]
pub struct Planner {
    terms: Arc<Terms>,
    sides: Sides,
}

#[derive(Debug)]
enum Sides {
    Objects { source: Listing, target: Listing, merge: Box<Merge> },
    Manifest { rows: Listing<Row> },
    Versions { source: Listing<History>, target: Listing<History>, next: Box<[Option<History>; 2]> },
}

impl Planner {
    /// Plans for the objects as they are now.
    pub fn of_objects(source: &Store, target: &Store, terms: Terms, tasks: &mut TaskSet<Error>) -> Self {
        let (source, target) = (Listing::start(source, tasks), Listing::start(target, tasks));
        Self { terms: Arc::new(terms), sides: Sides::Objects { source, target, merge: Box::default() } }
    }

    /// Plans for what a manifest names.
    pub fn of_manifest(rows: Listing<Row>, terms: Terms) -> Self {
        Self { terms: Arc::new(terms), sides: Sides::Manifest { rows } }
    }

    /// Plans for all versions.
    pub fn of_versions(source: &Store, target: &Store, terms: Terms, tasks: &mut TaskSet<Error>) -> Self {
        let (source, target) = (versions::start(source, tasks), versions::start(target, tasks));
        Self { terms: Arc::new(terms), sides: Sides::Versions { source, target, next: Box::new([None, None]) } }
    }

    /// The next piece; `None` at the end, and when a listing broke off.
    pub async fn next(&mut self) -> Option<Work> {
        let Terms { policy, memory, share } = &*self.terms;
        loop {
            match &mut self.sides {
                Sides::Objects { source, target, merge } => {
                    let pair = pair(source, target, merge).await?;
                    if share.takes(&pair) {
                        return Some(Work::One(Box::new(step(pair, *policy, memory))));
                    }
                }
                Sides::Manifest { rows } => {
                    let row = rows.next().await?;
                    let pair = Pair::SourceOnly(row.entry().clone());
                    if share.takes(&pair) {
                        return Some(Work::Row(Box::new(row), Arc::clone(&self.terms)));
                    }
                }
                Sides::Versions { source, target, next } => {
                    let histories = histories(source, target, next).await?;
                    if share.takes_versions(&histories.key, &histories.source) {
                        let (key, on_target) = (histories.key.clone(), histories.target.len());
                        return Some(Work::Versions {
                            key,
                            steps: versions::steps(histories, *policy, memory),
                            on_target,
                        });
                    }
                }
            }
        }
    }
}

async fn pair(source: &mut Listing, target: &mut Listing, merge: &mut Merge) -> Option<Pair> {
    if merge.source.is_none() {
        merge.source = source.next().await;
    }
    if merge.target.is_none() {
        merge.target = target.next().await;
    }
    // A listing that failed looks like one that ended: only its own task knows. What it did not list must not be taken
    // for absent.
    if !source.is_sound() || !target.is_sound() {
        return None;
    }
    merge.take()
}

async fn histories(
    source: &mut Listing<History>,
    target: &mut Listing<History>,
    next: &mut [Option<History>; 2],
) -> Option<Histories> {
    let [ours, theirs] = next;
    if ours.is_none() {
        *ours = source.next().await;
    }
    if theirs.is_none() {
        *theirs = target.next().await;
    }
    if !source.is_sound() || !target.is_sound() {
        return None;
    }
    let key = ours.iter().chain(theirs.iter()).map(|history| &history.key).min()?.clone();
    let take = |side: &mut Option<History>| -> Vec<Entry> {
        side.take_if(|history| history.key == key).map(|history| history.versions).unwrap_or_default()
    };
    let (source, target) = (take(ours), take(theirs));
    Some(Histories { key, source, target })
}

/// Where a planner's work goes: shared by all workers.
pub type Queue = Arc<tokio::sync::Mutex<tokio::sync::mpsc::Receiver<Work>>>;
