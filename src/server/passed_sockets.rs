//! Sockets that the service manager opened and passed to this process (sd_listen_fds(3)): `systemd` in a listen address.
//! Invariants: each socket has one listener at most. Its file, if it has one, belongs to the service manager. A socket
//! stays open here without a listener, so that a later configuration can take it again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use crate::server::error::Error;
use crate::server::listen_address::{ListenAddress, PassedSocketName};

/// The sockets of this process, with and without a listener.
#[derive(Debug, Default)]
pub struct PassedSockets {
    all: Vec<Passed>,
    /// Names that a listen address of the configuration has.
    named: Vec<String>,
}

/// One socket.
#[derive(Debug)]
struct Passed {
    /// `FileDescriptorName=`, by default the name of the socket unit.
    name: String,
    socket: Result<Socket, io::Error>,
    lease: Lease,
}

/// Held by the listener of a socket for as long as it is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease(Arc<()>);

impl Lease {
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// A socket that is ready to accept connections.
#[derive(Debug)]
pub(super) enum PassedSocket {
    Tcp(TcpListener, Lease),
    /// With the path of its file; empty if it has none.
    Unix(UnixListener, PathBuf, Lease),
}

impl PassedSockets {
    /// Takes over the sockets that were passed to this process, with the names in `LISTEN_FDNAMES`. Call it once, before
    /// other threads run: it changes the environment.
    pub fn take_over(names: &str) -> Self {
        let mut passed = ListenFd::from_env();
        let mut names = names.split(':');
        let all = (0..passed.len())
            .map(|at| Passed {
                name: names.next().unwrap_or_default().to_owned(),
                socket: socket(&mut passed, at),
                lease: Lease::default(),
            })
            .collect();
        Self { all, named: Vec::new() }
    }

    /// Reserves the sockets that these addresses name, and no others, so that plain `systemd` leaves them.
    pub fn reserve<'a>(&mut self, addresses: impl IntoIterator<Item = &'a ListenAddress>) {
        self.named.clear();
        for address in addresses {
            if let ListenAddress::Passed(PassedSocketName::Only(name)) = address {
                self.named.push(name.clone());
            }
        }
    }

    /// Takes the sockets of one address.
    pub(super) fn take(&self, name: &PassedSocketName) -> Result<Vec<PassedSocket>, Error> {
        let address = ListenAddress::Passed(name.clone()).to_string();
        let wanted = |passed: &&Passed| match name {
            PassedSocketName::Any => !self.named.contains(&passed.name),
            PassedSocketName::Only(name) => passed.name == *name,
        };
        let free = self.all.iter().filter(|passed| !passed.lease.is_held()).filter(wanted);
        let sockets: Vec<_> = free.map(prepared).collect::<Result<_, _>>().map_err(|source| {
            let address = address.clone();
            Error::Passed { address, source }
        })?;
        if sockets.is_empty() { Err(Error::NotPassed { address }) } else { Ok(sockets) }
    }

    /// The names of the sockets that no listener has taken.
    pub fn unused(&self) -> Vec<&str> {
        let free = self.all.iter().filter(|passed| !passed.lease.is_held());
        free.map(|passed| passed.name.as_str()).collect()
    }
}

/// The socket at this index.
fn socket(passed: &mut ListenFd, at: usize) -> io::Result<Socket> {
    let unknown = || io::Error::from(io::ErrorKind::NotFound);
    match passed.take_tcp_listener(at) {
        Ok(listener) => Ok(Socket::Tcp(listener.ok_or_else(unknown)?)),
        Err(_) => Ok(Socket::Unix(passed.take_unix_listener(at)?.ok_or_else(unknown)?)),
    }
}

fn prepared(Passed { socket, lease, .. }: &Passed) -> io::Result<PassedSocket> {
    let copied = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
    match socket.as_ref().map_err(copied)? {
        Socket::Tcp(listener) => {
            let listener = listener.try_clone()?;
            let socket = SockRef::from(&listener);
            is_listening(&socket)?;
            // Accepted sockets inherit both.
            socket.set_tcp_nodelay(true)?;
            socket.set_keepalive(true)?;
            listener.set_nonblocking(true)?;
            Ok(PassedSocket::Tcp(TcpListener::from_std(listener)?, lease.clone()))
        }
        Socket::Unix(listener) => {
            let listener = listener.try_clone()?;
            is_listening(&SockRef::from(&listener))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let path = address.as_pathname().map_or_else(PathBuf::new, PathBuf::from);
            Ok(PassedSocket::Unix(UnixListener::from_std(listener)?, path, lease.clone()))
        }
    }
}

/// A socket unit with `Accept=yes` passes connections, not sockets.
fn is_listening(socket: &SockRef<'_>) -> io::Result<()> {
    match socket.is_listener()? {
        true => Ok(()),
        false => Err(io::Error::other("the socket is a connection; set Accept=no in the unit")),
    }
}
