//! When what happened, one lane per worker, in a number of spans that does not grow with the number of objects.
//!
//! Pure. Neighbouring spans of a lane are put together where the pause between them is shortest. Called by `record`.

use std::collections::BTreeMap;

use common::report::{ItemState, Lane, Span};
use common::units;

use crate::record::Record;

/// Spans of a lane. With 32 workers the report holds a few hundred.
const SPANS_MAX: usize = 12;

/// See the module.
#[derive(Debug, Default)]
pub struct Timeline {
    lanes: BTreeMap<usize, Vec<Stretch>>,
}

#[derive(Debug, Clone)]
struct Stretch {
    label: String,
    kind: &'static str,
    objects: u64,
    start_ms: u64,
    end_ms: u64,
}

impl Timeline {
    /// Adds what `worker` did from `start_ms` to `end_ms`.
    pub fn add(&mut self, worker: usize, record: &Record, start_ms: u64, end_ms: u64) {
        let kind = if record.state == ItemState::Copied { "copy" } else { "verify" };
        let stretch = Stretch { label: record.entry.key.to_string(), kind, objects: 1, start_ms, end_ms };
        let lane = self.lanes.entry(worker).or_default();
        lane.push(stretch);
        if lane.len() > SPANS_MAX {
            join_closest(lane);
        }
    }

    /// The lanes as the report has them.
    pub fn lanes(&self) -> Vec<Lane> {
        let span = |stretch: &Stretch| Span {
            label: match stretch.objects {
                1 => stretch.label.clone(),
                objects => units::counted(objects, "object"),
            },
            kind: stretch.kind.into(),
            start_ms: stretch.start_ms,
            end_ms: stretch.end_ms,
        };
        let lane = |(worker, stretches): (&usize, &Vec<Stretch>)| Lane {
            name: format!("worker {}", worker + 1),
            spans: stretches.iter().map(span).collect(),
        };
        self.lanes.iter().map(lane).collect()
    }
}

/// Puts the two neighbours with the shortest pause between them together; among equals the shortest ones, so that a large
/// object keeps its own span.
fn join_closest(lane: &mut Vec<Stretch>) {
    let cost = |pair: &[Stretch]| {
        let pause_ms = pair[1].start_ms.saturating_sub(pair[0].end_ms);
        (pair[0].kind != pair[1].kind, pause_ms / 50, pair[1].end_ms.saturating_sub(pair[0].start_ms))
    };
    let Some(index) = (0..lane.len().saturating_sub(1)).min_by_key(|index| cost(&lane[*index..index + 2])) else {
        return;
    };
    let second = lane.remove(index + 1);
    let first = &mut lane[index];
    first.end_ms = second.end_ms;
    first.objects += second.objects;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::listing::Entry;

    #[test]
    fn a_lane_stays_short_and_loses_no_object() {
        let mut timeline = Timeline::default();
        for index in 0..1_000 {
            let entry = Entry {
                key: Key::from("key"),
                size: 0,
                etag: String::new(),
                last_modified: None,
                storage_class: None,
                version: None,
            };
            let record = Record {
                entry,
                target_etag: String::new(),
                state: ItemState::Copied,
                proved: None,
                findings: Vec::new(),
                remark: None,
                failure: None,
                retries: 0,
            };
            timeline.add(0, &record, index * 10, index * 10 + 9);
        }
        let stretches = &timeline.lanes[&0];
        assert!(stretches.len() <= SPANS_MAX);
        assert_eq!(stretches.iter().map(|stretch| stretch.objects).sum::<u64>(), 1_000);
        assert!(stretches.windows(2).all(|pair| pair[0].end_ms <= pair[1].start_ms));
        assert_eq!(stretches.last().map(|stretch| stretch.end_ms), Some(9_999));
    }
}
