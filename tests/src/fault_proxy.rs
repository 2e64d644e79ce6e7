//! A TCP proxy on loopback that forwards until it is told otherwise: cuts, stalls, refuses, inserts. For tests of broken networks.
//!
//! Runs in a thread with a runtime of its own. Knows nothing of the protocols that pass through it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// What the proxy does with connections and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    /// Connections stay open, and no byte moves.
    Stall,
    /// New connections are closed at once; those that are open go on.
    Refuse,
}

/// What the connections share.
struct Shared {
    /// Where connections go, one after the other.
    targets: Vec<SocketAddr>,
    mode: watch::Sender<Mode>,
    /// Each new value cuts every connection that is open.
    cuts: watch::Receiver<u64>,
    /// Bytes from the target until everything is cut; negative is never.
    left: AtomicI64,
    /// Once so many bytes have come from the target, no byte moves any more.
    stall_at: AtomicU64,
    forwarded: AtomicU64,
    sent_until_stall: AtomicU64,
    accepted: AtomicU64,
    insertion: Mutex<Option<Insertion>>,
}

/// Bytes that nobody sent.
struct Insertion {
    /// They go so many bytes before this comes from the target.
    marker: Vec<u8>,
    back: usize,
    bytes: Vec<u8>,
}

/// A running proxy. Dropping it closes every connection.
pub struct FaultProxy {
    port: u16,
    cuts: watch::Sender<u64>,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Inserts `bytes` once, `back` bytes before `marker` comes from the target.
    pub fn insert_before(&self, marker: &[u8], back: usize, bytes: &[u8]) {
        let insertion = Insertion { marker: marker.to_vec(), back, bytes: bytes.to_vec() };
        *self.shared.insertion.lock().unwrap_or_else(PoisonError::into_inner) = Some(insertion);
    }

    /// Whether what was to be inserted has been.
    pub fn has_inserted(&self) -> bool {
        self.shared.insertion.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Starts a proxy to `target` on 127.0.0.1 and a port of the system's choice.
    ///
    /// # Errors
    ///
    /// Fails when no port or thread can be had.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_balancing(vec![target])
    }

    /// The same to several targets, connection by connection in turns: a load balancer.
    ///
    /// # Errors
    ///
    /// Fails when no port or thread can be had.
    pub fn start_balancing(targets: Vec<SocketAddr>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let (cuts, cuts_seen) = watch::channel(0);
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared {
            targets,
            mode: watch::channel(Mode::Forward).0,
            cuts: cuts_seen,
            left: AtomicI64::new(-1),
            stall_at: AtomicU64::new(u64::MAX),
            forwarded: AtomicU64::new(0),
            sent_until_stall: AtomicU64::new(u64::MAX),
            accepted: AtomicU64::new(0),
            insertion: Mutex::new(None),
        });
        let of_thread = Arc::clone(&shared);
        let of_connections = cuts.clone();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("fault-proxy".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, of_thread, of_connections, stopped));
        })?;
        Ok(Self { port, cuts, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Forwards again: new connections, and the bytes of those that stalled.
    pub fn forward(&self) {
        self.shared.mode.send_replace(Mode::Forward);
    }

    /// Keeps connections open and moves no byte.
    pub fn stall(&self) {
        self.shared.mode.send_replace(Mode::Stall);
    }

    /// Stalls once [`Self::forwarded_bytes`] are so many: whoever waits for that finds the connections in the middle, however
    /// late it looks.
    pub fn stall_after(&self, bytes: u64) {
        self.shared.stall_at.store(bytes, Ordering::SeqCst);
    }

    /// Stalls once so many more bytes have gone to the target.
    pub fn stall_after_sending(&self, bytes: u64) {
        self.shared.sent_until_stall.store(bytes, Ordering::SeqCst);
    }

    /// Closes every new connection at once.
    pub fn refuse(&self) {
        self.shared.mode.send_replace(Mode::Refuse);
    }

    /// Cuts all connections now. New ones are forwarded.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Cuts all connections once so many more bytes have come from the target.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.left.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Bytes that came from the target so far.
    pub fn forwarded_bytes(&self) -> u64 {
        self.shared.forwarded.load(Ordering::SeqCst)
    }

    /// Connections that were accepted so far, refused ones too.
    pub fn connection_count(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the proxy has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

async fn serve(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    cuts: watch::Sender<u64>,
    mut stop: oneshot::Receiver<()>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                let before = shared.accepted.fetch_add(1, Ordering::SeqCst);
                let target = shared.targets[usize::try_from(before).unwrap_or(0) % shared.targets.len()];
                if *shared.mode.borrow() != Mode::Refuse {
                    connections.spawn(connection(client, target, Arc::clone(&shared), cuts.clone()));
                }
            }
        }
    }
}

