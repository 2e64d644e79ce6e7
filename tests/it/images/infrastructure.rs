//! Permissions, policies, task definitions and the Terraform module say the same, and what the programs need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::program::Program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder whose names end in `suffix`.
fn files(folder: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path.strip_prefix(root()).unwrap().display().to_string(), suffix));
        } else if path.display().to_string().ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Everything in `text` that looks like an action: `s3:GetObject`.
fn actions_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|each: char| !each.is_ascii_alphanumeric() && each != ':');
    let services = ["s3", "kms", "ecr", "logs", "secretsmanager"];
    let is_action = |word: &&str| {
        word.split_once(':').is_some_and(|(service, name)| {
            services.contains(&service) && name.starts_with(|first: char| first.is_ascii_uppercase())
        })
    };
    words.filter(is_action).map(str::to_owned).collect()
}

/// The actions that the SDK's requests in the programs' sources need.
fn actions_of_requests() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in ["common/src", "migrate-s3/src", "images/src", "migrate-db/src"] {
        for path in files(folder, ".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            let service = if path.ends_with("ecr.rs") { "ecr" } else { "s3" };
            for call in shipped.split('.').filter_map(|rest| rest.split_once("()")).map(|(call, _)| call) {
                if let Some(action) = action_of(service, call) {
                    found.insert(action, path.display().to_string());
                }
            }
        }
    }
    found
}

/// The action behind a request; `None` for what is no request.
fn action_of(service: &str, call: &str) -> Option<String> {
    let verbs =
        ["get", "put", "head", "list", "create", "upload", "complete", "abort", "delete", "describe", "start", "copy"];
    let nouns = ["object", "bucket", "multipart", "part", "image", "repositor", "authorization"];
    let is_request = verbs.iter().any(|verb| call.starts_with(&format!("{verb}_")))
        && nouns.iter().any(|noun| call.contains(noun))
        && call.chars().all(|each| each.is_ascii_lowercase() || each == '_' || each.is_ascii_digit());
    let name = match call {
        "list_objects_v2" | "list_objects" => "ListBucket".into(),
        "list_parts" => "ListMultipartUploadParts".into(),
        "list_object_versions" => "ListBucketVersions".into(),
        "head_object" => "GetObject".into(),
        "create_multipart_upload" | "upload_part" | "complete_multipart_upload" => "PutObject".into(),
        "list_multipart_uploads" => "ListBucketMultipartUploads".into(),
        "get_bucket_lifecycle_configuration" => "GetLifecycleConfiguration".into(),
        other => other.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect::<String>(),
    };
    is_request.then(|| format!("{service}:{name}"))
}

#[test]
fn every_request_has_its_permission_and_every_permission_is_explained() {
    let documented = actions_in(&read("runbooks/reference/permissions.md"));
    let mut granted = BTreeSet::new();
    for path in files("images/policies", ".json") {
        let policy: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(policy["Version"], "2012-10-17", "{}", path.display());
        granted.extend(actions_in(&policy.to_string()));
    }
    let requests = actions_of_requests();
    assert!(requests.len() >= 14, "the sources were not understood: {requests:?}");
    for (action, path) in requests {
        assert!(granted.contains(&action), "{path} needs {action}, which no policy in images/policies grants");
    }
    assert_eq!(granted, documented, "runbooks/reference/permissions.md and images/policies differ");
}

#[test]
fn every_preflight_that_looks_at_a_permission_exists() {
    let folders = ["migrate-s3/src/preflight", "migrate-db/src/preflight", "migrate-db/src", "platform/src"];
    let sources: String =
        folders.iter().flat_map(|folder| files(folder, ".rs")).map(|path| fs::read_to_string(path).unwrap()).collect();
    let text = read("runbooks/reference/permissions.md");
    let named: BTreeSet<_> = text.split("preflight `").skip(1).map(|rest| rest.split('`').next().unwrap()).collect();
    assert!(named.len() >= 9, "{named:?}");
    for name in named {
        let words = name.strip_prefix("source ").or(name.strip_prefix("target ")).unwrap_or(name);
        assert!(
            sources.contains(&format!("\"{name}\"")) || sources.contains(&format!("{{}} {words}\"")),
            "no preflight is called {name}"
        );
    }
}

