//! The run: preflight, plan, copy, verify, in the order that the house draws.
//!
//! Called by `outcome`, which turns the [`State`] that is left behind into the report, whatever the end was.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use common::finding::Verdict;
use common::report::{Check, CheckOutcome};
use common::tasks::Begun;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::catalog::{self, RelationName, ServerVersion};
use crate::client_tools::ClientTools;
use crate::config::{Config, Mode};
use crate::connect::{Pool, Session};
use crate::context::{Context, Found};
use crate::error::{Error, Result, Side};
use crate::forecast::Forecast;
use crate::journal::{self, Journal, Step};
use crate::late_writers::{self, WriteCounts};
use crate::plan::{self, Plan, TablePlan};
use crate::preflight::{self, Party, TargetState};
use crate::preset::Planted;
use crate::record::TableRecord;
use crate::restore::Restore;
use crate::schema::Schema;
use crate::seal::{Seal, Sealer};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::statistics::Carrier;
use crate::way;
use crate::width::{self, Width};
use crate::{
    bounds, builds, clean, copy, estimate, finish, index, large_object, repair, rest, rights, seal, segment,
    statistics, verify,
};

/// Tables under way at the same time: enough to keep every session busy, few enough to bound memory for any number.
const TABLES_IN_FLIGHT_MAX: usize = 64;

/// Both ends, looked at and ready.
struct Ready {
    control: Session,
    snapshot: Snapshot,
    plan: Arc<Plan>,
    journal: Option<Journal>,
    /// What a migration restores, being dumped.
    schema: Option<Begun<Result<Schema>>>,
    source_identity: String,
    /// The source's counters before the snapshot.
    writes: WriteCounts,
}

/// Does what `config` asks for. What was found out is in `state` even when this fails.
pub async fn run(config: &Config, stop: &CancellationToken, state: &mut State) -> Result<()> {
    let Some(ready) = prepare(config, stop, state).await? else { return Ok(()) };
    let (plan, writes) = (Arc::clone(&ready.plan), ready.writes.clone());
    match config.mode {
        Mode::DryRun => return Ok(()),
        Mode::Migrate if state.finished_before.is_some() => verify_all(config, stop, state, &ready).await?,
        Mode::Verify => verify_all(config, stop, state, &ready).await?,
        Mode::Repair => repair_all(config, stop, state, ready).await?,
        Mode::Migrate => migrate(config, stop, state, ready).await?,
    }
    look_for_late_writers(config, stop, state, &plan, &writes).await
}

async fn look_for_late_writers(
    config: &Config,
    stop: &CancellationToken,
    state: &mut State,
    plan: &Plan,
    before: &WriteCounts,
) -> Result<()> {
    let Some(source) = &state.way.source else { return Ok(()) };
    let later = WriteCounts::read(source).await?;
    let mut findings = before.new_tables(&later, plan);
    let changed = before.changed(&later, plan);
    let written_count = changed.len();
    if !changed.is_empty() {
        state.progress.begin_phase("look for late writers", None, None);
        let snapshot = Snapshot::take(source, Side::Source).await?;
        let now = context(config, stop, state, plan, &snapshot);
        findings.extend(late_writers::findings(changed, &state.records(), &now).await?);
    }
    if findings.is_empty() {
        state.checks.push(before.check(&later, written_count));
    }
    for finding in findings {
        tracing::warn!("{} {}", finding.item, finding.detail);
        state.recorder.finding(finding);
    }
    Ok(())
}

/// A session with the target; a run that writes has the lock with it, before anything is made anywhere.
async fn open_target(config: &Config, state: &mut State) -> Result<Session> {
    state.checks.push(preflight::way(&config.target, Side::Target).await?);
    let control = Session::open(&config.target, Side::Target).await?;
    if config.mode.writes() && !journal::lock(&control).await? {
        let detail = format!("another run is at work on {}", config.target.label());
        state.checks.push(Check::fail("no other run", detail, "wait for it to end, or stop it"));
        return Err(Error::Refused(state.checks.clone()));
    }
    Ok(control)
}

