//! Apple's client secret: a JWT that the client signs with the key of its registration.
//! Invariant: a secret serves all requests of a few minutes, and none in the last of these.
//! Source: developer.apple.com, "Creating a client secret".

use std::sync::Mutex;

use crate::clock::UnixTime;
use crate::jose::{Algorithm, SigningKey};
use crate::lock::lock;
use crate::oauth::client_assertion::Assertion;
use crate::oauth::error::Error;
use crate::secret::Secret;

/// The key, and the latest secret.
#[derive(Debug)]
pub struct AppleSecret {
    key: SigningKey,
    key_id: String,
    team_id: String,
    latest: Mutex<Option<(UnixTime, Secret)>>,
}

impl AppleSecret {
    /// For a private key in PEM, as Apple issues it, with its ID there, and with that of the developer team. `None` if it is
    /// no key for ES256.
    pub fn new(key: &str, key_id: &str, team_id: &str) -> Option<Self> {
        let key = SigningKey::from_pem(Algorithm::ES256, key).ok()?;
        let (key_id, team_id) = (key_id.to_owned(), team_id.to_owned());
        Some(Self { key, key_id, team_id, latest: Mutex::default() })
    }

    /// The secret for a request: the latest one, unless it expires soon.
    pub(super) fn for_request(&self, assertion: &Assertion<'_>) -> Result<Secret, Error> {
        let mut latest = lock(&self.latest);
        if let Some((made, secret)) = &*latest
            && (made.0..made.0.saturating_add(RENEWAL)).contains(&assertion.now.0)
        {
            return Ok(secret.clone());
        }
        let secret = assertion.for_apple(&self.key, &self.key_id, &self.team_id, SECONDS)?;
        *latest = Some((assertion.now, secret.clone()));
        Ok(secret)
    }
}

/// How long a secret is valid. Apple allows half a year.
const SECONDS: i64 = 300;
/// The age at which a new one is made.
const RENEWAL: i64 = 240;
