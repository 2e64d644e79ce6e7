//! Multipart uploads that nobody will complete: our own that failed, and those that an earlier start was killed over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::key::Key;
use crate::store::Store;

/// How long the abort of an upload may take when everything else has ended.
const ABORT_TIMEOUT: Duration = Duration::from_secs(8);

/// Uploads left behind by others than us may be many; these are enough to find ours.
const LEFTOVERS_MAX: usize = 10_000;

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

/// Aborts what an earlier start left behind for `key`, but for the upload `kept`. A failure is no reason not to copy.
pub(super) async fn abort_leftovers(route: &Route, key: &Key, kept: Option<&str>, errand: &Errand) {
    let ids = route.leftovers.lock().unwrap_or_else(PoisonError::into_inner).remove(key).unwrap_or_default();
    for id in ids.iter().filter(|id| Some(id.as_str()) != kept) {
        abort_other(route, key, id, errand).await;
    }
}

/// The unfinished uploads of objects whose keys begin with `prefix`.
pub async fn list_uploads(target: &Store, prefix: &str, errand: &Errand) -> Result<HashMap<Key, Vec<String>>, Error> {
    let mut uploads: HashMap<Key, Vec<String>> = HashMap::new();
    let (mut key_marker, mut id_marker) = (None::<String>, None::<String>);
    let mut count = 0;
    loop {
        let page = target
            .call("ListMultipartUploads", None, errand, || {
                target
                    .client()
                    .list_multipart_uploads()
                    .bucket(target.bucket())
                    .set_prefix((!prefix.is_empty()).then(|| prefix.to_owned()))
                    .set_key_marker(key_marker.clone())
                    .set_upload_id_marker(id_marker.clone())
                    .send()
            })
            .await?;
        for upload in page.uploads.unwrap_or_default() {
            let key = upload.key.and_then(|key| Key::from(key.as_str()).below(target.prefix()));
            if let (Some(key), Some(id)) = (key, upload.upload_id) {
                uploads.entry(key).or_default().push(id);
                count += 1;
            }
        }
        // A marker that does not move would go round for ever.
        let next = (page.next_key_marker, page.next_upload_id_marker);
        if page.is_truncated != Some(true) || count >= LEFTOVERS_MAX || next == (key_marker, id_marker) {
            return Ok(uploads);
        }
        (key_marker, id_marker) = next;
    }
}

/// Aborts every upload of `key` but `own`: an answer to its beginning was lost, and what was begun with it would stay for
/// good. That it cannot be listed is no reason not to copy.
pub(super) async fn abort_doubles(route: &Route, key: &Key, own: &str, errand: &Errand) {
    let Ok(prefix) = route.target.full_key(key) else { return };
    match list_uploads(&route.target, &prefix, errand).await {
        Ok(mut uploads) => {
            for id in uploads.remove(key).unwrap_or_default().iter().filter(|id| *id != own) {
                abort_other(route, key, id, errand).await;
            }
        }
        Err(error) => tracing::warn!(%key, %error, "an upload whose beginning was not answered may be left behind"),
    }
}

/// Aborts an upload that nobody will complete. A failure is no reason not to go on.
pub async fn abort_other(route: &Route, key: &Key, id: &str, errand: &Errand) {
    if let Err(error) = abort(route, key, id, errand).await {
        tracing::warn!(%key, %error, "cannot abort a multipart upload that was left behind");
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