/// Connects, takes the snapshot, reads the catalog, makes the plan, and looks whether anything stands in the way. `None`
/// when a dry run would have to make something first, to get at the source.
async fn prepare(config: &Config, stop: &CancellationToken, state: &mut State) -> Result<Option<Ready>> {
    let started = Instant::now();
    let control = open_target(config, state).await?;
    let Some(endpoint) = way::open(config, stop, &control, state).await? else { return Ok(None) };
    state.checks.push(preflight::way(&endpoint, Side::Source).await?);
    let writes = WriteCounts::read(&endpoint).await?;
    let snapshot = Snapshot::take(&endpoint, Side::Source).await?;
    let source_version = preflight::server_version(snapshot.session()).await?;
    let target_version = preflight::server_version(&control).await?;
    (state.source_version, state.target_version) = (Some(source_version), Some(target_version));
    let source = Party { endpoint: &endpoint, session: snapshot.session(), version: source_version };
    let target = Party { endpoint: &config.target, session: &control, version: target_version };
    let mut tools = None;
    if matches!(config.mode, Mode::Migrate | Mode::DryRun) {
        tools = Some(ClientTools::find(config.pg_bin_dir.as_deref(), source_version, target_version).await?);
    }
    let planted = Planted::find(snapshot.session(), config.preset).await?;
    let (width, room) = width::choose(config.width, snapshot.session(), &control).await?;
    let locks = preflight::room_for_locks(snapshot.session()).await?;
    let source_identity = journal::identity(snapshot.session(), &endpoint).await?;
    let mut journal = find_journal(config, &control, state, &source_identity).await?;
    let may_dump = may_dump(config, state, [&room, &locks]);
    let schema =
        tools.as_ref().filter(|_| may_dump).map(|tools| Schema::dump(tools, &snapshot, &planted, config.rights, stop));
    let catalog = catalog::read(snapshot.session(), source_version).await?;
    state.checks.extend(preflight::for_reading(&source, &target, &catalog).await?);
    state.width = Some(width);
    state.checks.push(room);
    if tools.is_some() {
        state.checks.push(locks);
    }
    if config.mode == Mode::Migrate {
        state.statistics = Carrier::between(&source, &target).await?;
    }
    state.checks.push(preflight::planted(&planted));
    state.checks.push(late_writers::connected(snapshot.session()).await?);
    if let Some(tools) = &tools {
        let target_state = target_state(config, journal.as_ref(), state.finished_before.as_ref());
        state.checks.extend(preflight::for_writing(&source, &target, &catalog, tools, &target_state).await?);
        state.checks.push(rights::roles(snapshot.session(), &control, config.rights).await?);
    }
    let mut plan = plan::make(catalog, planted, source_version, config.segment_bytes_max, width.jobs);
    if config.mode == Mode::Repair {
        let target_state = target_state(config, journal.as_ref(), state.finished_before.as_ref());
        state.checks.push(preflight::repairable(&plan, &source_identity, &target_state, config.confirmed));
        journal = journal.filter(|journal| journal.source == source_identity);
    }
    if let Some(journal) = &journal {
        state.run_id.clone_from(&journal.run_id);
        keep_ranges(&mut plan, journal, &source_identity)?;
    } else {
        bounds::cut_by_keys(snapshot.session(), source_version, &mut plan).await?;
    }
    let plan = Arc::new(plan);
    state.plan = Some(Arc::clone(&plan));
    state.recorder.span("run", "schema", "preflight and plan", started);
    for check in state.checks.iter().filter(|check| check.outcome == CheckOutcome::Warn) {
        tracing::warn!(next = check.fix, "{}: {}", check.name, check.detail);
    }
    preflight::refuse_failures(&state.checks)?;
    if config.mode == Mode::DryRun {
        state.checks.push(estimate::sample(&snapshot.readers(width.jobs), &plan, stop).await?);
    }
    Ok(Some(Ready { control, snapshot, plan, journal, schema, source_identity, writes }))
}

/// Whether the schema can be dumped while everything else is looked at: what else stands in its way preflight says better, and then
/// nobody waits for it. A migration that was finished here is only looked at again.
fn may_dump(config: &Config, state: &State, room: [&Check; 2]) -> bool {
    config.mode == Mode::Migrate
        && state.finished_before.is_none()
        && room.iter().all(|check| check.outcome != CheckOutcome::Fail)
}

/// The journal on the target; that a migration was finished there is noted in `state`.
async fn find_journal(
    config: &Config,
    control: &Session,
    state: &mut State,
    source_identity: &str,
) -> Result<Option<Journal>> {
    match config.mode {
        Mode::Verify => Ok(None),
        Mode::Repair => {
            state.finished_before = Seal::read(control).await?;
            journal::load(control).await
        }
        Mode::Migrate | Mode::DryRun => {
            if config.mode == Mode::Migrate && journal::exists(control).await? {
                // Before it is read for good: what is still being committed would be missing from it.
                journal::end_leftovers(control).await?;
            }
            let clean = config.clean && !state.cleaned;
            let journal = journal::load(control).await?.filter(|_| !clean);
            if journal.is_none() && !clean {
                state.finished_before = Seal::read(control).await?.filter(|seal| seal.source == source_identity);
            }
            Ok(journal)
        }
    }
}

