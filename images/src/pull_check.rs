//! `publish-images pull-check`: everything that a task would pull is read from the registry, hashed, and held against what
//! was built. Changes nothing.

use common::progress::Progress;
use common::progress::display::Display;
use common::settings::LogFormat;
use common::units::{bytes, counted};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::args::ImageArgs;
use crate::config::Config;
use crate::destination::{Destination, place};
use crate::error::Error;
use crate::image::{Blob, engine};
use crate::registry::Repository;
use crate::registry::failure::Failure;

/// Checks the image that `args` names, and gives the result as text or JSON.
pub async fn pull_check(config: &Config, args: &ImageArgs, stop: &CancellationToken) -> Result<String, Error> {
    let loaded = engine::load(&args.source).await?;
    let image = &loaded.image;
    let (name, tag) = place(config, args, image)?;
    let (destination, _) = Destination::find(config, &name, stop).await?;
    let repository = destination.repository();
    let reference = format!("{}:{tag}", repository.display_name());
    let different = |difference: String| Error::Different { reference: reference.clone(), difference };
    let manifest = repository.manifest(&tag).await.map_err(Error::registry("pull the manifest of", &*reference))?;
    let manifest = manifest.ok_or_else(|| different("there is no such tag".into()))?;
    if manifest.digest != image.manifest.digest {
        return Err(different(format!("its digest is {}, the built one's {}", manifest.digest, image.manifest.digest)));
    }
    let progress = Progress::new("blobs");
    progress.begin_phase("pull", Some(image.size()), Some(image.blobs.len() as u64));
    let display = Display::start(progress.clone(), config.log_format, config.progress_interval);
    for blob in &image.blobs {
        let read = read(repository, blob, &progress).await.map_err(Error::registry("pull the blob", &*blob.digest))?;
        if read != blob.digest {
            return Err(different(format!("what comes for {} has the digest {read}", blob.digest)));
        }
        progress.add_items(1);
    }
    display.finish().await;
    let (count, size, pinned) = (image.blobs.len(), image.size(), destination.pinned(&manifest.digest));
    Ok(if config.log_format == LogFormat::Json {
        let result = json!({
            "type": "pull-check", "schema_version": 1, "repository": name, "tag": tag, "digest": manifest.digest,
            "image": pinned, "blobs": count, "bytes": size, "equal": true,
        });
        result.to_string()
    } else {
        let blobs = counted(count as u64, "blob");
        format!("{name}:{tag} is what was built: manifest and {blobs}, {}, read and hashed\n{pinned}\n", bytes(size))
    })
}

/// Reads a blob to its end and gives the digest of what came; a connection that breaks is taken up where it broke.
async fn read(repository: &Repository, blob: &Blob, progress: &Progress) -> Result<String, Failure> {
    const ATTEMPTS_MAX: u32 = 8;
    let (mut hash, mut offset, mut attempt) = (Sha256::new(), 0_u64, 0);
    loop {
        let outcome = async {
            let mut body = repository.blob(&blob.digest, offset).await?;
            while let Some(piece) = body.next().await? {
                hash.update(&piece);
                offset += piece.len() as u64;
                progress.add_bytes(piece.len() as u64);
            }
            Ok(())
        };
        match outcome.await {
            Ok(()) => return Ok(format!("sha256:{}", hex::encode(hash.finalize()))),
            Err(failure @ (Failure::Broken(_) | Failure::Silent)) => {
                attempt += 1;
                if attempt == ATTEMPTS_MAX {
                    return Err(failure);
                }
                tokio::time::sleep(common::retry::RetryPolicy::REQUEST.delay(attempt)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}
