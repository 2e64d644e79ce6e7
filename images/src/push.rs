//! `publish-images push`: blobs first, then the manifest, then the scan. What is there already is not sent again, so a
//! push that was cut off goes on where it was, and one that is done sends nothing.

use std::time::Duration;

use common::ecr::Repository as Found;
use common::progress::Progress;
use common::progress::display::Display;
use common::settings::LogFormat;
use common::units::{bytes, counted};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::args::{ImageArgs, Severity};
use crate::config::Config;
use crate::destination::{Destination, place};
use crate::error::Error;
use crate::image::archive::Image;
use crate::image::{Content, engine};
use crate::registry::upload::Pushed;
use crate::scan;

/// What is asked of a push.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The severity from which on findings are not accepted.
    pub max_severity: Severity,
    /// How long the scan may take; `None` does not wait for it.
    pub scan_timeout: Option<Duration>,
}

/// Pushes the image that `args` names, and gives the result as text or JSON.
pub async fn push(
    config: &Config,
    args: &ImageArgs,
    options: Options,
    stop: &CancellationToken,
) -> Result<String, Error> {
    let loaded = engine::load(&args.source).await?;
    let image = &loaded.image;
    let (name, tag) = place(config, args, image)?;
    let (destination, found) = Destination::find(config, &name, stop).await?;
    refuse_taken_tag(&destination, &found, &tag, image).await?;
    let sent_count = push_blobs(config, &destination, image).await?;
    let before = destination.tag(destination.repository(), &found, &tag, &image.manifest).await?;
    let digest = &image.manifest.digest;
    let findings = match options.scan_timeout {
        None => None,
        Some(timeout) => Some(scan::wait(config, &destination.control, (&name, digest), timeout, stop).await?),
    };
    if let Some(found) = findings.as_ref().and_then(|findings| scan::unacceptable(findings, options.max_severity)) {
        let max = options.max_severity.word();
        return Err(Error::Severe { digest: digest.clone(), findings: found, max });
    }
    let pinned = destination.pinned(digest);
    if config.log_format == LogFormat::Json {
        let result = json!({
            "type": "pushed", "schema_version": 1, "repository": name, "tag": tag, "digest": digest, "image": pinned,
            "blobs": image.blobs.len(), "blobs_sent": sent_count, "bytes": image.size(), "replaced": before,
            "scan_findings": findings,
        });
        return Ok(result.to_string());
    }
    let moved = match &before {
        Some(before) if before == digest => "it was there already".to_owned(),
        Some(before) => format!("the tag was {before} before"),
        None => "the tag is new".to_owned(),
    };
    let scanned = findings.as_ref().map_or_else(|| "not waited for".to_owned(), scan::in_words);
    let blobs = counted(image.blobs.len() as u64, "blob");
    Ok(format!(
        "{name}:{tag} is in the registry; {moved}\n  {blobs}, {}; {sent_count} sent\n  scan: {scanned}\n  \
         Pin this in the task definition:\n{pinned}\n",
        bytes(image.size()),
    ))
}

/// A tag that cannot be moved is found out before anything is sent.
async fn refuse_taken_tag(destination: &Destination, found: &Found, tag: &str, image: &Image) -> Result<(), Error> {
    if found.mutable_tags {
        return Ok(());
    }
    let repository = destination.repository();
    let failed = Error::registry("look up", format!("{}:{tag}", repository.display_name()));
    match repository.manifest(tag).await.map_err(failed)? {
        Some(taken) if taken.digest != image.manifest.digest => {
            Err(Error::FixedTag { tag: tag.to_owned(), repository: repository.name().to_owned(), digest: taken.digest })
        }
        _ => Ok(()),
    }
}

/// Brings all blobs into the registry; gives how many were sent.
async fn push_blobs(config: &Config, destination: &Destination, image: &Image) -> Result<usize, Error> {
    let progress = Progress::new("blobs");
    progress.begin_phase("push", Some(image.size()), Some(image.blobs.len() as u64));
    let display = Display::start(progress.clone(), config.log_format, config.progress_interval);
    let content = Content::File(image.path.clone());
    let mut sent_count = 0;
    for blob in &image.blobs {
        let _working = progress.working_on(blob.digest.clone());
        let failed =
            Error::registry("push the blob", format!("{} to {}", blob.digest, destination.repository().display_name()));
        let pushed = destination.repository().push_blob(blob, &content, &progress).await.map_err(failed)?;
        sent_count += usize::from(pushed == Pushed::Sent);
        progress.add_items(1);
    }
    display.finish().await;
    Ok(sent_count)
}
