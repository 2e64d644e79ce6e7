//! How numbers are written for people: bytes, rates, durations and counts, the same everywhere.
//!
//! Pure text. Called by the progress display, the summary, the report and the programs' own messages.

/// The decimal prefixes of SI: storage and networks are sold and measured in them.
const BYTE_UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];

/// `999 B`, `1.2 kB`, `412.0 MB`: decimal units, one digit after the point.
pub fn bytes(bytes: u64) -> String {
    scaled(bytes as f64)
}

/// Bytes per second: `88.1 MB/s`.
pub fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", scaled(bytes_per_second.max(0.0)))
}

fn scaled(bytes: f64) -> String {
    // From 999.95 of a unit on, one digit would show 1000.0; the next unit reads better.
    const LIMIT: f64 = 999.95;
    let mut value = bytes;
    if value.round() < 1000.0 {
        return format!("{value:.0} B");
    }
    let mut unit = "";
    for next in BYTE_UNITS {
        if !unit.is_empty() && value < LIMIT {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// Time that something took: `8 ms`, `14.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    match seconds {
        0.0 => "0 s".into(),
        ..0.0995 => format!("{:.0} ms", (seconds * 1000.0).max(1.0)),
        ..59.95 => format!("{seconds:.1} s"),
        _ => whole(seconds),
    }
}

/// Time that something may still take, without pretence of precision: `9 s`, `3 min 20 s`, `2 h 5 min`.
pub fn estimate(seconds: f64) -> String {
    if seconds < 59.5 { format!("{:.0} s", seconds.max(0.0).ceil()) } else { whole(seconds) }
}

fn whole(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; a cast to u64 saturates")]
    let seconds = seconds.round() as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{} d {hours} h", count(days)),
    }
}

/// A count with thousands separators: `1,204,331`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: `1 table`, `1,204 tables`. `noun` is the singular of a noun that takes an s.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// The text with control characters and changes of writing direction written as escapes, so that a hostile key can
/// neither break a line, steer a terminal nor show itself as another.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (212_400_000, "212.4 MB"),
            (1_200_000_000, "1.2 GB"),
            (50_000_000_000_000, "50.0 TB"),
            (u64::MAX, "18.4 EB"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value), text);
        }
        assert_eq!(rate(88_123_456.0), "88.1 MB/s");
        assert_eq!(rate(999.7), "1.0 kB/s");
    }

    #[test]
    fn durations_read_well() {
        let cases = [
            (0.0, "0 s"),
            (0.0001, "1 ms"),
            (0.0084, "8 ms"),
            (0.0999, "0.1 s"),
            (14.2, "14.2 s"),
            (59.97, "1 min 0 s"),
            (200.4, "3 min 20 s"),
            (7500.0, "2 h 5 min"),
            (200_000.0, "2 d 7 h"),
        ];
        for (value, text) in cases {
            assert_eq!(duration(value), text);
        }
        assert_eq!((estimate(8.2).as_str(), estimate(200.4).as_str()), ("9 s", "3 min 20 s"));
    }

    #[test]
    fn counts_read_well() {
        assert_eq!([0, 999, 1000, 1_204_331].map(count), ["0", "999", "1,000", "1,204,331"]);
        assert_eq!(counted(1, "table"), "1 table");
        assert_eq!(counted(2_000, "object"), "2,000 objects");
    }

    #[test]
    fn control_characters_stay_visible() {
        assert_eq!(one_line("a\n\u{1b}[2Jb"), "a\\n\\u{1b}[2Jb");
        assert_eq!(one_line("\u{202e}gpj.é"), "\\u{202e}gpj.é");
    }
}
