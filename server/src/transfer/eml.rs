//! A tree of `.eml` files: a directory for each mailbox, a file for each message.
//!
//! A file alone knows no flags and no INTERNALDATE, so an export writes a list of them beside the
//! messages, `letterlock-messages.jsonl`, one line a message; an import takes them from there,
//! else the date from the topmost `Received` field, `Date`, or the file. Invariant: a line of the
//! list is durable no later than what the export says it has done.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use letterlock_core::id::{MailboxName, Timestamp, Uid};
use letterlock_core::mime;
use letterlock_core::mime::header::fields;
use letterlock_core::model::{Flag, FlagSet};
use serde::{Deserialize, Serialize};

use super::files::{FileEntry, NewFile, append_private, sync_folder};
use super::mbox::FoundFlags;
use super::names;
use crate::bridge::lock::create_private_dir;

/// The list in each directory.
pub const LIST_FILE: &str = "letterlock-messages.jsonl";
/// Endings of messages' files.
const ENDINGS: [&str; 2] = [".eml", ".EML"];
/// Deepest nesting of directories that is looked into.
const MAX_DEPTH: usize = 64;
/// Longest line of a list, in octets.
const MAX_LINE_OCTETS: u64 = 64 * 1024;

/// A line of the list.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    file: String,
    date_ms: i64,
    flags: Vec<String>,
}

/// A directory of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmlFolder {
    /// Where it is.
    pub path: PathBuf,
    /// The levels of its name below the root.
    pub levels: Vec<String>,
}

/// Whether a file is a message by its name.
pub fn is_message(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("eml"))
}

/// The directories that have messages, and those that an export wrote for empty mailboxes.
/// `exported`: names of directories are as an export of ours writes them.
pub fn folders(root: &Path, exported: bool) -> io::Result<Vec<EmlFolder>> {
    let mut found = Vec::new();
    let mut to_do = vec![(root.to_owned(), Vec::new())];
    while let Some((path, levels)) = to_do.pop() {
        let mut has_messages = false;
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                if !name.starts_with('.') && levels.len() < MAX_DEPTH {
                    let mut below: Vec<String> = levels.clone();
                    let escaped = exported.then(|| names::level(&name));
                    below.push(escaped.unwrap_or(name));
                    to_do.push((entry.path(), below));
                }
            } else {
                has_messages |= is_message(&entry.path()) || name == LIST_FILE;
            }
        }
        if has_messages {
            found.push(EmlFolder { path, levels });
        }
    }
    found.sort_by(|a, b| a.levels.cmp(&b.levels));
    Ok(found)
}

