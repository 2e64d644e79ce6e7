//! `pg_dump` and `pg_restore` of a given major version, taken out of that version's engine image.
//!
//! A machine has the client of its own distribution, which may be older than the servers under test. The image's programs
//! come with their own libraries and loader, so they run on any older system too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use super::container::image;
use crate::program::target_directory;

const PROGRAMS: [&str; 3] = ["pg_dump", "pg_restore", "psql"];

/// Prints the programs of /usr/lib/postgresql and everything that the loader brings in, as a tar file.
const PACK: &str = r#"
set -eu
cd /usr/lib/postgresql/*/bin
for program in "$@"; do
    readlink -f "$program"
    ldd "$program" | grep -o '/[^ ]*'
done | sort -u | tar --create --dereference --files-from=- 2>/dev/null
"#;

/// A directory with `pg_dump`, `pg_restore` and `psql` of that major version, for `PG_BIN_DIR`.
///
/// Made once for each image and kept below the target directory.
///
/// # Panics
///
/// When the image cannot be had or its programs do not run here.
pub fn postgres_client_bin_dir(major: u16) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock();
    let image = image(&format!("postgres-{major}"));
    let name: String = image.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let directory = target_directory().join("test-tools").join(name);
    let bin = directory.join("bin");
    if !bin.exists() {
        let result = make(&image, &directory);
        result.unwrap_or_else(|error| panic!("pg_dump {major} cannot be taken out of {image}: {error}"));
    }
    bin
}

fn make(image: &str, directory: &Path) -> std::io::Result<()> {
    // Made aside and moved: another process that looks sees all of it or nothing.
    let aside = directory.with_extension(std::process::id().to_string());
    // What an earlier attempt of this process left is not to be built upon.
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    let root = aside.join("root");
    fs::create_dir_all(&root)?;
    let mut pack = Command::new("docker");
    pack.args(["run", "--rm", "--network=none", "--entrypoint=/bin/sh", image, "-c", PACK, "pack"]).args(PROGRAMS);
    let mut packing = pack.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let archive = packing.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = Command::new("tar").arg("-x").arg("-C").arg(&root).stdin(archive).status()?;
    if !packing.wait()?.success() || !unpacked.success() {
        return Err(std::io::Error::other("its programs and libraries could not be packed"));
    }
    let files = files_below(&root)?;
    let named = |matches: &dyn Fn(&str) -> bool| {
        let is = |file: &&PathBuf| file.file_name().and_then(|name| name.to_str()).is_some_and(matches);
        files.iter().find(is).and_then(|file| file.strip_prefix(&aside).ok())
    };
    let missing = |what: &str| std::io::Error::other(format!("it has no {what}"));
    let loader = named(&|name| name.starts_with("ld-linux") || name.starts_with("ld-musl"));
    let loader = loader.ok_or_else(|| missing("dynamic loader"))?;
    let mut libraries: Vec<_> = files.iter().filter_map(|file| file.parent()?.strip_prefix(&aside).ok()).collect();
    libraries.dedup();
    let libraries: Vec<_> = libraries.iter().map(|path| format!("$here/{}", path.display())).collect();
    fs::create_dir(aside.join("bin"))?;
    for program in PROGRAMS {
        let binary = named(&|name| name == program).ok_or_else(|| missing(program))?;
        let wrapper = format!(
            "#!/bin/sh\nhere=${{0%/bin/*}}\nexec \"$here/{}\" --library-path \"{}\" \"$here/{}\" \"$@\"\n",
            loader.display(),
            libraries.join(":"),
            binary.display(),
        );
        let path = aside.join("bin").join(program);
        fs::write(&path, wrapper)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        let runs = Command::new(&path).arg("--version").stdout(Stdio::null()).status()?;
        if !runs.success() {
            return Err(std::io::Error::other(format!("its {program} does not run on this machine")));
        }
    }
    fs::rename(&aside, directory)
}

/// All files below a directory, in a stable order.
fn files_below(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}
