//! Images in the Docker engine: saved to a file beside our other temporary ones, and read from there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use super::archive::{ArchiveError, Image};
use crate::error::Error;

/// How long saving may take.
const SAVE_MAX: Duration = Duration::from_mins(10);

/// What an image's name begins with when it is in the engine.
pub const SCHEME: &str = "docker:";

/// An image, and the directory that its file lies in when we made it.
#[derive(Debug)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    _directory: Option<TempDir>,
}

/// Loads an image from a file, or from the engine when `source` begins with [`SCHEME`].
pub async fn load(source: &str) -> Result<Loaded, Error> {
    let Some(name) = source.strip_prefix(SCHEME) else { return loaded(Path::new(source), None).await };
    let unwritable = |cause| Error::Engine { name: name.to_owned(), reason: format!("no temporary file: {cause}") };
    let directory = tempfile::tempdir().map_err(unwritable)?;
    let path = directory.path().join("image.tar");
    // Without a tag the engine would save all tags of that name.
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    let tagged = if has_tag { name.to_owned() } else { format!("{name}:latest") };
    save(&tagged, &path).await?;
    loaded(&path, Some(directory)).await
}

async fn loaded(path: &Path, directory: Option<TempDir>) -> Result<Loaded, Error> {
    let path = path.to_owned();
    let outcome = common::tasks::blocking(move || Image::load(&path)).await;
    let image = outcome.map_err(|failure| ArchiveError::Unreadable {
        path: Path::new("the image").to_owned(),
        source: std::io::Error::other(failure),
    })??;
    Ok(Loaded { image, _directory: directory })
}

async fn save(name: &str, path: &Path) -> Result<(), Error> {
    let failed = |reason: String| Error::Engine { name: name.to_owned(), reason };
    let mut command = Command::new("docker");
    command.args(["image", "save", "--output"]).arg(path).arg("--").arg(name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(SAVE_MAX, command.output()).await;
    let output = output.map_err(|_| failed(format!("docker did not save it within {} s", SAVE_MAX.as_secs())))?;
    let output = output.map_err(|error| failed(format!("docker cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(common::units::one_line(&String::from_utf8_lossy(&output.stderr))))
}
