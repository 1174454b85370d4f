//! One rule: it passes when all its keys do; a key when any of its values does.
//! `None` is a key that was not written; a written key is never empty.

use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use crate::identity::claims::ClaimPath;
use crate::routing::host::{HostPattern, is_below};
use crate::routing::path::PathPrefix;

/// One entry of `allow:`.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// `public: true`: asks for no signed-in visitor.
    pub public: bool,
    /// E-mail addresses; compared without the case of ASCII letters.
    pub emails: Option<Vec<String>>,
    /// Domains of e-mail addresses.
    pub email_domains: Option<Vec<EmailDomain>>,
    /// Groups, exactly.
    pub groups: Option<Vec<String>>,
    /// `{user}`, exactly.
    pub users: Option<Vec<String>>,
    /// IDs of providers.
    pub providers: Option<Vec<Arc<str>>>,
    /// Claims and the values that satisfy each; every claim named must be satisfied.
    pub claims: Option<Vec<(ClaimPath, Vec<String>)>>,
    /// Methods; GET includes HEAD.
    pub methods: Option<Vec<Method>>,
    /// Path prefixes.
    pub paths: Option<Vec<PathPrefix>>,
    /// Networks of client addresses.
    pub client_addresses: Option<Vec<IpNet>>,
}

/// A key of a rule, by the name that it has in the configuration; and why one on e-mail fails, where
/// that is not the rule's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// `emails`.
    Emails,
    /// `email_domains`.
    EmailDomains,
    /// `emails` or `email_domains`, of somebody whose e-mail nobody said to be verified.
    EmailUnverified,
    /// `groups`.
    Groups,
    /// `users`.
    Users,
    /// `providers`.
    Providers,
    /// `claims`.
    Claims,
    /// `methods`.
    Methods,
    /// `paths`.
    Paths,
    /// `client_addresses`.
    ClientAddresses,
}

impl Key {
    /// The key as it is written in a rule.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emails => "emails",
            Self::EmailDomains => "email_domains",
            Self::EmailUnverified => "email_unverified",
            Self::Groups => "groups",
            Self::Users => "users",
            Self::Providers => "providers",
            Self::Claims => "claims",
            Self::Methods => "methods",
            Self::Paths => "paths",
            Self::ClientAddresses => "client_addresses",
        }
    }
}

/// A domain that an e-mail's right-hand side is compared with; lower case ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailDomain {
    /// `example.com`: this domain.
    Exact(String),
    /// `*.example.com`: every domain below it, not itself.
    Below(String),
}

impl EmailDomain {
    /// Parses `example.com` or `*.example.com`. The error says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err("must be the domain alone, which stands behind the @".into());
        }
        match HostPattern::parse(text)? {
            HostPattern::Exact(name) => Ok(Self::Exact(name)),
            HostPattern::Below(name) => Ok(Self::Below(name)),
            HostPattern::Any => Err(
                "is every domain: to let in everyone who signs in, write `allow: authenticated`"
                    .into(),
            ),
        }
    }

    /// Whether a domain is meant; compared without case, as a whole.
    pub fn matches(&self, domain: &str) -> bool {
        match self {
            Self::Exact(name) => name.eq_ignore_ascii_case(domain),
            Self::Below(name) => is_below(&domain.to_ascii_lowercase(), name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, domain: &str, expected: bool) {
        assert_eq!(EmailDomain::parse(pattern).unwrap().matches(domain), expected, "{domain}");
    }

    #[test]
    fn domains_match_as_a_whole() {
        check("example.com", "Example.COM", true);
        check("example.com", "badexample.com", false);
        check("example.com", "a.example.com", false);
        check("example.com", "example.com.", false);
        check("*.example.com", "A.example.com", true);
        check("*.example.com", "example.com", false);
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for wrong in ["", "*", "@example.com", "a@example.com", "ex ample.com"] {
            assert!(EmailDomain::parse(wrong).is_err(), "{wrong}");
        }
    }
}
