//! One view of the source for all readers: an exported snapshot and the session that keeps it alive.

use std::sync::Arc;
use std::time::Duration;

use common::tasks::Background;
use tokio_postgres::error::SqlState;

use crate::connect::{Pool, Session};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, Side};

/// NAT gateways forget connections that are silent for 350 s; a question now and then keeps the holder's alive.
const KEEPALIVE_QUERY_INTERVAL: Duration = Duration::from_secs(30);

/// An exported snapshot. It lives as long as this value.
pub struct Snapshot {
    id: String,
    session: Arc<Session>,
    endpoint: Endpoint,
    _keepalive: Background,
}

impl Snapshot {
    /// Opens a session with the source and exports its view.
    pub async fn take(endpoint: &Endpoint, side: Side) -> Result<Self> {
        let session = Session::open(endpoint, side).await?;
        session
            .execute("begin the snapshot's transaction", "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        let id: String = session.value("export a snapshot", "SELECT pg_export_snapshot()", &[]).await?;
        let session = Arc::new(session);
        let held = Arc::clone(&session);
        let keepalive = Background::spawn(async move {
            loop {
                tokio::time::sleep(KEEPALIVE_QUERY_INTERVAL).await;
                if let Err(error) = held.execute("keep the snapshot alive", "SELECT 1").await {
                    tracing::warn!(%error, "the session that holds the snapshot was lost; what is under way may still finish");
                    return;
                }
            }
        });
        Ok(Self { id, session, endpoint: endpoint.clone(), _keepalive: keepalive })
    }

    /// The session that holds it, within its transaction.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where it was taken.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Its name on the server, as `pg_dump --snapshot` wants it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// A pool of sessions that all see this snapshot.
    pub fn readers(&self, width: usize) -> Pool {
        let import = format!(
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}",
            crate::sql::literal(&self.id)
        );
        Pool::new(&self.endpoint, self.session.side(), width, import)
    }
}

/// Tells the loss of the snapshot from other errors of a reader that could not be made ready.
pub fn lost_snapshot(error: Error) -> Error {
    match error {
        Error::Statement { side: Side::Source, source, action }
            if action == crate::connect::PREPARE
                && source.code().is_some_and(|code| {
                    *code == SqlState::INVALID_PARAMETER_VALUE
                        || *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
                        || *code == SqlState::UNDEFINED_OBJECT
                }) =>
        {
            Error::SnapshotLost(source)
        }
        error => error,
    }
}
