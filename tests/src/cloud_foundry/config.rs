//! What a foundation is like before anything is asked of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value};

/// The only organisation.
pub const ORGANISATION: &str = "dluhc-core";
/// The only space.
pub const SPACE: &str = "production";
/// The user who may log in.
pub const USER: &str = "migration@example.org";
/// Recognisable, so that a test can look for it in whatever a program wrote.
pub const PASSWORD: &str = "platform-Pa55word";

/// See the module.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone)]
pub struct Config {
    /// The service instances in the space.
    pub instances: Vec<Instance>,
    /// What an application can reach: `host:port` as it asks for it, and where that really is.
    pub reachable: HashMap<String, SocketAddr>,
    /// How long an access token is good.
    pub token_life: Duration,
    /// How long a package is staged.
    pub staging: Duration,
    /// How long a job takes, and an instance to start.
    pub job: Duration,
    /// Whether the user is a space's developer; otherwise its auditor, who sees everything and changes nothing.
    pub is_developer: bool,
    /// Whether SSH is allowed in the space.
    pub space_ssh: bool,
    /// Megabytes of memory that applications of the space may have.
    pub memory_quota_mb: u64,
    /// The proxy's host key is RSA, as Diego's is; otherwise Ed25519, which is faster to make.
    pub rsa_host_key: bool,
    /// The fingerprint is published as MD5 with colons, as old foundations do.
    pub md5_fingerprint: bool,
    /// Bytes after which the proxy agrees on new keys; `None` is 1 GB.
    pub rekey_bytes: Option<usize>,
    /// Names of the buildpacks that are there.
    pub buildpacks: Vec<&'static str>,
    /// A client of UAA's that may log in, with its secret.
    pub client: Option<(&'static str, &'static str)>,
}

/// A service instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// Who made it.
    pub kind: Kind,
    /// What a binding gives.
    pub credentials: Map<String, Value>,
    /// What a binding gives that was asked for with `read_only`; `None` when the broker does not know the word.
    pub read_only_credentials: Option<Map<String, Value>>,
}

/// Who made a service instance.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A broker.
    Managed {
        /// The offering's name, for example `postgres`.
        offering: &'static str,
        /// The JSON schema of a binding's parameters, where the broker publishes one.
        schema: Option<Value>,
        /// Words of a binding's parameters that the broker takes; another one is refused.
        parameters: Vec<&'static str>,
    },
    /// A person.
    UserProvided,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instances: Vec::new(),
            reachable: HashMap::new(),
            token_life: Duration::from_mins(10),
            staging: Duration::from_millis(400),
            job: Duration::from_millis(150),
            is_developer: true,
            space_ssh: true,
            memory_quota_mb: 2048,
            rsa_host_key: false,
            md5_fingerprint: false,
            rekey_bytes: None,
            buildpacks: vec!["staticfile_buildpack", "binary_buildpack", "ruby_buildpack"],
            client: None,
        }
    }
}

impl Instance {
    /// The instance `name` of the broker for `offering`; `credentials` is a JSON object.
    pub fn managed(name: &str, offering: &'static str, credentials: &Value) -> Self {
        let parameters = match offering {
            "postgres" => vec!["read_only"],
            "aws-s3-bucket" => vec!["allow_external_access", "permissions"],
            _ => Vec::new(),
        };
        Self {
            name: name.into(),
            kind: Kind::Managed { offering, schema: None, parameters },
            credentials: credentials.as_object().cloned().unwrap_or_default(),
            read_only_credentials: None,
        }
    }

    /// An instance that a person made.
    pub fn user_provided(name: &str, credentials: &Value) -> Self {
        let credentials = credentials.as_object().cloned().unwrap_or_default();
        Self { name: name.into(), kind: Kind::UserProvided, credentials, read_only_credentials: None }
    }
}
