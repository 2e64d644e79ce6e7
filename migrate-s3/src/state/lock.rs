//! One run at a time on one journal that is kept in a bucket.
//!
//! The lock is an object beside the journal, written on the condition that there is none, and written anew every few
//! seconds as long as its run lives. Who finds one watches it: if it moves, the run that holds it is alive, and the
//! second one is refused; if it does not, that run was killed, and the lock is taken over on the condition that it is
//! still the same. A store that does not keep such conditions is found out by trying, and then nobody is refused.
//! Called by `state`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use common::tasks::Background;

use crate::errand::Errand;
use crate::error::Error;
use crate::head;
use crate::key::Key;
use crate::store::Store;

/// The lock's key beside the journal's segments.
pub(super) const KEY: &str = "lock";

/// How often a lock is written anew.
const BEAT_INTERVAL: Duration = Duration::from_secs(4);

/// A lock that is not written anew for so long belongs to a run that is dead.
const WATCH_MAX: Duration = Duration::from_secs(14);

/// How often a lock that is watched is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A lock that is held; given back by [`Lock::release`], and by dying.
#[derive(Debug)]
pub(super) struct Lock {
    store: Store,
    /// `None` where the store does not keep conditions.
    beat: Option<Background>,
    /// Set once another run has taken it over: one that found this one dead, because it stood still for too long.
    is_lost: Arc<AtomicBool>,
}

/// How a conditional write ended.
enum Written {
    Ours(String),
    Taken,
}

#[derive(Debug, Clone)]
enum Condition {
    None,
    Same(String),
}

impl Lock {
    /// Takes the lock of the journal in `store`, or fails because another run has it.
    pub(super) async fn take(store: &Store, errand: &Errand) -> Result<Self, Error> {
        let mut condition = Condition::None;
        loop {
            match write(store, &condition, errand).await {
                Ok(Written::Ours(etag)) => return Self::held(store, &condition, etag, errand).await,
                Ok(Written::Taken) => match abandoned(store, errand).await? {
                    Some(etag) => condition = Condition::Same(etag),
                    None => condition = Condition::None,
                },
                Err(error) if error.is_unsupported() => return Ok(Self::unheld(store)),
                Err(error) => return Err(error),
            }
        }
    }

    /// A lock that was written is one only if a second writing would have failed.
    async fn held(store: &Store, condition: &Condition, etag: String, errand: &Errand) -> Result<Self, Error> {
        if matches!(condition, Condition::None) && matches!(write(store, condition, errand).await?, Written::Ours(_)) {
            remove(store, errand).await;
            return Ok(Self::unheld(store));
        }
        let is_lost = Arc::<AtomicBool>::default();
        let beat = Background::spawn(beat(store.clone(), etag, Arc::clone(&is_lost)));
        Ok(Self { store: store.clone(), beat: Some(beat), is_lost })
    }

    fn unheld(store: &Store) -> Self {
        tracing::warn!("{} does not keep conditions: a second run on this state would not be noticed", store.place());
        Self { store: store.clone(), beat: None, is_lost: Arc::default() }
    }

    /// Fails once another run has taken the lock over: two must not go on.
    pub(super) fn check(&self) -> Result<(), Error> {
        if !self.is_lost.load(Ordering::Relaxed) {
            return Ok(());
        }
        let what = "another run took it over, because this one stood still for too long";
        Err(Error::State { location: self.store.place(), what: what.into(), at_start: false })
    }

    /// Gives the lock back.
    pub(super) async fn release(&mut self, errand: &Errand) {
        // What another run has taken over is not ours to remove.
        if self.beat.take().is_some() && self.check().is_ok() {
            remove(&self.store, errand).await;
        }
    }
}

async fn write(store: &Store, condition: &Condition, errand: &Errand) -> Result<Written, Error> {
    let key = Key::from(KEY);
    let full_key = store.full_key(&key)?;
    // Other content each time, so that the ETag moves.
    let content = bytes::Bytes::from(uuid::Uuid::new_v4().to_string());
    let retries_before = errand.retries();
    let outcome = store
        .call("PutObject", Some(&key), errand, || {
            let request = store.client().put_object().bucket(store.bucket()).key(&full_key);
            let request = match condition {
                Condition::None => request.if_none_match("*"),
                Condition::Same(etag) => request.if_match(format!("\"{etag}\"")),
            };
            request.body(ByteStream::from(content.clone())).send()
        })
        .await;
    match outcome {
        Ok(output) => Ok(Written::Ours(output.e_tag.unwrap_or_default().trim_matches('"').to_owned())),
        Err(error) if error.is_precondition() || error.is_not_found() => {
            // An answer that was lost may have been to a writing that succeeded: then what is there is ours.
            if errand.retries() == retries_before {
                return Ok(Written::Taken);
            }
            match head::ask(store, &key, None, errand).await {
                Ok(head) if head.etag == crate::digest::md5_hex(&content) => Ok(Written::Ours(head.etag)),
                _ => Ok(Written::Taken),
            }
        }
        Err(error) => Err(error),
    }
}

/// Watches a lock that another run has written. Its ETag once it has not moved for [`WATCH_MAX`]; `None` when it is gone.
async fn abandoned(store: &Store, errand: &Errand) -> Result<Option<String>, Error> {
    let key = Key::from(KEY);
    let mut seen = None;
    let mut waited = Duration::ZERO;
    loop {
        let etag = match head::ask(store, &key, None, errand).await {
            Ok(head) => head.etag,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        match &seen {
            Some(seen) if *seen != etag => return Err(in_use(&store.place())),
            Some(_) if waited >= WATCH_MAX => return Ok(Some(etag)),
            Some(_) => {}
            None => {
                tracing::info!(
                    "the state is locked; looking for {} s whether the run that did it lives",
                    WATCH_MAX.as_secs()
                );
                seen = Some(etag);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => waited += LOOK_INTERVAL,
            () = errand.stop.cancelled() => return Err(Error::GivenUp),
        }
    }
}

/// What a second run on one state is told.
pub(super) fn in_use(location: &str) -> Error {
    Error::State { location: location.into(), what: "another run is at work with it".into(), at_start: true }
}

/// Writes the lock anew for as long as it is held.
async fn beat(store: Store, mut etag: String, is_lost: Arc<AtomicBool>) {
    let errand = Errand::new(tokio_util::sync::CancellationToken::new());
    loop {
        tokio::time::sleep(BEAT_INTERVAL).await;
        match write(&store, &Condition::Same(etag.clone()), &errand).await {
            Ok(Written::Ours(next)) => etag = next,
            Ok(Written::Taken) => {
                is_lost.store(true, Ordering::Relaxed);
                return;
            }
            Err(error) => tracing::warn!(%error, "the lock of the state cannot be written anew"),
        }
    }
}

async fn remove(store: &Store, errand: &Errand) {
    let key = Key::from(KEY);
    let Ok(full_key) = store.full_key(&key) else { return };
    let removed = store.call("DeleteObject", Some(&key), errand, || {
        store.client().delete_object().bucket(store.bucket()).key(&full_key).send()
    });
    if let Err(error) = removed.await {
        tracing::warn!(%error, "the lock of the state stays behind; the next run waits until it is seen to be dead");
    }
}
