//! How far a server's clock is from ours: requests are signed by the server's, or it refuses them.
//!
//! As the SDK does for its own requests (`ServiceClockSkewInterceptor` of aws-runtime). Called by `bucket`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use aws_smithy_runtime_api::http::Headers;

/// Seconds that the server's clock is ahead.
#[derive(Debug, Default)]
pub(super) struct Skew(AtomicI64);

impl Skew {
    /// The server's time, as far as is known.
    pub(super) fn now(&self) -> SystemTime {
        let ahead = self.0.load(Ordering::Relaxed);
        let by = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now();
        (if ahead < 0 { now.checked_sub(by) } else { now.checked_add(by) }).unwrap_or(now)
    }

    /// Reads the server's time off an answer, unless a cache has kept that.
    pub(super) fn learn(&self, headers: &Headers) {
        let date = headers.get("date").filter(|_| !headers.contains_key("age"));
        let server = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok());
        if let Some(server) = server {
            self.0.store(server.secs() - DateTime::from(SystemTime::now()).secs(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(headers: &[(&'static str, String)]) -> i64 {
        let skew = Skew::default();
        let mut received = Headers::new();
        for (name, value) in headers {
            received.insert(*name, value.clone());
        }
        skew.learn(&received);
        DateTime::from(skew.now()).secs() - DateTime::from(SystemTime::now()).secs()
    }

    #[test]
    fn the_servers_clock_counts() {
        let date = |ahead: i64| {
            let time = DateTime::from_secs(DateTime::from(SystemTime::now()).secs() + ahead);
            time.fmt(DateTimeFormat::HttpDate).unwrap()
        };
        for ahead in [-3600, 0, 1200] {
            assert!((learnt(&[("date", date(ahead))]) - ahead).abs() <= 2);
        }
        assert_eq!(learnt(&[("date", "yesterday".into())]), 0);
        assert_eq!(learnt(&[("date", date(7200)), ("age", "7200".into())]), 0);
    }
}
