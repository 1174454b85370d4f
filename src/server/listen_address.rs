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
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(text) => f.write_str(text),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
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
