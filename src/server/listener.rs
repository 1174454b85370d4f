//! Listening sockets, and the loop that accepts connections.
//! Invariant: no error of `accept` ends the loop or makes it spin. No connection is accepted without a permit. A
//! socket file is replaced only if it is stale.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener, UnixStream, lookup_host};
use tokio::time::sleep;

use crate::server::connection::ConnectionServer;
use crate::server::error::Error;
use crate::server::handler::Handler;
use crate::server::listen_address::{ListenAddress, LocalAddress, UnixSocket};
use crate::server::passed_sockets::{Lease, PassedSocket, PassedSockets};
use crate::server::settings::ListenerKind;
use crate::server::shutdown::Tasks;
use crate::server::socket_file::{self, SocketFile};
use crate::server::transport::Accepted;

/// A bound socket.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
    /// Opened by the service manager.
    PassedTcp(TcpListener, #[expect(dead_code, reason = "held until it is dropped")] Lease),
    /// Opened by the service manager, at this path.
    PassedUnix(
        UnixListener,
        PathBuf,
        #[expect(dead_code, reason = "held until it is dropped")] Lease,
    ),
}

const BACKLOG: i32 = 1024;

impl Listener {
    /// Binds one address. A name can have several IP addresses; each that this machine has gets a socket.
    pub(super) async fn bind(
        address: &ListenAddress,
        passed: &PassedSockets,
    ) -> Result<Vec<Self>, Error> {
        match address {
            ListenAddress::Tcp(text) => bind_tcp(text).await,
            ListenAddress::Unix(socket) => Ok(vec![bind_unix(socket).await?]),
            ListenAddress::Passed(name) => {
                Ok(passed.take(name)?.into_iter().map(Self::from).collect())
            }
        }
    }

    /// The address that it listens on.
    pub(super) fn local_address(&self) -> io::Result<LocalAddress> {
        Ok(match self {
            Self::Tcp(listener) | Self::PassedTcp(listener, _) => {
                LocalAddress::Tcp(listener.local_addr()?)
            }
            Self::Unix(_, file) => LocalAddress::Unix(file.path().to_owned()),
            Self::PassedUnix(_, path, _) => LocalAddress::Unix(path.clone()),
        })
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) | Self::PassedTcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener, _) | Self::PassedUnix(listener, ..) => {
                Ok(Accepted::Unix(listener.accept().await?.0))
            }
        }
    }

    /// Accepts connections until the server drains, then closes.
    pub(super) async fn run<H: Handler>(
        self,
        kind: ListenerKind,
        connections: Arc<ConnectionServer<H>>,
        tasks: Tasks,
    ) {
        let mut backoff = Backoff::default();
        let accepting = async {
            loop {
                let slot = connections.limit.slot().await;
                match self.accept().await {
                    Ok(accepted) => {
                        backoff = Backoff::default();
                        let connected = connections.introduce(&accepted, kind, &tasks);
                        if let Some(guard) = connections.limit.claim(slot, &connected) {
                            let connections = Arc::clone(&connections);
                            tasks.track(connections.serve(accepted, connected, guard));
                        }
                    }
                    Err(error) => {
                        if let Some(pause) = backoff.after(&error) {
                            tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept");
                            sleep(pause).await;
                        }
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = tasks.draining() => {}
            () = accepting => {}
        }
    }
}

impl From<PassedSocket> for Listener {
    fn from(socket: PassedSocket) -> Self {
        match socket {
            PassedSocket::Tcp(listener, lease) => Self::PassedTcp(listener, lease),
            PassedSocket::Unix(listener, path, lease) => Self::PassedUnix(listener, path, lease),
        }
    }
}

/// The pause after a failed `accept`.
#[derive(Debug, Default)]
struct Backoff(Option<Duration>);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LAST: Duration = Duration::from_millis(500);

    /// The pause after an error; `None` if the error is that of one connection.
    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(
            error.kind(),
            ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
        ) {
            return None;
        }
        // Other errors, above all a lack of file descriptors or memory, would come again at once.
        let pause = self.0.map_or(Self::FIRST, |last| (last * 2).min(Self::LAST));
        self.0 = Some(pause);
        Some(pause)
    }
}

