//! What can go wrong with `publish-images`.

use common::aws::{FailureKind, RequestFailure};
use common::error::{Class, OperatorError};
use common::infrastructure::InfrastructureError;
use common::settings::SettingError;

use crate::image::archive::ArchiveError;
use crate::registry::failure::Failure;

/// Everything that ends the program early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or variable.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The file that describes the estate.
    #[error(transparent)]
    Infrastructure(#[from] InfrastructureError),
    /// The file that should be an image.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The registry's control plane did not answer as it should.
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
    /// The registry itself did not do what it should.
    #[error("cannot {action} {subject}")]
    Registry {
        /// What was tried, for example `push the blob`.
        action: &'static str,
        /// Of what.
        subject: String,
        /// The cause.
        source: Box<Failure>,
    },
    /// The Docker engine did not give the image.
    #[error("cannot take `{name}` from the Docker engine: {reason}")]
    Engine {
        /// The image.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no such repository.
    #[error("the repository `{name}` does not exist in {region}")]
    NoRepository {
        /// The repository.
        name: String,
        /// The region.
        region: String,
        /// How it comes into being.
        how: String,
    },
    /// The tag is taken, and tags of this repository stay where they are.
    #[error("the tag `{tag}` of `{repository}` is taken by {digest}, and its tags cannot be moved")]
    FixedTag {
        /// The tag.
        tag: String,
        /// The repository.
        repository: String,
        /// The image that has it.
        digest: String,
    },
    /// The scan could not be done.
    #[error("the scan of {digest} failed: {reason}")]
    ScanFailed {
        /// The image.
        digest: String,
        /// The service's words.
        reason: String,
    },
    /// The scan did not come to an end.
    #[error("the scan of {digest} has not ended after {seconds} s; it is {state}")]
    ScanUnfinished {
        /// The image.
        digest: String,
        /// How long it was waited for.
        seconds: u64,
        /// Where it stands.
        state: String,
    },
    /// The scan found what we do not accept.
    #[error("the scan of {digest} found {findings}, and {max} is not accepted")]
    Severe {
        /// The image.
        digest: String,
        /// What was found.
        findings: String,
        /// The severity from which on it is not accepted.
        max: &'static str,
    },
    /// What is in the registry is not what was built.
    #[error("what `{reference}` would pull is not what was built: {difference}")]
    Different {
        /// The image in the registry.
        reference: String,
        /// What differs.
        difference: String,
    },
    /// The result cannot be written to stdout.
    #[error("cannot write the result to stdout")]
    Output(#[source] std::io::Error),
    /// Someone asked us to stop; which signal it was, the caller knows.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Makes an error of what a registry did not do.
    pub fn registry(action: &'static str, subject: impl Into<String>) -> impl FnOnce(Failure) -> Self {
        let subject = subject.into();
        move |failure| Self::Registry { action, subject, source: Box::new(failure) }
    }
}

/// The class of a request to ECR's control plane: who may not ask is refused before any change.
pub fn class_of_request(failure: &RequestFailure) -> Class {
    match failure.kind {
        FailureKind::Credentials | FailureKind::AccessDenied => Class::Refused,
        FailureKind::UnknownHost => Class::Usage,
        _ => failure.class(),
    }
}

impl OperatorError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Setting(error) => error.class(),
            Self::Infrastructure(error) => error.class(),
            Self::Archive(ArchiveError::Unreadable { .. }) => Class::Usage,
            Self::Request { source, .. } => class_of_request(source),
            Self::Registry { source, .. } => source.class(),
            Self::Engine { .. } | Self::NoRepository { .. } | Self::FixedTag { .. } => Class::Refused,
            Self::ScanUnfinished { .. } => Class::Transient,
            Self::Archive(_)
            | Self::ScanFailed { .. }
            | Self::Severe { .. }
            | Self::Different { .. }
            | Self::Output(_)
            | Self::Stopped => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Setting(error) => return error.hint(),
            Self::Infrastructure(error) => return error.hint(),
            Self::Archive(_) => "build it with `make images`, or name the file that `docker save` wrote".into(),
            Self::Request { source, region, action, .. } => match source.kind {
                FailureKind::Credentials => {
                    "log in to the account of the registries (AWS_PROFILE, AWS_* or the task's role)".into()
                }
                FailureKind::AccessDenied => format!(
                    "allow {} on the repository, to your role and, from another account, in the repository's policy",
                    permission(action)
                ),
                FailureKind::UnknownHost => format!("check the region `{region}` and the name resolution"),
                _ => return source.hint(),
            },
            Self::Registry { source, .. } => return source.hint(),
            Self::Engine { .. } => {
                "start the Docker engine and run `make images`, or name the file that it wrote instead: no Docker is \
                 needed then"
                    .into()
            }
            Self::NoRepository { how, .. } => how.clone(),
            Self::FixedTag { .. } => "give another --tag, for example the next version".into(),
            Self::ScanFailed { .. } => "look at the image in ECR's console; to go on without a scan, --skip-scan".into(),
            Self::ScanUnfinished { .. } => {
                "run the same command again: the image is in the registry and only the scan is waited for".into()
            }
            Self::Severe { .. } => {
                "build the image again on a newer base (`make images`) and push that; the findings are in ECR's console. \
                 Whoever accepts them gives a higher --max-severity"
                    .into()
            }
            Self::Different { .. } => "push the image again, and pin the digest that is printed".into(),
            Self::Output(_) | Self::Stopped => return None,
        })
    }
}

/// The permission that an action of ours needs.
fn permission(action: &str) -> &'static str {
    match action {
        "look up the repository" => "ecr:DescribeRepositories",
        "list the images" => "ecr:DescribeImages",
        "ask for the scan of the image" => "ecr:DescribeImageScanFindings",
        "start the scan of the image" => "ecr:StartImageScan",
        "delete the repository" => "ecr:DeleteRepository",
        _ => "ecr:GetAuthorizationToken",
    }
}
