//! Who we are to a registry: ECR's token, a user with a password, or nobody.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::ecr;
use common::secret::Secret;
use serde_json::Value;

use super::failure::Failure;
use super::http::{Http, Request};

/// Bytes of an answer with a token.
const TOKEN_BYTES_MAX: usize = 256 << 10;

/// Who we are, and what proved it last.
#[derive(Debug, Clone)]
pub struct Access {
    identity: Identity,
    /// The value of the header `Authorization`.
    proof: Arc<Mutex<Option<Secret>>>,
}

#[derive(Debug, Clone)]
enum Identity {
    Ecr(ecr::Registry),
    User(Option<(String, Secret)>),
}

impl Access {
    /// By ECR's tokens, the first of which is asked for at once.
    pub async fn ecr(registry: ecr::Registry) -> Result<Self, Failure> {
        let token = registry.token().await.map_err(|failure| Failure::Token(Box::new(failure)))?;
        let access = Self { identity: Identity::Ecr(registry), proof: Arc::default() };
        access.set(format!("Basic {}", token.expose()));
        Ok(access)
    }

    /// As a user, or as nobody.
    pub fn user(user: Option<(String, Secret)>) -> Self {
        Self { identity: Identity::User(user), proof: Arc::default() }
    }

    /// The request with our proof, if there is one yet.
    pub fn authorize(&self, request: &Request) -> Request {
        match &*self.proof.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(proof) => request.clone().header("authorization", proof.expose()),
            None => request.clone(),
        }
    }

    /// Gets a new proof, after a request was `denied` with this challenge.
    pub async fn renew(
        &self,
        http: &Http,
        challenge: Option<&str>,
        repository: &str,
        denied: Failure,
    ) -> Result<(), Failure> {
        let user = match &self.identity {
            Identity::Ecr(registry) => {
                let token = registry.token().await.map_err(|failure| Failure::Token(Box::new(failure)))?;
                self.set(format!("Basic {}", token.expose()));
                return Ok(());
            }
            Identity::User(user) => user,
        };
        let basic = user.as_ref().map(|(name, password)| {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{}", password.expose())))
        });
        let challenge = challenge.unwrap_or_default();
        if let Some(parameters) = challenge.strip_prefix("Bearer ") {
            let token = bearer(http, parameters, repository, basic).await?;
            self.set(format!("Bearer {}", token.expose()));
            return Ok(());
        }
        match basic {
            Some(basic) => {
                self.set(basic);
                Ok(())
            }
            None => Err(denied),
        }
    }

    fn set(&self, proof: String) {
        *self.proof.lock().unwrap_or_else(PoisonError::into_inner) = Some(Secret::new(proof));
    }
}

/// Asks the service that the registry trusts: `realm="https://…",service="…",scope="…"`.
async fn bearer(http: &Http, parameters: &str, repository: &str, basic: Option<String>) -> Result<Secret, Failure> {
    let parameter = |name: &str| {
        let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next().unwrap_or_default().to_owned())
    };
    let realm =
        parameter("realm").ok_or_else(|| Failure::Protocol("it asks for a token and does not say where".into()))?;
    let scope = parameter("scope").unwrap_or_else(|| format!("repository:{repository}:pull"));
    let mut request =
        Request::get(format!("{realm}?service={}&scope={scope}", parameter("service").unwrap_or_default()));
    if let Some(basic) = basic {
        request = request.header("authorization", &basic);
    }
    let answer = http.send(request).await?;
    if answer.status != 200 {
        return Err(answer.failure().await);
    }
    let body: Value = serde_json::from_slice(&answer.body.collect(TOKEN_BYTES_MAX).await?).unwrap_or_default();
    let token = body["token"].as_str().or(body["access_token"].as_str());
    token.map(Secret::new).ok_or_else(|| Failure::Protocol("its token service gave no token".into()))
}
