//! Answers, and errors in the forms that the platform documents.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// What is sent.
pub(super) type Answer = Response<Full<Bytes>>;

/// JSON with a status.
pub(super) fn json(status: u16, body: &Value) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    answer
}

/// Nothing but a status and an address.
pub(super) fn pointing(status: u16, location: &str) -> Answer {
    let mut answer = json(status, &Value::Null);
    *answer.body_mut() = Full::default();
    let location = location.parse().unwrap_or_else(|error| panic!("an address that is none: {error}"));
    answer.headers_mut().insert("location", location);
    answer
}

/// An error of the Cloud Controller: <https://v3-apidocs.cloudfoundry.org/#errors>.
pub(super) fn error(status: u16, code: u32, title: &str, detail: &str) -> Answer {
    json(status, &json!({ "errors": [{ "code": code, "title": title, "detail": detail }] }))
}

pub(super) fn invalid_token() -> Answer {
    error(401, 1000, "CF-InvalidAuthToken", "Invalid Auth Token")
}

pub(super) fn not_authorized() -> Answer {
    error(403, 10003, "CF-NotAuthorized", "You are not authorized to perform the requested action")
}

pub(super) fn not_found(what: &str) -> Answer {
    error(404, 10010, "CF-ResourceNotFound", &format!("{what} not found"))
}

pub(super) fn unprocessable(detail: &str) -> Answer {
    error(422, 10008, "CF-UnprocessableEntity", detail)
}

/// One page with everything; lists here are short.
pub(super) fn list(resources: &[Value]) -> Answer {
    let count = resources.len();
    json(
        200,
        &json!({
            "pagination": { "total_results": count, "total_pages": 1, "next": null, "previous": null },
            "resources": resources,
        }),
    )
}
