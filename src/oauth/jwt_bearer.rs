//! Access tokens for an assertion that a service account signs as its grant.
//! Invariant: a token is requested only when one is needed and none is valid, by one request at a time.
//! Source: RFC 7523 §2.1 and §3; Google, "Using OAuth 2.0 for Server to Server Applications", for the claim `scope`.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::clock::{Clock, UnixTime};
use crate::jose::{Algorithm, SigningKey};
use crate::oauth::error::Error;
use crate::oauth::http::Http;
use crate::oauth::token::TokenSet;
use crate::secret::Secret;
use crate::single_flight::{SingleFlight, Waiter};
use crate::telemetry::metrics::ProviderEndpoint;

/// What an assertion says, and the key that signs it.
#[derive(Clone, Debug)]
pub struct JwtBearerGrant {
    /// `iss`: the service account.
    pub issuer: String,
    /// `sub`: the user for whom it acts, if not for itself.
    pub subject: Option<String>,
    /// `scope`.
    pub scope: &'static str,
    /// Where tokens come from. It is also `aud`.
    pub token_endpoint: Url,
    /// The key.
    pub key: AccountKey,
}

/// The private key of a service account. It signs with RS256.
#[derive(Clone, Debug)]
pub struct AccountKey(Arc<SigningKey>);

/// The access token of a service account, and the request for the next one.
#[derive(Debug)]
pub struct AccountToken {
    grant: JwtBearerGrant,
    http: Arc<Http>,
    clock: Clock,
    flights: Arc<Flights>,
}

type Flights = SingleFlight<Option<TokenSet>, Result<TokenSet, Error>>;

impl AccountKey {
    /// A key in PEM, with its ID. `None`: it is not RSA with 2048 bits or more.
    pub fn from_pem(pem: &str, id: &str) -> Option<Self> {
        let key = SigningKey::from_pem(Algorithm::RS256, pem).ok()?;
        Some(Self(Arc::new(key.with_kid(id))))
    }
}

impl AccountToken {
    /// Nothing is requested yet.
    pub fn new(grant: JwtBearerGrant, http: Arc<Http>, clock: Clock) -> Self {
        Self { grant, http, clock, flights: Arc::default() }
    }

    /// A valid access token, other than one that was `rejected`. If there is none, waits for a request, but not longer
    /// than `until`.
    pub async fn get(&self, rejected: Option<&Secret>, until: Instant) -> Result<Secret, Error> {
        let flight = match self.known_or_requested(rejected) {
            Ok(known) => return Ok(known),
            Err(flight) => flight,
        };
        let result = timeout_at(until, flight.result()).await;
        let tokens = result.ok().flatten().unwrap_or_else(|| {
            let host = self.grant.token_endpoint.host_str().unwrap_or_default().to_owned();
            Err(Error::AnswerLost { host, cause: "timed out".to_owned() })
        });
        Ok(tokens?.access_token)
    }

    fn known_or_requested(
        &self,
        rejected: Option<&Secret>,
    ) -> Result<Secret, Waiter<Result<TokenSet, Error>>> {
        let state = self.flights.lock();
        let known = state.as_ref().filter(|tokens| self.is_valid(tokens));
        if let Some(known) = known.filter(|known| rejected != Some(&known.access_token)) {
            return Ok(known.access_token.clone());
        }
        if let Some(flight) = state.under_way() {
            return Err(flight);
        }
        let (call, flight) = state.start();
        let (grant, http) = (self.grant.clone(), Arc::clone(&self.http));
        let (clock, flights) = (self.clock.clone(), Arc::clone(&self.flights));
        // A task of its own, so that the token is kept even if no sign-in waits for it any more.
        tokio::spawn(async move {
            let result = grant.request(&http, &clock).await;
            flights.finish(call, |known| {
                *known = result.as_ref().ok().cloned();
                result
            });
        });
        Err(flight)
    }

    fn is_valid(&self, tokens: &TokenSet) -> bool {
        let age = self.clock.moment().since(tokens.requested_at);
        tokens.expires_in.is_some_and(|lifetime| age + MARGIN < lifetime)
    }
}

impl JwtBearerGrant {
    async fn request(&self, http: &Http, clock: &Clock) -> Result<TokenSet, Error> {
        let requested_at = clock.moment();
        let assertion = self.assertion(clock.unix())?;
        let form = [("grant_type", GRANT_TYPE), ("assertion", assertion.expose())];
        // Counted as a part of fetching groups, because users can sign in without.
        let (endpoint, deadline) = (ProviderEndpoint::Groups, http.deadline());
        let response =
            http.post(endpoint, &self.token_endpoint, HeaderMap::new(), &form, deadline).await?;
        match TokenSet::read(&response, requested_at) {
            // No client authenticates here: Google says so of a service account that may not act for a user.
            Err(Error::Unauthenticated(response)) => Err(Error::Rejected(response)),
            result => result,
        }
    }

