//! The dump's table of contents, edited. Pure text.

use std::collections::HashSet;

/// Object identifier of `pg_class`: indexes carry it in the table of contents. Fixed since PostgreSQL began.
pub(super) const RELATION_CLASS: u32 = 1259;
/// Object identifier of `pg_constraint`.
pub(super) const CONSTRAINT_CLASS: u32 = 2606;

/// The table of contents without the entries in `excluded` or whose description begins as one of `descriptions`.
///
/// A line reads `3456; 2606 16400 CONSTRAINT public users users_pkey owner`: number in the dump, catalog, object.
pub(super) fn use_list(contents: &str, excluded: &HashSet<(u32, u32)>, descriptions: &[String]) -> String {
    let keep = |line: &&str| match entry(line) {
        Some((class, oid, description)) => {
            !excluded.contains(&(class, oid)) && !descriptions.iter().any(|excluded| description.starts_with(excluded))
        }
        None => true,
    };
    contents.lines().filter(keep).flat_map(|line| [line, "\n"]).collect()
}

/// Catalog, object and description of a line; `None` for remarks.
fn entry(line: &str) -> Option<(u32, u32, &str)> {
    let (number, rest) = line.split_once("; ")?;
    number.parse::<u64>().ok()?;
    let (class, rest) = rest.split_once(' ')?;
    let (oid, description) = rest.split_once(' ')?;
    Some((class.parse().ok()?, oid.parse().ok()?, description))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_entries_and_what_is_described_are_taken_off() {
        let contents = "; Archive created at 2026\n;     Format: CUSTOM\n\
            205; 1259 16385 TABLE public users postgres\n\
            3001; 0 0 COMMENT - EXTENSION citext \n\
            3002; 0 0 COMMENT public TABLE users postgres\n\
            3003; 0 0 COMMENT public FUNCTION planted() rdsbroker\n\
            3210; 1259 16399 INDEX public index_users postgres\n\
            3211; 2606 16400 CONSTRAINT public users users_pkey postgres\n\
            3212; 2606 16401 FK CONSTRAINT public users users_fk postgres\n";
        let excluded = HashSet::from([(RELATION_CLASS, 16399), (CONSTRAINT_CLASS, 16400)]);
        let kept = use_list(contents, &excluded, &["COMMENT public FUNCTION planted() ".into()]);
        let expected = "; Archive created at 2026\n;     Format: CUSTOM\n\
            205; 1259 16385 TABLE public users postgres\n\
            3001; 0 0 COMMENT - EXTENSION citext \n\
            3002; 0 0 COMMENT public TABLE users postgres\n\
            3212; 2606 16401 FK CONSTRAINT public users users_fk postgres\n";
        assert_eq!(kept, expected);
    }
}
