//! Errors at the start of a server, each with its remedy.

use std::io;

/// The reason why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name does not resolve.
    #[error(
        "cannot listen on {address}: {source}; write HOST:PORT with a name or address of this machine"
    )]
    Lookup {
        /// As configured.
        address: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}; {}", remedy(source))]
    Bind {
        /// As configured.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// An open listener has the address, with other settings.
    #[error(
        "cannot listen on {address}: it is open for another purpose, or with another mode or group, which cannot be reloaded: restart to change that"
    )]
    StillOpen {
        /// As configured.
        address: String,
    },
    /// The path of the socket is a file or folder.
    #[error("cannot listen on {address}: the path exists and is not a socket; choose another path")]
    NoSocket {
        /// As configured.
        address: String,
    },
    /// The service manager passed no such socket.
    #[error(
        "cannot listen on {address}: systemd passed no such socket; start the service by its socket unit, and compare \
         FileDescriptorName= there"
    )]
    NotPassed {
        /// As configured.
        address: String,
    },
    /// A socket of the service manager cannot be used.
    #[error(
        "cannot listen on {address}: {source}; the unit needs ListenStream= with a port or a path"
    )]
    Passed {
        /// As configured.
        address: String,
        /// The system's error.
        source: io::Error,
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
    /// The key does not belong to the certificate.
    #[error("the private key does not belong to the certificate {pair}: {source}")]
    Pair {
        /// The pair's name.
        pair: String,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// The authorities of client certificates cannot be read.
    #[error("no usable certificate in server.tls.client_ca: write PEM certificates of authorities")]
    ClientAuthorities,
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
    (io::ErrorKind::AddrInUse, "another process listens there: stop it, or choose another address"),
    (
        io::ErrorKind::PermissionDenied,
        "a port below 1024 needs CAP_NET_BIND_SERVICE, a unix socket a writable directory",
    ),
    (io::ErrorKind::AddrNotAvailable, "choose an address that this machine has"),
    (io::ErrorKind::NotFound, "create its directory"),
];
