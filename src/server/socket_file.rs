//! The socket file of a unix socket: its permissions, its group, its removal.
//! Invariants: no client can connect before permissions and group are those of the settings, and the file never has
//! more permissions than those. It is removed only by the process that created it.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::server::listen_address::UnixSocket;

/// Listens on a socket file that it creates.
pub(super) fn listen(
    UnixSocket { path, mode, group }: &UnixSocket,
    backlog: i32,
) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // SECURITY: Linux gives these permissions to the file when it creates it. If `group` is set, those for the group
    // and others are added after `chown`: before it, the file has the group of the process.
    let first = if group.is_some() { mode & 0o700 } else { *mode };
    File::from(OwnedFd::from(socket.try_clone()?))
        .set_permissions(Permissions::from_mode(first))?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile::of(path)?;
    if let Some(group) = group {
        chown(path, None, Some(*group))?;
    }
    // The umask of the process may have taken some away.
    std::fs::set_permissions(path, Permissions::from_mode(*mode))?;
    socket.listen(backlog)?;
    let listener = std::os::unix::net::UnixListener::from(OwnedFd::from(socket));
    Ok((UnixListener::from_std(listener)?, file))
}

/// A socket file, removed with its listener.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), inode: inode(path)? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // The next process may have created its own socket there by now.
        if inode(&self.path).is_ok_and(|inode| inode == self.inode)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket file");
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn socket_file_has_the_mode_and_the_group_of_its_settings() {
        let folder = TempDir::new().unwrap();
        let own = std::fs::metadata(folder.path()).unwrap().gid();
        for (mode, group) in [(0o660, None), (0o666, None), (0o600, None), (0o660, Some(own))] {
            let path = folder.path().join(format!("{mode:o}{}", group.is_some()));
            let socket = UnixSocket { mode, group, ..UnixSocket::at(path.clone()) };
            let (listener, file) = listen(&socket, 1).unwrap();
            let found = std::fs::metadata(&path).unwrap();
            assert_eq!((found.mode() & 0o7777, found.gid()), (mode, own));
            drop((listener, file));
            assert!(!path.exists());
        }
    }
}
