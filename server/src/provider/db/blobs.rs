//! Values too large for a row: files of the folder `blobs/` or objects of a bucket, each under a
//! random name.
//!
//! Order of writing: the file and its folder are on disk (the store has the object) before the row
//! that names it is committed; it is removed after the row that names it is gone. So a crash leaves
//! at most files that no row names. A provider that has its database to itself removes those at the
//! start ([`Blobs::collect`]), others those that are a day old (`db::garbage`): a younger one may be
//! about to be named.
//! The folder is no `object_store`: that of our version does not wait for the disk.
//! Rejected: everything in SQLite; large values make its file slow to copy and to vacuum, and
//! the WAL writes each twice.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rand::RngCore;
use rand::rngs::OsRng;

use letterlock_core::id::Timestamp;

use super::bucket::{Bucket, BucketConfig};
use super::error::{DbError, TxError};

/// Largest value kept in a row, in octets.
pub(crate) const MAX_INLINE_OCTETS: usize = 64 * 1024;

/// Name of a file.
pub(crate) type BlobId = [u8; 16];

/// Where large values are kept.
#[derive(Debug, Clone, Default)]
pub enum BlobPlace {
    /// In the folder `blobs/` of the data directory.
    #[default]
    Folder,
    /// In a bucket of an S3-compatible store.
    Bucket(Box<BucketConfig>),
}

/// The folder or the bucket.
#[derive(Debug, Clone)]
pub(crate) enum Blobs {
    Folder(PathBuf),
    Bucket(Arc<Bucket>),
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
    unnamed: Option<Blobs>,
}

impl Staged {
    /// From now on the file belongs to a row, or to a commit whose fate is unknown.
    pub(crate) fn keep(mut self) {
        self.unnamed = None;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(blobs) = &self.unnamed {
            blobs.forget(&self.id);
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
    /// Opens the place; a folder that is missing is made.
    pub(crate) fn open(data_dir: &Path, place: &BlobPlace) -> Result<Self, DbError> {
        if let BlobPlace::Bucket(config) = place {
            return Ok(Self::Bucket(Arc::new(Bucket::open(config)?)));
        }
        let folder = data_dir.join("blobs");
        create_private(&folder).map_err(|source| DbError::io(&folder, source))?;
        sync_folder(data_dir)?;
        Ok(Self::Folder(folder))
    }

    /// Makes a value ready; a large one is on disk when this returns.
    pub(crate) fn stage(&self, octets: Vec<u8>) -> Result<Value, DbError> {
        if octets.len() <= MAX_INLINE_OCTETS {
            return Ok(Value::Inline(octets));
        }
        let mut id = BlobId::default();
        OsRng.fill_bytes(&mut id);
        let staged = Staged {
            id,
            size: octets.len(),
            unnamed: Some(self.clone()),
        };
        match self {
            Self::Folder(folder) => {
                let path = path(folder, &id);
                write_durably(&path, &octets).map_err(|source| DbError::io(&path, source))?;
                sync_folder(folder)?;
            }
            Self::Bucket(bucket) => bucket.put(&id, octets)?,
        }
        Ok(Value::File(staged))
    }

    /// The octets of a value.
    pub(crate) fn load(&self, stored: Stored) -> Result<Vec<u8>, TxError> {
        let loaded = self.load_all(vec![stored])?.pop();
        loaded.ok_or(TxError::Damaged("a row has no value"))
    }

    /// The octets of values, in the order asked; those of a bucket are fetched side by side.
    pub(crate) fn load_all(&self, all: Vec<Stored>) -> Result<Vec<Vec<u8>>, TxError> {
        let named = all.iter().filter(|stored| stored.value.is_none());
        let named: Option<Vec<BlobId>> = named.map(|stored| stored.file).collect();
        let named = named.ok_or(TxError::Damaged("a row has no value"))?;
        let mut read = self.read(&named)?.into_iter();
        all.into_iter()
            .map(|stored| {
                let octets = stored.value.or_else(|| read.next()).unwrap_or_default();
                if octets.len() == stored.size {
                    Ok(octets)
                } else {
                    Err(TxError::Damaged("a value has not the length of its row"))
                }
            })
            .collect()
    }

    /// Whether a value that is ready to be stored has exactly these octets.
    pub(crate) fn holds(&self, value: &Value, octets: &[u8]) -> Result<bool, TxError> {
        match value {
            Value::Inline(value) => Ok(value == octets),
            Value::File(staged) if staged.size != octets.len() => Ok(false),
            Value::File(staged) => {
                let read = self.read(&[staged.id])?;
                Ok(read.first().is_some_and(|read| read == octets))
            }
        }
    }

    fn read(&self, ids: &[BlobId]) -> Result<Vec<Vec<u8>>, TxError> {
        match self {
            Self::Folder(folder) => ids.iter().map(|id| read_file(path(folder, id))).collect(),
            Self::Bucket(bucket) => bucket.get_all(ids),
        }
    }

    /// Removes what no row names any more. A failure is only logged: it is collected later.
    pub(crate) fn forget(&self, id: &BlobId) {
        match self {
            Self::Folder(folder) => remove(&path(folder, id)),
            Self::Bucket(bucket) => bucket.remove(id),
        }
    }

    /// Removes all that is not in `named`; returns how many.
    pub(crate) fn collect(&self, named: &BTreeSet<BlobId>) -> Result<usize, DbError> {
        let there = self.older_than(Timestamp::from_millis(i64::MAX))?;
        let orphans: Vec<_> = there.iter().filter(|id| !named.contains(*id)).collect();
        for id in &orphans {
            self.forget(id);
        }
        Ok(orphans.len())
    }

    /// What was written before a moment.
    pub(crate) fn older_than(&self, moment: Timestamp) -> Result<Vec<BlobId>, DbError> {
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::Bucket(bucket) => return bucket.older_than(moment),
        };
        let failed = |source| DbError::io(folder, source);
        let mut old = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let id = entry.file_name().to_str().and_then(parse_name);
            // What has no time of its own, or is gone meanwhile, is not old.
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let is_old = written.is_ok_and(|written| {
                let age = written.duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(age.as_millis()).is_ok_and(|millis| millis < moment.as_millis())
            });
            old.extend(id.filter(|_| is_old));
        }
        Ok(old)
    }
}

/// The id in a name, unless it is none of ours.
pub(super) fn parse_name(name: &str) -> Option<BlobId> {
    let mut id = BlobId::default();
    hex::decode_to_slice(name, &mut id).ok()?;
    Some(id)
}

fn path(folder: &Path, id: &BlobId) -> PathBuf {
    folder.join(hex::encode(id))
}

fn read_file(path: PathBuf) -> Result<Vec<u8>, TxError> {
    match fs::read(&path) {
        Ok(octets) => Ok(octets),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TxError::FileGone(path)),
        Err(error) => Err(DbError::io(&path, error).into()),
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
