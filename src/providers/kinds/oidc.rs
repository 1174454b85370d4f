//! Any OpenID Connect provider.

use crate::providers::kinds::ProviderKind;

/// It follows the standards in everything.
pub(super) const KIND: ProviderKind = ProviderKind::oidc();
