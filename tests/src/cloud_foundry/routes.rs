//! Which resource a request of the API is about; organisation, space, roles, jobs.

use serde_json::{Value, json};

use super::answer::{Answer, error, invalid_token, json, list, not_authorized, not_found};
use super::config::{ORGANISATION, SPACE};
use super::faults::Fault;
use super::http::Request;
use super::state::{ORGANISATION_GUID, SPACE_GUID, State, USER_GUID};
use super::{apps, services};

pub(super) fn answer(state: &mut State, request: &Request) -> Answer {
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    if state.has(Fault::ApiUnavailable) {
        return error(503, 10015, "CF-ServiceUnavailable", "Database unavailable");
    }
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", [""]) => return root(state),
        // Switched off, as on newer foundations.
        (_, ["v2", ..]) => return not_found("Unknown request"),
        _ => {}
    }
    if !request.bearer().is_some_and(|token| state.takes_token(token)) {
        return invalid_token();
    }
    if request.method != "GET" && !state.config.is_developer {
        return not_authorized();
    }
    match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["v3", "organizations"]) => named(request, ORGANISATION, ORGANISATION_GUID),
        ("GET", ["v3", "spaces"]) if request.wants("organization_guids", ORGANISATION_GUID) => {
            named(request, SPACE, SPACE_GUID)
        }
        ("GET", ["v3", "spaces", SPACE_GUID, "features", "ssh"]) => {
            json(200, &json!({ "name": "ssh", "description": "", "enabled": state.config.space_ssh }))
        }
        ("GET", ["v3", "roles"]) => roles(state, request),
        ("GET", ["v3", "jobs", guid]) => job(state, guid),
        (_, ["v3", "apps" | "packages" | "builds" | "processes" | "buildpacks", ..]) => {
            apps::answer(state, request, &parts)
        }
        (_, ["v3", kind, ..]) if kind.starts_with("service_") => services::answer(state, request, &parts),
        _ => not_found("Unknown request"),
    }
}

fn root(state: &State) -> Answer {
    let (api, uaa, ssh) = (state.api_port, state.uaa_port, state.ssh_port);
    let fingerprint = if state.has(Fault::WrongFingerprint) {
        "w4Ph9NNQvqHGRGE5c0ePVAHA5w8EgHvqwm1tWWOKNuY"
    } else {
        &state.fingerprint
    };
    json(
        200,
        &json!({ "links": {
        "self": { "href": format!("https://localhost:{api}") },
        "cloud_controller_v2": null,
        "cloud_controller_v3": { "href": format!("https://localhost:{api}/v3"), "meta": { "version": "3.180.0" } },
        "login": { "href": format!("https://localhost:{uaa}") },
        "uaa": { "href": format!("https://localhost:{uaa}") },
        "app_ssh": {
            "href": format!("127.0.0.1:{ssh}"),
            "meta": { "host_key_fingerprint": fingerprint, "oauth_client": "ssh-proxy" },
        },
    } }),
    )
}

fn named(request: &Request, name: &str, guid: &str) -> Answer {
    let resource = json!({ "guid": guid, "name": name });
    list(&if request.wants("names", name) { vec![resource] } else { Vec::new() })
}

fn roles(state: &State, request: &Request) -> Answer {
    let role = if state.config.is_developer { "space_developer" } else { "space_auditor" };
    let client = state.config.client.map_or("", |(client, _)| client);
    let is_mine = request.wants("user_guids", USER_GUID) || request.wants("user_guids", client);
    let matches = request.wants("types", role) && is_mine && request.wants("space_guids", SPACE_GUID);
    list(&if matches { vec![json!({ "guid": "a role", "type": role })] } else { Vec::new() })
}

fn job(state: &State, guid: &str) -> Answer {
    let Some(job) = state.jobs.get(guid) else { return not_found("Job") };
    let (word, errors) = match &job.outcome {
        None => ("PROCESSING", Value::Array(Vec::new())),
        Some(Ok(())) => ("COMPLETE", Value::Array(Vec::new())),
        Some(Err(detail)) => ("FAILED", json!([{ "code": 10009, "title": "CF-UnableToPerform", "detail": detail }])),
    };
    json(200, &json!({ "guid": guid, "state": word, "errors": errors, "warnings": [] }))
}
