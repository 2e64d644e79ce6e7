//! What can go wrong with `publish-images`.

use common::aws::{FailureKind, RequestFailure};
use common::error::{Class, OperatorError};
use common::infrastructure::InfrastructureError;
use common::settings::SettingError;

/// Everything that ends the program early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or variable.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The file that describes the estate.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
    /// The registry did not answer as it should.
    #[error("cannot {action} of `{repository}` in {region}")]
    Request {
        /// What was tried, for example `list the images`.
        action: &'static str,
        /// The repository.
        repository: String,
        /// The region.
        region: String,
        /// The cause.
        source: Box<RequestFailure>,
    },
    /// The result cannot be written to stdout.
    #[error("cannot write the result to stdout")]
    Output(#[source] std::io::Error),
    /// Someone asked us to stop; which signal it was, the caller knows.
    #[error("stopped")]
    Stopped,
}

impl OperatorError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Setting(error) => error.class(),
            Self::Infrastructure(error) => error.class(),
            // Nothing is ever changed, so whoever may not ask is refused before any change.
            Self::Request { source, .. } => match source.kind {
                FailureKind::Credentials | FailureKind::AccessDenied => Class::Refused,
                FailureKind::UnknownHost => Class::Usage,
                _ => source.class(),
            },
            Self::Output(_) | Self::Stopped => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting(error) => error.hint(),
            Self::Infrastructure(error) => error.hint(),
            Self::Request { source, region, .. } => Some(match source.kind {
                FailureKind::Credentials => {
                    "log in to the account of the registries (AWS_PROFILE, AWS_* or the task's role)".into()
                }
                FailureKind::AccessDenied => {
                    "allow ecr:DescribeRepositories and ecr:DescribeImages on the repository, \
                     to your role and, from another account, in the repository's policy"
                        .into()
                }
                FailureKind::UnknownHost => format!("check the region `{region}` and the name resolution"),
                _ => return source.hint(),
            }),
            Self::Output(_) | Self::Stopped => None,
        }
    }
}
