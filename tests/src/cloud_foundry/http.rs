//! The HTTPS side: one listener for the API, one for UAA, which is a host of its own.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::state::State;
use super::{locked, routes, uaa};
use crate::engines::Certificates;

/// Which host answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Api,
    Uaa,
}

/// A request, read in full.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    pub(super) authorization: Option<String>,
    pub(super) body: Bytes,
}

impl Request {
    async fn read(request: hyper::Request<Incoming>) -> Option<Self> {
        let (head, body) = request.into_parts();
        let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Some(Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: pairs(head.uri.query().unwrap_or_default()),
            authorization,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        let value = self.authorization.as_deref()?;
        value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "))
    }

    pub(super) fn form(&self) -> HashMap<String, String> {
        pairs(&String::from_utf8_lossy(&self.body))
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether `value` is among the comma-separated values of the query's `name`; without such a word, everything is.
    pub(super) fn wants(&self, name: &str, value: &str) -> bool {
        self.query.get(name).is_none_or(|wanted| wanted.split(',').any(|one| one == value))
    }
}

fn pairs(encoded: &str) -> HashMap<String, String> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (decode(name), decode(value)));
    encoded.split('&').filter_map(pair).collect()
}

/// Serves `listener` for ever.
pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, part: Part) {
    let acceptor = acceptor();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let handler = service_fn(move |request| answer(Arc::clone(&state), part, request));
                    // A connection that breaks is the client's to notice.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await;
                });
            }
        }
    }
}

async fn answer(state: Arc<Mutex<State>>, part: Part, request: hyper::Request<Incoming>) -> Result<Answer, Infallible> {
    let Some(request) = Request::read(request).await else {
        return Ok(super::answer::error(400, 1001, "CF-MessageParseError", "Request invalid due to parse error"));
    };
    let mut state = locked(&state);
    state.requests.push(format!("{} {}", request.method, request.path));
    Ok(match part {
        Part::Api => routes::answer(&mut state, &request),
        Part::Uaa => uaa::answer(&mut state, &request),
    })
}

fn acceptor() -> TlsAcceptor {
    let certificates = Certificates::get();
    let chain = CertificateDer::pem_slice_iter(certificates.server.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(certificates.server_key.as_bytes());
    let (Ok(chain), Ok(key)) = (chain, key) else { panic!("the harness' own certificate cannot be read") };
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    TlsAcceptor::from(Arc::new(config.unwrap_or_else(|error| panic!("no TLS: {error}"))))
}
