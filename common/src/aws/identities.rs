//! Who we are to one side, asked for once and again shortly before it ends.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sdk_s3::config::SharedHttpClient;
use aws_smithy_runtime_api::client::identity::Identity;
use tokio::sync::Mutex;

use super::{CREDENTIALS_TIMEOUT, SideOptions};

/// Temporary credentials are had anew so long before they end: a request must not outlive them on its way.
const RENEWED_BEFORE: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Identities {
    provider: SharedCredentialsProvider,
    current: Mutex<Option<Identity>>,
}

impl Identities {
    /// Those of `options`; `http_client` is for asking who gives them. Asks nobody anything yet.
    pub(super) async fn new(options: &SideOptions, http_client: &SharedHttpClient) -> Self {
        Self { provider: super::credentials_provider(options, http_client).await, current: Mutex::default() }
    }

    /// The one that holds now. Whoever comes while it is being asked for waits for the same answer.
    pub(super) async fn current(&self) -> Result<Identity, CredentialsError> {
        let mut current = self.current.lock().await;
        if let Some(identity) = current.as_ref().filter(|identity| is_fresh(identity)) {
            return Ok(identity.clone());
        }
        let asked = tokio::time::timeout(CREDENTIALS_TIMEOUT, self.provider.provide_credentials()).await;
        let asked = asked.map_err(|_| CredentialsError::provider_timed_out(CREDENTIALS_TIMEOUT));
        let identity = Identity::from(asked??);
        *current = Some(identity.clone());
        Ok(identity)
    }
}

fn is_fresh(identity: &Identity) -> bool {
    identity.expiration().is_none_or(|end| end > SystemTime::now() + RENEWED_BEFORE)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::Credentials;
    use aws_credential_types::provider::future;

    use super::*;

    /// Gives credentials that last for so long, and counts.
    #[derive(Debug)]
    struct Lasting(Duration, AtomicU32);

    impl aws_credential_types::provider::ProvideCredentials for Lasting {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let count = self.1.fetch_add(1, Ordering::Relaxed);
            let end = SystemTime::now() + self.0;
            let credentials = Credentials::new(format!("AKID{count}"), "secret", None, Some(end), "a test");
            future::ProvideCredentials::ready(Ok(credentials))
        }
    }

    async fn asked_thrice(lasting: Duration) -> Vec<String> {
        let provider = SharedCredentialsProvider::new(Lasting(lasting, AtomicU32::new(0)));
        let identities = Identities { provider, current: Mutex::default() };
        let mut ids = Vec::new();
        for _ in 0..3 {
            let identity = identities.current().await.unwrap();
            ids.push(identity.data::<Credentials>().unwrap().access_key_id().to_owned());
        }
        ids
    }

    #[tokio::test]
    async fn credentials_are_asked_for_again_only_before_they_end() {
        assert_eq!(asked_thrice(Duration::from_hours(1)).await, ["AKID0", "AKID0", "AKID0"]);
        assert_eq!(asked_thrice(Duration::from_secs(30)).await, ["AKID0", "AKID1", "AKID2"]);
    }
}
