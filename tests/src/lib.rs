//! The harness: engines, fixtures, faults, and the running of the programs.
//!
//! It knows the programs only from outside, as the people who run them do: by their variables, exit codes and output.

pub mod cloud_foundry;
pub mod engines;
pub mod estate;
pub mod eventually;
pub mod fault_proxy;
pub mod local_postgres;
pub mod program;
pub mod rehearsal;
pub mod s3_server;
