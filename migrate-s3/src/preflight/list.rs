//! What preflight asks a list that is migrated by: can it be read, and how old is it?

use common::report::Check;
use common::units;
use jiff::Timestamp;

use super::Findings;
use crate::copy::Route;
use crate::errand::Errand;
use crate::manifest::{self, Place};

/// A list older than this misses a day's work at least: inventories are made daily or weekly.
const SECONDS_MAX: i64 = 24 * 3600;

/// Checks the list at `place`; whether it can be begun with.
pub(super) async fn check(place: &Place, route: &Route, errand: &Errand, findings: &mut Findings) -> bool {
    let name = "manifest";
    match manifest::made_at(place, route, errand).await {
        Ok(made_at) => findings.add(age(name, place, made_at, Timestamp::now())),
        Err(error) => {
            findings.fail(name.into(), &error);
            return false;
        }
    }
    true
}

fn age(name: &str, place: &Place, made_at: Option<Timestamp>, now: Timestamp) -> Check {
    let Some(made_at) = made_at else {
        return Check::pass(name, format!("{place} names objects; each is looked up on the source"));
    };
    let seconds = now.as_second() - made_at.as_second();
    let since = units::estimate(seconds.max(0) as f64);
    let detail = format!("{place} was made {since} ago, at {made_at}; what the source got since is not in it");
    if seconds <= SECONDS_MAX {
        return Check::pass(name, detail);
    }
    let fix = "when writes to the source have stopped, migrate once more without --manifest, or with a newer one";
    Check::warn(name, detail, fix)
}

#[cfg(test)]
mod tests {
    use common::report::CheckOutcome;

    use super::*;

    #[test]
    fn an_old_inventory_is_worth_a_warning() {
        let place: Place = "s3://lists/manifest.json".parse().unwrap();
        let now: Timestamp = "2026-11-21T04:00:00Z".parse().unwrap();
        let of = |made_at: &str| age("manifest", &place, made_at.parse().ok(), now);
        let old = of("2026-11-18T04:00:00Z");
        assert_eq!(old.outcome, CheckOutcome::Warn);
        assert_eq!(
            old.detail,
            "s3://lists/manifest.json was made 3 d 0 h ago, at 2026-11-18T04:00:00Z; what the source got since is not in it"
        );
        assert_eq!(of("2026-11-20T05:00:00Z").outcome, CheckOutcome::Pass);
        assert_eq!(age("manifest", &place, None, now).outcome, CheckOutcome::Pass);
    }
}
