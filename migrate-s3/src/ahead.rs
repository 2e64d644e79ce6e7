//! Where the next pages of a listing may begin, guessed from the first and the last key of a page.
//!
//! Keys that are written one after the other count: in digits, dates, hexadecimal or letters. The place where the two keys
//! part is read as a number, and the number is counted on. A guess that is wrong costs a request and nothing else: any key
//! is a good place to cut a listing at. Pure. Called by `sweep`.

use crate::key::Key;

/// Characters that are read as a number, from the first one that differs on.
const DIGITS: usize = 8;

/// Characters before those into which the number may carry.
const CARRY: usize = 4;

/// Keys at about every `stride` pages after the page from `first` to `last`, at most `count` of them, ascending.
pub fn ahead(first: &Key, last: &Key, stride: f64, count: usize) -> Vec<Key> {
    let (first, last) = (first.as_bytes(), last.as_bytes());
    let Some(number) = Number::between(first, last) else { return Vec::new() };
    let (Some(from), Some(to)) = (number.read(first), number.read(last)) else { return Vec::new() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; a cast to u128 saturates")]
    let step = ((to.saturating_sub(from) as f64 * stride) as u128).max(1);
    let mut keys: Vec<Key> = Vec::new();
    for ahead in 1..=count as u128 {
        let Some(key) = step.checked_mul(ahead).and_then(|steps| number.write(last, to.checked_add(steps)?)) else {
            break;
        };
        let before = keys.last().map_or(last, Key::as_bytes);
        if key.as_slice() > before {
            keys.push(Key::from(key));
        }
    }
    keys
}

/// Which characters of a key are a number, and of which digits.
struct Number {
    begin: usize,
    end: usize,
    digits: &'static [u8],
}

const CLASSES: [&[u8]; 4] = [
    b"0123456789",
    b"0123456789abcdef",
    b"0123456789abcdefghijklmnopqrstuvwxyz",
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
];

impl Number {
    fn between(first: &[u8], last: &[u8]) -> Option<Self> {
        let common = first.iter().zip(last).take_while(|(one, other)| one == other).count();
        // One word of the key: what stands between words does not count.
        let is_word = |index: &usize| last[*index].is_ascii_alphanumeric();
        let end = (common..last.len()).take_while(is_word).take(DIGITS).last()? + 1;
        let is_made_of = |digits: &&&[u8]| {
            let of = |key: &[u8]| {
                key.iter().take(end).skip(common).all(|byte| !byte.is_ascii_alphanumeric() || digits.contains(byte))
            };
            of(first) && of(last)
        };
        let digits = CLASSES.iter().find(is_made_of)?;
        let carries = |index: &usize| digits.contains(&last[*index]);
        let begin = (0..common).rev().take_while(carries).take(CARRY).last().unwrap_or(common);
        Some(Self { begin, end, digits })
    }

    /// The number in `key`; what is no digit counts for nothing.
    fn read(&self, key: &[u8]) -> Option<u128> {
        let digit = |byte: &u8| self.digits.iter().position(|digit| digit == byte).unwrap_or(0);
        let mut number: u128 = 0;
        for index in self.begin..self.end {
            number = number.checked_mul(self.digits.len() as u128)?;
            number = number.checked_add(key.get(index).map_or(0, digit) as u128)?;
        }
        Some(number)
    }

    /// `key` up to the end of the number, with `number` in its place; `None` when it does not fit.
    fn write(&self, key: &[u8], mut number: u128) -> Option<Vec<u8>> {
        let radix = self.digits.len() as u128;
        let mut written = key.get(..self.end)?.to_vec();
        for index in (self.begin..self.end).rev() {
            let digit = usize::try_from(number % radix).ok()?;
            number /= radix;
            written[index] = self.digits[digit];
        }
        (number == 0).then_some(written)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn guessed(first: &str, last: &str, stride: f64) -> Vec<String> {
        ahead(&Key::from(first), &Key::from(last), stride, 3).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_that_count_are_counted_on() {
        assert_eq!(guessed("log-0000000.csv", "log-0000999.csv", 1.0), ["log-0001998", "log-0002997", "log-0003996"]);
        assert_eq!(guessed("f/00", "f/0f", 1.0), ["f/1e", "f/2d", "f/3c"]);
        assert_eq!(guessed("a", "b", 1.0), ["c", "d", "e"]);
        assert_eq!(guessed("2023/11/19/a", "2023/11/20/b", 1.0), ["2023/11/21", "2023/11/22", "2023/11/23"]);
    }

    #[test]
    fn what_does_not_count_is_not_guessed() {
        assert!(guessed("é", "ü", 1.0).is_empty());
        assert!(guessed("key", "key/", 1.0).is_empty());
        assert!(guessed("8", "9", 1.0).is_empty());
    }

    proptest! {
        #[test]
        fn guesses_ascend_and_can_be_sent(one in "[a-zA-Z0-9/é._-]{0,20}", other in "[a-zA-Z0-9/é._-]{0,20}", stride in 0.05f64..8.0) {
            let (first, last) = (Key::from(one.as_str().min(&other)), Key::from(one.as_str().max(&other)));
            let keys = ahead(&first, &last, stride, 8);
            let all: Vec<&Key> = std::iter::once(&last).chain(&keys).collect();
            prop_assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(keys.iter().all(|key| key.as_str().is_some()));
        }
    }
}
