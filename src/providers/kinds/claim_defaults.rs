//! Where the claims of a kind are, unless that is configured.

/// The default paths of `claims`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimDefaults {
    /// `claims.user`.
    pub user: &'static str,
    /// `claims.email`.
    pub email: &'static str,
    /// `claims.groups`.
    pub groups: &'static str,
    /// `claims.name`.
    pub name: &'static str,
    /// `claims.preferred_username`.
    pub preferred_username: &'static str,
}

impl ClaimDefaults {
    /// The names of OIDC Core §5.1, and `groups`.
    pub(super) const fn standard() -> Self {
        Self {
            user: "sub",
            email: "email",
            groups: "groups",
            name: "name",
            preferred_username: "preferred_username",
        }
    }
}
