//! The platform as a run uses it: connected, looked at, lived in, cleaned up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::report::{Check, CheckOutcome};

use crate::Result;
use crate::api::Api;
use crate::cleanup::{self, Leftover};
use crate::credentials::{self, Credentials, KeyWish};
use crate::error::Error;
use crate::helper;
use crate::locate::{self, Located};
use crate::names::{Names, Owner, Purpose};
use crate::rights;
use crate::session::Proxy;
use crate::settings::{Settings, WaySettings};
use crate::shapes::App;
use crate::tunnel::{Parts, Tunnel};

/// What is wanted of the platform.
#[derive(Debug, Clone, Copy)]
pub enum Intent<'a> {
    /// Credentials of a bucket.
    Bucket,
    /// Credentials of a database, and a way to it.
    Database(&'a WaySettings),
}

impl Intent<'_> {
    const fn wish(self) -> KeyWish {
        match self {
            Self::Bucket => KeyWish::Bucket,
            Self::Database(way) => KeyWish::Database { read_only: way.read_only },
        }
    }
}

/// Credentials, and the way to where they are good.
#[derive(Debug)]
pub struct Way {
    /// Of the service instance.
    pub credentials: Credentials,
    /// From the application.
    pub tunnel: Tunnel,
}

/// A foundation that we are logged in to, and the service instance there. See the crate.
pub struct Platform {
    api: Arc<Api>,
    settings: Settings,
    located: Located,
    names: Names,
    via: Option<App>,
    made_app: AtomicBool,
    made_key: AtomicBool,
}

