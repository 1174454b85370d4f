//! Ways in which a provider deviates from OpenID Connect and OAuth 2.0 in a sign-in.

use crate::oauth::token::TokenSet;
use crate::providers::kinds::ProviderKind;

impl ProviderKind {
    /// Tokens with the lifetime that counts.
    pub fn with_lifetime(&self, tokens: TokenSet) -> TokenSet {
        match self.token_lifetime {
            TokenLifetime::Refreshed => tokens,
            TokenLifetime::Irrelevant => TokenSet { expires_in: None, ..tokens },
        }
    }
}

/// Whether the ID token repeats the `nonce` (OIDC Core §3.1.3.7, step 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonce {
    /// Always.
    Required,
    /// The provider leaves it out. Login cookie and `state` are then the only binding to the browser. A `nonce` that is
    /// there must still be the right one.
    MayBeAbsent,
}

/// Whether the provider supports PKCE (RFC 7636).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    /// It does, or ignores the parameters.
    S256,
    /// It rejects a request with them.
    Rejected,
}

/// Which redirect URIs the provider accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectUris {
    /// All.
    Any,
    /// Those of https with a domain: no IP address, and no localhost.
    HttpsDomain,
}

/// Where the user's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameSource {
    /// In the claim `claims.name`.
    Claim,
    /// In `user` of the authorization response, at the first sign-in only.
    // SECURITY: it comes through the browser and is not signed, so the user can write any name. It becomes no claim, so
    // that no rule can be about it.
    FirstResponse,
}

/// What the lifetime of access tokens means for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLifetime {
    /// They are refreshed before they expire.
    Refreshed,
    /// Nothing: they have no use, and the provider limits refreshes. One comes only with `session.recheck`.
    Irrelevant,
}
