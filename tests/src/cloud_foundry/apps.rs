//! Applications: made, packed, staged, sized, started, deleted.

use std::time::Instant;

use serde_json::{Value, json};

use super::answer::{Answer, json, list, not_found, pointing, unprocessable};
use super::faults::Fault;
use super::http::Request;
use super::state::{App, Build, Effect, Package, SPACE_GUID, State};

pub(super) fn answer(state: &mut State, request: &Request, parts: &[&str]) -> Answer {
    match (request.method.as_str(), parts) {
        ("GET", ["v3", "buildpacks"]) => {
            let all = state.config.buildpacks.iter().enumerate();
            list(&all.map(|(number, name)| json!({ "guid": format!("b{number}"), "name": name })).collect::<Vec<_>>())
        }
        ("GET", ["v3", "apps"]) => {
            let matching = state.apps.iter().filter(|app| request.wants("names", &app.name));
            list(&matching.filter(|_| request.wants("space_guids", SPACE_GUID)).map(shown).collect::<Vec<_>>())
        }
        ("POST", ["v3", "apps"]) => make(state, &request.json()),
        ("POST", ["v3", "packages"]) => make_package(state, &request.json()),
        ("POST", ["v3", "packages", guid, "upload"]) => upload(state, guid, request),
        ("GET", ["v3", "packages", guid]) => package(state, guid),
        ("POST", ["v3", "builds"]) => make_build(state, &request.json()),
        ("GET", ["v3", "builds", guid]) => build(state, guid),
        (_, ["v3", "apps" | "processes", guid, rest @ ..]) => {
            let Some(index) = state.apps.iter().position(|app| app.guid == *guid) else {
                return not_found("App");
            };
            one(state, request, index, rest)
        }
        _ => not_found("Unknown request"),
    }
}

fn shown(app: &App) -> Value {
    let word = if app.started.is_some() { "STARTED" } else { "STOPPED" };
    json!({ "guid": app.guid, "name": app.name, "state": word })
}

fn make(state: &mut State, wanted: &Value) -> Answer {
    let name = wanted["name"].as_str().unwrap_or_default().to_owned();
    if state.apps.iter().any(|app| app.name == name) {
        return unprocessable(&format!("App with the name '{name}' already exists."));
    }
    if wanted["relationships"]["space"]["data"]["guid"] != SPACE_GUID {
        return unprocessable("Invalid space. Ensure that the space exists and you have access to it.");
    }
    let buildpacks = wanted["lifecycle"]["data"]["buildpacks"].as_array().cloned().unwrap_or_default();
    let unknown = buildpacks.iter().filter_map(Value::as_str).find(|name| !state.config.buildpacks.contains(name));
    if let Some(unknown) = unknown {
        return unprocessable(&format!(
            "Buildpack \"{unknown}\" must be an existing admin buildpack or a valid git URI"
        ));
    }
    // An application's process has 1,024 MB until it is sized.
    let app = App { guid: state.guid(), name, droplet: None, ssh: false, started: None, memory_mb: 1024 };
    let answer = json(201, &shown(&app));
    state.apps.push(app);
    answer
}

fn make_package(state: &mut State, wanted: &Value) -> Answer {
    let guid = state.guid();
    let app = wanted["relationships"]["app"]["data"]["guid"].as_str().unwrap_or_default().to_owned();
    state.packages.insert(guid.clone(), Package { app, ready: None });
    json(201, &json!({ "guid": guid, "type": "bits", "state": "AWAITING_UPLOAD" }))
}

fn upload(state: &mut State, guid: &str, request: &Request) -> Answer {
    let body = String::from_utf8_lossy(&request.body);
    if !body.contains("name=\"bits\"") || !body.contains("PK\u{3}\u{4}") {
        return unprocessable("Upload must include either resources or bits");
    }
    let ready = Instant::now() + state.config.job;
    let Some(package) = state.packages.get_mut(guid) else { return not_found("Package") };
    package.ready = Some(ready);
    json(200, &json!({ "guid": guid, "type": "bits", "state": "PROCESSING_UPLOAD" }))
}

fn package(state: &State, guid: &str) -> Answer {
    let Some(package) = state.packages.get(guid) else { return not_found("Package") };
    let word = match package.ready {
        None => "AWAITING_UPLOAD",
        Some(ready) if ready > Instant::now() => "PROCESSING_UPLOAD",
        Some(_) => "READY",
    };
    json(200, &json!({ "guid": guid, "type": "bits", "state": word }))
}

