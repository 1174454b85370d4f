//! The pages of denials and errors.
//! Invariant: they say what happened and what to do, and nothing of the inside of the gateway.

use http::StatusCode;

use crate::identity::Identity;
use crate::origin::Origin;
use crate::pages::english::Texts;
use crate::pages::texts::fill;
use crate::pages::{Action, ActionKind, DenialReason, View};

/// What the page of a 403 says.
#[derive(Clone, Copy, Debug)]
pub struct Forbidden<'a> {
    /// The user.
    pub identity: &'a Identity,
    /// The provider's name, as on the sign-in page.
    pub provider: &'a str,
    /// Why.
    pub reason: DenialReason,
    /// The names of the keys that failed in the rules, for programs.
    pub failed: &'a [&'static str],
    /// The address of a sign-in with another account.
    pub other_account: &'a str,
    /// The address of the sign-out.
    pub sign_out: &'a str,
}

pub(super) fn forbidden<'a>(texts: &'a Texts, page: &Forbidden<'a>) -> View<'a> {
    let account = account(page.identity);
    let values = [("account", &*account), ("provider", page.provider)];
    View {
        error: Some("forbidden"),
        title: &texts.forbidden_title,
        text: vec![
            fill(&texts.forbidden_account, &values),
            fill(denial(texts, page.reason), &values),
            (&*texts.forbidden_advice).into(),
        ],
        failed: page.failed,
        actions: vec![
            Action::new(ActionKind::Primary, &*texts.use_another_account, page.other_account),
            Action::new(ActionKind::Secondary, &*texts.sign_out, page.sign_out),
        ],
    }
}

/// Why a request was denied.
fn denial(texts: &Texts, reason: DenialReason) -> &str {
    match reason {
        DenialReason::Email => &texts.denied_email,
        DenialReason::EmailDomain => &texts.denied_email_domain,
        DenialReason::EmailUnverified => &texts.denied_email_unverified,
        DenialReason::Group => &texts.denied_group,
        DenialReason::GroupsInPart => &texts.denied_groups_in_part,
        DenialReason::User => &texts.denied_user,
        DenialReason::Provider => &texts.denied_provider,
        DenialReason::Claim => &texts.denied_claim,
        DenialReason::Method => &texts.denied_method,
        DenialReason::Path => &texts.denied_path,
        DenialReason::ClientAddress => &texts.denied_client_address,
        DenialReason::Several => &texts.denied_several,
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
// SECURITY: characters that change the direction of writing would rearrange the words around the name;
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

pub(super) fn wrong_host<'a>(texts: &'a Texts, public_url: &'a Origin) -> View<'a> {
    let address = public_url.to_string();
    View {
        error: Some("wrong_host"),
        title: &texts.wrong_host_title,
        text: vec![fill(&texts.wrong_host_text, &[("address", &address)])],
        failed: &[],
        actions: vec![Action::new(
            ActionKind::Primary,
            &*texts.wrong_host_button,
            format!("{address}/"),
        )],
    }
}

pub(super) fn sign_in_only<'a>(texts: &'a Texts, public_url: &'a Origin) -> View<'a> {
    View {
        error: Some("wrong_host"),
        title: &texts.sign_in_only_title,
        text: vec![fill(&texts.sign_in_only_text, &[("address", &public_url.to_string())])],
        failed: &[],
        actions: Vec::new(),
    }
}

pub(super) fn redirect_loop(texts: &Texts) -> View<'_> {
    View {
        error: Some("redirect_loop"),
        title: &texts.redirect_loop_title,
        text: vec![(&*texts.redirect_loop_text).into()],
        failed: &[],
        actions: Vec::new(),
    }
}

/// The page of a visitor who is not signed in, and whose network has no access.
pub(super) fn denied_network<'a>(texts: &'a Texts, retry: Option<&'a str>) -> View<'a> {
    View {
        error: Some("forbidden"),
        title: &texts.forbidden_title,
        text: vec![(&*texts.denied_client_address).into()],
        failed: &[],
        actions: again(texts, retry).into_iter().collect(),
    }
}

/// The page of a request that needs tokens while the provider cannot be reached.
pub(super) fn provider_unavailable<'a>(texts: &'a Texts, retry: Option<&'a str>) -> View<'a> {
    View {
        error: Some("provider_unavailable"),
        title: &texts.provider_unavailable_title,
        text: vec![
            (&*texts.provider_unavailable_text).into(),
            (&*texts.provider_unavailable_advice).into(),
        ],
        failed: &[],
        actions: again(texts, retry).into_iter().collect(),
    }
}

/// A button to try the request again.
fn again<'a>(texts: &'a Texts, retry: Option<&'a str>) -> Option<Action<'a>> {
    retry.map(|href| Action::new(ActionKind::Retry, &*texts.try_again, href))
}

/// The page that a status has by itself. `retry` is where its request can be tried again.
pub(super) fn of_status<'a>(
    texts: &'a Texts,
    status: StatusCode,
    retry: Option<&'a str>,
) -> View<'a> {
    let (title, text) = title_and_text(texts, status);
    let action = match status.as_u16() {
        400 | 403 | 404 | 405 | 414 => {
            Some(Action::new(ActionKind::Secondary, &*texts.front_page, "/"))
        }
        408 | 413 | 429 | 500 | 502..=504 => again(texts, retry),
        _ => None,
    };
    View {
        error: Some(code(status)),
        title,
        text: vec![text.into()],
        failed: &[],
        actions: action.into_iter().collect(),
    }
}

fn title_and_text(texts: &Texts, status: StatusCode) -> (&str, &str) {
    match status.as_u16() {
        400 => (&texts.status_400_title, &texts.status_400_text),
        401 => (&texts.sign_in_required_title, &texts.sign_in_required_text),
        403 => (&texts.forbidden_title, &texts.status_403_text),
        404 => (&texts.status_404_title, &texts.status_404_text),
        405 => (&texts.status_405_title, &texts.status_405_text),
        408 => (&texts.status_408_title, &texts.status_408_text),
        413 => (&texts.status_413_title, &texts.status_413_text),
        414 => (&texts.status_414_title, &texts.status_414_text),
        429 => (&texts.status_429_title, &texts.status_429_text),
        431 => (&texts.status_431_title, &texts.status_431_text),
        502 => (&texts.status_502_title, &texts.status_502_text),
        503 => (&texts.status_503_title, &texts.status_503_text),
        504 => (&texts.status_504_title, &texts.status_504_text),
        505 => (&texts.status_505_title, &texts.status_505_text),
        _ if status.is_client_error() => (&texts.status_4xx_title, &texts.status_4xx_text),
        _ => (&texts.status_5xx_title, &texts.status_5xx_text),
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
