//! `VCAP_SERVICES`: a service instance found by its name, never by its position.
//!
//! What its credentials mean is the caller's business: a database's in `migrate-db`, a bucket's in `migrate-s3`.

use serde_json::{Map, Value};

use crate::settings::SettingError;

/// The credentials of the service instance called `service`, whatever kind of service it is.
pub fn credentials(services: &str, service: &str) -> Result<Map<String, Value>, SettingError> {
    let services: Map<String, Value> = serde_json::from_str(services).map_err(|_| SettingError::Invalid {
        name: "VCAP_SERVICES".into(),
        reason: "it is not a JSON object".into(),
        how: None,
    })?;
    let instances = || services.values().filter_map(Value::as_array).flatten();
    let Some(instance) = instances().find(|instance| name_of(instance).as_deref() == Some(service)) else {
        let known: Vec<String> = instances().filter_map(name_of).map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        return Err(SettingError::Invalid {
            name: "CF_SERVICE".into(),
            reason: format!("VCAP_SERVICES has no service instance called `{service}`; it has {known}"),
            how: Some("give CF_SERVICE one of these names, or bind the service".into()),
        });
    };
    instance.get("credentials").and_then(Value::as_object).cloned().ok_or_else(|| SettingError::Invalid {
        name: origin(service),
        reason: "it has no credentials".into(),
        how: Some("bind the service again".into()),
    })
}

/// How messages call the place that the credentials come from.
pub fn origin(service: &str) -> String {
    format!("VCAP_SERVICES, service `{service}`")
}

fn name_of(instance: &Value) -> Option<String> {
    let field = |field| instance.get(field).and_then(Value::as_str).map(str::to_owned);
    field("instance_name").or_else(|| field("name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_found_by_name_and_not_by_position() {
        let services = r#"{"redis": [{"name": "core", "instance_name": "cache", "credentials": {"host": "r"}}],
                           "postgres": [{"name": "decoy", "credentials": {"host": "d"}}, {"name": "core", "credentials": {"host": "p"}}]}"#;
        assert_eq!(credentials(services, "core").unwrap()["host"], "p");
        assert_eq!(credentials(services, "cache").unwrap()["host"], "r");
    }

    #[test]
    fn an_unknown_instance_is_answered_with_the_known_ones() {
        let error = credentials(r#"{"postgres": [{"name": "one"}, {"instance_name": "two"}]}"#, "three").unwrap_err();
        assert!(error.to_string().contains("it has `one`, `two`"), "{error}");
        assert!(credentials("[]", "x").unwrap_err().to_string().contains("not a JSON object"));
        assert!(credentials(r#"{"x": [{"name": "x"}]}"#, "x").unwrap_err().to_string().contains("no credentials"));
    }
}