fn make_build(state: &mut State, wanted: &Value) -> Answer {
    let package = wanted["package"]["guid"].as_str().unwrap_or_default().to_owned();
    let ready = state.packages.get(&package).and_then(|package| package.ready);
    if ready.is_none_or(|ready| ready > Instant::now()) {
        return unprocessable("Unable to use package. Ensure that the package exists and you have access to it.");
    }
    let memory = wanted["staging_memory_in_mb"].as_u64().unwrap_or(1024);
    if state.memory_mb() + memory > state.config.memory_quota_mb {
        return unprocessable("staging_memory_in_mb space_quota_exceeded");
    }
    let (guid, done) = (state.guid(), Instant::now() + state.config.staging);
    let fails = state.has(Fault::StagingFails);
    state.builds.insert(guid.clone(), Build { package, done, fails });
    json(201, &json!({ "guid": guid, "state": "STAGING", "error": null, "droplet": null }))
}

fn build(state: &State, guid: &str) -> Answer {
    let Some(build) = state.builds.get(guid) else { return not_found("Build") };
    let (word, error, droplet) = match build {
        build if build.done > Instant::now() => ("STAGING", Value::Null, Value::Null),
        Build { fails: true, .. } => {
            let detail = "BuildpackCompileFailed - App staging failed in the buildpack compile phase";
            ("FAILED", json!(detail), Value::Null)
        }
        build => ("STAGED", Value::Null, json!({ "guid": format!("droplet-of-{}", build.package) })),
    };
    json(200, &json!({ "guid": guid, "state": word, "error": error, "droplet": droplet }))
}

/// What is asked of one application, or of its process, which has the same guid.
fn one(state: &mut State, request: &Request, index: usize, rest: &[&str]) -> Answer {
    let guid = state.apps[index].guid.clone();
    match (request.method.as_str(), rest) {
        ("PATCH", ["features", "ssh"]) => {
            state.apps[index].ssh = request.json()["enabled"] == true;
            json(200, &json!({ "name": "ssh", "enabled": state.apps[index].ssh }))
        }
        ("GET", ["ssh_enabled"]) => {
            let enabled = state.apps[index].ssh && state.config.space_ssh;
            json(200, &json!({ "enabled": enabled, "reason": if enabled { "" } else { "Disabled for app" } }))
        }
        ("PATCH", ["relationships", "current_droplet"]) => {
            let droplet = request.json()["data"]["guid"].as_str().map(str::to_owned);
            let package = droplet.as_ref().and_then(|droplet| droplet.strip_prefix("droplet-of-"));
            if package.and_then(|package| state.packages.get(package)).is_none_or(|package| package.app != guid) {
                return unprocessable(
                    "Unable to assign current droplet. Ensure the droplet exists and belongs to this app.",
                );
            }
            state.apps[index].droplet.clone_from(&droplet);
            json(200, &json!({ "data": { "guid": droplet } }))
        }
        ("GET", ["processes", "web"]) => json(200, &json!({ "guid": guid, "type": "web" })),
        ("POST", ["actions", "scale"]) => {
            state.apps[index].memory_mb = request.json()["memory_in_mb"].as_u64().unwrap_or(1024);
            json(202, &json!({ "guid": guid, "type": "web" }))
        }
        ("PATCH", []) => json(200, &json!({ "guid": guid })),
        ("POST", ["actions", "start"]) => start(state, index),
        ("GET", ["stats"]) => stats(state, index),
        ("DELETE", []) => {
            let effect = if state.has(Fault::AppDeletionFails) {
                Effect::Fail("An unknown error occurred while the app was deleted".into())
            } else {
                Effect::DeleteApp(guid)
            };
            let job = state.begin(effect);
            pointing(202, &format!("https://localhost:{}/v3/jobs/{job}", state.api_port))
        }
        _ => not_found("Unknown request"),
    }
}

fn start(state: &mut State, index: usize) -> Answer {
    if state.apps[index].droplet.is_none() {
        return unprocessable("Assign a droplet before starting this app.");
    }
    if state.memory_mb() + state.apps[index].memory_mb > state.config.memory_quota_mb {
        return unprocessable("memory space_quota_exceeded");
    }
    state.apps[index].started = Some(Instant::now() + state.config.job);
    json(200, &shown(&state.apps[index]))
}

fn stats(state: &State, index: usize) -> Answer {
    let app = &state.apps[index];
    let word = match app.started {
        None => return json(200, &json!({ "resources": [] })),
        Some(_) if state.has(Fault::InstanceCrashes) => "CRASHED",
        Some(started) if started > Instant::now() => "STARTING",
        Some(_) => "RUNNING",
    };
    let details = (word == "CRASHED").then_some("insufficient resources: memory");
    json(200, &json!({ "resources": [{ "type": "web", "index": 0, "state": word, "details": details }] }))
}
