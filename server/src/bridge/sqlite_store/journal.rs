//! What was committed and is not in the files yet: two files in turn, each written from its
//! beginning.
//!
//! ```text
//! magic (8)  generation (8, the lowest octet first)  record ...
//! ```
//!
//! A commit writes one record behind the last and waits for the disk once, if it has to wait at
//! all. Room is taken before it is needed, so that the disk has the octets to write and nothing
//! about the file. When what the journal has is to go into the files, the other one is begun;
//! which one the files have is told by a number in them ([`super::writer`]), in the same step.
//!
//! Invariant: what was committed is a beginning of the records: one that is torn ends them, and
//! before the other journal is begun all of this one are on the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use letterlock_core::store::{JournalKey, Op, RecordPlace, StoreError};
use rand::rngs::OsRng;

use super::with_suffix;

const MAGIC: [u8; 8] = *b"LLjrnl\0\x01";
const HEADER_OCTETS: u64 = 16;
/// So much room is taken at a time, in octets.
const ROOM_OCTETS: usize = 256 * 1024;
/// More room than this, in octets, is given back when a journal is begun.
const KEPT_ROOM_OCTETS: u64 = 4 * 1024 * 1024;

/// The two files, of which one is written.
pub(super) struct Journal {
    key: JournalKey,
    paths: [PathBuf; 2],
    current: Part,
    other: Part,
    generation: u64,
    /// Records that the current one has.
    records: u64,
    /// Where the next record goes.
    end: u64,
    /// Where the last record is.
    last: u64,
    /// Whether all of it is on the disk.
    is_synced: bool,
}

struct Part {
    file: File,
    path: PathBuf,
    /// Octets that the file has.
    room: u64,
}

/// The records of a journal that the files may not have.
pub(super) struct Left {
    pub(super) generation: u64,
    pub(super) ops: Vec<Op>,
}

impl Journal {
    /// The names of the two files.
    pub(super) fn paths(store: &Path) -> [PathBuf; 2] {
        ["-journal-a", "-journal-b"].map(|suffix| with_suffix(store, suffix))
    }

    /// Opens the files, or makes them, and gives what is left in them of generations after
    /// `folded`, in their order.
    pub(super) fn open(
        store: &Path,
        key: &[u8; 32],
        folded: u64,
    ) -> Result<(Self, Vec<Left>), StoreError> {
        let key = JournalKey::new(key);
        let paths = Self::paths(store);
        let [a, b] = &paths;
        let (current, other) = (Part::open(a)?, Part::open(b)?);
        let mut left = Vec::new();
        for part in [&current, &other] {
            left.extend(part.read(&key, folded)?);
        }
        left.sort_by_key(|left| left.generation);
        // The folder has them before the first record says that it is on the disk.
        sync_folder(store)?;
        let last = left.last().map_or(folded, |left| left.generation);
        let journal = Self {
            key,
            paths,
            current,
            other,
            generation: last + 1,
            records: 0,
            end: HEADER_OCTETS,
            last: HEADER_OCTETS,
            is_synced: true,
        };
        Ok((journal, left))
    }

    /// Writes a record behind the last.
    pub(super) fn write(&mut self, ops: &[Op]) -> Result<(), StoreError> {
        let place = RecordPlace {
            generation: self.generation,
            number: self.records,
        };
        let record = self.key.seal(place, ops, &mut OsRng);
        let mut octets = record.ok_or_else(|| self.current.error("a batch is too long"))?;
        let mut at = self.end;
        if self.records == 0 {
            let header = [&MAGIC[..], &self.generation.to_le_bytes()].concat();
            octets.splice(0..0, header);
            at = 0;
        }
        self.current.write(&octets, at)?;
        self.last = self.end;
        self.end = at + octets.len() as u64;
        self.records += 1;
        self.is_synced = false;
        Ok(())
    }

