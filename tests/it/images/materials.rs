//! What is in an image, and what is said of it: size, labels, user, no shell, and a bill of materials that is right.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tests::engines::{PrivateNetwork, built_images, images_script};

/// What the images may take, programs and libraries together. Ours are development builds here, larger than what is released.
const BYTES_MAX: [(&str, u64); 2] = [("db-migration", 90_000_000), ("s3-migration", 70_000_000)];

fn inspect(name: &str, format: &str) -> String {
    let image = format!("{name}:under-test");
    let output = Command::new("docker").args(["image", "inspect", "--format", format, &image]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The names in an image's file system.
fn names(name: &str) -> String {
    let script =
        format!("id=$(docker create {name}:under-test) && docker export $id | tar -t; docker rm $id >/dev/null");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_images_are_small_labelled_ordinary_and_without_a_shell() {
    built_images();
    for (name, program) in [("db-migration", "migrate-db"), ("s3-migration", "migrate-s3")] {
        assert_eq!(inspect(name, "{{.Config.User}}"), "65532:65532");
        assert_eq!(inspect(name, "{{json .Config.Entrypoint}}"), format!("[\"/usr/bin/{program}\"]"));
        for label in ["title", "source", "revision", "version", "created", "licenses"] {
            let format = format!("{{{{index .Config.Labels \"org.opencontainers.image.{label}\"}}}}");
            assert!(!inspect(name, &format).is_empty(), "{name} has no label {label}");
        }
        let label =
            |label: &str| inspect(name, &format!("{{{{index .Config.Labels \"org.opencontainers.image.{label}\"}}}}"));
        assert_eq!((label("title"), label("version")), (name.to_owned(), env!("CARGO_PKG_VERSION").to_owned()));
        assert!(label("created").ends_with('Z') && label("created").len() == 20, "{}", label("created"));
        let names = names(name);
        let has = |path: &str| names.lines().any(|line| line == path);
        assert!(has("etc/ssl/certs/ca-certificates.crt") && has("var/lib/dpkg/status"), "{names}");
        for shell in ["sh", "bash", "dash", "busybox", "apt-get", "dpkg"] {
            assert!(!has(&format!("usr/bin/{shell}")), "{name} has {shell}");
        }
    }
    assert!(names("db-migration").contains("/bin/pg_dump"), "no pg_dump");
    for (name, bytes_max) in BYTES_MAX {
        let bytes = inspect(name, "{{.Size}}").parse::<u64>().unwrap();
        assert!(bytes < bytes_max, "{name} has {bytes} bytes");
    }
}

/// One file of an image.
fn content(name: &str, path: &str) -> String {
    let script =
        format!("id=$(docker create {name}:under-test) && docker cp $id:{path} - | tar -xO; docker rm $id >/dev/null");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The crates of `Cargo.lock` that the program needs on this platform, as Cargo itself lists them: name and version.
fn crates(program: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--locked", "--offline", "--prefix", "none", "--edges", "normal", "--format", "{p}"];
    let output = Command::new("cargo").args(arguments).args(["--package", program]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let crates = text.lines().filter(|line| !line.contains("(proc-macro)")).filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!("pkg:cargo/{}@{}", words.next()?, words.next()?.strip_prefix('v')?))
    });
    crates.collect()
}

#[test]
fn the_bills_of_materials_list_what_is_there_and_nothing_else() {
    let directory = built_images();
    for (name, program) in [("db-migration", "migrate-db"), ("s3-migration", "migrate-s3")] {
        let bill: Value =
            serde_json::from_slice(&fs::read(directory.join(format!("{name}.cdx.json"))).unwrap()).unwrap();
        assert_eq!(bill["bomFormat"], "CycloneDX");
        let components = bill["components"].as_array().unwrap();
        let listed: BTreeSet<_> = components.iter().map(|each| each["purl"].as_str().unwrap().to_owned()).collect();
        assert_eq!(listed.len(), components.len(), "{name} lists something twice");

        // GIVEN the packages that the image itself says it has files of
        let status = content(name, "/var/lib/dpkg/status");
        let field = |stanza: &str, field: &str| {
            stanza.lines().find_map(|line| line.strip_prefix(&format!("{field}: ")).map(str::to_owned)).unwrap()
        };
        let packages: BTreeSet<_> = status
            .trim()
            .split("\n\n")
            .map(|stanza| {
                let (package, version) = (field(stanza, "Package"), field(stanza, "Version"));
                format!("pkg:deb/debian/{package}@{version}?arch={}", field(stanza, "Architecture"))
            })
            .collect();
        // THEN the bill lists these packages; each left its terms; no library is there of a package that is not listed
        let in_bill: BTreeSet<_> = listed.iter().filter(|purl| purl.starts_with("pkg:deb/")).cloned().collect();
        assert_eq!(in_bill, packages, "{name}");
        let documented: BTreeSet<_> = names(name)
            .lines()
            .filter_map(|line| line.strip_prefix("usr/share/doc/")?.strip_suffix("/copyright").map(str::to_owned))
            .collect();
        for package in documented {
            assert!(packages.iter().any(|purl| purl.starts_with(&format!("pkg:deb/debian/{package}@"))), "{package}");
        }

        // AND the crates that Cargo links into the program, each from the lock with its checksum
        let in_bill: BTreeSet<_> = listed.iter().filter(|purl| purl.starts_with("pkg:cargo/")).cloned().collect();
        let missing: Vec<_> = crates(program).difference(&in_bill).cloned().collect();
        assert!(missing.is_empty(), "{name} does not list {missing:?}");
        assert!(!in_bill.iter().any(|purl| purl.contains("/proptest@") || purl.contains("/testcontainers@")));
        let unproved: Vec<_> = components
            .iter()
            .filter(|each| each["purl"].as_str().unwrap().starts_with("pkg:cargo/") && each["hashes"].is_null())
            .map(|each| each["name"].as_str().unwrap())
            .filter(|name| !Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name).exists())
            .collect();
        assert!(unproved.is_empty(), "{name}: crates without a checksum: {unproved:?}");
    }
}

#[test]
fn what_stands_in_the_way_of_building_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let script = || images_script("never", directory.path());
    let (mut no_engine, mut no_image, mut no_program) = (script(), script(), script());
    no_engine.env("DOCKER_HOST", "unix:///nowhere.sock");
    no_image.arg("db-migrations");
    no_program.arg("s3-migration").env("IMAGES_PROGRAMS", directory.path());
    for (mut command, words) in [
        (no_engine, "no Docker engine answers; start one"),
        (no_image, "there is no image db-migrations; there are db-migration and s3-migration"),
        (no_program, "there is no program migrate-s3 in"),
    ] {
        // WHEN the images are to be built, THEN one line says what is missing
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(words) && said.lines().count() == 1, "{words}: {said}");
    }
}

#[test]
fn tests_have_a_network_where_docker_has_no_addresses_left() {
    let network = PrivateNetwork::in_own_addresses();
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    let output = Command::new("docker").args(["network", "inspect", "--format", format, network.name()]).output();
    assert!(String::from_utf8(output.unwrap().stdout).unwrap().starts_with("10.231."));
}
