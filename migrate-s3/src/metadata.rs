//! What belongs to an object besides its bytes: system headers, user metadata, storage class, redirect, tags.
//!
//! Read off the headers of answers, put into those of requests, compared aspect by aspect. Called by `head`, `copy`, `multipart`,
//! `compare`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::hash::{Hash as _, Hasher};

use aws_smithy_runtime_api::http::Headers;
use common::units;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::errand::Errand;
use crate::error::Error;
use crate::listing::Entry;
use crate::store::Store;

/// The storage class that stores mean when they name none.
const STANDARD: &str = "STANDARD";

/// The header with the storage class.
const STORAGE_CLASS: &str = "x-amz-storage-class";

/// What the headers of the user's own begin with.
const USER: &str = "x-amz-meta-";

/// The system headers that travel: what they are called here, and on the wire.
const SYSTEM: [(&str, &str); 7] = [
    ("cache-control", "cache-control"),
    ("content-disposition", "content-disposition"),
    ("content-encoding", "content-encoding"),
    ("content-language", "content-language"),
    ("content-type", "content-type"),
    ("expires", "expires"),
    ("website-redirect-location", "x-amz-website-redirect-location"),
];

/// Those of them that are lists, and may come in several headers.
const LISTS: [&str; 3] = ["cache-control", "content-encoding", "content-language"];

/// A header of a request: its name in lower case, its value.
pub type Header = (Cow<'static, str>, String);

/// An object's metadata without its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The system headers that travel, by name; absent ones are absent.
    headers: BTreeMap<&'static str, String>,
    /// The user's own, by lower-case name.
    user: BTreeMap<String, String>,
    /// The storage class; `None` for [`STANDARD`].
    storage_class: Option<String>,
    /// How many of the user's own the store could not show in headers.
    pub missing_count: u32,
    /// Headers that cannot be carried: what they say is no text, or comes twice and otherwise where there can be one only.
    pub unreadable: BTreeSet<String>,
}

/// Tags by name.
pub type Tags = BTreeMap<String, String>;

