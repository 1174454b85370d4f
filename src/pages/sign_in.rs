//! The pages of signing in.
//! Invariant: no text of a provider is shown.

use std::borrow::Cow;

use crate::pages::english::Texts;
use crate::pages::texts::fill;
use crate::pages::{Action, ActionKind, SignInReason, View};

/// A button on the sign-in page.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// "Sign in with NAME".
    pub name: &'a str,
    /// The path of its icon, for the attribute `d`, on a grid of 24 by 24.
    pub icon: &'static str,
    /// The address at which the sign-in starts.
    pub href: &'a str,
    /// Whether the provider does not answer at the moment.
    pub is_down: bool,
}

pub(super) fn choose<'a>(texts: &'a Texts, choices: &[Choice<'a>], site: &str) -> View<'a> {
    let button = |choice: &Choice<'a>| {
        let text = if choice.is_down { &texts.sign_in_with_down } else { &texts.sign_in_with };
        let label = fill(text, &[("provider", choice.name)]);
        Action::new(ActionKind::Provider { icon: choice.icon }, label, choice.href)
    };
    View {
        error: None,
        title: &texts.sign_in_title,
        text: vec![fill(&texts.sign_in_text, &[("site", site)])],
        failed: &[],
        actions: choices.iter().map(button).collect(),
    }
}

pub(super) fn required<'a>(texts: &'a Texts, login_url: &'a str) -> View<'a> {
    View {
        error: Some("unauthenticated"),
        title: &texts.sign_in_required_title,
        text: vec![(&*texts.sign_in_required_text).into()],
        failed: &[],
        actions: vec![Action::new(ActionKind::Primary, &*texts.sign_in, login_url)],
    }
}

/// The form is not lost: a reload after a sign-in in another tab sends it again.
pub(super) fn session_ended<'a>(texts: &'a Texts, login_url: &'a str) -> View<'a> {
    View {
        error: Some("unauthenticated"),
        title: &texts.session_ended_title,
        text: vec![(&*texts.session_ended_text).into(), (&*texts.session_ended_advice).into()],
        failed: &[],
        actions: vec![Action::new(ActionKind::NewTab, &*texts.session_ended_button, login_url)],
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

pub(super) fn failed<'a>(texts: &'a Texts, failure: &SignInFailure<'a>) -> View<'a> {
    let Explanation { error, title, text, advice } = explain(texts, failure);
    View {
        error: Some(error),
        title,
        text: vec![text, advice.into()],
        failed: &[],
        actions: again(texts, failure),
    }
}

/// What a failed sign-in has in its own words.
struct Explanation<'a> {
    error: &'static str,
    title: &'a str,
    text: Cow<'a, str>,
    advice: &'a str,
}

fn explain<'a>(texts: &'a Texts, failure: &SignInFailure<'a>) -> Explanation<'a> {
    let named = |text: &'a str, named: &str| match failure.provider {
        Some(provider) => fill(named, &[("provider", provider)]),
        None => text.into(),
    };
    let again = |text: &'a str| Explanation {
        error: "sign_in_failed",
        title: &texts.sign_in_failed_title,
        text: text.into(),
        advice: &texts.sign_in_failed_advice,
    };
    match failure.reason {
        SignInReason::ProviderUnavailable => Explanation {
            error: "provider_unavailable",
            title: &texts.provider_unavailable_title,
            text: named(&texts.provider_unavailable_text, &texts.provider_unavailable_text_named),
            advice: &texts.provider_unavailable_advice,
        },
        SignInReason::ProviderMisconfigured => Explanation {
            error: "provider_misconfigured",
            title: &texts.provider_misconfigured_title,
            text: named(
                &texts.provider_misconfigured_text,
                &texts.provider_misconfigured_text_named,
            ),
            advice: &texts.provider_misconfigured_advice,
        },
        SignInReason::Cancelled => Explanation {
            title: &texts.sign_in_cancelled_title,
            ..again(&texts.sign_in_cancelled_text)
        },
        SignInReason::UnknownProvider => again(&texts.sign_in_unknown_provider),
        SignInReason::ChoiceNeeded => again(&texts.sign_in_choice_needed),
        SignInReason::IncompleteResponse => again(&texts.sign_in_incomplete_response),
        SignInReason::Expired => again(&texts.sign_in_expired),
        SignInReason::AlreadyUsed => again(&texts.sign_in_already_used),
        SignInReason::OtherBrowser => again(&texts.sign_in_other_browser),
        SignInReason::NotStartedHere => again(&texts.sign_in_not_started_here),
        SignInReason::Cycle => again(&texts.sign_in_cycle),
        SignInReason::CycleWithForwardAuth => again(&texts.sign_in_cycle_with_forward_auth),
        SignInReason::CycleAtPages => again(&texts.sign_in_cycle_at_pages),
        SignInReason::CycleAtPagesWithForwardAuth => {
            again(&texts.sign_in_cycle_at_pages_with_forward_auth)
        }
        SignInReason::CycleOfUnusableSessions => again(&texts.sign_in_cycle_session_ended),
        SignInReason::ChangedHost => again(&texts.sign_in_changed_host),
        SignInReason::WrongRedirectUri => again(&texts.sign_in_wrong_redirect_uri),
        SignInReason::DeniedByProvider => again(&texts.sign_in_denied_by_provider),
        SignInReason::AccountTooLarge => again(&texts.sign_in_account_too_large),
        SignInReason::StoreUnavailable => again(&texts.sign_in_store_unavailable),
        SignInReason::TooManyFailures => again(&texts.sign_in_too_many_failures),
        SignInReason::UnusableResponse => again(&texts.sign_in_unusable_response),
    }
}

/// Buttons to try again, and to choose another provider.
fn again<'a>(texts: &'a Texts, failure: &SignInFailure<'a>) -> Vec<Action<'a>> {
    let other = |href| Action::new(ActionKind::Secondary, &*texts.sign_in_another_way, href);
    let again = Action::new(ActionKind::Primary, &*texts.try_again, failure.try_again);
    [again].into_iter().chain(failure.choice.map(other)).collect()
}
