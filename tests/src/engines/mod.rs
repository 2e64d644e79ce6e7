//! Real engines in containers: PostgreSQL of any major version and an S3 server, through testcontainers.
//!
//! Each engine is started once for the test process, by the first test that asks, and shared by all; a test keeps to a
//! database or bucket of its own. A missing engine fails the test with a sentence that says what to do, and is never
//! skipped. Which image runs is printed once. The images come from `tests/images/build.sh`.

mod client_tools;
mod container;
mod moto;
mod network;
mod pgbouncer;
mod port;
mod postgres;
mod registry;
mod s3;
mod task;
mod tls;

pub use client_tools::postgres_client_bin_dir;
pub use moto::Moto;
pub use network::PrivateNetwork;
pub use pgbouncer::PgBouncer;
pub use postgres::{Database, PostgresEngine, SMALL_DISK_BYTES, postgres};
pub use registry::{ACCOUNT, Ecr, PASSWORD as REGISTRY_PASSWORD, Registry, Users};
pub use s3::{S3Engine, s3};
pub use task::{Task, TaskEnd, built_images, images_script};
pub(crate) use tls::Certificates;
pub use tls::RDS_NAME;
