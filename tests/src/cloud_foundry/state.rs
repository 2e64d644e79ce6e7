//! What the foundation knows: tokens, applications, bindings, jobs. Time passes when it is looked at.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::config::{Config, USER};
use super::faults::Fault;

pub(super) const ORGANISATION_GUID: &str = "0d1f7c1e-0000-4000-8000-000000000001";
pub(super) const SPACE_GUID: &str = "0d1f7c1e-0000-4000-8000-000000000002";
pub(super) const USER_GUID: &str = "0d1f7c1e-0000-4000-8000-000000000003";
/// One-time codes are good for five minutes at UAA.
const CODE_LIFE: Duration = Duration::from_mins(5);

pub(super) struct State {
    pub(super) config: Config,
    pub(super) api_port: u16,
    pub(super) uaa_port: u16,
    pub(super) ssh_port: u16,
    pub(super) fingerprint: String,
    pub(super) faults: HashSet<Fault>,
    pub(super) requests: Vec<String>,
    pub(super) asked_parameters: Vec<Value>,
    pub(super) ssh_sessions: u64,
    pub(super) codes_to_spoil: u32,
    pub(super) apps: Vec<App>,
    pub(super) packages: HashMap<String, Package>,
    pub(super) builds: HashMap<String, Build>,
    pub(super) bindings: Vec<Binding>,
    pub(super) jobs: HashMap<String, Job>,
    access_tokens: HashMap<String, Instant>,
    refresh_tokens: HashSet<String>,
    passcodes: HashSet<String>,
    codes: HashMap<String, Instant>,
    guids: u64,
}

pub(super) struct App {
    pub(super) guid: String,
    pub(super) name: String,
    pub(super) droplet: Option<String>,
    pub(super) ssh: bool,
    pub(super) started: Option<Instant>,
    pub(super) memory_mb: u64,
}

pub(super) struct Package {
    pub(super) app: String,
    pub(super) ready: Option<Instant>,
}

pub(super) struct Build {
    pub(super) package: String,
    pub(super) done: Instant,
    pub(super) fails: bool,
}

pub(super) struct Binding {
    pub(super) guid: String,
    /// A key's; bindings of applications have none.
    pub(super) name: Option<String>,
    pub(super) app: Option<String>,
    pub(super) instance: usize,
    pub(super) credentials: Map<String, Value>,
    /// Whether the broker has made it.
    pub(super) is_made: bool,
}

pub(super) struct Job {
    due: Instant,
    effect: Effect,
    pub(super) outcome: Option<Result<(), String>>,
}

/// What a job does when its time has come.
pub(super) enum Effect {
    MakeBinding(String),
    DeleteBinding(String),
    DeleteApp(String),
    Fail(String),
}

impl State {
    pub(super) fn new(config: Config, api_port: u16, uaa_port: u16, ssh_port: u16, fingerprint: String) -> Self {
        Self {
            config,
            api_port,
            uaa_port,
            ssh_port,
            fingerprint,
            faults: HashSet::new(),
            requests: Vec::new(),
            asked_parameters: Vec::new(),
            ssh_sessions: 0,
            codes_to_spoil: 0,
            apps: Vec::new(),
            packages: HashMap::new(),
            builds: HashMap::new(),
            bindings: Vec::new(),
            jobs: HashMap::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashSet::new(),
            passcodes: HashSet::new(),
            codes: HashMap::new(),
            guids: 0,
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let due: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.outcome.is_none() && job.due <= now)
            .map(|(guid, _)| guid.clone())
            .collect();
        for guid in due {
            let Some(job) = self.jobs.get_mut(&guid) else { continue };
            let outcome = match &job.effect {
                Effect::Fail(reason) => Err(reason.clone()),
                Effect::MakeBinding(binding) => {
                    self.bindings.iter_mut().filter(|one| one.guid == *binding).for_each(|one| one.is_made = true);
                    Ok(())
                }
                Effect::DeleteBinding(binding) => {
                    self.bindings.retain(|one| one.guid != *binding);
                    Ok(())
                }
                Effect::DeleteApp(app) => {
                    self.apps.retain(|one| one.guid != *app);
                    self.bindings.retain(|one| one.app.as_ref() != Some(app));
                    Ok(())
                }
            };
            job.outcome = Some(outcome);
        }
    }

