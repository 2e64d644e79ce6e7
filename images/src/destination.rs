//! Where an image goes: the repository in ECR, looked up, and its end of the registry's protocol.

use common::ecr;
use tokio_util::sync::CancellationToken;

use crate::args::ImageArgs;
use crate::config::Config;
use crate::error::Error;
use crate::image::archive::Image;
use crate::registry::access::Access;
use crate::registry::http::Http;
use crate::registry::reference::{is_repository, is_tag};
use crate::registry::{Manifest, Repository};

/// The word for messages of the HTTP client.
const SERVICE: &str = "the registry";

/// ECR, with tokens.
#[derive(Debug)]
pub struct Destination {
    /// The control plane.
    pub control: ecr::Registry,
    repository: Repository,
    uri: String,
}

impl Destination {
    /// Finds the repository `name`, and gets a token.
    pub async fn find(config: &Config, name: &str, stop: &CancellationToken) -> Result<(Self, ecr::Repository), Error> {
        let control = config.registry(stop).await?;
        let found = require(config, &control, name).await?;
        let failed = Error::registry("get a token for", name);
        let access = Access::ecr(control.clone()).await.map_err(failed)?;
        let address = match &config.registry_url {
            Some(url) => url.clone(),
            None => control.address().await.map_err(config.request_failed("get a token", name))?,
        };
        let http = Http::new(common::aws::connector(&address, SERVICE)?);
        let repository = Repository::new(http, &address, name, access, stop.clone()).with_patience(config.patience);
        Ok((Self { control, repository, uri: found.uri.clone() }, found))
    }

    /// The registry's end of the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What a task definition names: `URI@sha256:…`.
    pub fn pinned(&self, digest: &str) -> String {
        format!("{}@{digest}", self.uri)
    }

    /// Puts the manifest under `reference`, unless it is there; gives the digest that had the reference before.
    pub async fn tag(
        &self,
        repository: &Repository,
        found: &ecr::Repository,
        reference: &str,
        manifest: &Manifest,
    ) -> Result<Option<String>, Error> {
        let subject = format!("{}:{reference}", repository.display_name());
        let failed = |action| Error::registry(action, subject.clone());
        let before = repository.manifest(reference).await.map_err(failed("look up"))?.map(|known| known.digest);
        let fixed = |digest: String| Error::FixedTag {
            tag: reference.to_owned(),
            repository: repository.name().to_owned(),
            digest,
        };
        match before {
            Some(digest) if digest == manifest.digest => return Ok(Some(digest)),
            Some(digest) if !found.mutable_tags => return Err(fixed(digest)),
            _ => {}
        }
        match repository.put_manifest(reference, manifest).await {
            Err(failure) if failure.is_fixed_tag() => Err(fixed(before.unwrap_or_else(|| "another image".into()))),
            put => put.map(|()| before).map_err(failed("put the manifest")),
        }
    }
}

/// The repository `name`; that there is none is an error.
pub async fn require(config: &Config, control: &ecr::Registry, name: &str) -> Result<ecr::Repository, Error> {
    let found = control.repository(name).await.map_err(config.request_failed("look up the repository", name))?;
    let registries = &config.registries;
    let switch = if name == registries.db_migration {
        "set create_db_migration_infra = true in Terraform and apply that in the meta account"
    } else if name == registries.s3_migration {
        "set create_s3_migration_infra = true in Terraform and apply that in the meta account"
    } else {
        "create it"
    };
    found.ok_or_else(|| Error::NoRepository {
        name: name.to_owned(),
        region: config.side.region.clone(),
        how: format!("{switch}; if it should be there already, check the account (--registry-id) and the region"),
    })
}

/// Repository and tag of an image: what was asked for, else the image's own.
pub fn place(config: &Config, args: &ImageArgs, image: &Image) -> Result<(String, String), Error> {
    let missing = |what: &str, flag: &str| common::settings::SettingError::Missing {
        what: format!("the {what} for {}", image.path.display()),
        how: format!("the image has none of its own: give {flag}"),
    };
    let own = image.name.as_deref().map(|name| match name {
        "db-migration" => config.registries.db_migration.clone(),
        "s3-migration" => config.registries.s3_migration.clone(),
        other => other.to_owned(),
    });
    let repository = args.repository.clone().or(own).ok_or_else(|| missing("repository", "--repository"))?;
    let tag = args.tag.clone().or_else(|| image.tag.clone()).ok_or_else(|| missing("tag", "--tag"))?;
    let invalid = |name: &str, value: &str, reason: &str| common::settings::SettingError::Invalid {
        name: format!("{name} `{value}`"),
        reason: reason.into(),
        how: None,
    };
    if !is_repository(&repository) {
        Err(invalid("--repository", &repository, "it has small letters, digits and -._ between slashes"))?;
    }
    if !is_tag(&tag) {
        Err(invalid("--tag", &tag, "it has up to 128 letters, digits and -._, and begins with none of -."))?;
    }
    Ok((repository, tag))
}
