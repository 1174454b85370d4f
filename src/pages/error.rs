//! The pages of denials and errors.
//! Invariant: they say what happened and what to do, and nothing of the inside of the gateway.

use http::StatusCode;

use crate::identity::Identity;
use crate::origin::Origin;
use crate::pages::{Action, ActionKind, DenialReason, View, english};

/// What the page of a 403 says.
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// The user.
    pub identity: &'a Identity,
    /// The provider's name, as on the sign-in page.
    pub provider: &'a str,
    /// The keys of the rules that failed.
    pub reasons: &'a [DenialReason],
    /// The address of a sign-in with another account.
    pub other_account: &'a str,
    /// The address of the sign-out.
    pub sign_out: &'a str,
}

pub(super) fn forbidden<'a>(page: &Forbidden<'a>) -> View<'a> {
    View {
        error: Some("forbidden"),
        title: "You have no access to this page",
        text: vec![format!(
            "You are signed in as {} with {}. This account is not allowed to open this page.",
            account(page.identity),
            page.provider
        )],
        reasons: page.reasons.iter().copied().map(english::denial).collect(),
        actions: vec![
            Action::new(ActionKind::Primary, "Use another account", page.other_account),
            Action::new(ActionKind::Secondary, "Sign out", page.sign_out),
        ],
    }
}

/// The names by which users recognize their account.
fn account(identity: &Identity) -> String {
    let name = identity.name.as_ref().or(identity.preferred_username.as_ref());
    match (name, &identity.email) {
        (Some(name), Some(email)) if name != email => {
            format!("{} ({})", in_a_sentence(name), in_a_sentence(email))
        }
        (_, Some(_)) | (Some(_), None) | (None, None) => in_a_sentence(identity.label()),
    }
}

/// A name without characters that would change the sentence around it, and not too long.
// SECURITY: characters that change the direction of writing would rearrange the words around the name (T84);
// a name of a hundred lines would push the buttons out of sight.
fn in_a_sentence(name: &str) -> String {
    let turns = |it: &char| matches!(it, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut characters = name.chars().filter(|it| !turns(it) && !it.is_control());
    let mut shown: String = characters.by_ref().take(MAX_CHARACTERS).collect();
    if characters.next().is_some() {
        shown.push('\u{2026}');
    }
    shown
}

/// Longer than the longest e-mail address.
const MAX_CHARACTERS: usize = 256;

pub(super) fn wrong_host<'a>(public_url: &Origin) -> View<'a> {
    let public_url = public_url.to_string();
    View {
        error: Some("wrong_host"),
        title: "There is nothing at this address",
        text: vec![format!(
            "This site does not have the name in the address. Please try {public_url} instead."
        )],
        reasons: Vec::new(),
        actions: vec![Action::new(
            ActionKind::Primary,
            format!("Go to {public_url}"),
            &format!("{public_url}/"),
        )],
    }
}

pub(super) fn sign_in_only<'a>(public_url: &Origin) -> View<'a> {
    View {
        error: Some("wrong_host"),
        title: "There is nothing to open here",
        text: vec![format!(
            "{public_url} is only for signing in. Please open the application at its own address."
        )],
        reasons: Vec::new(),
        actions: Vec::new(),
    }
}

/// The page that a status has by itself.
pub(super) fn of_status<'a>(status: StatusCode) -> View<'a> {
    let (title, text) = english::status(status);
    let elsewhere = matches!(status.as_u16(), 400 | 403 | 404 | 405 | 414)
        .then(|| Action::new(ActionKind::Secondary, "Go to the front page", "/"));
    View {
        error: Some(code(status)),
        title,
        text: vec![text.to_owned()],
        reasons: Vec::new(),
        actions: elsewhere.into_iter().collect(),
    }
}

/// `error` of the JSON answer.
fn code(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "unauthenticated",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        408 => "request_timeout",
        413 => "content_too_large",
        414 => "uri_too_long",
        421 => "wrong_host",
        429 => "too_many_requests",
        431 => "header_fields_too_large",
        502 => "upstream_unreachable",
        503 => "unavailable",
        504 => "upstream_timeout",
        505 => "http_version_not_supported",
        _ if status.is_client_error() => "bad_request",
        _ => "internal_error",
    }
}
