//! Rows within a COPY stream: finds them without parsing them, and splits one into its fields.
//!
//! PostgreSQL sends one `CopyData` message per row (protocol documentation, "COPY Operations"). Text rows are the
//! whole message; in binary form the first message begins with a header and the last is a trailer. Pure: no I/O.

use std::io;

use bytes::Bytes;

use crate::segment::Format;

/// The letter of a `CopyData` message.
pub const COPY_DATA: u8 = b'd';
/// A message's letter and length.
pub const HEADER_LEN: usize = 5;
/// Whether a byte is the letter of a message that a server sends (documentation, "Message Formats"). A table, since it is looked at
/// for each row.
const IS_LETTER: [bool; 256] = {
    let letters = b"123ACDEGHIKNRSTVWZcdnstv";
    let mut table = [false; 256];
    let mut index = 0;
    while index < letters.len() {
        table[letters[index] as usize] = true;
        index += 1;
    }
    table
};
/// No server sends a longer one (`PQ_LARGE_MESSAGE_LIMIT` in PostgreSQL's `pqcomm.h`, and the length itself).
const MESSAGE_BYTES_MAX: i32 = 0x4000_0003;

/// The 11 bytes that open a binary COPY stream.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, flags, length of the header's extension.
const FIXED_HEADER_LEN: usize = 19;
/// A field count of -1 ends the stream.
const TRAILER: [u8; 2] = [0xff, 0xff];

/// The stream is not what the documentation promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A binary stream does not begin with its signature.
    #[error("the server's COPY stream does not begin as a binary stream should")]
    Header,
    /// A row ends before its fields do.
    #[error("a row of the server's COPY stream is cut off")]
    Truncated,
}

/// The letter of the message that `bytes` begin with, and its whole length; `None` while that is not there yet.
///
/// Fails where no server sends such a message: the letter is none, or the length, which counts itself. Whoever waited for such
/// a message would wait long.
#[inline]
pub fn message_header(bytes: &[u8]) -> io::Result<Option<(u8, usize)>> {
    let Some(&[letter, first, second, third, fourth]) = bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
    match i32::from_be_bytes([first, second, third, fourth]) {
        length @ 4..=MESSAGE_BYTES_MAX if IS_LETTER[usize::from(letter)] => {
            Ok(Some((letter, 1 + length.unsigned_abs() as usize)))
        }
        length => {
            let garbled = format!("the connection is garbled: a message {letter:#04x} of {length} bytes");
            Err(io::Error::new(io::ErrorKind::InvalidData, garbled))
        }
    }
}

/// The contents of the messages in `piece`, which holds whole ones, one after the other.
pub fn contents(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let (_, length) = message_header(rest).ok().flatten()?;
        let (message, behind) = rest.split_at_checked(length)?;
        rest = behind;
        message.get(HEADER_LEN..)
    })
}

/// What comes of a stream at a time.
#[derive(Debug)]
pub enum Piece {
    /// One or more whole messages, which [`contents`] tells apart.
    Whole(Bytes),
    /// A part of what one message holds that is too large to wait for; nothing else comes between its parts.
    Part {
        /// From 64 kB on, and no more than was read at a time; of the last part as many as are left.
        bytes: Bytes,
        /// Whether the message ends with it.
        is_last: bool,
    },
}

/// Finds the row in each message of one stream.
#[derive(Debug)]
pub struct RowFinder {
    format: Format,
    header_pending: bool,
}

impl RowFinder {
    /// For a stream in `format`, from its first message on.
    pub const fn new(format: Format) -> Self {
        Self { format, header_pending: matches!(format, Format::Binary) }
    }

    /// Where the row begins in the first part of a message: all of it, but for a header.
    #[inline]
    pub fn beginning<'a>(&mut self, part: &'a [u8]) -> Result<&'a [u8], RowError> {
        if std::mem::take(&mut self.header_pending) { after_header(part) } else { Ok(part) }
    }

    /// The row in `message`; `None` for the header alone and for the trailer.
    #[inline]
    pub fn row<'a>(&mut self, message: &'a [u8]) -> Result<Option<&'a [u8]>, RowError> {
        if matches!(self.format, Format::Text) {
            return Ok(Some(message));
        }
        let row = self.beginning(message)?;
        Ok((!row.is_empty() && row != TRAILER).then_some(row))
    }
}

