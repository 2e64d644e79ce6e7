//! The images, started as their task definitions start them.

mod certificates;
mod cutover;
mod drop_in;
mod infrastructure;