    /// Waits until all records are on the disk. If that fails the last one is taken back.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if self.is_synced {
            return Ok(());
        }
        let synced = self.current.file.sync_data();
        if let Err(error) = synced {
            let error = self.current.failed(&error);
            self.take_back();
            return Err(error);
        }
        self.is_synced = true;
        Ok(())
    }

    /// The last record never was.
    fn take_back(&mut self) {
        self.records -= 1;
        self.end = self.last;
        // Whatever the disk does with it: it is written over by the next.
        let _gone = self.current.write(&[0; 4], self.end);
    }

    /// Ends the current generation, all of it on the disk, and begins another in the other file,
    /// which has nothing any more that is needed. `None` if there is no record.
    pub(super) fn turn(&mut self) -> Result<Option<u64>, StoreError> {
        if self.records == 0 {
            return Ok(None);
        }
        if !self.is_synced {
            let synced = self.current.file.sync_data();
            synced.map_err(|error| self.current.failed(&error))?;
        }
        let ended = self.generation;
        std::mem::swap(&mut self.current, &mut self.other);
        self.current.give_back();
        self.generation += 1;
        (self.records, self.is_synced) = (0, true);
        (self.end, self.last) = (HEADER_OCTETS, HEADER_OCTETS);
        Ok(Some(ended))
    }

    /// Removes the files: everything is where it belongs.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.paths.iter().try_for_each(std::fs::remove_file)
    }
}

impl Part {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path);
        let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
        let (room, file) = opened.map_err(|error| failed(path, &error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            room,
        })
    }

    /// Its records, if the files may not have them and there is one.
    fn read(&self, key: &JournalKey, folded: u64) -> Result<Option<Left>, StoreError> {
        let octets = std::fs::read(&self.path).map_err(|error| self.failed(&error))?;
        let Some((header, mut rest)) = octets.split_first_chunk::<16>() else {
            return Ok(None);
        };
        let Some(generation) = header.strip_prefix(&MAGIC) else {
            return Ok(None);
        };
        let generation = generation.try_into().map_or(0, u64::from_le_bytes);
        if generation <= folded {
            return Ok(None);
        }
        let (mut ops, mut number) = (Vec::new(), 0);
        loop {
            let place = RecordPlace { generation, number };
            let record = key.open(place, rest);
            let Some((more, length)) = record.map_err(|error| self.error(&error.to_string()))?
            else {
                break;
            };
            ops.extend(more);
            number += 1;
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok((number > 0).then_some(Left { generation, ops }))
    }

    fn write(&mut self, octets: &[u8], at: u64) -> Result<(), StoreError> {
        let end = at + octets.len() as u64;
        while self.room < end {
            let zeros = vec![0; ROOM_OCTETS];
            self.write_at(&zeros, self.room)?;
            self.room += zeros.len() as u64;
        }
        self.write_at(octets, at)
    }

    /// Gives room back that one long record has taken. That it does not work is no harm.
    fn give_back(&mut self) {
        if self.room > KEPT_ROOM_OCTETS && self.file.set_len(KEPT_ROOM_OCTETS).is_ok() {
            self.room = KEPT_ROOM_OCTETS;
        }
    }

    fn write_at(&self, octets: &[u8], at: u64) -> Result<(), StoreError> {
        let mut file = &self.file;
        let there = file.seek(SeekFrom::Start(at));
        let written = there.and_then(|_| file.write_all(octets));
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        failed(&self.path, error)
    }

    fn error(&self, detail: &str) -> StoreError {
        StoreError::Backend {
            place: self.path.display().to_string(),
            detail: detail.to_owned(),
        }
    }
}

