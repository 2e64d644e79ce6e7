//! How a store lists: which version of listings it knows, in which order, and how it writes a plus.
//!
//! Found out by one request. Called by `preflight`, before anything else is listed.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::EncodingType;

use crate::errand::Errand;
use crate::error::Error;
use crate::key::PlusMeans;
use crate::store::Store;

/// How a store lists, as far as it can be told by asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// How a plus in a key is written; AWS's way when the store does not tell.
    pub plus_means: PlusMeans,
    /// Whether it lists folder by folder instead of in byte order; see `walk`.
    pub by_folder: bool,
    /// Whether it knows `ListObjects` only.
    pub version_1: bool,
}

/// Asks `store` how it lists.
pub async fn dialect(store: &Store, errand: &Errand) -> Result<Dialect, Error> {
    let server = ServerName::default();
    let start_after = format!("{}{}", store.prefix(), PlusMeans::PROBE);
    let output = store
        .call("ListObjectsV2", None, errand, || {
            store
                .client()
                .list_objects_v2()
                .bucket(store.bucket())
                .set_prefix((!store.prefix().is_empty()).then(|| store.prefix().to_owned()))
                .start_after(&start_after)
                .max_keys(1)
                .encoding_type(EncodingType::Url)
                .customize()
                .interceptor(server.clone())
                .send()
        })
        .await;
    let output = match output {
        Err(error) if error.is_unsupported() => {
            return Ok(Dialect { plus_means: PlusMeans::default(), by_folder: false, version_1: true });
        }
        output => output?,
    };
    Ok(Dialect {
        // The second version counts the keys of each page; a store that knows only the first takes no notice of the
        // number and cannot say where the next page begins.
        version_1: output.key_count.is_none()
            && output.is_truncated == Some(true)
            && output.next_continuation_token.is_none(),
        plus_means: output.start_after().and_then(PlusMeans::of_echo).unwrap_or_default(),
        // SeaweedFS is the one that is known to keep folders and to say who it is.
        by_folder: server.name.lock().unwrap_or_else(PoisonError::into_inner).starts_with("SeaweedFS"),
    })
}

/// Reads the header `Server` off the answer: the one thing that the SDK's output does not hold.
#[derive(Debug, Clone, Default)]
struct ServerName {
    name: Arc<Mutex<String>>,
}

impl Intercept for ServerName {
    fn name(&self) -> &'static str {
        "ServerName"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(name) = context.response().headers().get("server") {
            name.clone_into(&mut self.name.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(())
    }
}
