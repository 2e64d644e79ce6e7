//! What can be wrong with `migration.toml` or with a name that should be in it.

use std::path::PathBuf;

use crate::error::{Class, OperatorError};

/// A file that cannot be used, or a name that it does not have. Never holds a value of the file.
#[derive(Debug, thiserror::Error)]
pub enum InfrastructureError {
    /// The file cannot be read.
    #[error("cannot read the configuration file `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}, line {line}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong; names the key and the known ones.
        reason: String,
    },
    /// There is something in the file that looks like a secret.
    #[error("{}, line {line}: `{key}` looks like a secret, and secrets are never in this file", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key. Never the value.
        key: String,
    },
    /// No such environment.
    #[error("there is no environment `{name}`; {} has {}", path.display(), list(known))]
    UnknownEnvironment {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// No such bucket.
    #[error("the environment `{environment}` has no bucket `{name}`; it has {}", list(known))]
    UnknownBucket {
        /// The environment.
        environment: String,
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

impl OperatorError for InfrastructureError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("name the file that describes the estate with --config".into()),
            Self::Invalid { .. } => None,
            Self::Secret { .. } => Some(
                "remove it (and change the secret if the file was shared); give the name of the variable that holds it in \
                 a key that ends in `_variable`"
                    .into(),
            ),
            Self::UnknownEnvironment { name, known, .. } | Self::UnknownBucket { name, known, .. } => {
                closest(name, known).map(|meant| format!("did you mean `{meant}`?"))
            }
        }
    }
}

/// The known name that `name` was probably meant to be.
fn closest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    /// Below this likeness a suggestion confuses more than it helps; found with the names of real estates.
    const LIKENESS_MIN: f64 = 0.7;
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate.as_str())
}
