//! Reads the tree and holds it to the rules of the house: layout, sizes, and who may know whom.
//!
//! What clippy can hold (lengths of functions, documented items) is in clippy.toml and `[workspace.lints]`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LINES_MAX: usize = 400;
const FOLDERS: [&str; 7] = ["common", "images", "migrate-db", "migrate-s3", "platform", "runbooks", "tests"];

/// A file of the repository, by its path from the root.
struct File {
    path: String,
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Source of what is shipped: not of tests and harness.
    fn is_shipped(&self) -> bool {
        self.is_rust() && !self.path.starts_with("tests/")
    }

    /// The lines of code, without those that are comments from the start.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().filter(|line| !line.trim_start().starts_with("//"))
    }

    fn mentions(&self, word: &str) -> bool {
        self.code().any(|line| line.contains(word))
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All text files of the repository. What git ignores is in folders named `target`.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with(".git") {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                files.push(File { path: path.strip_prefix(root()).unwrap().display().to_string(), text });
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

#[track_caller]
fn assert_none(offenders: impl IntoIterator<Item = String>, rule: &str) {
    let offenders: Vec<_> = offenders.into_iter().collect();
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

fn paths_where(matches: impl Fn(&File) -> bool) -> Vec<String> {
    files().into_iter().filter(|file| matches(file)).map(|file| file.path).collect()
}

#[test]
fn the_top_has_the_folders_that_the_readme_names() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(root()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() && !name.starts_with('.') && name != "target" {
            found.insert(name);
        }
    }
    assert_eq!(found, BTreeSet::from(FOLDERS.map(str::to_owned)));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent = paths_where(|file| file.is_rust() && !file.text.starts_with("//!"));
    assert_none(silent, "these do not open with `//!`");
}

#[test]
fn no_source_file_is_too_long() {
    let long = paths_where(|file| file.is_rust() && file.text.lines().count() > LINES_MAX);
    assert_none(long, "these have more than 400 lines");
}

#[test]
fn the_two_programs_never_see_each_other() {
    let sees = |file: &File, own: &str, other: &str, module: &str| {
        file.path.starts_with(own) && (file.mentions(module) || (file.name() == "Cargo.toml" && file.mentions(other)))
    };
    let offenders = paths_where(|file| {
        sees(file, "migrate-db/", "migrate-s3", "migrate_s3::")
            || sees(file, "migrate-s3/", "migrate-db", "migrate_db::")
    });
    assert_none(offenders, "these see the other program");
    let depends = |file: &File| file.code().any(|line| line.starts_with("migrate-"));
    let shared = ["common/Cargo.toml", "platform/Cargo.toml"];
    let offenders = paths_where(|file| shared.contains(&file.path.as_str()) && depends(file));
    assert_none(offenders, "`common` and `platform` know neither program");
    let sees_engines = |file: &File| ["tokio_postgres", "aws_sdk_"].iter().any(|word| file.mentions(word));
    let offenders = paths_where(|file| file.path.starts_with("platform/") && sees_engines(file));
    assert_none(offenders, "`platform` knows neither PostgreSQL nor S3");
}

#[test]
fn plans_segments_digests_and_reports_do_no_io() {
    let is_pure = |file: &File| {
        let module = ["plan", "segment", "digest", "report"];
        let is_module = |part: &str| module.contains(&part.trim_end_matches(".rs"));
        file.is_shipped() && file.path.split('/').skip(2).any(is_module)
    };
    let io = ["tokio::net", "aws_sdk_", "tokio_postgres"];
    let offenders = paths_where(|file| is_pure(file) && io.iter().any(|word| file.mentions(word)));
    assert_none(offenders, "these know the network");
}

#[test]
fn only_the_task_set_spawns() {
    let spawns = ["tokio::spawn", "task::spawn", "JoinSet", "thread::spawn", "spawn_blocking"];
    let offenders = paths_where(|file| {
        file.is_shipped() && file.path != "common/src/tasks.rs" && spawns.iter().any(|word| file.mentions(word))
    });
    assert_none(offenders, "only common/src/tasks.rs spawns");
}

#[test]
fn arguments_bars_and_registries_are_known_in_one_place() {
    let may_parse = |file: &File| ["args.rs", "config.rs", "settings.rs"].contains(&file.name());
    let offenders = paths_where(|file| file.is_shipped() && file.mentions("clap::") && !may_parse(file));
    assert_none(offenders, "clap is known in args.rs, config.rs and settings.rs only");

    let draws = |file: &File| file.is_shipped() && file.mentions("indicatif");
    let offenders = paths_where(|file| draws(file) && !file.path.starts_with("common/src/progress"));
    assert_none(offenders, "indicatif is known in common/src/progress only");

    let registries = paths_where(|file| file.is_shipped() && file.mentions("aws_sdk_ecr"));
    assert!(registries.len() <= 1, "aws-sdk-ecr is known in one module only: {registries:?}");
}

#[test]
fn nothing_of_the_machine_that_built_it_is_in_the_repository() {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut traces: Vec<String> = vec![root().display().to_string(), format!("{home}/.")];
    traces.extend(mirrors());
    traces.retain(|trace| trace.len() > 3);
    let offenders = files().into_iter().filter_map(|file| {
        let trace = traces.iter().find(|trace| file.text.contains(trace.as_str()))?;
        Some(format!("{}: {trace}", file.path))
    });
    assert_none(offenders, "paths or mirrors of this machine");
}

/// Hosts of package mirrors that this machine is set up with, but for those that everybody knows.
fn mirrors() -> BTreeSet<String> {
    let home = PathBuf::from(std::env::var("HOME").unwrap_or_default());
    let mut settings = vec![
        PathBuf::from("/etc/apt/sources.list"),
        PathBuf::from("/etc/pip.conf"),
        home.join(".cargo/config.toml"),
        home.join(".config/pip/pip.conf"),
    ];
    settings.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()));
    let public = ["debian.org", "rust-lang.org", "crates.io", "pypi.org", "github.com", "googleapis.com"];
    let mut hosts = BTreeSet::new();
    for file in settings {
        let text = fs::read_to_string(file).unwrap_or_default();
        for address in text.split("://").skip(1) {
            let host = address.split(['/', ' ', '\n', '"', ':']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            if !public.iter().any(|known| host.ends_with(known)) {
                hosts.insert(host.to_owned());
            }
        }
    }
    hosts
}
