//! Service instances, plans, offerings; service keys and bindings, which a broker makes and deletes in its own time.

use serde_json::{Value, json};

use super::answer::{Answer, error, json, list, not_found, pointing, unprocessable};
use super::config::{Instance, Kind};
use super::faults::Fault;
use super::http::Request;
use super::state::{Binding, Effect, SPACE_GUID, State};

pub(super) fn answer(state: &mut State, request: &Request, parts: &[&str]) -> Answer {
    match (request.method.as_str(), parts) {
        ("GET", ["v3", "service_instances"]) => {
            let all = state.config.instances.iter().enumerate();
            let matching = all.filter(|(_, one)| request.wants("names", &one.name));
            let matching = matching.filter(|_| request.wants("space_guids", SPACE_GUID));
            list(&matching.map(|(number, one)| instance(number, one)).collect::<Vec<_>>())
        }
        ("GET", ["v3", "service_instances", guid, "credentials"]) => {
            match index(guid, "instance-").and_then(|index| state.config.instances.get(index)) {
                Some(Instance { kind: Kind::UserProvided, credentials, .. }) => {
                    json(200, &Value::Object(credentials.clone()))
                }
                _ => not_found("Service instance"),
            }
        }
        ("GET", ["v3", "service_plans", guid]) => {
            match index(guid, "plan-").and_then(|index| Some((index, state.config.instances.get(index)?))) {
                Some((index, Instance { kind: Kind::Managed { schema, .. }, .. })) => plan(index, schema.as_ref()),
                _ => not_found("Service plan"),
            }
        }
        ("GET", ["v3", "service_offerings", guid]) => {
            match index(guid, "offering-").and_then(|index| state.config.instances.get(index)) {
                Some(Instance { kind: Kind::Managed { offering, .. }, .. }) => {
                    json(200, &json!({ "guid": guid, "name": offering }))
                }
                _ => not_found("Service offering"),
            }
        }
        ("GET", ["v3", "service_credential_bindings"]) => bindings(state, request),
        ("POST", ["v3", "service_credential_bindings"]) => make(state, &request.json()),
        ("GET", ["v3", "service_credential_bindings", guid, "details"]) => {
            match state.bindings.iter().find(|binding| binding.guid == *guid && binding.is_made) {
                Some(binding) => json(200, &json!({ "credentials": binding.credentials, "volume_mounts": [] })),
                None => not_found("Service credential binding"),
            }
        }
        ("DELETE", ["v3", "service_credential_bindings", guid]) => delete(state, guid),
        _ => not_found("Unknown request"),
    }
}

/// Instances, plans and offerings are numbered; their guids say so.
fn index(guid: &str, prefix: &str) -> Option<usize> {
    guid.strip_prefix(prefix)?.parse().ok()
}

fn instance(number: usize, instance: &Instance) -> Value {
    let (kind, plan) = match instance.kind {
        Kind::Managed { .. } => ("managed", json!({ "data": { "guid": format!("plan-{number}") } })),
        Kind::UserProvided => ("user-provided", Value::Null),
    };
    let mut shown = json!({
        "guid": format!("instance-{number}"), "name": instance.name, "type": kind,
        "relationships": { "space": { "data": { "guid": SPACE_GUID } } },
    });
    if !plan.is_null() {
        shown["relationships"]["service_plan"] = plan;
    }
    shown
}

fn plan(number: usize, schema: Option<&Value>) -> Answer {
    let parameters = schema.cloned().unwrap_or_else(|| json!({}));
    json(
        200,
        &json!({
            "guid": format!("plan-{number}"), "name": "small",
            "schemas": { "service_instance": { "create": { "parameters": {} } },
                         "service_binding": { "create": { "parameters": parameters } } },
            "relationships": { "service_offering": { "data": { "guid": format!("offering-{number}") } } },
        }),
    )
}

fn bindings(state: &State, request: &Request) -> Answer {
    let matches = |binding: &&Binding| {
        let kind = if binding.app.is_some() { "app" } else { "key" };
        request.wants("type", kind)
            && request.wants("service_instance_guids", &format!("instance-{}", binding.instance))
            && request.wants("names", binding.name.as_deref().unwrap_or_default())
            && request.wants("app_guids", binding.app.as_deref().unwrap_or_default())
    };
    let shown = |binding: &Binding| {
        let kind = if binding.app.is_some() { "app" } else { "key" };
        json!({ "guid": binding.guid, "name": binding.name, "type": kind })
    };
    list(&state.bindings.iter().filter(matches).map(shown).collect::<Vec<_>>())
}

fn make(state: &mut State, wanted: &Value) -> Answer {
    state.asked_parameters.push(wanted["parameters"].clone());
    let guid = wanted["relationships"]["service_instance"]["data"]["guid"].as_str().unwrap_or_default();
    let Some(number) = index(guid, "instance-").filter(|number| *number < state.config.instances.len()) else {
        return unprocessable("The service instance could not be found");
    };
    let is_key = wanted["type"] == "key";
    let name = wanted["name"].as_str().map(str::to_owned);
    if is_key && state.bindings.iter().any(|binding| binding.name == name && binding.app.is_none()) {
        let name = name.unwrap_or_default();
        return unprocessable(&format!(
            "The binding name is invalid. Key binding names must be unique. The service instance already has a key binding with name '{name}'."
        ));
    }
    if is_key && state.has(Fault::KeysDenied) {
        return error(403, 10003, "CF-NotAuthorized", "This service does not support creation of keys");
    }
    let instance = &state.config.instances[number];
    let Kind::Managed { parameters, .. } = &instance.kind else {
        return unprocessable(
            "Service credential bindings of type 'key' are not supported for user-provided service instances.",
        );
    };
    let words: Vec<String> =
        wanted["parameters"].as_object().into_iter().flatten().map(|(word, _)| word.clone()).collect();
    let unknown = words.into_iter().find(|word| !parameters.contains(&word.as_str()));
    let credentials = match &instance.read_only_credentials {
        Some(read_only) if wanted["parameters"]["read_only"] == true => read_only.clone(),
        _ => instance.credentials.clone(),
    };
    let guid = state.guid();
    let app = wanted["relationships"]["app"]["data"]["guid"].as_str().map(str::to_owned);
    let binding = Binding { guid: guid.clone(), name, app, instance: number, credentials, is_made: false };
    state.bindings.push(binding);
    let effect = match unknown {
        // As a broker says it: the binding stays on the list, failed.
        Some(word) => {
            Effect::Fail(format!("The service broker rejected the request. Status Code: 400, unknown parameter {word}"))
        }
        None => Effect::MakeBinding(guid),
    };
    let job = state.begin(effect);
    pointing(202, &format!("https://localhost:{}/v3/jobs/{job}", state.api_port))
}

fn delete(state: &mut State, guid: &str) -> Answer {
    let Some(binding) = state.bindings.iter().find(|binding| binding.guid == guid) else {
        return not_found("Service credential binding");
    };
    if binding.app.is_none() && state.has(Fault::KeyDeletionRefused) {
        return error(502, 10001, "CF-ServiceBrokerBadResponse", "Service broker error: the role still owns objects");
    }
    let job = state.begin(Effect::DeleteBinding(guid.to_owned()));
    pointing(202, &format!("https://localhost:{}/v3/jobs/{job}", state.api_port))
}
