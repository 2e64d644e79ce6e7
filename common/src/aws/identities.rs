//! Who we are to one side, asked for once and again shortly before it ends.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::Mutex;

use super::{CREDENTIALS_TIMEOUT, SideOptions};

/// Temporary credentials are had anew so long before they end: a request must not outlive them on its way.
const RENEWED_BEFORE: Duration = Duration::from_mins(1);

/// Credentials that do not say when they end are asked for again after so long, as the SDK does.
const LASTING: Duration = Duration::from_mins(15);

/// Whoever had no better ones is not asked again before.
const ASKED_AGAIN: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Identities {
    provider: SharedCredentialsProvider,
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    identity: Identity,
    renewed_at: SystemTime,
}

impl Current {
    fn is_good(&self) -> bool {
        self.identity.expiration().is_none_or(|end| end > SystemTime::now())
    }
}

impl Identities {
    /// Those of `options`; `http_client` is for asking who gives them. Asks nobody anything yet.
    pub(super) async fn new(options: &SideOptions, http_client: &SharedHttpClient) -> Self {
        Self { provider: super::credentials_provider(options, http_client).await, current: Mutex::default() }
    }

    /// The one that holds now. Whoever comes while it is being asked for waits for the same answer. As long as it holds, it is no
    /// failure that no other can be had.
    pub(super) async fn current(&self) -> Result<Identity, CredentialsError> {
        let mut current = self.current.lock().await;
        let now = SystemTime::now();
        if let Some(current) = current.as_ref().filter(|current| now < current.renewed_at) {
            return Ok(current.identity.clone());
        }
        let identity = match self.ask().await {
            Ok(credentials) => Identity::from(credentials),
            Err(error) => current.take().filter(Current::is_good).ok_or(error)?.identity,
        };
        let renewed_at = identity.expiration().map_or(now + LASTING, |end| end - RENEWED_BEFORE).max(now + ASKED_AGAIN);
        *current = Some(Current { identity: identity.clone(), renewed_at });
        Ok(identity)
    }

    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        let asked = tokio::time::timeout(CREDENTIALS_TIMEOUT, self.provider.provide_credentials()).await;
        asked.unwrap_or_else(|_| {
            let before = self.provider.fallback_on_interrupt();
            before.ok_or_else(|| CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::{ProvideCredentials, future};

    use super::*;

    /// Gives credentials that last for so long, the first time it is asked or always, and counts.
    #[derive(Debug)]
    struct Lasting {
        life: Option<Duration>,
        once: bool,
        asked: AtomicU32,
    }

    impl ProvideCredentials for Lasting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let count = self.asked.fetch_add(1, Ordering::Relaxed);
            if self.once && count > 0 {
                return future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("not now")));
            }
            let end = self.life.map(|life| SystemTime::now() + life);
            let credentials = Credentials::new(format!("AKID{count}"), "secret", None, end, "a test");
            future::ProvideCredentials::ready(Ok(credentials))
        }
    }

    /// What comes of asking twice, the second time when the first answer is to be renewed.
    async fn asked_twice(life: Option<Duration>, once: bool) -> [Option<String>; 2] {
        let provider = SharedCredentialsProvider::new(Lasting { life, once, asked: AtomicU32::new(0) });
        let identities = Identities { provider, current: Mutex::default() };
        let id = |identity: Identity| identity.data::<Credentials>().map(|it| it.access_key_id().to_owned());
        let first = identities.current().await.ok().and_then(id);
        let again = identities.current().await.ok().and_then(id);
        assert_eq!(first, again, "what was just had is had without asking");
        if let Some(current) = identities.current.lock().await.as_mut() {
            current.renewed_at = SystemTime::now();
        }
        [first, identities.current().await.ok().and_then(id)]
    }

    #[tokio::test]
    async fn credentials_are_renewed_and_kept_while_they_are_good() {
        let [first, second] = [Some("AKID0".to_owned()), Some("AKID1".to_owned())];
        for life in [None, Some(Duration::from_hours(1)), Some(Duration::from_secs(30))] {
            assert_eq!(asked_twice(life, false).await, [first.clone(), second.clone()]);
            assert_eq!(asked_twice(life, true).await, [first.clone(), first.clone()]);
        }
        assert_eq!(asked_twice(Some(Duration::ZERO), true).await, [first, None]);
    }
}
