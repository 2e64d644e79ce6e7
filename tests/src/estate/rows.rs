//! A table's rows in COPY's text format, one after the other. Knows no connection.
//!
//! Every table has its own stream of random numbers, begun from the seed and its name: the rows of a table do not depend
//! on what other tables were generated, or in which order.

use std::io::Write as _;

use fastrand::Rng;
use jiff::Timestamp;
use jiff::tz::Offset;

use super::Estate;
use super::recipe::{Filling, Recipe, fillings};
use super::schema::Table;
use super::text;

/// 2021-04-01 00:00:00, the day on which the service's first collection year began, in seconds since 1970.
const FIRST_SECOND: i64 = 1_617_235_200;
/// Four collection years, in seconds.
const LIFE_SECONDS: i64 = 4 * 365 * 86_400;

/// The id of a table's row number `row`, counted from 0. Ids have gaps, as rows were deleted over the years.
pub(super) fn id_of(row: u64) -> u64 {
    row + 1 + row / 19
}

/// A random stream for one purpose: the same seed, name and number give the same stream.
pub(super) fn stream(seed: u64, name: &str, number: u64) -> Rng {
    // FNV-1a: small, and the same on every machine and in every release of Rust.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in name.bytes().chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Rng::with_seed(hash)
}

/// Writes the rows of one table.
pub struct Rows<'estate> {
    estate: &'estate Estate,
    table: &'static str,
    fillings: Vec<Filling>,
    rng: Rng,
    row: u64,
    row_count: u64,
    /// Of the row that is being written: when it was created, in microseconds since 1970.
    created: i64,
    /// Of the row that is being written: how many persons live there.
    household: u8,
    scratch: String,
}

impl<'estate> Rows<'estate> {
    pub(super) fn new(estate: &'estate Estate, table: &Table) -> Self {
        Self {
            estate,
            table: table.name,
            fillings: fillings(table),
            rng: stream(estate.seed, table.name, 0),
            row: 0,
            row_count: estate.row_count(table.name),
            created: 0,
            household: 0,
            scratch: String::new(),
        }
    }

    /// Appends the next row, with its newline, to `out`. False, and nothing appended, after the last one.
    pub fn write_next(&mut self, out: &mut Vec<u8>) -> bool {
        if self.row == self.row_count {
            return false;
        }
        let step = LIFE_SECONDS * 1_000_000 / i64::try_from(self.row_count).unwrap_or(i64::MAX);
        let passed = step * i64::try_from(self.row).unwrap_or(i64::MAX);
        self.created = FIRST_SECOND * 1_000_000 + passed + self.rng.i64(0..step.max(1));
        self.household = 1 + self.rng.u8(..8).min(self.rng.u8(..8));
        for index in 0..self.fillings.len() {
            if index > 0 {
                out.push(b'\t');
            }
            let filling = self.fillings[index];
            if filling.person > self.household || self.rng.u8(..100) < filling.null_percent {
                out.extend_from_slice(b"\\N");
            } else {
                self.write_value(filling.recipe, out);
            }
        }
        out.push(b'\n');
        self.row += 1;
        true
    }

    fn write_value(&mut self, recipe: Recipe, out: &mut Vec<u8>) {
        match recipe {
            Recipe::Serial => number(out, id_of(self.row)),
            Recipe::Reference(table) => {
                let row = self.rng.u64(..self.estate.row_count(table));
                number(out, id_of(row));
            }
            Recipe::Cycle(table) => number(out, id_of(self.row % self.estate.row_count(table))),
            Recipe::Lap { of, cycle } => {
                let start = if of == cycle { self.row + 1 } else { 0 };
                let lap = self.row / self.estate.row_count(cycle);
                number(out, id_of((start + lap) % self.estate.row_count(of)));
            }
            Recipe::Digit { divisor, count, first } => number(out, first + self.row / divisor % count),
            Recipe::Between(least, most) => number(out, self.rng.i64(least..=most)),
            Recipe::Answer => self.write_answer(out),
            Recipe::Money => self.write_money(out),
            Recipe::Unbounded => self.write_unbounded(out),
            Recipe::Range(above) => number(out, self.row % 400 + u64::from(above)),
            Recipe::Boolean => out.push(if self.rng.bool() { b't' } else { b'f' }),
            Recipe::Created => timestamp(out, self.created),
            Recipe::Updated => {
                let later = self.created + self.rng.i64(0..30 * 86_400_000_000);
                timestamp(out, later);
            }
            Recipe::Timestamp => timestamp(out, self.any_moment()),
            Recipe::Date => date(out, self.any_moment()),
            _ => self.write_text(recipe, out),
        }
    }

    fn any_moment(&mut self) -> i64 {
        (FIRST_SECOND + self.rng.i64(0..LIFE_SECONDS)) * 1_000_000 + self.rng.i64(0..1_000_000)
    }

