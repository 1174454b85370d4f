//! One rule. A rule matches if all of its keys match; a key matches if any of its values matches.
//! Invariant: `None` is a key that is not set; a key that is set is never empty.

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use crate::identity::claims::ClaimPath;
use crate::routing::exact_path::ExactPath;
use crate::routing::host::{HostPattern, is_below};
use crate::routing::path::PathPrefix;

/// One entry of `allow:`.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// `public: true`: the rule needs no signed-in user.
    pub public: bool,
    /// E-mail addresses, with any case of ASCII letters.
    pub emails: Option<Vec<String>>,
    /// The e-mail addresses in a file.
    pub emails_file: Option<EmailList>,
    /// Domains of e-mail addresses.
    pub email_domains: Option<Vec<EmailDomain>>,
    /// Groups, compared exactly.
    pub groups: Option<Vec<String>>,
    /// Values of `{user}`, compared exactly.
    pub users: Option<Vec<String>>,
    /// IDs of providers.
    pub providers: Option<Vec<Arc<str>>>,
    /// Claims, each with the values that match. All of the claims must match.
    pub claims: Option<Vec<(ClaimPath, Vec<String>)>>,
    /// Methods. GET includes HEAD.
    pub methods: Option<Vec<Method>>,
    /// Path prefixes.
    pub paths: Option<Vec<PathPrefix>>,
    /// Paths, compared as a whole.
    pub exact_paths: Option<Vec<ExactPath>>,
    /// Networks of client addresses.
    pub client_addresses: Option<Vec<IpNet>>,
}

impl Rule {
    /// The prefixes in `paths`, and the paths in `exact_paths` as prefixes.
    pub fn prefixes(&self) -> impl Iterator<Item = &PathPrefix> {
        let exact = self.exact_paths.iter().flatten().map(ExactPath::as_prefix);
        self.paths.iter().flatten().chain(exact)
    }
}

/// E-mail addresses from a file: many, so they are not compared one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmailList(Arc<HashSet<String>>);

impl EmailList {
    /// A list of addresses with any case of ASCII letters.
    pub fn new(addresses: Vec<String>) -> Self {
        let lower = addresses.into_iter().map(|address| address.to_ascii_lowercase());
        Self(Arc::new(lower.collect()))
    }

    /// The addresses, in lower case and in no order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether an address is in the list. Letter case is ignored for ASCII letters only.
    pub fn contains(&self, email: &str) -> bool {
        self.0.contains(&email.to_ascii_lowercase())
    }
}

/// A key of a rule that did not match, as the log and the 403 page report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// `emails`.
    Emails,
    /// `emails_file`.
    EmailsFile,
    /// `email_domains`.
    EmailDomains,
    /// `emails`, `emails_file` or `email_domains`, for a user whose e-mail the provider does not report as verified.
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
    /// `exact_paths`.
    ExactPaths,
    /// `client_addresses`.
    ClientAddresses,
}

impl Key {
    /// The name in the configuration, the log and the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emails => "emails",
            Self::EmailsFile => "emails_file",
            Self::EmailDomains => "email_domains",
            Self::EmailUnverified => "email_unverified",
            Self::Groups => "groups",
            Self::Users => "users",
            Self::Providers => "providers",
            Self::Claims => "claims",
            Self::Methods => "methods",
            Self::Paths => "paths",
            Self::ExactPaths => "exact_paths",
            Self::ClientAddresses => "client_addresses",
        }
    }
}

/// A domain, compared with the part of an e-mail address after the `@`. Lower case ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailDomain {
    /// `example.com`: this domain.
    Exact(String),
    /// `*.example.com`: every subdomain, but not `example.com` itself.
    Below(String),
}

impl EmailDomain {
    /// Parses `example.com` or `*.example.com`. The error is a predicate, to be put behind the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('@') {
            return Err("must be only the domain, the part after the @".into());
        }
        match HostPattern::parse(text)? {
            HostPattern::Exact(name) => Ok(Self::Exact(name)),
            HostPattern::Below(name) => Ok(Self::Below(name)),
            HostPattern::Any => Err(
                "matches every domain: remove the key; to allow every signed-in user, write `allow: authenticated`"
                    .into(),
            ),
        }
    }

    /// Whether a domain matches, as a whole and case-insensitively.
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
    fn text_that_is_no_domain_is_rejected() {
        for wrong in ["", "*", "@example.com", "a@example.com", "ex ample.com"] {
            assert!(EmailDomain::parse(wrong).is_err(), "{wrong}");
        }
    }
}
