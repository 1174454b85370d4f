//! A pending sign-in, between authorization request and callback: the content of the `state` parameter.
//! How: a `state` is 192 random bits and an encrypted text. The encryption key, the `nonce` and the
//! `code_verifier` are derived from the random bits. Nothing is stored here, so a flood of sign-ins costs no memory.
//! Invariants: a `state` works once (RFC 9700 §4.7), and only in the browser that it was made for; the
//! `code_verifier` is sent to the token endpoint only.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::login::sign_in_rounds::{EarlierRounds, TargetHash};
use crate::login::used_states::{StateHash, UsedStates};
use crate::origin::Origin;
use crate::providers::ResponseMode;
use crate::random;
use crate::secret::Secret;
use crate::session::StoreUnavailable;
use crate::session::redis::RedisStore;
use crate::session::seal::{Root, Roots};

/// A sign-in between authorization request and callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The fingerprint of the provider.
    pub provider: [u8; 8],
    /// When the sign-in began, since 1970, in whole milliseconds.
    pub begun: Duration,
    /// The sign-ins before it in this browser whose session no page has accepted.
    pub earlier: EarlierRounds,
    /// Whether it is a second attempt, after one whose state could not be used or that the provider postponed.
    pub restarted: bool,
    /// Whether the user requested a sign-in even with a session (`prompt`).
    pub prompted: bool,
    /// How the browser brings the authorization response.
    pub response_mode: ResponseMode,
    /// The hash of the browser's login cookie.
    pub login: [u8; 16],
    /// The hash of the id of the session that the browser had.
    pub session: Option<[u8; 16]>,
    /// The hash of the requested target, as it was written.
    pub requested: TargetHash,
    /// Where the browser goes after the sign-in.
    pub target: PendingTarget,
}

/// Where the target of a sign-in is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PendingTarget {
    /// In the state.
    Here(String),
    /// In a cookie, because it is long. Without the cookie, this shorter target is used.
    InCookie(String),
}

/// A new `state`, and what goes with it.
#[derive(Debug)]
pub struct SealedState {
    /// `state`, at most 800 characters.
    pub state: String,
    /// `nonce` (OIDC Core §3.1.2.1).
    pub nonce: String,
    /// `code_verifier` (RFC 7636 §4.1).
    pub code_verifier: Secret,
    /// The value of the target cookie, for a target that is kept there.
    pub target_cookie: Option<String>,
}

/// A `state` that this gateway made.
#[derive(Debug)]
pub struct OpenedState {
    /// Its content.
    pub pending: Pending,
    /// `nonce`, as the ID token must repeat it.
    pub nonce: String,
    /// `code_verifier`, for the token endpoint.
    pub code_verifier: Secret,
    salt: Salt,
}

/// A text that is not a `state` of this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state was not made by this gateway")]
pub struct UnknownState;

/// Seals states, opens them, and records which were used.
#[derive(Debug)]
pub struct States {
    roots: Roots,
    aad: Vec<u8>,
    used: Arc<UsedStates>,
    /// The server that has those of all instances.
    store: Option<Arc<RedisStore>>,
}

type Salt = [u8; 24];

impl States {
    /// States of the gateway at `public_url`.
    pub fn new(
        roots: Roots,
        used: Arc<UsedStates>,
        store: Option<Arc<RedisStore>>,
        public_url: &Origin,
    ) -> Self {
        // The number is that of the format: a `state` of another format counts as forged.
        let aad = format!("portcullis state 3\0{public_url}").into_bytes();
        Self { roots, aad, used, store }
    }

