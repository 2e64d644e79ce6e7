//! How the target compresses values that are too long for a block, while we write them (decision 0009). Called by `run` for whoever
//! writes rows, and by `preflight`, which says so.

use common::report::Check;

use crate::connect::Session;
use crate::error::Result;

/// Whether a server would compress with LZ4, if asked, and nobody has asked it for anything: the row of `pg_settings`, if so. There is
/// none before PostgreSQL 14.
const UNDECIDED: &str =
    "FROM pg_settings WHERE name = 'default_toast_compression' AND source = 'default' AND 'lz4' = ANY (enumvals)";

/// The statement that makes a session compress with LZ4, where nobody has chosen otherwise: not the server's configuration, nor the
/// database, the role, the connection string. A column with a method of its own has that.
pub fn prepare_writer() -> String {
    format!("SELECT set_config(name, 'lz4', false) {UNDECIDED}")
}

/// What is going to happen to them.
pub async fn check(target: &Session) -> Result<Option<Check>> {
    let statement = format!("SELECT EXISTS (SELECT {UNDECIDED})");
    let is_undecided: bool = target.value("ask how long values are compressed", &statement, &[]).await?;
    let detail = "compressed with LZ4, since nobody has chosen otherwise on the target (default_toast_compression)";
    Ok(is_undecided.then(|| Check::pass("long values", detail)))
}
