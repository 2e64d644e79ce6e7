//! The images, started as their task definitions start them.

mod drop_in;
mod infrastructure;
