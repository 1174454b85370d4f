//! Errors of a Redis server, and what to do about each.
//! Invariants: an error is never a missing key. No text has a secret: of a command that the server does not know, it
//! repeats the arguments, which can be a password, and these are cut off.

use std::io;
use std::path::PathBuf;

use crate::tcp::TcpError;

/// Why an operation has no result. Where the server may have received it, it may have been carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisError {
    /// There is no connection; nothing was sent.
    #[error("there is no connection to Redis")]
    Down,
    /// Too many operations are under way; nothing was sent.
    #[error("too many operations of Redis are under way")]
    Full,
    /// No reply within `session.store.redis.timeout`. The connection has ended with it.
    #[error("no reply from Redis in time")]
    TimedOut,
    /// The connection broke off before the reply.
    #[error("the connection to Redis broke off")]
    BrokeOff,
    /// The server replied that it cannot do it.
    #[error("Redis replied {0}")]
    Replied(ErrorReply),
    /// The reply has no form that this command has.
    #[error("Redis gave an unexpected reply")]
    Unexpected,
}

impl RedisError {
    /// Whether the connection is of no use after it.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::TimedOut | Self::BrokeOff => true,
            Self::Replied(reply) => reply.kind.ends_connection(),
            Self::Down | Self::Full | Self::Unexpected => false,
        }
    }
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ErrorReply {
    /// What it means.
    pub kind: ErrorReplyKind,
    /// Its code, and what it says.
    text: String,
}

/// What an error reply means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorReplyKind {
    /// `READONLY`, `MASTERDOWN`: a replica.
    Replica,
    /// `NOAUTH`, `WRONGPASS`.
    NotAuthenticated,
    /// `NOPERM`.
    NotPermitted,
    /// `OOM`.
    OutOfMemory,
    /// `MOVED`, `ASK`, `CLUSTERDOWN`, `CROSSSLOT`, `TRYAGAIN`.
    Cluster,
    /// `LOADING`.
    Loading,
    /// `MISCONF`, `NOREPLICAS`: it does not take writes now.
    NoWrites,
    /// `BUSY`: a script of another client runs for too long.
    Busy,
    /// `NOSCRIPT`.
    UnknownScript,
    /// Another one.
    Other,
}

impl ErrorReplyKind {
    fn ends_connection(self) -> bool {
        match self {
            Self::Replica | Self::NotAuthenticated | Self::Loading => true,
            Self::NotPermitted
            | Self::OutOfMemory
            | Self::Cluster
            | Self::NoWrites
            | Self::Busy
            | Self::UnknownScript
            | Self::Other => false,
        }
    }

    /// What an operator can do.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Self::Replica => "session.store.redis.url must lead to the primary",
            Self::NotAuthenticated => "check session.store.redis.username and password",
            Self::NotPermitted => {
                "give the user of session.store.redis the commands and keys that the README lists"
            }
            Self::OutOfMemory => "raise maxmemory of the server, or lower session.max_bytes",
            Self::Cluster => {
                "the server is part of a cluster: session.store.redis needs one that is not"
            }
            Self::Loading => "the server has just started; the gateway goes on trying",
            Self::NoWrites => "see the log of the server: it cannot write to its disk or replicas",
            Self::Busy => "another program runs a long script on the server",
            Self::UnknownScript | Self::Other => "see the log of the server",
        }
    }

    fn of(code: &str) -> Self {
        match code {
            "READONLY" | "MASTERDOWN" => Self::Replica,
            "NOAUTH" | "WRONGPASS" => Self::NotAuthenticated,
            "NOPERM" => Self::NotPermitted,
            "OOM" => Self::OutOfMemory,
            "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" | "TRYAGAIN" => Self::Cluster,
            "LOADING" => Self::Loading,
            "MISCONF" | "NOREPLICAS" => Self::NoWrites,
            "BUSY" => Self::Busy,
            "NOSCRIPT" => Self::UnknownScript,
            _ => Self::Other,
        }
    }
}

impl ErrorReply {
    /// What a replica would reply to a write.
    pub(super) fn of_replica() -> Self {
        Self::new("READONLY", "it has become a replica")
    }

    /// What a code with its text means.
    pub(super) fn new(code: &str, details: &str) -> Self {
        // SECURITY: what follows are the arguments of our command.
        let details = details.split(", with args").next().unwrap_or_default();
        // Redis 6.2 has the code of a script's error inside.
        let inside = details.split_whitespace().filter_map(|word| word.strip_prefix('-'));
        let mut kinds = [code].into_iter().chain(inside).map(ErrorReplyKind::of);
        let kind = kinds.find(|kind| *kind != ErrorReplyKind::Other);
        let details: String = details.chars().take(MOST_CHARACTERS).collect();
        let text = format!("{code} {details}").trim_end().to_owned();
        Self { kind: kind.unwrap_or(ErrorReplyKind::Other), text }
    }
}

/// Why there is no new connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0}")]
    Tcp(#[from] TcpError),
    #[error("cannot connect to {}: {source}", path.display())]
    Unix { path: PathBuf, source: io::Error },
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("no answer in time")]
    TimedOut,
    /// While it was set up, with the system's or TLS' reason.
    #[error("the server broke off the connection: {0}")]
    BrokeOff(String),
    #[error("{0}")]
    Setup(#[from] RedisError),
    #[error("the server does not know the protocol RESP3")]
    NoResp3,
    #[error("the server has version {0}")]
    TooOld(String),
    #[error("the server is a replica")]
    Replica,
}

impl ConnectError {
    /// What an operator can do.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Tcp(_) | Self::TimedOut | Self::Unix { .. } => {
                "check session.store.redis.url and whether the server runs"
            }
            Self::Tls(_) => "check session.store.redis.ca and whether the server speaks TLS",
            Self::Setup(RedisError::Replied(reply)) => reply.kind.remedy(),
            Self::Setup(RedisError::TimedOut) => {
                "the server is slow: see its log, or raise session.store.redis.timeout"
            }
            Self::BrokeOff(_) => {
                "does this port belong to Redis? Does it need TLS (rediss://), or \
                 session.store.redis.client_certificate?"
            }
            Self::Setup(_) => "does this port belong to Redis?",
            Self::NoResp3 | Self::TooOld(_) => "it needs Redis 6.2 or newer, or Valkey",
            Self::Replica => ErrorReplyKind::Replica.remedy(),
        }
    }
}

/// Enough for every text of the server.
const MOST_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, details: &str, kind: ErrorReplyKind, text: &str) {
        let reply = ErrorReply::new(code, details);
        assert_eq!((reply.kind, &*reply.to_string()), (kind, text));
    }

    #[test]
    fn arguments_of_a_command_are_cut_off() {
        let details = "unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `hunter2`, ";
        check("ERR", details, ErrorReplyKind::Other, "ERR unknown command `HELLO`");
    }

    #[test]
    fn error_of_a_script_is_found_inside_its_text() {
        let details =
            "Error running script (call to f_1): @user_script:1: -OOM command not allowed";
        check("ERR", details, ErrorReplyKind::OutOfMemory, &format!("ERR {details}"));
        check("OOM", "command not allowed", ErrorReplyKind::OutOfMemory, "OOM command not allowed");
    }

    #[test]
    fn long_text_is_cut() {
        let reply = ErrorReply::new("ERR", &"é".repeat(5000));
        assert_eq!(reply.to_string().chars().count(), MOST_CHARACTERS + "ERR ".len());
    }
}
