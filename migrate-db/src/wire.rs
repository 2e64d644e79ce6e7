//! The wire under a session: a socket, or a channel through a platform. Read in large pieces, since a server that sends rows
//! sends them in pieces of 8 kB and each read of a socket costs about as much as the row in it.
//!
//! Called by `connect`.

use std::io;
use std::time::Duration;

use platform::tunnel::TunnelStream;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::BufReader;
use tokio::net::{TcpStream, UnixStream};
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
/// Read at a time.
const READ_BYTES: usize = 128 * 1024;

/// What a session talks over; TLS, where there is any, goes on top.
pub type Wire = BufReader<Either<Socket, TunnelStream>>;
type Socket = Either<TcpStream, UnixStream>;

/// Opens the wire to a server. How long that may take is the caller's to limit.
pub async fn open(endpoint: &Endpoint, side: Side) -> Result<Wire> {
    let stream = match &endpoint.tunnel {
        Some(tunnel) => Either::Right(tunnel.connect(&endpoint.host, endpoint.port).await?),
        None => Either::Left(socket(endpoint).await.map_err(|error| Error::Connect {
            side,
            endpoint: endpoint.label(),
            source: ServerError::unreachable(&error),
        })?),
    };
    Ok(BufReader::with_capacity(READ_BYTES, stream))
}

async fn socket(endpoint: &Endpoint) -> io::Result<Socket> {
    let Endpoint { host, port, .. } = endpoint;
    if endpoint.is_unix_socket() {
        return Ok(Either::Right(UnixStream::connect(format!("{host}/.s.PGSQL.{port}")).await?));
    }
    let stream = match endpoint.host_address {
        Some(address) => TcpStream::connect((address, *port)).await?,
        None => TcpStream::connect((host.as_str(), *port)).await?,
    };
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))?;
    Ok(Either::Left(stream))
}
