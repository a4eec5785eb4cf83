//! The local socket of a running host: `<data_dir>/socket`, for its own user alone.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::state::SOCKET_FILE;

/// The longest path of a socket on Linux, in bytes.
const LONGEST: usize = 107;

/// Connections that wait to be taken.
const BACKLOG: u32 = 64;

/// A socket that is listened to. Dropped, it is gone.
#[derive(Debug)]
pub struct Socket {
    pub listener: UnixListener,
    path: PathBuf,
}

/// Where the host with the state in `data_dir` listens.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET_FILE)
}

impl Socket {
    /// Listens in `data_dir`, which this process holds: what lies there of an earlier process is taken away.
    ///
    /// # Errors
    /// Why there is no socket.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = path(data_dir);
        let bytes = path.as_os_str().len();
        if bytes > LONGEST {
            let text =
                format!("its path would have {bytes} bytes, and {LONGEST} are the most. Choose a shorter data_dir");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixSocket::new_stream()?;
        socket.bind(&path)?;
        // Nobody can connect before it listens.
        let listening =
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).and_then(|()| socket.listen(BACKLOG));
        match listening {
            Ok(listener) => Ok(Self { listener, path }),
            Err(error) => {
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Connects to the host with the state in `data_dir`; `None` if there is no socket, or nobody listens.
///
/// # Errors
/// When it is there, and this user may not use it.
pub async fn connect(data_dir: &Path) -> io::Result<Option<UnixStream>> {
    let path = path(data_dir);
    if path.as_os_str().len() > LONGEST {
        return Ok(None);
    }
    match UnixStream::connect(&path).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        assert!(connect(folder.path()).await.unwrap().is_none());
        let socket = Socket::bind(folder.path()).unwrap();
        let mode = fs::metadata(path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(connect(folder.path()).await.unwrap().is_some());
        drop(socket);
        assert!(!path(folder.path()).exists());
        // What a killed host left: nobody listens, and the next one takes its place.
        drop(std::os::unix::net::UnixListener::bind(path(folder.path())).unwrap());
        assert!(connect(folder.path()).await.unwrap().is_none());
        let _socket = Socket::bind(folder.path()).unwrap();
        assert!(connect(folder.path()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let long = |bytes: usize| {
            let rest = bytes - folder.path().as_os_str().len() - "//socket".len();
            let path = folder.path().join("x".repeat(rest));
            fs::create_dir(&path).unwrap();
            path
        };
        assert!(Socket::bind(&long(LONGEST)).is_ok());
        let error = Socket::bind(&long(LONGEST + 1)).unwrap_err();
        assert!(error.to_string().contains("108 bytes") && error.to_string().contains("shorter data_dir"), "{error}");
        assert!(connect(&folder.path().join("x".repeat(200))).await.unwrap().is_none());
    }
}
