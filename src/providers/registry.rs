//! The providers of a configuration, in the order of the sign-in page.
//! Invariant: which provider an ID or a fingerprint belongs to, and which providers sign users in on a route,
//! is decided here only.

use std::sync::Arc;

use crate::providers::{Provider, ResponseMode};

/// All providers of a configuration.
#[derive(Debug)]
pub struct Registry {
    providers: Vec<Arc<Provider>>,
}

/// `routes[].providers`: which providers sign users in on a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AllowedProviders {
    /// All.
    #[default]
    All,
    /// Those with these IDs.
    Only(Vec<Arc<str>>),
}

impl AllowedProviders {
    /// Whether the provider with this ID signs users in.
    pub fn contains(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.iter().any(|allowed| **allowed == *id),
        }
    }
}

impl Registry {
    /// A registry of these providers. Their IDs must be unique.
    pub fn new(providers: Vec<Arc<Provider>>) -> Self {
        Self { providers }
    }

    /// All providers.
    pub fn all(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// Whether any provider has this response mode.
    pub fn any_uses(&self, mode: ResponseMode) -> bool {
        self.providers.iter().any(|provider| provider.response_mode() == mode)
    }

    /// The provider with this ID.
    pub fn by_id(&self, id: &str) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| **provider.id() == *id)
    }

    /// The provider with this [`Provider::fingerprint`]. Unlike an ID, a fingerprint names no other provider
    /// after a change of the configuration.
    pub fn by_fingerprint(&self, fingerprint: &[u8; 8]) -> Option<&Arc<Provider>> {
        self.providers.iter().find(|provider| provider.fingerprint() == *fingerprint)
    }

    /// The providers that sign users in on a route.
    pub fn for_route<'r>(
        &'r self,
        allowed: &'r AllowedProviders,
    ) -> impl Iterator<Item = &'r Arc<Provider>> {
        self.providers.iter().filter(|provider| allowed.contains(provider.id()))
    }
}
