//! Settings of servers that our sessions choose where nobody has: not the server's configuration, nor the database, the role or the
//! connection string (decision 0009). Called by `connect` for the sessions of a pool, and by `preflight`, which says what is chosen.

use common::report::Check;

use crate::connect::Session;
use crate::error::Result;

/// Makes the choices. A server that does not have a setting, or not the value, is left alone.
///
/// - LZ4 for long values, since PostgreSQL 14 and where it was built with it. A column with a method of its own has that.
/// - No other processes that read for a scan, which servers since 18 would use.
pub const CHOOSE: &str = "
    SELECT set_config(name, chosen, false)
    FROM (VALUES ('default_toast_compression', 'lz4'), ('effective_io_concurrency', '0')) AS choice (name, chosen)
    JOIN pg_settings USING (name)
    WHERE source = 'default' AND (enumvals IS NULL OR chosen = ANY (enumvals))";

/// What is going to happen to long values.
pub async fn check(target: &Session) -> Result<Option<Check>> {
    let statement =
        "SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND source = 'default'
                                                              AND 'lz4' = ANY (enumvals))";
    let is_undecided: bool = target.value("ask how long values are compressed", statement, &[]).await?;
    let detail = "compressed with LZ4, since nobody has chosen otherwise on the target (default_toast_compression)";
    Ok(is_undecided.then(|| Check::pass("long values", detail)))
}
