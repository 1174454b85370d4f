//! Faults of a request that acts on more than its own path: WebDAV's `MOVE` and `COPY`, and methods on trees.
//! Source: RFC 4918 §9.8 and §10.3.

use http::StatusCode;

/// Why a request that acts on a second path is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecondPathFault {
    /// No `Destination`, on a route with `paths` rules.
    #[error("the method needs a Destination header on a route with `paths` rules")]
    NoDestination,
    /// A method that names its second path in the body, on a route with `paths` rules.
    #[error("the method names a second path in its body, which `paths` rules cannot be applied to")]
    InBody,
    /// `Destination` is neither a path nor an absolute URL, or has more than one value.
    #[error("Destination is repeated or malformed")]
    Malformed,
    /// `Destination` has another scheme, host or port than the request.
    #[error("Destination names another origin")]
    OtherOrigin,
    /// `Destination` is a path of another route, or of none.
    #[error("Destination is not on the route of the request")]
    OtherRoute,
    /// The rules decide otherwise on `Destination` than on the request's path.
    #[error("the rules do not allow the path in Destination")]
    Denied,
    /// The request moves, copies or deletes a tree that has a path with rules in it.
    #[error("the method acts on all paths below, and one of them has rules of its own")]
    AboveRuledPath,
}

impl SecondPathFault {
    /// 502 where the destination is on another server (RFC 4918 §9.8.5).
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::OtherOrigin => StatusCode::BAD_GATEWAY,
            Self::NoDestination
            | Self::InBody
            | Self::Malformed
            | Self::OtherRoute
            | Self::Denied
            | Self::AboveRuledPath => StatusCode::FORBIDDEN,
        }
    }
}
