//! OpenID Connect Core as a relying party.