    fn assertion(&self, UnixTime(now): UnixTime) -> Result<Secret, Error> {
        // The issuer's clock may be a little behind.
        let iat = now.saturating_sub(EARLIER);
        let claims = json!({
            "iss": self.issuer,
            "scope": self.scope,
            "aud": self.token_endpoint.as_str(),
            "iat": iat,
            "exp": iat.saturating_add(LIFETIME),
        });
        let Value::Object(mut claims) = claims else { return Err(unsigned()) };
        claims.extend(self.subject.iter().map(|it| ("sub".to_owned(), it.as_str().into())));
        self.key.0.sign("JWT", &claims).map(Secret::new).map_err(|_| unsigned())
    }
}

fn unsigned() -> Error {
    Error::Settings("the key cannot sign the assertion of the service account".to_owned())
}

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Seconds by which `iat` is before now.
const EARLIER: i64 = 10;
/// The longest lifetime of an assertion that Google accepts, in seconds.
const LIFETIME: i64 = 3600;
/// How long before it expires a token is replaced.
const MARGIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::http::HttpSettings;
    use crate::oauth::loopback::{Loopback, Reply};

    async fn account(lifetime: Value) -> (Loopback, Clock, AccountToken) {
        let clock = Clock::manual();
        let count = std::sync::atomic::AtomicU32::new(0);
        let op = Loopback::start(move |_, _| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let token = format!("token-{number}");
            Reply::json(
                200,
                &json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime}),
            )
        })
        .await;
        let timeout = Duration::from_secs(5);
        let settings = HttpSettings { timeout, ca: None, proxy: None, certificate: None };
        let grant = JwtBearerGrant {
            issuer: "gateway@project.iam.gserviceaccount.com".to_owned(),
            subject: Some("admin@example.com".to_owned()),
            scope: "groups",
            token_endpoint: op.url("/token"),
            key: AccountKey(Arc::new(SigningKey::generate(Algorithm::ES256).unwrap())),
        };
        let token = AccountToken::new(grant, Arc::new(Http::new(settings).unwrap()), clock.clone());
        (op, clock, token)
    }

    async fn get(account: &AccountToken, rejected: Option<&Secret>) -> Result<Secret, Error> {
        account.get(rejected, Instant::now() + Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn token_is_requested_once_until_it_is_about_to_expire() {
        let (op, clock, account) = account(json!(3600)).await;
        let (one, other) = tokio::join!(get(&account, None), get(&account, None));
        assert_eq!((one.unwrap().expose(), other.unwrap().expose()), ("token-0", "token-0"));
        clock.advance(Duration::from_secs(3539));
        assert_eq!(get(&account, None).await.unwrap().expose(), "token-0");
        assert_eq!(op.seen("/token").len(), 1);
        clock.advance(Duration::from_secs(1));
        assert_eq!(get(&account, None).await.unwrap().expose(), "token-1");
    }

    #[tokio::test]
    async fn rejected_token_and_one_without_lifetime_are_not_used_again() {
        let (_op, _, account_token) = account(json!(3600)).await;
        let first = get(&account_token, None).await.unwrap();
        let second = get(&account_token, Some(&first)).await.unwrap();
        assert_ne!(first, second);
        assert_eq!(get(&account_token, Some(&first)).await.unwrap(), second, "it is another one");
        let (_op, _, account_token) = account(Value::Null).await;
        let first = get(&account_token, None).await.unwrap();
        assert_ne!(first, get(&account_token, None).await.unwrap());
    }

    #[tokio::test]
    async fn assertion_names_account_user_scope_and_token_endpoint() {
        let (op, clock, account) = account(json!(3600)).await;
        get(&account, None).await.unwrap();
        let [seen] = &op.seen("/token")[..] else { panic!("one request") };
        assert_eq!(seen.form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let jwk = account.grant.key.0.public_jwk();
        let keys = crate::jose::KeySet::parse(json!({"keys": [jwk]}).to_string().as_bytes());
        let verified =
            crate::jose::verify(&seen.form["assertion"], &keys.unwrap(), &[Algorithm::ES256]);
        let iat = clock.unix().0 - EARLIER;
        let expected = json!({
            "iss": "gateway@project.iam.gserviceaccount.com", "sub": "admin@example.com",
            "scope": "groups", "aud": op.url("/token").as_str(), "iat": iat, "exp": iat + 3600,
        });
        assert_eq!(Value::from(verified.unwrap().claims), expected);
    }

    #[tokio::test]
    async fn rejection_is_not_about_a_client() {
        let op = Loopback::start(|_, _| {
            Reply::json(401, &json!({"error": "unauthorized_client", "error_description": "no"}))
        })
        .await;
        let (_op, _, mut account) = account(json!(3600)).await;
        account.grant.token_endpoint = op.url("/token");
        let error = get(&account, None).await.unwrap_err();
        assert_eq!(error.to_string(), "the provider answered unauthorized_client (no)");
        assert!(!error.is_temporary());
    }
}
