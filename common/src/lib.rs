//! What `migrate-db`, `migrate-s3` and `publish-images` share.
//!
//! The engines know how to move rows and objects; this crate knows what every program of the house
//! needs around that: where settings come from ([`settings`], [`infrastructure`]), how work is run and
//! stopped ([`tasks`], [`signals`], [`retry`], [`limits`]), how it is shown ([`telemetry`], [`progress`]),
//! and how it ends ([`finding`], [`report`], [`exit`]). It knows nothing of PostgreSQL, and of S3 only
//! what is needed to keep a report there ([`location`], [`aws`]).

pub mod aws;
pub mod digest;
#[cfg(feature = "ecr")]
pub mod ecr;
pub mod error;
pub mod exit;
pub mod finding;
pub mod infrastructure;
pub mod limits;
pub mod location;
pub mod progress;
pub mod report;
pub mod retry;
pub mod secret;
pub mod settings;
pub mod signals;
pub mod tasks;
pub mod telemetry;
pub mod units;
pub mod vcap;
