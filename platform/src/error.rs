//! Every way in which the platform can refuse or fail, its class and the next step.

use std::time::Duration;

use common::error::{Class, OperatorError};
use common::report::Check;
use common::settings::SettingError;

/// What the platform said no to, or did not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// No answer came.
    #[error("cannot {action}: {reason}")]
    NoAnswer {
        /// What was being done, as `verb object`.
        action: String,
        /// The cause.
        reason: String,
        /// Whether another attempt may fare better.
        transient: bool,
    },
    /// The platform answered with an error.
    #[error("cannot {action}: {} {detail}", .code.as_deref().unwrap_or("the platform says:"))]
    Answered {
        /// What was being done, as `verb object`.
        action: String,
        /// The status of the answer.
        status: u16,
        /// The platform's name for the error, for example `CF-NotAuthorized`.
        code: Option<String>,
        /// Its words.
        detail: String,
    },
    /// UAA does not know who we say that we are.
    #[error("{who} cannot log in: {detail}")]
    Login {
        /// The user or client.
        who: String,
        /// The variables that hold the log-in.
        variables: &'static str,
        /// UAA's words.
        detail: String,
    },
    /// Nothing of that name.
    #[error("there is no {kind} called `{name}` {place}")]
    NotFound {
        /// `organisation`, `space`, `service instance`, `application`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Where it was looked for.
        place: String,
        /// How to see what is there.
        how: String,
    },
    /// Something that was asked for did not come to be.
    #[error("the platform could not {action}: {detail}")]
    Failed {
        /// What was to be done, as `verb object`.
        action: String,
        /// Its words.
        detail: String,
        /// The next step.
        how: String,
    },
    /// Something takes too long.
    #[error("the platform did not {action} within {} s", limit.as_secs())]
    Overdue {
        /// What was to be done, as `verb object`.
        action: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The answer is not what the platform's documentation says.
    #[error("cannot {action}: the answer is not understood ({reason})")]
    Strange {
        /// What was being done, as `verb object`.
        action: String,
        /// What is wrong with it; never the answer itself.
        reason: String,
    },
    /// Somebody else answers in the name of the SSH proxy.
    #[error("the SSH proxy at {address} shows the host key {seen}, and the platform publishes {published}")]
    HostKey {
        /// Where the proxy is.
        address: String,
        /// The fingerprint of the key that it showed.
        seen: String,
        /// The one that it should have.
        published: String,
    },
    /// The SSH session cannot be had or broke.
    #[error("cannot {action}: {reason}")]
    Ssh {
        /// What was being done, as `verb object`.
        action: String,
        /// The cause.
        reason: String,
        /// Whether another attempt may fare better.
        transient: bool,
    },
    /// The application's container cannot reach the service.
    #[error("the application {app} cannot reach {address}: {reason}")]
    NotReached {
        /// The application.
        app: String,
        /// What was to be reached, `host:port`.
        address: String,
        /// What the proxy said.
        reason: String,
        /// The organisation and the space, for the command.
        organisation: String,
        /// See `organisation`.
        space: String,
    },
    /// Conditions that must be mended first.
    #[error("the platform stands in the way: {}", details(.0))]
    Refused(Vec<Check>),
}

impl OperatorError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Setting(error) => error.class(),
            Self::NoAnswer { transient: true, .. } | Self::Ssh { transient: true, .. } | Self::Overdue { .. } => {
                Class::Transient
            }
            Self::Answered { status: 408 | 429 | 500..=599, .. } => Class::Transient,
            Self::NoAnswer { .. }
            | Self::Ssh { .. }
            | Self::Answered { .. }
            | Self::Login { .. }
            | Self::NotFound { .. }
            | Self::Failed { .. }
            | Self::HostKey { .. }
            | Self::NotReached { .. }
            | Self::Refused(_) => Class::Refused,
            Self::Strange { .. } => Class::Permanent,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Setting(error) => error.hint(),
            Self::NoAnswer { transient: true, .. } | Self::Ssh { transient: true, .. } | Self::Overdue { .. } => {
                Some("run the same command again: what was made on the platform is removed at its start".into())
            }
            Self::NoAnswer { .. } => {
                Some("check CF_API and the route to it; for a foundation with its own authority, CF_CA_CERT".into())
            }
            Self::Answered { status: 401 | 403, .. } => {
                Some("the user needs the role SpaceDeveloper: cf set-space-role USER ORG SPACE SpaceDeveloper".into())
            }
            Self::Answered { detail, .. } if detail.to_lowercase().contains("quota") => Some(
                "free memory in the organisation or the space (cf org NAME, cf space NAME), or go through an application that is there: --via-app NAME"
                    .into(),
            ),
            Self::Answered { status: 408 | 429 | 500..=599, .. } => Some("run the same command again".into()),
            Self::Login { variables, .. } => Some(format!(
                "check {variables}; a user of an organisation's own sign-on needs CF_PASSCODE, from the page LOGIN/passcode"
            )),
            Self::NotFound { how, .. } | Self::Failed { how, .. } => Some(how.clone()),
            Self::HostKey { .. } => Some(
                "nothing was sent to it; ask the platform's operators whether the key has changed, and who answers there".into(),
            ),
            Self::NotReached { organisation, space, app, .. } => Some(format!(
                "bind a security group that allows it to the space and restart the application: cf bind-security-group GROUP {organisation} --space {space}; cf restart {app}"
            )),
            Self::Refused(checks) => {
                let fixes: Vec<&str> = checks.iter().filter_map(|check| check.fix.as_deref()).collect();
                Some(fixes.join("; "))
            }
            Self::Ssh { .. } => Some("check that SSH is allowed: cf ssh-enabled APP, cf space-ssh-allowed SPACE".into()),
            Self::Answered { .. } | Self::Strange { .. } => None,
        }
    }
}

fn details(checks: &[Check]) -> String {
    checks.iter().map(|check| check.detail.as_str()).collect::<Vec<_>>().join("; ")
}
