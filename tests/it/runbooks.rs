//! What the runbooks name exists, and the commands of their local form do what they say.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tests::engines::{Ecr, Users, postgres, postgres_client_bin_dir, s3};
use tests::estate::{Bucket, Estate};
use tests::program::Program;
use tokio::process::Command;

use crate::publish_images::push::image_file;

/// Flags of other people's programs that the runbooks use.
const FOREIGN_FLAGS: [&str; 10] = [
    "--cluster",
    "--launch-type",
    "--task-definition",
    "--network-configuration",
    "--overrides",
    "--query",
    "--output",
    "--tasks",
    "--follow",
    "--check",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The runbooks and the catalogue of errors: name and text.
fn runbooks() -> Vec<(String, String)> {
    let mut paths: Vec<_> = fs::read_dir(root().join("runbooks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.push(root().join("runbooks/reference/errors.md"));
    paths.sort();
    let read =
        |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap());
    paths.into_iter().map(read).collect()
}

async fn help(program: Program, command: &str) -> String {
    let program = if command.is_empty() { program } else { program.arg(command) };
    let outcome = program.arg("--help").run().await;
    outcome.assert_code(0);
    outcome.stdout
}

/// All help of all programs.
async fn all_help() -> String {
    let mut text = help(Program::migrate_db(), "").await + &help(Program::migrate_s3(), "").await;
    for command in ["", "status", "push", "pull-check", "remove", "mirror"] {
        text += &help(Program::publish_images(), command).await;
    }
    text
}

/// Words of a text that begin with `--`.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|each: char| !each.is_ascii_alphanumeric() && each != '-');
    let is_flag = |word: &&str| word.len() > 3 && word.starts_with("--") && word.as_bytes()[2].is_ascii_lowercase();
    words.filter(is_flag).map(|word| word.trim_end_matches('-').to_owned()).collect()
}

#[tokio::test]
async fn every_flag_exists() {
    let known = flags(&all_help().await);
    for (name, text) in runbooks() {
        let named = flags(&text);
        let unknown: Vec<_> =
            named.iter().filter(|flag| !known.contains(*flag) && !FOREIGN_FLAGS.contains(&flag.as_str())).collect();
        assert!(unknown.is_empty(), "{name} names {unknown:?}");
    }
}

#[tokio::test]
async fn each_command_is_given_flags_of_its_own_program() {
    let programs = [
        ("migrate-db ", help(Program::migrate_db(), "").await),
        ("migrate-s3 ", help(Program::migrate_s3(), "").await),
    ];
    for (name, text) in runbooks() {
        for line in text.split('`').flat_map(str::lines) {
            for (program, help) in &programs {
                let Some(arguments) = line.trim_start().strip_prefix(program) else { continue };
                let unknown: Vec<_> = flags(arguments).into_iter().filter(|flag| !flags(help).contains(flag)).collect();
                assert!(unknown.is_empty(), "{name}: {program} has no {unknown:?}");
            }
            if let Some(arguments) = line.trim_start().strip_prefix("publish-images ") {
                let command = arguments.split_whitespace().next().unwrap();
                assert!(["status", "push", "pull-check", "remove", "mirror"].contains(&command), "{name}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn every_variable_exists() {
    let help = all_help().await;
    let secrets = fs::read_to_string(root().join("runbooks/reference/settings.md")).unwrap();
    let scripts = fs::read_to_string(root().join("images/scripts/build.sh")).unwrap();
    for (name, text) in runbooks() {
        // Variables of ours in the text stand between backquotes; what has an underscore cannot be a placeholder.
        for word in text.split('`').skip(1).step_by(2).filter(|code| !code.contains(['\n', ' '])) {
            let word = word.split('=').next().unwrap();
            let is_variable = word.contains('_')
                && word.chars().all(|each| each.is_ascii_uppercase() || each == '_' || each.is_ascii_digit());
            let known = [&help, &secrets, &scripts].iter().any(|text| text.contains(word));
            assert!(!is_variable || known || word == "SECURITY_GROUP", "{name} names the variable {word}");
        }
    }
}

#[test]
fn every_exit_code_is_the_one_of_the_reference() {
    let reference = fs::read_to_string(root().join("runbooks/reference/exit-codes.md")).unwrap();
    let codes = |text: &str| -> BTreeSet<u8> {
        text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect()
    };
    let known = codes(&reference);
    assert_eq!(known.len(), 9);
    let runbooks = runbooks();
    let (_, resume) = runbooks.iter().find(|(name, _)| name.starts_with("05")).unwrap();
    assert_eq!(codes(resume), known, "05 has a line for each exit code");
    for (name, text) in &runbooks {
        for rest in text.split("exit ").skip(1).chain(text.split("Exit ").skip(1)) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if let Ok(code) = digits.parse::<u8>() {
                assert!(known.contains(&code), "{name} names exit {code}");
            }
        }
    }
}

#[test]
fn every_make_target_link_and_file_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for (name, text) in runbooks() {
        for line in text.split('`').flat_map(str::lines).filter_map(|line| line.trim_start().strip_prefix("make ")) {
            let target = line.split_whitespace().next().unwrap();
            assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "{name}: make {target}");
        }
        let folder = if name == "errors.md" { "runbooks/reference" } else { "runbooks" };
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            assert!(root().join(folder).join(link).exists(), "{name} links to {link}");
        }
    }
}

#[test]
fn the_rehearsal_has_the_steps_and_the_words_of_the_runbooks() {
    let rehearsal = fs::read_to_string(root().join("tests/src/rehearsal/cutover.rs")).unwrap();
    let is_step = |text: &&str| text.as_bytes().get(..4).is_some_and(|head| head[0] == b'0' && head[2] == b'.');
    let rehearsed: Vec<_> = rehearsal.split('"').skip(1).step_by(2).filter(is_step).collect();
    let runbooks = runbooks();
    // Each rehearsed step is one of the runbook: `03.5 database: repair pass` is `## 3.5 Repair pass` in 03.
    for step in &rehearsed {
        let (runbook, _) = step.split_once('.').unwrap();
        let number = step.split(' ').next().unwrap().trim_start_matches('0');
        let (_, text) = runbooks.iter().find(|(name, _)| name.starts_with(runbook)).unwrap();
        let heading = text.lines().find_map(|line| line.strip_prefix(&format!("## {number} ")));
        let heading = heading.unwrap_or_else(|| panic!("no runbook has the step {step}")).to_lowercase();
        assert!(step.contains(&heading), "the rehearsal's `{step}` is `{heading}` in its runbook");
    }
    // Each command of a runbook's local form is rehearsed, in the same order.
    for (name, buckets) in [("03", 1), ("04", 2)] {
        let (_, text) = runbooks.iter().find(|(runbook, _)| runbook.starts_with(name)).unwrap();
        let with_command = |section: &&str| section.contains("```sh local");
        let written: Vec<_> =
            text.split("\n## ").filter(with_command).map(|section| format!("0{}", &section[..3])).collect();
        let of_runbook = rehearsed.iter().filter(|step| step.starts_with(name) && step.contains(": "));
        let mut done: Vec<_> =
            of_runbook.map(|step| step[..4].to_owned()).filter(|step| written.contains(step)).collect();
        assert_eq!(done.len(), written.len() * buckets, "{name}: {done:?}");
        done.dedup();
        assert_eq!(done, written, "{name}");
    }
}

#[tokio::test]
async fn the_reference_of_settings_is_current() {
    let directory = std::env::var("TEST_PROGRAM_DIR")
        .map_or_else(|_| std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(), PathBuf::from);
    // Whatever is not built yet is built by asking.
    all_help().await;
    let script = root().join("tests/scripts/settings-reference.sh");
    let output = Command::new(script).arg(directory).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = fs::read_to_string(root().join("runbooks/reference/settings.md")).unwrap();
    assert!(kept == String::from_utf8(output.stdout).unwrap(), "runbooks/reference/settings.md is old: make reference");
}

/// The commands of a runbook's local form, each with the exit code that it promises.
fn local_commands(name: &str) -> Vec<(String, i32)> {
    let text = fs::read_to_string(root().join("runbooks").join(name)).unwrap();
    let blocks = text.split("```sh local\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let command = |line: &str| {
        let (command, code) = line.split_once("# exit ").unwrap_or_else(|| panic!("{name}: {line} promises no code"));
        (command.trim().to_owned(), code.trim().parse().unwrap())
    };
    let commands: Vec<_> = blocks.flat_map(str::lines).map(command).collect();
    assert!(commands.len() >= 4, "{name} has {} local commands", commands.len());
    commands
}

/// Runs the commands in a shell, one after the other, in `directory`; gives what each wrote to stdout.
async fn follow_in(
    directory: &Path,
    name: &str,
    variables: &[(&str, String)],
    mut before: impl AsyncFnMut(&str),
) -> Vec<(String, String)> {
    let programs = std::env::var("TEST_PROGRAM_DIR").map_or_else(
        |_| std::env::current_exe().unwrap().ancestors().nth(2).unwrap().display().to_string(),
        String::from,
    );
    let mut outputs = Vec::new();
    for (command, code) in local_commands(name) {
        before(&command).await;
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).env_clear().env("PATH", format!("{programs}:/usr/bin:/bin"));
        shell.envs(variables.iter().map(|(name, value)| (name, value))).current_dir(directory).stdin(Stdio::null());
        let output = shell.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {command}\n{said}");
        outputs.push((command, String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    outputs
}

/// Follows a cutover in an empty directory: what is no dry run says `equal`.
async fn follow(name: &str, variables: &[(&str, String)], before: impl AsyncFnMut(&str)) {
    let directory = tempfile::tempdir().unwrap();
    for (command, said) in follow_in(directory.path(), name, variables, before).await {
        assert!(command.contains("--dry-run") || said.contains("equal"), "{name}: {command} does not say equal");
    }
}

#[tokio::test]
async fn publishing_and_tearing_down_go_as_written() {
    // GIVEN both registries, empty, and two images as `make images` leaves them
    let ecr = Ecr::start("eu-west-2", Users::Token, &["db-migration", "s3-migration"]).await;
    let directory = tempfile::tempdir().unwrap();
    let images = directory.path().join("target/images");
    fs::create_dir_all(&images).unwrap();
    for (seed, name) in [(1, "db-migration"), (2, "s3-migration")] {
        let file = image_file(&format!("{name}:0.1.0"), seed, &[100_000]);
        fs::copy(file.path(), images.join(format!("{name}.tar"))).unwrap();
    }
    let variables = [
        ("ECR_ENDPOINT_URL", ecr.moto.endpoint()),
        ("ECR_REGISTRY_URL", ecr.registry.url()),
        ("AWS_ACCESS_KEY_ID", "AKIATEST".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        // moto's scan always finds one thing of high severity.
        ("MAX_SEVERITY", "critical".to_owned()),
    ];
    for (runbook, expected) in [
        (
            "02-publish-the-images.md",
            [("status", "present"), ("push", "Pin this in the task definition:"), ("pull-check", "is what was built")],
        ),
        ("07-tear-down.md", [("status", ""), ("remove", "are gone"), ("status", "")]),
    ] {
        let text = fs::read_to_string(root().join("runbooks").join(runbook)).unwrap();
        // WHEN the runbook is followed word by word
        let outputs = follow_in(directory.path(), runbook, &variables, async |_| {}).await;
        // THEN each command says what the runbook expects
        for (command, words) in expected {
            assert!(text.contains(words), "{runbook} does not speak of `{words}`");
            for (line, said) in outputs.iter().filter(|(line, _)| line.contains(&format!(" {command}"))) {
                assert!(said.contains(words), "{runbook}: {line} does not say `{words}`:\n{said}");
            }
        }
        let last = &outputs.last().unwrap().1;
        let gone = runbook.starts_with("07");
        assert_eq!(last.matches("absent").count(), if gone { 2 } else { 0 }, "{runbook}: {last}");
    }
}

#[tokio::test]
async fn the_database_cutover_goes_as_written() {
    let (source, target) = tokio::join!(postgres(13), postgres(17));
    let (source, target) = tokio::join!(source.database(), target.database());
    Estate::new(3, 5).create_database(&source.connect().await).await.unwrap();
    let client = tokio::task::spawn_blocking(|| postgres_client_bin_dir(17)).await.unwrap();
    let variables = [
        ("SOURCE_DATABASE_URL", source.url()),
        ("DATABASE_URL", target.url()),
        ("PG_BIN_DIR", client.display().to_string()),
    ];
    let freeze = format!("ALTER DATABASE {} SET default_transaction_read_only = on", source.name);
    follow("03-database-cutover.md", &variables, async |command| {
        if command.contains("--repair") {
            source.execute(&freeze).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_buckets_cutover_goes_as_written() {
    let engine = s3().await;
    let (source, target) = (engine.bucket().await, engine.bucket().await);
    Estate::new(3, 5).fill_bucket(&engine.client(), Bucket::BulkUpload, &source).await.unwrap();
    let variables = [
        ("PAAS_BUCKET", format!("s3://{source}")),
        ("PAAS_ACCESS_KEY_ID", engine.account.access_key_id.clone()),
        ("PAAS_SECRET_ACCESS_KEY", engine.account.secret_access_key.clone()),
        ("PAAS_ENDPOINT_URL", engine.endpoint.clone()),
        ("NEW_BUCKET", format!("s3://{target}")),
        ("NEW_ENDPOINT_URL", engine.endpoint.clone()),
        ("AWS_ACCESS_KEY_ID", engine.account.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", engine.account.secret_access_key.clone()),
    ];
    follow("04-buckets-cutover.md", &variables, async |command| {
        // An upload between the early copy and the freeze.
        if command.contains("second") {
            let put = engine.client().put_object().bucket(&source).key("late").body(b"late".to_vec().into());
            put.send().await.unwrap();
        }
    })
    .await;
}
