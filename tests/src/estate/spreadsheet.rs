//! CSV files as people upload and download them. Knows no bucket.

use fastrand::Rng;

use super::text;

/// A CSV of about `bytes`, in lines of 60 fields under four header lines; some with a byte order mark and some with
/// Windows line ends, as spreadsheets write them.
pub(super) fn csv(rng: &mut Rng, bytes: usize) -> Vec<u8> {
    let end = if rng.bool() { "\r\n" } else { "\n" };
    let mut file = String::with_capacity(bytes + 1_024);
    if rng.u8(..4) == 0 {
        file.push('\u{feff}');
    }
    for header in ["Section", "Question", "Values", "Field number"] {
        file.push_str(header);
        for field in 1..=60 {
            file.push(',');
            file.push_str(&field.to_string());
        }
        file.push_str(end);
    }
    while file.len() < bytes {
        for _ in 0..60 {
            push_field(&mut file, rng);
            file.push(',');
        }
        file.push_str(end);
    }
    file.into_bytes()
}

fn push_field(file: &mut String, rng: &mut Rng) {
    match rng.u16(..400) {
        0..120 => {}
        120..130 => {
            file.push('"');
            text::push_words(file, rng, 4);
            file.push_str(", \"\"née\"\"\"");
        }
        130..140 => file.push_str(&text::postcode(rng)),
        140 => file.push_str(&text::person(rng)),
        _ => {
            // Most answers are a digit or two; pushing them one by one is what makes megabytes cheap.
            file.push(char::from(b'0' + rng.u8(..10)));
            if rng.bool() {
                file.push(char::from(b'0' + rng.u8(..10)));
            }
        }
    }
}
