//! The pages of signing in and out.
//! Invariant: no text of a provider is shown.

use crate::pages::{Action, ActionKind, SignInReason, View, english};

/// A button on the sign-in page.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// "Sign in with NAME".
    pub name: &'a str,
    /// The address at which the sign-in starts.
    pub href: &'a str,
}

pub(super) fn choose<'a>(choices: &[Choice<'a>]) -> View<'a> {
    let button = |choice: &Choice<'_>| {
        let label = format!("Sign in with {}", choice.name);
        Action::new(ActionKind::Secondary, label, choice.href)
    };
    View {
        error: None,
        title: "Sign in",
        text: vec!["Choose the account that you want to use.".to_owned()],
        reasons: Vec::new(),
        actions: choices.iter().map(button).collect(),
    }
}

pub(super) fn required<'a>(login_url: &str) -> View<'a> {
    View {
        error: Some("unauthenticated"),
        title: "Please sign in",
        text: vec!["This page is only for people who are signed in.".to_owned()],
        reasons: Vec::new(),
        actions: vec![Action::new(ActionKind::Primary, "Sign in", login_url)],
    }
}

/// The form is not lost: a reload after a sign-in in another tab sends it again.
pub(super) fn session_ended<'a>(login_url: &str) -> View<'a> {
    View {
        error: Some("unauthenticated"),
        title: "Your form was not sent",
        text: vec![
            "You are not signed in any more, so what you entered was not saved. Keep this page open."
                .to_owned(),
            "Sign in in a new tab. Then come back to this tab, reload it, and confirm that the form is \
             to be sent again."
                .to_owned(),
        ],
        reasons: Vec::new(),
        actions: vec![Action::new(ActionKind::NewTab, "Sign in in a new tab", login_url)],
    }
}

pub(super) fn signed_out<'a>(sign_in: Option<&str>) -> View<'a> {
    let again = |href| Action::new(ActionKind::Secondary, "Sign in again", href);
    View {
        error: None,
        title: "You are signed out",
        text: vec![
            "You can close this window. If other people use this computer, close the browser too."
                .to_owned(),
        ],
        reasons: Vec::new(),
        actions: sign_in.map(again).into_iter().collect(),
    }
}

pub(super) fn confirm_sign_out<'a>(action: &str) -> View<'a> {
    View {
        error: None,
        title: "Sign out?",
        text: vec!["Another page sent you here. Do you want to sign out?".to_owned()],
        reasons: Vec::new(),
        actions: vec![
            Action::new(ActionKind::Post, "Sign out", action),
            Action::new(ActionKind::Secondary, "Stay signed in", "/"),
        ],
    }
}

/// What the page of a failed sign-in says.
#[derive(Clone, Copy, Debug)]
pub struct SignInFailure<'a> {
    /// Why it failed.
    pub reason: SignInReason,
    /// The provider's name as on the sign-in page, if the provider is known.
    pub provider: Option<&'a str>,
    /// The address at which to try again.
    pub try_again: &'a str,
    /// The sign-in page, where there is another provider to choose.
    pub choice: Option<&'a str>,
}

pub(super) fn failed<'a>(failure: &SignInFailure<'_>) -> View<'a> {
    let (error, title, text) = match (failure.reason, failure.provider) {
        (SignInReason::ProviderUnavailable, Some(provider)) => (
            "provider_unavailable",
            "The sign-in service does not answer",
            vec![
                format!(
                    "{provider}, which checks who you are, cannot be reached or has a problem."
                ),
                "This is not your fault. Please try again in a minute.".to_owned(),
            ],
        ),
        (SignInReason::ProviderMisconfigured, Some(provider)) => (
            "provider_misconfigured",
            "Signing in is not set up right",
            vec![
                format!("{provider}, which checks who you are, does not accept this site."),
                "This is not your fault, and waiting does not help. Please tell the people who run \
                 this site, and give them the reference."
                    .to_owned(),
            ],
        ),
        (reason, _) => (
            "sign_in_failed",
            "Signing in did not work",
            vec![
                english::sign_in(reason).to_owned(),
                "Please try again. If that does not help, tell the people who run this site, and \
                 give them the reference."
                    .to_owned(),
            ],
        ),
    };
    View { error: Some(error), title, text, reasons: Vec::new(), actions: again(failure) }
}

/// Buttons to try again, and to choose another provider.
fn again(failure: &SignInFailure<'_>) -> Vec<Action> {
    let other = |href| Action::new(ActionKind::Secondary, "Sign in another way", href);
    let again = Action::new(ActionKind::Primary, "Try again", failure.try_again);
    [again].into_iter().chain(failure.choice.map(other)).collect()
}
