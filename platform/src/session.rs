//! One SSH session with the platform's proxy: a one-time code as its password, a host key that must be the published one,
//! and channels to what the application can reach.
//!
//! Called by `tunnel`, which has several of them.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::secret::Secret;
use russh::client::{self, AuthResult, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelOpenFailure, Disconnect, Preferred, cipher};
use tokio::net::TcpStream;

use crate::Result;
use crate::error::Error;
use crate::host_key;

/// To reach the proxy, to agree on keys, and to log in, each.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// For the application to reach the service: a security group that drops packets lets a connection hang.
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(20);
/// A silent connection is asked whether it lives; below what load balancers and NAT gateways wait.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVES_MAX: usize = 4;
/// A session whose socket is stuck need not hear the end.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Bytes that the proxy may send on a channel before it hears from us: enough for 100 MB/s at 40 ms.
const WINDOW_BYTES: u32 = 4 << 20;
/// Messages of a channel, 32 kB each, that wait to be read. They, and not the window, bound the memory of a channel
/// whose reader is slow: 2 MB.
const MESSAGES_MAX: usize = 64;

/// AES-GCM first: with the processor's instructions it is three times as fast as `ChaCha20`.
const CIPHERS: [cipher::Name; 4] =
    [cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR, cipher::AES_128_CTR];

/// Where the proxy is, whom it lets in, and how it is known.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// `host:port`.
    pub(crate) address: String,
    /// As published.
    pub(crate) fingerprint: String,
    /// `cf:GUID/INDEX`.
    pub(crate) user: String,
    /// Bytes after which new keys are agreed on.
    pub(crate) limits: russh::Limits,
}

/// See the module. Dropping it ends every channel.
pub(crate) struct Session {
    handle: Handle<Verifier>,
    channels: AtomicUsize,
}

/// What a channel's opening came to.
pub(crate) enum Opened {
    Stream(Channel<Msg>),
    /// The application could not reach the address.
    NotReached(String),
}

impl Session {
    /// Opens a session; `code` is used up.
    pub(crate) async fn open(proxy: &Proxy, code: &Secret) -> Result<Self> {
        let Proxy { address, .. } = proxy;
        let action = || format!("open an SSH session with {address}");
        let failed = |reason: String| Error::Ssh { action: action(), reason, transient: true };
        let overdue = |what: &str| failed(format!("{what} took longer than {} s", STEP_TIMEOUT.as_secs()));
        let stream = tokio::time::timeout(STEP_TIMEOUT, TcpStream::connect(address.as_str()))
            .await
            .map_err(|_| overdue("connecting"))?
            .map_err(|error| failed(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.to_string()))?;
        let seen = Arc::new(OnceLock::new());
        let verifier = Verifier { published: proxy.fingerprint.clone(), refused: Arc::clone(&seen) };
        let connecting = client::connect_stream(Arc::new(config(proxy)), stream, verifier);
        let connected =
            tokio::time::timeout(STEP_TIMEOUT, connecting).await.map_err(|_| overdue("agreeing on keys"))?;
        let mut handle = connected.map_err(|error| match seen.get() {
            Some(seen) => {
                Error::HostKey { address: address.clone(), seen: seen.clone(), published: proxy.fingerprint.clone() }
            }
            None => Error::Ssh { action: action(), reason: error.to_string(), transient: is_transient(&error) },
        })?;
        let logging_in = handle.authenticate_password(proxy.user.as_str(), code.expose());
        let answer = tokio::time::timeout(STEP_TIMEOUT, logging_in).await.map_err(|_| overdue("logging in"))?;
        match answer.map_err(|error| failed(error.to_string()))? {
            AuthResult::Success => Ok(Self { handle, channels: AtomicUsize::new(0) }),
            // A code that was used or is too old; or SSH is not allowed, which stays so.
            AuthResult::Failure { .. } => Err(Error::Ssh {
                action: action(),
                reason: format!("it does not let {} in with a fresh code", proxy.user),
                transient: false,
            }),
        }
    }

    /// Whether it is over.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Connections that go through it.
    pub(crate) fn channel_count(&self) -> usize {
        self.channels.load(Ordering::Relaxed)
    }

    /// Counts a connection.
    pub(crate) fn begin(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts its end.
    pub(crate) fn end(&self) {
        self.channels.fetch_sub(1, Ordering::Relaxed);
    }

    /// A connection from the application to `host:port`.
    pub(crate) async fn channel(&self, host: &str, port: u16) -> Result<Opened> {
        let action = || format!("connect to {host}:{port} through SSH");
        let opening = self.handle.channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0);
        match tokio::time::timeout(CHANNEL_TIMEOUT, opening).await {
            Err(_) => Ok(Opened::NotReached(format!("no answer within {} s", CHANNEL_TIMEOUT.as_secs()))),
            Ok(Ok(channel)) => Ok(Opened::Stream(channel)),
            Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed))) => {
                Ok(Opened::NotReached("the connection failed".into()))
            }
            Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => {
                Ok(Opened::NotReached("it is not allowed".into()))
            }
            Ok(Err(error)) => Err(Error::Ssh { action: action(), reason: error.to_string(), transient: true }),
        }
    }

    /// Says goodbye; a session that is over already need not hear it.
    pub(crate) async fn close(&self) {
        let goodbye = self.handle.disconnect(Disconnect::ByApplication, "", "en");
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
    }
}

fn config(proxy: &Proxy) -> client::Config {
    client::Config {
        limits: proxy.limits.clone(),
        window_size: WINDOW_BYTES,
        channel_buffer_size: MESSAGES_MAX,
        preferred: Preferred { cipher: Cow::Borrowed(&CIPHERS), ..Preferred::DEFAULT },
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVES_MAX,
        nodelay: true,
        ..client::Config::default()
    }
}

/// What two programs cannot agree on, they will not agree on later.
fn is_transient(error: &russh::Error) -> bool {
    !matches!(error, russh::Error::NoCommonAlgo { .. } | russh::Error::Version | russh::Error::InvalidConfig(_))
}

/// Believes the published key and no other.
struct Verifier {
    published: String,
    refused: Arc<OnceLock<String>>,
}

impl client::Handler for Verifier {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            let _ = self.refused.set("in a certificate".into());
            return Ok(false);
        };
        let (seen, same) = host_key::compare(&key.to_bytes()?, &self.published);
        if !same {
            let _ = self.refused.set(seen);
        }
        Ok(same)
    }
}
