//! What stands behind the single letters of PostgreSQL's catalogs (documentation, "System Catalogs").

/// A value of an aspect as a finding shows it: in a word where it is a letter, else as the server prints it.
pub(super) fn shown(aspect: &str, value: &str) -> String {
    word(aspect, value).map_or_else(|| format!("`{value}`"), str::to_owned)
}

fn word(aspect: &str, value: &str) -> Option<&'static str> {
    Some(match (aspect, value) {
        ("persistence", "p") => "permanent",
        ("persistence", "u") => "unlogged",
        ("replica identity", "d") => "the primary key",
        ("replica identity", "n") => "nothing",
        ("replica identity", "f") => "all columns",
        ("replica identity", "i") => "an index",
        ("generated", "s") => "stored",
        ("generated", "v") => "virtual",
        ("identity", "a") => "always",
        ("identity", "d") => "by default",
        ("storage", "p") => "plain",
        ("storage", "e") => "external",
        ("storage", "m") => "main",
        ("storage", "x") => "extended",
        ("compression", "p") => "pglz",
        ("compression", "l") => "lz4",
        ("enabled", "O") => "on",
        ("enabled", "D") => "off",
        ("enabled", "R") => "on for replicas only",
        ("enabled", "A") => "on always",
        ("volatility", "i") => "immutable",
        ("volatility", "s") => "stable",
        ("volatility", "v") => "volatile",
        ("parallel", "s") => "safe",
        ("parallel", "r") => "restricted",
        ("parallel", "u") => "unsafe",
        ("command", "*") => "for ALL",
        ("command", "r") => "for SELECT",
        ("command", "a") => "for INSERT",
        ("command", "w") => "for UPDATE",
        ("command", "d") => "for DELETE",
        ("context", "e") => "explicit",
        ("context", "a") => "in assignments",
        ("context", "i") => "implicit",
        ("method", "f") => "by a function",
        ("method", "i") => "by text",
        ("method", "b") => "by bytes",
        ("provider", "b") => "PostgreSQL",
        ("provider", "c") => "libc",
        ("provider", "i") => "ICU",
        ("provider", "d") => "the database's",
        ("generated columns", "s") => "stored ones",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_words_and_all_else_is_as_it_is() {
        assert_eq!(shown("persistence", "u"), "unlogged");
        assert_eq!(shown("enabled", "D"), "off");
        assert_eq!(shown("default", "d"), "`d`");
        assert_eq!(shown("persistence", "?"), "`?`");
    }
}