fn target_state<'a>(config: &'a Config, journal: Option<&'a Journal>, seal: Option<&'a Seal>) -> TargetState<'a> {
    TargetState { journal, seal, confirmation: &config.confirmation, clean: config.clean }
}

/// Takes over how the journal's run has cut the tables, and refuses a journal of another source or plan.
fn keep_ranges(plan: &mut Plan, journal: &Journal, source_identity: &str) -> Result<()> {
    if journal.source != source_identity {
        return Err(Error::ForeignJournal(format!("it copies from {}, not from {source_identity}", journal.source)));
    }
    if journal.fingerprint != plan.fingerprint() {
        return Err(Error::ForeignJournal("the source's tables or columns have changed since it began".into()));
    }
    for table in &mut plan.tables {
        if let Some(lines) = journal.tables.get(&table.table.name) {
            table.ranges = lines.iter().map(|line| line.range.clone()).collect();
        }
    }
    Ok(())
}

fn context(config: &Config, stop: &CancellationToken, state: &State, plan: &Plan, snapshot: &Snapshot) -> Context {
    let Width { jobs, index_jobs } = state.width.unwrap_or(Width { jobs: 1, index_jobs: 1 });
    Context {
        readers: snapshot.readers(jobs),
        writers: Pool::new(&config.target, Side::Target, jobs, String::new()),
        builders: Pool::new(&config.target, Side::Target, index_jobs, index::prepare_builder(index_jobs)),
        target_version: state.target_version.unwrap_or(ServerVersion(0)),
        segment_bytes_max: config.segment_bytes_max.unwrap_or(segment::BYTES_MAX_LEAST),
        found: Found::Work,
        reads_back: !config.copy_only,
        statistics: state.statistics.clone(),
        show_keys: config.show_keys,
        rights: config.rights,
        recorder: state.recorder.clone(),
        progress: state.progress.clone(),
        forecast: Arc::new(Mutex::new(Forecast::new(plan.bytes()))),
        stop: stop.clone(),
    }
}

async fn migrate(config: &Config, stop: &CancellationToken, state: &mut State, ready: Ready) -> Result<()> {
    let Ready { control, snapshot, plan, journal, schema, source_identity, .. } = ready;
    state.progress.begin_phase("schema", None, None);
    let schema = schema.ok_or_else(|| Error::Defect("the schema was not dumped".into()))?.finish().await??;
    if config.clean && !state.cleaned {
        clean::empty_target(&control).await?;
        seal::remove(&control).await?;
        state.cleaned = true;
    }
    let resumed = journal.is_some();
    let journal = if let Some(journal) = journal {
        journal
    } else {
        journal::begin(&control, &state.run_id, &source_identity, &plan).await?;
        journal::load(&control).await?.ok_or_else(|| Error::Defect("the journal just written is not there".into()))?
    };
    let jobs = state.width.map_or(1, |width| width.jobs);
    let restore = Restore { plan: &plan, target: &config.target, recorder: &state.recorder, jobs, stop };
    restore.pre_data(&schema, &journal, &control).await?;
    let mut context = context(config, stop, state, &plan, &snapshot);
    context.found = match (resumed, journal.is_done(Step::PostData)) {
        (false, _) => Found::Nothing,
        (true, false) => Found::Work,
        (true, true) => Found::WorkAndTriggers,
    };
    let _builds = builds::watch(&config.target, &state.progress, plan.bytes());
    let phase = if config.copy_only { "copy" } else { "copy and verify" };
    state.progress.begin_phase(phase, Some(context.passes() * plan.bytes()), Some(plan.tables.len() as u64));
    let ((), large_objects) = tokio::try_join!(
        copy_tables(&context, state, &plan, &journal),
        copy_large_objects(&context, &plan, &journal, resumed, &control),
    )?;
    state.large_objects = large_objects;
    state.progress.begin_phase("sequences, foreign keys and triggers", None, None);
    let positions = rest::set_sequences(&plan, &snapshot, &control).await?;
    index::foreign_keys(&context, &plan.foreign_keys).await?;
    let violated = restore.post_data(&schema, resumed, &control).await?;
    index::restored_foreign_keys(&context, &plan.restored_foreign_keys, &violated, snapshot.session()).await?;
    finish::refresh_materialized_views(&context, &plan.materialized_views).await?;
    statistics::of_partitioned(&context, &plan.partitioned).await?;
    rest::compare(config, &context, state, &plan, &snapshot, &control, Some(&positions)).await?;
    conclude(config, state, control, source_identity).await
}

