//! Proof that the harness itself can be believed.

mod engines;
mod fault_proxy;
mod program;
mod s3_faults;
mod s3_multipart;
mod s3_objects;
