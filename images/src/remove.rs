//! `publish-images remove`: a repository that is not needed any more goes, with its images. Only when it is named twice.

use common::settings::{LogFormat, SettingError};
use common::units::counted;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;

/// Deletes the repository `name`, and gives the result as text or JSON. One that is gone already is no error.
pub async fn remove(
    config: &Config,
    name: &str,
    confirm: Option<&str>,
    stop: &CancellationToken,
) -> Result<String, Error> {
    if name == config.registries.application {
        Err(SettingError::Invalid {
            name: format!("the repository `{name}`"),
            reason: "it holds the application's own image, which the migration does not own".into(),
            how: None,
        })?;
    }
    match confirm {
        Some(confirm) if confirm == name => {}
        Some(other) => Err(SettingError::Invalid {
            name: format!("--confirm {other}"),
            reason: format!("it is not the name of the repository that would be deleted, `{name}`"),
            how: None,
        })?,
        None => Err(SettingError::Missing {
            what: format!("the confirmation that `{name}` and all its images may be deleted"),
            how: format!("look at what is in it (publish-images status), then add --confirm {name}"),
        })?,
    }
    let control = config.registry(stop).await?;
    let found = control.repository(name).await.map_err(config.request_failed("look up the repository", name))?;
    let mut image_count = 0;
    if found.is_some() {
        let images = control.images(name).await;
        image_count = images.map_err(config.request_failed("list the images", name))?.len();
        control.delete_repository(name).await.map_err(config.request_failed("delete the repository", name))?;
    }
    Ok(match (config.log_format, found) {
        (LogFormat::Json, found) => {
            let was_present = found.is_some();
            json!({ "type": "removed", "schema_version": 1, "repository": name, "was_present": was_present, "images": image_count })
                .to_string()
        }
        (LogFormat::Text, None) => format!("{name} was not there any more\n"),
        (LogFormat::Text, Some(_)) => format!(
            "{name} and {} are gone; set its variable in Terraform to false, or the next apply brings an empty one back\n",
            counted(image_count as u64, "image"),
        ),
    })
}
