//! Floats in one spelling, for tables that travel as text from a source before PostgreSQL 12.
//!
//! Such a server prints 0.1 as `0.10000000000000001`, a newer one as `0.1`; both mean the same bits. The rows are copied as
//! they are; only what is digested has the bits in the place of the digits. Pure.
//!
//! Source: PostgreSQL 12 release notes, "Use new algorithm for output of real and double precision values"; 17 digits
//! (9 for `real`) and the shortest exact form both read back as the same value.

use std::borrow::Cow;
use std::sync::Arc;

use crate::catalog::types::Floats;
use crate::catalog::{ServerVersion, Table};
use crate::segment::Format;

/// The first major that prints the shortest exact form.
const SHORTEST_SINCE: i32 = 12;

/// Which fields of a table's rows hold floats whose digits say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spelling(Option<Arc<[(usize, Floats)]>>);

impl Spelling {
    /// For rows of `table` from a source of `version`; nothing where both servers print alike.
    pub fn of(table: &Table, format: Format, version: ServerVersion) -> Self {
        if version.major() >= SHORTEST_SINCE || format == Format::Binary {
            return Self::default();
        }
        let fields = table.columns.iter().map(|column| column.column_type.floats).enumerate();
        let fields: Vec<(usize, Floats)> = fields.filter(|(_, floats)| *floats != Floats::None).collect();
        Self((!fields.is_empty()).then(|| fields.into()))
    }

    /// Whether rows are digested as they were sent.
    pub const fn is_as_sent(&self) -> bool {
        self.0.is_none()
    }

    /// A row of COPY's text form as it is digested.
    pub fn of_row<'a>(&self, row: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(fields) = &self.0 else { return Cow::Borrowed(row) };
        let mut spelled = Vec::with_capacity(row.len() + 32);
        let mut wanted = fields.iter().peekable();
        for (number, field) in row.split(|byte| *byte == b'\t').enumerate() {
            if number > 0 {
                spelled.push(b'\t');
            }
            match wanted.next_if(|(wanted, _)| *wanted == number) {
                Some((_, floats)) => spell(field, *floats, &mut spelled),
                None => spelled.extend_from_slice(field),
            }
        }
        Cow::Owned(spelled)
    }
}

/// Copies a field, with every number in it replaced by its bits: a float, an array of them, a point or a polygon.
fn spell(field: &[u8], floats: Floats, spelled: &mut Vec<u8>) {
    let mut rest = field;
    while let Some(first) = rest.first() {
        let length = if is_of_number(*first) {
            rest.iter().position(|byte| !is_of_number(*byte)).unwrap_or(rest.len())
        } else {
            rest.iter().position(|byte| is_of_number(*byte)).unwrap_or(rest.len())
        };
        let (token, behind) = rest.split_at(length);
        match bits(token, floats) {
            Some(bits) => spelled.extend_from_slice(format!("{bits:x}").as_bytes()),
            None => spelled.extend_from_slice(token),
        }
        rest = behind;
    }
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e')
}

/// The bits of a number; `None` for what is none, such as the `e` of `Infinity` spelled otherwise.
fn bits(token: &[u8], floats: Floats) -> Option<u64> {
    let text = std::str::from_utf8(token).ok().filter(|text| text.bytes().any(|byte| byte.is_ascii_digit()))?;
    match floats {
        Floats::Single => text.parse::<f32>().ok().map(|value| u64::from(value.to_bits())),
        Floats::Double => text.parse::<f64>().ok().map(f64::to_bits),
        Floats::None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(row: &str, fields: &[(usize, Floats)]) -> String {
        String::from_utf8(Spelling(Some(fields.into())).of_row(row.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn old_and_new_digits_are_the_same_row() {
        let fields = [(1, Floats::Double), (2, Floats::Single), (3, Floats::Double)];
        let old = "0.1\t0.10000000000000001\t0.100000001\t{1e+15,NULL,NaN,-0,1.0000000000000001e-05}\t7\n";
        let new = "0.1\t0.1\t0.1\t{1000000000000000,NULL,NaN,-0,1e-05}\t7\n";
        assert_eq!(spelled(old, &fields), spelled(new, &fields));
        let shapes = ("((0.10000000000000001,2),(3,4.0000000000000002e+20))\n", "((0.1,2),(3,4e+20))\n");
        assert_eq!(spelled(shapes.0, &[(0, Floats::Double)]), spelled(shapes.1, &[(0, Floats::Double)]));
    }

    #[test]
    fn what_differs_stays_different() {
        let field = [(0, Floats::Double)];
        for (left, right) in
            [("0.1", "0.10000000000000002"), ("0", "-0"), ("{1,2}", "{12}"), ("\\N", "0"), ("NaN", "1")]
        {
            assert_ne!(spelled(left, &field), spelled(right, &field), "{left} and {right}");
        }
        // Only the fields that hold floats: a version number is none.
        assert_eq!(spelled("1.10\t1.1", &[(1, Floats::Double)]).split('\t').next(), Some("1.10"));
    }

    proptest! {
        #[test]
        fn any_double_is_told_by_its_bits_whatever_the_digits(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let field = [(0, Floats::Double)];
            prop_assert_eq!(spelled(&format!("{value:.16e}"), &field), spelled(&format!("{value:e}"), &field));
            prop_assert_eq!(spelled(&format!("{value:.16e}"), &field), format!("{bits:x}"));
        }

        #[test]
        fn any_single_too(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            let field = [(0, Floats::Single)];
            prop_assert_eq!(spelled(&format!("{value:.8e}"), &field), format!("{bits:x}"));
        }
    }
}
