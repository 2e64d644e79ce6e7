//! A private Docker network that tests' engines are let into, and from which nothing else can be reached.

use std::process::Command;

const LABEL: &str = "migration-test.network";
const LABEL_FILTER: &str = "label=migration-test.network";
/// No test holds a network longer.
const OLD: [&str; 2] = ["--filter", "until=30m"];
/// Beside the ranges that docker gives out by itself (172.17 to 172.31, 192.168).
const OWN_ADDRESSES: &str = "10.231";
/// Of 4096 networks some may be taken.
const ADDRESS_ATTEMPTS: usize = 20;

/// A network without a way out; it goes when this is dropped.
#[derive(Debug)]
pub struct PrivateNetwork {
    name: String,
}

impl PrivateNetwork {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// When docker does not.
    pub fn new() -> Self {
        // What killed runs left behind holds addresses. A younger one may be another run's that is about to use it.
        let _ =
            Command::new("docker").args(["network", "prune", "--force", "--filter", LABEL_FILTER]).args(OLD).output();
        Self::create(&[]).unwrap_or_else(|complaint| {
            assert!(complaint.contains("address pool"), "docker makes no network: {complaint}");
            Self::in_own_addresses()
        })
    }

    /// Makes one of 16 addresses that are none of docker's: it has addresses for about 30 networks, and others use them too.
    ///
    /// # Panics
    ///
    /// When docker does not.
    pub fn in_own_addresses() -> Self {
        let mut complaint = String::new();
        for _ in 0..ADDRESS_ATTEMPTS {
            let subnet = format!("{OWN_ADDRESSES}.{}.{}/28", fastrand::u8(..), fastrand::u8(..16) * 16);
            match Self::create(&["--subnet", &subnet]) {
                Ok(network) => return network,
                Err(said) => complaint = said,
            }
        }
        panic!("docker makes no network in {OWN_ADDRESSES}.0.0/16: {complaint}");
    }

    fn create(options: &[&str]) -> Result<Self, String> {
        let name = format!("migration-test-{}", uuid::Uuid::new_v4().simple());
        let mut command = Command::new("docker");
        command.args(["network", "create", "--internal", "--label", LABEL]).args(options).arg(&name);
        let output = command.output().unwrap_or_else(|error| panic!("cannot run docker: {error}"));
        if output.status.success() { Ok(Self { name }) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
    }

    /// Lets the container in whose port 127.0.0.1:`port` is, under the name `alias`.
    ///
    /// # Panics
    ///
    /// When there is no such container.
    pub fn admit(&self, port: u16, alias: &str) {
        let filter = format!("publish={port}");
        let listed = docker(&["ps", "--filter", &filter, "--format", "{{.ID}} {{.Ports}}"]);
        // Another container may have the same port of IPv6.
        let published = format!("0.0.0.0:{port}->");
        let id = listed.lines().find(|line| line.contains(&published)).and_then(|line| line.split(' ').next());
        let id = id.unwrap_or_else(|| panic!("no container has the port {port}: {listed}"));
        docker(&["network", "connect", "--alias", alias, &self.name, id]);
    }

    /// Its name, for `docker run --network`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Default for PrivateNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PrivateNetwork {
    fn drop(&mut self) {
        let format = "{{range .Containers}}{{.Name}} {{end}}";
        let inside = Command::new("docker").args(["network", "inspect", "--format", format, &self.name]).output();
        for container in inside.iter().flat_map(|output| output.stdout.split(|byte| *byte == b' ')) {
            let container = String::from_utf8_lossy(container).trim().to_owned();
            if !container.is_empty() {
                // An engine lives on; it only leaves this network.
                let _ =
                    Command::new("docker").args(["network", "disconnect", "--force", &self.name, &container]).output();
            }
        }
        let _ = Command::new("docker").args(["network", "rm", &self.name]).output();
    }
}

/// Runs docker and gives what it said.
///
/// # Panics
///
/// When it fails.
pub(super) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run docker: {error}"));
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "docker {} failed: {complaint}", arguments.join(" "));
    said.into_owned()
}
