//! A private Docker network that tests' engines are let into, and from which nothing else can be reached.

use std::process::Command;

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
        let name = format!("migration-test-{}", uuid::Uuid::new_v4().simple());
        docker(&["network", "create", "--internal", "--label", "migration-test.network", &name]);
        Self { name }
    }

    /// Lets the container in whose port 127.0.0.1:`port` is, under the name `alias`.
    ///
    /// # Panics
    ///
    /// When there is no such container.
    pub fn admit(&self, port: u16, alias: &str) {
        let found = docker(&["ps", "--quiet", "--filter", &format!("publish={port}")]);
        let id = found.trim();
        assert!(!id.is_empty(), "no container has the port {port}");
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
