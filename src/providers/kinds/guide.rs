//! What an operator does at a provider of a kind: for `portcullis provider KIND`.

/// The guide of one kind. `CALLBACK` in a text is the redirect URI, `SIGNED_OUT` the post-logout redirect URI.
#[derive(Clone, Copy, Debug)]
pub struct Guide {
    /// The steps of the registration.
    pub register: &'static [&'static str],
    /// Where groups come from.
    pub groups: &'static str,
    /// What goes wrong, and what to do about it.
    pub pitfalls: &'static [&'static str],
}

impl Guide {
    /// What holds for any OpenID Connect provider.
    pub(super) const fn oidc() -> Self {
        Self {
            register: &[
                "Register a confidential client (\"web application\") with the authorization code flow.",
                "Redirect URI: CALLBACK",
                "Post-logout redirect URI, if the provider asks for one: SIGNED_OUT",
                "Copy the issuer, the client ID and the client secret.",
            ],
            groups: "The claim `groups` of the ID token or of userinfo. Another claim: `claims: { groups: /realm_access/roles }`.",
            pitfalls: &[
                "\"issuer\" is not that of the configuration: it must be the same text, also in its final slash. `portcullis \
                 check --online` shows the right one.",
                "Claims are as old as the sign-in: the provider sends no refresh token. Some need the scope offline_access.",
                "A user has no e-mail: the provider does not send `email_verified: true`. If every address there belongs to \
                 its user, set `require_email_verified: false`.",
            ],
        }
    }
}
