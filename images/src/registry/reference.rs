//! What `mirror` copies, as a person writes it: `HOST[:PORT]/REPOSITORY[:TAG | @DIGEST]` or `HOST[:PORT]/NAMESPACE/*`.

/// A parsed reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `https://HOST[:PORT]`, or with `http://`.
    pub base: String,
    /// The repository; of a namespace, what its repositories begin with, without the slash.
    pub name: String,
    /// Which images.
    pub selection: Selection,
}

/// Which images of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All tags of the repository.
    Tags,
    /// One tag or digest.
    One(String),
    /// All tags of all repositories of the namespace.
    Namespace,
}

impl Reference {
    /// Reads a reference; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
            Some((scheme, _)) => return Err(format!("`{scheme}://` is not how a registry is reached")),
            None => ("https", text),
        };
        if rest.contains(['?', '#']) || rest.split('/').next().is_some_and(|host| host.contains('@')) {
            return Err("a user has no place in it: give MIRROR_USERNAME and MIRROR_PASSWORD".into());
        }
        let (host, path) = rest.split_once('/').ok_or("it names no repository: HOST/REPOSITORY")?;
        let (name, selection) = if let Some(namespace) = path.strip_suffix("/*") {
            (namespace, Selection::Namespace)
        } else if let Some((name, digest)) = path.split_once('@') {
            (name, Selection::One(digest.to_owned()))
        } else if let Some((name, tag)) = path.rsplit_once(':') {
            (name, Selection::One(tag.to_owned()))
        } else {
            (path, Selection::Tags)
        };
        if let Selection::One(reference) = &selection
            && !is_tag(reference)
            && !is_digest(reference)
        {
            return Err(format!("`{reference}` is neither a tag nor a digest (sha256: and 64 hexadecimal digits)"));
        }
        if host.is_empty() || !is_repository(name) {
            return Err("a repository's name has small letters, digits and -._ between slashes".into());
        }
        Ok(Self { base: format!("{scheme}://{host}"), name: name.to_owned(), selection })
    }
}

/// Whether this can be the name of a repository.
pub fn is_repository(name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
            && part.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || "-._".contains(each))
    };
    name.len() <= 256 && name.split('/').all(is_part)
}

/// Whether this can be a tag.
pub fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.chars().all(|each| each.is_ascii_alphanumeric() || "-._".contains(each))
}

/// Whether this can be a digest.
pub fn is_digest(digest: &str) -> bool {
    digest
        .strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|each| each.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, base, name, selection) in [
            ("registry.example/api", "https://registry.example", "api", Selection::Tags),
            (
                "http://127.0.0.1:5000/api/server:1.2",
                "http://127.0.0.1:5000",
                "api/server",
                Selection::One("1.2".into()),
            ),
            (&format!("host/model@{digest}"), "https://host", "model", Selection::One(digest.clone())),
            ("host:5000/site/*", "https://host:5000", "site", Selection::Namespace),
        ] {
            let expected = Reference { base: base.into(), name: name.into(), selection };
            assert_eq!(Reference::parse(text).unwrap(), expected, "{text}");
        }
        for text in
            ["host", "ftp://host/a", "user:hunter2@host/a", "host/A", "host/a:", "host/a@sha256:12", "/a", "host/a//b"]
        {
            let error = Reference::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
