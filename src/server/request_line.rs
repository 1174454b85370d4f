//! Method and target of a request, for what still needs them once the upstream has the request.
//! Invariant: they are those of the request that this server received: for an auth subrequest, its own.

use http::uri::PathAndQuery;
use http::{Method, Request};

/// Method and target of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestLine {
    /// The method.
    pub method: Method,
    /// Path and query; `None` for a request that has neither, which is rejected.
    pub target: Option<PathAndQuery>,
}

impl RequestLine {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let target = request.uri().path_and_query().cloned();
        Self { method: request.method().clone(), target }
    }

    /// The path; empty if there is none.
    pub fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
}
