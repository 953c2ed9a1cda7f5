//! One bridge for each data directory.
//!
//! The lock is the operating system's and ends with the process, so a killed bridge leaves none
//! behind. Invariant: no store is opened without it. Rejected: a file with the process id, which
//! outlives its process and says nothing after a restart of the machine.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Name of the lock file in the data directory.
pub const LOCK_FILE: &str = "lock";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(
        "{path} is in use by another Letterlock process: stop that one, or use another data directory"
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// It cannot be made or written to.
    #[error("{path} cannot be used as data directory: {cause}")]
    Unusable {
        /// The data directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// A data directory that is this process's alone while the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if need be, for its owner alone, and locks it.
    pub fn lock(path: &Path) -> Result<Self, LockError> {
        let unusable = |cause| LockError::Unusable {
            path: path.to_owned(),
            cause,
        };
        create_private_dir(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(path.join(LOCK_FILE)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(cause)) => Err(unusable(cause)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory and its parents; the new ones are readable by their owner alone.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_with_the_path_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("data");
        let first = DataDir::lock(&path).unwrap();
        let error = DataDir::lock(&path).unwrap_err();
        assert!(matches!(error, LockError::InUse { .. }));
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        drop(first);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn a_file_is_no_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let error = DataDir::lock(&path).unwrap_err();
        assert!(matches!(error, LockError::Unusable { .. }), "{error}");
    }
}
