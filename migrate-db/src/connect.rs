//! Sessions: an open connection with its settings pinned, and pools of them.
//!
//! Called by everything that talks to a server. A [`Session`] owns its connection's driver: dropping the session
//! closes the connection and thereby rolls back what was open.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use common::tasks::Background;
use futures::TryStreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{FromSqlOwned, ToSql};
use tokio_postgres::{Client, Config, CopyOutStream, NoTls, Row, RowStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::choices::CHOOSE;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result, ServerError, Side};
use crate::rows::Piece;
use crate::sql;
use crate::tap::{Outflow, Outlet, Tap, TappedTls};
use crate::tls::SslMode;
use crate::wire::{self, Wire};

/// Settings that every session has, so that equal content gives equal text on every server (facts: text output is
/// the same from PostgreSQL 12 to 18 with these pinned), and no server-side limit ends a long copy. A server that does
/// not know one of them (`transaction_timeout` came with 17) is left alone with it.
const PINNED: [(&str, &str); 24] = [
    ("array_nulls", "on"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "iso_8601"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
    ("lc_monetary", "C"),
    ("search_path", ""),
    ("row_security", "off"),
    ("synchronize_seqscans", "off"),
    // What a database or a role may have set otherwise, and changes what is printed, or how XML is read.
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("xmloption", "content"),
    ("default_tablespace", ""),
    // Our statements are long and simple: rows of 250 columns, catalogs of 10,000 tables. Compiling them gains nothing.
    ("jit", "off"),
    ("statement_timeout", "0"),
    // Ten minutes, as long as a stream may stand still: whoever holds the lock is not going to let go.
    ("lock_timeout", "600000"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("transaction_timeout", "0"),
    // The server, too, must notice that we are gone: a session of a killed run holds locks until then.
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "6"),
    ("client_connection_check_interval", "10s"),
];
/// On the source nothing can be written by mistake.
const PINNED_SOURCE: [(&str, &str); 1] = [("default_transaction_read_only", "on")];
/// On the target a commit need not wait for the disk: what a crash of the server loses, the journal, which is in the
/// same transaction, loses too.
const PINNED_TARGET: [(&str, &str); 1] = [("synchronous_commit", "off")];

/// To the sessions of a pool, which move rows, a database without an encoding gives bytes as they are. With the driver's UTF-8 it
/// would refuse those that are none, as it does where plan and comparison read names and definitions.
const OWN_BYTES: &str =
    "SELECT set_config('client_encoding', 'SQL_ASCII', false) WHERE current_setting('server_encoding') = 'SQL_ASCII'";

/// What servers call our sessions.
pub const APPLICATION_NAME: &str = "migrate-db";

/// The action in errors of a pool that cannot make a fresh session ready.
pub const PREPARE: &str = "prepare a session";

/// One open connection. Queries go through the methods, which class their errors.
pub struct Session {
    client: Client,
    side: Side,
    outlet: Outlet,
    _driver: Background,
}

/// The rows of a `COPY … TO STDOUT` as they come.
pub struct CopyOut {
    pieces: mpsc::Receiver<Outflow>,
    /// The rows pass the driver by; it knows how the COPY ended.
    end: Pin<Box<CopyOutStream>>,
    /// How many rows there were, as the server has it.
    count: Option<u64>,
    side: Side,
    action: &'static str,
}

impl CopyOut {
    /// The next piece. `None` after the last of them; an error where the COPY or the connection failed.
    pub async fn next(&mut self) -> Result<Option<Piece>> {
        match self.pieces.recv().await {
            Some(Outflow::Rows(piece)) => return Ok(Some(piece)),
            Some(Outflow::Count(count)) => self.count = Some(count),
            None => {}
        }
        loop {
            match self.end.try_next().await {
                Ok(None) if self.count.is_some() => return Ok(None),
                // The rows ended, and then something failed: that is what comes next.
                Ok(None) => {}
                Ok(Some(_)) => return Err(Error::Defect("rows of a COPY went to the driver".into())),
                Err(error) => return Err(self.failed(error.into())),
            }
        }
    }

    /// After the last piece: fails unless these were as many rows as the server says that it has sent. A connection that was
    /// garbled on its way can look like one that has come to its end.
    pub fn check(&self, rows: u64) -> Result<()> {
        match self.count {
            Some(count) if count == rows => Ok(()),
            count => Err(self.failed(ServerError::cut_short(rows, count.unwrap_or(0)))),
        }
    }

    fn failed(&self, source: ServerError) -> Error {
        Error::Statement { side: self.side, action: self.action.into(), source }
    }
}

impl Session {
    /// Connects and pins the settings.
    pub async fn open(endpoint: &Endpoint, side: Side) -> Result<Self> {
        let failed = |source: ServerError| Error::Connect { side, endpoint: endpoint.label(), source };
        // All of it: the socket, TLS and the log-in.
        let limit = endpoint.connect_timeout;
        let session = tokio::time::timeout(limit, Self::connect(endpoint, side))
            .await
            .unwrap_or_else(|_| Err(failed(ServerError::timeout("connecting", limit))))?;
        session.pin_settings().await?;
        Ok(session)
    }

    async fn connect(endpoint: &Endpoint, side: Side) -> Result<Self> {
        let failed =
            |error: tokio_postgres::Error| Error::Connect { side, endpoint: endpoint.label(), source: error.into() };
        let config = config_for(endpoint);
        let tls = endpoint.tls.client_config(side)?;
        let wire = wire::open(endpoint, side).await?;
        let outlet = Outlet::default();
        let (client, driver) = match tls.filter(|_| !endpoint.is_unix_socket()) {
            None => {
                let tap = Tap::new(wire, outlet.clone());
                let (client, connection) = config.connect_raw(tap, NoTls).await.map_err(failed)?;
                (client, Background::spawn(drive(connection, outlet.clone())))
            }
            Some(tls) => {
                // TLS proves the database's own name, whatever is in between.
                let connector =
                    MakeTlsConnect::<Wire>::make_tls_connect(&mut MakeRustlsConnect::new(tls), &endpoint.host);
                let connector = connector.map_err(|error| Error::Connect {
                    side,
                    endpoint: endpoint.label(),
                    source: ServerError::unusable_name(&error.to_string()),
                })?;
                let connector = TappedTls::new(connector, outlet.clone());
                let tap = Tap::before_tls(wire, outlet.clone());
                let (client, connection) = config.connect_raw(tap, connector).await.map_err(failed)?;
                (client, Background::spawn(drive(connection, outlet.clone())))
            }
        };
        Ok(Self { client, side, outlet, _driver: driver })
    }

    async fn pin_settings(&self) -> Result<()> {
        let of_side = match self.side {
            Side::Source => &PINNED_SOURCE,
            Side::Target => &PINNED_TARGET,
        };
        let values: Vec<String> = PINNED
            .iter()
            .chain(of_side)
            .map(|(name, value)| format!("({}, {})", sql::literal(name), sql::literal(value)))
            .collect();
        let statement = format!(
            "SELECT set_config(pinned.name, pinned.value, false) FROM (VALUES {}) AS pinned (name, value) \
             WHERE current_setting(pinned.name, true) IS NOT NULL",
            values.join(", ")
        );
        self.execute("pin the session's settings", &statement).await
    }

    /// Which end this session is with.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Runs one or more statements without parameters. `action` reads `verb object`, for messages.
    pub async fn execute(&self, action: &str, statements: &str) -> Result<()> {
        self.client.batch_execute(statements).await.map_err(|error| self.failed(action, error))
    }

    /// Runs a query.
    pub async fn query(&self, action: &str, statement: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.client.query(statement, parameters).await.map_err(|error| self.failed(action, error))
    }

    /// Runs a query whose rows are taken one by one; the server waits for whoever takes them. Their errors are the caller's
    /// to class.
    pub async fn stream(&self, action: &str, statement: &str) -> Result<RowStream> {
        let parameters: [&(dyn ToSql + Sync); 0] = [];
        self.client.query_raw(statement, parameters).await.map_err(|error| self.failed(action, error))
    }

    /// Runs a query that gives one value.
    pub async fn value<T: FromSqlOwned>(
        &self,
        action: &str,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<T> {
        let row = self.client.query_one(statement, parameters).await.map_err(|error| self.failed(action, error))?;
        row.try_get(0).map_err(|error| self.failed(action, error))
    }

    /// Begins a `COPY … TO STDOUT`.
    pub async fn copy_out(&self, action: &'static str, statement: &str) -> Result<CopyOut> {
        let prepared = self.client.prepare(statement).await.map_err(|error| self.failed(action, error))?;
        let pieces = self.outlet.open();
        let begun = self.client.copy_out(&prepared).await.inspect_err(|_| self.outlet.close());
        let end = Box::pin(begun.map_err(|error| self.failed(action, error))?);
        Ok(CopyOut { pieces, end, count: None, side: self.side, action })
    }

    /// The error of a statement of this session.
    pub fn failed(&self, action: &str, error: tokio_postgres::Error) -> Error {
        Error::Statement { side: self.side, action: action.into(), source: error.into() }
    }

    /// Whether the server is gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Who we are there. Where that is, is the wire's to know.
fn config_for(endpoint: &Endpoint) -> Config {
    let mut config = Config::new();
    config.user(&endpoint.user).dbname(&endpoint.database).application_name(APPLICATION_NAME).ssl_mode(match endpoint
        .tls
        .mode
    {
        // As libpq has it: a socket of this machine needs no TLS.
        _ if endpoint.is_unix_socket() => tokio_postgres::config::SslMode::Disable,
        SslMode::Disable => tokio_postgres::config::SslMode::Disable,
        SslMode::Allow | SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => tokio_postgres::config::SslMode::Require,
    });
    if let Some(password) = &endpoint.password {
        config.password(password.expose());
    }
    if let Some(options) = &endpoint.options {
        config.options(options);
    }
    config
}

/// Serves a connection until it ends. Its error is only worth a debug line: whoever waits for an answer gets one too.
///
/// Then there are no more rows, either: whoever waits for some is told, though the tap may never have seen one.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>, outlet: Outlet) {
    if let Err(error) = connection.await {
        let error = ServerError::from(error);
        tracing::debug!(%error, "a connection ended");
    }
    outlet.close();
}

/// At most so many sessions with one server, opened when first needed and kept.
#[derive(Clone)]
pub struct Pool {
    inner: Arc<PoolInner>,
}

struct PoolInner {
    endpoint: Endpoint,
    side: Side,
    /// Statements that make a fresh session ready, for example to import a snapshot.
    prepare: String,
    width: usize,
    seats: Arc<Semaphore>,
    idle: Mutex<Vec<Arc<Session>>>,
    /// The numbers of the seats that are free, the smallest last.
    free_numbers: Mutex<Vec<usize>>,
}

/// A session on loan. Give it back with [`Lease::give_back`] when it is in order; dropping it closes the connection.
pub struct Lease {
    session: Arc<Session>,
    seat: Seat,
}

/// A place in the pool; free again when dropped.
struct Seat {
    number: usize,
    pool: Arc<PoolInner>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of at most `width` sessions; each runs `prepare` (may be empty) once after it was opened.
    pub fn new(endpoint: &Endpoint, side: Side, width: usize, prepare: String) -> Self {
        Self {
            inner: Arc::new(PoolInner {
                endpoint: endpoint.clone(),
                side,
                prepare,
                width,
                seats: Arc::new(Semaphore::new(width)),
                idle: Mutex::new(Vec::new()),
                free_numbers: Mutex::new((1..=width).rev().collect()),
            }),
        }
    }

    /// How many sessions it has at most.
    pub fn width(&self) -> usize {
        self.inner.width
    }

    /// Waits for a free session. First come, first served.
    pub async fn take(&self) -> Result<Lease> {
        let permit = Arc::clone(&self.inner.seats)
            .acquire_owned()
            .await
            .map_err(|_| Error::Defect("a pool of sessions was closed".into()))?;
        let number = self.inner.free_numbers.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or(0);
        let seat = Seat { number, pool: Arc::clone(&self.inner), _permit: permit };
        while let Some(session) = self.pop_idle() {
            if !session.is_closed() {
                return Ok(Lease { session, seat });
            }
        }
        let session = Session::open(&self.inner.endpoint, self.inner.side).await?;
        session.execute(PREPARE, &format!("{}; {OWN_BYTES}; {CHOOSE}", self.inner.prepare)).await?;
        Ok(Lease { session: Arc::new(session), seat })
    }

    fn pop_idle(&self) -> Option<Arc<Session>> {
        self.inner.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.pool.free_numbers.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

impl Lease {
    /// The number of its seat in the pool, from 1: the lane in the timeline.
    pub fn number(&self) -> usize {
        self.seat.number
    }

    /// The session, for a task of its own. Whoever has it must be done before the lease is given back.
    pub fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session)
    }

    /// Returns the session to the pool for the next taker.
    pub fn give_back(self) {
        let Self { session, seat } = self;
        seat.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
