//! What a platform plants into its tenants' databases: recognised on the source, left behind, and reported.
//!
//! Such objects serve the platform alone and refer to roles that exist only there; carried over by a role that may,
//! they break the first migration of the application after the cutover. Nothing is taken for planted by its name
//! only: an event trigger must also run the function that the platform's does. Called by `run`.
//!
//! Sources: GOV.UK's `paas-rds-broker` (`sqlengine/postgres_engine.go`); Heroku's extension hooks as dumps of its
//! databases show them (schema `_heroku`); the AWS DMS guide, "Using a PostgreSQL database as a source" (`awsdms_*`).

use crate::connect::Session;
use crate::error::Result;
use crate::sql;

/// Whose objects are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Those of every platform that is known.
    Auto,
    /// GOV.UK `PaaS`: event triggers and functions of its database broker.
    GovukPaas,
    /// Heroku: the schema `_heroku` and its event triggers.
    Heroku,
    /// cloud.gov and others on Amazon RDS: what DMS leaves in a database.
    CloudGov,
    /// Nothing is left behind.
    None,
}

/// An event trigger, by name, and the function that it runs.
struct Trigger {
    name: &'static str,
    function: &'static str,
}

/// What one platform plants.
struct Platform {
    name: &'static str,
    triggers: &'static [Trigger],
    /// Functions besides those that the triggers run; only where one of the triggers is there.
    helpers: &'static [&'static str],
    /// Schemas with all that is in them.
    schemas: &'static [&'static str],
}

const GOVUK_PAAS: Platform = Platform {
    name: "GOV.UK PaaS",
    triggers: &[
        Trigger { name: "reassign_owned", function: "public.reassign_owned" },
        Trigger { name: "make_readable", function: "public.make_readable" },
        Trigger { name: "forbid_ddl_reader", function: "public.forbid_ddl_reader" },
    ],
    helpers: &["public.make_readable_generic"],
    schemas: &[],
};

const HEROKU: Platform = Platform {
    name: "Heroku",
    triggers: &[
        Trigger { name: "extension_before_drop", function: "_heroku.extension_before_drop" },
        Trigger { name: "log_create_ext", function: "_heroku.create_ext" },
        Trigger { name: "log_drop_ext", function: "_heroku.drop_ext" },
        Trigger { name: "validate_extension", function: "_heroku.validate_extension" },
    ],
    helpers: &[],
    schemas: &["_heroku"],
};

const AMAZON: Platform = Platform {
    name: "Amazon RDS",
    triggers: &[Trigger { name: "awsdms_intercept_ddl", function: "public.awsdms_intercept_ddl" }],
    helpers: &[],
    schemas: &[],
};

impl Preset {
    fn platforms(self) -> &'static [Platform] {
        match self {
            Self::Auto => &[GOVUK_PAAS, HEROKU, AMAZON],
            Self::GovukPaas => &[GOVUK_PAAS],
            Self::Heroku => &[HEROKU],
            Self::CloudGov => &[AMAZON],
            Self::None => &[],
        }
    }
}

/// What a source holds of its platform's own.
#[derive(Debug, Clone, Default)]
pub struct Planted {
    /// Event triggers and functions.
    pub objects: Vec<PlantedObject>,
    /// Schemas, left behind with all that is in them.
    pub schemas: Vec<PlantedSchema>,
}

/// An event trigger or a function of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantedObject {
    /// Whose it is.
    pub platform: &'static str,
    /// The catalog that it is in, by object identifier, as a dump's table of contents has it.
    pub class: u32,
    /// Its object identifier.
    pub oid: u32,
    /// `event trigger` or `function`.
    pub kind: String,
    /// The parts of its name, as the comparison of schemas has them.
    pub name: Vec<String>,
}

/// A schema of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantedSchema {
    /// Whose it is.
    pub platform: &'static str,
    /// Its name.
    pub name: String,
}

impl Planted {
    /// Descriptions, as far as the owner, of entries in a dump's table of contents: comments have no identifiers there.
    pub fn comment_entries(&self) -> Vec<String> {
        let entry = |object: &PlantedObject| match object.name.as_slice() {
            [schema, function] => format!("COMMENT {schema} FUNCTION {function} "),
            name => format!("COMMENT - EVENT TRIGGER {} ", name.join(".")),
        };
        self.objects.iter().map(entry).collect()
    }

    /// Looks for what `preset` knows of.
    pub async fn find(session: &Session, preset: Preset) -> Result<Self> {
        let mut planted = Self::default();
        for platform in preset.platforms() {
            planted.objects.extend(objects(session, platform).await?);
            let schemas: Vec<&str> = platform.schemas.to_vec();
            let statement = "SELECT nspname::text FROM pg_namespace WHERE nspname = ANY ($1) ORDER BY 1";
            let rows = session.query("look for a platform's schemas", statement, &[&schemas]).await?;
            planted.schemas.extend(rows.iter().map(|row| PlantedSchema { platform: platform.name, name: row.get(0) }));
        }
        Ok(planted)
    }

