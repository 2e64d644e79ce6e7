//! A Cloud Foundry in this process, as far as a migration sees it: API v3, UAA, and an SSH proxy that is really one.
//!
//! It has state: tokens and codes expire and are used up, jobs and staging take their time, quotas are counted, names must be
//! unique, roles decide. Errors are the platform's documented JSON. The SSH proxy is russh's server side; behind it
//! are the addresses that the foundation was told of, and nothing else. Knows nothing of the programs.

mod answer;
mod apps;
mod config;
mod faults;
mod http;
mod routes;
mod services;
mod ssh;
mod state;
mod uaa;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::engines::Certificates;
use crate::fault_proxy::FaultProxy;

pub use config::{Config, Instance, Kind, ORGANISATION, PASSWORD, SPACE, USER};
pub use faults::Fault;

use state::State;

/// A running foundation. Dropping it closes every connection.
pub struct CloudFoundry {
    api_port: u16,
    state: Arc<Mutex<State>>,
    /// Before the SSH proxy: cuts, stalls and refuses.
    pub ssh: FaultProxy,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CloudFoundry {
    /// Starts a foundation on loopback. Requests are taken when this returns.
    ///
    /// # Panics
    ///
    /// When no port or thread can be had.
    pub fn start(config: Config) -> Self {
        Self::try_start(config).unwrap_or_else(|error| panic!("the foundation cannot be started: {error}"))
    }

    fn try_start(config: Config) -> io::Result<Self> {
        let listen = || {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            Ok::<_, io::Error>((listener, port))
        };
        let ((api, api_port), (uaa, uaa_port), (ssh, ssh_port)) = (listen()?, listen()?, listen()?);
        let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, ssh_port)))?;
        let key = ssh::host_key(config.rsa_host_key);
        let fingerprint = ssh::fingerprint(&key, config.md5_fingerprint);
        let rekey_bytes = config.rekey_bytes;
        let state = State::new(config, api_port, uaa_port, proxy.port(), fingerprint);
        let state = Arc::new(Mutex::new(state));
        let (stop, stopped) = oneshot::channel::<()>();
        let of_thread = Arc::clone(&state);
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let thread = std::thread::Builder::new().name("cloud-foundry".to_owned()).spawn(move || {
            runtime.block_on(async {
                let from = |listener| TcpListener::from_std(listener).unwrap_or_else(|error| panic!("{error}"));
                tokio::select! {
                    _ = stopped => {}
                    () = http::serve(from(api), Arc::clone(&of_thread), http::Part::Api) => {}
                    () = http::serve(from(uaa), Arc::clone(&of_thread), http::Part::Uaa) => {}
                    () = ssh::serve(from(ssh), of_thread, key, rekey_bytes) => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { api_port, state, ssh: proxy, stop: Some(stop), thread: Some(thread) })
    }

    /// What `CF_API` takes.
    pub fn api(&self) -> String {
        format!("localhost:{}", self.api_port)
    }

    /// What `CF_CA_CERT` takes: the foundation has an authority of its own.
    pub fn ca_cert(&self) -> PathBuf {
        Certificates::get().authority()
    }

    /// From now on.
    pub fn begin(&self, fault: Fault) {
        self.state().faults.insert(fault);
    }

    /// No longer.
    pub fn end(&self, fault: Fault) {
        self.state().faults.remove(&fault);
    }

    /// Every token that was given out is refused from now on; with `refresh`, refresh tokens too.
    pub fn expire_tokens(&self, refresh: bool) {
        self.state().expire_tokens(refresh);
    }

    /// The next `count` one-time codes are used up before they arrive.
    pub fn spoil_codes(&self, count: u32) {
        self.state().codes_to_spoil = count;
    }

    /// A code for `cf login --sso`, good once.
    pub fn passcode(&self) -> String {
        self.state().new_passcode()
    }

    /// A refresh token as `cf login` keeps one.
    pub fn refresh_token(&self) -> String {
        self.state().new_refresh_token()
    }

    /// An application that runs in the space already; bound to the service instance when one is named.
    pub fn add_app(&self, name: &str, bound_to: Option<&str>) {
        self.state().add_app(name, bound_to);
    }

    /// Names of all applications, service keys and bindings that are there, in the order in which they were made.
    pub fn things(&self) -> Vec<String> {
        self.state().things()
    }

    /// Requests whose method and path begin with `what`, for example `POST /v3/apps`.
    pub fn request_count(&self, what: &str) -> usize {
        self.state().requests.iter().filter(|request| request.starts_with(what)).count()
    }

    /// SSH sessions that were let in.
    pub fn ssh_session_count(&self) -> u64 {
        self.state().ssh_sessions
    }

    /// Parameters of every service key and binding that was asked for, in order.
    pub fn asked_parameters(&self) -> Vec<serde_json::Value> {
        self.state().asked_parameters.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

impl Drop for CloudFoundry {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the foundation has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

/// A panic of one connection must not end the others.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.tick();
    state
}