/// The messages of a directory, by name.
pub fn messages(folder: &Path) -> io::Result<Vec<FileEntry>> {
    let known = read_list(&folder.join(LIST_FILE));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if !is_message(&path) || path.is_dir() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = entry.metadata().map_or(0, |metadata| metadata.len());
        let mut file = FileEntry::new(path, name.as_bytes(), size);
        if let Some((date, flags)) = known.get(&name) {
            file.date = Some(*date);
            file.flags = flags.clone();
        }
        found.push(file);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read_list(path: &Path) -> BTreeMap<String, (Timestamp, FoundFlags)> {
    let mut known = BTreeMap::new();
    let Ok(file) = File::open(path) else {
        return known;
    };
    let mut file = BufReader::new(file);
    let mut text = Vec::new();
    loop {
        text.clear();
        let mut line = io::Read::take(&mut file, MAX_LINE_OCTETS);
        match line.read_until(b'\n', &mut text) {
            Ok(0) | Err(_) => return known,
            Ok(_) => {}
        }
        let Ok(line) = serde_json::from_slice::<Line>(&text) else {
            continue;
        };
        let mut flags = FoundFlags::default();
        for flag in &line.flags {
            flags.add(Flag::parse(flag).ok());
        }
        known.insert(line.file, (Timestamp::from_millis(line.date_ms), flags));
    }
}

/// The date that a message's header gives: when it was last received, else when it was written.
pub fn header_date(header: &[u8]) -> Option<Timestamp> {
    let mut written = None;
    for field in fields(header) {
        if field.is("Received") {
            // RFC 5321 4.4: the date stands after the last semicolon.
            let value = field.unfolded();
            let at = value.iter().rposition(|octet| *octet == b';');
            let date = at.and_then(|at| value.get(at.saturating_add(1)..));
            if let Some(date) = date.and_then(mime::parse_date) {
                return Some(date);
            }
        } else if written.is_none() && field.is("Date") {
            written = mime::parse_date(&field.unfolded());
        }
    }
    written
}

/// One directory of a tree being written.
#[derive(Debug)]
pub struct EmlWriter {
    folder: PathBuf,
    list: File,
    length: u64,
}

/// A message that is being written.
#[derive(Debug)]
pub struct NewMessage {
    /// Its octets go here.
    pub file: NewFile,
    name: String,
}

impl EmlWriter {
    /// The directory of a mailbox; `None` if its name is too long for one.
    pub fn folder(root: &Path, mailbox: &MailboxName) -> Option<PathBuf> {
        let mut path = root.to_owned();
        for level in mailbox.as_str().split('/') {
            path.push(names::file_level(level, &ENDINGS)?);
        }
        Some(path)
    }

    /// Opens a directory, or makes it; of its list, `length` octets are kept.
    pub fn open(folder: PathBuf, length: u64) -> io::Result<Self> {
        create_private_dir(&folder)?;
        let list = append_private(&folder.join(LIST_FILE), length)?;
        Ok(Self {
            folder,
            list,
            length,
        })
    }

    /// Removes the messages that an earlier export listed.
    pub fn clear(folder: &Path) -> io::Result<()> {
        for name in read_list(&folder.join(LIST_FILE)).into_keys() {
            // A name with a path in it is none of ours.
            if name.contains('/') || !is_message(Path::new(&name)) {
                continue;
            }
            match fs::remove_file(folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Begins a message.
    pub fn begin(&self, uid: Uid) -> io::Result<NewMessage> {
        let name = format!("{:010}.eml", uid.get());
        let file = NewFile::create(self.folder.join(format!("{name}.new")))?;
        Ok(NewMessage { file, name })
    }

    /// Ends a message.
    pub fn finish(
        &mut self,
        message: NewMessage,
        flags: &FlagSet,
        date: Timestamp,
    ) -> io::Result<()> {
        let NewMessage { file, name } = message;
        file.finish(date, &self.folder.join(&name))?;
        let line = Line {
            file: name,
            date_ms: date.as_millis(),
            flags: flags.iter().map(|flag| flag.as_str().to_owned()).collect(),
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        self.list.write_all(&text)?;
        let more = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(more);
        Ok(())
    }

    /// Makes all that was written durable; the length of the list.
    pub fn sync(&self) -> io::Result<u64> {
        self.list.sync_all()?;
        sync_folder(&self.folder)?;
        Ok(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_from_the_topmost_trace_field() {
        let header = b"Received: by a; Fri, 21 Nov 1997 10:01:10 -0600\r\n\
            Received: by b; Fri, 21 Nov 1997 09:01:10 -0600\r\n\
            Date: Fri, 21 Nov 1997 09:55:06 -0600\r\n\r\n";
        assert_eq!(header_date(header), Some(Timestamp::from_secs(880_128_070)));
        let header = b"Received: nonsense\r\nDate: Fri, 21 Nov 1997 09:55:06 -0600\r\n";
        assert_eq!(header_date(header), Some(Timestamp::from_secs(880_127_706)));
        assert_eq!(header_date(b"Subject: x\r\n\r\nDate: today"), None);
    }

    #[test]
    fn what_is_written_is_found_with_flags_and_date() {
        let root = tempfile::tempdir().unwrap();
        let name = MailboxName::new("Grüße/x.eml").unwrap();
        let folder = EmlWriter::folder(root.path(), &name).unwrap();
        let mut writer = EmlWriter::open(folder.clone(), 0).unwrap();
        let flags: FlagSet = [Flag::Seen, Flag::parse("$x").unwrap()].into();
        let date = Timestamp::from_millis(880_127_706_123);
        let mut message = writer.begin(Uid::ONE).unwrap();
        message.file.write(b"raw\0").unwrap();
        message.file.write(b"\r\n").unwrap();
        writer.finish(message, &flags, date).unwrap();
        let length = writer.sync().unwrap();
        // What was written after the last sync is cut off and written again.
        let message = writer.begin(Uid::new(2).unwrap()).unwrap();
        writer.finish(message, &flags, date).unwrap();
        drop(EmlWriter::open(folder.clone(), length).unwrap());
        let found = folders(root.path(), true).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].levels, ["Grüße", "x.eml"]);
        let messages = messages(&folder).unwrap();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].flags.flags, flags);
        assert_eq!(messages[0].date, Some(date));
        assert_eq!(messages[1].date, None);
        assert_eq!(fs::read(&messages[0].path).unwrap(), b"raw\0\r\n");
        EmlWriter::clear(&folder).unwrap();
        assert!(!messages[0].path.exists() && messages[1].path.exists());
    }
}
