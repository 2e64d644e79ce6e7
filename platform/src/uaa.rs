//! UAA: tokens, renewed before they end, and one-time codes for SSH.
//!
//! One task renews at a time; the others wait for it. A lost or refused refresh token is answered by logging in again,
//! where the log-in can be used twice.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::secret::Secret;
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::Result;
use crate::error::Error;
use crate::http;
use crate::settings::Login;
use crate::shapes::TokenAnswer;

/// The public client of the cf CLI, which every UAA of a Cloud Foundry has; its secret is empty.
const CLI_CLIENT: &str = "cf";
/// A token is renewed when it has less time left than this, or than a quarter of its life.
const RENEW_BEFORE: Duration = Duration::from_mins(1);

/// See the module.
pub(crate) struct Uaa {
    client: Client,
    /// Where tokens are had.
    token_url: String,
    /// Where codes are had.
    code_url: String,
    login: Login,
    tokens: Mutex<Option<Tokens>>,
}

struct Tokens {
    access: Secret,
    refresh: Option<Secret>,
    renew_at: Instant,
}

/// Who a token speaks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// Identifies the user; a client is its own identity.
    pub(crate) user_guid: Option<String>,
    /// The name that `cf` commands take.
    pub(crate) name: Option<String>,
    /// What UAA allows.
    pub(crate) scopes: Vec<String>,
}

impl Uaa {
    pub(crate) fn new(client: Client, login: &str, uaa: &str, who: Login) -> Self {
        let trim = |url: &str| url.trim_end_matches('/').to_owned();
        Self { client, token_url: trim(login), code_url: trim(uaa), login: who, tokens: Mutex::new(None) }
    }

    /// A token that is good for a while.
    pub(crate) async fn token(&self) -> Result<Secret> {
        let mut tokens = self.tokens.lock().await;
        if let Some(tokens) = tokens.as_ref().filter(|tokens| Instant::now() < tokens.renew_at) {
            return Ok(tokens.access.clone());
        }
        let fresh = self.fresh(tokens.as_ref().and_then(|tokens| tokens.refresh.clone())).await?;
        Ok(tokens.insert(fresh).access.clone())
    }

    /// The platform refused `token`: the next one is another.
    pub(crate) async fn renounce(&self, token: &Secret) {
        let mut tokens = self.tokens.lock().await;
        if let Some(tokens) = tokens.as_mut().filter(|tokens| tokens.access == *token) {
            tokens.renew_at = Instant::now();
        }
    }

    async fn fresh(&self, refresh: Option<Secret>) -> Result<Tokens> {
        if let Some(refresh) = refresh {
            match self.grant(CLI_CLIENT, "", &refresh_form(&refresh)).await {
                Err(error @ Error::Login { .. }) if !self.can_log_in_again() => return Err(error),
                Err(Error::Login { detail, .. }) => tracing::debug!(detail, "the refresh token is no longer good"),
                outcome => return outcome,
            }
        }
        match &self.login {
            Login::Password { user, password } => {
                let form = [("grant_type", "password"), ("username", user), ("password", password.expose())];
                self.grant(CLI_CLIENT, "", &form).await
            }
            Login::Passcode(passcode) => {
                let form = [("grant_type", "password"), ("passcode", passcode.expose())];
                self.grant(CLI_CLIENT, "", &form).await
            }
            Login::Client { id, secret } => {
                self.grant(id, secret.expose(), &[("grant_type", "client_credentials")]).await
            }
            Login::RefreshToken(refresh) => self.grant(CLI_CLIENT, "", &refresh_form(refresh)).await,
        }
    }

    const fn can_log_in_again(&self) -> bool {
        matches!(self.login, Login::Password { .. } | Login::Client { .. })
    }

    async fn grant(&self, id: &str, secret: &str, form: &[(&str, &str)]) -> Result<Tokens> {
        const ACTION: &str = "log in to the platform";
        let url = format!("{}/oauth/token", self.token_url);
        let request = self.client.post(url).basic_auth(id, Some(secret)).form(form);
        let asked = Instant::now();
        let answer = http::send(request, ACTION).await?;
        if matches!(answer.status, 400 | 401 | 403) {
            let (_, detail) = answer.complaint();
            return Err(Error::Login { who: self.login.to_string(), variables: self.login.variables(), detail });
        }
        let tokens: TokenAnswer = answer.read(ACTION)?;
        let life = Duration::from_secs(tokens.expires_in);
        Ok(Tokens {
            access: Secret::new(tokens.access_token),
            refresh: tokens.refresh_token.map(Secret::new),
            renew_at: asked + life.saturating_sub(RENEW_BEFORE.min(life / 4)),
        })
    }

    /// A code with which `client_id` may act for us once: the password of an SSH session.
    pub(crate) async fn one_time_code(&self, client_id: &str) -> Result<Secret> {
        const ACTION: &str = "get a one-time code for SSH";
        let token = self.token().await?;
        let query = [("response_type", "code"), ("grant_type", "authorization_code"), ("client_id", client_id)];
        let request = self.client.get(format!("{}/oauth/authorize", self.code_url)).query(&query);
        let answer = http::send(request.bearer_auth(token.expose()), ACTION).await?;
        if answer.status == 401 {
            self.renounce(&token).await;
        }
        if !(300..400).contains(&answer.status) {
            answer.granted(ACTION)?;
        }
        answer.location().and_then(code_in).ok_or_else(|| Error::Strange {
            action: ACTION.into(),
            reason: format!("status {} without a code", answer.status),
        })
    }

    /// Who the present token speaks for; nothing where it is not a JSON Web Token.
    pub(crate) async fn bearer(&self) -> Result<Bearer> {
        Ok(bearer_of(self.token().await?.expose()))
    }
}

fn refresh_form(refresh: &Secret) -> [(&str, &str); 2] {
    [("grant_type", "refresh_token"), ("refresh_token", refresh.expose())]
}

/// The `code` in the query of a redirect, which may be relative.
fn code_in(location: &str) -> Option<Secret> {
    let base = Url::parse("https://nowhere.invalid").ok()?;
    let url = base.join(location).ok()?;
    url.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| Secret::new(code))
}

/// Reads a token's claims without checking its signature: it is the platform's own, and the platform checks it.
fn bearer_of(token: &str) -> Bearer {
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
    let claims: Value = claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default();
    let text = |name: &str| claims[name].as_str().map(str::to_owned);
    let scopes = claims["scope"].as_array().into_iter().flatten();
    Bearer {
        user_guid: text("user_id").or_else(|| text("client_id")),
        name: text("user_name").or_else(|| text("client_id")),
        scopes: scopes.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_a_redirect() {
        let code = |location| code_in(location).map(|code| code.expose().to_owned());
        assert_eq!(code("https://uaa.example/login?code=aB3-x&state=").as_deref(), Some("aB3-x"));
        assert_eq!(code("/login?x=1&code=c%2Fd").as_deref(), Some("c/d"));
        assert_eq!(code("/login?error=invalid"), None);
    }

    #[test]
    fn a_token_says_whom_it_speaks_for() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"user_id": "u1", "user_name": "jane", "scope": ["openid"]}"#);
        let bearer = bearer_of(&format!("header.{claims}.signature"));
        assert_eq!((bearer.user_guid.as_deref(), bearer.name.as_deref()), (Some("u1"), Some("jane")));
        assert_eq!(bearer_of("opaque"), Bearer::default());
    }
}