/// The tags of `entry`; does not ask when `tag_count` says that there are none.
pub async fn tags(store: &Store, entry: &Entry, tag_count: Option<u32>, errand: &Errand) -> Result<Tags, Error> {
    let key = &entry.key;
    if tag_count == Some(0) {
        return Ok(Tags::new());
    }
    let full_key = store.full_key(key)?;
    let asked = store
        .call("GetObjectTagging", Some(key), errand, || {
            let request = store.client().get_object_tagging().bucket(store.bucket()).key(&full_key);
            request.set_version_id(entry.version_id().map(ToOwned::to_owned)).send()
        })
        .await;
    let output = match asked {
        // Nobody said that there are any, and the store does not know what tags are.
        Err(error) if tag_count.is_none() && error.is_unsupported() => return Ok(Tags::new()),
        asked => asked?,
    };
    Ok(output.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// What RFC 3986 calls unreserved stays as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Tags as the header `x-amz-tagging` wants them; `None` for no tags.
fn tagging(tags: &Tags) -> Option<String> {
    let encode = |text| utf8_percent_encode(text, QUERY);
    let pairs: Vec<String> = tags.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

impl Metadata {
    /// Reads what `headers` say.
    pub fn of(headers: &Headers) -> Self {
        let mut metadata = Self {
            missing_count: headers.get("x-amz-missing-meta").and_then(|count| count.parse().ok()).unwrap_or(0),
            storage_class: headers.get(STORAGE_CLASS).filter(|class| *class != STANDARD).map(ToOwned::to_owned),
            ..Self::default()
        };
        for (header, value) in headers.iter_bytes() {
            let system = SYSTEM.iter().find(|(_, known)| *known == header).map(|(name, _)| *name);
            let user = header.strip_prefix(USER);
            let is_carried = match (std::str::from_utf8(value), system, user) {
                (_, None, None) => continue,
                (Ok(""), Some(_), _) => true,
                (Ok(value), Some(name), _) => append(metadata.headers.entry(name), value, LISTS.contains(&name)),
                (Ok(value), None, Some(name)) => append(metadata.user.entry(name.to_owned()), value, true),
                // What is no text cannot be signed.
                (Err(_), ..) => false,
            };
            if !is_carried {
                metadata.unreadable.insert(header.to_owned());
            }
        }
        metadata.headers.retain(|name, _| !metadata.unreadable.contains(*name));
        metadata
    }

    /// The headers that carry all this and `tags` to where an object is written.
    pub fn headers(&self, tags: &Tags) -> Vec<Header> {
        let system = self.headers.iter().filter_map(|(name, value)| {
            let (_, header) = SYSTEM.iter().find(|(known, _)| known == name)?;
            Some((Cow::Borrowed(*header), value.clone()))
        });
        let user = self.user.iter().map(|(name, value)| (Cow::Owned(format!("{USER}{name}")), value.clone()));
        let class = self.storage_class.iter().map(|class| (Cow::Borrowed(STORAGE_CLASS), class.clone()));
        let tagging = tagging(tags).into_iter().map(|tags| (Cow::Borrowed("x-amz-tagging"), tags));
        system.chain(user).chain(class).chain(tagging).collect()
    }

    /// Whether there is nothing but a content type.
    pub fn is_plain(&self) -> bool {
        self.headers.keys().all(|name| *name == "content-type") && self.user.is_empty() && self.storage_class.is_none()
    }

    /// Feeds `hasher` with what a store may keep or not: names, the values that few objects have alone, and of the others the
    /// characters that they are made of.
    pub fn hash_likeness(&self, hasher: &mut impl Hasher) {
        (self.headers.len(), self.user.len(), &self.storage_class).hash(hasher);
        for (name, value) in &self.headers {
            match *name {
                "content-disposition" | "expires" | "website-redirect-location" => (name, shape(value)).hash(hasher),
                _ => (name, value).hash(hasher),
            }
        }
        for (name, value) in &self.user {
            (name, shape(value)).hash(hasher);
        }
    }

    /// Whether a header has letters beyond ASCII, which S3 itself does not sign as they are.
    pub fn is_beyond_ascii(&self) -> bool {
        self.headers.values().chain(self.user.values()).any(|value| !value.is_ascii())
    }

    /// In words, what an object carries that not all stores take; `None` when that is nothing.
    pub fn carried(&self, tags: &Tags) -> Option<String> {
        let class = self.storage_class.as_ref().map(|class| format!("the storage class `{class}`"));
        let tagged = (!tags.is_empty()).then(|| units::counted(tags.len() as u64, "tag"));
        let redirect = self.headers.get("website-redirect-location").map(|_| "a website redirect".to_owned());
        let user = (!self.user.is_empty()).then(|| "user metadata".to_owned());
        let words: Vec<String> = [class, tagged, redirect, user].into_iter().flatten().collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// The aspects in which `target` differs, each with a sentence. The values of user metadata are not shown: they may
    /// be anything.
    pub fn differences(&self, target: &Self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let names = self.headers.keys().chain(target.headers.keys());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let listed = |side: &Self| side.headers.get(name).map(|value| without_padding(name, value));
            if listed(self) != listed(target) {
                let show =
                    |side: &Self| side.headers.get(name).map_or_else(|| "none".into(), |value| format!("`{value}`"));
                found.push(((*name).to_owned(), format!("source {}, target {}", show(self), show(target))));
            }
        }
        if let Some(detail) = map_difference(&self.user, &target.user) {
            found.push(("user metadata".into(), detail));
        }
        if self.storage_class != target.storage_class {
            let show = |side: &Self| side.storage_class.clone().unwrap_or_else(|| STANDARD.into());
            found.push(("storage class".into(), format!("source {}, target {}", show(self), show(target))));
        }
        found
    }
}

/// What stores may tell free texts apart by: how long `text` is in powers of two, whether it has spaces side by side, and which characters
/// it is made of, letters and digits aside: a bit for each of ASCII's, and one each for those of Latin-1, of the basic plane and of others.
pub fn shape(text: &str) -> (Option<u32>, bool, u128) {
    let bit = |character: char| match character {
        _ if character.is_ascii_alphanumeric() => 0,
        '\0'..='\x7f' => 1 << u32::from(character),
        '\u{80}'..='\u{ff}' => 1 << u32::from('0'),
        '\u{100}'..='\u{ffff}' => 1 << u32::from('1'),
        _ => 1_u128 << u32::from('2'),
    };
    (text.len().checked_ilog2(), text.contains("  "), text.chars().fold(0, |bits, character| bits | bit(character)))
}

/// Adds what one header says to what those of the same name said, where they are one list ("Field Lines and Combined Field Value",
/// RFC 9110). Returns whether that makes sense.
fn append<K: Ord>(entry: btree_map::Entry<'_, K, String>, value: &str, is_list: bool) -> bool {
    match entry {
        btree_map::Entry::Vacant(vacant) => drop(vacant.insert(value.to_owned())),
        btree_map::Entry::Occupied(said) if !is_list => return said.get() == value,
        btree_map::Entry::Occupied(mut said) => {
            said.get_mut().push(',');
            said.get_mut().push_str(value);
        }
    }
    true
}

/// The value of a header as it is compared: Ceph's gateway (20) writes `gzip, br` for `gzip,br`, which is the same list.
fn without_padding(name: &str, value: &str) -> String {
    match name {
        "cache-control" | "content-encoding" | "content-language" => {
            value.split(',').map(str::trim).collect::<Vec<_>>().join(",")
        }
        _ => value.to_owned(),
    }
}

/// In which names two maps differ, without their values; `None` when they are equal.
pub fn map_difference(source: &BTreeMap<String, String>, target: &BTreeMap<String, String>) -> Option<String> {
    let names: std::collections::BTreeSet<_> = source.keys().chain(target.keys()).collect();
    let words: Vec<String> = names
        .into_iter()
        .filter_map(|name| match (source.get(name), target.get(name)) {
            (Some(source), Some(target)) if source == target => None,
            (Some(_), Some(_)) => Some(format!("`{name}` differs")),
            (Some(_), None) => Some(format!("the target lacks `{name}`")),
            _ => Some(format!("only the target has `{name}`")),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(headers: &[(&'static str, &str)], user: &[(&str, &str)]) -> Metadata {
        Metadata {
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            user: user.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Metadata::default()
        }
    }

    #[test]
    fn differences_name_the_aspect_and_no_user_value() {
        let source = metadata(&[("content-type", "text/csv")], &[("owner", "alice"), ("kind", "log")]);
        let target = metadata(&[("cache-control", "no-store")], &[("owner", "bob")]);
        let found = source.differences(&target);
        assert_eq!(
            found,
            [
                ("cache-control".into(), "source none, target `no-store`".into()),
                ("content-type".into(), "source `text/csv`, target none".into()),
                ("user metadata".into(), "the target lacks `kind`, `owner` differs".into()),
            ]
        );
        assert!(source.differences(&source.clone()).is_empty());
        let (tight, wide) =
            (metadata(&[("content-encoding", "gzip,br")], &[]), metadata(&[("content-encoding", "gzip, br")], &[]));
        assert!(tight.differences(&wide).is_empty());
    }

    fn received(headers: &[(&'static str, &'static [u8])]) -> Metadata {
        let mut answer = http::HeaderMap::new();
        for (name, value) in headers {
            answer.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        Metadata::of(&Headers::try_from(answer).unwrap())
    }

    /// An expiry that is no date is one of the things that S3 takes and keeps.
    #[test]
    fn what_was_received_is_what_is_sent() {
        let metadata = received(&[
            ("content-type", b"text/csv"),
            ("expires", b"0"),
            ("x-amz-website-redirect-location", b"/there"),
            ("x-amz-storage-class", b"STANDARD_IA"),
            ("x-amz-meta-owner", b"alice"),
            ("x-amz-meta-owner", b"bob"),
            ("x-amz-meta-empty", b""),
            ("x-amz-meta-name", "Zoë".as_bytes()),
            ("cache-control", b""),
            ("date", b"Sun, 22 Nov 2026 08:00:00 GMT"),
        ]);
        let sent: BTreeMap<_, _> = metadata.headers(&[("a".into(), "b c".into())].into()).into_iter().collect();
        let expected = [
            ("content-type", "text/csv"),
            ("expires", "0"),
            ("x-amz-meta-empty", ""),
            ("x-amz-meta-name", "Zoë"),
            ("x-amz-meta-owner", "alice,bob"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-tagging", "a=b%20c"),
            ("x-amz-website-redirect-location", "/there"),
        ];
        assert_eq!(sent, expected.map(|(name, value)| (name.into(), value.to_owned())).into());
        assert_eq!(metadata.missing_count, 0);
    }

    #[test]
    fn what_cannot_be_carried_is_named_and_not_lost_in_silence() {
        let metadata = received(&[
            ("x-amz-meta-name", b"Zo\xeb"),
            ("content-disposition", b"\xff"),
            ("content-type", b"text/csv"),
            ("content-type", b"text/plain"),
            ("content-type", b"text/csv"),
            ("expires", b"0"),
            ("expires", b"0"),
            ("cache-control", b"private"),
            ("cache-control", b"no-store"),
            ("x-amz-missing-meta", b"1"),
        ]);
        let unreadable: Vec<&str> = metadata.unreadable.iter().map(String::as_str).collect();
        assert_eq!(unreadable, ["content-disposition", "content-type", "x-amz-meta-name"]);
        let sent: Vec<String> = metadata.headers(&Tags::new()).into_iter().map(|(_, value)| value).collect();
        assert_eq!((sent, metadata.missing_count), (vec!["private,no-store".to_owned(), "0".to_owned()], 1));
    }

    #[test]
    fn tags_are_a_query_string() {
        let tags: Tags = [("a b".into(), "1+1=2".into()), ("ä".into(), String::new())].into();
        assert_eq!(tagging(&tags).as_deref(), Some("a%20b=1%2B1%3D2&%C3%A4="));
        assert_eq!(tagging(&Tags::new()), None);
    }
}
