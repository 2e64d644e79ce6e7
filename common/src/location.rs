//! Where a report or a journal is kept: a directory or a prefix in a bucket.
//!
//! [`Location`] is a parsed name; [`store::Store`] writes there.

pub mod store;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::settings::SettingError;

/// A directory or an `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine; created when needed.
    Directory(PathBuf),
    /// A prefix in a bucket.
    S3(BucketUrl),
}

/// `s3://bucket[/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    /// The bucket's name.
    pub bucket: String,
    /// What keys begin with: empty for the whole bucket, else as given, with a `/` at its end.
    pub prefix: String,
}

impl FromStr for Location {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("s3://") {
            return Ok(Self::S3(text.parse()?));
        }
        // `s3:/bucket` would be a folder of that name, and the report lost with the container.
        if text.contains("://") || text.starts_with("s3:") {
            return Err(invalid(text, "only a directory or an s3:// URL will do"));
        }
        if text.is_empty() {
            return Err(invalid(text, "it is empty"));
        }
        Ok(Self::Directory(PathBuf::from(text)))
    }
}

impl FromStr for BucketUrl {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return Err(invalid(text, "a bucket is written s3://bucket or s3://bucket/prefix"));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        // The bucket naming rules of the S3 user guide, as far as a typo would break them.
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
            return Err(invalid(
                text,
                "a bucket's name has 3 to 63 characters, of which only lower-case letters, digits, dots and hyphens",
            ));
        }
        let prefix = match prefix {
            "" => String::new(),
            _ if prefix.ends_with('/') => prefix.into(),
            _ => format!("{prefix}/"),
        };
        Ok(Self { bucket: bucket.into(), prefix })
    }
}

fn invalid(text: &str, reason: &str) -> SettingError {
    SettingError::Invalid { name: format!("`{text}`"), reason: reason.into(), how: None }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.prefix)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(formatter, "{}", path.display()),
            Self::S3(url) => url.fmt(formatter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_too_few_does_not_make_a_folder() {
        assert!("s3:/bucket/reports".parse::<Location>().is_err());
        assert!("s3:bucket".parse::<Location>().is_err());
    }

    #[test]
    fn both_kinds_are_read() {
        assert_eq!("out/report".parse::<Location>().unwrap(), Location::Directory("out/report".into()));
        let Location::S3(url) = "s3://core-prod-reports/2026/run".parse::<Location>().unwrap() else {
            panic!("not S3")
        };
        assert_eq!((url.bucket.as_str(), url.prefix.as_str()), ("core-prod-reports", "2026/run/"));
        assert_eq!("s3://bucket".parse::<BucketUrl>().unwrap().to_string(), "s3://bucket/");
    }

    #[test]
    fn typos_are_refused() {
        for text in ["s3:/bucket", "s3://Bucket", "s3://b", "http://bucket", "bucket", "s3://bu_cket/x"] {
            assert!(text.parse::<BucketUrl>().is_err(), "{text}");
        }
        assert!("ftp://x".parse::<Location>().is_err());
    }
}