impl Platform {
    /// Logs in and finds the instance, and the application to go through when one is named. Makes nothing.
    pub async fn connect(settings: &Settings, purpose: &Purpose, intent: Intent<'_>) -> Result<Self> {
        let api = Api::discover(settings).await?;
        let located = Located::find(&api, settings).await?;
        let via = match intent {
            Intent::Database(WaySettings { via_app: Some(name), .. }) => {
                Some(locate::app(&api, &located.space_guid, name, settings).await?)
            }
            _ => None,
        };
        let names = Names::new(purpose, &located.instance.guid);
        let (made_app, made_key) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { api: Arc::new(api), settings: settings.clone(), located, names, via, made_app, made_key })
    }

    /// Looks whether everything that is to be done is allowed. Makes nothing.
    pub async fn checks(&self, intent: Intent<'_>) -> Result<Vec<Check>> {
        let Self { api, settings, located, .. } = self;
        let bearer = api.uaa.bearer().await?;
        let mut checks = vec![rights::space_role(api, settings, located, &bearer).await?];
        if matches!(intent, Intent::Database(_)) {
            checks.push(rights::space_ssh(api, settings, located).await?);
            if let Some(via) = &self.via {
                checks.push(rights::app_ssh(api, via).await?);
            }
        }
        Ok(checks)
    }

    /// What would be made, in words; nothing when everything is there already.
    pub async fn plan(&self, intent: Intent<'_>) -> Result<Vec<String>> {
        let mut plan = Vec::new();
        if matches!(intent, Intent::Database(_)) && self.via.is_none() {
            plan.push(format!(
                "an application {} in {}/{}, 64 MB, with SSH and without a route",
                self.names.helper(),
                self.settings.organisation,
                self.settings.space
            ));
        }
        if self.ready_credentials().await?.is_none() {
            let how = intent.wish().describe(&self.located);
            plan.push(format!("a service key {} of {}{how}", self.names.key(), self.located.instance.name));
        }
        Ok(plan)
    }

    /// Ends the run when a check failed.
    pub fn refuse_failures(checks: &[Check]) -> Result<()> {
        let failed: Vec<Check> = checks.iter().filter(|check| check.outcome == CheckOutcome::Fail).cloned().collect();
        if failed.is_empty() { Ok(()) } else { Err(Error::Refused(failed)) }
    }

    /// Removes what an earlier run of the same purpose left; names what it could not remove. What other migrations have made
    /// is named too, and let be.
    pub async fn remove_leftovers(&self) -> Result<Vec<Leftover>> {
        let found = cleanup::find(&self.api, &self.located, &self.names, &[Owner::EarlierRun]).await?;
        for name in &found.foreign {
            tracing::warn!(name, "another migration has this on the platform; if none is at work, delete it");
        }
        if !found.is_empty() {
            tracing::info!("removing what an earlier run left on the platform: {}", found.names().join(", "));
        }
        Ok(cleanup::remove(&self.api, &self.located, found).await)
    }

    /// Credentials of the instance: those that are there, else a service key of the run's own.
    pub async fn key(&self, wish: KeyWish) -> Result<Credentials> {
        if let Some(credentials) = self.ready_credentials().await? {
            return Ok(credentials);
        }
        self.made_key.store(true, Ordering::Relaxed);
        credentials::key(&self.api, &self.located, &self.names.key(), wish).await
    }

    /// Those of a user-provided instance, and those of an application that is bound.
    async fn ready_credentials(&self) -> Result<Option<Credentials>> {
        if self.located.is_user_provided() {
            return credentials::user_provided(&self.api, &self.located).await.map(Some);
        }
        match &self.via {
            Some(via) => credentials::of_bound_app(&self.api, &self.located, &via.guid).await,
            None => Ok(None),
        }
    }

    /// Makes, or finds, what leads to the instance.
    pub async fn open_way(&self, way: &WaySettings) -> Result<Way> {
        let wish = Intent::Database(way).wish();
        let (app, credentials) = match &self.via {
            Some(via) => (via.clone(), self.key(wish).await?),
            None => self.make_helper(wish).await?,
        };
        Ok(Way { credentials, tunnel: self.tunnel(&app, way)? })
    }

    /// The helper application is staged while the broker makes the key. Where keys are denied, it is bound.
    async fn make_helper(&self, wish: KeyWish) -> Result<(App, Credentials)> {
        let name = self.names.helper();
        tracing::info!("making the application {name} on the platform; this takes a minute or so");
        self.made_app.store(true, Ordering::Relaxed);
        let guid = helper::make(&self.api, &self.located, &name).await?;
        let credentials = async {
            match self.key(wish).await {
                Err(Error::Answered { status: 400..=499, detail, .. } | Error::Failed { detail, .. }) => {
                    tracing::warn!("no service key ({detail}); binding the helper application instead");
                    credentials::binding(&self.api, &self.located, &guid, wish).await
                }
                outcome => outcome,
            }
        };
        let (credentials, ()) = tokio::try_join!(credentials, helper::start(&self.api, &guid))?;
        Ok((App { guid, name, state: "STARTED".into() }, credentials))
    }

    fn tunnel(&self, app: &App, way: &WaySettings) -> Result<Tunnel> {
        let ssh = self.api.ssh.clone().ok_or_else(|| Error::Strange {
            action: "open a way through the platform".into(),
            reason: "it publishes no SSH proxy".into(),
        })?;
        Ok(Tunnel::new(Parts {
            api: Arc::clone(&self.api),
            oauth_client: ssh.meta.oauth_client,
            proxy: Proxy {
                address: ssh.href.trim_start_matches("ssh://").to_owned(),
                fingerprint: ssh.meta.host_key_fingerprint,
                user: format!("cf:{}/0", app.guid),
                limits: russh::Limits::default(),
            },
            app: app.name.clone(),
            organisation: self.settings.organisation.clone(),
            space: self.settings.space.clone(),
            sessions_max: way.sessions_max,
        }))
    }

    /// Removes what this run has made, within `limit`; gives what is still there, with the commands that remove it.
    pub async fn clean_up(&self, limit: Duration) -> Vec<Leftover> {
        if !self.made_app.load(Ordering::Relaxed) && !self.made_key.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let work = async {
            let found = cleanup::find(&self.api, &self.located, &self.names, &[Owner::ThisRun]).await?;
            Ok::<_, Error>(cleanup::remove(&self.api, &self.located, found).await)
        };
        match tokio::time::timeout(limit, work).await {
            Ok(Ok(leftovers)) => leftovers,
            Ok(Err(error)) => self.everything(&error.to_string()),
            Err(_) => self.everything(&format!("the platform did not confirm it within {} s", limit.as_secs())),
        }
    }

    /// What may still be there.
    fn everything(&self, reason: &str) -> Vec<Leftover> {
        let app = self.made_app.load(Ordering::Relaxed);
        let key = self.made_key.load(Ordering::Relaxed);
        let app = app.then(|| cleanup::leftover_app(&self.names.helper(), reason.into()));
        let service = &self.located.instance.name;
        let key = key.then(|| cleanup::leftover_key(service, &self.names.key(), reason.into()));
        app.into_iter().chain(key).collect()
    }

    /// How messages and reports call the place.
    pub fn place(&self) -> String {
        self.settings.place()
    }
}
