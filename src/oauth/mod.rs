//! OAuth 2.0 client (RFC 6749), without OpenID Connect and sessions.
//! Invariant: a code is sent once. Every token request holds a [`TokenSlot`], so that a provider gets at most
//! [`Client::TOKEN_SLOTS`] of them at a time.

pub mod apple_secret;
pub mod authorization;
mod breaker;
pub mod client_assertion;
pub mod client_auth;
pub mod error;
pub mod error_form;
mod exchange_limit;
pub mod http;
pub mod jwt_bearer;
pub mod pkce;
mod revocation;
pub mod token;
mod token_slots;

use std::sync::Arc;

use ::http::StatusCode;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};

pub use client_auth::AuthenticatedEndpoint;
pub use exchange_limit::Attempt;
pub use token_slots::TokenSlot;

use crate::client_address::ClientAddress;
use crate::clock::Clock;
use crate::oauth::breaker::{Breaker, Trial};
use crate::oauth::client_auth::Credentials;
use crate::oauth::error::{Error, ErrorCode};
use crate::oauth::exchange_limit::ExchangeLimit;
use crate::oauth::http::{Http, HttpResponse};
use crate::oauth::token_slots::{Purpose, TokenSlots};
use crate::telemetry::metrics::ProviderEndpoint;

/// A registered client, with the limits and circuit breakers of its token requests.
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
    /// Rate limit and circuit breakers of code exchanges, by client address. Refreshes have another circuit
    /// breaker, so that failed exchanges end no session.
    exchanges: Arc<ExchangeLimit>,
    /// Circuit breaker of refreshes.
    refreshes: Breaker,
    /// Circuit breaker of revocations. A failing revocation endpoint must not stop sign-ins.
    revocations: Breaker,
}

/// The right to exchange one code now.
#[derive(Debug)]
pub struct ExchangePermit {
    /// Held until the tokens have been verified and used.
    pub slot: TokenSlot,
    /// Used up with the code.
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
    /// Concurrent token requests at one provider.
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

    /// Waits until a sign-in from this address can send its code, up to the provider's `timeout`.
    pub async fn exchange_permit(&self, address: ClientAddress) -> Result<ExchangePermit, Error> {
        let slot = self.limits.token_slots.acquire(Purpose::SignIn(address));
        let slot = timeout_at(self.http.deadline(), slot).await.unwrap_or(Err(Error::Busy))?;
        // Counted after the wait: a sign-in that waits has not failed.
        Ok(ExchangePermit { slot, attempt: self.limits.exchanges.allow(address)? })
    }

    /// Waits for a slot for a refresh. Each slot is held for a few timeouts at most.
    pub async fn refresh_slot(&self) -> Result<TokenSlot, Error> {
        self.limits.token_slots.acquire(Purpose::Refresh).await
    }

    /// Sends a POST with client authentication. Every request gets its own.
    async fn post<'a, T>(
        &'a self,
        name: ProviderEndpoint,
        endpoint: AuthenticatedEndpoint<'_>,
        mut form: Vec<(&'a str, &'a str)>,
        deadline: Instant,
        read: impl FnOnce(&HttpResponse) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let auth = self.credentials.authenticate(&endpoint, self.clock.unix());
        let late =
            || Error::ClientAssertion("client_assertion_file: reading takes too long".into());
        let auth = timeout_at(deadline, auth).await.unwrap_or_else(|_elapsed| Err(late()))?;
        let parameters = &auth.parameters;
        form.extend(parameters.iter().map(|(name, value)| (*name, value.expose())));
        let response = self.http.post(name, endpoint.url, auth.headers, &form, deadline).await;
        response.and_then(|response| read(&response))
    }
}

/// The result of a request, reported to its circuit breaker.
async fn tried<T>(
    trial: Result<Trial<'_>, Error>,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let trial = trial?;
    let result = request.await;
    trial.report(&result);
    result
}

/// The body of a success, or the error in the response (RFC 6749 §5.2).
fn success(response: &HttpResponse) -> Result<Map<String, Value>, Error> {
    let status = response.status;
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(Error::Status(status));
    }
    let body = response.object();
    let rejects = |body: &&Map<String, Value>| {
        // Some servers send errors with status 200.
        status.is_client_error() || (status == StatusCode::OK && !body.contains_key("access_token"))
    };
    match body.as_ref().ok().filter(rejects).and_then(|body| response.errors.of_token(body)) {
        Some(error)
            if status == StatusCode::UNAUTHORIZED || error.code == ErrorCode::InvalidClient =>
        {
            Err(Error::Unauthenticated(error))
        }
        Some(error) => Err(Error::Rejected(error)),
        None if status.is_success() => body,
        None => Err(Error::Status(status)),
    }
}

#[cfg(test)]
pub(crate) mod loopback;
