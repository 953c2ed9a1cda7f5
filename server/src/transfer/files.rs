//! Messages that are a file each, and private files of our own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use letterlock_core::id::Timestamp;
use sha2::{Digest as _, Sha256};

use super::mbox::FoundFlags;

/// Octets of a key: too many for two messages of one folder to have the same by accident.
pub const KEY_OCTETS: usize = 16;

/// Stands for a message's file, whatever its flags are.
pub type FileKey = [u8; KEY_OCTETS];

/// A message's file.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// Where it is.
    pub path: PathBuf,
    /// What it is known by.
    pub key: FileKey,
    /// Its size when it was listed.
    pub size: u64,
    /// Its flags, as far as its folder says.
    pub flags: FoundFlags,
    /// INTERNALDATE, if its folder says.
    pub date: Option<Timestamp>,
    /// Its place among the others.
    pub order: u64,
}

impl FileEntry {
    /// A file that is known by `name`.
    pub fn new(path: PathBuf, name: &[u8], size: u64) -> Self {
        let digest: [u8; 32] = Sha256::digest(name).into();
        let mut key = [0; KEY_OCTETS];
        for (slot, octet) in key.iter_mut().zip(digest) {
            *slot = octet;
        }
        Self {
            path,
            key,
            size,
            flags: FoundFlags::default(),
            date: None,
            order: 0,
        }
    }
}

/// When a file was last changed.
pub fn modified(metadata: &fs::Metadata) -> Option<Timestamp> {
    let time = metadata.modified().ok()?;
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).ok();
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after).map(Timestamp::from_millis),
        Err(before) => millis(before.duration())
            .and_then(i64::checked_neg)
            .map(Timestamp::from_millis),
    }
}

/// Sets when a file was last changed.
pub fn set_modified(file: &File, time: Timestamp) -> io::Result<()> {
    let distance = Duration::from_millis(time.as_millis().unsigned_abs());
    let time = if time.as_millis() < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    // A time that the system cannot keep is left at now.
    time.map_or(Ok(()), |time| file.set_modified(time))
}

/// Makes a file, or empties it, for its owner alone.
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file that gets its name when it is whole and durable; dropped before, it is removed.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    temporary: PathBuf,
    named: bool,
}

impl NewFile {
    /// Makes it under a name for the time being.
    pub fn create(temporary: PathBuf) -> io::Result<Self> {
        Ok(Self {
            file: create_private(&temporary)?,
            temporary,
            named: false,
        })
    }

    /// Writes the next octets.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)
    }

    /// Gives it its name.
    pub fn finish(mut self, modified: Timestamp, name: &Path) -> io::Result<()> {
        set_modified(&self.file, modified)?;
        self.file.sync_all()?;
        fs::rename(&self.temporary, name)?;
        self.named = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            // The next run writes over what is left, or removes it.
            let _removed = fs::remove_file(&self.temporary);
        }
    }
}

/// Opens a file for writing at its end, or makes it, for its owner alone; what stands beyond
/// `length` octets is cut off.
pub fn append_private(path: &Path, length: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.set_len(length)?;
    io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
    Ok(file)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for millis in [0, -1, -86_400_001, 880_106_106_789] {
            let file = create_private(&path).unwrap();
            set_modified(&file, Timestamp::from_millis(millis)).unwrap();
            let back = modified(&fs::metadata(&path).unwrap()).unwrap();
            assert_eq!(back.as_millis(), millis);
        }
    }

    #[test]
    fn a_file_that_is_not_finished_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, name) = (folder.path().join("a.new"), folder.path().join("a"));
        let mut file = NewFile::create(temporary.clone()).unwrap();
        file.write(b"half").unwrap();
        drop(file);
        assert!(!temporary.exists() && !name.exists());
        let mut file = NewFile::create(temporary.clone()).unwrap();
        file.write(b"all").unwrap();
        file.finish(Timestamp::from_secs(1), &name).unwrap();
        assert!(!temporary.exists());
        assert_eq!(fs::read(name).unwrap(), b"all");
    }

    #[cfg(unix)]
    #[test]
    fn files_are_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        for (name, file) in [
            ("a", create_private(&folder.path().join("a"))),
            ("b", append_private(&folder.path().join("b"), 0)),
        ] {
            drop(file.unwrap());
            let mode = fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
