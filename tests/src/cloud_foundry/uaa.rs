//! UAA: tokens and one-time codes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::answer::{Answer, json, pointing};
use super::config::PASSWORD;
use super::faults::Fault;
use super::http::Request;
use super::state::State;

pub(super) fn answer(state: &mut State, request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/oauth/token") => token(state, request),
        ("GET", "/oauth/authorize") => code(state, request),
        _ => json(404, &json!({ "error": "not_found" })),
    }
}

fn refused(error: &str, description: &str) -> Answer {
    json(401, &json!({ "error": error, "error_description": description }))
}

fn token(state: &mut State, request: &Request) -> Answer {
    let basic = request.authorization.as_deref().and_then(|value| value.strip_prefix("Basic "));
    let basic = basic.and_then(|value| STANDARD.decode(value).ok()).and_then(|value| String::from_utf8(value).ok());
    let Some((client, secret)) = basic.as_deref().and_then(|basic| basic.split_once(':')) else {
        return refused("unauthorized", "An Authentication object was not found in the SecurityContext");
    };
    if state.has(Fault::LogInRefused) {
        return refused("unauthorized", "Your account has been locked");
    }
    let form = request.form();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let is_client = field("grant_type") == "client_credentials";
    let known = if is_client { state.config.client } else { Some(("cf", "")) };
    if known != Some((client, secret)) {
        return refused("invalid_client", "Bad credentials");
    }
    let is_good = match field("grant_type") {
        "client_credentials" => true,
        "refresh_token" => state.takes_refresh_token(field("refresh_token")),
        "password" if form.contains_key("passcode") => state.takes_passcode(field("passcode")),
        "password" => State::is_user(field("username")) && field("password") == PASSWORD,
        _ => false,
    };
    if !is_good {
        return refused("invalid_token", "Bad credentials");
    }
    let name = if is_client { client } else { super::config::USER };
    let (access, refresh) = state.new_tokens(name, is_client);
    let life = state.config.token_life.as_secs();
    json(200, &json!({ "access_token": access, "token_type": "bearer", "expires_in": life, "refresh_token": refresh }))
}

/// Asks for nothing but a good token: the redirect holds the code.
fn code(state: &mut State, request: &Request) -> Answer {
    if !request.bearer().is_some_and(|token| state.takes_token(token)) {
        return refused("unauthorized", "The token expired, was revoked, or the token ID is incorrect");
    }
    if request.query.get("client_id").map(String::as_str) != Some("ssh-proxy") {
        return json(400, &json!({ "error": "invalid_request" }));
    }
    let code = state.new_code();
    pointing(302, &format!("https://localhost:{}/login?code={code}&state=", state.uaa_port))
}