    /// Whether there is nothing of the kind.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.schemas.is_empty()
    }

    /// Each with whose it is, for people: `event trigger reassign_owned`, `GOV.UK PaaS`.
    pub fn labels(&self) -> Vec<(String, &'static str)> {
        let objects =
            self.objects.iter().map(|object| (format!("{} {}", object.kind, object.name.join(".")), object.platform));
        let schemas = self.schemas.iter().map(|schema| (format!("schema {}", schema.name), schema.platform));
        objects.chain(schemas).collect()
    }

    /// Whether an object of this kind and name, as the comparison of schemas has them, stays behind. Its rights do too.
    pub fn holds(&self, kind: &str, name: &[String]) -> bool {
        let kind = kind.strip_prefix("rights on ").unwrap_or(kind);
        let is_object = self.objects.iter().any(|object| object.kind == kind && object.name == name);
        let first = name.first().map(String::as_str).unwrap_or_default();
        let is_in_schema = self.has_schema(first);
        let is_comment = kind == "comment" && self.objects.iter().any(|object| object.is_meant_by(first));
        is_object || is_in_schema || is_comment
    }

    /// Whether the schema stays behind.
    pub fn has_schema(&self, name: &str) -> bool {
        self.schemas.iter().any(|schema| schema.name == name)
    }
}

impl PlantedObject {
    /// Whether a comment's name, `on function public.reassign_owned()`, is about this.
    fn is_meant_by(&self, comment: &str) -> bool {
        comment.strip_prefix("on ").is_some_and(|rest| rest == format!("{} {}", self.kind, self.name.join(".")))
    }
}

async fn objects(session: &Session, platform: &Platform) -> Result<Vec<PlantedObject>> {
    let pairs: Vec<String> = platform
        .triggers
        .iter()
        .map(|trigger| format!("({}, {})", sql::literal(trigger.name), sql::literal(trigger.function)))
        .collect();
    let helpers: Vec<&str> = platform.helpers.to_vec();
    let statement = format!(
        "WITH known (trigger, function) AS (VALUES {}),
              found AS (SELECT t.oid AS trigger, t.evtname, p.oid AS function, n.nspname, p.proname
                        FROM pg_event_trigger t JOIN pg_proc p ON p.oid = t.evtfoid
                        JOIN pg_namespace n ON n.oid = p.pronamespace
                        JOIN known ON known.trigger = t.evtname AND known.function = n.nspname || '.' || p.proname)
         SELECT 'pg_event_trigger'::regclass::oid, trigger, 'event trigger', ARRAY[evtname::text] FROM found
         UNION ALL
         SELECT 'pg_proc'::regclass::oid, function, 'function', ARRAY[nspname::text, proname || '()'] FROM found
         UNION ALL
         SELECT 'pg_proc'::regclass::oid, p.oid, 'function', ARRAY[n.nspname::text, p.proname || '()']
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname || '.' || p.proname = ANY ($1) AND p.pronargs = 0 AND EXISTS (SELECT FROM found)",
        pairs.join(", ")
    );
    let rows = session.query("look for a platform's own objects", &statement, &[&helpers]).await?;
    let object = |row: &tokio_postgres::Row| PlantedObject {
        platform: platform.name,
        class: row.get(0),
        oid: row.get(1),
        kind: row.get(2),
        name: row.get(3),
    };
    Ok(rows.iter().map(object).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_its_comment_and_a_schemas_content_stay_behind_and_nothing_else() {
        let planted = Planted {
            objects: vec![PlantedObject {
                platform: "GOV.UK PaaS",
                class: 1255,
                oid: 1,
                kind: "function".into(),
                name: vec!["public".into(), "make_readable()".into()],
            }],
            schemas: vec![PlantedSchema { platform: "Heroku", name: "_heroku".into() }],
        };
        let holds = |kind: &str, name: &[&str]| {
            planted.holds(kind, &name.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
        };
        assert!(holds("function", &["public", "make_readable()"]));
        assert!(holds("rights on function", &["public", "make_readable()"]));
        assert!(holds("comment", &["on function public.make_readable()"]));
        assert!(holds("function", &["_heroku", "create_ext()"]));
        assert!(!holds("function", &["public", "make_readable(integer)"]));
        assert!(!holds("procedure", &["public", "make_readable()"]));
        assert!(!holds("comment", &["on function public.other()"]));
    }
}
