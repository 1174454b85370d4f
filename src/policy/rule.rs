//! One rule: it passes when all its keys do; a key when any of its values does.
//! `None` is a key that was not written; a written key is never empty.

use std::sync::Arc;

use http::Method;
use ipnet::IpNet;

use crate::identity::claims::ClaimPath;
use crate::routing::path::PathPrefix;

/// One entry of `allow:`.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// `public: true`: asks for no signed-in visitor.
    pub public: bool,
    /// E-mail addresses, lower case.
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

/// A domain that an e-mail's right-hand side is compared with; lower case ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailDomain {
    /// `example.com`: this domain.
    Exact(String),
    /// `*.example.com`: every domain below it, not itself.
    Below(String),
}
