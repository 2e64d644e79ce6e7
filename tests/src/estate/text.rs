//! Texts as people and machines leave them in such a database: names, sentences, audit documents, and the awkward ones
//! that break careless copying. Knows no table.

use fastrand::Rng;

const WORDS: [&str; 48] = [
    "tenancy",
    "letting",
    "household",
    "rent",
    "charge",
    "support",
    "scheme",
    "council",
    "north",
    "river",
    "garden",
    "court",
    "house",
    "moved",
    "nearer",
    "family",
    "left",
    "care",
    "property",
    "unsuitable",
    "because",
    "of",
    "the",
    "stairs",
    "domestic",
    "noise",
    "eviction",
    "previous",
    "landlord",
    "sold",
    "home",
    "overcrowded",
    "affordable",
    "tenant",
    "transfer",
    "renewal",
    "medical",
    "welfare",
    "grounds",
    "late",
    "submission",
    "checked",
    "with",
    "officer",
    "by",
    "phone",
    "no",
    "reply",
];
const PLACES: [&str; 16] = [
    "Ashford", "Barnsley", "Caerwys", "Durham", "Ely", "Frome", "Gosport", "Hexham", "Ilkley", "Jarrow", "Kendal",
    "Leek", "Morpeth", "Newquay", "Ormskirk", "Penrith",
];
const FIRST_NAMES: [&str; 16] = [
    "Aisha", "Bram", "Chloë", "Dafydd", "Eilidh", "Fatima", "Grace", "Hüseyin", "Ífe", "Jürgen", "Kwame", "Łucja",
    "Mary-Ann", "Núria", "Oisín", "Zoë",
];
const LAST_NAMES: [&str; 16] = [
    "Adeyemi",
    "Brown",
    "Čapek",
    "D'Arcy",
    "Evans",
    "Føroyar",
    "García",
    "Hughes",
    "Iqbal",
    "Jones",
    "Kaur",
    "Llewellyn",
    "Müller",
    "Ní Bhriain",
    "O'Neill",
    "Patel",
];
/// Texts that must arrive exactly as they are: whatever COPY, shells, CSV or encodings treat as special.
pub(super) const AWKWARD: [&str; 18] = [
    "",
    " ",
    "\\N",
    "\\.",
    "NULL",
    "tab\there",
    "two\nlines",
    "carriage\r\nreturn",
    "back\\slash \\t \\\\",
    "\"quoted\", 'single', `tick`, $$dollar$$",
    "  leading and trailing  ",
    "naïve café – £50 ½ “curly”",
    "日本語 中文 한국어",
    "مرحبا \u{202e}rtl\u{202c} עברית",
    "e\u{301} (combining) vs é",
    "🏠👩‍👩‍👧 family 🇬🇧",
    "\u{1}\u{1f}\u{7f} control \u{85}\u{feff}bom inside",
    "%s %n {0} ${HOME} $(id) ; DROP TABLE users; --",
];

/// One of `choices`.
pub(super) fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

/// A first and a last name.
pub(super) fn person(rng: &mut Rng) -> String {
    format!("{} {}", pick(rng, &FIRST_NAMES), pick(rng, &LAST_NAMES))
}

/// A town.
pub(super) fn place(rng: &mut Rng) -> &'static str {
    pick(rng, &PLACES)
}

/// `count` words with spaces between them, appended to `text`.
pub(super) fn push_words(text: &mut String, rng: &mut Rng, count: usize) {
    for index in 0..count {
        if index > 0 {
            text.push(' ');
        }
        text.push_str(pick(rng, &WORDS));
    }
}

/// A postcode of the right form.
pub(super) fn postcode(rng: &mut Rng) -> String {
    let area = pick(rng, &["AB", "BS", "CF", "EH", "LS", "M", "NE", "SW", "YO"]);
    let (first, second) = (rng.char('A'..='Z'), rng.char('A'..='Z'));
    format!("{area}{} {}{first}{second}", rng.u8(1..30), rng.u8(0..10))
}

/// A record as the audit trail keeps it: YAML, one attribute a line, about `lines` × 25 bytes.
pub(super) fn push_document(text: &mut String, rng: &mut Rng, lines: usize) {
    text.push_str("---\n");
    for _ in 0..lines {
        text.push_str(pick(rng, &WORDS));
        text.push('_');
        text.push_str(pick(rng, &WORDS));
        text.push_str(": ");
        match rng.u8(..8) {
            0 => text.push_str("''"),
            1 => text.push_str(&postcode(rng)),
            2 => push_words(text, rng, 3),
            3 => text.push_str("2024-02-29 23:59:59.999999000 Z"),
            4 => {
                text.push('"');
                text.push_str(&AWKWARD[rng.usize(..AWKWARD.len())].replace('"', "\\\""));
                text.push('"');
            }
            _ => text.push_str(&rng.i64(-9..10_000_000_000).to_string()),
        }
        text.push('\n');
    }
}
