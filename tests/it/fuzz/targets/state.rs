//! What leaves sealed and comes back: `state`, the cookie of a long target, the text of a sign-out.
//! Invariants: nothing but what was sealed here for this purpose opens; it opens to what was sealed; and one
//! changed character is enough to reject it. Its content is read without a panic even if it is nonsense.

use std::sync::OnceLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::login::pending::{OpenedState, States};
use portcullis::origin::Origin;
use portcullis::secret::Secret;
use portcullis::session::seal::{Root, Roots};

/// Takes what comes back, or what is inside.
pub fn run(data: &[u8]) {
    let Sealer { roots, states } = sealer();
    if let Ok(text) = str::from_utf8(data) {
        assert!(states.open(text).is_err(), "a forgery opens: {text}");
        assert!(states.open_text(text).is_none(), "a forgery opens: {text}");
        text_comes_back(states, text);
    }
    if data.len() <= 512 {
        let state = sealed(roots, data);
        if let Ok(opened) = states.open(&state) {
            inside(states, &opened, data);
            one_change_is_enough(states, &state, data);
        }
    }
}

fn inside(states: &States, opened: &OpenedState, data: &[u8]) {
    // The clock of another replica may say anything.
    for now in [0, 1, 1_800_000_000, u64::MAX] {
        let now = Duration::from_millis(now);
        let old = opened.pending.is_old(now);
        let milliseconds = |since: Duration| i128::try_from(since.as_millis()).unwrap();
        let age = milliseconds(now) - milliseconds(opened.pending.begun);
        // Ten minutes, and one by which clocks may differ.
        assert_eq!(old, !(-60_000..=600_000).contains(&age), "{age}");
    }
    assert!(!opened.pending.is_of("cookie"), "the hash of the login cookie is not guessed");
    let again = states.seal(&opened.pending, str::from_utf8(data).ok());
    // At most 480 bytes of target are put into a state.
    if let Ok(reopened) = states.open(&again.state) {
        assert_eq!(reopened.pending, opened.pending);
        assert_eq!(reopened.nonce, again.nonce);
        assert_eq!(reopened.code_verifier, again.code_verifier);
        assert_ne!(reopened.nonce, opened.nonce, "two sign-ins share a nonce");
        if let Some(cookie) = &again.target_cookie {
            let target = states.open_target(&reopened, cookie);
            assert_eq!(target.as_deref().map(str::as_bytes), Some(data));
            assert_eq!(states.open_target(opened, cookie), None, "of another sign-in");
            assert!(states.open(cookie).is_err(), "a target is no state");
        }
    } else {
        assert!(again.state.len() > 800, "what was sealed does not open");
    }
}

fn one_change_is_enough(states: &States, state: &str, data: &[u8]) {
    let mut bytes = state.as_bytes().to_vec();
    let sum: usize = data.iter().map(|byte| usize::from(*byte)).sum();
    let at = sum % bytes.len();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(bytes).unwrap();
    assert!(states.open(&changed).is_err(), "changed at {at}");
    assert!(
        states.open(&format!("{state}A")).is_err() && states.open(&format!("{state}=")).is_err()
    );
    assert_eq!(states.open_text(state), None, "a state is no text");
}

fn text_comes_back(states: &States, text: &str) {
    let sealed = states.seal_text(text);
    assert_eq!(states.open_text(&sealed).as_deref(), Some(text));
    assert!(states.open(&sealed).is_err(), "a text is no state");
}

/// A `state` with these bytes inside, which an older version may have written.
fn sealed(roots: &Roots, plain: &[u8]) -> String {
    let salt = [9; 24];
    let aad = b"portcullis state 3\0https://app.example";
    let sealed = roots.newest().seal("state", &salt, aad, plain);
    URL_SAFE_NO_PAD.encode([&salt, sealed.as_slice()].concat())
}

struct Sealer {
    roots: Roots,
    states: States,
}

fn sealer() -> &'static Sealer {
    static SEALER: OnceLock<Sealer> = OnceLock::new();
    SEALER.get_or_init(|| {
        let roots = Roots::new(&[Secret::new("a secret that no input knows")], &Root::generate());
        let origin = Origin::parse("https://app.example").unwrap();
        let states = States::new(roots.clone(), Default::default(), None, &origin);
        let smallest = [0; 1 + 8 + 8 + 2 * 2 + 16 + 16 + 16];
        assert!(states.open(&sealed(&roots, &smallest)).is_ok(), "states are sealed otherwise now");
        Sealer { states, roots }
    })
}
