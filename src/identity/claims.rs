//! A provider's claims -> `Identity`, by configured paths.

/// A claim's name, or a JSON pointer (RFC 6901) where it starts with `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimPath(pub String);

/// Which claim means what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// What `{user}` is; `sub`.
    pub user: ClaimPath,
    /// The e-mail; `email`.
    pub email: ClaimPath,
    /// The groups; `groups`.
    pub groups: ClaimPath,
    /// The full name; `name`.
    pub name: ClaimPath,
    /// The name that the person prefers; `preferred_username`.
    pub preferred_username: ClaimPath,
}

impl Default for ClaimNames {
    fn default() -> Self {
        let path = |name: &str| ClaimPath(name.to_owned());
        Self {
            user: path("sub"),
            email: path("email"),
            groups: path("groups"),
            name: path("name"),
            preferred_username: path("preferred_username"),
        }
    }
}
