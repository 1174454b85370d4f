//! Where a server listens: as configured, and as bound.
//! Invariant: both are displayed in the spelling of `server.listen`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `HOST:PORT`; the system chooses a free port for port 0.
    Tcp(String),
    /// `unix:PATH`, with options.
    Unix(UnixSocket),
    /// `systemd`: sockets that the service manager passes.
    Passed(PassedSocketName),
}

/// Which of the passed sockets are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassedSocketName {
    /// `systemd`: all that no other address names.
    Any,
    /// `systemd:NAME`: those with this `FileDescriptorName=`.
    Only(String),
}

/// A socket file to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocket {
    /// Its path.
    pub path: PathBuf,
    /// Its permissions: `mode`, 0660 by default.
    pub mode: u32,
    /// The number of its group: `group`, by default that of the process.
    pub group: Option<u32>,
}

impl UnixSocket {
    /// A socket file with mode 0660 and the group of the process.
    pub fn at(path: PathBuf) -> Self {
        Self { path, mode: 0o660, group: None }
    }
}

impl ListenAddress {
    /// Whether one socket at most can be at both.
    pub(super) fn is_one_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(one), Self::Unix(other)) => one.path == other.path,
            // The system chooses a port for each.
            (Self::Tcp(text), _) if text.ends_with(":0") => false,
            _ => self == other,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
            Self::Passed(PassedSocketName::Any) => f.write_str("systemd"),
            Self::Passed(PassedSocketName::Only(name)) => write!(f, "systemd:{name}"),
        }
    }
}

/// The address of a bound socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalAddress {
    /// An IP address and the actual port.
    Tcp(SocketAddr),
    /// The path of a socket file.
    Unix(PathBuf),
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
