//! Removes what was made on the platform: by its names, so that what a killed run left is found like what this run made.
//!
//! Everything at once, each with a limit. What could not be removed is named, with the command that removes it.

use std::time::Duration;

use futures::future::join_all;

use crate::Result;
use crate::api::Api;
use crate::locate::Located;
use crate::names::{Names, Owner};
use crate::shapes::{App, Binding};

/// To delete an application or a key; brokers take their time.
const DELETION_LIMIT: Duration = Duration::from_mins(2);

/// Something of ours that is still on the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// What it is, for people.
    pub what: String,
    /// The command that removes it.
    pub command: String,
    /// Why it is still there.
    pub reason: String,
}

/// What was found by its name.
#[derive(Default)]
pub(crate) struct Found {
    apps: Vec<App>,
    keys: Vec<Binding>,
    /// What other migrations have made, which may be at work.
    pub(crate) foreign: Vec<String>,
}

impl Found {
    /// Nothing to remove.
    pub(crate) fn is_empty(&self) -> bool {
        self.apps.is_empty() && self.keys.is_empty()
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        let keys = self.keys.iter().filter_map(|key| key.name.clone());
        self.apps.iter().map(|app| app.name.clone()).chain(keys).collect()
    }
}

/// Looks for what belongs to `owners`.
pub(crate) async fn find(api: &Api, located: &Located, names: &Names, owners: &[Owner]) -> Result<Found> {
    let in_space = [("space_guids", located.space_guid.as_str())];
    let of_instance = [("service_instance_guids", located.instance.guid.as_str()), ("type", "key")];
    let (apps, keys) = tokio::try_join!(
        api.list::<App>("/v3/apps", &in_space, "look for helper applications"),
        api.list::<Binding>("/v3/service_credential_bindings", &of_instance, "look for service keys"),
    )?;
    let mut found = Found::default();
    for app in apps {
        match names.owner_of_helper(&app.name) {
            Owner::AnotherErrand => found.foreign.push(app.name),
            owner if owners.contains(&owner) => found.apps.push(app),
            _ => {}
        }
    }
    for key in keys.into_iter().filter(|key| key.kind == "key") {
        let name = key.name.clone().unwrap_or_default();
        match names.owner_of_key(&name) {
            Owner::AnotherErrand => found.foreign.push(name),
            owner if owners.contains(&owner) => found.keys.push(key),
            _ => {}
        }
    }
    Ok(found)
}

/// Removes what was found; gives what is still there.
pub(crate) async fn remove(api: &Api, located: &Located, found: Found) -> Vec<Leftover> {
    let service = located.instance.name.as_str();
    let apps = join_all(found.apps.iter().map(|app| async {
        let removed = remove_app(api, located, app).await;
        removed.err().map(|error| leftover_app(&app.name, error.to_string()))
    }));
    let keys = join_all(found.keys.iter().map(|key| async {
        let name = key.name.as_deref().unwrap_or_default();
        let path = format!("/v3/service_credential_bindings/{}", key.guid);
        let removed = api.delete(&path, &format!("delete the service key {name}"), DELETION_LIMIT).await;
        removed.err().map(|error| leftover_key(service, name, error.to_string()))
    }));
    let (apps, keys) = tokio::join!(apps, keys);
    apps.into_iter().chain(keys).flatten().collect()
}

/// Its bindings first: an application that is bound may be refused its end.
async fn remove_app(api: &Api, located: &Located, app: &App) -> Result<()> {
    let query = [("app_guids", app.guid.as_str()), ("type", "app")];
    let bindings: Vec<Binding> =
        api.list("/v3/service_credential_bindings", &query, "look for the helper application's bindings").await?;
    let action = format!("unbind {} from {}", app.name, located.instance.name);
    for binding in bindings {
        api.delete(&format!("/v3/service_credential_bindings/{}", binding.guid), &action, DELETION_LIMIT).await?;
    }
    api.delete(&format!("/v3/apps/{}", app.guid), &format!("delete the application {}", app.name), DELETION_LIMIT).await
}

/// A helper application that is still there.
pub(crate) fn leftover_app(name: &str, reason: String) -> Leftover {
    Leftover { what: format!("the application {name}"), command: format!("cf delete -f {name}"), reason }
}

/// A service key that is still there.
pub(crate) fn leftover_key(service: &str, name: &str, reason: String) -> Leftover {
    let command = format!("cf delete-service-key -f {service} {name}");
    Leftover { what: format!("the service key {name}"), command, reason }
}
