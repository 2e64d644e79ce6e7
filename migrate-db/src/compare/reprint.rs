//! Expressions that a server prints in other words once it has read its own print, as any restored schema has it.
//!
//! `status IN ('a', 'b')` over `varchar` is such a one: it is printed as `(ARRAY['a'::character varying, …])::text[]`, which is
//! read as, and then printed as, `ARRAY[('a'::character varying)::text, …]`. To cast an array that is written out is to cast each
//! of its elements (the documentation of PostgreSQL, "Array Constructors"), so both are brought into the second form.
//!
//! `a BETWEEN 1 AND 2 AND b` is another: it is kept as a list within a list and printed as `((a >= 1) AND (a <= 2)) AND b`, which
//! is read as one list of three (`makeAndExpr` and `makeOrExpr` in PostgreSQL's `gram.y`). So are comparisons of rows, and `IN`
//! over columns. Lists that come first within a list of the same kind are opened.
//!
//! `XMLSERIALIZE (… NO INDENT)` is what servers since 16 say where older ones, which never indent, say nothing. A literal that a query
//! selects, or NULL, is printed as `'x'::text`, and once restored as `'x'::text AS text`: by the name of its type.
//! Pure: no I/O.

/// How the server writes an array that is cast: what opens it, what stands between it and the type, and whether its elements
/// are cast in parentheses. Statistics objects are printed with as few of these as can be.
const SPELLINGS: [(&str, &str, bool); 2] = [("(ARRAY[", ")::", true), ("ARRAY[", "::", false)];

/// What stands between the conditions of a list.
const LISTS: [&str; 2] = [" AND ", " OR "];

/// What servers since 16 say, and older ones do not.
const NO_INDENT: &str = " NO INDENT)";

/// Types that go by another name within a server than in SQL, as a column is called whose literal is of them.
const INTERNAL_NAMES: [(&str, &str); 13] = [
    ("character varying", "varchar"),
    ("character", "bpchar"),
    ("smallint", "int2"),
    ("integer", "int4"),
    ("bigint", "int8"),
    ("real", "float4"),
    ("double precision", "float8"),
    ("boolean", "bool"),
    ("bit varying", "varbit"),
    ("timestamp without time zone", "timestamp"),
    ("timestamp with time zone", "timestamptz"),
    ("time without time zone", "time"),
    ("time with time zone", "timetz"),
];

/// Whether an expression holds a query: the word stands outside of literals and quoted names.
pub(super) fn holds_query(text: &str) -> bool {
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if rest.starts_with("SELECT") {
            return true;
        }
        rest = &rest[quoted_len(rest).unwrap_or(character.len_utf8())..];
    }
    false
}

/// `text` as a server prints it that has read it from a print. What is not an expression is to be kept away from here.
pub(super) fn reprinted(text: &str) -> String {
    with_elements_cast(&with_lists_opened(&with_one_word(text)))
}

/// `text` without the words that only some prints have.
fn with_one_word(text: &str) -> String {
    rewritten(text, |rest| match rest.strip_prefix(NO_INDENT) {
        Some(after) => Some((")".to_owned(), after)),
        None => without_name_of_type(rest),
    })
}

/// A cast that a column is called after, `::bigint AS int8`, without that name, and what follows.
fn without_name_of_type(text: &str) -> Option<(String, &str)> {
    let (type_name, after) = text.strip_prefix("::")?.split_once(" AS ")?;
    let is_of_type = |character: char| character.is_alphanumeric() || "_. \"(),[]".contains(character);
    if !type_name.chars().all(is_of_type) {
        return None;
    }
    let (name, after) = match quoted_len(after) {
        Some(length) => (&after[1..length - 1], &after[length..]),
        None => after.split_at(after.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(after.len())),
    };
    let plain = type_name.split_once('(').map_or(type_name, |(plain, _)| plain).trim_end_matches("[]");
    let internal = INTERNAL_NAMES.iter().find(|(sql, _)| *sql == plain).map(|(_, internal)| *internal);
    let own = internal.unwrap_or_else(|| plain.rsplit('.').next().unwrap_or(plain).trim_matches('"'));
    (!name.is_empty() && name == own).then(|| (format!("::{type_name}"), after))
}

