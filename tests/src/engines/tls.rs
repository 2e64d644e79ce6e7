//! Certificates for the engines: one authority that the tests know, a server certificate of it for the name
//! `localhost` and for one as RDS has them, and a second authority that signed nothing, for tests of mistrust.

use std::path::PathBuf;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

/// A name of the engines' certificate that no resolver knows: an alias of a container can have it.
pub const RDS_NAME: &str = "core-test.abcdefghijkl.eu-west-2.rds.amazonaws.com";

/// What was made for this process.
pub(crate) struct Certificates {
    /// The server's certificate, PEM.
    pub(crate) server: String,
    /// The server's key, PEM.
    pub(crate) server_key: String,
    directory: TempDir,
}

impl Certificates {
    /// The certificates of this process, made at the first call.
    ///
    /// # Panics
    ///
    /// When the system has no randomness or no temporary directory.
    pub(crate) fn get() -> &'static Self {
        static CERTIFICATES: OnceLock<Certificates> = OnceLock::new();
        CERTIFICATES.get_or_init(|| make().unwrap_or_else(|error| panic!("cannot make certificates: {error}")))
    }

    /// File with the authority that signed the server's certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    /// File with an authority that did not.
    pub(crate) fn stranger(&self) -> PathBuf {
        self.directory.path().join("stranger.pem")
    }
}

fn make() -> Result<Certificates, Box<dyn std::error::Error>> {
    let directory = tempfile::Builder::new().prefix("engine-certificates-").tempdir()?;
    let authority = authority("Authority of the tests")?;
    let stranger = self::authority("Authority of somebody else")?;
    std::fs::write(directory.path().join("authority.pem"), authority.pem())?;
    std::fs::write(directory.path().join("stranger.pem"), stranger.pem())?;
    let key = KeyPair::generate()?;
    // The names only: a connection to 127.0.0.1 is one to the wrong host for `verify-full`, and right for `verify-ca`.
    let server =
        CertificateParams::new(vec!["localhost".to_owned(), RDS_NAME.to_owned()])?.signed_by(&key, &authority)?;
    Ok(Certificates { server: server.pem(), server_key: key.serialize_pem(), directory })
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}
