//! `migrate-db` as its operators run it: a process, configured by variables, between real servers of two majors.

mod clean;
mod compared;
mod copy_only;
mod encodings;
mod estate;
mod interrupted;
mod large_objects;
mod late_writers;
mod limits;
mod network;
mod order;
mod pair;
mod platform;
mod poolers;
mod presets;
mod rarer;
mod refused;
mod repair;
mod rich;
mod rights;
mod row_security;
mod segments;
mod servers;
mod small_numbers;
mod statistics;
mod tls;
