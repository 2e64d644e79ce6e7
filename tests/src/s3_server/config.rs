//! What a server is started with: its accounts and its buckets.

/// Everything a server is started with.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Who may sign requests.
    pub accounts: Vec<Account>,
    /// The buckets that exist.
    pub buckets: Vec<Bucket>,
}

/// An access key, its secret, and the buckets it may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The access key's id.
    pub access_key_id: String,
    /// The secret that signs.
    pub secret_access_key: String,
    /// Names of the buckets; every other bucket answers `AccessDenied`.
    pub buckets: Vec<String>,
}

impl Account {
    /// An account that may use `buckets`.
    pub fn new(access_key_id: &str, secret_access_key: &str, buckets: &[&str]) -> Self {
        Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
            buckets: buckets.iter().map(|&name| name.to_owned()).collect(),
        }
    }
}

/// A bucket and the settings that change how it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name; S3's rules hold (3 to 63 of a-z, 0-9, `.`, `-`).
    pub name: String,
    /// The region that requests must be signed for; `None` accepts any.
    pub region: Option<String>,
    /// Encrypt with SSE-KMS by default: ETags are opaque and answers say `aws:kms`.
    pub kms: bool,
    /// Keep every version of every key, as from its first object on.
    pub versioning: bool,
    /// Days after which the bucket's lifecycle rule expires objects. Only reported, never acted on.
    pub expire_after_days: Option<i32>,
    /// Days after which the lifecycle rule aborts multipart uploads. Only reported, never acted on.
    pub abort_uploads_after_days: Option<i32>,
}

impl Bucket {
    /// A bucket in any region, with SSE-S3 and no lifecycle rules.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            region: None,
            kms: false,
            versioning: false,
            expire_after_days: None,
            abort_uploads_after_days: None,
        }
    }

    /// The same bucket with SSE-KMS by default.
    #[must_use]
    pub fn with_kms(self) -> Self {
        Self { kms: true, ..self }
    }

    /// The same bucket with versioning switched on.
    #[must_use]
    pub fn with_versioning(self) -> Self {
        Self { versioning: true, ..self }
    }

    /// The same bucket in `region`.
    #[must_use]
    pub fn in_region(self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self }
    }

    /// The same bucket with a lifecycle rule, as the estate's bulk-upload bucket has one.
    #[must_use]
    pub fn with_lifecycle(self, expire_after_days: i32, abort_uploads_after_days: i32) -> Self {
        Self {
            expire_after_days: Some(expire_after_days),
            abort_uploads_after_days: Some(abort_uploads_after_days),
            ..self
        }
    }
}
