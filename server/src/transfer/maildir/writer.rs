//! Messages into a Maildir++.
//!
//! A message is written to `tmp`, made durable, and renamed into `cur`, so that no program ever
//! sees half of one. Its name follows from its UID: writing it twice is writing it once.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use letterlock_core::id::{MailboxName, Timestamp, Uid, UidValidity};
use letterlock_core::model::{Flag, FlagSet};

use super::keywords::{COURIER_FOLDER, DOVECOT_FILE, LETTERS};
use super::name;
use crate::bridge::lock::create_private_dir;
use crate::bridge::unlock::write_private_octets;
use crate::transfer::files::{NewFile, create_private, sync_folder};

/// The host name in names of files that we write.
const HOST: &str = "letterlock";

/// One folder of a Maildir++ being written.
#[derive(Debug)]
pub struct MaildirWriter {
    folder: PathBuf,
    uid_validity: UidValidity,
    letters: BTreeMap<String, char>,
    letters_changed: bool,
}

/// A message that is being written.
#[derive(Debug)]
pub struct NewMessage {
    /// Its octets go here.
    pub file: NewFile,
    base: String,
    date: Timestamp,
}

impl MaildirWriter {
    /// The folder of a mailbox.
    pub fn folder(root: &Path, mailbox: &MailboxName) -> PathBuf {
        if mailbox.is_inbox() {
            return root.to_owned();
        }
        root.join(name::file_name(mailbox.as_str().split('/')))
    }

    /// Opens the folder of a mailbox, or makes it.
    pub fn open(root: &Path, mailbox: &MailboxName, validity: UidValidity) -> io::Result<Self> {
        let folder = Self::folder(root, mailbox);
        for part in ["tmp", "new", "cur"] {
            create_private_dir(&folder.join(part))?;
        }
        if !mailbox.is_inbox() {
            // What tells Maildir++ folders from Maildirs of their own.
            drop(create_private(&folder.join("maildirfolder"))?);
        }
        let known = fs::read_to_string(folder.join(DOVECOT_FILE)).unwrap_or_default();
        let letters = known.lines().filter_map(|line| {
            let (index, keyword) = line.split_once(' ')?;
            Some((keyword.to_owned(), letter(index.parse().ok()?)?))
        });
        Ok(Self {
            letters: letters.collect(),
            letters_changed: false,
            folder,
            uid_validity: validity,
        })
    }

    /// Removes the messages after `last` that an earlier export wrote; all of them for `None`.
    pub fn discard_after(&self, last: Option<Uid>) -> io::Result<()> {
        discard(&self.folder, last)
    }

    /// Removes the messages of a folder that an earlier export wrote.
    pub fn discard_all(folder: &Path) -> io::Result<()> {
        discard(folder, None)
    }

    /// Begins a message of so many octets.
    pub fn begin(&self, uid: Uid, size: u64, date: Timestamp) -> io::Result<NewMessage> {
        let base = format!(
            "{}.M{}U{uid}V{}.{HOST},S={size}",
            date.as_secs().max(0),
            date.as_millis().rem_euclid(1000),
            self.uid_validity,
        );
        let file = NewFile::create(self.folder.join("tmp").join(&base))?;
        Ok(NewMessage { file, base, date })
    }

    /// Ends a message.
    pub fn finish(&mut self, message: NewMessage, flags: &FlagSet) -> io::Result<()> {
        let NewMessage { file, base, date } = message;
        let (info, more) = self.info(flags);
        if !more.is_empty() {
            self.write_more(&base, &more)?;
        }
        let name = self.folder.join("cur").join(format!("{base}:2,{info}"));
        file.finish(date, &name)
    }

    /// Makes all that was written durable.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.letters_changed {
            let mut lines: Vec<(char, &String)> = self
                .letters
                .iter()
                .map(|(keyword, letter)| (*letter, keyword))
                .collect();
            lines.sort_unstable();
            let lines = lines.iter().enumerate();
            let lines: Vec<String> = lines
                .map(|(at, (_, word))| format!("{at} {word}\n"))
                .collect();
            write_private_octets(&self.folder.join(DOVECOT_FILE), lines.concat().as_bytes())?;
            self.letters_changed = false;
        }
        sync_folder(&self.folder.join("cur"))
    }

    /// The letters of a message's flags, in order, and the keywords that have none.
    fn info(&mut self, flags: &FlagSet) -> (String, Vec<String>) {
        let mut letters = Vec::new();
        let mut more = Vec::new();
        for flag in flags {
            match flag {
                Flag::Draft => letters.push('D'),
                Flag::Flagged => letters.push('F'),
                Flag::Answered => letters.push('R'),
                Flag::Seen => letters.push('S'),
                Flag::Deleted => letters.push('T'),
                Flag::Keyword(keyword) if keyword.as_str() == "$Forwarded" => letters.push('P'),
                Flag::Keyword(keyword) => match self.letter_of(keyword.as_str()) {
                    Some(letter) => letters.push(letter),
                    None => more.push(keyword.as_str().to_owned()),
                },
            }
        }
        letters.sort_unstable();
        (letters.into_iter().collect(), more)
    }

    fn letter_of(&mut self, keyword: &str) -> Option<char> {
        if let Some(letter) = self.letters.get(keyword) {
            return Some(*letter);
        }
        let next = letter(u8::try_from(self.letters.len()).ok()?)?;
        self.letters.insert(keyword.to_owned(), next);
        self.letters_changed = true;
        Some(next)
    }

    /// Keywords beyond Dovecot's letters, as Courier keeps them.
    fn write_more(&self, base: &str, keywords: &[String]) -> io::Result<()> {
        let folder = self.folder.join(COURIER_FOLDER);
        create_private_dir(&folder)?;
        let mut file = create_private(&folder.join(base))?;
        file.write_all((keywords.join("\n") + "\n").as_bytes())?;
        file.sync_all()
    }
}

fn discard(folder: &Path, after: Option<Uid>) -> io::Result<()> {
    for part in ["tmp", "new", "cur", COURIER_FOLDER] {
        let entries = match fs::read_dir(folder.join(part)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let uid = written_uid(&entry.file_name().to_string_lossy());
            if uid.is_some_and(|uid| after.is_none_or(|after| uid > after)) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// The UID in a file name that we wrote.
fn written_uid(name: &str) -> Option<Uid> {
    let (base, _) = name.split_once(&format!(".{HOST},S="))?;
    let (_, rest) = base.split_once('U')?;
    let (uid, _) = rest.split_once('V')?;
    Uid::new(uid.parse().ok()?)
}

fn letter(index: u8) -> Option<char> {
    let within = usize::from(index) < LETTERS;
    within
        .then(|| b'a'.checked_add(index).map(char::from))
        .flatten()
}
