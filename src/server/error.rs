//! Why a server cannot start, and what its operator can do.

use std::io;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name does not resolve.
    #[error(
        "cannot listen on {address}: {source}; write HOST:PORT with a name or address of this machine"
    )]
    Lookup {
        /// As configured.
        address: String,
        /// The resolver's word.
        source: io::Error,
    },
    /// The address is not to be had.
    #[error("cannot listen on {address}: {source}; {}", remedy(source))]
    Bind {
        /// As configured.
        address: String,
        /// The system's word.
        source: io::Error,
    },
    /// A file or folder is where the socket should be.
    #[error("cannot listen on {address}: what stands there is no socket; choose another path")]
    NoSocket {
        /// As configured.
        address: String,
    },
    /// No PEM certificate in the text.
    #[error("no certificate in {pair}: write a PEM chain, the server's own certificate first")]
    Certificate {
        /// The pair's name.
        pair: String,
    },
    /// No PEM key in the text.
    #[error("no private key for {pair}: write it as PEM, in PKCS#8, PKCS#1 or SEC1")]
    Key {
        /// The pair's name.
        pair: String,
    },
    /// The key is of no use for the certificate.
    #[error("the private key does not fit the certificate {pair}: {source}")]
    Pair {
        /// The pair's name.
        pair: String,
        /// What rustls says.
        source: rustls::Error,
    },
    /// TLS itself cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(rustls::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    let kind = error.kind();
    let known = REMEDIES.iter().find(|(known, _)| *known == kind);
    known.map_or("choose another address", |(_, remedy)| remedy)
}

const REMEDIES: [(io::ErrorKind, &str); 4] = [
    (io::ErrorKind::AddrInUse, "another process has it: stop that one, or choose another address"),
    (
        io::ErrorKind::PermissionDenied,
        "a port below 1024 takes CAP_NET_BIND_SERVICE, a socket a directory that may be written to",
    ),
    (io::ErrorKind::AddrNotAvailable, "choose an address that this machine has"),
    (io::ErrorKind::NotFound, "create its directory"),
];
