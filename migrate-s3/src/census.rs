//! What a dry run counts: how much there is, what would be done, what will be difficult, how long it may take.
//!
//! Pure. Fed with the steps of the plan; called by `run`, shown by `outcome`.

use std::fmt;
use std::str::FromStr;

use common::settings::SettingError;
use common::units::{bytes, count, counted, estimate};

use crate::copy::SINGLE_BYTES_MAX;
use crate::listing::Entry;
use crate::multipart::part_bytes;
use crate::plan::Step;
use crate::planner::Work;

/// Upper bounds of the histogram's classes, in bytes; above the last one is a class of its own.
const CLASSES: [(u64, &str); 6] = [
    (0, "empty"),
    (64 << 10, "to 64 KiB"),
    (1 << 20, "to 1 MiB"),
    (SINGLE_BYTES_MAX, "to 16 MiB"),
    (1 << 30, "to 1 GiB"),
    (5 << 30, "to 5 GiB"),
];

/// What a million requests cost, in cents of a US dollar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prices {
    /// Of PUT, POST or LIST.
    write: u32,
    /// Of GET.
    read: u32,
}

impl Default for Prices {
    /// Those of S3 Standard in eu-west-2, as published in 2025; AWS gives them per thousand.
    fn default() -> Self {
        Self { write: 530, read: 42 }
    }
}

impl FromStr for Prices {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "looked at before")]
        let cents = |text: &str| {
            let dollars: f64 = text.trim().parse().ok()?;
            (0.0..1e6).contains(&dollars).then(|| (dollars * 100.0).round() as u32)
        };
        let prices = text.split_once(',').and_then(|(write, read)| Some((cents(write)?, cents(read)?)));
        let (write, read) = prices.ok_or_else(|| SettingError::Invalid {
            name: format!("the prices `{text}`"),
            reason: "they are not two amounts of US dollars".into(),
            how: Some("write 5.30,0.42 for 5.30 USD a million PUT or LIST and 0.42 USD a million GET".into()),
        })?;
        Ok(Self { write, read })
    }
}

impl fmt::Display for Prices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = |cents: u32| format!("{}.{:02}", cents / 100, cents % 100);
        let (write, read) = (dollars(self.write), dollars(self.read));
        write!(formatter, "at {write} USD for a million PUT or LIST and {read} for a million GET")?;
        if *self == Self::default() {
            formatter.write_str(" (S3 Standard in eu-west-2, 2025; --prices gives others)")?;
        }
        Ok(())
    }
}

/// Throughput that the estimate supposes: two 1 Gb/s lines, in and out, half used.
const BYTES_PER_SECOND: f64 = 60_000_000.0;

/// Time for a small object, one GET and one PUT at 30 ms each with the answer's processing.
const SECONDS_PER_OBJECT: f64 = 0.07;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// Objects that the source lists.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that would be copied.
    pub copy: u64,
    /// Their bytes.
    pub copy_bytes: u64,
    /// Parts of those that are copied in parts.
    pub copy_parts: u64,
    /// Objects that are there in the same size and would be compared.
    pub compare: u64,
    /// Objects that the journal proves equal.
    pub known: u64,
    /// Objects that differ in size and would not be replaced.
    pub differ: u64,
    /// Objects that only the target has.
    pub extra: u64,
    /// Keys, where versions are counted; 0 otherwise.
    pub keys: u64,
    /// Marks of deletion on the source.
    pub markers: u64,
    /// Marks of deletion that the target has already.
    pub marked: u64,
    /// Objects that a manifest names and that are not to be migrated.
    pub left: u64,
    /// Versions that cannot be put where they belong.
    pub unaligned: u64,
    /// Keys that tools which map keys to paths would damage.
    pub odd: u64,
    /// Keys that are not UTF-8, or nothing but white space, and cannot be copied.
    pub unsendable: u64,
    /// Objects in storage classes that must be restored before they can be read.
    pub archived: u64,
    /// The largest object, in bytes.
    pub largest_bytes: u64,
    prices: Prices,
    histogram: [u64; CLASSES.len() + 1],
}

impl Census {
    /// Of nothing yet, with these prices.
    pub fn at(prices: Prices) -> Self {
        Self { prices, ..Self::default() }
    }

    /// Counts `step`.
    pub fn count(&mut self, step: &Step) {
        let source = step.entry();
        match step {
            Step::Extra { .. } => {
                self.extra += 1;
                return;
            }
            Step::Copy { .. } | Step::Missing { .. } => {
                self.copy += 1;
                self.copy_bytes += source.size;
                if source.size > SINGLE_BYTES_MAX {
                    self.copy_parts += source.size.div_ceil(part_bytes(source.size));
                }
            }
            Step::Compare { .. } | Step::Verify { .. } => self.compare += 1,
            Step::Known { .. } => self.known += 1,
            Step::Differs { .. } => self.differ += 1,
            Step::Mark { .. } => self.copy += 1,
            Step::Marked { .. } => self.marked += 1,
            Step::Unaligned { .. } => self.unaligned += 1,
            Step::Left { .. } => self.left += 1,
        }
        self.count_source(source);
    }

    /// Counts the key of `work`, where versions are counted.
    pub fn count_key(&mut self, work: &Work) {
        self.keys += u64::from(matches!(work, Work::Versions { .. }));
    }

