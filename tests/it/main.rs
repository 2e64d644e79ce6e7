//! The integration suite: one binary, so that it is linked once and engines are started once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]
#![expect(clippy::print_stdout, reason = "seeds and measured figures, shown when a test fails")]

mod db;
mod harness;
mod images;
mod licences;
mod publish_images;
mod runbooks;
mod s3;
mod tidy;
