//! A tap on a connection: the rows of a COPY are taken off it in large pieces before the driver sees them.
//!
//! A server sends one message per row. The driver makes a value of each, and hands them on in batches of what one read brought:
//! a third of our processor time. Here whole messages are passed on as they came, many at a time, and large ones in parts; everything else (the
//! answers to queries, the end of a COPY, errors) goes to the driver, which stays in charge of the connection.
//!
//! It knows the framing of messages (documentation, "Message Formats": a letter, then a length that counts itself) and, of the
//! protocol, the two messages that end a COPY: the server's count of its rows, and an error. Called by `connect`, which puts it between wire and driver, and above TLS where there is any (`tls`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::PollSender;

use crate::rows::{self, COPY_DATA, HEADER_LEN, Piece};

mod outlet;
mod tls;

pub use outlet::{Outflow, Outlet};
pub use tls::TappedTls;

/// Read at a time: servers send rows in pieces of 8 kB, and a read for each would show in a profile.
const READ_BYTES: usize = 128 * 1024;
/// Rows are handed on as soon as there are so many bytes of them, or nothing more has come yet.
const PASSED_ON_BYTES: usize = READ_BYTES / 2;
/// "CommandComplete": the server's own word of how many rows there were.
const COMMAND_COMPLETE: u8 = b'C';
/// "ErrorResponse": no rows of this COPY come after it.
const ERROR: u8 = b'E';

/// A message with a row that is larger, and not there yet, is passed on in parts of at least [`PASSED_ON_BYTES`].
const WHOLE_BYTES_MAX: usize = READ_BYTES;

/// A connection whose rows of COPY go to its [`Outlet`], where one is open, and all else to whoever reads.
pub struct Tap<S> {
    inner: S,
    outlet: Outlet,
    /// The outlet of the COPY under way.
    rows: Option<PollSender<Outflow>>,
    /// Read and not yet passed on. Begins within a message that is the reader's, or with a message.
    buffer: BytesMut,
    /// How much of the message that is being passed to the reader is still to come.
    passing: usize,
    /// So many bytes of whole messages with rows stand at the beginning of the buffer.
    run: usize,
    /// How much of the message that is being passed on in parts is still to come.
    giant: usize,
}

impl<S> Tap<S> {
    /// On a connection whose first bytes from the server are a message.
    pub fn new(inner: S, outlet: Outlet) -> Self {
        Self { inner, outlet, rows: None, buffer: BytesMut::new(), passing: 0, run: 0, giant: 0 }
    }

    /// On a connection where TLS is asked for first: the server's answer is one letter that is no message.
    pub fn before_tls(inner: S, outlet: Outlet) -> Self {
        Self { passing: 1, ..Self::new(inner, outlet) }
    }

    /// Looks at what has been read, from the first message behind the run on.
    fn look(&mut self) -> io::Result<Next> {
        loop {
            let header = rows::message_header(&self.buffer[self.run..])?;
            let Some((tag, length)) = header else { return Ok(Next::More(HEADER_LEN)) };
            let is_whole = self.buffer.len() - self.run >= length;
            match tag {
                COPY_DATA if self.has_outlet() && !is_whole && length > WHOLE_BYTES_MAX => {
                    return Ok(Next::Giant(length));
                }
                COPY_DATA | COMMAND_COMPLETE if self.has_outlet() && !is_whole => return Ok(Next::More(length)),
                COPY_DATA if self.has_outlet() => {}
                _ => return Ok(Next::Other { tag, length }),
            }
            self.run += length;
            if self.run >= PASSED_ON_BYTES {
                return Ok(Next::Enough);
            }
        }
    }

    #[inline]
    fn has_outlet(&mut self) -> bool {
        if self.rows.is_none() {
            self.rows = self.outlet.take().map(PollSender::new);
        }
        self.rows.is_some()
    }

    /// Hands the run on; waits for whoever takes it. If they are gone, nobody misses it.
    fn poll_pass_on(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(rows) = &mut self.rows else { return Poll::Ready(()) };
        let is_wanted = ready!(rows.poll_reserve(context)).is_ok();
        let piece = self.buffer.split_to(std::mem::take(&mut self.run)).freeze();
        if is_wanted {
            // Cannot fail: the place was reserved.
            let _ = rows.send_item(Outflow::Rows(Piece::Whole(piece)));
        }
        Poll::Ready(())
    }

    /// Hands on what is there of the message that comes in parts.
    fn poll_pass_on_part(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let is_wanted = match &mut self.rows {
            Some(rows) => ready!(rows.poll_reserve(context)).is_ok(),
            None => false,
        };
        let bytes = self.buffer.split_to(self.giant.min(self.buffer.len())).freeze();
        self.giant -= bytes.len();
        if is_wanted && let Some(rows) = &mut self.rows {
            let _ = rows.send_item(Outflow::Rows(Piece::Part { bytes, is_last: self.giant == 0 }));
        }
        Poll::Ready(())
    }

