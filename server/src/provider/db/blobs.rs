//! The folder `blobs/`: values too large for a row, one file each under a random name.
//!
//! Order of writing: the file and its folder are on disk before the row that names it is
//! committed; the file is removed after the row that names it is gone. So a crash leaves at most
//! files that no row names, and [`Blobs::collect`] removes those at the start.
//! Rejected: everything in SQLite; large values make its file slow to copy and to vacuum, and
//! the WAL writes each twice.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::RngCore;
use rand::rngs::OsRng;

use super::error::{DbError, TxError};

/// Largest value kept in a row, in octets.
pub(crate) const MAX_INLINE_OCTETS: usize = 64 * 1024;

/// Name of a file.
pub(crate) type BlobId = [u8; 16];

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    folder: PathBuf,
}

/// A value that is ready to be named by a row.
#[derive(Debug)]
pub(crate) enum Value {
    /// In the row.
    Inline(Vec<u8>),
    /// In a file.
    File(Staged),
}

/// A file that no row names yet; removed on drop unless kept.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) id: BlobId,
    pub(crate) size: usize,
    path: Option<PathBuf>,
}

impl Staged {
    /// From now on the file belongs to a row, or to a commit whose fate is unknown.
    pub(crate) fn keep(mut self) {
        self.path = None;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            remove(path);
        }
    }
}

/// A value as its row tells it.
pub(crate) struct Stored {
    pub(crate) size: usize,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) file: Option<BlobId>,
}

impl Blobs {
    /// Opens the folder, makes it if it is missing.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, DbError> {
        let folder = data_dir.join("blobs");
        create_private(&folder).map_err(|source| DbError::io(&folder, source))?;
        sync_folder(data_dir)?;
        Ok(Self { folder })
    }

    /// Makes a value ready; a large one is on disk when this returns.
    pub(crate) fn stage(&self, octets: Vec<u8>) -> Result<Value, DbError> {
        if octets.len() <= MAX_INLINE_OCTETS {
            return Ok(Value::Inline(octets));
        }
        let mut id = BlobId::default();
        OsRng.fill_bytes(&mut id);
        let path = self.path(&id);
        let staged = Staged {
            id,
            size: octets.len(),
            path: Some(path.clone()),
        };
        write_durably(&path, &octets).map_err(|source| DbError::io(&path, source))?;
        sync_folder(&self.folder)?;
        Ok(Value::File(staged))
    }

    /// The octets of a value.
    pub(crate) fn load(&self, stored: Stored) -> Result<Vec<u8>, TxError> {
        let octets = match (stored.value, stored.file) {
            (Some(value), _) => value,
            (None, Some(id)) => self.read(&id)?,
            (None, None) => return Err(TxError::Damaged("a row has no value")),
        };
        if octets.len() != stored.size {
            return Err(TxError::Damaged("a value has not the length of its row"));
        }
        Ok(octets)
    }

    /// Whether a value that is ready to be stored has exactly these octets.
    pub(crate) fn holds(&self, value: &Value, octets: &[u8]) -> Result<bool, TxError> {
        match value {
            Value::Inline(value) => Ok(value == octets),
            Value::File(staged) if staged.size != octets.len() => Ok(false),
            Value::File(staged) => Ok(self.read(&staged.id)? == octets),
        }
    }

    fn read(&self, id: &BlobId) -> Result<Vec<u8>, TxError> {
        let path = self.path(id);
        match fs::read(&path) {
            Ok(octets) => Ok(octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TxError::FileGone(path)),
            Err(error) => Err(DbError::io(&path, error).into()),
        }
    }

    /// Removes a file whose row is gone. A failure is only logged: the file is collected later.
    pub(crate) fn forget(&self, id: &BlobId) {
        remove(&self.path(id));
    }

    /// Removes every file that is not in `named`; returns how many.
    pub(crate) fn collect(&self, named: &BTreeSet<BlobId>) -> Result<usize, DbError> {
        let failed = |source| DbError::io(&self.folder, source);
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let mut id = BlobId::default();
            let name = path.file_name().and_then(|name| name.to_str());
            let ours = name.is_some_and(|name| hex::decode_to_slice(name, &mut id).is_ok());
            if ours && !named.contains(&id) {
                remove(&path);
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.folder.join(hex::encode(id))
    }
}

/// Makes a folder and its parents; the new ones are their owner's alone: mail for the relay may
/// be in the clear, and the log-in secret lies in the database.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a new file and waits until the disk has it.
pub(crate) fn write_durably(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

/// Waits until the disk has the folder's entries.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), DbError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| DbError::io(folder, source))
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove a file");
        }
        _ => {}
    }
}
