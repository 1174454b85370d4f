//! The demo's identity provider behind a proxy that makes it misbehave: every fault is one line of a table.
//! A fault changes an honest answer on its way, so that everything else about it stays right.
//! Several may be active at once; each touches its own part.

use portcullis::demo::Keyring;
use portcullis::jose::SigningKey;

pub(crate) use authorization::AuthorizationFault;
pub(crate) use documents::{DiscoveryFault, JwksFault, TokenFault, UserinfoFault};
pub(crate) use id_token::IdTokenFault;
pub(crate) use network::NetworkFault;
pub(crate) use portcullis::demo::{
    Account, DemoEndpoint, GrantType, RefreshTokens, RegisteredClient,
};
pub(crate) use provider::{IdentityProvider, Settings};

/// One thing that is wrong with the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An endpoint fails below its protocol.
    Network(DemoEndpoint, NetworkFault),
    /// The redirect back to the client.
    Authorization(AuthorizationFault),
    /// The ID Token of a grant.
    IdToken(GrantType, IdTokenFault),
    /// The token endpoint's answer to a grant.
    Token(GrantType, TokenFault),
    /// The token endpoint's answers of this kind come when the faults change.
    Late(TokenAnswer),
    /// The userinfo answer.
    Userinfo(UserinfoFault),
    /// The discovery document.
    Discovery(DiscoveryFault),
    /// The JWK Set.
    Jwks(JwksFault),
}

/// A kind of answer of the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenAnswer {
    /// Tokens.
    Tokens,
    /// An error, as to a code that was never issued.
    Error,
}

/// What a fault may need to know.
struct Facts<'f> {
    issuer: &'f str,
    client_id: &'f str,
    client_secret: &'f str,
    /// Seconds since 1970.
    now: i64,
    keys: &'f Keyring,
    /// A key that is published nowhere.
    attacker: &'f SigningKey,
}

impl Facts<'_> {
    /// Where no request must ever arrive; those that do are counted.
    fn evil(&self) -> String {
        format!("{}/evil", self.issuer)
    }
}

/// Makes an enum of the left sides: what is wrong, said in words, and how it is done.
macro_rules! faults {
    ($(#[$doc:meta])* $name:ident of $part:ty { $($variant:ident $words:literal => $spoil:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $(#[doc = $words] $variant,)*
        }

        impl $name {
            /// Every one of them, in the order of the table.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What is wrong, in a few words.
            pub(crate) fn words(self) -> &'static str {
                match self { $(Self::$variant => $words,)* }
            }

            pub(super) fn spoil(self, part: &mut $part, facts: &$crate::support::faults::Facts<'_>) {
                let spoil: fn(&mut $part, &$crate::support::faults::Facts<'_>) = match self {
                    $(Self::$variant => $spoil,)*
                };
                spoil(part, facts);
            }
        }
    };
}

// Behind the macro, which they use.
mod answer;
mod authorization;
mod counts;
mod documents;
mod forgery;
mod id_token;
mod network;
mod provider;
mod proxy;