    /// Tells how the COPY under way ended, if `tag` is its end, and closes the outlet. The message, of `length` bytes, stands at the
    /// beginning of the buffer.
    fn poll_end(&mut self, context: &mut Context<'_>, tag: u8, length: usize) -> Poll<()> {
        if ![COMMAND_COMPLETE, ERROR].contains(&tag) || !self.has_outlet() {
            return Poll::Ready(());
        }
        if tag == COMMAND_COMPLETE
            && let Some(count) = copied_count(&self.buffer[HEADER_LEN..length])
            && let Some(rows) = &mut self.rows
            && ready!(rows.poll_reserve(context)).is_ok()
        {
            let _ = rows.send_item(Outflow::Count(count));
        }
        self.rows = None;
        self.outlet.close();
        Poll::Ready(())
    }
}

/// The number of rows in `COPY 3000`, which a zero byte ends.
fn copied_count(completed: &[u8]) -> Option<u64> {
    std::str::from_utf8(completed.strip_suffix(b"\0")?).ok()?.strip_prefix("COPY ")?.parse().ok()
}

/// What stands behind the run.
enum Next {
    /// Enough to be handed on.
    Enough,
    /// A message that needs so many bytes, not all of which are there.
    More(usize),
    /// A row's message of so many bytes, too many to wait for all of them.
    Giant(usize),
    /// A message that is the reader's.
    Other { tag: u8, length: usize },
}

