//! A sign-in under way, between authorization request and callback: the `state` parameter itself.
//! Nothing is kept for it here, so a flood of visitors costs no memory. It is 192 random bits, from
//! which the sealing key, `nonce` and `code_verifier` are derived, and a sealed text.
//! Invariants: a `state` works once (RFC 9700 §4.7); only the browser that asked for it can use it;
//! the `code_verifier` leaves for the token endpoint only.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::login::used_states::{StateHash, UsedStates};
use crate::origin::Origin;
use crate::random;
use crate::secret::Secret;
use crate::session::seal::{Root, Roots};

/// What is remembered of a sign-in under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Whose sign-in it is: a fingerprint of the provider's ID, issuer and `client_id`.
    pub provider: [u8; 8],
    /// When it began.
    pub begun: UnixTime,
    /// Whether it was begun anew already, because another tab took the login cookie.
    pub restarted: bool,
    /// Whether the visitor asked to sign in although a session may be there (`prompt`).
    pub prompted: bool,
    /// The login cookie of the browser, hashed.
    pub login: [u8; 16],
    /// The session that the browser had, hashed.
    pub session: Option<[u8; 16]>,
    /// Where the browser wants to go.
    pub target: Target,
}

/// Where the target of a sign-in is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// In the state.
    Here(String),
    /// In a cookie, for it is long; should that be gone, this shorter one serves.
    InCookie(String),
}

/// A `state` and what the authorization request says beside it.
#[derive(Debug)]
pub struct Sealed {
    /// `state`, at most 800 characters.
    pub state: String,
    /// `nonce` (OIDC Core §3.1.2.1).
    pub nonce: String,
    /// `code_verifier` (RFC 7636 §4.1).
    pub code_verifier: Secret,
    /// The value of the target cookie, where the target travels in one.
    pub target_cookie: Option<String>,
}

/// A `state` that is ours.
#[derive(Debug)]
pub struct Opened {
    /// What was sealed in it.
    pub pending: Pending,
    /// `nonce`, as the ID token must repeat it.
    pub nonce: String,
    /// `code_verifier`, for the token endpoint.
    pub code_verifier: Secret,
    salt: Salt,
}

/// The text is no `state` of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state is not one of this gateway's")]
pub struct Forged;

/// Seals states, opens them, and remembers which were used.
#[derive(Debug)]
pub struct States {
    roots: Roots,
    aad: Vec<u8>,
    used: Arc<UsedStates>,
}

type Salt = [u8; 24];

impl States {
    /// States of the gateway at `public_url`.
    pub fn new(roots: Roots, used: Arc<UsedStates>, public_url: &Origin) -> Self {
        let aad = format!("portcullis state 1\0{public_url}").into_bytes();
        Self { roots, aad, used }
    }

    /// Makes a `state` of a sign-in that begins; `full_target` is the long one, where there is one.
    pub fn seal(&self, pending: &Pending, full_target: Option<&str>) -> Sealed {
        let (salt, root): (Salt, _) = (random::bytes(), self.roots.newest());
        let mut state = salt.to_vec();
        state.extend(root.seal(STATE, &salt, &self.aad, &pending.encode()));
        let target_cookie = full_target.map(|target| {
            // Bound to this state: a target never ends up in another tab's sign-in.
            let mut cookie = salt.to_vec();
            cookie.extend(root.seal(TARGET, &salt, &self.aad, target.as_bytes()));
            URL_SAFE_NO_PAD.encode(cookie)
        });
        let (nonce, code_verifier) = derived(root, &salt);
        Sealed { state: URL_SAFE_NO_PAD.encode(state), nonce, code_verifier, target_cookie }
    }

    /// Opens a `state`, which may be used, too old, or another browser's.
    pub fn open(&self, state: &str) -> Result<Opened, Forged> {
        if state.len() > MOST_CHARACTERS {
            return Err(Forged);
        }
        let bytes = URL_SAFE_NO_PAD.decode(state).map_err(|_| Forged)?;
        let (salt, sealed) = bytes.split_first_chunk::<24>().ok_or(Forged)?;
        for root in self.roots.all() {
            if let Ok(plain) = root.open(STATE, salt, &self.aad, sealed) {
                let pending = Pending::decode(&plain).ok_or(Forged)?;
                let (nonce, code_verifier) = derived(root, salt);
                return Ok(Opened { pending, nonce, code_verifier, salt: *salt });
            }
        }
        Err(Forged)
    }

