//! An S3 server in a container: SeaweedFS, or MinIO where `TEST_S3_IMAGE` names an image of it.

use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testcontainers::core::IntoContainerPort as _;
use testcontainers::{ContainerRequest, CopyTargetOptions, GenericImage, ImageExt as _};
use tokio::sync::OnceCell;

use super::container::{generic_image, image, start};
use crate::s3_server::{Account, client_of};

/// The port inside the container.
const PORT: u16 = 8333;

/// How long the server may take until it makes a bucket.
const READY_MAX: Duration = Duration::from_mins(3);

/// A server in a container.
#[derive(Debug)]
pub struct S3Engine {
    /// The image that it runs.
    pub image: String,
    /// Its endpoint, to be used with path-style addressing.
    pub endpoint: String,
    /// The account that may do everything.
    pub account: Account,
    bucket_count: AtomicU32,
}

/// The S3 server, started by the first call in this process.
///
/// # Panics
///
/// When there is no such engine, with a sentence that says what to do.
pub async fn s3() -> &'static S3Engine {
    static ENGINE: OnceCell<S3Engine> = OnceCell::const_new();
    ENGINE.get_or_init(S3Engine::start).await
}

impl S3Engine {
    async fn start() -> Self {
        let image = tokio::task::spawn_blocking(|| image("s3")).await;
        let image = image.unwrap_or_else(|panic| panic!("an S3 server cannot be had: {panic}"));
        let account = Account::new("AKIAENGINE", "engine-secret-key", &[]);
        let request = if image.contains("minio") { minio(&image, &account) } else { seaweedfs(&image, &account) };
        let port = start("S3", request, PORT).await;
        announce(&format!("S3 server, image {image}"));
        let endpoint = format!("http://127.0.0.1:{port}");
        let engine = Self { image, endpoint, account, bucket_count: AtomicU32::new(0) };
        engine.wait_until_ready().await;
        engine
    }

    /// The port is open before the parts behind it are: ready is who has made and removed a bucket.
    async fn wait_until_ready(&self) {
        let client = self.client();
        let deadline = Instant::now() + READY_MAX;
        loop {
            let Err(error) = client.create_bucket().bucket("is-ready").send().await else { break };
            assert!(Instant::now() < deadline, "the S3 server {} does not become ready: {error:?}", self.image);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // It harms nobody where it stays.
        let _ = client.delete_bucket().bucket("is-ready").send().await;
    }

    /// A client of the account.
    pub fn client(&self) -> aws_sdk_s3::Client {
        client_of(&self.endpoint, &self.account, "eu-west-2")
    }

    /// Makes a new, empty bucket and returns its name.
    ///
    /// # Panics
    ///
    /// When the server does not make one.
    pub async fn bucket(&self) -> String {
        let name = format!("test-{}", self.bucket_count.fetch_add(1, Ordering::Relaxed));
        let made = self.client().create_bucket().bucket(&name).send().await;
        made.unwrap_or_else(|error| panic!("cannot make the bucket {name}: {error:?}"));
        name
    }
}

fn seaweedfs(image: &str, account: &Account) -> ContainerRequest<GenericImage> {
    let credentials = json!([{ "accessKey": account.access_key_id, "secretKey": account.secret_access_key }]);
    let identities = json!({ "identities": [{ "name": "all", "credentials": credentials, "actions": ["Admin"] }] });
    let port = format!("-s3.port={PORT}");
    generic_image(image)
        .with_entrypoint("weed")
        .with_exposed_port(PORT.tcp())
        .with_cmd([
            "server",
            "-dir=/data",
            "-ip=127.0.0.1",
            "-ip.bind=0.0.0.0",
            "-filer",
            "-s3",
            &port,
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.config=/identities.json",
            "-volume.max=200",
            "-master.volumeSizeLimitMB=256",
        ])
        .with_copy_to(CopyTargetOptions::new("/identities.json"), identities.to_string().into_bytes())
}

fn minio(image: &str, account: &Account) -> ContainerRequest<GenericImage> {
    let address = format!(":{PORT}");
    generic_image(image)
        .with_exposed_port(PORT.tcp())
        .with_cmd(["server", "/data", "--address", &address])
        .with_env_var("MINIO_ROOT_USER", &account.access_key_id)
        .with_env_var("MINIO_ROOT_PASSWORD", &account.secret_access_key)
}

/// Writes a line past the capture of libtest, so that it is seen whether or not a test fails.
pub(super) fn announce(line: &str) {
    // Whoever closed stderr does not want to read it.
    let _ = writeln!(std::io::stderr(), "engine: {line}");
}
