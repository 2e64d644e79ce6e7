//! ECR's control plane as moto acts it out: repositories, images, page tokens. No container; a Python process.
//!
//! moto is installed once, below the target directory. It checks no signatures and keeps everything in memory.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::port::free_port;
use crate::program::target_directory;

/// The version that the tests were written against.
const MOTO: &str = "moto[server]==5.2.5";

/// moto's server, whose tokens hold the password in the file `MOTO_PASSWORD` once there is one: its own never expire.
const SERVER: &str = r#"
import base64, os
from moto.ecr.responses import ECRResponse
from moto.server import main

given = ECRResponse.get_authorization_token

def current(self):
    answer = given(self)
    if os.path.exists(os.environ["MOTO_PASSWORD"]):
        with open(os.environ["MOTO_PASSWORD"], encoding="ascii") as file:
            token = base64.b64encode(b"AWS:" + file.read().encode()).decode()
        for data in answer.result["authorizationData"]:
            data["authorizationToken"] = token
    return answer

ECRResponse.get_authorization_token = current
main()
"#;

/// How long the server may take until it answers.
const READY_MAX: Duration = Duration::from_mins(3);

/// A running moto; it ends when this is dropped.
#[derive(Debug)]
pub struct Moto {
    address: String,
    directory: tempfile::TempDir,
    _process: Child,
}

impl Moto {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    ///
    /// When Python or pip are missing or the server does not start; the message says what to do.
    pub async fn start() -> Self {
        let packages = tokio::task::spawn_blocking(installed).await;
        let packages = packages.unwrap_or_else(|panic| panic!("moto cannot be had: {panic}"));
        let port = free_port();
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let process = Command::new("python3")
            .args(["-c", SERVER, "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", packages)
            .env("MOTO_PASSWORD", directory.path().join("password"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let process = process.unwrap_or_else(|error| panic!("cannot run python3: {error}"));
        let moto = Self { address: format!("127.0.0.1:{port}"), directory, _process: process };
        let deadline = Instant::now() + READY_MAX;
        while TcpStream::connect(&moto.address).await.is_err() {
            assert!(Instant::now() < deadline, "moto does not answer within {READY_MAX:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        moto
    }

    /// The endpoint, for every service and region.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on tokens hold this password.
    ///
    /// # Panics
    ///
    /// When there is no room for it.
    pub fn hand_out(&self, password: &str) {
        let written = std::fs::write(self.directory.path().join("password"), password);
        written.unwrap_or_else(|error| panic!("the password cannot be written: {error}"));
    }

    /// Makes a repository.
    ///
    /// # Panics
    ///
    /// When moto refuses.
    pub async fn create_repository(&self, region: &str, name: &str) {
        let scanning = json!({ "scanOnPush": true });
        let body = json!({ "repositoryName": name, "imageScanningConfiguration": scanning });
        self.call(region, "CreateRepository", &body).await;
    }

    /// Puts an image with one small layer under `tag` and gives its digest.
    ///
    /// # Panics
    ///
    /// When moto refuses.
    pub async fn put_image(&self, region: &str, repository: &str, tag: &str) -> String {
        let seed: u64 = tag.bytes().fold(0, |sum, byte| sum * 131 + u64::from(byte));
        let layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": 7023,
                "digest": format!("sha256:{seed:064x}"),
            },
            "layers": [{ "mediaType": layer, "size": 32654, "digest": format!("sha256:{:064x}", seed + 1) }],
        });
        let body = json!({ "repositoryName": repository, "imageTag": tag, "imageManifest": manifest.to_string() });
        let answer = self.call(region, "PutImage", &body).await;
        answer["image"]["imageId"]["imageDigest"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes a repository whose tags cannot be moved.
    ///
    /// # Panics
    ///
    /// When moto refuses.
    pub async fn create_fixed_repository(&self, region: &str, name: &str) {
        let body = json!({ "repositoryName": name, "imageTagMutability": "IMMUTABLE" });
        self.call(region, "CreateRepository", &body).await;
    }

    /// Puts the image that a registry holds, and scans it.
    ///
    /// # Panics
    ///
    /// When moto refuses.
    pub async fn show_image(&self, region: &str, repository: &str, tag: &str, digest: &str, manifest: &str) {
        let body = json!({
            "repositoryName": repository, "imageTag": tag, "imageDigest": digest, "imageManifest": manifest,
        });
        self.call(region, "PutImage", &body).await;
        let body = json!({ "repositoryName": repository, "imageId": { "imageDigest": digest } });
        self.call(region, "StartImageScan", &body).await;
    }

    /// Says what the scan of an image comes to: ECR's word for its state, and the findings by severity.
    ///
    /// # Panics
    ///
    /// When moto refuses.
    pub async fn set_scan(&self, region: &str, repository: &str, digest: &str, status: &str, findings: &Value) {
        let result = json!({
            "registryId": "123456789012", "repositoryName": repository, "imageId": { "imageDigest": digest },
            "imageScanStatus": { "status": status }, "imageScanFindings": { "findingSeverityCounts": findings },
        });
        let body = json!({ "results": [result], "account_id": "123456789012", "region": region }).to_string();
        let path = "/moto-api/static/ecr/scan-finding-results";
        self.send(path, "Content-Type: application/json\r\n", path, &body).await;
    }

    /// One request of ECR's JSON protocol. moto looks into the signature for the region only.
    async fn call(&self, region: &str, action: &str, body: &Value) -> Value {
        let body = body.to_string();
        let scope = format!("AKIATEST/20260301/{region}/ecr/aws4_request");
        let headers = format!(
            "Content-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: AmazonEC2ContainerRegistry_V20150921.{action}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n"
        );
        let body = self.send("/", &headers, action, &body).await;
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("moto answered {action} with {body}: {error}"))
    }

    /// One request; the body of the answer, which must be a success.
    async fn send(&self, path: &str, headers: &str, action: &str, body: &str) -> String {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len(),
        );
        let answer = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = answer.await.unwrap_or_else(|error| panic!("moto broke off {action}: {error}"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.contains(" 200 ") || head.contains(" 201 "), "moto refused {action}: {answer}");
        body.to_owned()
    }
}

/// The directory with moto and what it needs; installed by the first process that asks, while others wait.
fn installed() -> PathBuf {
    let tools = target_directory().join("test-tools");
    let directory = tools.join(MOTO.replace(['[', ']', '='], "-"));
    std::fs::create_dir_all(&tools).unwrap_or_else(|error| panic!("cannot create {}: {error}", tools.display()));
    let lock = File::create(directory.with_extension("lock")).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.unwrap_or_else(|error| panic!("cannot lock {}: {error}", directory.display()));
    if directory.exists() {
        return directory;
    }
    let partial = directory.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial);
    let output = std::process::Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", MOTO, "--target"])
        .arg(&partial)
        .output();
    let output = output.unwrap_or_else(|error| panic!("cannot run python3 ({error}); apt-get install python3-pip"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "moto cannot be installed; apt-get install python3-pip, then again:\n{messages}");
    std::fs::rename(&partial, &directory).unwrap_or_else(|error| panic!("cannot keep moto: {error}"));
    directory
}
