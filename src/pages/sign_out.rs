//! The pages of signing out.
//! Invariant: a token is only in [`SignOutAtProvider`], whose form sends it to the provider that issued it.
//! Source: OpenID Connect RP-Initiated Logout 1.0 §2.

use crate::origin::Origin;
use crate::pages::english::Texts;
use crate::pages::texts::fill;
use crate::pages::{Action, ActionKind, View};
use crate::secret::Secret;

/// The form of a logout request that is too long for a URL.
#[derive(Clone, Copy, Debug)]
pub struct SignOutAtProvider<'a> {
    /// The provider's name as on the sign-in page.
    pub provider: &'a str,
    /// `end_session_endpoint`.
    pub action: &'a str,
    /// The parameters of the request.
    pub fields: &'a [(&'static str, Secret)],
    /// The origins of the way there and back.
    pub origins: &'a [Origin],
    /// The end of that way, without the provider.
    pub skip: &'a str,
}

/// A sign-out that other instances may not obey yet.
#[derive(Clone, Copy, Debug)]
pub struct SignOutUnconfirmed<'a> {
    /// The provider's name, and where the user signs out there too.
    pub at_provider: Option<(&'a str, &'a str)>,
}

impl<'a> SignOutAtProvider<'a> {
    pub(super) fn exposed_fields(&self) -> Vec<(&'static str, &'a str)> {
        self.fields.iter().map(|(name, value)| (*name, value.expose())).collect()
    }
}

pub(super) fn signed_out<'a>(texts: &'a Texts, sign_in: Option<&'a str>) -> View<'a> {
    let again = |href| Action::new(ActionKind::Secondary, &*texts.sign_in_again, href);
    View {
        error: None,
        title: &texts.signed_out_title,
        text: vec![(&*texts.signed_out_text).into()],
        failed: &[],
        actions: sign_in.map(again).into_iter().collect(),
    }
}

pub(super) fn unconfirmed<'a>(texts: &'a Texts, page: &SignOutUnconfirmed<'a>) -> View<'a> {
    let at_provider = |(provider, href)| {
        let text = fill(&texts.sign_out_at_provider_button, &[("provider", provider)]);
        Action::new(ActionKind::Primary, text, href)
    };
    View {
        error: Some("sign_out_unconfirmed"),
        title: &texts.sign_out_unconfirmed_title,
        text: vec![(&*texts.sign_out_unconfirmed_text).into()],
        failed: &[],
        actions: page.at_provider.map(at_provider).into_iter().collect(),
    }
}

pub(super) fn confirm<'a>(texts: &'a Texts, action: &'a str) -> View<'a> {
    View {
        error: None,
        title: &texts.confirm_sign_out_title,
        text: vec![(&*texts.confirm_sign_out_text).into()],
        failed: &[],
        actions: vec![
            Action::new(ActionKind::Post, &*texts.sign_out, action),
            Action::new(ActionKind::Secondary, &*texts.stay_signed_in, "/"),
        ],
    }
}

/// It has two ways on, because a form that a browser blocks would be a dead end.
pub(super) fn at_provider<'a>(texts: &'a Texts, page: &SignOutAtProvider<'a>) -> View<'a> {
    let named = |text| fill(text, &[("provider", page.provider)]);
    let button = named(&texts.sign_out_at_provider_button);
    View {
        error: None,
        title: &texts.sign_out_at_provider_title,
        text: vec![named(&texts.sign_out_at_provider_text)],
        failed: &[],
        actions: vec![
            Action::new(ActionKind::Post, button, page.action),
            Action::new(ActionKind::Secondary, &*texts.stay_signed_in_at_provider, page.skip),
        ],
    }
}
