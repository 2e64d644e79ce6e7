//! The AWS-like side: an RDS-like server whose `postgres` is no superuser, and two buckets that encrypt with KMS, which
//! makes their ETags opaque.

use crate::estate::Bucket;
use crate::local_postgres::LocalPostgres;
use crate::s3_server::{Account, Bucket as ServerBucket, Config, S3Server};

use super::paas::session_count;
use super::{REGION, RehearsalError, system};

const fn bucket_name(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::BulkUpload => "core-prod-bulk-upload",
        Bucket::CdsExport => "core-prod-cds-export",
    }
}

/// Where reports and the states of the buckets go, as in the task definitions.
const REPORTS: &str = "core-prod-migration-reports";

const fn short_name(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::BulkUpload => "bulk-upload",
        Bucket::CdsExport => "cds-export",
    }
}

/// The running target side.
pub(super) struct Target {
    database: LocalPostgres,
    database_url: String,
    s3: S3Server,
    task_role: Account,
}

impl Target {
    pub(super) async fn start() -> Result<Self, RehearsalError> {
        let names = [bucket_name(Bucket::BulkUpload), bucket_name(Bucket::CdsExport), REPORTS];
        let task_role = Account::new("ASIATASKROLEDEMO0001", &uuid::Uuid::new_v4().simple().to_string(), &names);
        let buckets = vec![
            ServerBucket::new(names[0]).in_region(REGION).with_kms().with_lifecycle(30, 1),
            ServerBucket::new(names[1]).in_region(REGION).with_kms(),
            ServerBucket::new(names[2]).in_region(REGION).with_kms(),
        ];
        let config = Config { accounts: vec![task_role.clone()], buckets };
        let s3 = S3Server::start(config).await.map_err(system("the target's S3 server cannot be started"))?;
        let database = LocalPostgres::start().await?;
        let database_url = database.create_database("data_collector", "postgres").await?;
        Ok(Self { database, database_url, s3, task_role })
    }

    pub(super) fn database_variables(&self) -> Vec<(&'static str, String)> {
        vec![("DATABASE_URL", self.database_url.clone())]
    }

    /// Rows of the table that is written to during a rehearsed cutover.
    pub(super) async fn session_count(&self) -> Result<u64, RehearsalError> {
        session_count(&self.database.connect(&self.database_url).await?).await
    }

    /// The bucket's variables, and the task role's credentials where the ECS agent's endpoint would give them.
    pub(super) fn bucket_variables(&self, bucket: Bucket) -> Vec<(&'static str, String)> {
        vec![
            ("NEW_BUCKET", format!("s3://{}", bucket_name(bucket))),
            ("NEW_ENDPOINT_URL", self.s3.endpoint()),
            ("NEW_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.task_role.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.task_role.secret_access_key.clone()),
        ]
    }

    /// Where the database's report goes, with the task role's credentials.
    pub(super) fn database_report(&self) -> Vec<(&'static str, String)> {
        let role = [
            ("AWS_ACCESS_KEY_ID", self.task_role.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.task_role.secret_access_key.clone()),
        ];
        [self.report("db"), role.to_vec()].concat()
    }

    /// Where the bucket's report goes, and its state: the second pass needs it to be cheap.
    pub(super) fn bucket_report(&self, bucket: Bucket) -> Vec<(&'static str, String)> {
        [self.report(short_name(bucket)), vec![("STATE", format!("s3://{REPORTS}/state"))]].concat()
    }

    fn report(&self, name: &str) -> Vec<(&'static str, String)> {
        vec![
            ("REPORT", format!("s3://{REPORTS}/{name}")),
            ("REPORT_ENDPOINT_URL", self.s3.endpoint()),
            ("REPORT_REGION", REGION.to_owned()),
        ]
    }

    /// How many reports have arrived.
    pub(super) fn report_count(&self) -> usize {
        self.s3.keys(REPORTS).iter().filter(|key| key.ends_with("/report.json")).count()
    }
}
