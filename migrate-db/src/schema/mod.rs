//! The schema travels by pg_dump and pg_restore: they know every kind of object.
//!
//! One dump is taken within the run's snapshot and held in anonymous memory (`memfd_create`): nothing is written to
//! disk, and both tools get a path. It is restored in three parts; what we build ourselves (indexes, primary and unique
//! constraints, foreign keys) is taken off the list of the second, and the third is what `pg_restore` makes last, too.

mod bookkeeping;
mod contents;
mod messages;
mod parts;

use std::collections::HashSet;
use std::io::{Seek as _, Write as _};
use std::os::fd::AsRawFd as _;

use common::tasks::Begun;
use futures::future::join_all;
use rustix::fs::MemfdFlags;
use tokio_util::sync::CancellationToken;

use crate::client_tools::ClientTools;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::preset::Planted;
use crate::rights::Rights;
use crate::snapshot::Snapshot;
use crate::sql;

use self::parts::Parts;

pub use messages::{Complaint, Complaints};

/// How long pg_dump waits for its locks on the source's tables, in milliseconds.
const LOCK_WAIT_MS: u32 = 300_000;

/// The parts of a schema, in pg_dump's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Everything but what is better made after the rows are there.
    PreData,
    /// Indexes, constraints, triggers, rules, policies and the like, without those that we build.
    PostData,
    /// Privileges and event triggers.
    Last,
}

/// A schema dump in memory.
pub struct Schema {
    archive: MemoryFile,
    contents: String,
    tools: ClientTools,
    rights: Rights,
}

impl Schema {
    /// Begins to dump the source's schema as the snapshot shows it, which must live until then.
    pub fn dump(
        tools: &ClientTools,
        snapshot: &Snapshot,
        planted: &Planted,
        rights: Rights,
        stop: &CancellationToken,
    ) -> Begun<Result<Self>> {
        let (tools, source, stop) = (tools.clone(), snapshot.endpoint().clone(), stop.clone());
        let mut arguments = vec![
            "--format=custom".into(),
            "--schema-only".into(),
            "--no-tablespaces".into(),
            "--no-subscriptions".into(),
            "--no-password".into(),
            format!("--lock-wait-timeout={LOCK_WAIT_MS}"),
            format!("--exclude-schema={}", crate::journal::SCHEMA),
            format!("--snapshot={}", snapshot.id()),
        ];
        arguments.extend(rights.arguments());
        let platforms = planted.schemas.iter();
        arguments.extend(platforms.map(|schema| format!("--exclude-schema={}", sql::identifier(&schema.name))));
        Begun::spawn(async move { Self::run_dump(tools, &source, &arguments, rights, &stop).await })
    }

    async fn run_dump(
        tools: ClientTools,
        source: &Endpoint,
        arguments: &[String],
        rights: Rights,
        stop: &CancellationToken,
    ) -> Result<Self> {
        let mut outcome = tools.run("pg_dump", arguments, source, stop).await?;
        if !outcome.succeeded {
            return Err(messages::failure("pg_dump", "dump the schema", &outcome.stderr));
        }
        bookkeeping::blank(&mut outcome.stdout);
        let archive = MemoryFile::holding(&outcome.stdout)?;
        let listing = tools.run("pg_restore", &["--list".into(), archive.path()], source, stop).await?;
        if !listing.succeeded {
            return Err(messages::failure("pg_restore", "list the dump", &listing.stderr));
        }
        let contents = String::from_utf8_lossy(&listing.stdout).into_owned();
        Ok(Self { archive, contents, tools, rights })
    }

    /// What `section` has of the dump, without what is left to us.
    pub fn list(&self, plan: &Plan, section: Section) -> String {
        let (excluded, planted) = (not_restored(plan), plan.planted.comment_entries());
        contents::use_list(&self.contents, &excluded, &planted, section == Section::Last)
    }

    /// Restores everything that comes before the rows, on several sessions at the same time, of up to `jobs`, where that is
    /// worth it. Returns the complaints that stand; harmless ones are only logged.
    ///
    /// May be repeated: whether an earlier start was cut off in here nobody knows, and objects that exist are no complaint.
    pub async fn restore_pre_data(
        &self,
        plan: &Plan,
        target: &Endpoint,
        jobs: usize,
        stop: &CancellationToken,
    ) -> Result<Vec<Complaint>> {
        let list = self.list(plan, Section::PreData);
        if let Some(Parts { before, beside, after }) = parts::split(&list, &plan.independent, jobs) {
            let mut complaints = self.restore(Section::PreData, &before, target, true, stop).await?.standing;
            if self.restore_beside(&beside, target, stop).await? {
                complaints.extend(self.restore(Section::PreData, &after, target, true, stop).await?.standing);
                return Ok(complaints);
            }
        }
        Ok(self.restore(Section::PreData, &list, target, true, stop).await?.standing)
    }

