//! `--versions`: every version of every key, and every mark of a deletion, in the order in which they came to be.
//!
//! Both sides are listed by version ([`listing`]) and put together key by key ([`plan`]); what the target lacks of a key is
//! written oldest first, one after the other ([`Chain`]), because a store gives versions the order in which they arrive.
//! Called by `planner`, `worker` and `work`.

mod chain;
mod listing;
mod order;
mod page;
mod plan;

pub use chain::Chain;
pub use listing::{History, of_key, start};
pub use page::{Page, first};
pub use plan::{Histories, steps};

use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::listing::Entry;

/// Leaves a mark of deletion on the target, as `source` is one; returns its id there.
pub(crate) async fn mark(route: &Route, source: &Entry, errand: &Errand) -> Result<Option<String>, Error> {
    let target = &route.target;
    let full_key = target.full_key(&source.key)?;
    let output = target
        .call("DeleteObject", Some(&source.key), errand, || {
            target.client().delete_object().bucket(target.bucket()).key(&full_key).send()
        })
        .await?;
    if output.delete_marker == Some(true) {
        return Ok(output.version_id);
    }
    let what = "the target deleted it and kept no mark of that: it keeps no versions, or no mark where the key is deleted already";
    Err(Error::Damaged { place: target.place(), key: source.key.clone(), what: what.into() })
}
