//! TLS by libpq's words: `sslmode` and `sslrootcert` mean here what they mean to psql.
//!
//! One deliberate difference: where libpq would look for `~/.postgresql/root.crt`, we take the certificates of the
//! system and, for Amazon's databases, the bundle that the image carries.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, Result, Side};

/// Where the image keeps Amazon's certificate authorities for RDS (`images/db-migration/Dockerfile`).
pub const RDS_BUNDLE: &str = "/etc/ssl/certs/rds-global-bundle.pem";
/// Where Debian keeps the certificates of the system, for the child processes that want a file.
pub const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// libpq's sslmode, see "SSL Mode Descriptions" in the PostgreSQL documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// No TLS unless the server insists. Served as `prefer`: we never do worse than what was asked.
    Allow,
    /// TLS where the server offers it, without proof of who it is.
    Prefer,
    /// TLS, without proof of who it is (with `sslrootcert`: as `verify-ca`).
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// TLS, the certificate comes from a trusted authority and names the host.
    VerifyFull,
}

impl SslMode {
    /// libpq's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for SslMode {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.word() == word)
            .ok_or_else(|| {
                format!("its sslmode `{word}` is none of disable, allow, prefer, require, verify-ca, verify-full")
            })
    }
}

/// The certificate authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// Those of the system.
    System,
    /// Those in a PEM file.
    File(PathBuf),
}

/// How TLS is done with one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPolicy {
    /// The mode in force.
    pub mode: SslMode,
    /// Whom we trust, where the mode asks for trust.
    pub roots: Roots,
    /// Whether the mode is our default and leaves the server's identity unproved: worth a warning.
    pub unproved: bool,
}

impl TlsPolicy {
    /// Completes what was given with the defaults for `host`: `verify-full` for Amazon's databases, nothing on
    /// loopback and Unix sockets, `require` elsewhere.
    pub fn resolve(mode: Option<SslMode>, roots: Option<Roots>, host: &str) -> Self {
        let amazon = host.ends_with(".rds.amazonaws.com");
        let default_roots =
            || if amazon && Path::new(RDS_BUNDLE).exists() { Roots::File(RDS_BUNDLE.into()) } else { Roots::System };
        let local = host.starts_with('/')
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let chosen = match (mode, &roots) {
            // libpq: "If a root CA file exists, the behavior of sslmode=require will be the same as that of verify-ca".
            (Some(SslMode::Require), Some(_)) => SslMode::VerifyCa,
            (Some(mode), _) => mode,
            (None, _) if amazon => SslMode::VerifyFull,
            (None, None) if local => SslMode::Disable,
            (None, Some(_)) => SslMode::VerifyFull,
            (None, None) => SslMode::Require,
        };
        let unproved = mode.is_none() && chosen == SslMode::Require;
        Self { mode: chosen, roots: roots.unwrap_or_else(default_roots), unproved }
    }

    /// The file of trusted certificates for libpq's own programs; `None` where the mode asks for none.
    pub fn bundle_for_libpq(&self) -> Option<PathBuf> {
        match (self.mode, &self.roots) {
            (SslMode::VerifyCa | SslMode::VerifyFull, Roots::File(path)) => Some(path.clone()),
            (SslMode::VerifyCa | SslMode::VerifyFull, Roots::System) => Some(SYSTEM_BUNDLE.into()),
            _ => None,
        }
    }

    /// The configuration for rustls; `None` where TLS is not wanted at all.
    pub fn client_config(&self, side: Side) -> Result<Option<ClientConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match self.mode {
            SslMode::Disable => return Ok(None),
            SslMode::Allow | SslMode::Prefer | SslMode::Require => {
                Arc::new(Unverified { provider: Arc::clone(&provider) })
            }
            SslMode::VerifyCa => Arc::new(AuthorityOnly { inner: self.verifier(side, &provider)? }),
            SslMode::VerifyFull => self.verifier(side, &provider)?,
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Defect(format!("no TLS versions: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Some(config))
    }

    fn verifier(&self, side: Side, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>> {
        let path = match &self.roots {
            Roots::System => PathBuf::from("the system's store"),
            Roots::File(path) => path.clone(),
        };
        let unusable = |reason: String| Error::Certificates { side, path: path.clone(), reason };
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(self.read_roots().map_err(unusable)?);
        if added == 0 {
            return Err(unusable("it holds no certificate".into()));
        }
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
            .build()
            .map_err(|error| unusable(error.to_string()))
    }

    fn read_roots(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        match &self.roots {
            Roots::System => Ok(rustls_native_certs::load_native_certs().certs),
            Roots::File(path) => {
                let pem = fs::read(path).map_err(|error| error.to_string())?;
                CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
            }
        }
    }
}

/// `require`: encrypts, and believes whoever answers.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify-ca`: the chain must hold, the name need not.
#[derive(Debug)]
struct AuthorityOnly {
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for AuthorityOnly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The chain is checked before the name, so this error means that the chain holds.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_host() {
        let mode = |host| TlsPolicy::resolve(None, None, host).mode;
        assert_eq!(mode("core.abc.eu-west-2.rds.amazonaws.com"), SslMode::VerifyFull);
        assert_eq!(mode("127.0.0.1"), SslMode::Disable);
        assert_eq!(mode("::1"), SslMode::Disable);
        assert_eq!(mode("/run/postgresql"), SslMode::Disable);
        assert_eq!(mode("db.internal"), SslMode::Require);
        assert!(TlsPolicy::resolve(None, None, "db.internal").unproved);
        assert!(!TlsPolicy::resolve(Some(SslMode::Require), None, "db.internal").unproved);
    }

    #[test]
    fn require_with_a_root_file_checks_the_authority() {
        let policy = TlsPolicy::resolve(Some(SslMode::Require), Some(Roots::File("/ca.pem".into())), "h");
        assert_eq!(policy.mode, SslMode::VerifyCa);
    }
}
