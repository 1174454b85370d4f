//! Faults in the form of an auth subrequest: what the proxy's operator has to change.

use crate::grpc::{CallError, Undecodable};

/// What is wrong with an auth subrequest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubrequestError {
    /// It came from a peer that is not declared.
    #[error("an auth subrequest came from a peer that is not in server.forward_auth.clients")]
    Undeclared,
    /// The header in which the declared proxy names the URI is missing.
    #[error("the auth subrequest has no URI: write {write}{}", or_declare(.others))]
    NoUri {
        /// What to write in the configuration of the proxy.
        write: String,
        /// The other kinds of proxy that send the URI as this one does; empty if there are none.
        others: String,
    },
    /// It names no host.
    #[error("the auth subrequest has no host")]
    NoHost,
    /// A path follows the endpoint's own, from a proxy that names the URI in a header.
    #[error(
        "a path behind an auth endpoint is read from Envoy only: if that is what sent it, declare it as \
         `proxy`: envoy"
    )]
    Suffix,
    /// A field has different values, or cannot be read.
    #[error("{0} is contradictory or malformed")]
    Unclear(&'static str),
    /// A field that the declared proxy does not send names another request.
    #[error("{0} names another request than the headers of the declared proxy")]
    Contradiction(&'static str),
    /// An identity header has a spelling that no answer can remove.
    #[error("an identity header is spelled in a way that the answer cannot remove")]
    Spelling,
    /// A method override, which no answer can remove, on a route with rules on methods.
    #[error("a method override on a route whose rules name methods")]
    MethodOverride,
    /// The call of a gRPC client has no message.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Its message describes no request.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// A parameter that narrows the rules is empty, repeated, malformed or unknown.
    #[error("an allowed_… parameter of an auth endpoint is empty, repeated, malformed or unknown")]
    Narrowing,
    /// Such a parameter on a route where several providers sign in.
    #[error(
        "an allowed_… parameter of an auth endpoint does not name a provider, and several sign in \
         on the route: write the rule into `allow`, with `providers`"
    )]
    NarrowingOfSeveral,
}

impl SubrequestError {
    /// Whether it is like a subrequest of another kind of proxy.
    pub fn is_like_another_kind(&self) -> bool {
        matches!(self, Self::NoUri { others, .. } if !others.is_empty())
    }
}

fn or_declare(others: &str) -> String {
    if others.is_empty() {
        return String::new();
    }
    format!(
        "; it is like one of another kind of proxy: if that is what sent it, declare it as \
         `proxy`: {others}"
    )
}
