//! The HTTP side: accepts connections on loopback, hands requests to s3s, and acts out faults on the answers.
//!
//! Runs in a thread with a runtime of its own, so that a test's single-threaded runtime cannot starve it.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use hyper::body::Incoming;
use hyper::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::Body;
use s3s::dto::StreamingBlob;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::access::{Access, Auth};
use super::faults::{Fault, Verdict};
use super::operations::Operations;
use super::store::Store;

/// Serves `listener` until `stop` is told or dropped; then every connection is closed.
pub(super) async fn serve(listener: TcpListener, store: Arc<Store>, stop: oneshot::Receiver<()>) {
    let mut builder = S3ServiceBuilder::new(Operations(Arc::clone(&store)));
    builder.set_auth(Auth(Arc::clone(&store)));
    builder.set_access(Access(store));
    let service = builder.build();
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Many small answers: Nagle's algorithm would delay each of them.
                let _ = stream.set_nodelay(true);
                let service = service.clone();
                connections.spawn(async move {
                    let handler = service_fn(move |request| answer(service.clone(), request));
                    // A connection that breaks is the client's to notice; faults break them on purpose.
                    let _ = auto::Builder::new(TokioExecutor::new()).http1_only()
                        .serve_connection(TokioIo::new(stream), handler).await;
                });
            }
        }
    }
}

/// Time for hyper to send the head and the bytes before a break; it drops what it has not sent yet.
const BEFORE_BREAK: Duration = Duration::from_millis(50);

/// Tells hyper to close the connection instead of answering.
#[derive(Debug)]
struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection is closed by a scripted fault")
    }
}

impl std::error::Error for Dropped {}

async fn answer(service: S3Service, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
    let verdict = Verdict::default();
    let mut request = request.map(Body::from);
    request.extensions_mut().insert(verdict.clone());
    let Ok(mut response) = service.call(request).await else { return Err(Dropped) };
    add_identity(&mut response);
    if let Some(region) = verdict.region() {
        return Ok(wrong_region(&region));
    }
    match verdict.fault() {
        Some(Fault::DropConnection | Fault::LoseAnswer) => Err(Dropped),
        Some(Fault::Hang) => pending().await,
        Some(Fault::ErrorWithStatus200(code)) => Ok(error_document(StatusCode::OK, &code, "A scripted fault", "")),
        Some(Fault::ContentRange(range)) => {
            if let Ok(range) = HeaderValue::from_str(&range) {
                response.headers_mut().insert(header::CONTENT_RANGE, range);
            }
            Ok(response)
        }
        Some(Fault::CutBody(after)) => Ok(response.map(|body| limited(body, after, AtLimit::Break))),
        Some(Fault::StallBody(after)) => Ok(response.map(|body| limited(body, after, AtLimit::Stall))),
        Some(Fault::FlipBit(offset)) => Ok(response.map(|body| with_flipped_bit(body, offset))),
        _ => Ok(response),
    }
}

/// Every answer of S3 names the request, so that it can be found in the owner's logs.
fn add_identity(response: &mut Response<Body>) {
    let id = format!("{:016X}", fastrand::u64(..));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("AmazonS3"));
}

/// What a regional endpoint answers to a request that was signed for another region.
fn wrong_region(expected: &str) -> Response<Body> {
    let message = format!("The authorization header is malformed; the region is wrong; expecting '{expected}'");
    let region = format!("<Region>{expected}</Region>");
    let mut response = error_document(StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", &message, &region);
    if let Ok(region) = HeaderValue::from_str(expected) {
        response.headers_mut().insert("x-amz-bucket-region", region);
    }
    response
}

fn error_document(status: StatusCode, code: &str, message: &str, more: &str) -> Response<Body> {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    );
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    add_identity(&mut response);
    response
}

#[derive(Clone, Copy)]
enum AtLimit {
    Break,
    Stall,
}

/// The first `limit` bytes of a body, and then an end that no client takes for the end.
fn limited(body: Body, limit: u64, at_limit: AtLimit) -> Body {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let cut = stream::unfold((body, limit), move |(mut body, left)| async move {
        if left == 0 {
            return match at_limit {
                AtLimit::Break => {
                    tokio::time::sleep(BEFORE_BREAK).await;
                    Some((Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted)), (body, 0)))
                }
                AtLimit::Stall => pending().await,
            };
        }
        let mut chunk = body.next().await?.ok()?;
        chunk.truncate(left);
        let left = left - chunk.len();
        Some((Ok(chunk), (body, left)))
    });
    StreamingBlob::wrap(cut).into()
}

fn with_flipped_bit(body: Body, offset: u64) -> Body {
    let flipped = stream::unfold((body, 0_u64), move |(mut body, start)| async move {
        let chunk = body.next().await?.ok()?;
        let end = start + chunk.len() as u64;
        let chunk = if (start..end).contains(&offset) { flip(&chunk, offset - start) } else { chunk };
        Some((Ok::<_, Infallible>(chunk), (body, end)))
    });
    StreamingBlob::wrap(flipped).into()
}

fn flip(chunk: &Bytes, offset: u64) -> Bytes {
    let mut bytes = chunk.to_vec();
    if let Some(byte) = usize::try_from(offset).ok().and_then(|offset| bytes.get_mut(offset)) {
        *byte ^= 1;
    }
    bytes.into()
}
