//! A row of the table: how a kind is configured, and what must come of it.

use crate::support::gateway::PUBLIC_URL;

/// One kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The name of the kind, and of its data file.
    pub(super) kind: &'static str,
    /// Keys of the provider, apart from the client's ID. `ORIGIN` is the origin of the engine.
    pub(super) keys: &'static str,
    /// Keys by which the client authenticates.
    pub(super) credentials: &'static str,
    pub(super) public_url: &'static str,
    /// Keys of `session`, after a comma.
    pub(super) session: &'static str,
    /// More sections of the configuration.
    pub(super) sections: &'static str,
    /// Parameters of the authorization request; `None`: it does not have this one.
    pub(super) authorization: &'static [(&'static str, Option<&'static str>)],
    /// How the token request must authenticate the client.
    pub(super) client: ClientProof,
    /// Whether the token request has a `code_verifier`.
    pub(super) pkce: Pkce,
    /// What the application receives.
    pub(super) user: &'static str,
    pub(super) email: Option<&'static str>,
    pub(super) preferred_username: Option<&'static str>,
    /// Joined by commas.
    pub(super) groups: Option<&'static str>,
    /// The groups after the variant `moved`.
    pub(super) groups_after_move: Option<&'static str>,
    pub(super) refresh: Refresh,
    /// Variants of a provider with refresh tokens, if the usual one has none.
    pub(super) refreshing: &'static [&'static str],
    /// The path where the browser goes at the provider, with parameters. `None`: nowhere.
    pub(super) sign_out: Option<(&'static str, &'static [&'static str])>,
    /// The request that revokes a token, as method and path.
    pub(super) revocation: Option<&'static str>,
    /// The request of the profile, if it is not one of userinfo.
    pub(super) profile: Option<&'static str>,
    /// Requests that bring groups, and of which each has pages.
    pub(super) lists: &'static [&'static str],
    /// Requests that bring groups in one page.
    pub(super) unpaged: &'static [&'static str],
    /// Variants in which `lists` are requested, if they are not always.
    pub(super) listing: &'static [&'static str],
    /// Variants whose groups are not whole.
    pub(super) cut: &'static [Cut],
    pub(super) deviations: &'static [Deviation],
}

/// How a token request authenticates the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientProof {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
}

/// Whether the kind has PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pkce {
    S256,
    /// It rejects a request with it.
    None,
}

/// What becomes of tokens that expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// Each refresh token works once.
    Rotates,
    /// A refresh token works again and again.
    Stays,
    /// There is no refresh token.
    Never,
}

/// A list of groups that is not whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) variant: &'static str,
    pub(super) rest: Rest,
}

/// What remains of groups that are not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// None of them.
    Nothing,
    /// As many as the provider sends at most.
    Groups(usize),
}

/// A provider that leaves the standards, and what this kind does there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deviation {
    /// What it is.
    pub(super) what: &'static str,
    /// The data file of the provider, with variants.
    pub(super) at: &'static str,
    pub(super) variants: &'static [&'static str],
    /// Keys of the provider, apart from the credentials.
    pub(super) keys: &'static str,
    pub(super) outcome: Outcome,
}

/// How a sign-in ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With a session, and with what the application receives.
    SignedIn { email: Option<&'static str>, groups: Option<&'static str> },
    /// Without a session.
    Failed,
}

impl Row {
    /// What most kinds have in common.
    pub(super) const fn of(kind: &'static str) -> Self {
        Self {
            kind,
            keys: "issuer: \"ORIGIN\"",
            credentials: "client_secret: \"50% of a+b: c/d\"",
            public_url: PUBLIC_URL,
            session: "",
            sections: "",
            authorization: &[],
            client: ClientProof::Basic,
            pkce: Pkce::S256,
            user: "",
            email: Some("alice@example.com"),
            preferred_username: None,
            groups: None,
            groups_after_move: None,
            refresh: Refresh::Rotates,
            refreshing: &[],
            sign_out: None,
            revocation: None,
            profile: None,
            lists: &[],
            unpaged: &[],
            listing: &[],
            cut: &[],
            deviations: &[],
        }
    }
}