    /// Makes the `state` of a new sign-in. `full_target` is a target that goes into the target cookie.
    pub fn seal(&self, pending: &Pending, full_target: Option<&str>) -> SealedState {
        let (salt, root): (Salt, _) = (random::bytes(), self.roots.newest());
        let mut state = salt.to_vec();
        state.extend(root.seal(STATE, &salt, &self.aad, &pending.encode()));
        let target_cookie = full_target.map(|target| {
            // Bound to this state, so that a target is not used in the sign-in of another tab.
            let mut cookie = salt.to_vec();
            cookie.extend(root.seal(TARGET, &salt, &self.aad, target.as_bytes()));
            URL_SAFE_NO_PAD.encode(cookie)
        });
        let (nonce, code_verifier) = derived(root, &salt);
        SealedState { state: URL_SAFE_NO_PAD.encode(state), nonce, code_verifier, target_cookie }
    }

    /// Opens a `state`. It may still be used, too old, or from another browser.
    pub fn open(&self, state: &str) -> Result<OpenedState, UnknownState> {
        if state.len() > MAX_CHARACTERS {
            return Err(UnknownState);
        }
        let bytes = URL_SAFE_NO_PAD.decode(state).map_err(|_| UnknownState)?;
        let (salt, sealed) = bytes.split_first_chunk::<24>().ok_or(UnknownState)?;
        for root in self.roots.all() {
            if let Ok(plain) = root.open(STATE, salt, &self.aad, sealed) {
                let pending = Pending::decode(&plain).ok_or(UnknownState)?;
                let (nonce, code_verifier) = derived(root, salt);
                return Ok(OpenedState { pending, nonce, code_verifier, salt: *salt });
            }
        }
        Err(UnknownState)
    }

    /// Opens a target cookie that belongs to this state.
    pub fn open_target(&self, opened: &OpenedState, cookie: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (salt, sealed) = bytes.split_first_chunk::<24>()?;
        if *salt != opened.salt {
            return None;
        }
        let plain =
            self.roots.all().find_map(|root| root.open(TARGET, salt, &self.aad, sealed).ok())?;
        String::from_utf8(plain).ok()
    }

    /// Whether a state was used before.
    pub async fn is_used(&self, opened: &OpenedState) -> Result<bool, StoreUnavailable> {
        let hash = hash(&opened.salt);
        match &self.store {
            Some(store) if !self.used.contains(&hash) => store.is_state_used(&hash).await,
            Some(_) | None => Ok(self.used.contains(&hash)),
        }
    }

    /// Marks a state as used, before its code is sent. `None` if it was used before.
    pub(super) async fn take(
        &self,
        opened: &OpenedState,
        now: UnixTime,
    ) -> Result<Option<StateHash>, StoreUnavailable> {
        let hash = hash(&opened.salt);
        // Kept for as long as the state is valid, also by the clock of another replica.
        let oldest = UnixTime(now.0.saturating_sub(KEPT_SECONDS));
        if !self.used.insert(hash, now, oldest) {
            return Ok(None);
        }
        let is_first = match &self.store {
            Some(store) => store.use_state(&hash, KEPT).await?,
            None => true,
        };
        Ok(is_first.then_some(hash))
    }

    /// Records that the exchange of a used state has failed.
    pub(super) fn exchange_failed(&self, state: StateHash) {
        self.used.exchange_failed(state);
    }

    /// Seals a short text for a round trip through the browser, such as the target of a sign-out.
    pub fn seal_text(&self, text: &str) -> String {
        let salt: Salt = random::bytes();
        let mut sealed = salt.to_vec();
        sealed.extend(self.roots.newest().seal(TEXT, &salt, &self.aad, text.as_bytes()));
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Opens what [`Self::seal_text`] made.
    pub fn open_text(&self, sealed: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (salt, sealed) = bytes.split_first_chunk::<24>()?;
        let plain =
            self.roots.all().find_map(|root| root.open(TEXT, salt, &self.aad, sealed).ok())?;
        String::from_utf8(plain).ok()
    }
}

impl Pending {
    /// Whether it began more than ten minutes ago, or in the future.
    pub fn is_old(&self, now: Duration) -> bool {
        now.saturating_sub(self.begun) > STATE_LIFETIME || self.begun.saturating_sub(now) > LEEWAY
    }