async fn bind_tcp(text: &str) -> Result<Vec<Listener>, Error> {
    let failed = |source| Error::Bind { address: text.to_owned(), source };
    let mut addresses: Vec<_> = lookup_host(text)
        .await
        .map_err(|source| Error::Lookup { address: text.to_owned(), source })?
        .collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    let (mut listeners, mut missing, mut port) = (Vec::new(), None, None);
    for mut address in addresses {
        // With port 0, all addresses of a name share the port that the system chose for the first one.
        address.set_port(port.unwrap_or(address.port()));
        match bind_socket(address) {
            Ok(listener) => {
                port = listener.local_addr().ok().map(|bound| bound.port());
                listeners.push(Listener::Tcp(listener));
            }
            // `localhost` may have an IPv6 address on a machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => missing = Some(error),
            Err(error) => return Err(failed(error)),
        }
    }
    if listeners.is_empty() {
        return Err(failed(missing.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())));
    }
    Ok(listeners)
}

fn bind_socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit both, which saves system calls.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn bind_unix(socket: &UnixSocket) -> Result<Listener, Error> {
    let address = ListenAddress::Unix(socket.clone()).to_string();
    let failed = |source| Error::Bind { address: address.clone(), source };
    let path = &*socket.path;
    let bound = match socket_file::listen(socket, BACKLOG) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path).await => {
            std::fs::remove_file(path).map_err(failed)?;
            socket_file::listen(socket, BACKLOG)
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_no_socket(path) => {
            return Err(Error::NoSocket { address });
        }
        bound => bound,
    };
    let (listener, file) = bound.map_err(failed)?;
    Ok(Listener::Unix(listener, file))
}

/// Whether the path exists and is not a socket.
fn is_no_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket())
}

/// Whether the path is a socket that no process listens on.
async fn is_stale(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    fn out_of_descriptors() -> io::Error {
        io::Error::from_raw_os_error(24)
    }

    #[test]
    fn pause_grows_while_descriptors_are_missing() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> =
            (0..6).map(|_| backoff.after(&out_of_descriptors()).unwrap().as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 500, 500]);
        assert_eq!(Backoff::default().after(&io::ErrorKind::ConnectionAborted.into()), None);
    }

    #[tokio::test]
    async fn accepted_socket_has_nodelay_and_keepalive() {
        let listener = bind_socket("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(socket2::SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn error_names_the_used_port_or_the_bad_name() {
        let listener = bind_socket("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let error = bind_tcp(&address).await.unwrap_err().to_string();
        assert!(error.contains(&address), "{error}");
        let error = bind_tcp("no-such-name.invalid:80").await.unwrap_err().to_string();
        assert!(error.contains("no-such-name.invalid:80"), "{error}");
    }

    #[tokio::test]
    async fn name_with_several_addresses_has_one_port() {
        let listeners = bind_tcp("localhost:0").await.unwrap();
        let ports: Vec<_> = listeners
            .iter()
            .map(|listener| match listener.local_address().unwrap() {
                LocalAddress::Tcp(address) => address.port(),
                LocalAddress::Unix(path) => panic!("{path:?}"),
            })
            .collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
    }

    #[tokio::test]
    async fn stale_socket_file_is_replaced_and_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = bind_unix(&UnixSocket::at(path.clone())).await.unwrap();
        bind_unix(&UnixSocket::at(path.clone())).await.expect_err("a process listens there");
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "precious").unwrap();
        let error =
            bind_unix(&UnixSocket::at(path.clone())).await.expect_err("it is a file").to_string();
        assert!(error.contains("is not a socket") && !error.contains("another process"), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn socket_file_of_the_next_process_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = bind_unix(&UnixSocket::at(path.clone())).await.unwrap();
        std::fs::rename(&path, directory.path().join("old")).unwrap();
        let _second = bind_unix(&UnixSocket::at(path.clone())).await.unwrap();
        drop(first);
        assert!(path.exists());
    }
}
