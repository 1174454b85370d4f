//! The pages of refusals and faults.
//! Invariant: they say what happened and what to do, never how we are built inside.

use http::StatusCode;

use super::sign_in::again;
use super::{Action, ActionKind, View};
use crate::identity::Identity;
use crate::origin::Origin;

/// What the page to a 403 tells.
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// Who is signed in.
    pub identity: &'a Identity,
    /// By which provider, as its name stands on the sign-in page.
    pub provider: &'a str,
    /// Which keys failed, each a sentence.
    pub reasons: &'a [String],
    /// Where to sign in as someone else.
    pub other_account: &'a str,
    /// Where to sign out.
    pub sign_out: &'a str,
}

pub(super) fn forbidden<'a>(page: &Forbidden<'a>) -> View<'a> {
    View {
        error: Some("forbidden"),
        title: "You have no access to this page",
        text: vec![format!(
            "You are signed in as {} with {}, and that account may not open it.",
            who(page.identity),
            page.provider
        )],
        reasons: page.reasons,
        actions: vec![
            Action::new(ActionKind::Primary, "Use another account", page.other_account),
            Action::new(ActionKind::Secondary, "Sign out", page.sign_out),
        ],
    }
}

/// The names that tell a person most surely which account this is.
fn who(identity: &Identity) -> String {
    let name = identity.name.as_ref().or(identity.preferred_username.as_ref());
    match (name, &identity.email) {
        (Some(name), Some(email)) if name != email => {
            format!("{} ({})", in_a_sentence(name), in_a_sentence(email))
        }
        (_, Some(_)) | (Some(_), None) | (None, None) => in_a_sentence(identity.label()),
    }
}

/// A name as it can stand in a sentence of ours, whatever its owner chose.
// SECURITY: signs that turn the direction of writing would rearrange the words around it (T84); a name
// of a hundred lines would leave the buttons out of sight.
fn in_a_sentence(name: &str) -> String {
    let turns = |sign: &char| matches!(sign, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut signs = name.chars().filter(|sign| !turns(sign) && !sign.is_control());
    let mut shown: String = signs.by_ref().take(MOST_SIGNS).collect();
    if signs.next().is_some() {
        shown.push('\u{2026}');
    }
    shown
}

/// The longest e-mail address is shorter.
const MOST_SIGNS: usize = 256;

pub(super) fn provider_trouble<'a>(
    provider: &str,
    try_again: &str,
    choice: Option<&str>,
) -> View<'a> {
    View {
        error: Some("provider_unavailable"),
        title: "The sign-in service does not answer",
        text: vec![
            format!("{provider}, which checks who you are, cannot be reached or is in trouble."),
            "This is not your fault. Please try again in a minute.".to_owned(),
        ],
        reasons: &[],
        actions: again(try_again, choice),
    }
}

pub(super) fn provider_misconfigured<'a>(
    provider: &str,
    try_again: &str,
    choice: Option<&str>,
) -> View<'a> {
    View {
        error: Some("provider_misconfigured"),
        title: "Signing in is not set up right",
        text: vec![
            format!("{provider}, which checks who you are, does not accept this site."),
            "This is not your fault, and waiting does not help. Please tell the people who run \
             this site, and give them the reference."
                .to_owned(),
        ],
        reasons: &[],
        actions: again(try_again, choice),
    }
}

pub(super) fn wrong_host<'a>(public_url: &Origin) -> View<'a> {
    let public_url = public_url.to_string();
    View {
        error: Some("wrong_host"),
        title: "There is nothing at this address",
        text: vec![format!(
            "The name in the address is not served here. Try {public_url} instead."
        )],
        reasons: &[],
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
            "{public_url} is for signing in only. Open what you want to use at its own address."
        )],
        reasons: &[],
        actions: Vec::new(),
    }
}

pub(super) fn plain<'a>(status: StatusCode) -> View<'a> {
    let (error, title, text) = words(status);
    let elsewhere = matches!(status.as_u16(), 400 | 403 | 404 | 405 | 414)
        .then(|| Action::new(ActionKind::Secondary, "Go to the front page", "/"));
    View {
        error: Some(error),
        title,
        text: vec![text.to_owned()],
        reasons: &[],
        actions: elsewhere.into_iter().collect(),
    }
}

/// Code, title and sentence of a status that says all there is to say.
fn words(status: StatusCode) -> Words {
    let known = STATUSES.iter().find(|(code, _)| *code == status.as_u16());
    match known {
        Some((_, words)) => *words,
        None if status.is_client_error() => NOT_ACCEPTED,
        None => OUR_FAULT,
    }
}

type Words = (&'static str, &'static str, &'static str);

const NOT_ACCEPTED: Words = (
    "bad_request",
    "That did not work",
    "The request was not accepted. Go back and try another way.",
);
const OUR_FAULT: Words = (
    "internal_error",
    "Something went wrong",
    "The fault is ours, not yours. Please try again; if it stays, tell the people who run this \
     site, and give them the reference.",
);
const STATUSES: &[(u16, Words)] = &[
    (
        400,
        (
            "bad_request",
            "This address does not work",
            "The address or the request is malformed or could be read in two ways, so it was not \
             passed on. Check the address, or go back and try another link.",
        ),
    ),
    (401, ("unauthenticated", "Please sign in", "This is only for people who are signed in.")),
    (403, ("forbidden", "You have no access to this page", "It may not be opened this way.")),
    (
        404,
        (
            "not_found",
            "There is nothing here",
            "The page may have moved, or the address may have a typing error.",
        ),
    ),
    (
        405,
        (
            "method_not_allowed",
            "This does not work here",
            "The page exists, but it does not take this kind of request.",
        ),
    ),
    (
        408,
        (
            "request_timeout",
            "That took too long",
            "The request did not arrive in time. Check the connection and try again.",
        ),
    ),
    (
        413,
        (
            "content_too_large",
            "That is too large",
            "The file or form is larger than this page accepts. Try a smaller one.",
        ),
    ),
    (
        414,
        (
            "uri_too_long",
            "This address is too long",
            "Go back and try a shorter address, or start again from the front page.",
        ),
    ),
    (
        421,
        (
            "wrong_host",
            "There is nothing at this address",
            "The name in the address is not served here.",
        ),
    ),
    (429, ("too_many_requests", "Too many tries", "Please wait a minute, then try again.")),
    (
        431,
        (
            "header_fields_too_large",
            "The request is too large",
            "The browser sent more than fits. Deleting this site's cookies often helps.",
        ),
    ),
    (
        502,
        (
            "upstream_unreachable",
            "The application does not answer",
            "You did nothing wrong: the application behind this page cannot be reached. Please try \
             again in a minute.",
        ),
    ),
    (
        503,
        (
            "unavailable",
            "There is too much going on",
            "You did nothing wrong. Please try again in a moment.",
        ),
    ),
    (
        504,
        (
            "upstream_timeout",
            "The application takes too long",
            "You did nothing wrong: the application behind this page did not answer in time. \
             Please try again in a minute.",
        ),
    ),
    (
        505,
        (
            "http_version_not_supported",
            "This does not work here",
            "This version of HTTP is not supported.",
        ),
    ),
];