    /// Whether this is the login cookie of the browser that began it.
    pub fn is_of(&self, login_cookie: &str) -> bool {
        // SECURITY: this rejects a callback URL that an attacker made another browser open (RFC 9700 §4.7).
        aws_lc_rs::constant_time::verify_slices_are_equal(
            &self.login,
            &hash(login_cookie.as_bytes()),
        )
        .is_ok()
    }

    fn encode(&self) -> Vec<u8> {
        let (is_in_cookie, target) = match &self.target {
            PendingTarget::Here(target) => (false, target),
            PendingTarget::InCookie(shorter) => (true, shorter),
        };
        let is_posted = self.response_mode == ResponseMode::FormPost;
        let flags =
            [is_posted, is_in_cookie, self.restarted, self.prompted, self.session.is_some()];
        let flags = flags.iter().fold(0, |bits: u8, flag| bits << 1 | u8::from(*flag));
        let mut plain = vec![flags];
        plain.extend(self.provider);
        plain.extend(u64::try_from(self.begun.as_millis()).unwrap_or(u64::MAX).to_be_bytes());
        for age in self.earlier {
            plain.extend(age.unwrap_or(NO_AGE).to_be_bytes());
        }
        plain.extend(self.login);
        plain.extend(self.session.unwrap_or_default());
        plain.extend(self.requested);
        plain.extend(target.as_bytes());
        plain
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let (flags, rest) = plain.split_first()?;
        let (provider, rest) = rest.split_first_chunk()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (last, rest) = rest.split_first_chunk()?;
        let (before_last, rest) = rest.split_first_chunk()?;
        let (login, rest) = rest.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        let (requested, rest) = rest.split_first_chunk()?;
        let target = std::str::from_utf8(rest).ok()?.to_owned();
        let flag = |bit: u8| flags >> bit & 1 == 1;
        let age = |bytes| Some(u16::from_be_bytes(bytes)).filter(|age| *age != NO_AGE);
        Some(Self {
            provider: *provider,
            begun: Duration::from_millis(u64::from_be_bytes(*begun)),
            earlier: [age(*last), age(*before_last)],
            restarted: flag(2),
            prompted: flag(1),
            response_mode: if flag(4) { ResponseMode::FormPost } else { ResponseMode::Query },
            login: *login,
            session: flag(0).then_some(*session),
            requested: *requested,
            target: if flag(3) {
                PendingTarget::InCookie(target)
            } else {
                PendingTarget::Here(target)
            },
        })
    }
}

/// The hash of a login cookie, a target or a salt, as in a state.
pub fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(digest(&SHA256, bytes).as_ref().split_at(16).0);
    half
}

fn derived(root: &Root, salt: &Salt) -> (String, Secret) {
    let text = |purpose| URL_SAFE_NO_PAD.encode(root.derive(purpose, salt).as_slice());
    (text("nonce"), Secret::new(text("code_verifier")))
}

