//! What went wrong between us and a container registry. Knows the status codes of its protocol; holds no token.

use std::error::Error;
use std::fmt;

use common::aws::RequestFailure;
use common::error::{Class, OperatorError};
use serde_json::Value;

/// Characters of a registry's own words that are repeated.
const MESSAGE_MAX: usize = 300;

/// One request that failed.
#[derive(Debug)]
pub enum Failure {
    /// The registry could not be reached, or the connection broke.
    Broken(String),
    /// Nothing came for too long.
    Silent,
    /// It answered with another status than the protocol has for a success.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The protocol's code, for example `NAME_UNKNOWN`; empty where there is none.
        code: String,
        /// The registry's own words.
        message: String,
    },
    /// It answered what the protocol does not know.
    Protocol(String),
    /// No token for it could be had.
    Token(Box<RequestFailure>),
    /// What was to be sent could not be read.
    Content(std::io::Error),
}

impl Failure {
    /// Makes one of an answer; the body is the protocol's list of errors, or anything.
    pub fn of_answer(status: u16, body: &[u8]) -> Self {
        let first = serde_json::from_slice::<Value>(body).ok().and_then(|body| body["errors"].get(0).cloned());
        let (code, message) = match &first {
            Some(error) => (text(&error["code"]), text(&error["message"])),
            None => (String::new(), common::units::one_line(&String::from_utf8_lossy(body))),
        };
        Self::Answer { status, code, message: message.chars().take(MESSAGE_MAX).collect() }
    }

    /// Makes one of whatever broke the connection; the chain of causes becomes one line.
    pub fn broken(error: &dyn Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let line = inner.to_string();
            if !text.contains(&line) {
                text = format!("{text}: {line}");
            }
            cause = inner.source();
        }
        Self::Broken(text)
    }

    /// Whether the registry does not know who we are, or no longer.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Answer { status: 401 | 403, .. })
    }

    /// Whether the registry does not have what was asked for.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Answer { status: 404, .. })
    }

    /// Whether an upload is not, or no longer, known: it has to begin again. A registry that was started anew answers so.
    pub fn is_lost_upload(&self) -> bool {
        match self {
            Self::Answer { status: 404 | 416, .. } => true,
            Self::Answer { code, .. } => {
                ["BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "RANGE_INVALID"].contains(&code.as_str())
            }
            _ => false,
        }
    }

    /// Whether the tag is taken and cannot be moved.
    pub fn is_fixed_tag(&self) -> bool {
        matches!(self, Self::Answer { code, message, .. } if code == "TAG_INVALID" || message.contains("immutable"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(text) => write!(formatter, "the connection failed: {text}"),
            Self::Silent => formatter.write_str("the registry was silent for too long"),
            Self::Answer { status, code, message } => {
                write!(formatter, "the registry answered {status}")?;
                for part in [code, message].into_iter().filter(|part| !part.is_empty()) {
                    write!(formatter, " {part}")?;
                }
                Ok(())
            }
            Self::Protocol(text) => write!(formatter, "the registry does not keep to its protocol: {text}"),
            Self::Token(_) => formatter.write_str("no token for the registry could be had"),
            Self::Content(_) => formatter.write_str("the image cannot be read"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Token(failure) => Some(failure),
            Self::Content(error) => Some(error),
            _ => None,
        }
    }
}

impl OperatorError for Failure {
    fn class(&self) -> Class {
        match self {
            Self::Answer { status: 401 | 403, .. } => Class::Refused,
            Self::Broken(_) | Self::Silent | Self::Answer { status: 408 | 429 | 500..=599, .. } => Class::Transient,
            Self::Answer { .. } | Self::Protocol(_) | Self::Content(_) => Class::Permanent,
            Self::Token(failure) => crate::error::class_of_request(failure),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Broken(_) | Self::Silent => {
                "run the same command again: it goes on from here. If it comes back, check the route to the registry".into()
            }
            Self::Answer { status: 401 | 403, .. } => {
                "the token has expired or belongs to another account: check --registry-id, --region and the role, and run the \
                 same command again; in ECR the role needs ecr:BatchCheckLayerAvailability, ecr:InitiateLayerUpload, \
                 ecr:UploadLayerPart, ecr:CompleteLayerUpload, ecr:PutImage to push, ecr:BatchGetImage and \
                 ecr:GetDownloadUrlForLayer to pull"
                    .into()
            }
            Self::Answer { status: 408 | 429 | 500..=599, .. } => "run the same command again: it goes on from here".into(),
            Self::Answer { status: 404, .. } => "check the name, the account and the region of the repository".into(),
            Self::Token(failure) => return failure.hint(),
            Self::Content(_) => "build the image again: make images".into(),
            Self::Answer { .. } | Self::Protocol(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let body = br#"{"errors":[{"code":"TAG_INVALID","message":"it is immutable"}]}"#;
        let fixed = Failure::of_answer(400, body);
        assert!(fixed.is_fixed_tag() && !fixed.is_denied());
        assert_eq!(fixed.to_string(), "the registry answered 400 TAG_INVALID it is immutable");
        assert_eq!(Failure::of_answer(503, b"<html>\nbusy").class(), Class::Transient);
        assert_eq!(Failure::of_answer(401, b"").class(), Class::Refused);
        assert!(Failure::of_answer(404, b"").is_lost_upload());
    }
}
