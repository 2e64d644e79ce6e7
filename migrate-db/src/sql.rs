//! Quoting: the one place where names and values become SQL text.

/// `name` as a quoted identifier.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.name`, both quoted.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// `value` as a string literal, also where `standard_conforming_strings` is off.
pub fn literal(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    if quoted.contains('\\') {
        return format!("E'{}'", quoted.replace('\\', "\\\\"));
    }
    format!("'{quoted}'")
}

/// The names as quoted identifiers with commas between them.
pub fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted() {
        assert_eq!(qualified("public", "Odd \"name\""), "\"public\".\"Odd \"\"name\"\"\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("back\\slash'"), "E'back\\\\slash'''");
        assert_eq!(identifiers(["a", "b"]), "\"a\", \"b\"");
    }
}
