//! The report: what a run leaves behind for the people who sign it off.
//!
//! [`Report`] is a plain value, computed from the records and the findings, never from progress counters.
//! [`Writer`] puts it at a [`crate::location::Location`] as `report.json`, `report.html`,
//! `manifest.jsonl.zst` and `SHA256SUMS`; [`summary`] is the short form on stdout. The schema is documented in
//! `runbooks/reference/report.md`.

mod headline;
mod html;
pub mod model;
#[cfg(test)]
mod sample;
pub mod summary;
mod writer;

pub use model::{Check, CheckOutcome, Item, ItemState, Lane, Report, Side, Span, Totals, Unbalanced};
pub use writer::{ReportError, Writer, Written};