async fn connection(client: TcpStream, target: SocketAddr, shared: Arc<Shared>, cuts: watch::Sender<u64>) {
    let mut cut = shared.cuts.clone();
    cut.mark_unchanged();
    let Ok(target) = TcpStream::connect(target).await else { return };
    // Small messages of a request-and-answer protocol: Nagle's algorithm would delay each of them.
    let _ = (client.set_nodelay(true), target.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_target, to_target) = target.into_split();
    tokio::select! {
        _ = cut.changed() => {}
        () = async {
            tokio::join!(
                pump(from_client, to_target, &shared, None),
                pump(from_target, to_client, &shared, Some(&cuts)),
            );
        } => {}
    }
}

/// Moves bytes one way until either end closes. With `cuts`, counts them, and cuts everything when the count is used up.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, cuts: Option<&watch::Sender<u64>>) {
    let mut mode = shared.mode.subscribe();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() {
            return;
        }
        let mut allowed = count;
        if cuts.is_some() {
            allowed = shared.take(count);
            shared.count(allowed as u64);
        } else {
            shared.count_sent(allowed as u64);
        }
        let inserted = cuts.and_then(|_| shared.insertion(&chunk[..allowed]));
        let written = match inserted {
            Some((position, bytes)) => {
                let whole = [&chunk[..position], &bytes, &chunk[position..allowed]].concat();
                to.write_all(&whole).await
            }
            None => to.write_all(&chunk[..allowed]).await,
        };
        if written.is_err() {
            return;
        }
        if let Some(cuts) = cuts.filter(|_| allowed < count) {
            cuts.send_modify(|count| *count += 1);
        }
    }
    // The other side is told of the end, and may still answer.
    let _ = to.shutdown().await;
}

impl Shared {
    /// What is to be inserted into `chunk`, and where; asked for once. What is torn between two chunks is passed over.
    fn insertion(&self, chunk: &[u8]) -> Option<(usize, Vec<u8>)> {
        let mut wanted = self.insertion.lock().unwrap_or_else(PoisonError::into_inner);
        let Insertion { marker, back, .. } = wanted.as_ref()?;
        let found = chunk.windows(marker.len()).position(|window| window == marker)?;
        let position = found.checked_sub(*back)?;
        wanted.take().map(|insertion| (position, insertion.bytes))
    }

    /// Counts what goes on from the target. One thread serves all connections; who sees the new count sees the stall too.
    fn count(&self, bytes: u64) {
        if self.forwarded.load(Ordering::SeqCst) + bytes >= self.stall_at.load(Ordering::SeqCst) {
            self.stall_at.store(u64::MAX, Ordering::SeqCst);
            self.mode.send_replace(Mode::Stall);
        }
        self.forwarded.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Counts what goes on to the target.
    fn count_sent(&self, bytes: u64) {
        let left = self.sent_until_stall.load(Ordering::SeqCst);
        if left == u64::MAX {
            return;
        }
        self.sent_until_stall.store(left.checked_sub(bytes).unwrap_or(u64::MAX), Ordering::SeqCst);
        if left < bytes {
            self.mode.send_replace(Mode::Stall);
        }
    }

    /// How many of `count` bytes may pass before the cut, which comes once.
    fn take(&self, count: usize) -> usize {
        let wanted = i64::try_from(count).unwrap_or(i64::MAX);
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            ..0 => None,
            left if left >= wanted => Some(left - wanted),
            _ => Some(-1),
        });
        match left {
            Ok(left) if left < wanted => usize::try_from(left).unwrap_or(count),
            _ => count,
        }
    }
}
