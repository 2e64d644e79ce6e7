//! What a server keeps for itself among the options of columns, taken out of a dump. Pure.
//!
//! Servers of late 2026 (17.12) give every column of a new table an option `pg_attver` with a number of their own. The `pg_dump` of that release
//! passes over it; one of another release (18.6) writes `ALTER TABLE ONLY t ALTER COLUMN c SET (pg_attver=49172256);`, which a
//! server of 18 refuses together with the table.
//!
//! An archive in the custom format holds statements as they are, with their lengths before them. So blanks take the option's place.

/// The option with its equals sign.
const OPTION: &[u8] = b"pg_attver=";
/// How the statement begins that sets options of a column: at the beginning of a line.
const STATEMENTS: [&[u8]; 2] = [b"\nALTER TABLE ONLY ", b"\nALTER FOREIGN TABLE ONLY "];
/// The longest statement that is looked for: names of 63 characters, of four bytes each, doubled quotes included.
const STATEMENT_BYTES_MAX: usize = 2_000;

/// Blanks the option, and the whole statement where it sets nothing else.
pub(super) fn blank(archive: &mut [u8]) {
    let mut from = 0;
    while let Some(found) = find(&archive[from..], OPTION) {
        let begin = from + found;
        let digits = archive[begin + OPTION.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = begin + OPTION.len() + digits;
        if let Some((begin, end)) = extent(archive, begin, end) {
            archive[begin..end].fill(b' ');
        }
        from = end;
    }
}

/// What is to be blanked for the option that stands at `begin..end`; `None` where it is part of something else.
fn extent(archive: &[u8], begin: usize, end: usize) -> Option<(usize, usize)> {
    let before = &archive[begin.saturating_sub(STATEMENT_BYTES_MAX)..begin];
    let start = STATEMENTS.iter().filter_map(|statement| rfind(before, statement)).max()?;
    // One statement, from its beginning to the option.
    let head = &before[start + 1..];
    if find(head, b" ALTER COLUMN ").is_none() || find(head, b" SET (").is_none() || find(head, b";\n").is_some() {
        return None;
    }
    let rest = &archive[end..];
    match (before.ends_with(b" SET ("), before.ends_with(b", ")) {
        (true, _) if rest.starts_with(b");\n") => Some((begin - head.len(), end + 2)),
        (true, _) if rest.starts_with(b", ") => Some((begin, end + 2)),
        (_, true) => Some((begin - 2, end)),
        _ => None,
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn rfind(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).rposition(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(text: &str) -> String {
        let mut archive = text.as_bytes().to_vec();
        blank(&mut archive);
        assert_eq!(archive.len(), text.len());
        String::from_utf8(archive).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_option_goes_and_others_stay() {
        let alone = "CREATE TABLE t (a int);\nALTER TABLE ONLY public.t ALTER COLUMN a SET (pg_attver=31242272);\nALTER TABLE ONLY public.t ALTER COLUMN b SET (pg_attver=31242272, n_distinct=5);\nALTER FOREIGN TABLE ONLY f ALTER COLUMN \"c;d\" SET (n_distinct=5, pg_attver=7);\n\n";
        assert_eq!(
            blanked(alone),
            "CREATE TABLE t (a int); ALTER TABLE ONLY public.t ALTER COLUMN b SET ( n_distinct=5); ALTER FOREIGN TABLE ONLY f ALTER COLUMN \"c;d\" SET (n_distinct=5 );"
        );
    }

    #[test]
    fn the_word_elsewhere_stays() {
        for text in [
            "COMMENT ON TABLE t IS 'pg_attver=1';",
            "CREATE FUNCTION f() AS $$ SELECT 'x' WHERE o LIKE 'pg_attver=%' $$;",
            "ALTER TABLE ONLY t ALTER COLUMN a SET (n_distinct=5); COMMENT ON COLUMN t.a IS ' SET (pg_attver=1);';",
        ] {
            assert_eq!(blanked(&format!("\n{text}\n")), text);
        }
    }
}
