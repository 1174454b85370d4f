//! RFC 6749 as a client; knows neither OpenID Connect nor sessions.
//! Invariant: a code is sent once. Whoever asks the token endpoint holds a [`TokenSlot`], so that no
//! provider ever has more than [`Client::TOKEN_SLOTS`] of our token requests to answer.

pub mod authorization;
mod breaker;
pub mod client_auth;
pub mod error;
mod exchange_limit;
pub mod http;
pub mod pkce;
pub mod revocation;
pub mod token;
mod token_slots;

use std::sync::Arc;

use ::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use url::Url;

use self::http::{Http, HttpResponse};
use breaker::{Breaker, Trial};
use client_auth::{AuthMethod, Credentials};
use error::{Error, ErrorResponse};
pub use exchange_limit::Attempt;
use exchange_limit::ExchangeLimit;
pub use token_slots::TokenSlot;
use token_slots::{Purpose, TokenSlots};

use crate::client_address::ClientAddress;
use crate::clock::Clock;
use crate::telemetry::metrics::ProviderEndpoint;

/// A registered client, and its manners toward the token endpoint.
#[derive(Debug)]
pub struct Client {
    credentials: Credentials,
    http: Arc<Http>,
    clock: Clock,
    limits: Arc<ClientLimits>,
}

/// Limits on the requests of a client to its provider. They outlive a configuration, so that a changed client
/// secret resets none of them.
#[derive(Debug)]
pub struct ClientLimits {
    token_slots: Arc<TokenSlots>,
    /// Rate limit of code exchanges, by client address. Refreshes have their own circuit breaker, so that a
    /// client's codes end no session of another.
    exchanges: Arc<ExchangeLimit>,
    refreshes: Breaker,
    /// Separate, so that a revocation endpoint that fails stops no sign-in.
    revocations: Breaker,
}

/// Where tokens are had or given back, and how the client authenticates there.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatedEndpoint<'a> {
    /// Its address.
    pub url: &'a Url,
    /// The authentication method.
    pub method: AuthMethod,
}

/// The right to exchange one code now.
#[derive(Debug)]
pub struct ExchangePermit {
    /// Held until all is known that the tokens are good for.
    pub slot: TokenSlot,
    /// Spent with the code.
    pub attempt: Attempt,
}

impl ClientLimits {
    /// Limits that have counted nothing.
    pub fn new(clock: &Clock) -> Self {
        Self {
            token_slots: Arc::default(),
            exchanges: Arc::new(ExchangeLimit::new(clock.clone())),
            refreshes: Breaker::new(clock.clone()),
            revocations: Breaker::new(clock.clone()),
        }
    }
}

impl Client {
    /// Token requests under way at a time.
    pub const TOKEN_SLOTS: usize = TokenSlots::MOST;

    /// A client with these credentials, within these limits.
    pub fn new(
        credentials: Credentials,
        http: Arc<Http>,
        limits: Arc<ClientLimits>,
        clock: Clock,
    ) -> Self {
        Self { credentials, http, clock, limits }
    }

    /// Whether the requests of both count toward the same limits.
    #[cfg(test)]
    pub(crate) fn shares_limits_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.limits, &other.limits)
    }

    /// The client's credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Waits until a sign-in from this address may send its code, up to the provider's `timeout`.
    pub async fn exchange_permit(&self, address: ClientAddress) -> Result<ExchangePermit, Error> {
        let slot = self.limits.token_slots.acquire(Purpose::SignIn(address));
        let slot = timeout_at(self.http.deadline(), slot).await.unwrap_or(Err(Error::Busy))?;
        // Asked now and not before it waited: a colleague who waits has failed at nothing.
        Ok(ExchangePermit { slot, attempt: self.limits.exchanges.admit(address)? })
    }

    /// A slot for a refresh: the next that gets free, each being held for a few deadlines at most.
    pub async fn refresh_slot(&self) -> Result<TokenSlot, Error> {
        self.limits.token_slots.acquire(Purpose::Refresh).await
    }

    /// An authenticated POST.
    async fn post<'a, T>(
        &'a self,
        name: ProviderEndpoint,
        endpoint: AuthenticatedEndpoint<'_>,
        mut form: Vec<(&'a str, &'a str)>,
        deadline: Instant,
        read: impl FnOnce(&HttpResponse) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut headers = HeaderMap::new();
        self.credentials.authenticate(endpoint.method, &mut headers, &mut form);
        let answer = self.http.post(name, endpoint.url, headers, &form, deadline).await;
        answer.and_then(|answer| read(&answer))
    }
}

/// The result of a request that a circuit breaker let through.
async fn tried<T>(
    trial: Result<Trial<'_>, Error>,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let trial = trial?;
    let result = request.await;
    trial.report(&result);
    result
}

/// The body of a success, or the error that the answer amounts to (RFC 6749 §5.2).
fn success(answer: &HttpResponse) -> Result<Map<String, Value>, Error> {
    let status = answer.status;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::Status(status));
    }
    let body = answer.object();
    // Some servers send their errors with status 200: the member decides, not the status.
    if let Some(refusal) = body.as_ref().ok().and_then(refusal) {
        return Err(Error::Rejected(refusal));
    }
    if status.is_success() { body } else { Err(Error::Status(status)) }
}

fn refusal(body: &Map<String, Value>) -> Option<ErrorResponse> {
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
    // Not text is not as §5.2 has it, but surely no success.
    let error = body.get("error").filter(|error| !error.is_null())?;
    Some(ErrorResponse::new(error.as_str().unwrap_or("?"), text("error_description")))
}

#[cfg(test)]
pub(crate) mod loopback;
