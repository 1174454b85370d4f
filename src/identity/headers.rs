//! `Identity` -> upstream headers, and the list of names to strip.

use http::HeaderName;

use crate::identity::claims::ClaimPath;

/// One header that tells the upstream who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRule {
    /// Its name.
    pub name: HeaderName,
    /// Its value, in pieces.
    pub template: Template,
}

/// A value with placeholders, in pieces; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(pub Vec<Piece>);

/// A piece of a header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// `{user}`.
    User,
    /// `{subject}`.
    Subject,
    /// `{email}`.
    Email,
    /// `{groups}`, comma-joined.
    Groups,
    /// `{name}`.
    Name,
    /// `{preferred_username}`.
    PreferredUsername,
    /// `{provider}`.
    Provider,
    /// `{access_token}`, only while it is valid.
    AccessToken,
    /// `{id_token}`.
    IdToken,
    /// `{claim:PATH}`.
    Claim(ClaimPath),
}