fn sync_folder(store: &Path) -> Result<(), StoreError> {
    let folder = store.parent().unwrap_or(store);
    // A name alone has no folder before it.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, &error))
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    let place = path.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { place },
        kind => StoreError::Backend {
            place,
            detail: kind.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use letterlock_core::store::Table;

    use super::*;

    const KEY: [u8; 32] = [0x5c; 32];

    fn ops(value: u8) -> Vec<Op> {
        vec![Op::Put(Table::Meta, b"key".to_vec(), vec![value; 1000])]
    }

    fn left(store: &Path, folded: u64) -> (u64, Vec<(u64, Vec<Op>)>) {
        let (journal, left) = Journal::open(store, &KEY, folded).unwrap();
        let left = left.into_iter().map(|left| (left.generation, left.ops));
        (journal.generation, left.collect())
    }

    #[test]
    fn what_was_written_is_left_until_the_files_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("replica.db");
        let (mut journal, before) = Journal::open(&store, &KEY, 0).unwrap();
        assert!(before.is_empty());
        assert_eq!(journal.turn().unwrap(), None);
        journal.write(&ops(1)).unwrap();
        journal.write(&ops(2)).unwrap();
        assert_eq!(left(&store, 0), (2, vec![(1, [ops(1), ops(2)].concat())]));
        assert_eq!(journal.turn().unwrap(), Some(1));
        journal.write(&ops(3)).unwrap();
        journal.sync().unwrap();
        let third = (2, ops(3));
        let all = vec![(1, [ops(1), ops(2)].concat()), third.clone()];
        assert_eq!(left(&store, 0), (3, all));
        assert_eq!(left(&store, 1), (3, vec![third]));
        // The first file again, with what is left of its first generation behind the record.
        assert_eq!(journal.turn().unwrap(), Some(2));
        journal.write(&ops(4)).unwrap();
        assert_eq!(left(&store, 2), (4, vec![(3, ops(4))]));
        assert_eq!(left(&store, 3), (4, vec![]));
        journal.remove().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_torn_record_ends_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("replica.db");
        let (mut journal, _) = Journal::open(&store, &KEY, 0).unwrap();
        journal.write(&ops(1)).unwrap();
        let end = journal.end;
        journal.write(&ops(2)).unwrap();
        journal.write(&ops(3)).unwrap();
        let [path, _] = Journal::paths(&store);
        let mut file = OpenOptions::new().write(true).open(path).unwrap();
        file.seek(SeekFrom::Start(end + 500)).unwrap();
        file.write_all(&[0; 100]).unwrap();
        assert_eq!(left(&store, 0), (2, vec![(1, ops(1))]));
    }

    #[test]
    fn what_was_taken_back_never_was() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("replica.db");
        let (mut journal, _) = Journal::open(&store, &KEY, 0).unwrap();
        for value in 1..=3 {
            journal.write(&ops(value)).unwrap();
            if value == 2 {
                journal.take_back();
                assert_eq!(left(&store, 0), (2, vec![(1, ops(1))]));
            }
        }
        let expected = [ops(1), ops(3)].concat();
        assert_eq!(left(&store, 0), (2, vec![(1, expected)]));
    }

    #[test]
    fn long_records_have_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("replica.db");
        let (mut journal, _) = Journal::open(&store, &KEY, 0).unwrap();
        let long = vec![Op::Put(Table::Contents, vec![1], vec![7; 3 * ROOM_OCTETS])];
        journal.write(&long).unwrap();
        journal.write(&ops(1)).unwrap();
        let expected = [long, ops(1)].concat();
        assert_eq!(left(&store, 0), (2, vec![(1, expected)]));
    }

    #[test]
    fn room_of_a_long_record_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("replica.db");
        let (mut journal, _) = Journal::open(&store, &KEY, 0).unwrap();
        let longest = vec![7; 6 * 1024 * 1024];
        journal
            .write(&[Op::Put(Table::Contents, vec![1], longest)])
            .unwrap();
        let [path, _] = Journal::paths(&store);
        assert!(std::fs::metadata(&path).unwrap().len() > KEPT_ROOM_OCTETS);
        for value in 1..=2 {
            journal.turn().unwrap();
            journal.write(&ops(value)).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), KEPT_ROOM_OCTETS);
        let expected = vec![(2, ops(1)), (3, ops(2))];
        assert_eq!(left(&store, 1), (4, expected));
    }
}
