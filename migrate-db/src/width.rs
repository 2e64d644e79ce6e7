//! How many sessions work at the same time on each side: what was asked for, or what the servers have room for.
//!
//! Called by `run` once both servers are known.

use common::report::Check;

use crate::connect::Session;
use crate::error::Result;

/// Without a word of the operator's no more tables than this are copied at the same time.
const DERIVED_MAX: usize = 16;
/// And no fewer than this, if there is room: what a server with two processors carries.
const DERIVED_MIN: usize = 4;
/// Up to this value of `max_worker_processes` nothing can be told of a server's processors: it is PostgreSQL's default, and
/// the least that Amazon RDS sets, whose default parameter groups say `GREATEST(DBInstanceVCPU * 2, 8)`.
const WORKERS_UNTOLD: i64 = 8;
/// Sessions of the source beside the readers: `pg_dump`.
const SOURCE_ASIDE: usize = 1;
/// Sessions of the target beside writers and builders: `pg_restore` after the rows, and whoever watches the index builds. Before
/// the rows up to as many `pg_restore` as there will be writers are at work, and no writer.
const TARGET_ASIDE: usize = 2;

/// Sessions that work at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width {
    /// Readers on the source, and as many writers on the target.
    pub jobs: usize,
    /// Sessions on the target that build indexes, check and verify.
    pub index_jobs: usize,
}

/// What the operator asked for, where they did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// `--jobs`.
    pub jobs: Option<usize>,
    /// `--index-jobs`.
    pub index_jobs: Option<usize>,
}

/// What a server has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Further sessions that the role may open.
    sessions: usize,
    /// `max_worker_processes`.
    workers: i64,
}

/// Asks both servers, and chooses; the check says whether there is room for what was chosen.
pub async fn choose(asked: Asked, source: &Session, target: &Session) -> Result<(Width, Check)> {
    let (source, target) = tokio::try_join!(Room::measure(source), Room::measure(target))?;
    let width = Width::choose(asked, source, target);
    Ok((width, width.check(source, target)))
}

impl Room {
    /// Reads the limits of the server, the database and the role, and how much of them is in use.
    async fn measure(session: &Session) -> Result<Self> {
        // Sessions of others can be counted by anybody; what they do cannot be seen.
        let statement = "
            WITH used AS (
                SELECT count(*) FILTER (WHERE datid IS NOT NULL) AS by_all,
                       count(*) FILTER (WHERE datname = current_database()) AS by_database,
                       count(*) FILTER (WHERE usename = current_user) AS by_role
                FROM pg_stat_activity),
            reserved AS (
                SELECT coalesce(sum(setting::integer), 0) AS seats FROM pg_settings
                WHERE name IN ('superuser_reserved_connections', 'reserved_connections')
                  AND current_setting('is_superuser') = 'off')
            SELECT least(
                       current_setting('max_connections')::bigint - seats - by_all,
                       (SELECT CASE WHEN datconnlimit >= 0 AND current_setting('is_superuser') = 'off'
                               THEN datconnlimit - by_database END FROM pg_database WHERE datname = current_database()),
                       (SELECT CASE WHEN rolconnlimit >= 0 AND NOT rolsuper
                               THEN rolconnlimit - by_role END FROM pg_roles WHERE rolname = current_user))::bigint,
                   current_setting('max_worker_processes')::bigint
            FROM used, reserved";
        let rows = session.query("count the sessions", statement, &[]).await?;
        let (sessions, workers) = rows.first().map_or((0, 0), |row| (row.get::<_, i64>(0), row.get(1)));
        Ok(Self { sessions: usize::try_from(sessions).unwrap_or(0), workers })
    }

    /// Tables that a server with so many processors carries at the same time.
    fn carries(self) -> usize {
        let processors = if self.workers > WORKERS_UNTOLD { self.workers / 2 } else { 0 };
        usize::try_from(processors).unwrap_or(DERIVED_MAX).clamp(DERIVED_MIN, DERIVED_MAX)
    }
}

impl Width {
    /// What was asked for; for what was not, as much as the target carries and both sides have sessions for, at least 1.
    fn choose(asked: Asked, source: Room, target: Room) -> Self {
        let wanted = target.carries();
        let on_source = source.sessions.saturating_sub(SOURCE_ASIDE);
        let on_target = target.sessions.saturating_sub(TARGET_ASIDE);
        let index_jobs_least = asked.index_jobs.unwrap_or_else(|| wanted.min(on_target / 2).max(1));
        let fits = on_source.min(on_target.saturating_sub(index_jobs_least));
        let jobs = asked.jobs.unwrap_or_else(|| wanted.min(fits).max(1));
        let left = on_target.saturating_sub(jobs);
        Self { jobs, index_jobs: asked.index_jobs.unwrap_or_else(|| wanted.min(left).max(1)) }
    }

    /// Whether both sides have so many sessions left.
    fn check(self, source: Room, target: Room) -> Check {
        const NAME: &str = "room for sessions";
        let (on_source, on_target) = (self.jobs + SOURCE_ASIDE, self.jobs + self.index_jobs + TARGET_ASIDE);
        let seen = format!(
            "jobs {}, index jobs {}: the source has room for {} more sessions and {on_source} are needed, the target for {} \
             and {on_target} are needed",
            self.jobs, self.index_jobs, source.sessions, target.sessions
        );
        if on_source <= source.sessions && on_target <= target.sessions {
            return Check::pass(NAME, seen);
        }
        let fix = "end other sessions there (stop the application), or give smaller --jobs and --index-jobs";
        Check::fail(NAME, seen, fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Room = Room { sessions: 400, workers: 8 };

    fn chosen(asked: Asked, source: Room, target: Room) -> (usize, usize) {
        let width = Width::choose(asked, source, target);
        (width.jobs, width.index_jobs)
    }

    #[test]
    fn a_large_target_carries_more_and_a_small_one_four() {
        assert_eq!(chosen(Asked::default(), WIDE, WIDE), (4, 4));
        assert_eq!(chosen(Asked::default(), WIDE, Room { workers: 16, ..WIDE }), (8, 8));
        assert_eq!(chosen(Asked::default(), WIDE, Room { workers: 256, ..WIDE }), (16, 16));
    }

    #[test]
    fn no_more_sessions_than_there_is_room_for() {
        let room = |sessions| Room { sessions, workers: 16 };
        assert_eq!(chosen(Asked::default(), room(4), WIDE), (3, 4));
        assert_eq!(chosen(Asked::default(), WIDE, room(8)), (3, 3));
        assert_eq!(chosen(Asked::default(), WIDE, room(0)), (1, 1));
        for sessions in 4..40 {
            let width = Width::choose(Asked::default(), WIDE, room(sessions));
            assert_eq!(width.check(WIDE, room(sessions)).fix, None, "{sessions}");
        }
    }

    #[test]
    fn what_was_asked_for_is_kept_and_refused_where_there_is_no_room() {
        let asked = Asked { jobs: Some(30), index_jobs: Some(2) };
        assert_eq!(chosen(asked, WIDE, WIDE), (30, 2));
        let room = Room { sessions: 20, ..WIDE };
        assert!(Width::choose(asked, WIDE, room).check(WIDE, room).fix.is_some());
        assert_eq!(chosen(Asked { jobs: None, ..asked }, WIDE, room), (4, 2));
    }
}
