//! A Unix socket that its owner alone can open.
//!
//! Invariant: at no moment can anybody else connect: the socket gets its mode before it gets its
//! name. A socket that a killed process left behind is replaced, one that somebody serves is not,
//! and nothing that is no socket is ever removed. Rejected: a umask around the bind; it is the
//! whole process's.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Who may open it.
const MODE: u32 = 0o600;
/// Who may enter the folder in which it is made.
const ROOM_MODE: u32 = 0o700;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody serves it.
    #[error("{path} is served by another process: stop that one, or use another path")]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// Something else has the name.
    #[error("{path} exists and is no socket: use another path")]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// The system failed.
    #[error("{path}: {cause}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// A listening socket; its name is removed with it.
#[derive(Debug)]
pub struct PrivateSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl PrivateSocket {
    /// Listens.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let error = |cause| SocketError::Io {
            path: path.to_owned(),
            cause,
        };
        match fs::symlink_metadata(path) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(error(cause)),
            Ok(found) if !found.file_type().is_socket() => {
                let path = path.to_owned();
                return Err(SocketError::NoSocket { path });
            }
            Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(_) => {
                    let path = path.to_owned();
                    return Err(SocketError::InUse { path });
                }
                Err(cause) => return Err(error(cause)),
            },
        }
        let listener = bind_apart(path).map_err(error)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// The next connection. Cancel-safe.
    pub async fn accept(&self) -> io::Result<tokio::net::UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// Binds in a folder that its owner alone can enter, and gives the socket its name once it has its
/// mode.
fn bind_apart(path: &Path) -> io::Result<UnixListener> {
    let mut room = path.as_os_str().to_owned();
    room.push(format!(".{}", std::process::id()));
    let room = PathBuf::from(room);
    fs::DirBuilder::new().mode(ROOM_MODE).create(&room)?;
    let inside = room.join("s");
    let bound = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, fs::Permissions::from_mode(MODE))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    if bound.is_err() {
        // The first failure is the one to tell.
        let _gone = fs::remove_file(&inside);
    }
    let _gone = fs::remove_dir(&room);
    bound
}

impl Drop for PrivateSocket {
    fn drop(&mut self) {
        // What is left is replaced by whoever listens next.
        let _gone = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_its_owners_and_replaces_what_a_killed_process_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imap");
        let socket = PrivateSocket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        let connect = tokio::net::UnixStream::connect(&path);
        let (accepted, connected) = tokio::join!(socket.accept(), connect);
        assert!(accepted.is_ok() && connected.is_ok());
        let second = PrivateSocket::bind(&path).unwrap_err();
        assert!(matches!(second, SocketError::InUse { .. }), "{second}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(socket);
        assert!(!path.exists());
        // Left behind: a name that nobody serves.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(PrivateSocket::bind(&path).unwrap());
        fs::write(&path, "a file").unwrap();
        let error = PrivateSocket::bind(&path).unwrap_err();
        assert!(matches!(error, SocketError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }
}
