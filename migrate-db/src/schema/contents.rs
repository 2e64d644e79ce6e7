//! The dump's table of contents, edited. Pure text.

use std::collections::HashSet;

/// Object identifier of `pg_class`: indexes carry it in the table of contents. Fixed since PostgreSQL began.
pub(super) const RELATION_CLASS: u32 = 1259;
/// Object identifier of `pg_constraint`.
pub(super) const CONSTRAINT_CLASS: u32 = 2606;

/// What pg_restore makes after everything else, and so do we: whoever owns a table may have given up to write to it. Event
/// triggers are the very last, since they would fire when privileges are granted.
const LAST: [&str; 5] =
    ["ACL ", "DEFAULT ACL ", "EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "SECURITY LABEL - EVENT TRIGGER "];

/// The part of the table of contents that comes `last`, or the rest of it, without the entries in `excluded` or whose description
/// begins as one of `descriptions`.
///
/// A line reads `3456; 2606 16400 CONSTRAINT public users users_pkey owner`: number in the dump, catalog, object.
pub(super) fn use_list(contents: &str, excluded: &HashSet<(u32, u32)>, descriptions: &[String], last: bool) -> String {
    let keep = |line: &&str| match entry(line) {
        Some((class, oid, description)) => {
            LAST.iter().any(|start| description.starts_with(start)) == last
                && !excluded.contains(&(class, oid))
                && !descriptions.iter().any(|excluded| description.starts_with(excluded))
        }
        None => true,
    };
    contents.lines().filter(keep).flat_map(|line| [line, "\n"]).collect()
}

/// Whether a list names nothing.
pub(super) fn is_empty(list: &str) -> bool {
    !list.lines().any(|line| entry(line).is_some())
}

/// Catalog, object and description of a line; `None` for remarks.
pub(super) fn entry(line: &str) -> Option<(u32, u32, &str)> {
    let (number, rest) = line.split_once("; ")?;
    number.parse::<u64>().ok()?;
    let (class, rest) = rest.split_once(' ')?;
    let (oid, description) = rest.split_once(' ')?;
    Some((class.parse().ok()?, oid.parse().ok()?, description))
}

/// What pg_restore calls an entry in its messages, `211; 1259 16501 VIEW slow owner`, as `VIEW app.slow owner`: it leaves out the schema,
/// which stands in the table of contents between the words for the kind and the name.
pub(super) fn with_schema(contents: &str, called: &str) -> String {
    /// Kinds whose names begin with the kind of what they are about.
    const ABOUT: [&str; 4] = ["ACL", "COMMENT", "DEFAULT ACL", "SECURITY LABEL"];
    let Some((class, oid, short)) = entry(called) else { return called.into() };
    let number = &called[..=called.find(';').unwrap_or(0)];
    let line = contents.lines().find(|line| line.starts_with(number)).and_then(entry);
    let Some((_, _, full)) = line.filter(|(of_line, its_oid, _)| (*of_line, *its_oid) == (class, oid)) else {
        return short.into();
    };
    let schema = short.match_indices(' ').find_map(|(end, _)| {
        let (kind, name) = short.split_at(end);
        Some((kind, full.strip_prefix(kind)?.strip_suffix(name)?.strip_prefix(' ')?, name.trim_start()))
    });
    match schema {
        Some((kind, schema, name)) if schema != "-" && !ABOUT.contains(&kind) => format!("{kind} {schema}.{name}"),
        _ => short.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_called_by_their_full_names() {
        let contents = "; Archive\n\
            5; 2615 2200 SCHEMA - public postgres\n\
            21; 1259 16385 TABLE a a a\n\
            211; 1259 16386 VIEW my app my view postgres\n\
            212; 2606 16401 FK CONSTRAINT app users users_fk \n\
            213; 0 0 COMMENT app TABLE users postgres\n";
        for (called, full) in [
            ("5; 2615 2200 SCHEMA public postgres", "SCHEMA public postgres"),
            ("21; 1259 16385 TABLE a a", "TABLE a.a a"),
            ("211; 1259 16386 VIEW my view postgres", "VIEW my app.my view postgres"),
            ("212; 2606 16401 FK CONSTRAINT users users_fk ", "FK CONSTRAINT app.users users_fk "),
            ("213; 0 0 COMMENT TABLE users postgres", "COMMENT TABLE users postgres"),
            ("214; 1259 16390 VIEW unknown postgres", "VIEW unknown postgres"),
            ("21; 1259 9 TABLE a a", "TABLE a a"),
            ("what is this", "what is this"),
        ] {
            assert_eq!(with_schema(contents, called), full);
        }
    }

    #[test]
    fn our_own_entries_and_what_is_described_are_taken_off() {
        let contents = "; Archive created at 2026\n;     Format: CUSTOM\n\
            205; 1259 16385 TABLE public users postgres\n\
            3001; 0 0 COMMENT - EXTENSION citext \n\
            3002; 0 0 COMMENT public TABLE users postgres\n\
            3003; 0 0 COMMENT public FUNCTION planted() rdsbroker\n\
            3210; 1259 16399 INDEX public index_users postgres\n\
            3211; 2606 16400 CONSTRAINT public users users_pkey postgres\n\
            3212; 2606 16401 FK CONSTRAINT public users users_fk postgres\n\
            3300; 0 0 ACL public TABLE users postgres\n\
            3301; 3466 16500 EVENT TRIGGER - watch postgres\n";
        let excluded = HashSet::from([(RELATION_CLASS, 16399), (CONSTRAINT_CLASS, 16400)]);
        let planted = ["COMMENT public FUNCTION planted() ".into()];
        let kept = use_list(contents, &excluded, &planted, false);
        let expected = "; Archive created at 2026\n;     Format: CUSTOM\n\
            205; 1259 16385 TABLE public users postgres\n\
            3001; 0 0 COMMENT - EXTENSION citext \n\
            3002; 0 0 COMMENT public TABLE users postgres\n\
            3212; 2606 16401 FK CONSTRAINT public users users_fk postgres\n";
        assert_eq!(kept, expected);
        let last = use_list(contents, &excluded, &planted, true);
        let expected = "; Archive created at 2026\n;     Format: CUSTOM\n\
            3300; 0 0 ACL public TABLE users postgres\n\
            3301; 3466 16500 EVENT TRIGGER - watch postgres\n";
        assert_eq!(last, expected);
        assert!(is_empty(&use_list(&kept, &excluded, &planted, true)) && !is_empty(&kept));
    }
}