    fn count_source(&mut self, source: &Entry) {
        self.objects += 1;
        self.markers += u64::from(source.is_marker());
        self.bytes += source.size;
        self.odd += u64::from(source.key.is_odd());
        self.unsendable += u64::from(!source.key.is_sendable());
        self.archived += u64::from(crate::preflight::is_archived(source));
        self.largest_bytes = self.largest_bytes.max(source.size);
        let class = CLASSES.iter().position(|(bound, _)| source.size <= *bound).unwrap_or(CLASSES.len());
        self.histogram[class] += 1;
    }

    /// Seconds that the copy may take with `jobs` workers: bound by the number of objects or by their bytes.
    pub fn seconds(&self, jobs: usize) -> f64 {
        let by_count = self.copy as f64 * SECONDS_PER_OBJECT / jobs.max(1) as f64;
        by_count.max(self.copy_bytes as f64 / BYTES_PER_SECOND)
    }

    /// What the requests cost, in US dollars.
    pub fn dollars(&self) -> f64 {
        let listings = self.objects.div_ceil(1000) + (self.objects + self.extra).div_ceil(1000);
        let writes = self.copy + self.copy_parts + listings;
        let reads = self.copy + self.copy_parts + self.compare;
        let cents = |count: u64, price: u32| count as f64 * f64::from(price) / 1e6;
        (cents(writes, self.prices.write) + cents(reads, self.prices.read)) / 100.0
    }

    /// The text of a dry run, with `jobs` workers for the estimate.
    pub fn describe(&self, jobs: usize) -> String {
        format!(
            "{self}{:<18} about {}, by the number of objects and at {}\n",
            "time",
            estimate(self.seconds(jobs)),
            "60 MB/s"
        )
    }
}

impl fmt::Display for Census {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, value: String| writeln!(formatter, "{label:<18} {value}");
        line("source", format!("{} objects, {}", count(self.objects), bytes(self.bytes)))?;
        if self.keys > 0 {
            let markers = counted(self.markers, "mark");
            let versions = counted(self.objects - self.markers, "version");
            line("of these", format!("{versions} and {markers} of deletion, of {}", counted(self.keys, "key")))?;
            line("in the way", format!("{}, whose place in the order is taken", counted(self.unaligned, "version")))?;
        }
        line("to copy", format!("{} objects, {}", count(self.copy), bytes(self.copy_bytes)))?;
        // An object is a GET and a PUT, and a part likewise; a listing has a thousand keys on a page. Tags and heads besides.
        let listings = self.objects.div_ceil(1000) + (self.objects + self.extra).div_ceil(1000);
        let requests = format!(
            "about {} GET, {} PUT, {} LIST",
            count(self.copy + self.copy_parts + self.compare),
            count(self.copy + self.copy_parts),
            count(listings)
        );
        line("requests", requests)?;
        line(
            "cost",
            format!(
                "about {:.2} USD for these, {}; data leaving the platform's account is charged there",
                self.dollars(),
                self.prices
            ),
        )?;
        let how = if self.compare > 0 { ", each of them read on the source" } else { "" };
        line("to compare", format!("{} objects that are there in the same size{how}", count(self.compare)))?;
        line("known to be equal", format!("{} objects, by the journal", count(self.known)))?;
        line("differ in size", format!("{} objects, which need --overwrite", count(self.differ)))?;
        if self.left > 0 {
            line(
                "left behind",
                format!("{} objects, which the manifest names and which are not there or not meant", count(self.left)),
            )?;
        }
        line("only on the target", format!("{} objects", count(self.extra)))?;
        line("odd keys", format!("{} (`//`, `.`, `..`, a `/` at an end, control characters)", count(self.odd)))?;
        let detail =
            format!("{} keys, not UTF-8 or nothing but white space, which cannot be copied", count(self.unsendable));
        line("unsendable", detail)?;
        line("archived", format!("{} objects, to be restored first", count(self.archived)))?;
        line("largest", bytes(self.largest_bytes))?;
        let names = CLASSES.iter().map(|(_, name)| *name).chain(["above 5 GiB"]);
        let filled = names.zip(self.histogram).filter(|(_, objects)| *objects > 0);
        let sizes: Vec<String> = filled.map(|(name, objects)| format!("{} {name}", count(objects))).collect();
        line("sizes", if sizes.is_empty() { "none".into() } else { sizes.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn prices_are_dollars_for_a_million_of_either_kind() {
        let prices: Prices = "6.1, 0.5".parse().unwrap();
        assert_eq!(prices.to_string(), "at 6.10 USD for a million PUT or LIST and 0.50 for a million GET");
        assert_eq!("5.30,0.42".parse::<Prices>().unwrap(), Prices::default());
        for wrong in ["", "5.30", "5.30,x", "-1,0", "1,2,3"] {
            assert!(wrong.parse::<Prices>().is_err(), "{wrong}");
        }
        let census = Census { copy: 1_000_000, objects: 1_000_000, ..Census::default() };
        assert!((census.dollars() - (5.30 + 0.42 + 2.0 * 0.0053)).abs() < 1e-9, "{}", census.dollars());
    }

    #[test]
    fn steps_are_counted_once() {
        let entry = |key: &str, size, class: Option<&str>| Entry {
            key: Key::from(key),
            size,
            etag: String::new(),
            last_modified: None,
            storage_class: class.map(Into::into),
            version: None,
        };
        let mut census = Census::default();
        census.count(&Step::Copy { source: entry("a//b", 0, None), may_replace: false });
        census.count(&Step::Copy { source: entry("big", 6 << 30, Some("GLACIER")), may_replace: false });
        census.count(&Step::Differs { source: entry("c", 70_000, None), target: entry("c", 1, None) });
        census.count(&Step::Extra { target: entry("d", 5, None) });
        insta::assert_snapshot!(census.describe(32));
    }
}
