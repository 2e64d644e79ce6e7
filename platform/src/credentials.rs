//! Credentials of the service instance: a service key of the run's own, a binding to its helper application, or what is
//! there already.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Result;
use crate::api::Api;
use crate::error::Error;
use crate::locate::Located;
use crate::shapes::{Binding, Details};

/// A broker may take its time: it makes a role in a database, or an identity at a cloud provider.
const BINDING_LIMIT: Duration = Duration::from_mins(5);

/// Which parameters a service key is asked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWish {
    /// A database's: read-only where the broker offers that.
    Database {
        /// Whether to ask for it.
        read_only: bool,
    },
    /// A bucket's: usable from outside the platform, read-only where the broker offers that.
    Bucket,
}

/// Offerings whose brokers take `read_only` without publishing a schema: GOV.UK `PaaS`.
const TAKES_READ_ONLY: [&str; 2] = ["postgres", "mysql"];
/// Offerings whose brokers lock keys to the platform's addresses unless asked not to: GOV.UK `PaaS`.
const TAKES_EXTERNAL_ACCESS: [&str; 1] = ["aws-s3-bucket"];

impl KeyWish {
    /// Sets of parameters, the most wanted first, none last.
    fn parameters(self, located: &Located) -> Vec<Value> {
        let mut wishes = Vec::new();
        match self {
            Self::Database { read_only: true } if located.takes_parameter("read_only", &TAKES_READ_ONLY) => {
                wishes.push(json!({ "read_only": true }));
            }
            Self::Bucket if located.takes_parameter("allow_external_access", &TAKES_EXTERNAL_ACCESS) => {
                wishes.push(json!({ "allow_external_access": true, "permissions": "read-only" }));
                wishes.push(json!({ "allow_external_access": true }));
            }
            Self::Database { .. } | Self::Bucket => {}
        }
        wishes.push(Value::Null);
        wishes
    }

    /// What is asked for, for people.
    pub(crate) fn describe(self, located: &Located) -> &'static str {
        match self.parameters(located).first() {
            Some(Value::Null) | None => "",
            Some(_) if self == Self::Bucket => " (read-only, usable from outside)",
            Some(_) => " (read-only)",
        }
    }
}

/// What a service instance gives to those who may use it. `Debug` shows no value.
#[derive(Clone)]
pub struct Credentials {
    /// As the broker names them.
    pub values: Map<String, Value>,
    /// Where they come from, for messages.
    pub origin: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// What was typed in when a user-provided instance was made.
pub(crate) async fn user_provided(api: &Api, located: &Located) -> Result<Credentials> {
    let path = format!("/v3/service_instances/{}/credentials", located.instance.guid);
    let values = api.get(&path, "read the credentials of the user-provided service").await?;
    Ok(Credentials { values, origin: format!("the user-provided service {}", located.instance.name) })
}

/// The credentials of an application that is bound already; `None` when it is not.
pub(crate) async fn of_bound_app(api: &Api, located: &Located, app_guid: &str) -> Result<Option<Credentials>> {
    let Some(binding) = binding_of_app(api, located, app_guid).await? else { return Ok(None) };
    details(api, &binding.guid, format!("the binding of the service {}", located.instance.name)).await.map(Some)
}

/// The binding of an application to the instance, if it has one.
pub(crate) async fn binding_of_app(api: &Api, located: &Located, app_guid: &str) -> Result<Option<Binding>> {
    let query = [("type", "app"), ("app_guids", app_guid), ("service_instance_guids", &located.instance.guid)];
    let found = api.list("/v3/service_credential_bindings", &query, "look for the application's bindings").await?;
    Ok(found.into_iter().next())
}

/// Makes the service key `name`.
pub(crate) async fn key(api: &Api, located: &Located, name: &str, wish: KeyWish) -> Result<Credentials> {
    let origin = format!("the service key {name} of {}", located.instance.name);
    let body = json!({
        "type": "key",
        "name": name,
        "relationships": { "service_instance": { "data": { "guid": located.instance.guid } } },
    });
    let query = [("type", "key"), ("names", name), ("service_instance_guids", &located.instance.guid)];
    make(api, located, wish, "make a service key", &body, &query, origin).await
}

/// Binds the run's own helper application.
pub(crate) async fn binding(api: &Api, located: &Located, app_guid: &str, wish: KeyWish) -> Result<Credentials> {
    let origin = format!("a binding of the service {}", located.instance.name);
    let body = json!({
        "type": "app",
        "relationships": {
            "service_instance": { "data": { "guid": located.instance.guid } },
            "app": { "data": { "guid": app_guid } },
        },
    });
    let query = [("type", "app"), ("app_guids", app_guid), ("service_instance_guids", &located.instance.guid)];
    make(api, located, wish, "bind the helper application to the service", &body, &query, origin).await
}

/// Asks with the best parameters first; what a broker does not take is left out next time.
async fn make(
    api: &Api,
    located: &Located,
    wish: KeyWish,
    action: &str,
    body: &Value,
    query: &[(&str, &str)],
    origin: String,
) -> Result<Credentials> {
    let mut refused = None;
    for parameters in wish.parameters(located) {
        let mut body = body.clone();
        if !parameters.is_null() {
            body["parameters"] = parameters.clone();
        }
        match api.post("/v3/service_credential_bindings", &body, action, BINDING_LIMIT).await {
            Ok(_) => {
                let made: Vec<Binding> = api.list("/v3/service_credential_bindings", query, action).await?;
                let guid = made.first().map(|made| made.guid.clone());
                let guid =
                    guid.ok_or_else(|| Error::Strange { action: action.into(), reason: "it is not there".into() })?;
                return details(api, &guid, origin).await;
            }
            Err(error @ (Error::Failed { .. } | Error::Answered { status: 400 | 422 | 502, .. })) => {
                tracing::debug!(%error, %parameters, "the broker does not give credentials like that");
                remove_failed(api, query, action).await?;
                refused = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::Strange { action: action.into(), reason: "nothing was asked for".into() }))
}

/// What a broker failed to make stays on the platform's list, and its name is taken.
async fn remove_failed(api: &Api, query: &[(&str, &str)], action: &str) -> Result<()> {
    let failed: Vec<Binding> = api.list("/v3/service_credential_bindings", query, action).await?;
    for binding in failed {
        api.delete(&format!("/v3/service_credential_bindings/{}", binding.guid), action, BINDING_LIMIT).await?;
    }
    Ok(())
}

async fn details(api: &Api, guid: &str, origin: String) -> Result<Credentials> {
    let path = format!("/v3/service_credential_bindings/{guid}/details");
    let details: Details = api.get(&path, "read the credentials").await?;
    Ok(Credentials { values: details.credentials, origin })
}