/// `text` with what `rewrite` makes of it, wherever it stands outside of literals and quoted names: given what begins there, it gives
/// what takes its place, and what follows that.
fn rewritten(text: &str, rewrite: impl Fn(&str) -> Option<(String, &str)>) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some((taken, after)) = rewrite(rest) {
            result.push_str(&taken);
            rest = after;
            continue;
        }
        let (token, after) = rest.split_at(quoted_len(rest).unwrap_or(character.len_utf8()));
        result.push_str(token);
        rest = after;
    }
    result
}

/// `text` with the parentheses gone around a list of conditions that comes first within a list of the same kind.
fn with_lists_opened(text: &str) -> String {
    let mut text = text.to_owned();
    let mut position = 0;
    while let Some(character) = text[position..].chars().next() {
        if let Some(end) = first_list(&text[position..]) {
            // What came to stand here may be such a list again.
            text.remove(position + end);
            text.remove(position + 1);
        } else {
            position += quoted_len(&text[position..]).unwrap_or(character.len_utf8());
        }
    }
    text
}

/// Where the parenthesis closes that opens second in `text`, if a list of conditions stands between them and the list around it
/// goes on in the same way.
fn first_list(text: &str) -> Option<usize> {
    text.strip_prefix("((")?;
    let (mut depth, mut position, mut seen) = (1_usize, 2, [false; 2]);
    while let Some(character) = text[position..].chars().next() {
        let rest = &text[position..];
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' if depth == 1 => {
                let goes_on = LISTS.iter().zip(seen).any(|(word, seen)| seen && rest[1..].starts_with(word));
                return goes_on.then_some(position);
            }
            ')' | ']' => depth -= 1,
            ' ' if depth == 1 => LISTS.iter().zip(&mut seen).for_each(|(word, seen)| *seen |= rest.starts_with(word)),
            _ => {}
        }
        position += quoted_len(rest).unwrap_or(character.len_utf8());
    }
    None
}

fn with_elements_cast(text: &str) -> String {
    rewritten(text, cast_array)
}

/// The array that is cast as a whole at the beginning of `text`, with each element cast instead, and what follows it.
fn cast_array(text: &str) -> Option<(String, &str)> {
    let (opening, cast, in_parentheses) = SPELLINGS.into_iter().find(|(opening, ..)| text.starts_with(opening))?;
    let (elements, after) = elements(&text[opening.len()..])?;
    let (type_name, after) = after.strip_prefix(cast)?.split_once("[]")?;
    let is_name = |character: char| character.is_alphanumeric() || "_. \"".contains(character);
    // An array of arrays hands the cast on to its innermost elements; nobody writes these in a schema. One without elements
    // has its type behind it always.
    let is_other = |element: &&str| element.is_empty() || element.starts_with("ARRAY[");
    if !type_name.chars().all(is_name) || after.starts_with("[]") || elements.iter().any(is_other) {
        return None;
    }
    let cast_one = |element: &&str| match (with_elements_cast(element), in_parentheses) {
        (element, true) => format!("({element})::{type_name}"),
        (element, false) => format!("{element}::{type_name}"),
    };
    Some((format!("ARRAY[{}]", elements.iter().map(cast_one).collect::<Vec<_>>().join(", ")), after))
}

/// The elements up to the bracket that ends the array, and what follows that.
fn elements(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut found, mut depth, mut start, mut position) = (Vec::new(), 0_usize, 0, 0);
    while let Some(character) = text[position..].chars().next() {
        if let Some(len) = quoted_len(&text[position..]) {
            position += len;
            continue;
        }
        match character {
            '(' | '[' => depth += 1,
            ']' if depth == 0 => {
                found.push(text[start..position].trim_start());
                return Some((found, &text[position + 1..]));
            }
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                found.push(text[start..position].trim_start());
                start = position + 1;
            }
            _ => {}
        }
        position += character.len_utf8();
    }
    None
}

