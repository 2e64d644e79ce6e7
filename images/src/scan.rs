//! The registry's scan of an image: waited for, and held against the severity that we do not accept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::ecr::{Registry, Scan};
use tokio_util::sync::CancellationToken;

use crate::args::Severity;
use crate::config::Config;
use crate::error::Error;

/// How often the scan is asked for.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long a scan on push may take until it is known of.
const APPEAR_MAX: Duration = Duration::from_secs(20);

/// Waits for the scan of an image, asking for one where the repository does not scan on push; gives its findings.
///
/// Fails when the scan fails or takes longer than `timeout`.
pub async fn wait(
    config: &Config,
    registry: &Registry,
    (repository, digest): (&str, &str),
    timeout: Duration,
    stop: &CancellationToken,
) -> Result<BTreeMap<String, u64>, Error> {
    let started = Instant::now();
    let mut asked = false;
    tracing::info!("waiting for the scan of {digest}");
    loop {
        let scan = registry.scan(repository, digest).await;
        let state = match scan.map_err(config.request_failed("ask for the scan of the image", repository))? {
            Scan::Done(findings) => return Ok(findings),
            Scan::Failed(reason) => return Err(Error::ScanFailed { digest: digest.to_owned(), reason }),
            Scan::Running(state) => state,
            Scan::Absent => {
                if !asked && started.elapsed() >= APPEAR_MAX.min(timeout) {
                    let begun = registry.start_scan(repository, digest).await;
                    begun.map_err(config.request_failed("start the scan of the image", repository))?;
                    asked = true;
                }
                "not begun".to_owned()
            }
        };
        if started.elapsed() >= timeout {
            return Err(Error::ScanUnfinished { digest: digest.to_owned(), seconds: timeout.as_secs(), state });
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL.min(timeout)) => {}
            () = stop.cancelled() => return Err(Error::Stopped),
        }
    }
}

/// The findings at or above `max`, worst first, for example `1 critical, 3 high`; `None` when there are none.
pub fn unacceptable(findings: &BTreeMap<String, u64>, max: Severity) -> Option<String> {
    let mut bad: Vec<_> = findings.iter().filter(|(word, _)| Severity::of_word(word) >= max).collect();
    bad.sort_by_key(|(word, _)| std::cmp::Reverse(Severity::of_word(word)));
    (!bad.is_empty()).then(|| list(bad))
}

/// All findings in words.
pub fn in_words(findings: &BTreeMap<String, u64>) -> String {
    if findings.is_empty() { "no findings".into() } else { list(findings) }
}

fn list<'f>(findings: impl IntoIterator<Item = (&'f String, &'f u64)>) -> String {
    findings.into_iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_held_against_the_severity() {
        let findings = [("low", 7), ("undefined", 1), ("high", 2), ("critical", 1)];
        let findings = findings.map(|(word, count)| (word.to_owned(), count)).into();
        assert_eq!(unacceptable(&findings, Severity::High).as_deref(), Some("1 critical, 2 high"));
        assert_eq!(unacceptable(&findings, Severity::Medium).as_deref(), Some("1 critical, 2 high, 1 undefined"));
        let low = [("low".to_owned(), 7)].into();
        assert_eq!(unacceptable(&low, Severity::Medium), None);
        assert_eq!(in_words(&low), "7 low");
        assert_eq!(in_words(&BTreeMap::new()), "no findings");
    }
}
