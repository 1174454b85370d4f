//! Any OpenID Connect provider.

use crate::providers::kinds::Kind;

/// It follows the standards in everything.
pub(super) const KIND: Kind = Kind::oidc();
