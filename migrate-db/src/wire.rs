//! The wire under a session: a socket, or a channel through a platform.
//!
//! Called by `connect`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use platform::tunnel::TunnelStream;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio_util::either::Either;

use crate::endpoint::Endpoint;
use crate::error::{Error, Result, ServerError, Side};

/// Silence on the wire before TCP asks whether the other side still lives: below the 350 s after which AWS NAT
/// gateways forget a connection.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 6;
/// Unacknowledged bytes older than this mean that the connection is dead.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(90);

/// What a session talks over; TLS, where there is any, goes on top.
pub type Wire = Either<Socket, TunnelStream>;
type Socket = Either<TcpStream, UnixStream>;

/// Opens the wire to a server. How long that may take is the caller's to limit.
pub async fn open(endpoint: &Endpoint, side: Side) -> Result<Wire> {
    Ok(match &endpoint.tunnel {
        Some(tunnel) => Either::Right(tunnel.connect(&endpoint.host, endpoint.port).await?),
        None => Either::Left(socket(endpoint).await.map_err(|error| Error::Connect {
            side,
            endpoint: endpoint.label(),
            source: ServerError::unreachable(&error),
        })?),
    })
}

async fn socket(endpoint: &Endpoint) -> io::Result<Socket> {
    let Endpoint { host, port, .. } = endpoint;
    if endpoint.is_unix_socket() {
        return Ok(Either::Right(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?));
    }
    let addresses = match endpoint.host_address {
        Some(address) => vec![SocketAddr::new(address, *port)],
        None => lookup_host((host.as_str(), *port)).await?.collect(),
    };
    let stream = dial(&addresses, endpoint.connect_timeout).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))?;
    Ok(Either::Left(stream))
}

/// Tries one address of a host after the other. One that swallows what it is sent (a route of IPv6 that leads nowhere, a machine
/// that is gone) must leave time for the next; how long the last may take is the caller's to limit.
async fn dial(addresses: &[SocketAddr], limit: Duration) -> io::Result<TcpStream> {
    let Some((last, others)) = addresses.split_last() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    };
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in others {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => tracing::debug!(%address, %error, "an address of the host does not answer"),
            Err(_) => tracing::debug!(%address, "an address of the host is silent"),
        }
    }
    TcpStream::connect(last).await
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn a_silent_address_leaves_time_for_the_next() {
        // GIVEN an address whose queue is full, so that it does not answer, one that refuses, and one that accepts
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let silent_address = silent.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(silent_address)).await
        {
            waiting.push(stream);
        }
        let refusing = SocketAddr::from(([127, 0, 0, 1], 1));
        let accepting = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [silent_address, refusing, accepting.local_addr().unwrap()];

        // WHEN they are tried within a limit, THEN the last is reached
        let limit = Duration::from_secs(3);
        let stream = tokio::time::timeout(limit, dial(&addresses, limit)).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[2]);

        // AND where none answers, the last one's error is told
        assert_eq!(dial(&[refusing], limit).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
