//! The Terraform module as far as it can be looked at without Terraform: it parses, every reference leads somewhere, what
//! exists once or many times is addressed so, it is formatted as `terraform fmt` would, and its example fits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hcl_edit::expr::{Expression, ForExpr, FuncName, Traversal, TraversalOperator};
use hcl_edit::parser::parse_body;
use hcl_edit::structure::{Block, Body};
use hcl_edit::visit::{self, Visit};

/// Functions of Terraform that the module uses.
const FUNCTIONS: [&str; 11] =
    ["can", "concat", "distinct", "jsonencode", "length", "list", "merge", "object", "map", "regex", "toset"];

/// Words that are types where a variable is declared.
const TYPES: [&str; 4] = ["any", "bool", "number", "string"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("images/terraform")
}

/// The module's files: name and text.
fn files() -> Vec<(String, String)> {
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "tf"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    files
}

fn parsed(name: &str, text: &str) -> Body {
    parse_body(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn labels(block: &Block) -> Vec<&str> {
    block.labels.iter().map(hcl_edit::structure::BlockLabel::as_str).collect()
}

/// How many there are of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    One,
    Count,
    ForEach,
}

/// What the module declares.
#[derive(Debug, Default)]
struct Declared {
    /// `var.x`, `local.x`, `data.type.x`, and whether the variable has no default.
    names: BTreeMap<String, bool>,
    resources: BTreeMap<(String, String), Number>,
    providers: BTreeSet<String>,
}

impl Declared {
    fn of(bodies: &[(String, Body)]) -> Self {
        let mut declared = Self::default();
        for (file, body) in bodies {
            for block in body.blocks() {
                declared.add(file, block);
            }
        }
        declared
    }

    fn add(&mut self, file: &str, block: &Block) {
        match (block.ident.as_str(), labels(block).as_slice()) {
            ("variable", [name]) => {
                assert!(block.body.has_attribute("type") && block.body.has_attribute("description"), "{file}: {name}");
                self.names.insert(format!("var.{name}"), !block.body.has_attribute("default"));
            }
            ("locals", []) => {
                for attribute in block.body.attributes() {
                    self.names.insert(format!("local.{}", attribute.key.as_str()), false);
                }
            }
            ("data", [kind, name]) => {
                self.names.insert(format!("data.{kind}.{name}"), false);
            }
            ("resource", [kind, name]) => {
                let number = match (block.body.has_attribute("count"), block.body.has_attribute("for_each")) {
                    (true, false) => Number::Count,
                    (false, true) => Number::ForEach,
                    (false, false) => Number::One,
                    (true, true) => panic!("{file}: {kind}.{name} has count and for_each"),
                };
                let before = self.resources.insert(((*kind).into(), (*name).into()), number);
                assert_eq!(before, None, "{file}: {kind}.{name} is declared twice");
            }
            ("terraform", []) => {
                let text = block.body.to_string();
                let aliases = text.split("configuration_aliases").nth(1).unwrap_or_default();
                let aliases = aliases.split('[').nth(1).unwrap_or_default().split(']').next().unwrap();
                self.providers.extend(aliases.split(',').map(|alias| alias.trim().to_owned()));
            }
            ("output", [_]) => {}
            other => panic!("{file}: a block that Terraform does not know here: {other:?}"),
        }
    }
}

/// Looks up every reference of one block.
struct References<'a> {
    place: String,
    declared: &'a Declared,
    each: bool,
    bound: Vec<String>,
    used: &'a mut BTreeSet<String>,
}

impl References<'_> {
    fn look_up(&mut self, root: &str, traversal: &Traversal) {
        let attribute = |index: usize| match traversal.operators.get(index).map(|operator| &**operator) {
            Some(TraversalOperator::GetAttr(name)) => name.as_str(),
            other => panic!("{}: {root} is followed by {other:?}", self.place),
        };
        let place = &self.place;
        match root {
            "var" | "local" | "data" => {
                let name = match root {
                    "data" => format!("data.{}.{}", attribute(0), attribute(1)),
                    root => format!("{root}.{}", attribute(0)),
                };
                assert!(self.declared.names.contains_key(&name), "{place}: {name} is not declared");
                self.used.insert(name);
            }
            "each" => assert!(self.each && ["key", "value"].contains(&attribute(0)), "{place}: each.{}", attribute(0)),
            "aws" => {
                let provider = format!("aws.{}", attribute(0));
                assert!(self.declared.providers.contains(&provider), "{place}: {provider} is no provider");
            }
            bound if self.bound.iter().any(|name| name == bound) => {}
            kind => {
                let name = attribute(0);
                let number = self.declared.resources.get(&(kind.to_owned(), name.to_owned()));
                let number = *number.unwrap_or_else(|| panic!("{place}: {kind}.{name} is not declared"));
                let next = traversal.operators.get(1).map(|operator| &**operator);
                let fits = match next {
                    // A collection as a whole, for `for`.
                    None => number != Number::One,
                    Some(TraversalOperator::Index(Expression::Number(_))) => number == Number::Count,
                    Some(TraversalOperator::Index(_)) => number == Number::ForEach,
                    Some(TraversalOperator::GetAttr(_)) => number == Number::One,
                    Some(_) => false,
                };
                assert!(fits, "{place}: {kind}.{name} is {number:?}, and addressed with {next:?}");
            }
        }
    }
}

