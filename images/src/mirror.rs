//! `publish-images mirror`: images of another registry, copied into ECR as they are: same bytes, same digests, same tags.
//!
//! An index (one name for several platforms) goes with everything that it names. What is there already is not sent.

use std::fmt::Write as _;
use std::sync::Arc;

use common::ecr::Repository as Found;
use common::progress::Progress;
use common::progress::display::Display;
use common::settings::{LogFormat, SettingError};
use common::units::{bytes, counted};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::destination::Destination;
use crate::error::Error;
use crate::image::{Content, named_by};
use crate::registry::access::Access;
use crate::registry::failure::Failure;
use crate::registry::http::Http;
use crate::registry::reference::{Reference, Selection, is_digest, is_repository};
use crate::registry::upload::Pushed;
use crate::registry::{Manifest, Repository};

/// Indexes within indexes: one is what the formats foresee.
const DEPTH_MAX: usize = 4;

/// What was done with one tag or digest.
struct Copied {
    source: String,
    target: String,
    digest: String,
    blobs_sent: usize,
}

/// Copies what `source` names to the repository `target`, and gives the result as text or JSON.
pub async fn mirror(config: &Config, source: &str, target: &str, stop: &CancellationToken) -> Result<String, Error> {
    let invalid = |name: String, reason: String| SettingError::Invalid { name, reason, how: None };
    let reference = Reference::parse(source).map_err(|reason| invalid("the source of the mirror".into(), reason))?;
    let prefix = target.trim_end_matches('/');
    if !is_repository(prefix) {
        Err(invalid(format!("the target `{target}`"), "it is the name of a repository in ECR, without a host".into()))?;
    }
    let http = Http::new(common::aws::connector(&reference.base, "the registry to mirror")?);
    let access = Access::user(config.mirror_user.clone());
    let registry = Repository::new(http, &reference.base, &reference.name, access, stop.clone());
    let pairs = repositories(&reference, &registry, prefix).await?;
    let progress = Progress::new("images");
    progress.begin_phase("mirror", None, None);
    let display = Display::start(progress.clone(), config.log_format, config.progress_interval);
    let mut copied = Vec::new();
    for (source, target) in pairs {
        let (destination, found) = Destination::find(config, &target, stop).await?;
        let source = Arc::new(source);
        for tag in references(&reference, &source).await? {
            let copy = Copy { source: &source, destination: &destination, found: &found, progress: &progress };
            copied.push(copy.image(&tag).await?);
            progress.add_items(1);
        }
    }
    display.finish().await;
    if copied.is_empty() {
        Err(SettingError::Missing { what: format!("an image: {source} has none"), how: "check the name".into() })?;
    }
    Ok(result(config, &copied, progress.snapshot().bytes_done))
}

/// The repositories to copy, each with the name of its target.
async fn repositories(
    reference: &Reference,
    registry: &Repository,
    prefix: &str,
) -> Result<Vec<(Repository, String)>, Error> {
    if reference.selection != Selection::Namespace {
        return Ok(vec![(registry.sibling(&reference.name), prefix.to_owned())]);
    }
    let below = format!("{}/", reference.name);
    let names = registry.catalog().await.map_err(Error::registry("list the repositories of", &*reference.base))?;
    let names = names.iter().filter_map(|name| Some((name, name.strip_prefix(&below)?)));
    Ok(names.map(|(name, rest)| (registry.sibling(name), format!("{prefix}/{rest}"))).collect())
}

/// The tags or the digest to copy of one repository.
async fn references(reference: &Reference, source: &Repository) -> Result<Vec<String>, Error> {
    match &reference.selection {
        Selection::One(one) => Ok(vec![one.clone()]),
        Selection::Tags | Selection::Namespace => {
            source.tags().await.map_err(Error::registry("list the tags of", source.display_name()))
        }
    }
}

/// What the copy of one image needs.
struct Copy<'c> {
    source: &'c Arc<Repository>,
    destination: &'c Destination,
    found: &'c Found,
    progress: &'c Progress,
}

impl Copy<'_> {
    async fn image(&self, reference: &str) -> Result<Copied, Error> {
        let separator = if is_digest(reference) { '@' } else { ':' };
        let _working = self.progress.working_on(format!("{}{separator}{reference}", self.source.name()));
        let manifest = self.pull(reference).await?;
        let blobs_sent = self.content(&manifest, 0).await?;
        let target = self.destination.repository();
        self.destination.tag(target, self.found, reference, &manifest).await?;
        Ok(Copied {
            source: format!("{}{separator}{reference}", self.source.display_name()),
            target: format!("{}{separator}{reference}", target.name()),
            digest: manifest.digest,
            blobs_sent,
        })
    }

    async fn pull(&self, reference: &str) -> Result<Manifest, Error> {
        let subject = format!("{} {reference}", self.source.display_name());
        let manifest =
            self.source.manifest(reference).await.map_err(Error::registry("pull the manifest of", &*subject))?;
        let absent = || Failure::Answer { status: 404, code: "MANIFEST_UNKNOWN".into(), message: String::new() };
        manifest.ok_or_else(|| Error::registry("pull the manifest of", subject)(absent()))
    }

    /// Copies everything that a manifest names, so that the manifest itself can be put; gives how many blobs were sent.
    async fn content(&self, manifest: &Manifest, depth: usize) -> Result<usize, Error> {
        let unusable =
            |reason: String| Error::registry("copy the manifest", &*manifest.digest)(Failure::Protocol(reason));
        let named = named_by(manifest).map_err(unusable)?;
        if depth >= DEPTH_MAX {
            return Err(unusable(format!("indexes lie {DEPTH_MAX} deep")));
        }
        let mut sent = 0;
        for digest in &named.manifests {
            let child = self.pull(digest).await?;
            sent += Box::pin(self.content(&child, depth + 1)).await?;
            let target = self.destination.repository();
            self.destination.tag(target, self.found, digest, &child).await?;
        }
        let content = Content::Registry(Arc::clone(self.source));
        for blob in &named.blobs {
            let failed = Error::registry("copy the blob", &*blob.digest);
            let pushed =
                self.destination.repository().push_blob(blob, &content, self.progress).await.map_err(failed)?;
            sent += usize::from(pushed == Pushed::Sent);
        }
        Ok(sent)
    }
}

fn result(config: &Config, copied: &[Copied], size: u64) -> String {
    if config.log_format == LogFormat::Json {
        let images = copied.iter().map(|image| {
            json!({ "source": image.source, "target": image.target, "digest": image.digest, "blobs_sent": image.blobs_sent })
        });
        let images: Vec<_> = images.collect();
        return json!({ "type": "mirrored", "schema_version": 1, "images": images }).to_string();
    }
    let mut text = String::new();
    for Copied { source, target, digest, blobs_sent } in copied {
        // A string takes whatever is written to it.
        let _ = writeln!(text, "{source} is {target}\n  {digest}; {blobs_sent} sent");
    }
    let _ = writeln!(text, "{} mirrored, {}", counted(copied.len() as u64, "image"), bytes(size));
    text
}