    /// Opens a target cookie, if it belongs to this state.
    pub fn open_target(&self, opened: &Opened, cookie: &str) -> Option<String> {
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
    pub fn is_used(&self, opened: &Opened) -> bool {
        self.used.contains(&hash(&opened.salt))
    }

    /// Marks a state as used, now that its code is about to be sent; `None` where it was used before.
    pub(super) fn take(&self, opened: &Opened, now: UnixTime) -> Option<StateHash> {
        let hash = hash(&opened.salt);
        // As long as it would be taken for one of now, however the clocks of two replicas differ.
        let oldest = UnixTime(now.0.saturating_sub(LIFETIME + LEEWAY));
        self.used.insert(hash, now, oldest).then_some(hash)
    }

    /// The code of a used state brought no session.
    pub(super) fn exchange_failed(&self, state: StateHash) {
        self.used.exchange_failed(state);
    }

    /// Seals a short text that leaves and comes back, such as the target of a sign-out.
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
    /// Whether ten minutes are over since it began, or it claims to begin in the future.
    pub fn is_old(&self, now: UnixTime) -> bool {
        !(-LEEWAY..=LIFETIME).contains(&now.0.saturating_sub(self.begun.0))
    }

    /// Whether a login cookie is the one it was begun with.
    pub fn is_of(&self, login_cookie: &str) -> bool {
        // SECURITY: a callback that another browser was lured to ends here (RFC 9700 §4.7).
        aws_lc_rs::constant_time::verify_slices_are_equal(
            &self.login,
            &hash(login_cookie.as_bytes()),
        )
        .is_ok()
    }

    fn encode(&self) -> Vec<u8> {
        let (in_cookie, target) = match &self.target {
            Target::Here(target) => (false, target),
            Target::InCookie(shorter) => (true, shorter),
        };
        let flags = [in_cookie, self.restarted, self.prompted, self.session.is_some()];
        let flags = flags.iter().fold(0, |bits: u8, flag| bits << 1 | u8::from(*flag));
        let mut plain = vec![flags];
        plain.extend(self.provider);
        plain.extend(self.begun.0.to_be_bytes());
        plain.extend(self.login);
        plain.extend(self.session.unwrap_or_default());
        plain.extend(target.as_bytes());
        plain
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let (flags, rest) = plain.split_first()?;
        let (provider, rest) = rest.split_first_chunk()?;
        let (begun, rest) = rest.split_first_chunk()?;
        let (login, rest) = rest.split_first_chunk()?;
        let (session, rest) = rest.split_first_chunk()?;
        let target = std::str::from_utf8(rest).ok()?.to_owned();
        let flag = |bit: u8| flags >> bit & 1 == 1;
        Some(Self {
            provider: *provider,
            begun: UnixTime(i64::from_be_bytes(*begun)),
            restarted: flag(2),
            prompted: flag(1),
            login: *login,
            session: flag(0).then_some(*session),
            target: if flag(3) { Target::InCookie(target) } else { Target::Here(target) },
        })
    }
}

/// A login cookie or a salt, hashed as a state holds it.
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
const MOST_CHARACTERS: usize = 800;
/// How long a sign-in may take.
pub(super) const STATE_LIFETIME: Duration = Duration::from_secs(600);
/// The same in seconds.
const LIFETIME: i64 = STATE_LIFETIME.as_secs() as i64;
/// Seconds that the clocks of two replicas may differ.
const LEEWAY: i64 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> States {
        let roots = Roots::new(&[], &Root::generate());
        States::new(roots, Arc::default(), &Origin::parse("https://app.example").unwrap())
    }

    fn pending(target: Target) -> Pending {
        Pending {
            provider: [7; 8],
            begun: UnixTime(1_800_000_000),
            restarted: true,
            prompted: false,
            login: hash(b"cookie"),
            session: Some([9; 16]),
            target,
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was_made() {
        let states = states();
        let made = pending(Target::Here("/a?b=c".into()));
        let sealed = states.seal(&made, None);
        let opened = states.open(&sealed.state).unwrap();
        assert_eq!((&opened.pending, &opened.nonce), (&made, &sealed.nonce));
        assert_eq!(opened.code_verifier, sealed.code_verifier);
        assert!(opened.pending.is_of("cookie") && !opened.pending.is_of("Cookie"));
    }

    #[test]
    fn the_longest_state_fits() {
        let sealed = states().seal(&pending(Target::Here("x".repeat(480))), None);
        assert!(sealed.state.len() <= MOST_CHARACTERS, "{}", sealed.state.len());
        assert_eq!((sealed.nonce.len(), sealed.code_verifier.expose().len()), (43, 43));
    }

    #[test]
    fn a_state_of_another_gateway_is_forged() {
        let roots = Roots::new(&[Secret::new("one secret for both")], &Root::generate());
        let of = |url| States::new(roots.clone(), Arc::default(), &Origin::parse(url).unwrap());
        let sealed = of("https://a.example").seal(&pending(Target::Here("/".into())), None);
        assert!(of("https://a.example").open(&sealed.state).is_ok());
        assert_eq!(of("https://b.example").open(&sealed.state).err(), Some(Forged));
        assert_eq!(states().open(&sealed.state).err(), Some(Forged));
    }

    #[test]
    fn a_state_works_once() {
        let states = states();
        let opened =
            states.open(&states.seal(&pending(Target::Here("/".into())), None).state).unwrap();
        let now = UnixTime(1_800_000_000);
        assert!(!states.is_used(&opened));
        assert!(states.take(&opened, now).is_some());
        assert!(states.is_used(&opened) && states.take(&opened, now).is_none());
    }

    #[test]
    fn ten_minutes_are_enough() {
        let pending = pending(Target::Here("/".into()));
        let after = |seconds: i64| pending.is_old(UnixTime(1_800_000_000 + seconds));
        assert!(!after(0) && !after(600) && after(601) && !after(-60) && after(-61));
    }

    #[test]
    fn a_target_cookie_belongs_to_one_state() {
        let states = states();
        let seal = || states.seal(&pending(Target::InCookie("/a".into())), Some("/a?long"));
        let (one, other) = (seal(), seal());
        let opened = states.open(&one.state).unwrap();
        let target = |cookie: Option<String>| states.open_target(&opened, &cookie.unwrap());
        assert_eq!(target(one.target_cookie).as_deref(), Some("/a?long"));
        assert_eq!(target(other.target_cookie), None);
        assert_eq!(target(Some(one.state)), None);
    }

    proptest! {
        #[test]
        fn no_text_is_a_state_by_chance(text in "[A-Za-z0-9_-]{0,900}") {
            prop_assert!(states().open(&text).is_err());
        }

        #[test]
        fn every_bit_counts(at in 0_usize..100) {
            let states = states();
            let mut state = states.seal(&pending(Target::Here("/".into())), None).state.into_bytes();
            state[at] = if state[at] == b'A' { b'B' } else { b'A' };
            prop_assert!(states.open(&String::from_utf8(state).unwrap()).is_err());
        }
    }
}
