//! The endpoints of the demo provider and their paths below its issuer.

/// An endpoint of the demo provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DemoEndpoint {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `/jwks`.
    Jwks,
    /// `/authorize`, and `/login` behind it.
    Authorization,
    /// `/token`.
    Token,
    /// `/userinfo`.
    Userinfo,
    /// `/revoke`.
    Revocation,
    /// `/end_session`.
    EndSession,
}

impl DemoEndpoint {
    /// All endpoints.
    pub const ALL: [Self; 7] = [
        Self::Discovery,
        Self::Jwks,
        Self::Authorization,
        Self::Token,
        Self::Userinfo,
        Self::Revocation,
        Self::EndSession,
    ];

    /// Its path below the issuer.
    pub fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/.well-known/openid-configuration",
            Self::Jwks => "/jwks",
            Self::Authorization => "/authorize",
            Self::Token => "/token",
            Self::Userinfo => "/userinfo",
            Self::Revocation => "/revoke",
            Self::EndSession => "/end_session",
        }
    }

    /// The endpoint at a path below the issuer.
    pub fn at(path: &str) -> Option<Self> {
        let path = if path == LOGIN { Self::Authorization.path() } else { path };
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

/// The path that receives the sign-in form.
pub(super) const LOGIN: &str = "/login";