fn after_header(message: &[u8]) -> Result<&[u8], RowError> {
    if !message.starts_with(SIGNATURE) || message.len() < FIXED_HEADER_LEN {
        return Err(RowError::Header);
    }
    let extension = u32::from_be_bytes([message[15], message[16], message[17], message[18]]) as usize;
    message.get(FIXED_HEADER_LEN + extension..).ok_or(RowError::Header)
}

/// The fields of a row in text form, still escaped; `\N` is NULL. An escaped tab is `\t`, so a tab always separates.
pub fn text_fields(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.strip_suffix(b"\n").unwrap_or(row).split(|byte| *byte == b'\t')
}

/// The value that a field in text form stands for; `None` for NULL and for what is not UTF-8. The escapes are those of
/// the documentation of COPY, "Text Format", that the server writes.
pub fn unescape(field: &[u8]) -> Option<String> {
    if field == b"\\N" {
        return None;
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'\\' => match bytes.next()? {
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                other => other,
            },
            byte => byte,
        });
    }
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Vec<u8> {
        [SIGNATURE.as_slice(), &[0; 8]].concat()
    }

    #[test]
    fn the_header_may_share_a_message_with_the_first_row_or_not() {
        let row = [0, 1, 0, 0, 0, 1, 42];
        let mut finder = RowFinder::new(Format::Binary);
        assert_eq!(finder.row(&[header(), row.to_vec()].concat()), Ok(Some(row.as_slice())));
        assert_eq!(finder.row(&row), Ok(Some(row.as_slice())));
        assert_eq!(finder.row(&TRAILER), Ok(None));
        let mut finder = RowFinder::new(Format::Binary);
        assert_eq!(finder.row(&header()), Ok(None));
        assert_eq!(finder.row(&row), Ok(Some(row.as_slice())));
    }

    #[test]
    fn a_piece_is_as_many_messages_as_it_holds() {
        let piece = b"d\0\0\0\x06abd\0\0\0\x04d\0\0\0\x05c";
        assert_eq!(contents(piece).collect::<Vec<_>>(), [b"ab".as_slice(), b"", b"c"]);
        assert_eq!(contents(b"").count(), 0);
        assert_eq!(message_header(b"d\0\0\0").unwrap(), None);
        assert_eq!(message_header(b"d\0\0\x01\0").unwrap(), Some((COPY_DATA, 257)));
        assert!(message_header(b"d\0\0\0\x03").is_err());
        assert!(message_header(b"d\xff\xff\xff\xff").is_err());
        assert!(message_header(b"d\x7f\xff\xff\xff").is_err());
        assert!(message_header(b"x\0\0\0\x05").is_err());
    }

    #[test]
    fn an_empty_table_has_no_row() {
        let mut finder = RowFinder::new(Format::Binary);
        assert_eq!(finder.row(&[header(), TRAILER.to_vec()].concat()), Ok(None));
    }

    #[test]
    fn another_stream_is_refused() {
        assert_eq!(RowFinder::new(Format::Binary).row(b"1\tone\n"), Err(RowError::Header));
        let mut long_extension = header();
        long_extension[15] = 1;
        assert_eq!(RowFinder::new(Format::Binary).row(&long_extension), Err(RowError::Header));
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(unescape(b"a\\tb\\\\N\\n").as_deref(), Some("a\tb\\N\n"));
        assert_eq!(unescape("ünï".as_bytes()).as_deref(), Some("ünï"));
        assert_eq!(unescape(b"").as_deref(), Some(""));
        assert_eq!(unescape(b"\\N"), None);
    }

    #[test]
    fn text_rows_are_split_at_tabs() {
        let fields: Vec<&[u8]> = text_fields(b"1\t\\N\t\ta\\tb\n").collect();
        assert_eq!(fields, [b"1".as_slice(), b"\\N", b"", b"a\\tb"]);
        assert_eq!(text_fields(b"\n").count(), 1);
    }
}
