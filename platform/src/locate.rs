//! From names to identities: organisation, space, service instance, application.

use serde_json::Value;

use crate::Result;
use crate::api::Api;
use crate::error::Error;
use crate::settings::Settings;
use crate::shapes::{App, Named, ServiceInstance, ServiceOffering, ServicePlan};

/// Where the service instance is, and what it is.
pub(crate) struct Located {
    pub(crate) space_guid: String,
    pub(crate) instance: ServiceInstance,
    /// What the offering is called, for example `postgres`; nothing where it may not be asked for.
    pub(crate) offering: Option<String>,
    /// The JSON schema of a binding's parameters, where the broker publishes it.
    pub(crate) binding_schema: Value,
}

impl Located {
    /// Finds what the settings name.
    pub(crate) async fn find(api: &Api, settings: &Settings) -> Result<Self> {
        let Settings { organisation, space, service, .. } = settings;
        let host = settings.host();
        let query = [("names", organisation.as_str())];
        let found: Vec<Named> = api.list("/v3/organizations", &query, "look for the organisation").await?;
        let organisation_guid = found.into_iter().next().map(|found| found.guid).ok_or_else(|| Error::NotFound {
            kind: "organisation",
            name: organisation.clone(),
            place: format!("at {host} that this user sees"),
            how: "check CF_ORG; cf orgs lists those that the user sees".into(),
        })?;
        let query = [("names", space.as_str()), ("organization_guids", &organisation_guid)];
        let found: Vec<Named> = api.list("/v3/spaces", &query, "look for the space").await?;
        let space_guid = found.into_iter().next().map(|found| found.guid).ok_or_else(|| Error::NotFound {
            kind: "space",
            name: space.clone(),
            place: format!("in the organisation {organisation} that this user sees"),
            how: "check CF_SPACE; cf spaces lists those that the user sees".into(),
        })?;
        let query = [("names", service.as_str()), ("space_guids", &space_guid)];
        let found: Vec<ServiceInstance> = api.list("/v3/service_instances", &query, "look for the service").await?;
        let instance = found.into_iter().next().ok_or_else(|| Error::NotFound {
            kind: "service instance",
            name: service.clone(),
            place: format!("in {organisation}/{space}"),
            how: "check CF_SERVICE and CF_SPACE; cf services lists those of a space".into(),
        })?;
        let (offering, binding_schema) = kind_of(api, &instance).await?;
        Ok(Self { space_guid, instance, offering, binding_schema })
    }

    /// Whether its credentials can be read without a service key: a person has typed them in.
    pub(crate) fn is_user_provided(&self) -> bool {
        self.instance.kind == "user-provided"
    }

    /// Whether a binding takes the parameter `name`: the broker says so, or says nothing and is one that does.
    pub(crate) fn takes_parameter(&self, name: &str, known_offerings: &[&str]) -> bool {
        let properties = &self.binding_schema["properties"];
        if properties.is_object() {
            return properties.get(name).is_some();
        }
        self.offering.as_deref().is_some_and(|offering| known_offerings.contains(&offering))
    }
}

/// The application called `name` in the space.
pub(crate) async fn app(api: &Api, space_guid: &str, name: &str, settings: &Settings) -> Result<App> {
    let query = [("names", name), ("space_guids", space_guid)];
    let found: Vec<App> = api.list("/v3/apps", &query, "look for the application").await?;
    found.into_iter().next().ok_or_else(|| Error::NotFound {
        kind: "application",
        name: name.into(),
        place: format!("in {}/{}", settings.organisation, settings.space),
        how: "check CF_VIA_APP; cf apps lists those of a space".into(),
    })
}

/// Offering and schema; a user who may not see the plan goes without.
async fn kind_of(api: &Api, instance: &ServiceInstance) -> Result<(Option<String>, Value)> {
    let Some(plan) = instance.relationships.service_plan.as_ref().and_then(|plan| plan.guid()) else {
        return Ok((None, Value::Null));
    };
    let plan: ServicePlan = match api.get(&format!("/v3/service_plans/{plan}"), "read the service plan").await {
        Err(Error::Answered { status: 403 | 404, .. }) => return Ok((None, Value::Null)),
        answer => answer?,
    };
    let schema = plan.schemas["service_binding"]["create"]["parameters"].clone();
    let Some(offering) = plan.relationships.service_offering.as_ref().and_then(|offering| offering.guid()) else {
        return Ok((None, schema));
    };
    match api.get::<ServiceOffering>(&format!("/v3/service_offerings/{offering}"), "read the service offering").await {
        Err(Error::Answered { status: 403 | 404, .. }) => Ok((None, schema)),
        answer => Ok((Some(answer?.name), schema)),
    }
}
