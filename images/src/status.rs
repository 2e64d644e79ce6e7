//! `publish-images status`: which registries there are and which images they hold. Only reads.

use std::fmt::Write as _;

use common::ecr::{Image, Registry, Repository};
use common::settings::LogFormat;
use common::units::{bytes, counted};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;

/// Version of the schema of the JSON result.
const SCHEMA_VERSION: u32 = 1;

/// Characters of a digest that are shown to people: `sha256:` and 12 digits.
const DIGEST_SHOWN: usize = 19;

/// What was found out.
#[derive(Debug, Serialize)]
struct Status {
    r#type: &'static str,
    schema_version: u32,
    account: Option<String>,
    region: String,
    repositories: Vec<RepositoryStatus>,
}

/// One repository that there should be while data is being migrated.
#[derive(Debug, Serialize)]
struct RepositoryStatus {
    name: String,
    present: bool,
    /// The variable of the infrastructure's Terraform that creates it.
    terraform_variable: &'static str,
    repository: Option<Repository>,
    /// Newest first, as many as were asked for.
    images: Vec<Image>,
    images_omitted: usize,
}

/// Asks the registries and gives the result as text or JSON.
pub async fn status(config: &Config, images_shown: usize, stop: &CancellationToken) -> Result<String, Error> {
    let registry = config.registry(stop).await?;
    let mut repositories = Vec::with_capacity(2);
    for (name, terraform_variable) in [
        (&config.registries.db_migration, "create_db_migration_infra"),
        (&config.registries.s3_migration, "create_s3_migration_infra"),
    ] {
        repositories.push(repository(config, &registry, images_shown, name, terraform_variable).await?);
    }
    let status = Status {
        r#type: "registries",
        schema_version: SCHEMA_VERSION,
        account: config.registries.account.clone(),
        region: config.side.region.clone(),
        repositories,
    };
    Ok(match config.log_format {
        LogFormat::Text => text(&status),
        // A value made of strings, numbers and lists always has a JSON form.
        LogFormat::Json => serde_json::json!(status).to_string(),
    })
}

async fn repository(
    config: &Config,
    registry: &Registry,
    images_shown: usize,
    name: &str,
    terraform_variable: &'static str,
) -> Result<RepositoryStatus, Error> {
    let failed = |action| config.request_failed(action, name);
    let repository = registry.repository(name).await.map_err(failed("look up the repository"))?;
    let mut images = match &repository {
        Some(_) => registry.images(name).await.map_err(failed("list the images"))?,
        None => Vec::new(),
    };
    let images_omitted = images.len().saturating_sub(images_shown);
    images.truncate(images_shown);
    let present = repository.is_some();
    Ok(RepositoryStatus { name: name.to_owned(), present, terraform_variable, repository, images, images_omitted })
}

fn text(status: &Status) -> String {
    let account = status.account.as_deref().unwrap_or("the account of these credentials");
    let mut text = format!("registries of {account} in {}\n", status.region);
    for repository in &status.repositories {
        text.push('\n');
        match &repository.repository {
            Some(found) => present(&mut text, repository, found),
            None => {
                let _ = writeln!(
                    text,
                    "{}: absent\n  It exists only while data is being migrated.\n  To switch it on, set {} = true in Terraform \
                     and apply that in the meta account.\n  If it should be there already, check the account and the \
                     region.",
                    repository.name, repository.terraform_variable,
                );
            }
        }
    }
    text
}

fn present(text: &mut String, status: &RepositoryStatus, repository: &Repository) {
    let tags = if repository.mutable_tags { "tags can be moved" } else { "tags are fixed" };
    let scan = if repository.scan_on_push { "scanned on push" } else { "not scanned on push" };
    let _ = writeln!(text, "{}: present, {tags}, {scan}\n  {}", status.name, repository.uri);
    if status.images.is_empty() {
        text.push_str("  no images yet\n");
        return;
    }
    let rows: Vec<[String; 5]> = status.images.iter().map(row).collect();
    let head = ["tag", "digest", "pushed", "size", "scan"];
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 4] = std::array::from_fn(width);
    for row in [head.map(str::to_owned)].iter().chain(&rows) {
        let _ = writeln!(
            text,
            "  {:<4$}  {:<5$}  {:<6$}  {:>7$}  {scan}",
            row[0],
            row[1],
            row[2],
            row[3],
            widths[0],
            widths[1],
            widths[2],
            widths[3],
            scan = row[4],
        );
    }
    if status.images_omitted > 0 {
        let _ = writeln!(text, "  and {} older", counted(status.images_omitted as u64, "image"));
    }
}

fn row(image: &Image) -> [String; 5] {
    let tags = if image.tags.is_empty() { "(none)".into() } else { image.tags.join(", ") };
    let pushed = image.pushed_at.map_or_else(|| "?".into(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string());
    let findings: Vec<String> =
        image.scan_findings.iter().map(|(severity, count)| format!("{count} {severity}")).collect();
    let scan =
        if findings.is_empty() { image.scan.clone() } else { format!("{}: {}", image.scan, findings.join(", ")) };
    [
        tags,
        image.digest.chars().take(DIGEST_SHOWN).collect(),
        pushed,
        image.size_bytes.map_or_else(|| "?".into(), bytes),
        scan,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(tags: &[&str], minute: u8) -> Image {
        Image {
            digest: format!("sha256:{minute:064x}"),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            pushed_at: Some(format!("2026-03-01T21:{minute:02}:00Z").parse().unwrap()),
            size_bytes: Some(31_400_000 * u64::from(minute)),
            scan: "complete".into(),
            scan_findings: [("high".to_owned(), 1), ("low".to_owned(), 2)].into(),
        }
    }

    #[test]
    fn what_is_there_and_what_is_not() {
        let status = Status {
            r#type: "registries",
            schema_version: SCHEMA_VERSION,
            account: Some("123456789012".into()),
            region: "eu-west-2".into(),
            repositories: vec![
                RepositoryStatus {
                    name: "db-migration".into(),
                    present: true,
                    terraform_variable: "create_db_migration_infra",
                    repository: Some(Repository {
                        uri: "123456789012.dkr.ecr.eu-west-2.amazonaws.com/db-migration".into(),
                        mutable_tags: true,
                        scan_on_push: true,
                    }),
                    images: vec![image(&["0.1.0", "latest"], 40), image(&[], 1)],
                    images_omitted: 3,
                },
                RepositoryStatus {
                    name: "s3-migration".into(),
                    present: false,
                    terraform_variable: "create_s3_migration_infra",
                    repository: None,
                    images: Vec::new(),
                    images_omitted: 0,
                },
            ],
        };
        insta::assert_snapshot!(text(&status));
    }
}
