//! The HTTP client below the SDK: rustls with ring, the machine's certificate authorities, and those of
//! `AWS_CA_BUNDLE` besides.
//!
//! Everything that the SDK's TLS set-up would answer with a panic (no authorities at all, a bundle that is not
//! PEM) is looked at here first and becomes an error that an operator can act on.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::settings::{SettingError, Variables};

/// The variable of the AWS CLI and SDKs for further certificate authorities.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";

/// S3 closes connections that lie idle; one that we drop first cannot fail under a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// A client for `endpoint_url`, or for AWS when there is none. `service` is the word for messages.
pub(super) fn client(endpoint_url: Option<&str>, service: &str) -> Result<SharedHttpClient, SettingError> {
    let builder = Builder::new().pool_idle_timeout(IDLE_TIMEOUT);
    Ok(match trust(endpoint_url, service)? {
        None => builder.build_http(),
        Some(context) => builder.tls_provider(Provider::rustls(CryptoMode::Ring)).tls_context(context).build_https(),
    })
}

/// The same for requests that are not the SDK's own.
pub(super) fn connector(
    endpoint_url: Option<&str>,
    service: &str,
    settings: HttpConnectorSettings,
) -> Result<Connector, SettingError> {
    let builder = Connector::builder()
        .connector_settings(settings)
        .sleep_impl(aws_smithy_async::rt::sleep::TokioSleep::new())
        .pool_idle_timeout(IDLE_TIMEOUT);
    Ok(match trust(endpoint_url, service)? {
        None => builder.build_http(),
        Some(context) => builder.tls_provider(Provider::rustls(CryptoMode::Ring)).tls_context(context).build(),
    })
}

/// Whom a client trusts; `None` when there is nobody to trust and no TLS either.
fn trust(endpoint_url: Option<&str>, service: &str) -> Result<Option<TlsContext>, SettingError> {
    let encrypted = endpoint_url.map_or(Ok(true), |url| is_encrypted(url, service))?;
    let own = own_authorities(&Variables::of_process())?;
    let system = has_system_authorities();
    if !encrypted && own.is_none() && !system {
        return Ok(None);
    }
    if own.is_none() && !system {
        return Err(SettingError::Missing {
            what: "a certificate authority to prove the server's identity by".into(),
            how: format!("install the package ca-certificates, or name a file of certificates in {CA_BUNDLE}"),
        });
    }
    let mut trust = TrustStore::empty().with_native_roots(system);
    if let Some(pem) = own {
        trust.add_pem_certificate(pem);
    }
    let context = TlsContext::builder().with_trust_store(trust).build();
    context.map(Some).map_err(|error| SettingError::Invalid {
        name: CA_BUNDLE.into(),
        reason: error.to_string(),
        how: None,
    })
}

/// Whether the endpoint speaks TLS. The URL is not repeated in errors when it could hold a password.
fn is_encrypted(url: &str, service: &str) -> Result<bool, SettingError> {
    let name =
        if url.contains('@') { format!("the endpoint URL of {service}") } else { format!("the endpoint `{url}`") };
    let invalid = |reason: &str| SettingError::Invalid {
        name: name.clone(),
        reason: reason.into(),
        how: Some("an endpoint is written https://host or http://host:port".into()),
    };
    let (encrypted, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(invalid("it begins with neither https:// nor http://")),
    };
    if rest.contains('@') {
        return Err(invalid("credentials have no place in it"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // The colons within brackets belong to an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let plain = |character: char| character.is_ascii_alphanumeric() || "-._[]:".contains(character);
    if host.is_empty() || !host.chars().all(plain) {
        return Err(invalid("it names no host"));
    }
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(invalid("its port is not a number from 1 to 65535"));
    }
    Ok(encrypted)
}

fn has_system_authorities() -> bool {
    let mut store = rustls::RootCertStore::empty();
    let (usable, _) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    usable > 0
}

/// The content of the file that `AWS_CA_BUNDLE` names, known to hold usable certificates only.
fn own_authorities(variables: &Variables) -> Result<Option<Vec<u8>>, SettingError> {
    let Some(path) = variables.get(CA_BUNDLE)? else { return Ok(None) };
    let invalid = |reason: String| SettingError::Invalid {
        name: format!("the file `{path}` that the variable {CA_BUNDLE} names"),
        reason,
        how: Some("name a readable PEM file of certificates, or remove the variable".into()),
    };
    let pem = std::fs::read(Path::new(path)).map_err(|error| invalid(format!("it cannot be read: {error}")))?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(format!("it is not PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(invalid("it holds no certificate".into()));
    }
    let mut store = rustls::RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        store.add(certificate).map_err(|error| invalid(format!("certificate {} in it: {error}", index + 1)))?;
    }
    Ok(Some(pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_looked_at() {
        for (url, encrypted) in [
            ("https://s3.example.com", true),
            ("http://127.0.0.1:9000/", false),
            ("http://[::1]:9000", false),
            ("http://[::1]", false),
        ] {
            assert_eq!(is_encrypted(url, "S3").unwrap(), encrypted, "{url}");
        }
        for url in ["s3.example.com", "ftp://host", "http://", "http://host:99999", "http://ho st", "https://:443"] {
            assert!(is_encrypted(url, "S3").is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_in_an_endpoint_is_refused_and_not_shown() {
        let error = is_encrypted("https://user:hunter2@host", "S3").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn a_bundle_that_is_none_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "no certificate").unwrap();
        let variables = Variables::from([(CA_BUNDLE, file.path().to_str().unwrap())]);
        let error = own_authorities(&variables).unwrap_err();
        assert!(error.to_string().contains("holds no certificate"), "{error}");
        let error = own_authorities(&Variables::from([(CA_BUNDLE, "/nowhere.pem")])).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
        assert!(own_authorities(&Variables::default()).unwrap().is_none());
    }
}
