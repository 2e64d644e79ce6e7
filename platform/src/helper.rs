//! The helper application: nothing but a container with SSH, inside the platform, beside the database.
//!
//! 64 MB of memory, no route, no health check but that its process lives. It sleeps.

use std::io::{Cursor, Write as _};
use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use zip::CompressionMethod;
use zip::result::ZipResult;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::Result;
use crate::api::Api;
use crate::error::Error;
use crate::locate::Located;
use crate::shapes::{Build, Named, Package, Stats};

/// Megabytes.
const MEMORY_MB: u32 = 64;
const DISK_MB: u32 = 256;
/// For requests that the platform answers at once or nearly so.
const SHORT_LIMIT: Duration = Duration::from_mins(2);
const STAGING_LIMIT: Duration = Duration::from_mins(15);
const START_LIMIT: Duration = Duration::from_mins(5);
/// Buildpacks that need nothing but what the platform has, the leanest first; with the command that makes them sleep.
const BUILDPACKS: [&str; 2] = ["binary_buildpack", "staticfile_buildpack"];
const COMMAND: &str = "sleep infinity";

/// The application `name`, made, but not started. Gives its identity.
pub(crate) async fn make(api: &Api, located: &Located, name: &str) -> Result<String> {
    let buildpacks: Vec<Named> = api.list("/v3/buildpacks", &[], "look for a buildpack").await?;
    let is_there = |wanted: &&&str| buildpacks.iter().any(|buildpack| buildpack.name.as_deref() == Some(**wanted));
    // Without one of them the platform finds out by itself: a Staticfile is in the package.
    let chosen: Vec<&str> = BUILDPACKS.iter().find(is_there).copied().into_iter().collect();
    let body = json!({
        "name": name,
        "lifecycle": { "type": "buildpack", "data": { "buildpacks": chosen } },
        "relationships": { "space": { "data": { "guid": located.space_guid } } },
    });
    let made = api.post("/v3/apps", &body, "make the helper application", SHORT_LIMIT).await?;
    let guid = guid_of(&made, "make the helper application")?;
    let path = format!("/v3/apps/{guid}/features/ssh");
    api.patch(&path, &json!({ "enabled": true }), "allow SSH to the helper application").await?;
    Ok(guid)
}

/// Stages and starts it, and waits until its instance runs.
pub(crate) async fn start(api: &Api, guid: &str) -> Result<()> {
    let droplet = stage(api, guid).await?;
    let path = format!("/v3/apps/{guid}/relationships/current_droplet");
    api.patch(&path, &json!({ "data": { "guid": droplet } }), "give the helper application its droplet").await?;
    let process: Named =
        api.get(&format!("/v3/apps/{guid}/processes/web"), "look for the helper application's process").await?;
    let process = process.guid;
    let scale = json!({ "instances": 1, "memory_in_mb": MEMORY_MB, "disk_in_mb": DISK_MB });
    let path = format!("/v3/processes/{process}/actions/scale");
    api.post(&path, &scale, "size the helper application", SHORT_LIMIT).await?;
    let rest = json!({ "command": COMMAND, "health_check": { "type": "process" } });
    api.patch(&format!("/v3/processes/{process}"), &rest, "set the helper application's command").await?;
    let path = format!("/v3/apps/{guid}/actions/start");
    api.post(&path, &Value::Null, "start the helper application", SHORT_LIMIT).await?;
    let path = format!("/v3/processes/{process}/stats");
    api.wait("start the helper application", START_LIMIT, async || {
        let stats: Stats = api.get(&path, "ask whether the helper application runs").await?;
        let Some(instance) = stats.resources.iter().find(|instance| instance.index == 0) else { return Ok(None) };
        match instance.state.as_str() {
            "RUNNING" => Ok(Some(())),
            "CRASHED" => Err(Error::Failed {
                action: "start the helper application".into(),
                detail: instance.details.clone().unwrap_or_else(|| "its instance crashed".into()),
                how: "run the same command again, or go through an application that runs: --via-app NAME".into(),
            }),
            _ => Ok(None),
        }
    })
    .await
}

/// Uploads the package and has it staged; gives the droplet's identity.
async fn stage(api: &Api, app_guid: &str) -> Result<String> {
    let body = json!({ "type": "bits", "relationships": { "app": { "data": { "guid": app_guid } } } });
    let package = api.post("/v3/packages", &body, "make a package", SHORT_LIMIT).await?;
    let package = guid_of(&package, "make a package")?;
    let bits = archive()?;
    let form = || Form::new().part("bits", Part::bytes(bits.clone()).file_name("helper.zip"));
    api.upload(&format!("/v3/packages/{package}/upload"), form, "upload the helper application").await?;
    let path = format!("/v3/packages/{package}");
    api.wait("take the helper application's package", SHORT_LIMIT, async || {
        let package: Package = api.get(&path, "ask for the package").await?;
        match package.state.as_str() {
            "READY" => Ok(Some(())),
            "FAILED" | "EXPIRED" => Err(staging_failed(format!("the package {} is {}", package.guid, package.state))),
            _ => Ok(None),
        }
    })
    .await?;
    let body = json!({
        "package": { "guid": package }, "staging_memory_in_mb": 256, "staging_disk_in_mb": 512,
    });
    let build = api.post("/v3/builds", &body, "stage the helper application", SHORT_LIMIT).await?;
    let path = format!("/v3/builds/{}", guid_of(&build, "stage the helper application")?);
    api.wait("stage the helper application", STAGING_LIMIT, async || {
        let build: Build = api.get(&path, "ask for the build").await?;
        match (build.state.as_str(), build.droplet) {
            ("STAGED", Some(droplet)) => Ok(Some(droplet.guid)),
            ("FAILED", _) => {
                let unsaid = || format!("the build {} failed", build.guid);
                Err(staging_failed(build.error.clone().unwrap_or_else(unsaid)))
            }
            _ => Ok(None),
        }
    })
    .await
}

fn staging_failed(detail: String) -> Error {
    Error::Failed {
        action: "stage the helper application".into(),
        detail,
        how: "run the same command again, or go through an application that runs: --via-app NAME".into(),
    }
}

/// A ZIP with one file, which either buildpack is content with.
fn archive() -> Result<Vec<u8>> {
    packed().map_err(|error| Error::Strange { action: "pack the helper application".into(), reason: error.to_string() })
}

fn packed() -> ZipResult<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("Staticfile", SimpleFileOptions::default().compression_method(CompressionMethod::Stored))?;
    archive.write_all(b"# A way into the platform for a migration; deleted when it is over.\n")?;
    Ok(archive.finish()?.into_inner())
}

pub(crate) fn guid_of(made: &Value, action: &str) -> Result<String> {
    let guid = made["guid"].as_str().map(str::to_owned);
    guid.ok_or_else(|| Error::Strange { action: action.into(), reason: "it has no guid".into() })
}
