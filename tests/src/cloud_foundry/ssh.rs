//! The SSH proxy: lets `cf:GUID/INDEX` in with a one-time code, and connects to what an application can reach.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use md5::Md5;
use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Handler, Msg, Session};
use russh::{Channel, ChannelOpenFailure, Limits, MethodKind, MethodSet};
use sha2::{Digest as _, Sha256};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::locked;
use super::state::State;

/// A new host key.
pub(super) fn host_key(rsa: bool) -> PrivateKey {
    let algorithm = if rsa { Algorithm::Rsa { hash: Some(HashAlg::Sha256) } } else { Algorithm::Ed25519 };
    PrivateKey::random(&mut safe_rng(), algorithm).unwrap_or_else(|error| panic!("no host key: {error}"))
}

/// As the API publishes it.
pub(super) fn fingerprint(key: &PrivateKey, md5: bool) -> String {
    let key = key.public_key().to_bytes().unwrap_or_else(|error| panic!("no host key: {error}"));
    if md5 {
        return Md5::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    }
    STANDARD_NO_PAD.encode(Sha256::digest(&key))
}

/// Serves `listener` for ever.
pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, key: PrivateKey, rekey: Option<usize>) {
    let limits = rekey.map_or_else(Limits::default, |bytes| Limits::new(bytes, bytes, Duration::from_hours(1)));
    let config = Arc::new(server::Config {
        methods: MethodSet::from(&[MethodKind::Password][..]),
        auth_rejection_time: Duration::from_millis(50),
        keys: vec![key],
        limits,
        nodelay: true,
        inactivity_timeout: None,
        ..server::Config::default()
    });
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let connection = Connection { state: Arc::clone(&state) };
        let config = Arc::clone(&config);
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(config, stream, connection).await {
                // What breaks a session is the client's to notice.
                let _ = session.await;
            }
        });
    }
}

struct Connection {
    state: Arc<Mutex<State>>,
}

impl Connection {
    /// Who may come in: an application that runs, that allows SSH, in a space that does; with a code that was not used.
    fn lets_in(&self, user: &str, code: &str) -> bool {
        let mut state = locked(&self.state);
        let app = user.strip_prefix("cf:").and_then(|user| user.strip_suffix("/0"));
        let is_open = app
            .and_then(|guid| state.apps.iter().find(|app| app.guid == guid))
            .is_some_and(|app| app.ssh && app.started.is_some_and(|started| started <= std::time::Instant::now()));
        // Taken first: a refused attempt uses it up too.
        let is_in = state.takes_code(code) && is_open && state.config.space_ssh;
        state.ssh_sessions += u64::from(is_in);
        is_in
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(if self.lets_in(user, password) { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let target = locked(&self.state).config.reachable.get(&format!("{host}:{port}")).copied();
        tokio::spawn(async move {
            let connected = match target {
                Some(target) => TcpStream::connect(target).await.ok(),
                None => None,
            };
            let Some(mut stream) = connected else {
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
                return;
            };
            let _ = stream.set_nodelay(true);
            reply.accept().await;
            let _ = copy_bidirectional(&mut channel.into_stream(), &mut stream).await;
        });
        Ok(())
    }
}