const STATE: &str = "state";
const TARGET: &str = "login-target";
const TEXT: &str = "text";
/// The longest `state`, in characters.
const MAX_CHARACTERS: usize = 800;
/// The longest time of a sign-in.
pub(super) const STATE_LIFETIME: Duration = Duration::from_secs(600);
/// By how much the clocks of two instances may differ.
const LEEWAY: Duration = Duration::from_secs(60);
/// How long a used state is remembered, in seconds.
const KEPT_SECONDS: i64 = KEPT.as_secs() as i64;
const KEPT: Duration = STATE_LIFETIME.saturating_add(LEEWAY);
/// Instead of an age that is absent; ages are below.
const NO_AGE: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> States {
        let roots = Roots::new(&[], &Root::generate());
        States::new(roots, Arc::default(), None, &Origin::parse("https://app.example").unwrap())
    }

    fn pending(target: PendingTarget) -> Pending {
        Pending {
            provider: [7; 8],
            begun: Duration::from_millis(1_800_000_000_123),
            earlier: [Some(0), None],
            restarted: true,
            prompted: false,
            response_mode: ResponseMode::FormPost,
            login: hash(b"cookie"),
            session: Some([9; 16]),
            requested: hash(b"/a"),
            target,
        }
    }

    #[test]
    fn opened_state_is_what_was_sealed() {
        let states = states();
        let made = pending(PendingTarget::Here("/a?b=c".into()));
        let sealed = states.seal(&made, None);
        let opened = states.open(&sealed.state).unwrap();
        assert_eq!((&opened.pending, &opened.nonce), (&made, &sealed.nonce));
        assert_eq!(opened.code_verifier, sealed.code_verifier);
        assert!(opened.pending.is_of("cookie") && !opened.pending.is_of("Cookie"));
    }

    #[test]
    fn longest_state_fits() {
        let sealed = states().seal(&pending(PendingTarget::Here("x".repeat(480))), None);
        assert!(sealed.state.len() <= MAX_CHARACTERS, "{}", sealed.state.len());
        assert_eq!((sealed.nonce.len(), sealed.code_verifier.expose().len()), (43, 43));
    }

    #[test]
    fn state_of_another_gateway_is_rejected() {
        let roots = Roots::new(&[Secret::new("one secret for both")], &Root::generate());
        let of =
            |url| States::new(roots.clone(), Arc::default(), None, &Origin::parse(url).unwrap());
        let sealed = of("https://a.example").seal(&pending(PendingTarget::Here("/".into())), None);
        assert!(of("https://a.example").open(&sealed.state).is_ok());
        assert_eq!(of("https://b.example").open(&sealed.state).err(), Some(UnknownState));
        assert_eq!(states().open(&sealed.state).err(), Some(UnknownState));
    }

    #[tokio::test]
    async fn state_works_once() {
        let states = states();
        let opened = states
            .open(&states.seal(&pending(PendingTarget::Here("/".into())), None).state)
            .unwrap();
        let now = UnixTime(1_800_000_000);
        assert_eq!(states.is_used(&opened).await, Ok(false));
        assert!(states.take(&opened, now).await.unwrap().is_some());
        assert_eq!(states.is_used(&opened).await, Ok(true));
        assert_eq!(states.take(&opened, now).await, Ok(None));
    }

    #[test]
    fn state_is_old_after_ten_minutes() {
        let pending = pending(PendingTarget::Here("/".into()));
        let after = |seconds| pending.is_old(pending.begun + Duration::from_secs(seconds));
        let before = |seconds| pending.is_old(pending.begun - Duration::from_secs(seconds));
        assert!(!after(0) && !after(600) && after(601) && !before(60) && before(61));
    }

    #[test]
    fn target_cookie_belongs_to_one_state() {
        let states = states();
        let seal = || states.seal(&pending(PendingTarget::InCookie("/a".into())), Some("/a?long"));
        let (one, other) = (seal(), seal());
        let opened = states.open(&one.state).unwrap();
        let target = |cookie: Option<String>| states.open_target(&opened, &cookie.unwrap());
        assert_eq!(target(one.target_cookie).as_deref(), Some("/a?long"));
        assert_eq!(target(other.target_cookie), None);
        assert_eq!(target(Some(one.state)), None);
    }

    proptest! {
        #[test]
        fn random_text_is_no_state(text in "[A-Za-z0-9_-]{0,900}") {
            prop_assert!(states().open(&text).is_err());
        }

        #[test]
        fn changed_state_is_rejected(at in 0_usize..100) {
            let states = states();
            let mut state = states.seal(&pending(PendingTarget::Here("/".into())), None).state.into_bytes();
            state[at] = if state[at] == b'A' { b'B' } else { b'A' };
            prop_assert!(states.open(&String::from_utf8(state).unwrap()).is_err());
        }
    }
}
