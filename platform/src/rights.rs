//! What must be allowed before anything is made: each check says what was seen and the `cf` command that grants it.

use common::report::Check;

use crate::Result;
use crate::api::Api;
use crate::error::Error;
use crate::locate::Located;
use crate::settings::Settings;
use crate::shapes::{App, Feature, Named, SshEnabled};
use crate::uaa::Bearer;

/// Scopes of UAA's that allow everything in every space.
const ADMIN_SCOPES: [&str; 1] = ["cloud_controller.admin"];

/// May the user make keys and applications in the space?
pub(crate) async fn space_role(api: &Api, settings: &Settings, located: &Located, bearer: &Bearer) -> Result<Check> {
    const NAME: &str = "role on the platform";
    let Settings { organisation, space, .. } = settings;
    if bearer.scopes.iter().any(|scope| ADMIN_SCOPES.contains(&scope.as_str())) {
        return Ok(Check::pass(NAME, format!("{} is an administrator", settings.login)));
    }
    let Some(user_guid) = &bearer.user_guid else {
        return Ok(Check::pass(NAME, "the token does not say whose it is; what is refused will be named"));
    };
    let query =
        [("types", "space_developer"), ("user_guids", user_guid.as_str()), ("space_guids", &located.space_guid)];
    let roles: Vec<Named> = api.list("/v3/roles", &query, "look for the user's roles").await?;
    if !roles.is_empty() {
        return Ok(Check::pass(NAME, format!("{} is SpaceDeveloper in {organisation}/{space}", settings.login)));
    }
    let user = bearer.name.as_deref().unwrap_or("USER");
    let client = if bearer.name == bearer.user_guid { " --client" } else { "" };
    Ok(Check::fail(
        NAME,
        format!("{} is not SpaceDeveloper in {organisation}/{space}", settings.login),
        format!("cf set-space-role {user} {organisation} {space} SpaceDeveloper{client}"),
    ))
}

/// Is SSH allowed in the space, and has the foundation a proxy at all?
pub(crate) async fn space_ssh(api: &Api, settings: &Settings, located: &Located) -> Result<Check> {
    const NAME: &str = "SSH in the space";
    let space = &settings.space;
    if api.ssh.is_none() {
        let detail = format!("{} publishes no SSH proxy", settings.host());
        return Ok(Check::fail(NAME, detail, "ask the platform's operators for SSH, or for credentials from outside"));
    }
    let path = format!("/v3/spaces/{}/features/ssh", located.space_guid);
    let feature: Feature = api.get(&path, "ask whether the space allows SSH").await?;
    if feature.enabled {
        return Ok(Check::pass(NAME, format!("allowed in {space}")));
    }
    Ok(Check::fail(NAME, format!("SSH is not allowed in the space {space}"), format!("cf allow-space-ssh {space}")))
}

/// Does the application run, and may one go through it?
pub(crate) async fn app_ssh(api: &Api, app: &App) -> Result<Check> {
    const NAME: &str = "SSH to the application";
    let name = &app.name;
    if app.state != "STARTED" {
        let detail = format!("the application {name} is not started");
        return Ok(Check::fail(NAME, detail, format!("cf start {name}")));
    }
    let path = format!("/v3/apps/{}/ssh_enabled", app.guid);
    match api.get::<SshEnabled>(&path, "ask whether the application allows SSH").await {
        Ok(SshEnabled { enabled: true, .. }) => Ok(Check::pass(NAME, format!("allowed to {name}"))),
        Ok(SshEnabled { reason, .. }) => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            let detail = format!("SSH is not allowed to the application {name}{reason}");
            Ok(Check::fail(NAME, detail, format!("cf enable-ssh {name} && cf restart {name}")))
        }
        Err(Error::Answered { status: 403, .. }) => {
            Ok(Check::pass(NAME, "may not be asked; what is refused will be named"))
        }
        Err(error) => Err(error),
    }
}
