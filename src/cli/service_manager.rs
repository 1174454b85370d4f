//! The service manager of this process: what it receives about start and stop (sd_notify(3)).
//! Invariant: without `NOTIFY_SOCKET` nothing is sent, and an error does not stop the gateway.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Receives the state of the process.
#[derive(Debug)]
pub(super) struct ServiceManager {
    socket: Option<String>,
}

impl ServiceManager {
    /// The one at this address: `NOTIFY_SOCKET`.
    pub(super) fn at(socket: Option<String>) -> Self {
        Self { socket: socket.filter(|socket| !socket.is_empty()) }
    }

    /// Reports that all listeners are open.
    pub(super) fn ready(&self) {
        self.notify("READY=1");
    }

    /// Reports the begin of the drain.
    pub(super) fn stopping(&self) {
        self.notify("STOPPING=1");
    }

    fn notify(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send(socket, state) {
            tracing::warn!(%error, socket, state, "cannot notify the service manager");
        }
    }
}

fn send(socket: &str, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    // A service manager that does not read must not stop the gateway.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address(socket)?)?;
    Ok(())
}

/// A path, or with `@` an abstract name, which only Linux has.
fn address(socket: &str) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt as _;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(socket)
}
