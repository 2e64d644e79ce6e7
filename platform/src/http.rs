//! One HTTPS client for the API and UAA: rustls with ring, the system's authorities and those of `CF_CA_CERT`, no
//! redirects (a one-time code comes in the head of one), a limit on everything.
//!
//! Knows nothing of tokens: `api` and `uaa` do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::settings::SettingError;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Client, RequestBuilder, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Result;
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one request with its answer; the largest thing that is sent is a ZIP of a few hundred bytes.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// Answers are lists of at most 200 resources.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A client that trusts the system's authorities and those in `ca_cert`.
pub(crate) fn client(ca_cert: Option<&Path>) -> Result<Client> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_cert {
        let (added, _) = roots.add_parsable_certificates(read(path)?);
        if added == 0 {
            return Err(unusable(path, "it holds no certificate").into());
        }
    }
    let defect = |reason: String| Error::Strange { action: "set up HTTPS".into(), reason };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| defect(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .user_agent(concat!("migration-tools/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| defect(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, SettingError> {
    let pem = std::fs::read(path).map_err(|error| unusable(path, &error.to_string()))?;
    CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| unusable(path, &error.to_string()))
}

fn unusable(path: &Path, reason: &str) -> SettingError {
    SettingError::Invalid {
        name: "CF_CA_CERT".into(),
        reason: format!("{}: {reason}", path.display()),
        how: Some("give the path of a PEM file with the foundation's certificate authority".into()),
    }
}

/// Sends `request`; the error names `action`, which reads `verb object`.
pub(crate) async fn send(request: RequestBuilder, action: &str) -> Result<Answer> {
    let failed = |error: reqwest::Error| no_answer(error, action);
    let mut response = request.send().await.map_err(failed)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::Strange { action: action.into(), reason: "it does not end".into() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

/// The chain of causes, without addresses that might hold a code.
fn no_answer(error: reqwest::Error, action: &str) -> Error {
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = inner.source();
    }
    // A certificate does not become better by asking again.
    let transient = !reason.contains("certificate") && !reason.contains("dns error");
    Error::NoAnswer { action: action.into(), reason, transient }
}

impl Answer {
    /// Whether the request was granted.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Where the answer points to.
    pub(crate) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    /// The body's content, or what its status and its body say against the request.
    pub(crate) fn read<T: DeserializeOwned>(&self, action: &str) -> Result<T> {
        self.granted(action)?;
        serde_json::from_slice(&self.body).map_err(|error| Error::Strange {
            action: action.into(),
            // Its line and column only: the message may quote a credential.
            reason: format!("{:?} at line {}, column {}", error.classify(), error.line(), error.column()),
        })
    }

    /// An error unless the request was granted.
    pub(crate) fn granted(&self, action: &str) -> Result<()> {
        if self.is_success() {
            return Ok(());
        }
        let (code, detail) = self.complaint();
        Err(Error::Answered { action: action.into(), status: self.status, code, detail })
    }

    /// The name and the words of an error, in the form of the Cloud Controller (`errors`) or of UAA (`error`).
    pub(crate) fn complaint(&self) -> (Option<String>, String) {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if let Some(error) = body["errors"].get(0) {
            let detail = text(&error["detail"]).unwrap_or_else(|| format!("status {}", self.status));
            return (text(&error["title"]), detail);
        }
        let detail = text(&body["error_description"]).unwrap_or_else(|| format!("status {}", self.status));
        (text(&body["error"]), detail)
    }
}
