//! Cloud Foundry from outside: the credentials of a service instance, and a way to what only applications can reach.
//!
//! The flow, from top to bottom: [`args`] and [`settings`] say which foundation, as whom, and which instance;
//! [`Platform::connect`] logs in ([`uaa`]), finds the instance ([`locate`]) and looks whether we may do what must be done
//! ([`rights`]). From there two ways lead on. A bucket needs a service key and nothing else ([`credentials`]). A database
//! can be reached only from inside: [`Platform::open_way`] makes a helper application ([`helper`]) or takes one that is
//! there, and gives a [`tunnel::Tunnel`] through its SSH. What was made carries names of ours ([`names`]) and is removed by
//! [`Platform::clean_up`] ([`cleanup`]), also what an earlier run left.
//!
//! All HTTP goes through [`api`], which is reqwest; all SSH is russh. Knows nothing of PostgreSQL and of S3: the programs
//! give a purpose, and get credentials and streams.

mod api;
pub mod args;
mod cleanup;
mod credentials;
mod error;
mod helper;
mod host_key;
mod http;
mod locate;
pub mod loopback;
mod names;
mod platform;
mod rights;
mod session;
pub mod settings;
mod shapes;
pub mod tunnel;
mod uaa;

pub use cleanup::Leftover;
pub use credentials::{Credentials, KeyWish};
pub use error::Error;
pub use names::Purpose;
pub use platform::{Intent, Platform, Way};
pub use settings::Settings;

/// Shorthand for this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