impl<S: AsyncRead + Unpin> Tap<S> {
    /// Reads more: at least one byte, or the end (false). There is room for `wanted` bytes behind the run, at least.
    fn poll_fill(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<bool>> {
        let behind_run = self.buffer.len() - self.run;
        let room = wanted.saturating_sub(behind_run).max(1);
        if self.buffer.capacity() - self.buffer.len() < room.max(READ_BYTES / 4) {
            self.buffer.reserve(room.max(READ_BYTES));
        }
        let read = ready!(poll_read_buf(Pin::new(&mut self.inner), context, &mut self.buffer))?;
        Poll::Ready(Ok(read > 0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.passing > 0 {
                if this.buffer.is_empty() && !ready!(this.poll_fill(context, 1))? {
                    return Poll::Ready(Ok(()));
                }
                let length = this.passing.min(this.buffer.len()).min(into.remaining());
                into.put_slice(&this.buffer[..length]);
                this.buffer.advance(length);
                this.passing -= length;
                return Poll::Ready(Ok(()));
            }
            if this.giant > 0 {
                let wanted = this.giant.min(PASSED_ON_BYTES);
                if this.buffer.len() >= wanted {
                    ready!(this.poll_pass_on_part(context));
                } else if !ready!(this.poll_fill(context, wanted))? {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let next = this.look()?;
            if let Next::More(wanted) = next {
                match this.poll_fill(context, wanted) {
                    Poll::Ready(Ok(true)) => continue,
                    // Nothing has come yet, or nothing will: what is there is not held back.
                    _ if this.run > 0 => {}
                    Poll::Ready(Ok(false)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if this.run > 0 {
                ready!(this.poll_pass_on(context));
                continue;
            }
            match next {
                Next::Giant(length) => {
                    this.buffer.advance(HEADER_LEN);
                    this.giant = length - HEADER_LEN;
                }
                Next::Other { tag, length } => {
                    ready!(this.poll_end(context, tag, length));
                    this.passing = length;
                }
                Next::Enough | Next::More(_) => {}
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn message(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 4).unwrap().to_be_bytes();
        [&[tag], length.as_slice(), content].concat()
    }

    /// Sends `bytes` in `pieces` of such lengths, over and over, and gives what the reader and the outlet got of them, and the count.
    async fn tapped(bytes: Vec<u8>, pieces: Vec<usize>, is_open: bool) -> (Vec<u8>, Vec<u8>, Option<u64>) {
        let (server, client) = tokio::io::duplex(1 << 20);
        let outlet = Outlet::default();
        let mut rows = is_open.then(|| outlet.open());
        let send = async move {
            let mut server = server;
            let mut rest = bytes.as_slice();
            for length in pieces.iter().cycle() {
                let (piece, behind) = rest.split_at((*length).min(rest.len()));
                server.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
                rest = behind;
                if rest.is_empty() {
                    return;
                }
            }
        };
        let read = async {
            let mut read = Vec::new();
            Tap::new(client, outlet.clone()).read_to_end(&mut read).await.unwrap();
            read
        };
        let take = async {
            let (mut taken, mut parts, mut count) = (Vec::new(), Vec::new(), None);
            while let Some(rows) = &mut rows
                && let Some(outflow) = rows.recv().await
            {
                match outflow {
                    Outflow::Rows(Piece::Whole(piece)) => {
                        assert_eq!(
                            rows::contents(&piece).map(|row| row.len() + HEADER_LEN).sum::<usize>(),
                            piece.len()
                        );
                        taken.extend_from_slice(&piece);
                    }
                    Outflow::Rows(Piece::Part { bytes, is_last }) => {
                        assert!(is_last || bytes.len() >= PASSED_ON_BYTES);
                        assert!(bytes.len() <= 2 * READ_BYTES);
                        parts.extend_from_slice(&bytes);
                        if is_last {
                            taken.extend_from_slice(&message(COPY_DATA, &std::mem::take(&mut parts)));
                        }
                    }
                    Outflow::Count(said) => count = Some(said),
                }
            }
            (taken, count)
        };
        let ((), read, (taken, count)) = tokio::join!(send, read, take);
        (read, taken, count)
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn rows_go_one_way_and_the_rest_the_other_however_they_arrive(
            before in proptest::collection::vec((prop::sample::select(b"12ZHSN".to_vec()), 0..40_usize), 0..6),
            rows in proptest::collection::vec(prop_oneof![9 => 0..300_usize, 1 => 30_000..300_000_usize], 0..40),
            notice_at in any::<prop::sample::Index>(),
            pieces in proptest::collection::vec(1..9_000_usize, 1..8),
            is_open: bool,
        ) {
            let (mut others, mut taken, mut sent) = (Vec::new(), Vec::new(), Vec::new());
            let mut to_reader = |sent: &mut Vec<u8>, tag, content: &[u8]| {
                let message = message(tag, content);
                sent.extend_from_slice(&message);
                others.extend_from_slice(&message);
            };
            for (tag, length) in before {
                to_reader(&mut sent, tag, &vec![7; length]);
            }
            let notice_at = notice_at.index(rows.len() + 1);
            for (number, length) in rows.iter().enumerate() {
                if number == notice_at {
                    to_reader(&mut sent, b'N', &[7; 20]);
                }
                if is_open {
                    let row = message(COPY_DATA, &vec![u8::try_from(number).unwrap(); *length]);
                    sent.extend_from_slice(&row);
                    taken.extend_from_slice(&row);
                } else {
                    // Nobody asked for them: they are the driver's, as ever.
                    to_reader(&mut sent, COPY_DATA, &vec![8; *length]);
                }
            }
            to_reader(&mut sent, b'c', b"");
            to_reader(&mut sent, COMMAND_COMPLETE, format!("COPY {}\0", rows.len()).as_bytes());
            to_reader(&mut sent, b'Z', b"I");
            prop_assert_eq!(run(tapped(sent, pieces, is_open)), (others, taken, is_open.then_some(rows.len() as u64)));
        }
    }

    #[test]
    fn an_error_ends_the_rows() {
        let sent = [message(COPY_DATA, b"row"), message(b'E', b"SERROR\0")].concat();
        let tapped = run(tapped(sent, vec![4], true));
        assert_eq!(tapped, (message(b'E', b"SERROR\0"), message(COPY_DATA, b"row"), None));
    }

    #[test]
    fn rows_that_nobody_takes_any_more_hold_nobody_up() {
        let (read, taken) = run(async {
            let (mut server, client) = tokio::io::duplex(1 << 20);
            let outlet = Outlet::default();
            drop(outlet.open());
            let rows: Vec<u8> = (0..9).flat_map(|_| message(COPY_DATA, &vec![1; 100_000])).collect();
            server.write_all(&[rows, message(b'C', b"COPY 9\0")].concat()).await.unwrap();
            drop(server);
            let mut tap = Tap::new(client, outlet);
            let mut read = Vec::new();
            tap.read_to_end(&mut read).await.unwrap();
            (read, tap.rows.is_some())
        });
        assert_eq!((read, taken), (message(b'C', b"COPY 9\0"), false));
    }

    #[test]
    fn a_connection_that_ends_within_a_row_ends_the_rows() {
        let sent = message(COPY_DATA, &vec![1; 200_000]);
        let (read, taken, count) = run(tapped(sent[..150_000].to_vec(), vec![9_000], true));
        assert!(read.is_empty() && taken.is_empty() && count.is_none());
    }

    #[test]
    fn a_length_that_is_none_is_an_error() {
        run(async {
            let (mut server, client) = tokio::io::duplex(64);
            server.write_all(b"d\0\0\0\x02").await.unwrap();
            let outcome = Tap::new(client, Outlet::default()).read_u8().await;
            assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidData);
        });
    }
}