/// Copies the large objects, unless an earlier start did and they are still the source's.
async fn copy_large_objects(
    context: &Context,
    plan: &Plan,
    journal: &Journal,
    resumed: bool,
    control: &Session,
) -> Result<Option<large_object::Record>> {
    if plan.large_object_count == 0 && !resumed {
        return Ok(None);
    }
    if journal.is_done(Step::LargeObjects) {
        return large_object::repair(context, control).await;
    }
    let record = large_object::migrate(context, control, resumed).await?;
    journal::finish_step(control, Step::LargeObjects).await?;
    Ok(record)
}

/// Compares everything, copies again what differs, one table after the other, and compares that again.
async fn repair_all(config: &Config, stop: &CancellationToken, state: &mut State, ready: Ready) -> Result<()> {
    let Ready { control, snapshot, plan, journal, source_identity, .. } = ready;
    let context = context(config, stop, state, &plan, &snapshot);
    state.progress.begin_phase("compare", Some(2 * plan.bytes()), Some(plan.tables.len() as u64));
    for_each_table(&plan, state, async |table| verify::compare_table(&context, table).await).await?;
    let differs = |record: &TableRecord| matches!((record.source, record.target), (Some(source), Some(target)) if source != target);
    let differing: BTreeSet<RelationName> =
        state.records().iter().filter(|record| differs(record)).map(|record| record.name.clone()).collect();
    for table in plan.tables.iter().filter(|table| differing.contains(&table.table.name)) {
        let repaired = repair::repair_table(&context, &control, table).await?;
        state.replace_record(repaired);
    }
    state.large_objects = large_object::repair(&context, &control).await?;
    // Also where nothing differs: an earlier repair may have been cut off before it came to this.
    state.progress.begin_phase("sequences and foreign keys", None, None);
    let positions = rest::set_sequences(&plan, &snapshot, &control).await?;
    index::foreign_keys(&context, &plan.foreign_keys).await?;
    if !differing.is_empty() {
        finish::refresh_materialized_views(&context, &plan.materialized_views).await?;
    }
    rest::compare(config, &context, state, &plan, &snapshot, &control, Some(&positions)).await?;
    if journal.is_some() {
        return conclude(config, state, control, source_identity).await;
    }
    journal::flush(&control).await
}

/// Marks the work proved, if it is, and leaves the journal's end to whoever has said so.
async fn conclude(config: &Config, state: &mut State, control: Session, source_identity: String) -> Result<()> {
    if Verdict::over(&state.recorder.findings()) == Verdict::Equal {
        journal::finish_step(&control, Step::Verified).await?;
        let seal = Seal { run_id: state.run_id.clone(), source: source_identity };
        state.sealer = (!config.keep_journal).then_some(Sealer { session: control, seal });
    }
    Ok(())
}

/// Copies all tables, in the order of the plan, and once more those whose checks had to see others first.
async fn copy_tables(context: &Context, state: &State, plan: &Plan, journal: &Journal) -> Result<()> {
    let lines = |table: &TablePlan| journal.tables.get(&table.table.name).map(Vec::as_slice).unwrap_or_default();
    for_each_table(plan, state, async |table| copy::migrate_table(context, table, lines(table)).await).await?;
    let refused = state.records().into_iter().filter(|record| record.refused_by_check).map(|record| record.name);
    let refused: BTreeSet<RelationName> = refused.collect();
    for table in plan.tables.iter().filter(|table| refused.contains(&table.table.name)) {
        let record = copy::try_again(context, table, lines(table)).await?;
        state.replace_record(record);
    }
    Ok(())
}

/// Runs `work` for every table, in the plan's order, a bounded number at the same time; keeps the records. The first
/// error gives up the others: what they had not committed is rolled back with their sessions.
async fn for_each_table(
    plan: &Plan,
    state: &State,
    work: impl AsyncFn(&TablePlan) -> Result<TableRecord>,
) -> Result<()> {
    let work = &work;
    stream::iter(&plan.tables)
        .map(|table| async move {
            let record = work(table).await?;
            state.records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            Ok(())
        })
        .buffer_unordered(TABLES_IN_FLIGHT_MAX)
        .try_collect()
        .await
}

async fn verify_all(config: &Config, stop: &CancellationToken, state: &mut State, ready: &Ready) -> Result<()> {
    let context = context(config, stop, state, &ready.plan, &ready.snapshot);
    state.progress.begin_phase("verify", Some(2 * ready.plan.bytes()), Some(ready.plan.tables.len() as u64));
    for_each_table(&ready.plan, state, async |table| verify::compare_table(&context, table).await).await?;
    state.large_objects = large_object::compare(&context).await?;
    rest::compare(config, &context, state, &ready.plan, &ready.snapshot, &ready.control, None).await
}
