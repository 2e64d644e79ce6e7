//! The platform that is left: a database behind `VCAP_SERVICES`, and two buckets with keys of their own.

use std::sync::Arc;

use serde_json::json;
use tokio_postgres::error::SqlState;

use crate::estate::{Bucket, Estate};
use crate::local_postgres::LocalPostgres;
use crate::s3_server::{Account, Bucket as ServerBucket, Config, NewObject, S3Server, client_of};

use super::{REGION, RehearsalError, system};

const SERVICE: &str = "dluhc-core-production-postgres";
const SPACE: &str = "production";
/// The platform's broker names databases and their roles like this.
const DATABASE: &str = "rdsbroker_6b2f0a51_core";
const OWNER: &str = "rdsbroker_6b2f0a51_owner";

const fn bucket_name(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::BulkUpload => "dluhc-core-production-bulk-upload",
        Bucket::CdsExport => "dluhc-core-production-cds-export",
    }
}

/// The running source side.
pub(super) struct Paas {
    database: LocalPostgres,
    s3: Arc<S3Server>,
    account: Account,
}

/// What the source holds.
pub(super) struct Filled {
    pub(super) rows: u64,
    pub(super) database_bytes: u64,
    pub(super) objects: u64,
    pub(super) object_bytes: u64,
}

impl Paas {
    pub(super) async fn start() -> Result<Self, RehearsalError> {
        let names = [bucket_name(Bucket::BulkUpload), bucket_name(Bucket::CdsExport)];
        let account = Account::new("AKIAPAASDEMOKEY00001", &uuid::Uuid::new_v4().simple().to_string(), &names);
        let buckets = names.iter().map(|name| ServerBucket::new(name).in_region(REGION)).collect();
        let config = Config { accounts: vec![account.clone()], buckets };
        let s3 = S3Server::start(config).await.map_err(system("the source's S3 server cannot be started"))?;
        Ok(Self { database: LocalPostgres::start().await?, s3: Arc::new(s3), account })
    }

    /// Fills the database and both buckets, at the same time.
    pub(super) async fn fill(&self, estate: &Estate) -> Result<Filled, RehearsalError> {
        let (database_bytes, (objects, object_bytes)) =
            tokio::try_join!(self.fill_database(estate), self.fill_buckets(estate))?;
        let rows = estate.tables().iter().map(|table| estate.row_count(table.name)).sum();
        Ok(Filled { rows, database_bytes, objects, object_bytes })
    }

    async fn fill_database(&self, estate: &Estate) -> Result<u64, RehearsalError> {
        let url = self.database.create_database(DATABASE, OWNER).await?;
        let client = self.database.connect(&url).await?;
        estate.create_database(&client).await?;
        Ok(self.database.size(&client).await?)
    }

    async fn fill_buckets(&self, estate: &Estate) -> Result<(u64, u64), RehearsalError> {
        let client = client_of(&self.s3.endpoint(), &self.account, REGION);
        let (mut objects, mut bytes) = (0, 0);
        for bucket in [Bucket::BulkUpload, Bucket::CdsExport] {
            let (count, size) = estate.fill_bucket(&client, bucket, bucket_name(bucket)).await?;
            objects += count;
            bytes += size;
        }
        Ok((objects, bytes))
    }

    /// A session with the filled database.
    pub(super) async fn connect(&self) -> Result<tokio_postgres::Client, RehearsalError> {
        Ok(self.database.connect(&self.database.superuser_url(DATABASE)).await?)
    }

    /// Step 3.4 of the runbook: nobody can write any more. That a write fails is tried.
    pub(super) async fn freeze(&self) -> Result<(), RehearsalError> {
        let statements = [
            format!("ALTER DATABASE {DATABASE} SET default_transaction_read_only = on"),
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
                .to_owned(),
        ];
        let client = self.connect().await?;
        for statement in statements {
            client.batch_execute(&statement).await?;
        }
        let written = self.connect().await?.batch_execute("DELETE FROM sessions WHERE false").await;
        let refused = written.is_err_and(|error| error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
        let cause = std::io::Error::other("a write was not refused");
        if refused { Ok(()) } else { Err(system("the source is not frozen")(cause)) }
    }

    /// Rows of the table that is written to during a rehearsed cutover.
    pub(super) async fn session_count(&self) -> Result<u64, RehearsalError> {
        session_count(&self.connect().await?).await
    }

    /// Puts a small file under a key, as a user of the service uploads one.
    pub(super) fn uploads(&self) -> impl Fn(&str) + Send + 'static + use<> {
        let s3 = Arc::clone(&self.s3);
        move |key| s3.put(bucket_name(Bucket::BulkUpload), key, NewObject::new(format!("uploaded,{key}\n")))
    }

    /// As an application of the platform sees its services, with a neighbour that must not be taken for the database.
    fn services(&self) -> String {
        let (port, password) = (self.database.port(), self.database.password());
        let instance = |name: &str, port: u16, password: &str| {
            json!({
                "name": name, "instance_name": name, "binding_name": null, "label": "postgres", "plan": "small-ha-13",
                "tags": ["postgres", "relational"],
                "credentials": {
                    "host": "127.0.0.1", "port": port, "name": DATABASE, "username": OWNER, "password": password,
                    "uri": format!("postgres://{OWNER}:{password}@127.0.0.1:{port}/{DATABASE}"),
                    "jdbcuri": format!("jdbc:postgresql://127.0.0.1:{port}/{DATABASE}?password={password}&user={OWNER}"),
                },
            })
        };
        let neighbour = instance("dluhc-core-staging-postgres", 1, "not-this-one");
        json!({ "postgres": [neighbour, instance(SERVICE, port, password)] }).to_string()
    }

    pub(super) fn database_variables(&self) -> Vec<(&'static str, String)> {
        vec![("CF_SERVICE", SERVICE.to_owned()), ("CF_SPACE", SPACE.to_owned()), ("VCAP_SERVICES", self.services())]
    }

    pub(super) fn bucket_variables(&self, bucket: Bucket) -> Vec<(&'static str, String)> {
        vec![
            ("PAAS_BUCKET", format!("s3://{}", bucket_name(bucket))),
            ("PAAS_ACCESS_KEY_ID", self.account.access_key_id.clone()),
            ("PAAS_SECRET_ACCESS_KEY", self.account.secret_access_key.clone()),
            ("PAAS_ENDPOINT_URL", self.s3.endpoint()),
            ("PAAS_REGION", REGION.to_owned()),
        ]
    }
}

/// Rows of the table that a rehearsed cutover writes to.
pub(super) async fn session_count(client: &tokio_postgres::Client) -> Result<u64, RehearsalError> {
    let row = client.query_one("SELECT count(*) FROM sessions", &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}
