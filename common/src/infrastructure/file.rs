//! Reads `migration.toml`: refuses secrets first, then unknown keys, then fills in the defaults.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Bucket, BucketSource, Database, Environment, Infrastructure, InfrastructureError, Registries};
use crate::aws::REGION_DEFAULT;
use crate::location::BucketUrl;

/// The version of the format that this program reads.
const SCHEMA_VERSION: u32 = 1;

/// Parts of a key's name that announce a secret. A key that ends in `_variable` only names one.
const SECRET_WORDS: [&str; 7] = ["password", "passwd", "secret", "access_key", "token", "credential", "private_key"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema_version: Spanned<u32>,
    region: Option<String>,
    platform: Option<Platform>,
    registries: Option<RawRegistries>,
    #[serde(default)]
    environments: BTreeMap<String, Spanned<RawEnvironment>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Platform {
    api: Option<String>,
    organisation: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRegistries {
    account: Option<Spanned<String>>,
    application: Option<String>,
    db_migration: Option<String>,
    s3_migration: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEnvironment {
    prefix: Spanned<String>,
    #[serde(default)]
    protected: bool,
    region: Option<String>,
    database: Option<RawDatabase>,
    #[serde(default)]
    buckets: BTreeMap<String, Spanned<RawBucket>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatabase {
    service: Option<String>,
    space: Option<String>,
    source_url_variable: Option<Variable>,
    target_url_variable: Option<Variable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBucket {
    #[serde(default, deserialize_with = "bucket_url")]
    source: Option<BucketUrl>,
    source_service: Option<String>,
    source_access_key_id_variable: Option<Variable>,
    source_secret_access_key_variable: Option<Variable>,
    source_region: Option<String>,
    source_endpoint_url: Option<String>,
    #[serde(default, deserialize_with = "bucket_url")]
    target: Option<BucketUrl>,
    target_region: Option<String>,
    target_endpoint_url: Option<String>,
}

/// The name of an environment variable.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Variable(String);

impl TryFrom<String> for Variable {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(plain) {
            // Not repeated: someone may have put the value here.
            return Err("this must be the name of a variable: upper-case letters, digits and underscores");
        }
        Ok(Self(name))
    }
}

fn bucket_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BucketUrl>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Where in the file something is, for errors.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.as_bytes().iter().take(span.start).filter(|byte| **byte == b'\n').count() + 1
    }

    fn invalid(&self, span: &Range<usize>, reason: impl Into<String>) -> InfrastructureError {
        InfrastructureError::Invalid { path: self.path.into(), line: self.line(span), reason: reason.into() }
    }

    /// `Display` of the parser's error quotes the line, and with it perhaps a secret; its message does not.
    fn parser(&self, error: &toml::de::Error) -> InfrastructureError {
        self.invalid(&error.span().unwrap_or_default(), error.message())
    }
}

/// The estate that `text` describes; `path` is for errors.
pub(super) fn read(path: &Path, text: &str) -> Result<Infrastructure, InfrastructureError> {
    let place = Place { path, text };
    let table = DeTable::parse(text).map_err(|error| place.parser(&error))?;
    refuse_secrets(&place, table.get_ref())?;
    let file: File = toml::from_str(text).map_err(|error| place.parser(&error))?;
    if *file.schema_version.get_ref() != SCHEMA_VERSION {
        let reason =
            format!("schema_version is {}, and this program reads {SCHEMA_VERSION}", file.schema_version.get_ref());
        return Err(place.invalid(&file.schema_version.span(), reason));
    }
    let region = file.region.unwrap_or_else(|| REGION_DEFAULT.into());
    let platform = file.platform.unwrap_or_default();
    let registries = file.registries.map(|raw| registries(&place, raw)).transpose()?;
    let environments = file
        .environments
        .into_iter()
        .map(|(name, raw)| Ok((name.clone(), environment(&place, name, raw, &region, &platform)?)))
        .collect::<Result<_, InfrastructureError>>()?;
    Ok(Infrastructure { path: path.into(), region, registries, environments })
}

fn refuse_secrets(place: &Place<'_>, table: &DeTable<'_>) -> Result<(), InfrastructureError> {
    for (key, value) in table {
        let name = key.get_ref().to_lowercase();
        let announced = SECRET_WORDS.iter().any(|word| name.contains(word)) && !name.ends_with("_variable");
        refuse_secret_value(place, key.get_ref(), value, announced)?;
    }
    Ok(())
}

fn refuse_secret_value(
    place: &Place<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    announced: bool,
) -> Result<(), InfrastructureError> {
    let secret = || InfrastructureError::Secret {
        path: place.path.into(),
        line: place.line(&value.span()),
        key: key.to_owned(),
    };
    match value.get_ref() {
        DeValue::Table(table) => refuse_secrets(place, table),
        DeValue::Array(values) => values.iter().try_for_each(|value| refuse_secret_value(place, key, value, announced)),
        _ if announced => Err(secret()),
        DeValue::String(text) if is_secret(text) => Err(secret()),
        _ => Ok(()),
    }
}

/// A URL with a password, or an AWS access key id.
fn is_secret(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    let password =
        authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'));
    let key_id = text.len() == 20 && (text.starts_with("AKIA") || text.starts_with("ASIA"));
    password || key_id
}

fn registries(place: &Place<'_>, raw: RawRegistries) -> Result<Registries, InfrastructureError> {
    let defaults = Registries::default();
    if let Some(account) = &raw.account
        && (account.get_ref().len() != 12 || !account.get_ref().bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(place.invalid(&account.span(), "`account` is the number of an AWS account: 12 digits, quoted"));
    }
    Ok(Registries {
        account: raw.account.map(Spanned::into_inner),
        application: raw.application.unwrap_or(defaults.application),
        db_migration: raw.db_migration.unwrap_or(defaults.db_migration),
        s3_migration: raw.s3_migration.unwrap_or(defaults.s3_migration),
    })
}

fn environment(
    place: &Place<'_>,
    name: String,
    raw: Spanned<RawEnvironment>,
    region: &str,
    platform: &Platform,
) -> Result<Environment, InfrastructureError> {
    let raw = raw.into_inner();
    if raw.prefix.get_ref().is_empty() {
        return Err(place.invalid(&raw.prefix.span(), format!("the environment `{name}` has an empty `prefix`")));
    }
    let prefix = raw.prefix.into_inner();
    let region = raw.region.unwrap_or_else(|| region.to_owned());
    let buckets = raw
        .buckets
        .into_iter()
        .map(|(name, raw)| Ok((name.clone(), bucket(place, name, raw, &prefix, &region)?)))
        .collect::<Result<_, InfrastructureError>>()?;
    let database = raw.database.map(|raw| Database {
        service: raw.service,
        space: raw.space,
        organisation: platform.organisation.clone(),
        api: platform.api.clone(),
        source_url_variable: raw.source_url_variable.map(|variable| variable.0),
        target_url_variable: named(raw.target_url_variable, "DATABASE_URL"),
    });
    Ok(Environment { name, prefix, protected: raw.protected, region, database, buckets })
}

fn named(variable: Option<Variable>, default: &str) -> String {
    variable.map_or_else(|| default.to_owned(), |variable| variable.0)
}

fn bucket(
    place: &Place<'_>,
    name: String,
    raw: Spanned<RawBucket>,
    prefix: &str,
    region: &str,
) -> Result<Bucket, InfrastructureError> {
    let span = raw.span();
    let raw = raw.into_inner();
    let source = match (raw.source, raw.source_service) {
        (Some(url), None) => BucketSource::Url(url),
        (None, Some(service)) => BucketSource::Service(service),
        _ => {
            let reason =
                format!("the bucket `{name}` needs exactly one of `source` (an s3:// URL) and `source_service`");
            return Err(place.invalid(&span, reason));
        }
    };
    let target = match raw.target {
        Some(target) => target,
        None => format!("s3://{prefix}-{name}").parse().map_err(|_| {
            let reason = format!("the bucket `{name}` needs a `target`: `{prefix}-{name}` is no name for a bucket");
            place.invalid(&span, reason)
        })?,
    };
    Ok(Bucket {
        name,
        source,
        source_access_key_id_variable: named(raw.source_access_key_id_variable, "PAAS_ACCESS_KEY_ID"),
        source_secret_access_key_variable: named(raw.source_secret_access_key_variable, "PAAS_SECRET_ACCESS_KEY"),
        source_region: raw.source_region.unwrap_or_else(|| region.to_owned()),
        source_endpoint_url: raw.source_endpoint_url,
        target,
        target_region: raw.target_region.unwrap_or_else(|| region.to_owned()),
        target_endpoint_url: raw.target_endpoint_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::describe;

    const START: &str = "schema_version = 1\n";

    fn parsed(rest: &str) -> Result<Infrastructure, InfrastructureError> {
        read(Path::new("migration.toml"), &format!("{START}{rest}"))
    }

    fn complaint(rest: &str) -> String {
        parsed(rest).unwrap_err().to_string()
    }

    #[test]
    fn the_example_of_the_repository_is_valid() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migration.toml");
        let estate = Infrastructure::load(&path).unwrap();
        let names: Vec<&str> = estate.environments().map(|environment| environment.name.as_str()).collect();
        assert_eq!(names, ["development", "production", "staging"]);
        let production = estate.environment("production").unwrap();
        assert!(production.protected);
        assert_eq!(production.bucket("bulk-upload").unwrap().target.to_string(), "s3://core-prod-bulk-upload/");
        assert_eq!(production.database.as_ref().unwrap().service.as_deref(), Some("dluhc-core-production-postgres"));
    }

    #[test]
    fn each_key_is_documented() {
        let page = include_str!("../../../runbooks/reference/migration-toml.md");
        let source = include_str!("file.rs");
        let fields = source.split("fn bucket_url").next().unwrap().lines().filter_map(|line| {
            let (name, _) = line.strip_prefix("    ")?.split_once(": ")?;
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_').then_some(name)
        });
        for field in fields {
            assert!(page.contains(&format!("`{field}`")), "{field} is not in migration-toml.md");
        }
    }

    #[test]
    fn a_typo_is_named_with_its_line() {
        assert_eq!(
            complaint("[environments.staging]\nprefx = \"core-staging\"\n"),
            "migration.toml, line 3: unknown field `prefx`, expected one of `prefix`, `protected`, `region`, \
             `database`, `buckets`"
        );
        assert!(complaint("region = eu-west-2\n").starts_with("migration.toml, line 2: "));
        assert!(
            complaint("[environments.a]\nprefix=\"\"\n").contains("line 3: the environment `a` has an empty `prefix`")
        );
        assert!(
            complaint("[environments.a]\nprefix=\"a\"\n[environments.a.buckets.b]\nsource=\"s3:/x\"\n")
                .contains("line 5: `s3:/x` is not usable")
        );
        assert!(read(Path::new("m"), "schema_version = 2").unwrap_err().to_string().contains("this program reads 1"));
    }

    #[test]
    fn a_bucket_has_one_source() {
        let both =
            "[environments.a]\nprefix=\"a\"\n[environments.a.buckets.b]\nsource=\"s3://abc\"\nsource_service=\"x\"\n";
        assert!(complaint(both).contains("needs exactly one of"));
        assert!(complaint("[environments.a]\nprefix=\"a\"\n[environments.a.buckets.b]\n").contains("exactly one of"));
    }

    #[test]
    fn secrets_are_refused_and_not_shown() {
        for (line, key) in [
            ("password = \"hunter2\"", "password"),
            ("[environments.a.database]\nurl = \"postgresql://user:hunter2@host/db\"", "url"),
            ("[environments.a]\nsource_secret_access_key = \"hunter2\"", "source_secret_access_key"),
            ("region = \"AKIAhunter2hunter2AB\"", "region"),
            ("list = [{ api_token = \"hunter2\" }]", "api_token"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(matches!(&error, InfrastructureError::Secret { key: found, .. } if found == key), "{error}");
            assert!(!format!("{error:?} {}", describe(&error)).contains("hunter2"), "{error:?}");
        }
        let misplaced =
            complaint("[environments.a]\nprefix=\"a\"\n[environments.a.database]\ntarget_url_variable = \"hunter2\"\n");
        assert!(misplaced.contains("must be the name of a variable") && !misplaced.contains("hunter2"), "{misplaced}");
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let estate = parsed(
            "[environments.development]\nprefix=\"d\"\n[environments.production]\nprefix=\"p\"\n\
             [environments.staging]\nprefix=\"s\"\n",
        )
        .unwrap();
        assert_eq!(
            describe(&estate.environment("stagng").unwrap_err()),
            "error: there is no environment `stagng`; migration.toml has development, production, staging\n  \
             next: did you mean `staging`?"
        );
        let error = estate.environment("staging").unwrap().bucket("bulk").unwrap_err();
        assert_eq!(error.to_string(), "the environment `staging` has no bucket `bulk`; it has none");
    }

    #[test]
    fn a_missing_file_matters_only_when_asked() {
        let nowhere = Path::new("/nowhere/migration.toml");
        assert!(Environment::load(nowhere, None).unwrap().is_none());
        assert!(Infrastructure::load_if_present(nowhere).unwrap().is_none());
        assert!(
            Environment::load(nowhere, Some("staging")).unwrap_err().to_string().contains("/nowhere/migration.toml")
        );
    }
}