impl Visit for References<'_> {
    fn visit_expr(&mut self, node: &Expression) {
        if let Expression::Variable(name) = node {
            let known = self.bound.iter().any(|bound| bound == name.as_str()) || TYPES.contains(&name.as_str());
            assert!(known, "{}: {} stands alone", self.place, name.as_str());
        }
        visit::visit_expr(self, node);
    }

    fn visit_traversal(&mut self, node: &Traversal) {
        match &node.expr {
            Expression::Variable(root) => self.look_up(root.as_str(), node),
            other => self.visit_expr(other),
        }
        for operator in &node.operators {
            self.visit_traversal_operator(operator);
        }
    }

    fn visit_for_expr(&mut self, node: &ForExpr) {
        self.visit_expr(&node.intro.collection_expr);
        let before = self.bound.len();
        self.bound.extend(node.intro.key_var.iter().map(|name| name.as_str().to_owned()));
        self.bound.push(node.intro.value_var.as_str().to_owned());
        node.key_expr.iter().for_each(|expression| self.visit_expr(expression));
        self.visit_expr(&node.value_expr);
        node.cond.iter().for_each(|condition| self.visit_for_cond(condition));
        self.bound.truncate(before);
    }

    fn visit_func_name(&mut self, node: &FuncName) {
        assert!(FUNCTIONS.contains(&node.name.as_str()), "{}: no function {}", self.place, node.name.as_str());
    }
}

#[test]
fn every_reference_leads_somewhere_and_everything_is_used() {
    let bodies: Vec<_> = files().into_iter().map(|(name, text)| (name.clone(), parsed(&name, &text))).collect();
    let declared = Declared::of(&bodies);
    assert!(declared.resources.len() >= 15 && declared.providers.contains("aws.registries"), "{declared:?}");
    let mut used = BTreeSet::new();
    for (file, body) in &bodies {
        for block in body.blocks().filter(|block| block.ident.as_str() != "terraform") {
            let place = format!("{file}: {} {}", block.ident.as_str(), labels(block).join("."));
            let each = block.body.has_attribute("for_each");
            let mut references = References { place, declared: &declared, each, bound: Vec::new(), used: &mut used };
            references.visit_body(&block.body);
        }
    }
    let unused: Vec<_> = declared.names.keys().filter(|name| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "declared and not used: {unused:?}");
    let single: Vec<_> = declared.resources.iter().filter(|(_, number)| **number == Number::One).collect();
    assert!(single.is_empty(), "not behind the switch: {single:?}");
}

#[test]
fn the_example_gives_what_has_no_default_and_nothing_unknown() {
    let bodies: Vec<_> = files().into_iter().map(|(name, text)| (name.clone(), parsed(&name, &text))).collect();
    let declared = Declared::of(&bodies);
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    let example = parsed("README.md", readme.split("```hcl\n").nth(1).unwrap().split("```").next().unwrap());
    let module = example.blocks().next().unwrap();
    let given: BTreeSet<_> = module
        .body
        .attributes()
        .map(|attribute| attribute.key.as_str())
        .filter(|name| !["source", "providers"].contains(name))
        .map(|name| format!("var.{name}"))
        .collect();
    let unknown: Vec<_> = given.iter().filter(|name| !declared.names.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let wanted = declared.names.iter().filter(|(_, needed)| **needed).map(|(name, _)| name);
    let missing: Vec<_> = wanted.filter(|name| !given.contains(*name)).collect();
    assert!(missing.is_empty(), "the example does not give {missing:?}");
}

/// A line without the insides of its strings and without its comment: brackets and `=` in them mean nothing.
fn bare(line: &str) -> String {
    let mut bare = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted => break,
            _ if quoted => {}
            _ => bare.push(character),
        }
        if character == '"' {
            bare.push('"');
        } else if quoted {
            bare.push('x');
        }
    }
    bare
}

fn net_brackets(text: &str) -> i32 {
    text.chars().map(|each| i32::from("([{".contains(each)) - i32::from(")]}".contains(each))).sum()
}

/// Where the `=` of an attribute stands whose value ends on the same line: what `terraform fmt` aligns.
fn assignment(bare: &str) -> Option<usize> {
    let at = bare.find(" = ")? + 1;
    (net_brackets(&bare[at..]) == 0).then_some(at)
}

#[test]
fn it_is_formatted_as_terraform_would() {
    for (name, text) in files() {
        assert!(text.ends_with('\n') && !text.ends_with("\n\n") && !text.contains('\t'), "{name}");
        let mut indents: Vec<i32> = Vec::new();
        let mut group: Vec<(usize, usize)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let place = format!("{name}:{}", number + 1);
            assert_eq!(line.trim_end(), line, "{place}: spaces at the end");
            let bare = bare(line);
            let net = net_brackets(&bare);
            let mut depth = indents.len();
            if net > 0 {
                indents.push(net);
            }
            let mut closed = -net;
            while closed > 0 {
                let open = indents.pop().unwrap_or_else(|| panic!("{place}: closes what is not open"));
                if closed < open {
                    indents.push(open - closed);
                }
                closed -= open;
                depth = indents.len();
            }
            if !line.is_empty() {
                let indent = line.len() - line.trim_start().len();
                assert_eq!(indent, 2 * depth, "{place}: indented by {indent}");
            }
            match assignment(&bare) {
                Some(at) => group.push((bare[..at].trim_end().len(), at)),
                None => assert_aligned(&place, &mut group),
            }
        }
        assert_aligned(&name, &mut group);
        assert!(indents.is_empty(), "{name}: something is not closed");
    }
}

/// Each `=` of consecutive lines is one space behind the longest name.
fn assert_aligned(place: &str, group: &mut Vec<(usize, usize)>) {
    let longest = group.iter().map(|(length, _)| *length).max().unwrap_or_default();
    assert!(group.iter().all(|(_, at)| *at == longest + 1), "above {place}: not aligned: {group:?}");
    group.clear();
}