    fn write_answer(&mut self, out: &mut Vec<u8>) {
        match self.rng.u16(..1_000) {
            0 => number(out, i32::MIN),
            1 => number(out, i32::MAX),
            2..=40 => number(out, -9),
            41..=120 => number(out, self.rng.u32(1_900..2_030)),
            _ => number(out, self.rng.u32(0..12)),
        }
    }

    fn write_money(&mut self, out: &mut Vec<u8>) {
        match self.rng.u16(..5_000) {
            0 => out.extend_from_slice(b"NaN"),
            1 => out.extend_from_slice(b"99999999.99"),
            2 => out.extend_from_slice(b"-0.01"),
            _ => append(out, format_args!("{}.{:02}", self.rng.u32(0..1_200), self.rng.u32(0..100))),
        }
    }

    fn write_unbounded(&mut self, out: &mut Vec<u8>) {
        match self.rng.u16(..5_000) {
            0 => out.extend_from_slice(b"NaN"),
            1 => append(out, format_args!("1{}.{}1", "0".repeat(400), "0".repeat(60))),
            2 => out.extend_from_slice(b"0.000"),
            3 => out.extend_from_slice(b"-123456789012345678901234567890.5"),
            _ => append(out, format_args!("{}", self.rng.u32(1_000..900_000))),
        }
    }

    fn write_text(&mut self, recipe: Recipe, out: &mut Vec<u8>) {
        let mut value = std::mem::take(&mut self.scratch);
        value.clear();
        let rng = &mut self.rng;
        match recipe {
            Recipe::Identifier => value = self.estate.upload_identifier(self.row),
            Recipe::Filename => value = self.estate.download_filename(self.row),
            Recipe::AuthorityCode(divisor) => value = format!("E0{:07}", 6_000_001 + self.row / divisor % 309),
            Recipe::OneOf(choices) if self.table == "ar_internal_metadata" => {
                value.push_str(choices[usize::from(self.row != 0)]);
            }
            Recipe::OneOf(choices) => value.push_str(text::pick(rng, choices)),
            Recipe::Numbered(prefix) => value = format!("{prefix}{:07}", self.row),
            Recipe::Email => value = format!("officer.{}@{}.example.org", self.row, text::place(rng).to_lowercase()),
            Recipe::Hash => {
                value.push_str("$2a$12$");
                value.extend((0..53).map(|_| rng.alphanumeric()));
            }
            Recipe::Person => value = text::person(rng),
            Recipe::Place => value.push_str(text::place(rng)),
            Recipe::Postcode => value = text::postcode(rng),
            Recipe::Uprn => value = format!("{:012}", rng.u64(..1_000_000_000_000)),
            Recipe::Phrase if rng.u8(..25) == 0 => value.push_str(text::pick(rng, &text::AWKWARD)),
            Recipe::Phrase => {
                let words = rng.usize(1..4);
                text::push_words(&mut value, rng, words);
            }
            Recipe::Prose => {
                let words = rng.usize(4..40);
                text::push_words(&mut value, rng, words);
                value.push_str(text::pick(rng, &text::AWKWARD));
            }
            Recipe::Document => {
                let lines = if rng.u16(..2_000) == 0 { 4_000 } else { rng.usize(30..110) };
                text::push_document(&mut value, rng, lines);
            }
            Recipe::Changes => {
                let lines = rng.usize(1..12);
                text::push_document(&mut value, rng, lines);
            }
            Recipe::Json => {
                let object = serde_json::json!({
                    "user_id": rng.u32(1..9_999), "note": text::pick(rng, &text::AWKWARD[..16]), "flash": null,
                    "steps": [1, 2.50, true, {"nested": text::place(rng)}],
                });
                // PostgreSQL's jsonb takes every character but NUL, and no awkward text has one.
                value = object.to_string();
            }
            other => unreachable!("{other:?} is written by write_value"),
        }
        escape(out, &value);
        self.scratch = value;
    }
}

/// Appends `value` with what COPY's text format treats as special escaped.
fn escape(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.push(byte),
        }
    }
}

fn append(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect("writing to a vector does not fail");
}

fn number(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    append(out, format_args!("{value}"));
}

fn timestamp(out: &mut Vec<u8>, micros: i64) {
    let moment = Timestamp::from_microsecond(micros).expect("a moment of the service's life");
    append(out, format_args!("{:.6}", Offset::UTC.to_datetime(moment)));
}

fn date(out: &mut Vec<u8>, micros: i64) {
    let moment = Timestamp::from_microsecond(micros).expect("a moment of the service's life");
    append(out, format_args!("{}", Offset::UTC.to_datetime(moment).date()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_six_digits() {
        let mut out = Vec::new();
        timestamp(&mut out, FIRST_SECOND * 1_000_000 + 5);
        assert_eq!(out, b"2021-04-01T00:00:00.000005");
    }

    #[test]
    fn what_copy_treats_as_special_is_escaped() {
        let mut out = Vec::new();
        escape(&mut out, "a\tb\nc\r\\N");
        assert_eq!(out, b"a\\tb\\nc\\r\\\\N");
    }
}
