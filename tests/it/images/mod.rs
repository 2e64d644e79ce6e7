//! The images, started as their task definitions start them.

mod cutover;
mod drop_in;
mod infrastructure;