#[test]
fn each_policy_has_its_own_section() {
    let text = read("runbooks/reference/permissions.md");
    for path in files("images/policies", ".json") {
        let name = format!("images/policies/{}", path.file_name().unwrap().to_str().unwrap());
        let (_, section) = text.split_once(&format!("`{name}`\n")).unwrap_or_else(|| panic!("no section for {name}"));
        let section = section.split("\n## ").next().unwrap();
        assert_eq!(actions_in(section), actions_in(&read(&name)), "{name}");
    }
}

#[test]
fn terraform_grants_what_the_policies_grant() {
    let roles = read("images/terraform/roles.tf");
    for (name, resource) in [
        ("execution-role", "aws_iam_role_policy\" \"execution"),
        ("db-migration-task-role", "aws_iam_role_policy\" \"db_migration"),
        ("s3-migration-task-role", "aws_iam_role_policy\" \"s3_migration"),
    ] {
        let (_, block) = roles.split_once(resource).unwrap();
        let block = block.split("\nresource ").next().unwrap();
        assert_eq!(actions_in(block), actions_in(&read(&format!("images/policies/{name}.json"))), "{name}");
    }
}

/// The names under `key` of the first container.
fn names(definition: &Value, key: &str) -> BTreeSet<String> {
    let list = definition["containerDefinitions"][0][key].as_array().unwrap();
    list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn task_definitions_are_locked_down_and_name_variables_that_exist() {
    let tasks = read("images/terraform/tasks.tf");
    for (name, program) in [("db-migration", Program::migrate_db()), ("s3-migration", Program::migrate_s3())] {
        let definition = json(&format!("images/task-definitions/{name}.json"));
        let container = &definition["containerDefinitions"][0];
        assert_eq!(container["readonlyRootFilesystem"], true);
        assert_eq!(container["user"], "65532:65532");
        assert_eq!(container["stopTimeout"], 30);
        assert_eq!(container["linuxParameters"]["capabilities"]["drop"][0], "ALL");
        assert!(container["image"].as_str().unwrap().contains(&format!("/{name}@sha256:")), "pinned by digest");
        assert_eq!(container["mountPoints"], Value::Null, "nothing to write to");

        let help = program.arg("--help").run().await.stdout;
        let (_, block) = tasks.split_once(&format!("name  = \"{name}\"")).unwrap();
        let block = block.split("\nresource ").next().unwrap();
        for variable in names(&definition, "environment").union(&names(&definition, "secrets")) {
            assert!(help.contains(variable.as_str()), "{name} does not know {variable}");
            assert!(block.contains(&format!("\"{variable}\"")), "Terraform's {name} lacks {variable}");
        }
        let secret = ["PASSWORD", "SECRET", "DATABASE_URL", "ACCESS_KEY"];
        let open = names(&definition, "environment");
        assert!(
            !open.iter().any(|name| secret.iter().any(|word| name.contains(word))),
            "a secret in the open: {open:?}"
        );
    }
}

#[test]
fn the_module_is_whole_and_behind_its_switch() {
    let all: String = files("images/terraform", ".tf").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for (open, close) in [('{', '}'), ('[', ']'), ('(', ')')] {
        assert_eq!(all.matches(open).count(), all.matches(close).count(), "{open} and {close}");
    }
    for declaration in all.lines().filter_map(|line| line.strip_prefix("variable \"")) {
        let name = declaration.split('"').next().unwrap();
        assert!(all.contains(&format!("var.{name}")), "the variable {name} is not used");
    }
    let used = all.split("var.").skip(1);
    for name in used.map(|rest| rest.split(|each: char| !each.is_ascii_alphanumeric() && each != '_').next().unwrap()) {
        assert!(all.contains(&format!("variable \"{name}\"")), "the variable {name} is not declared");
    }
    for resource in all.split("\nresource ").skip(1) {
        let head: Vec<_> = resource.lines().take(3).collect();
        assert!(
            head.iter().any(|line| line.contains("count") || line.contains("for_each")),
            "not behind the switch: {head:?}"
        );
    }
}
