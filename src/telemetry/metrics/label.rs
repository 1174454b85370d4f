//! The words that labels can have, where the program chooses them.
//! Invariant: a label is a word of these lists or a name of the configuration, never what a client sent.

use std::fmt::Debug;
use std::sync::atomic::AtomicU64;

/// A closed list of words.
pub trait Label: Copy + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// A count for each: inside whoever has it, for what is allocated apart may share a cache line.
    type Cells: AsRef<[AtomicU64]> + Debug + Default;

    /// The word.
    fn as_str(self) -> &'static str;

    /// Its place in [`Self::ALL`].
    fn place(self) -> usize;
}

/// Declares a list once for its variants and their words, so that the two cannot disagree.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant,)*
        }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            type Cells = [AtomicU64; Self::ALL.len()];

            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            fn place(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// The kind of a line of the log, the first to be lost first.
    LogLine {
        /// Of a request.
        Access = "access",
        /// Of the gateway itself.
        Log = "log",
        /// Of what happened to whom.
        Audit = "audit",
    }
}

labels! {
    /// The class of a status (RFC 9110 §15).
    StatusClass {
        /// Interim, or another protocol took over.
        Informational = "1xx",
        /// Successful.
        Successful = "2xx",
        /// Redirection.
        Redirection = "3xx",
        /// The client's fault, or the client left.
        ClientError = "4xx",
        /// The fault of this side.
        ServerError = "5xx",
    }
}

impl StatusClass {
    /// The class of a status code.
    pub fn of(status: u16) -> Self {
        match status / 100 {
            0 | 1 => Self::Informational,
            2 => Self::Successful,
            3 => Self::Redirection,
            4 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

labels! {
    /// How a sign-in ended.
    SignIn {
        /// Somebody is signed in.
        Success = "success",
        /// The `state` was forged, used, too old or another browser's.
        State = "state",
        /// What the browser brought was no authorization response of this provider.
        BadResponse = "bad_response",
        /// The provider said no to the person or to the code.
        Refused = "refused",
        /// The provider cannot be reached, fails, or has enough to do.
        Unavailable = "unavailable",
        /// The provider does not accept the gateway as its client.
        Misconfigured = "misconfigured",
        /// The provider broke a rule of the standard, or told of nobody.
        Misbehaved = "misbehaved",
        /// The client's address failed too often a moment ago.
        TooManyFailures = "too_many_failures",
        /// The browser left before it had an answer.
        Abandoned = "abandoned",
        /// The account has more claims and tokens than `session.max_bytes`.
        TooLarge = "too_large",
    }
}

labels! {
    /// How a refresh ended.
    Refresh {
        /// New tokens.
        Success = "success",
        /// Not now; the session goes on.
        Failure = "failure",
        /// The provider ended the grant, and the session with it.
        Ended = "ended",
        /// What came cannot be trusted, and the session ended.
        Untrusted = "untrusted",
    }
}

labels! {
    /// What a sign-out ended.
    SignOut {
        /// Our session.
        Local = "local",
        /// Ours, and the browser was sent on to end the provider's.
        Provider = "provider",
    }
}

labels! {
    /// An endpoint of a provider.
    ProviderEndpoint {
        /// The discovery document.
        Discovery = "discovery",
        /// The JWK Set.
        Jwks = "jwks",
        /// The token endpoint.
        Token = "token",
        /// The userinfo endpoint.
        Userinfo = "userinfo",
        /// The revocation endpoint.
        Revocation = "revocation",
    }
}

labels! {
    /// A bound that somebody met.
    Limit {
        /// `server.limits.connections`: others get 503.
        Connections = "connections",
        /// The same: an idle connection is closed for another.
        IdleConnections = "idle_connections",
        /// `server.limits.connections_per_client`: that client gets 503.
        ConnectionsPerClient = "connections_per_client",
        /// Connections to upstreams, by the number of files that may be open: 503.
        UpstreamConnections = "upstream_connections",
        /// A quarter of those for one client, once most are in use: that client gets 503.
        UpstreamConnectionsPerClient = "upstream_connections_per_client",
        /// `server.limits.header_bytes` or `header_count`: 431.
        RequestHead = "request_head",
        /// `server.limits.target_bytes`: 414.
        RequestTarget = "request_target",
        /// A route's `request_body`: 413.
        RequestBody = "request_body",
        /// 8 KiB of identity headers: the largest is left out.
        IdentityHeaders = "identity_headers",
        /// `session.max_sessions`: long-unused ones leave.
        Sessions = "sessions",
        /// `session.max_sessions_per_user`: that user's long-unused ones leave.
        SessionsPerUser = "sessions_per_user",
        /// `session.max_bytes`: unused claims and tokens are dropped, or the sign-in is refused.
        SessionBytes = "session_bytes",
        /// Token requests under way at one provider: a sign-in gets 503.
        TokenRequests = "token_requests",
        /// Failed sign-ins of one address in a second: 429.
        SignInFailures = "sign_in_failures",
    }
}
