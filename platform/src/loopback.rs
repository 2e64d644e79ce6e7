//! A door on 127.0.0.1 for one child process that cannot speak SSH itself: `pg_dump`.
//!
//! It is there as long as the value lives. Every connection through it is one of the tunnel's own.

use std::io;
use std::net::Ipv4Addr;

use common::tasks::Background;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::tunnel::Tunnel;

/// See the module.
#[derive(Debug)]
pub struct Loopback {
    port: u16,
    _server: Background,
}

impl Loopback {
    /// Opens a door to `host:port` behind `tunnel`.
    pub async fn open(tunnel: &Tunnel, host: &str, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let local = listener.local_addr()?.port();
        let server = Background::spawn(serve(listener, tunnel.clone(), host.to_owned(), port));
        Ok(Self { port: local, _server: server })
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn serve(listener: TcpListener, tunnel: Tunnel, host: String, port: u16) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => connections.push(connection(client, &tunnel, &host, port)),
                Err(error) => tracing::debug!(%error, "a connection was not accepted"),
            },
            Some(()) = connections.next() => {}
        }
    }
}

/// What breaks is the child's to notice, and it says so.
async fn connection(mut client: TcpStream, tunnel: &Tunnel, host: &str, port: u16) {
    let _ = client.set_nodelay(true);
    match tunnel.connect(host, port).await {
        Ok(mut stream) => {
            if let Err(error) = copy_bidirectional(&mut client, &mut stream).await {
                tracing::debug!(%error, "a connection through the loopback ended");
            }
        }
        Err(error) => tracing::warn!(%error, "no connection for a child process"),
    }
}
