//! The platform's resources as far as they are read here: Cloud Controller API v3, UAA.
//!
//! Pure shapes; fields that are not read are left out. <https://v3-apidocs.cloudfoundry.org>

use serde::Deserialize;
use serde_json::{Map, Value};

/// `GET /` of the API: where everything else is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Root {
    pub(crate) links: RootLinks,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RootLinks {
    pub(crate) login: Option<Link>,
    pub(crate) uaa: Option<Link>,
    pub(crate) cloud_controller_v3: Option<Link>,
    pub(crate) app_ssh: Option<SshLink>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Link {
    pub(crate) href: String,
}

/// The SSH proxy.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SshLink {
    /// `host:port`.
    pub(crate) href: String,
    pub(crate) meta: SshMeta,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SshMeta {
    /// Base64 of the SHA-256 without prefix and padding, or the MD5 in hexadecimal with or without colons.
    pub(crate) host_key_fingerprint: String,
    /// The client that one-time codes are for.
    #[serde(default = "ssh_proxy")]
    pub(crate) oauth_client: String,
}

fn ssh_proxy() -> String {
    "ssh-proxy".into()
}

/// `POST /oauth/token`.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    pub(crate) access_token: String,
    pub(crate) refresh_token: Option<String>,
    /// Seconds.
    #[serde(default)]
    pub(crate) expires_in: u64,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) pagination: Pagination,
    pub(crate) resources: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pagination {
    pub(crate) next: Option<Link>,
}

/// Anything with a name: an organisation, a space, an application, a buildpack.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Named {
    pub(crate) guid: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// An application.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct App {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// `STARTED` or `STOPPED`.
    #[serde(default)]
    pub(crate) state: String,
}

/// A service instance.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServiceInstance {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// `managed` or `user-provided`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) relationships: Relationships,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Relationships {
    pub(crate) service_plan: Option<Relation>,
    pub(crate) service_offering: Option<Relation>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Relation {
    pub(crate) data: Option<Identity>,
}

impl Relation {
    pub(crate) fn guid(&self) -> Option<&str> {
        self.data.as_ref().map(|data| data.guid.as_str())
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Identity {
    pub(crate) guid: String,
}

/// A service plan, with the JSON schema of a binding's parameters where the broker publishes it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServicePlan {
    #[serde(default)]
    pub(crate) schemas: Value,
    #[serde(default)]
    pub(crate) relationships: Relationships,
}

/// A service offering; it says what kind of service its instances are.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ServiceOffering {
    pub(crate) name: String,
}

/// A service key or an application's binding.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Binding {
    pub(crate) guid: String,
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
}

/// `GET /v3/service_credential_bindings/{guid}/details`.
#[derive(Deserialize)]
pub(crate) struct Details {
    pub(crate) credentials: Map<String, Value>,
}

/// An asynchronous job.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    /// `PROCESSING`, `POLLING`, `COMPLETE` or `FAILED`.
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) errors: Vec<JobError>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct JobError {
    pub(crate) detail: String,
}

/// A package: `AWAITING_UPLOAD`, `PROCESSING_UPLOAD`, `READY`, `FAILED`, `EXPIRED`.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) guid: String,
    pub(crate) state: String,
}

/// A build: `STAGING`, `STAGED`, `FAILED`.
#[derive(Debug, Deserialize)]
pub(crate) struct Build {
    pub(crate) guid: String,
    pub(crate) state: String,
    pub(crate) error: Option<String>,
    pub(crate) droplet: Option<Identity>,
}

/// `GET /v3/processes/{guid}/stats`.
#[derive(Debug, Deserialize)]
pub(crate) struct Stats {
    pub(crate) resources: Vec<InstanceStats>,
}

/// One instance: `RUNNING`, `STARTING`, `CRASHED`, `DOWN`.
#[derive(Debug, Deserialize)]
pub(crate) struct InstanceStats {
    pub(crate) index: u32,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) details: Option<String>,
}

/// `GET /v3/apps/{guid}/ssh_enabled`.
#[derive(Debug, Deserialize)]
pub(crate) struct SshEnabled {
    pub(crate) enabled: bool,
    #[serde(default)]
    pub(crate) reason: String,
}

/// `GET /v3/spaces/{guid}/features/ssh`.
#[derive(Debug, Deserialize)]
pub(crate) struct Feature {
    pub(crate) enabled: bool,
}
