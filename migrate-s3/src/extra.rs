//! `--delete-extra`: what only the target has goes, at the end, and only if it is not too much.
//!
//! Nothing is deleted before everything else is done and nothing failed. At most as many keys are held as may be deleted;
//! beyond that none is. Each is looked for on the source once more, because a listing may have left it out; the journal
//! and the report, when they lie in the target, stay. Called by `run`.

use common::finding::{Finding, FindingKind};
use common::location::Location;
use common::report::ItemState;

use crate::config::{Config, Leg};
use crate::copy::Route;
use crate::errand::Errand;
use crate::error::Error;
use crate::head;
use crate::record::{Record, Timed};

/// What may be deleted, until it is known whether it will be.
#[derive(Debug)]
pub struct Extra {
    count_max: usize,
    held: Vec<Timed>,
    is_over: bool,
    /// Full keys that begin so are not the migration's objects.
    kept_prefixes: Vec<String>,
}

impl Extra {
    /// For `leg`; `None` where nothing is to be deleted.
    pub fn new(config: &Config, leg: &Leg) -> Option<Self> {
        let count_max = config.delete_max? as usize;
        let in_target = |location: &Option<Location>| match location {
            Some(Location::S3(url)) if url.bucket == leg.target.url.bucket => Some(url.prefix.clone()),
            _ => None,
        };
        let kept_prefixes = [in_target(&config.state), in_target(&config.report)].into_iter().flatten().collect();
        Some(Self { count_max, held: Vec::new(), is_over: false, kept_prefixes })
    }

    /// Takes what may be deleted and gives back what is to be booked now.
    pub fn hold(&mut self, timed: Timed, prefix: &str) -> Vec<Timed> {
        let full_key = timed.record.entry.key.under(prefix);
        let is_kept = self.kept_prefixes.iter().any(|kept| full_key.as_bytes().starts_with(kept.as_bytes()));
        if timed.record.state != ItemState::TargetOnly || is_kept || self.is_over {
            return vec![timed];
        }
        self.held.push(timed);
        if self.held.len() > self.count_max {
            self.is_over = true;
            return std::mem::take(&mut self.held);
        }
        Vec::new()
    }

    /// Whether there was more than may be deleted.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Deletes what is held, unless `is_clean` is false; gives back all of it for the books.
    pub async fn finish(&mut self, route: &Route, is_clean: bool, errand: &Errand) -> Vec<Timed> {
        let mut held = std::mem::take(&mut self.held);
        if !is_clean {
            if !held.is_empty() {
                tracing::warn!(count = held.len(), "nothing is deleted, because not everything else went well");
            }
            return held;
        }
        for timed in &mut held {
            let outcome = delete(route, &timed.record, errand).await;
            let key = timed.record.entry.key.to_string();
            timed.record.findings = vec![match outcome {
                Ok(true) => Finding::new(FindingKind::Note, key, "deleted", "the source lacks it"),
                Ok(false) => {
                    let detail = "not deleted: the source has it after all; run the same command again";
                    Finding::new(FindingKind::TargetOnly, key, "object", detail)
                }
                Err(error) => {
                    let detail = common::error::sentence(&error);
                    Finding::new(FindingKind::Error, key, "object", format!("cannot be deleted: {detail}"))
                }
            }];
            timed.record.remark = Some(timed.record.findings[0].aspect.clone()).filter(|aspect| aspect == "deleted");
        }
        held
    }
}

/// Deletes the object of `record`; `false` when the source has it.
async fn delete(route: &Route, record: &Record, errand: &Errand) -> Result<bool, Error> {
    let (key, target) = (&record.entry.key, &route.target);
    match head::ask(&route.source, key, None, errand).await {
        Ok(_) => return Ok(false),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    let full_key = target.full_key(key)?;
    target
        .call("DeleteObject", Some(key), errand, || {
            target.client().delete_object().bucket(target.bucket()).key(&full_key).send()
        })
        .await?;
    Ok(true)
}
