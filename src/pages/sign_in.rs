//! The pages of signing in and out.
//! Invariant: what went wrong is told in our own words; no text of a provider comes here.

use super::{Action, ActionKind, View};

/// A button of the sign-in page.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// "Sign in with NAME".
    pub name: &'a str,
    /// Where the sign-in starts.
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
        reasons: &[],
        actions: choices.iter().map(button).collect(),
    }
}

pub(super) fn required<'a>(login_url: &str) -> View<'a> {
    View {
        error: Some("unauthenticated"),
        title: "Please sign in",
        text: vec!["This page is only for people who are signed in.".to_owned()],
        reasons: &[],
        actions: vec![Action::new(ActionKind::Primary, "Sign in", login_url)],
    }
}

pub(super) fn signed_out<'a>(sign_in: Option<&str>) -> View<'a> {
    let again = |href| Action::new(ActionKind::Secondary, "Sign in again", href);
    View {
        error: None,
        title: "You are signed out",
        text: vec![
            "You can close this window. On a computer that you share, close the browser too."
                .to_owned(),
        ],
        reasons: &[],
        actions: sign_in.map(again).into_iter().collect(),
    }
}

pub(super) fn confirm_sign_out<'a>(action: &str) -> View<'a> {
    View {
        error: None,
        title: "Sign out?",
        text: vec!["Another page sent you here. Do you want to sign out?".to_owned()],
        reasons: &[],
        actions: vec![
            Action::new(ActionKind::Post, "Sign out", action),
            Action::new(ActionKind::Secondary, "Stay signed in", "/"),
        ],
    }
}

pub(super) fn failed<'a>(reason: &str, try_again: &str, choice: Option<&str>) -> View<'a> {
    View {
        error: Some("sign_in_failed"),
        title: "Signing in did not work",
        text: vec![
            reason.to_owned(),
            "Please try again. If that does not help, tell the people who run this site, and give \
             them the reference."
                .to_owned(),
        ],
        reasons: &[],
        actions: again(try_again, choice),
    }
}

/// The same once more, or at another provider.
pub(super) fn again(try_again: &str, choice: Option<&str>) -> Vec<Action> {
    let other = choice.map(|href| Action::new(ActionKind::Secondary, "Sign in another way", href));
    [Action::new(ActionKind::Primary, "Try again", try_again)].into_iter().chain(other).collect()
}
