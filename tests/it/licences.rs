//! Every dependency is under a licence that deny.toml allows. Runs always; `cargo deny` checks more where it can run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

#[test]
fn every_dependency_is_under_an_allowed_licence() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let deny: toml::Table = std::fs::read_to_string(root.join("deny.toml")).unwrap().parse().unwrap();
    let allowed = deny["licenses"]["allow"].as_array().unwrap();
    let allowed: BTreeSet<_> = allowed.iter().map(|licence| licence.as_str().unwrap()).collect();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Only what is built here: what is for other systems is not downloaded, and its licences cannot be asked for.
    let arguments = ["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &host(&cargo)];
    let output = Command::new(&cargo).args(arguments).current_dir(root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();

    let mut used = BTreeSet::new();
    let mut refused = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let expression = package["license"].as_str().unwrap_or_default();
        if !is_allowed(expression, &allowed, &mut used) {
            refused.push(format!("{} {}: {expression:?}", package["name"], package["version"]));
        }
    }
    assert!(refused.is_empty(), "not allowed by deny.toml:\n{}", refused.join("\n"));
    let unused: Vec<_> = allowed.difference(&used.iter().map(String::as_str).collect()).copied().collect();
    assert!(unused.is_empty(), "deny.toml allows what nothing needs: {unused:?}");
}

/// The triple of this machine.
fn host(cargo: &std::ffi::OsStr) -> String {
    let output = Command::new(cargo).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

/// Whether a choice of the licences in an SPDX expression is allowed. `used` gets every allowed licence that is named.
fn is_allowed(expression: &str, allowed: &BTreeSet<&str>, used: &mut BTreeSet<String>) -> bool {
    // `/` is how `OR` was written before SPDX.
    let text = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ").replace(" WITH ", "\u{1}");
    let mut words = text.split_whitespace().peekable();
    let result = any(&mut words, allowed, used);
    result && words.next().is_none()
}

type Words<'w> = std::iter::Peekable<std::str::SplitWhitespace<'w>>;

fn any(words: &mut Words<'_>, allowed: &BTreeSet<&str>, used: &mut BTreeSet<String>) -> bool {
    let mut result = all(words, allowed, used);
    while words.next_if_eq(&"OR").is_some() {
        result |= all(words, allowed, used);
    }
    result
}

fn all(words: &mut Words<'_>, allowed: &BTreeSet<&str>, used: &mut BTreeSet<String>) -> bool {
    let mut result = one(words, allowed, used);
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed, used);
    }
    result
}

fn one(words: &mut Words<'_>, allowed: &BTreeSet<&str>, used: &mut BTreeSet<String>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        let result = any(words, allowed, used);
        return result && words.next() == Some(")");
    }
    let Some(word) = words.next() else { return false };
    let licence = word.replace('\u{1}', " WITH ");
    let is_allowed = allowed.contains(licence.as_str());
    if is_allowed {
        used.insert(licence);
    }
    is_allowed
}

#[test]
fn expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT", "Apache-2.0 WITH LLVM-exception"]);
    let check = |expression: &str| is_allowed(expression, &allowed, &mut BTreeSet::new());
    assert!(check("MIT"));
    assert!(check("GPL-3.0/MIT"));
    assert!(check("GPL-3.0 OR (Apache-2.0 WITH LLVM-exception AND MIT)"));
    assert!(!check("MIT AND GPL-3.0"));
    assert!(!check("Apache-2.0"));
    assert!(!check("(MIT"));
    assert!(!check(""));
}
