//! Multipart uploads that nobody will complete: our own that failed, and those that an earlier start was killed over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;

/// How long the abort of an upload may take when everything else has ended.
const ABORT_TIMEOUT: Duration = Duration::from_secs(8);

/// Multipart uploads that an earlier start left behind, by key: each is aborted before its object is sent again.
pub type Leftovers = Mutex<HashMap<Key, Vec<String>>>;

/// Leaves nothing behind of the upload `id`. Runs also when the run is stopping, so it has its own errand and a limit.
pub(super) async fn abort_own(route: &Route, key: &Key, id: &str) {
    let errand = Errand::new(tokio_util::sync::CancellationToken::new());
    match tokio::time::timeout(ABORT_TIMEOUT, abort(route, key, id, &errand)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%key, %error, "a multipart upload is left behind"),
        Err(_) => tracing::warn!(%key, "a multipart upload is left behind: no answer in time"),
    }
}

/// Aborts what an earlier start left behind for `key`. A failure is no reason not to copy.
pub(super) async fn abort_leftovers(route: &Route, key: &Key, errand: &Errand) {
    let ids = route.leftovers.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default();
    for id in ids {
        if let Err(error) = abort(route, key, &id, errand).await {
            tracing::warn!(%key, %error, "cannot abort a multipart upload that an earlier start left behind");
        }
    }
}

async fn abort(route: &Route, key: &Key, id: &str, errand: &Errand) -> Result<(), Error> {
    let target = &route.target;
    let full_key = target.full_key(key)?;
    let outcome = target
        .call("AbortMultipartUpload", Some(key), errand, || {
            target.client().abort_multipart_upload().bucket(target.bucket()).key(&full_key).upload_id(id).send()
        })
        .await;
    match outcome {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
