//! A container registry: Debian's `docker-registry` as a process, and beside moto what ECR is as a whole.
//!
//! The package is unpacked below the target directory, once; nothing is installed. [`Ecr`] shows moto what is pushed to the
//! registry, as ECR's two halves know of each other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::Moto;
use super::port::free_port;
use crate::eventually::eventually;
use crate::program::target_directory;

/// moto's only account.
pub const ACCOUNT: &str = "123456789012";

/// The password in moto's tokens.
pub const PASSWORD: &str = "123456789012-auth-token";

/// The password in the tokens that follow, once those with [`PASSWORD`] have expired.
const NEXT_PASSWORD: &str = "the-next-auth-token";

/// `AWS` with [`PASSWORD`], with [`NEXT_PASSWORD`], and with another one, as htpasswd writes them (bcrypt).
const USER: &str = "AWS:$2b$04$abcdefghijklmnopqrstuu/cMn6kFoLFEf9ShbIPSVtJoiKQtizZG";
const NEXT_USER: &str = "AWS:$2b$04$abcdefghijklmnopqrstuuWTToyeO2feM11NT2zcXCbDi21eXPkuG";
const OTHER_USER: &str = "AWS:$2b$04$abcdefghijklmnopqrstuuW839tY81OgYwy4gFNdslinRlf6MvQ8m";

/// Who may use a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Everybody.
    All,
    /// Who has moto's token.
    Token,
    /// Who has another one: moto's is refused.
    OtherToken,
}

/// A registry; it ends when this is dropped.
#[derive(Debug)]
pub struct Registry {
    address: String,
    directory: tempfile::TempDir,
    process: Option<Child>,
}

impl Registry {
    /// Starts an empty one.
    ///
    /// # Panics
    ///
    /// When the package cannot be had or the registry does not start.
    pub async fn start(users: Users) -> Self {
        let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
        let address = format!("127.0.0.1:{}", free_port());
        let file = |name: &str| directory.path().join(name).display().to_string();
        let user = if users == Users::Token { USER } else { OTHER_USER };
        let auth = json!({ "htpasswd": { "realm": "registry", "path": file("users") } });
        let mut config = json!({
            "version": 0.1,
            "log": { "level": "error", "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": file("data") }, "delete": { "enabled": true } },
            "http": { "addr": address },
        });
        if users != Users::All {
            config["auth"] = auth;
        }
        // JSON is YAML.
        let written =
            std::fs::write(file("users"), user).and_then(|()| std::fs::write(file("config"), config.to_string()));
        written.unwrap_or_else(|error| panic!("the registry's settings cannot be written: {error}"));
        let mut registry = Self { address, directory, process: None };
        registry.start_again().await;
        registry
    }

    /// Starts it after [`Self::kill`], with what it had stored.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start_again(&mut self) {
        let program = tokio::task::spawn_blocking(unpacked).await;
        let program = program.unwrap_or_else(|panic| panic!("docker-registry cannot be had: {panic}"));
        let mut command = Command::new(&program);
        command.arg("serve").arg(self.directory.path().join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display()));
        self.process = Some(process);
        eventually("the registry answers", async || TcpStream::connect(&self.address).await.is_ok()).await;
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill().await;
        }
    }

    /// Its address, with `http://`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that it has stored, finished or not.
    pub fn stored_bytes(&self) -> u64 {
        fn below(path: &Path) -> u64 {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            let size = |entry: std::fs::DirEntry| match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => below(&entry.path()),
                Ok(metadata) => metadata.len(),
                Err(_) => 0,
            };
            entries.map(size).sum()
        }
        below(&self.directory.path().join("data"))
    }

    /// One request, as who has moto's token; the answer's head and body.
    pub async fn request(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> (String, Vec<u8>) {
        use base64::Engine as _;
        let user = base64::prelude::BASE64_STANDARD.encode(format!("AWS:{PASSWORD}"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {user}\r\nAccept: {kind}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.address,
            body.len(),
        );
        let mut answer = Vec::new();
        let exchange = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.write_all(body).await?;
            stream.read_to_end(&mut answer).await
        };
        if exchange.await.is_err() {
            return Default::default();
        }
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head, answer.split_off((end + 4).min(answer.len())))
    }

    /// Puts a blob or a manifest at once; gives its digest.
    ///
    /// # Panics
    ///
    /// When the registry refuses.
    pub async fn put(&self, repository: &str, tag: Option<&str>, kind: &str, content: &[u8]) -> String {
        use sha2::Digest as _;
        let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(content)));
        let path = if let Some(tag) = tag {
            format!("/v2/{repository}/manifests/{tag}")
        } else {
            let (head, _) = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), kind, &[]).await;
            let location = head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap_or_default();
            format!("{}&digest={digest}", location.trim().trim_start_matches(&self.url()))
        };
        let (head, body) = self.request("PUT", &path, kind, content).await;
        assert!(head.contains(" 201 "), "the registry refused {path}: {head} {}", String::from_utf8_lossy(&body));
        digest
    }

    /// The digest that a tag or digest has.
    pub async fn digest(&self, repository: &str, reference: &str) -> Option<String> {
        let (head, _) = self.request("HEAD", &format!("/v2/{repository}/manifests/{reference}"), MANIFEST, &[]).await;
        head.lines()
            .find_map(|line| line.strip_prefix("Docker-Content-Digest: "))
            .map(|digest| digest.trim().to_owned())
    }
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// ECR as a whole: moto, a registry, and repositories that both know.
#[derive(Debug)]
pub struct Ecr {
    /// The control plane.
    pub moto: Arc<Moto>,
    /// Where images go.
    pub registry: Registry,
    shadow: JoinHandle<()>,
}

