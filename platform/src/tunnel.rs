//! Connections from inside the platform: each a channel of one of several SSH sessions.
//!
//! A session is opened when all that there are have a connection and there may be more; after that the one with the
//! fewest is taken. Several, because one session is one thread's encryption on either side, and because its reader waits
//! for the slowest of its channels. A session that broke is replaced when the next connection is asked for; what went through
//! it has failed, and is its user's to try again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::error::{Class, OperatorError as _};
use common::retry::RetryPolicy;
use russh::ChannelStream;
use russh::client::Msg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;

use crate::Result;
use crate::api::Api;
use crate::error::Error;
use crate::session::{Opened, Proxy, Session};

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Tunnel {
    inner: Arc<Inner>,
}

struct Inner {
    api: Arc<Api>,
    oauth_client: String,
    proxy: Proxy,
    /// For messages.
    app: String,
    organisation: String,
    space: String,
    sessions_max: usize,
    sessions: Mutex<Vec<Arc<Session>>>,
}

/// What a tunnel is made of.
pub(crate) struct Parts {
    pub(crate) api: Arc<Api>,
    pub(crate) oauth_client: String,
    pub(crate) proxy: Proxy,
    pub(crate) app: String,
    pub(crate) organisation: String,
    pub(crate) space: String,
    pub(crate) sessions_max: usize,
}

impl Tunnel {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { api, oauth_client, proxy, app, organisation, space, sessions_max } = parts;
        let sessions = Mutex::new(Vec::new());
        Self { inner: Arc::new(Inner { api, oauth_client, proxy, app, organisation, space, sessions_max, sessions }) }
    }

    /// A connection to `host:port` as the application sees it. Tries again while the failure may pass.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TunnelStream> {
        // Written out: the future of `retry` cannot be sent to another thread, and `Loopback` is a task of its own.
        let policy = RetryPolicy::REQUEST;
        for attempt in 1..policy.attempts_max {
            match self.connect_once(host, port).await {
                Err(error) if error.class() == Class::Transient => {
                    let delay = policy.delay(attempt);
                    tracing::debug!(%error, attempt, delay_ms = delay.as_millis(), "trying again");
                    tokio::time::sleep(delay).await;
                }
                outcome => return outcome,
            }
        }
        self.connect_once(host, port).await
    }

    async fn connect_once(&self, host: &str, port: u16) -> Result<TunnelStream> {
        let ticket = self.session().await?;
        match ticket.session.channel(host, port).await? {
            Opened::Stream(channel) => Ok(TunnelStream { stream: channel.into_stream(), _ticket: ticket }),
            Opened::NotReached(reason) => Err(Error::NotReached {
                app: self.inner.app.clone(),
                address: format!("{host}:{port}"),
                reason,
                organisation: self.inner.organisation.clone(),
                space: self.inner.space.clone(),
            }),
        }
    }

    /// A seat in a session. The lock is held while one is opened: whoever comes meanwhile may share it.
    async fn session(&self) -> Result<Ticket> {
        let mut sessions = self.inner.sessions.lock().await;
        sessions.retain(|session| !session.is_closed());
        let least = sessions.iter().min_by_key(|session| session.channel_count());
        if let Some(least) =
            least.filter(|least| least.channel_count() == 0 || sessions.len() >= self.inner.sessions_max)
        {
            return Ok(Ticket::of(least));
        }
        match self.open().await {
            Ok(session) => {
                let session = Arc::new(session);
                let ticket = Ticket::of(&session);
                sessions.push(session);
                Ok(ticket)
            }
            // The platform may allow fewer sessions than we do.
            Err(error) => match sessions.iter().min_by_key(|session| session.channel_count()) {
                Some(least) => {
                    tracing::debug!(%error, sessions = sessions.len(), "no further SSH session");
                    Ok(Ticket::of(least))
                }
                None => Err(error),
            },
        }
    }

    /// Opens a session. A code may have been used up by an attempt whose answer was lost, or be too old when it arrives:
    /// a refusal is believed when a second code is refused too.
    async fn open(&self) -> Result<Session> {
        let code = self.inner.api.uaa.one_time_code(&self.inner.oauth_client).await?;
        match Session::open(&self.inner.proxy, &code).await {
            Err(error @ Error::Ssh { .. }) if error.class() == Class::Refused => {
                tracing::debug!(%error, "trying another one-time code");
                let code = self.inner.api.uaa.one_time_code(&self.inner.oauth_client).await?;
                Session::open(&self.inner.proxy, &code).await
            }
            outcome => outcome,
        }
    }

    /// Ends every session, and with them every connection.
    pub async fn close(&self) {
        for session in self.inner.sessions.lock().await.drain(..) {
            session.close().await;
        }
    }

    /// The application's name, for messages.
    pub fn app(&self) -> &str {
        &self.inner.app
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tunnel").field("app", &self.inner.app).finish_non_exhaustive()
    }
}

/// Two handles of one tunnel are equal.
impl PartialEq for Tunnel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

/// A connection's seat in a session; free again when dropped.
struct Ticket {
    session: Arc<Session>,
}

impl Ticket {
    fn of(session: &Arc<Session>) -> Self {
        session.begin();
        Self { session: Arc::clone(session) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.session.end();
    }
}

/// A connection through the tunnel. Dropping it closes it.
pub struct TunnelStream {
    stream: ChannelStream<Msg>,
    _ticket: Ticket,
}

impl std::fmt::Debug for TunnelStream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TunnelStream").finish_non_exhaustive()
    }
}

impl AsyncRead for TunnelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for TunnelStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
