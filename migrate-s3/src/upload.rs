//! A body on its way to a store, watched: it may be slow, it may not stand still.
//!
//! A limit on the whole request would kill a large part on a slow line; so what is timed is the pause between two
//! pieces, and then the pause until the answer. Knows nothing of requests. Called by `store`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// A piece: small enough that a slow line takes one every few seconds.
const PIECE_BYTES: usize = 64 << 10;

/// A body of which nothing is taken for so long is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the store may think once it has the body. What the kernel still holds of it counts.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// How often the watch looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// `bytes` as a body, and the watch over it.
pub fn watched(bytes: Bytes) -> (SdkBody, Watch) {
    let left_bytes = Arc::new(AtomicU64::new(bytes.len() as u64));
    let body = Watched { bytes, left_bytes: Arc::clone(&left_bytes) };
    (SdkBody::from_body_1_x(body), Watch { left_bytes })
}

/// See [`watched`].
#[derive(Debug)]
pub struct Watch {
    left_bytes: Arc<AtomicU64>,
}

impl Watch {
    /// Returns, with the reason, once the body has stood still for too long; never before.
    pub async fn stalled(self) -> String {
        let mut seen = (self.left_bytes.load(Ordering::Relaxed), Instant::now());
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let left_bytes = self.left_bytes.load(Ordering::Relaxed);
            if left_bytes != seen.0 {
                seen = (left_bytes, Instant::now());
            }
            let limit = if left_bytes == 0 { ANSWER_TIMEOUT } else { IDLE_TIMEOUT };
            if seen.1.elapsed() >= limit {
                let what = if left_bytes == 0 { "no answer" } else { "nothing of the body was taken" };
                return format!("{what} for {} s", limit.as_secs());
            }
        }
    }
}

struct Watched {
    bytes: Bytes,
    left_bytes: Arc<AtomicU64>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece_bytes = self.bytes.len().min(PIECE_BYTES);
        let piece = self.bytes.split_to(piece_bytes);
        self.left_bytes.store(self.bytes.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_is_left_alone_and_one_that_stands_still_is_not() {
        // GIVEN a body of four pieces of which one is taken every 25 seconds
        let left_bytes = Arc::new(AtomicU64::new(4));
        let mut stalled = Box::pin(Watch { left_bytes: Arc::clone(&left_bytes) }.stalled());
        for left in [3, 2, 1] {
            assert!(tokio::time::timeout(Duration::from_secs(25), &mut stalled).await.is_err());
            left_bytes.store(left, Ordering::Relaxed);
        }
        // WHEN the last one is not taken, THEN it is given up after 30 seconds
        let asked = Instant::now();
        assert_eq!(stalled.await, "nothing of the body was taken for 30 s");
        assert!(asked.elapsed() <= IDLE_TIMEOUT + LOOK_INTERVAL * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_may_take_longer_than_a_pause() {
        let watch = Watch { left_bytes: Arc::new(AtomicU64::new(0)) };
        let mut stalled = Box::pin(watch.stalled());
        assert!(tokio::time::timeout(Duration::from_secs(100), &mut stalled).await.is_err());
        assert!(stalled.as_mut().now_or_never().is_none());
        assert_eq!(stalled.await, "no answer for 120 s");
    }

    #[tokio::test]
    async fn the_pieces_are_the_whole() {
        let bytes = Bytes::from((0..=255).cycle().take(200_000).collect::<Vec<u8>>());
        let (body, watch) = watched(bytes.clone());
        let body = aws_sdk_s3::primitives::ByteStream::new(body);
        assert_eq!(body.collect().await.unwrap().into_bytes(), bytes);
        assert_eq!(watch.left_bytes.load(Ordering::Relaxed), 0);
    }
}