/// The length of the literal or quoted name at the beginning of `text`. A quote within is doubled, and so ends one and begins
/// the next; a backslash means something in `E'…'` only, where the server doubles it too.
fn quoted_len(text: &str) -> Option<usize> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].find(quote).map(|end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_that_is_not_indented_is_xml_of_an_older_server() {
        let printed = "CHECK ((length(XMLSERIALIZE(CONTENT x AS text NO INDENT)) < 9 AND (s <> ' NO INDENT)'::text)))";
        let older = "CHECK ((length(XMLSERIALIZE(CONTENT x AS text)) < 9 AND (s <> ' NO INDENT)'::text)))";
        assert_eq!(reprinted(printed), older);
        assert_ne!(reprinted("XMLSERIALIZE(CONTENT x AS text INDENT)"), reprinted("XMLSERIALIZE(CONTENT x AS text)"));
    }

    #[test]
    fn a_literal_that_a_query_selects_has_its_name_or_not() {
        let restored = "(EXISTS ( SELECT 'x'::text AS text\n   FROM public.a))";
        assert_eq!(reprinted(restored), "(EXISTS ( SELECT 'x'::text\n   FROM public.a))");
        assert_eq!(
            reprinted(
                "( SELECT '-1.5'::numeric(3,1) AS \"numeric\", NULL::bigint AS int8, 'a'::app.mood AS mood, '{}'::text[] AS text)"
            ),
            "( SELECT '-1.5'::numeric(3,1), NULL::bigint, 'a'::app.mood, '{}'::text[])"
        );
        assert_eq!(
            reprinted("SELECT NULL::timestamp with time zone AS timestamptz\n"),
            "SELECT NULL::timestamp with time zone\n"
        );
        for other in ["SELECT a.b::text AS text_2", "SELECT '::text AS text'::citext", "SELECT 'x'::text AS other"] {
            assert_eq!(reprinted(other), other);
        }
    }

    #[test]
    fn a_query_is_told_from_names_and_literals() {
        assert!(holds_query("(o IN ( SELECT a.x FROM a))"));
        for none in ["(action = 'SELECT'::text)", r#"("SELECT" = 1)"#, "('it''s SELECT'::text <> s)"] {
            assert!(!holds_query(none), "{none}");
        }
    }

    #[test]
    fn a_cast_of_an_array_is_the_casts_of_its_elements() {
        for (printed, again) in [
            (
                "CHECK (((s)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[])))",
                "CHECK (((s)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text])))",
            ),
            (
                r#"WHERE ((ARRAY['],)''('::character varying, f(1, "x]"), E'\\'''::text])::app."odd type"[]) AND x"#,
                r#"WHERE (ARRAY[('],)''('::character varying)::app."odd type", (f(1, "x]"))::app."odd type", (E'\\'''::text)::app."odd type"]) AND x"#,
            ),
            (
                "s::text = ANY (ARRAY['a'::character varying, b]::text[])",
                "s::text = ANY (ARRAY['a'::character varying::text, b::text])",
            ),
        ] {
            assert_eq!(reprinted(printed), again);
            assert_eq!(reprinted(again), again);
        }
    }

    #[test]
    fn a_list_of_conditions_at_the_beginning_of_one_is_opened() {
        for (printed, again) in [
            ("CHECK ((((a >= 1) AND (a <= 2)) AND (b > 0)))", "CHECK (((a >= 1) AND (a <= 2) AND (b > 0)))"),
            ("((((a < 1) OR (a > 2)) OR b) OR c)", "((a < 1) OR (a > 2) OR b OR c)"),
            (
                "(((a = ' AND )') AND (s[1] = ')')) AND (\"x)\" > 0))",
                "((a = ' AND )') AND (s[1] = ')') AND (\"x)\" > 0))",
            ),
            ("(((a = 1) AND (b = 2)) AND ((c = 3) AND (d = 4)))", "((a = 1) AND (b = 2) AND ((c = 3) AND (d = 4)))"),
        ] {
            assert_eq!(reprinted(printed), again);
            assert_eq!(reprinted(again), again);
        }
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "(a = ANY (ARRAY[1, 2]))",
            "x = '(ARRAY[1])::text[]'",
            r#""(ARRAY[1])::text[]" = 1"#,
            "(ARRAY[ARRAY[1], ARRAY[2]])::text[]",
            "(ARRAY['a'])::text[][]",
            "(ARRAY['a",
            "(ARRAY[1)])::text[]",
            "(ARRAY[]::character varying[])::text[]",
            "(((a = 1) OR (b = 2)) AND (c = 3))",
            "((a = 1) AND ((b = 2) AND (c = 3)))",
            "((NOT ((a = 1) AND (b = 2))) AND (c = 3))",
            "((' AND ' = a) AND (c = 3))",
            "(((a = 1) AND (b = 2)) IS TRUE)",
            "(((a = 1) AND (b = 2)",
            "((]",
            "'it",
            "é😀(ARRAY[é😀",
        ] {
            assert_eq!(reprinted(text), text);
        }
    }
}
