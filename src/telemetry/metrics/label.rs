//! Label values that the program chooses.
//! Invariant: a label value is from these lists or from the configuration, never from a client.

use std::fmt::Debug;
use std::sync::atomic::AtomicU64;

/// A closed list of label values.
pub trait Label: Copy + 'static {
    /// All values.
    const ALL: &'static [Self];

    /// A counter for each. It is inside its owner, because a separate allocation could share a cache line.
    type Cells: AsRef<[AtomicU64]> + Debug + Default;

    /// The label value.
    fn as_str(self) -> &'static str;

    /// Its index in [`Self::ALL`].
    fn place(self) -> usize;
}

/// Declares variants and their label values once, so that both agree.
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
    /// The kind of a log line. The first kinds are dropped first.
    LogLine {
        /// A request.
        Access = "access",
        /// Everything else.
        Log = "log",
        /// A sign-in, a sign-out, a denied request, an ended session.
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
        /// Client error, or the client disconnected.
        ClientError = "4xx",
        /// Server error.
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
        /// The user is signed in.
        Success = "success",
        /// The `state` was forged, used, too old or of another browser.
        State = "state",
        /// No request brought the sessions of the sign-ins before it.
        Cycle = "cycle",
        /// The callback had no authorization response of this provider.
        BadResponse = "bad_response",
        /// The provider denied the sign-in or rejected the code.
        Refused = "refused",
        /// The provider is unreachable, fails, or is overloaded.
        Unavailable = "unavailable",
        /// The provider does not accept the client.
        Misconfigured = "misconfigured",
        /// The response of the provider violates the standard or identifies no user.
        Misbehaved = "misbehaved",
        /// Too many failed sign-ins of the client address.
        TooManyFailures = "too_many_failures",
        /// The browser disconnected before the response.
        Abandoned = "abandoned",
        /// The account has more claims and tokens than `session.max_bytes`.
        TooLarge = "too_large",
        /// `session.store` cannot be reached.
        StoreUnavailable = "store_unavailable",
    }
}

labels! {
    /// How a refresh ended.
    Refresh {
        /// New tokens.
        Success = "success",
        /// A temporary failure; the session continues.
        Failure = "failure",
        /// The provider ended the grant, and the session with it.
        Ended = "ended",
        /// The response cannot be trusted, and the session ended.
        Untrusted = "untrusted",
        /// Without new tokens: the provider still accepts the access token.
        RecheckSuccess = "recheck_success",
        /// Likewise: it could not be asked for now; the session continues.
        RecheckFailure = "recheck_failure",
        /// Likewise: it rejected the access token, and the session ended.
        RecheckEnded = "recheck_ended",
        /// Likewise: the answer was about another user, and the session ended.
        RecheckUntrusted = "recheck_untrusted",
    }
}

labels! {
    /// What a sign-out ended.
    SignOut {
        /// The session at the gateway.
        Local = "local",
        /// The same, and the browser was redirected to end the session at the provider.
        Provider = "provider",
    }
}

labels! {
    /// How a reload ended.
    Reload {
        /// The changed configuration is in effect.
        Success = "success",
        /// The one before stays in effect.
        Failure = "failure",
    }
}

labels! {
    /// The outcome of an attempt to write `session.snapshot`.
    SnapshotOutcome {
        /// It has all sessions.
        Success = "success",
        /// The disk is full, read-only or broken.
        Failure = "failure",
    }
}

labels! {
    /// An operation of `session.store`.
    StoreOperation {
        /// Reads a session, or whether there is something.
        Read = "read",
        /// Stores or replaces a session.
        Write = "write",
        /// Keeps a session for longer.
        Extend = "extend",
        /// Removes a session.
        Remove = "remove",
        /// Takes, keeps or gives back the lock of a refresh.
        Lock = "lock",
        /// Changes the index of a user's sessions.
        Index = "index",
        /// Records that a sign-in state is used.
        Claim = "claim",
    }
}

labels! {
    /// How an operation of `session.store` ended.
    StoreOutcome {
        /// It was carried out.
        Success = "success",
        /// The server replied with an error.
        Error = "error",
        /// No reply in time; the connection is made again.
        Timeout = "timeout",
        /// A session was read that this version or this secret cannot decrypt: it counts as ended.
        Unreadable = "unreadable",
        /// There was no connection, it broke off, or too many operations were under way.
        Unavailable = "unavailable",
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
        /// The API with a user's groups.
        Groups = "groups",
    }
}

labels! {
    /// A limit that was reached.
    Limit {
        /// `server.limits.connections`: new ones get 503.
        Connections = "connections",
        /// The same, but an idle connection was closed to make room.
        IdleConnections = "idle_connections",
        /// `server.limits.connections_per_client`: that client gets 503.
        ConnectionsPerClient = "connections_per_client",
        /// Connections to upstreams, limited by the number of open files: 503.
        UpstreamConnections = "upstream_connections",
        /// A quarter of them for one client, once most are in use: that client gets 503.
        UpstreamConnectionsPerClient = "upstream_connections_per_client",
        /// `server.limits.header_bytes` or `header_count`: 431.
        RequestHead = "request_head",
        /// `server.limits.target_bytes`: 414.
        RequestTarget = "request_target",
        /// A route's `request_body`: 413.
        RequestBody = "request_body",
        /// 8 KiB of identity headers: the largest one is omitted.
        IdentityHeaders = "identity_headers",
        /// `session.max_sessions`: the longest unused ones are evicted.
        Sessions = "sessions",
        /// `session.max_sessions_per_user`: the longest unused ones of the user are evicted.
        SessionsPerUser = "sessions_per_user",
        /// `session.max_bytes`: unused claims and tokens are dropped, or the sign-in is rejected.
        SessionBytes = "session_bytes",
        /// Concurrent token requests at one provider: a sign-in gets 503.
        TokenRequests = "token_requests",
        /// Failed sign-ins of one address in a second: 429.
        SignInFailures = "sign_in_failures",
    }
}