impl Ecr {
    /// Starts one with these repositories. Whatever is pushed to `repositories` is shown to moto and scanned there.
    pub async fn start(region: &'static str, users: Users, repositories: &[&'static str]) -> Self {
        let (moto, registry) = tokio::join!(Moto::start(), Registry::start(users));
        let moto = Arc::new(moto);
        for name in repositories {
            moto.create_repository(region, name).await;
        }
        let shadow = tokio::spawn(shadow(Arc::clone(&moto), registry.address.clone(), region, repositories.to_vec()));
        Self { moto, registry, shadow }
    }
}

impl Ecr {
    /// The tokens that were handed out are no longer taken; a new one is to be had.
    ///
    /// # Panics
    ///
    /// When the registry's users cannot be written.
    pub fn expire_tokens(&self) {
        self.moto.hand_out(NEXT_PASSWORD);
        // The registry reads the file again when its time has changed.
        let users = self.registry.directory.path().join("users");
        let written = std::fs::write(users.with_extension("next"), NEXT_USER);
        let written = written.and_then(|()| std::fs::rename(users.with_extension("next"), users));
        written.unwrap_or_else(|error| panic!("the registry's users cannot be written: {error}"));
    }
}

impl Drop for Ecr {
    fn drop(&mut self) {
        self.shadow.abort();
    }
}

/// Looks for new tags in the registry and puts their manifests to moto.
async fn shadow(moto: Arc<Moto>, address: String, region: &'static str, repositories: Vec<&'static str>) {
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
    let registry = Registry { address, directory, process: None };
    let mut known = Vec::new();
    loop {
        for name in &repositories {
            let (_, body) = registry.request("GET", &format!("/v2/{name}/tags/list"), "application/json", &[]).await;
            let body = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            for tag in body["tags"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let Some(digest) = registry.digest(name, tag).await else { continue };
                let (_, manifest) =
                    registry.request("GET", &format!("/v2/{name}/manifests/{tag}"), MANIFEST, &[]).await;
                let image = (*name, tag.to_owned(), digest);
                if !known.contains(&image) {
                    moto.show_image(region, name, tag, &image.2, &String::from_utf8_lossy(&manifest)).await;
                    known.push(image);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The program out of Debian's package; fetched by the first process that asks, while others wait.
fn unpacked() -> PathBuf {
    let tools = target_directory().join("test-tools");
    let directory = tools.join("docker-registry");
    let program = directory.join("usr/bin/docker-registry");
    std::fs::create_dir_all(&tools).unwrap_or_else(|error| panic!("cannot create {}: {error}", tools.display()));
    let lock = File::create(tools.join("docker-registry.lock")).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.unwrap_or_else(|error| panic!("cannot lock {}: {error}", directory.display()));
    if program.exists() {
        return program;
    }
    let script = "
        set -e
        rm -rf partial && mkdir partial && cd partial
        apt-get -qq download docker-registry || { apt-get -qq update && apt-get -qq download docker-registry; }
        dpkg-deb --extract docker-registry_*.deb ../docker-registry";
    let output = std::process::Command::new("sh").args(["-c", script]).current_dir(&tools).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run sh: {error}"));
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(program.exists(), "Debian's docker-registry cannot be had; as root: apt-get update\n{messages}");
    program
}
