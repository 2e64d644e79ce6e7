//! An object's key: a string of bytes, ordered as S3 orders listings.
//!
//! Pure: no I/O, no SDK. Keys come out of url-encoded listings ([`Key::from_listing`]) and are shown to people in
//! a form that cannot disturb a terminal or a log ([`std::fmt::Display`]).

use std::fmt;

use percent_encoding::percent_decode_str;

/// What a bare `+` in a url-encoded listing stands for. AWS writes a space as `+` and a plus as `%2B`; other stores
/// write a space as `%20` and leave the plus alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlusMeans {
    /// A space, as in HTML forms and in AWS S3.
    #[default]
    Space,
    /// Itself, as in the path of a URL.
    Plus,
}

impl PlusMeans {
    /// What must be sent as `start-after` so that its echo tells how the store encodes.
    pub const PROBE: &str = "+ ";

    /// Reads the store's encoding off the echo of [`Self::PROBE`]; `None` when the store did not encode it.
    pub fn of_echo(echo: &str) -> Option<Self> {
        // `%2B+` and `%2B%20` both say that a plus is never written bare; `+%20` says that it is.
        if echo.ends_with("+%20") { Some(Self::Plus) } else { echo.contains("%2B").then_some(Self::Space) }
    }
}

/// A key's bytes, not necessarily UTF-8. Ordered bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The key that a listing with `encoding-type=url` gives as `encoded`.
    pub fn from_listing(encoded: &str, plus: PlusMeans) -> Self {
        let bytes: Vec<u8> = match plus {
            PlusMeans::Space if encoded.contains('+') => percent_decode_str(&encoded.replace('+', "%20")).collect(),
            _ => percent_decode_str(encoded).collect(),
        };
        Self(bytes.into())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the SDK can send it as the key of an object.
    pub fn is_sendable(&self) -> bool {
        self.as_str().is_some_and(|text| !text.trim().is_empty())
    }

    /// The key as text; `None` when it is not UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The key below `prefix`; `None` when it does not begin with it.
    pub fn below(&self, prefix: &str) -> Option<Self> {
        self.0.strip_prefix(prefix.as_bytes()).map(|rest| Self(rest.into()))
    }

    /// The key with `prefix` before it.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Self {
        Self([prefix.as_bytes(), &self.0].concat().into())
    }

    /// Whether a store that keeps objects as files may put it somewhere else: as [`Self::is_odd`], and backslashes.
    pub fn is_odd_as_path(&self) -> bool {
        self.is_odd() || self.0.contains(&b'\\')
    }

    /// Whether tools that map keys to paths would damage it: empty, doubled or leading `/`, `.` and `..` segments,
    /// a trailing `/`, control characters, or bytes that are not UTF-8.
    pub fn is_odd(&self) -> bool {
        let segment_is_odd = |segment: &[u8]| matches!(segment, b"" | b"." | b"..");
        self.0.split(|byte| *byte == b'/').any(segment_is_odd)
            || self.as_str().is_none_or(|text| text.chars().any(char::is_control))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

/// Printable UTF-8 as it is; `%`, control characters and everything else percent-encoded, so that the form is
/// unambiguous and harmless.
impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |formatter: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(formatter, "%{byte:02X}"))
        };
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character == '%' || character.is_control() || is_invisible(character) {
                    escape(formatter, character.encode_utf8(&mut [0; 4]).as_bytes())?;
                } else {
                    write!(formatter, "{character}")?;
                }
            }
            escape(formatter, chunk.invalid())?;
        }
        Ok(())
    }
}

/// Characters that change how the text around them is shown: bidirectional controls, zero-width and line separators.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{self}`")
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_come_back_from_a_listing(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let encoded = percent_encode(&bytes, NON_ALPHANUMERIC).to_string();
            for plus in [PlusMeans::Space, PlusMeans::Plus] {
                let key = Key::from_listing(&encoded, plus);
                prop_assert_eq!(key.as_bytes(), &bytes[..]);
            }
        }

        #[test]
        fn the_shown_form_is_unambiguous(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let shown = Key::from(bytes.clone()).to_string();
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(percent_decode_str(&shown).collect::<Vec<u8>>(), bytes);
        }
    }

    #[test]
    fn a_plus_means_what_the_store_means() {
        assert_eq!(Key::from_listing("a+b%2Bc", PlusMeans::Space), Key::from("a b+c"));
        assert_eq!(Key::from_listing("a+b%20c", PlusMeans::Plus), Key::from("a+b c"));
        assert_eq!(PlusMeans::of_echo("%2B+"), Some(PlusMeans::Space));
        assert_eq!(PlusMeans::of_echo("x/%2B%20"), Some(PlusMeans::Space));
        assert_eq!(PlusMeans::of_echo("+%20"), Some(PlusMeans::Plus));
        assert_eq!(PlusMeans::of_echo("+ "), None);
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        for unsendable in [&b" "[..], b"\t\n", "\u{3000}".as_bytes(), &[0xff]] {
            assert!(!Key::from(unsendable.to_vec()).is_sendable(), "{unsendable:?}");
        }
        assert!(Key::from(" /").is_sendable());
    }

    #[test]
    fn odd_keys_are_told() {
        for odd in ["/a", "a//b", "a/", ".", "a/../b", "a\nb", ""] {
            assert!(Key::from(odd).is_odd(), "{odd:?}");
        }
        assert!(Key::from(vec![0xff]).is_odd());
        assert!(!Key::from("core_2023_2024_apr_mar_f0001_inc0001.zip").is_odd());
        assert!(!Key::from("a/b.c/d e").is_odd());
    }
}
