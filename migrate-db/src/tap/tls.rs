//! TLS below a tap: the tap that was there for the server's consent goes, and one on what was encrypted takes its place.
//!
//! Called by `connect`, which chooses how TLS is made.

use std::pin::Pin;

use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

use super::{Outlet, Tap};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<S: TlsStream + Unpin> TlsStream for Tap<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

/// Makes TLS below the tap: what the driver reads afterwards goes through a tap on what was encrypted.
pub struct TappedTls<C> {
    connector: C,
    outlet: Outlet,
}

impl<C> TappedTls<C> {
    /// TLS as `connector` makes it.
    pub fn new(connector: C, outlet: Outlet) -> Self {
        Self { connector, outlet }
    }
}

impl<S, C> TlsConnect<Tap<S>> for TappedTls<C>
where
    S: Send + 'static,
    C: TlsConnect<S> + Send + 'static,
    C::Future: Send,
    C::Stream: Send,
    C::Error: Into<BoxError>,
{
    type Stream = Tap<C::Stream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Stream, BoxError>> + Send>>;

    fn connect(self, plain: Tap<S>) -> Self::Future {
        Box::pin(async move {
            // Before TLS has begun anybody could have written it (CVE-2021-23222).
            if !plain.buffer.is_empty() {
                return Err("the server sent unencrypted bytes after it had agreed to TLS".into());
            }
            let encrypted = self.connector.connect(plain.inner).await.map_err(Into::into)?;
            Ok(Tap::new(encrypted, self.outlet))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

    use super::*;

    /// TLS that encrypts nothing.
    struct NoEncryption;

    impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for NoEncryption {
        type Stream = Encrypted<S>;
        type Error = io::Error;
        type Future = std::future::Ready<io::Result<Encrypted<S>>>;

        fn connect(self, stream: S) -> Self::Future {
            std::future::ready(Ok(Encrypted(stream)))
        }
    }

    struct Encrypted<S>(S);

    impl<S: AsyncRead + Unpin> AsyncRead for Encrypted<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, into)
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
        fn channel_binding(&self) -> ChannelBinding {
            ChannelBinding::none()
        }
    }

    #[tokio::test]
    async fn what_was_sent_unencrypted_before_tls_is_never_read_as_if_it_had_been_encrypted() {
        for (sent, is_taken) in [(b"S".as_slice(), true), (b"Sd\0\0\0\x05x", false)] {
            let (mut server, client) = tokio::io::duplex(64);
            server.write_all(sent).await.unwrap();
            let mut plain = Tap::before_tls(client, Outlet::default());
            assert_eq!(plain.read_u8().await.unwrap(), b'S');
            let connected = TappedTls::new(NoEncryption, Outlet::default()).connect(plain).await;
            assert_eq!(connected.is_ok(), is_taken, "{sent:?}");
        }
    }
}
