//! An S3 server in this process that behaves as AWS S3 does, strictly, and misbehaves on request.
//!
//! The programs' proofs are tested against it, so it validates what S3 validates: signatures, checksums, sizes of
//! parts, preconditions. Bodies are files of a temporary directory; nothing outlives the [`S3Server`]. It knows nothing of
//! the programs. Used by the integration suite and by the rehearsal behind `make demo`.

mod access;
mod answer;
mod attributes;
mod body;
mod buckets;
mod checksum;
mod conditions;
mod config;
mod direct;
mod faults;
mod http;
mod incoming;
mod listing;
mod multipart;
mod objects;
mod operations;
mod store;
mod versions;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;

pub use checksum::{Algorithm, Kind, Stored};
pub use config::{Account, Bucket, Config};
pub use direct::{NewObject, StoredObject, StoredUpload, StoredVersion, client_of};
pub use faults::{Fault, FaultRule};

use store::Store;

/// A running server. Dropping it closes every connection and removes every body.
pub struct S3Server {
    address: SocketAddr,
    store: Arc<Store>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3Server {
    /// Starts a server on 127.0.0.1 and a port of the system's choice. Requests are taken when this returns.
    ///
    /// # Errors
    ///
    /// Fails when no temporary directory, port or thread can be had.
    pub async fn start(config: Config) -> io::Result<Self> {
        let store = Arc::new(Store::new(config)?);
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let of_thread = Arc::clone(&store);
        let thread =
            std::thread::Builder::new().name("s3-server".to_owned()).spawn(move || run(of_thread, ready, stopped))?;
        let address = is_ready.await.map_err(io::Error::other)??;
        Ok(Self { address, store, stop: Some(stop), thread: Some(thread) })
    }

    /// The endpoint to give to a client: `http://127.0.0.1:PORT`. Path-style addressing only.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address behind the endpoint.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

fn run(store: Arc<Store>, ready: oneshot::Sender<io::Result<SocketAddr>>, stop: oneshot::Receiver<()>) {
    let runtime = match runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await {
            Ok(listener) => listener,
            Err(error) => return drop(ready.send(Err(error))),
        };
        if ready.send(listener.local_addr()).is_ok() {
            http::serve(listener, store, stop).await;
        }
    });
    runtime.shutdown_background();
}
