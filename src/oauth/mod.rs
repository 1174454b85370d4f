//! RFC 6749 as a client; knows neither OpenID Connect nor sessions.
//! Invariant: a code is sent once. Whoever asks the token endpoint holds a [`Slot`], so that no
//! provider ever has more than [`Client::SLOTS`] of our token requests to answer.

pub mod authorization;
mod breaker;
pub mod client_auth;
pub mod error;
pub mod http;
pub mod pkce;
pub mod revocation;
pub mod token;

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use url::Url;

use self::http::{Answer, Http};
use breaker::Breaker;
use client_auth::{AuthMethod, Credentials};
use error::{Error, Refusal};

use crate::clock::Clock;
use crate::telemetry::metrics::ProviderEndpoint;

/// A registered client, and its manners toward the token endpoint.
#[derive(Debug)]
pub struct Client {
    credentials: Credentials,
    http: Arc<Http>,
    clock: Clock,
    slots: Semaphore,
    /// Of the token endpoint.
    breaker: Breaker,
    /// Of the revocation endpoint: whether that one works is no reason to let nobody in.
    revocations: Breaker,
}

/// Where tokens are had or given back, and how the client authenticates there.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint<'a> {
    /// Its address.
    pub url: &'a Url,
    /// The authentication method.
    pub method: AuthMethod,
}

/// The right to have one token request, and what follows from it, under way.
#[derive(Debug)]
pub struct Slot<'client>(#[expect(dead_code, reason = "held, not read")] SemaphorePermit<'client>);

impl Client {
    /// Token requests under way at a time.
    pub const SLOTS: usize = 64;

    /// A client with these credentials.
    pub fn new(credentials: Credentials, http: Arc<Http>, clock: Clock) -> Self {
        let (breaker, revocations) = (Breaker::new(clock.clone()), Breaker::new(clock.clone()));
        Self { credentials, http, clock, slots: Semaphore::new(Self::SLOTS), breaker, revocations }
    }

    /// The client's credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A slot if one is free: for a sign-in, whose person would rather hear it at once.
    pub fn slot_now(&self) -> Result<Slot<'_>, Error> {
        self.slots.try_acquire().map(Slot).map_err(|_| Error::Busy)
    }

    /// A slot when one gets free, each being held for a few deadlines at most: for a refresh.
    pub async fn slot(&self) -> Result<Slot<'_>, Error> {
        self.slots.acquire().await.map(Slot).map_err(|_| Error::Busy)
    }

    /// An authenticated POST, unless the endpoint failed too often a moment ago.
    async fn post<'a, T>(
        &'a self,
        name: ProviderEndpoint,
        endpoint: Endpoint<'_>,
        mut form: Vec<(&'a str, &'a str)>,
        deadline: Instant,
        read: impl FnOnce(&Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut headers = HeaderMap::new();
        self.credentials.authenticate(endpoint.method, &mut headers, &mut form);
        let breaker = match name {
            ProviderEndpoint::Revocation => &self.revocations,
            ProviderEndpoint::Token
            | ProviderEndpoint::Discovery
            | ProviderEndpoint::Jwks
            | ProviderEndpoint::Userinfo => &self.breaker,
        };
        let trial = breaker.admit()?;
        let answer = self.http.post(name, endpoint.url, headers, &form, deadline).await;
        let result = answer.and_then(|answer| read(&answer));
        trial.report(&result);
        result
    }
}

/// The body of a success, or the error that the answer amounts to (RFC 6749 §5.2).
fn success(answer: &Answer) -> Result<Map<String, Value>, Error> {
    let status = answer.status;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::Status(status));
    }
    let body = answer.object();
    // Some servers send their errors with status 200: the member decides, not the status.
    if let Some(refusal) = body.as_ref().ok().and_then(refusal) {
        return Err(Error::Refused(refusal));
    }
    if status.is_success() { body } else { Err(Error::Status(status)) }
}

fn refusal(body: &Map<String, Value>) -> Option<Refusal> {
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
    // Not text is not as §5.2 has it, but surely no success.
    let error = body.get("error").filter(|error| !error.is_null())?;
    Some(Refusal::new(error.as_str().unwrap_or("?"), text("error_description")))
}

#[cfg(test)]
pub(crate) mod loopback;
