//! The Cloud Controller's API: requests with a token, lists page by page, jobs waited for.
//!
//! What only reads or deletes is tried again while it fails with a transient error; what makes something is not, so that
//! it is not made twice. A token that was refused is replaced, once.

use std::time::Duration;

use common::retry::{RetryPolicy, retry};
use reqwest::multipart::Form;
use reqwest::{Client, Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::error::Error;
use crate::http::{self, Answer};
use crate::settings::Settings;
use crate::shapes::{Job, Page, Root, SshLink};
use crate::uaa::Uaa;

/// Between two looks at something that takes its time; grows to the second.
const POLL_FIRST: Duration = Duration::from_millis(250);
const POLL_MAX: Duration = Duration::from_secs(3);
/// Lists longer than this are not what we are looking for.
const PAGES_MAX: usize = 500;

/// See the module.
pub(crate) struct Api {
    client: Client,
    base: String,
    /// Tokens and codes.
    pub(crate) uaa: Uaa,
    /// The SSH proxy, where the foundation has one.
    pub(crate) ssh: Option<SshLink>,
}

impl Api {
    /// Asks the API where everything is. Logs nobody in yet.
    pub(crate) async fn discover(settings: &Settings) -> Result<Self> {
        let action = format!("ask {} where its parts are", settings.host());
        let client = http::client(settings.ca_cert.as_deref())?;
        let look = || async { http::send(client.get(format!("{}/", settings.api)), &action).await?.read(&action) };
        let root: Root = repeated(async |_| look().await).await?;
        let missing = |what: &str| Error::Strange { action: action.clone(), reason: format!("it names no {what}") };
        let login = root.links.login.or_else(|| root.links.uaa.clone()).ok_or_else(|| missing("login"))?;
        let uaa = root.links.uaa.unwrap_or_else(|| login.clone());
        root.links.cloud_controller_v3.ok_or_else(|| missing("API of version 3"))?;
        let uaa = Uaa::new(client.clone(), &login.href, &uaa.href, settings.login.clone());
        Ok(Self { client, base: settings.api.clone(), uaa, ssh: root.links.app_ssh })
    }

    /// Reads the resource at `path`, which begins with `/v3/`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, action: &str) -> Result<T> {
        repeated(async |_| self.send(action, || self.request(Method::GET, path)).await?.read(action)).await
    }

    /// Every resource of the list at `path` that matches `query`.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        action: &str,
    ) -> Result<Vec<T>> {
        let first = || self.request(Method::GET, path).query(query).query(&[("per_page", "200")]);
        let mut page: Page<T> = repeated(async |_| self.send(action, first).await?.read(action)).await?;
        let mut all = page.resources;
        for _ in 0..PAGES_MAX {
            let Some(next) = page.pagination.next else { return Ok(all) };
            // Only the path: a token is sent to the API's own address and nowhere else.
            let rest = next.href.split("/v3/").nth(1).unwrap_or_default().to_owned();
            page = self.get(&format!("/v3/{rest}"), action).await?;
            all.extend(page.resources);
        }
        Err(Error::Strange { action: action.into(), reason: "the list does not end".into() })
    }

    /// Makes something; waits for the job when there is one. Gives what the answer says.
    pub(crate) async fn post(&self, path: &str, body: &Value, action: &str, limit: Duration) -> Result<Value> {
        let answer = self.send(action, || self.request(Method::POST, path).json(body)).await?;
        self.finish(&answer, action, limit).await
    }

    /// The same with a file.
    pub(crate) async fn upload(&self, path: &str, form: impl Fn() -> Form, action: &str) -> Result<()> {
        self.send(action, || self.request(Method::POST, path).multipart(form())).await?.granted(action)
    }

    /// Changes something. Safe to repeat.
    pub(crate) async fn patch(&self, path: &str, body: &Value, action: &str) -> Result<()> {
        repeated(async |_| self.send(action, || self.request(Method::PATCH, path).json(body)).await?.granted(action))
            .await
    }

    /// Deletes something and waits until it is gone. That it is gone already is fine.
    pub(crate) async fn delete(&self, path: &str, action: &str, limit: Duration) -> Result<()> {
        repeated(async |_| {
            let answer = self.send(action, || self.request(Method::DELETE, path)).await?;
            if answer.status == 404 {
                return Ok(());
            }
            self.finish(&answer, action, limit).await.map(drop)
        })
        .await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends with a token; once more with another when the first is refused.
    async fn send(&self, action: &str, build: impl Fn() -> RequestBuilder) -> Result<Answer> {
        let token = self.uaa.token().await?;
        let answer = http::send(build().bearer_auth(token.expose()), action).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.uaa.renounce(&token).await;
        let token = self.uaa.token().await?;
        http::send(build().bearer_auth(token.expose()), action).await
    }

    /// Waits for the job that an answer points to; without one, the answer is all there is.
    async fn finish(&self, answer: &Answer, action: &str, limit: Duration) -> Result<Value> {
        answer.granted(action)?;
        let job = answer.location().and_then(|location| location.split("/v3/jobs/").nth(1)).map(str::to_owned);
        let Some(job) = job.filter(|_| answer.status == 202) else {
            return Ok(answer.read(action).unwrap_or_default());
        };
        self.wait(action, limit, async || {
            let job: Job = self.get(&format!("/v3/jobs/{job}"), action).await?;
            match job.state.as_str() {
                "COMPLETE" => Ok(Some(Value::Null)),
                "FAILED" => Err(Error::Failed {
                    action: action.into(),
                    detail: job.errors.into_iter().map(|error| error.detail).collect::<Vec<_>>().join("; "),
                    how: "ask the platform's operators, or try again".into(),
                }),
                _ => Ok(None),
            }
        })
        .await
    }

    /// Looks again and again until there is an answer.
    pub(crate) async fn wait<T>(
        &self,
        action: &str,
        limit: Duration,
        look: impl AsyncFn() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut pause = POLL_FIRST;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if Instant::now() + pause > deadline {
                return Err(Error::Overdue { action: action.into(), limit });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(POLL_MAX);
        }
    }
}

/// Whoever wants to stop drops the future; what is asked here ends soon by itself.
async fn repeated<T>(attempt: impl AsyncFnMut(u32) -> Result<T>) -> Result<T> {
    retry(RetryPolicy::REQUEST, &CancellationToken::new(), attempt).await.outcome
}