    /// Restores several lists at the same time. False where anything was in the way: one after the other, as it is usually
    /// done, all may fare better, and what stands then is what is told.
    async fn restore_beside(&self, lists: &[String], target: &Endpoint, stop: &CancellationToken) -> Result<bool> {
        tracing::debug!(sessions = lists.len(), "tables that depend on nothing are made at the same time");
        let restored =
            join_all(lists.iter().map(|list| self.restore(Section::PreData, list, target, true, stop))).await;
        for outcome in restored {
            match outcome {
                Ok(Complaints { standing, harmless }) => {
                    let in_the_way = standing.iter().chain(harmless.iter().filter(|one| one.is_of_collision()));
                    if let Some(Complaint { entry, message }) = in_the_way.into_iter().next() {
                        tracing::debug!(entry, said = message, "they are made one after the other");
                        return Ok(false);
                    }
                }
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => {
                    tracing::debug!(%error, "they are made one after the other");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Restores the entries of `list` that belong to a section, and says what stood in the way.
    ///
    /// May be repeated: with `again`, objects that already exist are no complaint.
    pub async fn restore(
        &self,
        section: Section,
        list: &str,
        target: &Endpoint,
        again: bool,
        stop: &CancellationToken,
    ) -> Result<Complaints> {
        if contents::is_empty(list) {
            return Ok(Complaints::default());
        }
        let list = MemoryFile::holding(list.as_bytes())?;
        let sections: &[&str] = match section {
            Section::PreData => &["--section=pre-data"],
            Section::PostData => &["--section=post-data"],
            Section::Last => &["--section=pre-data", "--section=post-data"],
        };
        let mut arguments: Vec<String> = sections.iter().map(|section| (*section).to_owned()).collect();
        arguments.extend([
            // Only so does it say which entry an error is about.
            "--verbose".into(),
            "--no-tablespaces".into(),
            "--no-password".into(),
            format!("--use-list={}", list.path()),
            format!("--dbname={}", database_argument(&target.database)),
            self.archive.path(),
        ]);
        arguments.extend(self.rights.arguments());
        let outcome = self.tools.run("pg_restore", &arguments, &without_waiting(target), stop).await?;
        let complaints = messages::judge(&outcome.stderr, &self.contents, again);
        for complaint in &complaints.harmless {
            tracing::debug!(entry = complaint.entry, said = complaint.message, "a harmless message of pg_restore");
        }
        if !outcome.succeeded && messages::is_fatal(&outcome.stderr) {
            return Err(messages::failure("pg_restore", "restore the schema", &outcome.stderr));
        }
        Ok(complaints)
    }
}

/// The target without waiting for its disk after each statement; the journal's next step waits for all of them at once. A
/// tablespace by default, whatever its name, is more than partitioned tables may have.
fn without_waiting(target: &Endpoint) -> Endpoint {
    let given = target.options.as_deref().unwrap_or_default();
    Endpoint {
        options: Some(format!("{given} -c synchronous_commit=off -c default_tablespace=").trim_start().to_owned()),
        ..target.clone()
    }
}

/// Catalog class and object identifiers of what pg_restore must leave to us, and of what stays behind.
fn not_restored(plan: &Plan) -> HashSet<(u32, u32)> {
    let indexes = plan.tables.iter().flat_map(|table| table.table.holders()).flat_map(|table| &table.indexes);
    let own = indexes.map(|index| match &index.constraint {
        Some(constraint) => (contents::CONSTRAINT_CLASS, constraint.oid),
        None => (contents::RELATION_CLASS, index.oid),
    });
    let planted = plan.planted.objects.iter().map(|object| (object.class, object.oid));
    own.chain(planted).chain(plan.foreign_keys.iter().map(|key| (contents::CONSTRAINT_CLASS, key.oid))).collect()
}

/// A file without a place on any disk.
struct MemoryFile {
    file: std::fs::File,
}

impl MemoryFile {
    fn holding(content: &[u8]) -> Result<Self> {
        let create = || {
            let mut file = std::fs::File::from(rustix::fs::memfd_create("migrate-db", MemfdFlags::CLOEXEC)?);
            file.write_all(content)?;
            file.rewind()?;
            Ok(Self { file })
        };
        create().map_err(|error: std::io::Error| Error::Defect(format!("no file in memory could be made: {error}")))
    }

    /// A path under which a child process finds it while we live.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }
}

/// A database's name as an argument: with an `=` in it, libpq would take it for a connection string.
fn database_argument(name: &str) -> String {
    let quoted = name.replace('\\', "\\\\").replace('\'', "\\'");
    format!("dbname='{quoted}'")
}