    /// Begins a job; gives its guid.
    pub(super) fn begin(&mut self, effect: Effect) -> String {
        let guid = self.guid();
        let due = Instant::now() + self.config.job;
        self.jobs.insert(guid.clone(), Job { due, effect, outcome: None });
        guid
    }

    pub(super) fn guid(&mut self) -> String {
        self.guids += 1;
        format!("5f1e0000-0000-4000-8000-{:012x}", self.guids)
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// A new access token for `name`, and a refresh token where the grant has one.
    pub(super) fn new_tokens(&mut self, name: &str, is_client: bool) -> (String, Option<String>) {
        let jti = uuid::Uuid::new_v4().to_string();
        let claims = if is_client {
            json!({ "jti": jti, "client_id": name, "scope": ["cloud_controller.read", "cloud_controller.write"] })
        } else {
            json!({ "jti": jti, "user_id": USER_GUID, "user_name": name, "client_id": "cf",
                    "scope": ["openid", "cloud_controller.read", "cloud_controller.write"] })
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.c2lnbmF0dXJl", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(&claims));
        self.access_tokens.insert(token.clone(), Instant::now() + self.config.token_life);
        (token, (!is_client).then(|| self.new_refresh_token()))
    }

    pub(super) fn new_refresh_token(&mut self) -> String {
        let token = format!("{}-r", uuid::Uuid::new_v4().simple());
        self.refresh_tokens.insert(token.clone());
        token
    }

    pub(super) fn new_passcode(&mut self) -> String {
        let passcode = uuid::Uuid::new_v4().simple().to_string();
        self.passcodes.insert(passcode.clone());
        passcode
    }

    pub(super) fn takes_passcode(&mut self, passcode: &str) -> bool {
        self.passcodes.remove(passcode)
    }

    pub(super) fn takes_refresh_token(&self, token: &str) -> bool {
        self.refresh_tokens.contains(token)
    }

    pub(super) fn takes_token(&self, token: &str) -> bool {
        self.access_tokens.get(token).is_some_and(|end| Instant::now() < *end)
    }

    pub(super) fn expire_tokens(&mut self, refresh: bool) {
        self.access_tokens.clear();
        if refresh {
            self.refresh_tokens.clear();
        }
    }

    /// A one-time code; one that is to be spoilt is used up already.
    pub(super) fn new_code(&mut self) -> String {
        let code = uuid::Uuid::new_v4().simple().to_string();
        if self.codes_to_spoil > 0 {
            self.codes_to_spoil -= 1;
        } else {
            self.codes.insert(code.clone(), Instant::now() + CODE_LIFE);
        }
        code
    }

    pub(super) fn takes_code(&mut self, code: &str) -> bool {
        self.codes.remove(code).is_some_and(|end| Instant::now() < end)
    }

    pub(super) fn add_app(&mut self, name: &str, bound_to: Option<&str>) {
        let guid = self.guid();
        let instance = bound_to.and_then(|name| self.config.instances.iter().position(|one| one.name == name));
        if let Some(instance) = instance {
            let credentials = self.config.instances[instance].credentials.clone();
            let binding = self.guid();
            self.bindings.push(Binding {
                guid: binding,
                name: None,
                app: Some(guid.clone()),
                instance,
                credentials,
                is_made: true,
            });
        }
        let started = Instant::now().checked_sub(self.config.job);
        let (name, droplet) = (name.to_owned(), Some("a droplet".to_owned()));
        self.apps.push(App { guid, name, droplet, ssh: true, started, memory_mb: 128 });
    }

    pub(super) fn things(&self) -> Vec<String> {
        let apps = self.apps.iter().map(|app| format!("app {}", app.name));
        let bindings = self.bindings.iter().map(|binding| match &binding.name {
            Some(name) => format!("key {name}"),
            None => format!("binding of {}", self.config.instances[binding.instance].name),
        });
        apps.chain(bindings).collect()
    }

    /// The megabytes that started applications have.
    pub(super) fn memory_mb(&self) -> u64 {
        self.apps.iter().filter(|app| app.started.is_some()).map(|app| app.memory_mb).sum()
    }

    pub(super) fn is_user(name: &str) -> bool {
        name == USER
    }
}
