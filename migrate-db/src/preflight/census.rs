//! What is in the source that somebody on the day should know of: how much there is, and what may surprise them.

use common::report::Check;
use common::units;

use super::{names, some};
use crate::catalog::{Catalog, user_schema};
use crate::connect::Session;
use crate::error::Result;

/// The target needs the source's size and this much more: write-ahead log, sorting for indexes, room to breathe.
const ROOM_FACTOR: f64 = 1.3;
/// A sequence that has used up this share of its values will end the application's inserts before long.
const SEQUENCE_USED_MAX: &str = "0.9";
/// A transaction that has been open for so long was forgotten, or is a report that will be cut off.
const LONG_TRANSACTION: &str = "10 minutes";
/// From this age on (of two billion) a database must be vacuumed soon, and our snapshot holds that up.
const AGE_MAX: i64 = 1_500_000_000;

/// How much there is, and how much room the target needs. A server does not say how full its disk is.
pub(super) async fn size(session: &Session, catalog: &Catalog) -> Result<Check> {
    if catalog.tables.is_empty() {
        let fix = "look whether the source's name is the right one: SOURCE_DATABASE_URL, or the service's";
        return Ok(Check::warn("size", "the source has no table whose rows could be copied", fix));
    }
    let whole: i64 = session.value("measure the database", "SELECT pg_database_size(current_database())", &[]).await?;
    let largest = catalog.tables.iter().max_by_key(|table| table.bytes);
    let largest =
        largest.map_or(String::new(), |table| format!(", the largest {} ({})", table.name, units::bytes(table.bytes)));
    let without_key = catalog.tables.iter().filter(|table| table.key.is_empty()).count();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; a cast to u64 saturates")]
    let room = (whole.unsigned_abs() as f64 * ROOM_FACTOR) as u64;
    Ok(Check::pass(
        "size",
        format!(
            "{} with indexes; {}{largest}; {} without a primary key; give the target at least {} of disk",
            units::bytes(whole.unsigned_abs()),
            units::counted(catalog.tables.len() as u64, "table"),
            units::count(without_key as u64),
            units::bytes(room),
        ),
    ))
}

/// `pg_dump` locks every table at once: the server's lock table must have room.
pub async fn locks(session: &Session) -> Result<Check> {
    const NAME: &str = "room for locks";
    let statement = format!(
        "SELECT count(*), current_setting('max_locks_per_transaction')::bigint
                          * (current_setting('max_connections')::bigint
                             + current_setting('max_prepared_transactions')::bigint)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f') AND {}",
        user_schema()
    );
    let rows = session.query("count the locks", &statement, &[]).await?;
    let (tables, capacity) = rows.first().map_or((0, 0), |row| (row.get::<_, i64>(0), row.get::<_, i64>(1)));
    let seen = format!(
        "the schema's dump locks {}, the source has room for {}",
        units::counted(tables.unsigned_abs(), "table"),
        units::count(capacity.unsigned_abs())
    );
    if tables < capacity {
        return Ok(Check::pass(NAME, seen));
    }
    Ok(Check::fail(NAME, seen, "raise max_locks_per_transaction on the source's server, and restart it"))
}

/// Nobody holds a transaction open that will still write, or that forgot to end.
pub(super) async fn transactions(session: &Session) -> Result<Check> {
    const NAME: &str = "open transactions";
    let statement = format!(
        "SELECT format('prepared transaction %s of %s', gid, owner) FROM pg_prepared_xacts
         WHERE database = current_database()
         UNION ALL
         SELECT format('session %s (%s), open since %s', pid, coalesce(nullif(application_name, ''), 'unnamed'),
                       to_char(xact_start, 'HH24:MI'))
         FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND now() - xact_start > interval '{LONG_TRANSACTION}'"
    );
    let found = names(session, "look for open transactions", &statement).await?;
    if found.is_empty() {
        return Ok(Check::pass(NAME, "none that is prepared or old"));
    }
    Ok(Check::warn(
        NAME,
        format!("what these commit later will not be in the copy: {}", some(&found)),
        "on the source: end them (COMMIT PREPARED, ROLLBACK PREPARED, pg_terminate_backend) before the final run",
    ))
}

/// The source can afford that a snapshot holds up its vacuum for the length of a run.
pub(super) async fn age(session: &Session) -> Result<Check> {
    const NAME: &str = "age of the source";
    let statement = "SELECT age(datfrozenxid)::bigint FROM pg_database WHERE datname = current_database()";
    let age: i64 = session.value("read the database's age", statement, &[]).await?;
    let seen = format!("its oldest row is {} transactions old", units::count(age.unsigned_abs()));
    if age < AGE_MAX {
        return Ok(Check::pass(NAME, seen));
    }
    Ok(Check::warn(
        NAME,
        format!("{seen}: near the limit of two billion, and our snapshot holds up its vacuum"),
        "on the source, before the run: VACUUM (FREEZE)",
    ))
}

/// What is unhealthy on the source, is carried as it is, and will be blamed on the migration.
pub(super) async fn health(session: &Session) -> Result<Check> {
    const NAME: &str = "health of the source";
    let statement = format!(
        "SELECT format('sequence %I.%I has used %s %% of its values', schemaname, sequencename,
                       round(100.0 * last_value / max_value))
         FROM pg_sequences
         WHERE increment_by > 0 AND NOT cycle AND last_value > max_value * {SEQUENCE_USED_MAX}
         UNION ALL
         SELECT format('constraint %I of %s is NOT VALID', conname, conrelid::regclass)
         FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
         WHERE NOT convalidated AND conrelid <> 0 AND {}",
        user_schema()
    );
    let found = names(session, "look for what is unhealthy", &statement).await?;
    if found.is_empty() {
        return Ok(Check::pass(NAME, "no sequence near its end, no constraint that is not validated"));
    }
    Ok(Check::warn(
        NAME,
        format!("carried as it is: {}", some(&found)),
        "nothing to do for the migration; tell the owners",
    ))
}
