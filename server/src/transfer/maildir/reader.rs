//! Folders and messages of a Maildir.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use letterlock_core::model::Flag;

use super::keywords::{COURIER_FOLDER, Keywords};
use super::name;
use crate::transfer::files::FileEntry;
use crate::transfer::mbox::{FoundFlags, keyword};

/// What stands between a message's name and its flags; `:` cannot be in a name on Windows.
const INFO_MARKS: [&str; 3] = [":2,", "!2,", ";2,"];
/// Deepest nesting of folders that is looked into.
const MAX_DEPTH: usize = 64;
/// `KMail` keeps the folders in `a` in `.a.directory`.
const KMAIL_ENDING: &str = ".directory";
/// Thunderbird keeps those in `a` in `a.sbd`.
const THUNDERBIRD_ENDING: &str = ".sbd";

/// A folder of a Maildir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaildirFolder {
    /// Where it is.
    pub path: PathBuf,
    /// The levels of its name; none for INBOX.
    pub levels: Vec<String>,
}

/// Whether a directory is a Maildir folder.
pub fn is_maildir(path: &Path) -> bool {
    path.join("cur").is_dir() || path.join("new").is_dir()
}

/// The folders below a directory, INBOX first, as these programs lay them out:
///
/// | where `A` has `B` in it | by |
/// |---|---|
/// | `.A.B` | Dovecot, Courier, mbsync's `SubFolders Maildir++` (`..B` is in INBOX) |
/// | `A/B` | Dovecot's `LAYOUT=fs`, mbsync's `Verbatim`, mutt |
/// | `A/.B` | mbsync's `Legacy` |
/// | `.A.directory/B` | `KMail` |
/// | `A.sbd/B` | Thunderbird |
pub fn folders(root: &Path) -> io::Result<Vec<MaildirFolder>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut to_do = vec![(root.to_owned(), Vec::new())];
    while let Some((path, levels)) = to_do.pop() {
        // A link may lead to a folder that is above it, or beside it.
        if levels.len() > MAX_DEPTH || !seen.insert(fs::canonicalize(&path)?) {
            continue;
        }
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.path().is_dir() {
                continue;
            }
            if let Some(more) = levels_of(&name, is_maildir(&entry.path())) {
                to_do.push((entry.path(), [&levels[..], &more[..]].concat()));
            }
        }
        if is_maildir(&path) {
            found.push(MaildirFolder { path, levels });
        }
    }
    found.sort_by(|a, b| a.levels.cmp(&b.levels));
    Ok(found)
}

/// The levels that a directory adds to those of the one that it is in; `None`: no mail in it.
fn levels_of(name: &str, is_maildir: bool) -> Option<Vec<String>> {
    let parts_of_folder = ["cur", "new", "tmp", COURIER_FOLDER];
    if parts_of_folder.contains(&name) {
        return None;
    }
    let holder = |prefix: &str, suffix: &str| {
        let inner = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
        (!is_maildir && !inner.is_empty()).then(|| vec![name::decode(inner)])
    };
    if let Some(levels) = holder(".", KMAIL_ENDING).or_else(|| holder("", THUNDERBIRD_ENDING)) {
        return Some(levels);
    }
    if name.starts_with('.') {
        // Others with a dot are programs' own.
        return is_maildir.then(|| name::levels(name));
    }
    Some(vec![name::decode(name)])
}

/// The messages of a folder, in the order of their delivery.
pub fn messages(folder: &Path) -> io::Result<Vec<FileEntry>> {
    let keywords = Keywords::read(folder);
    let mut found = Vec::new();
    for part in ["new", "cur"] {
        let part = folder.join(part);
        let entries = match fs::read_dir(&part) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Dovecot and others keep files of their own there, all with a dot.
            if name.starts_with('.') || entry.path().is_dir() {
                continue;
            }
            let (base, info) = split_info(&name);
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            let mut file = FileEntry::new(entry.path(), base.as_bytes(), size);
            file.order = delivery_order(base);
            file.flags = flags(base, info, &keywords);
            found.push(file);
        }
    }
    found.sort_by(|a, b| (a.order, &a.path).cmp(&(b.order, &b.path)));
    Ok(found)
}

fn split_info(name: &str) -> (&str, &str) {
    let mut found = INFO_MARKS.iter().filter_map(|mark| name.rsplit_once(mark));
    found.next().unwrap_or((name, ""))
}

/// Names begin with the second of the delivery.
fn delivery_order(base: &str) -> u64 {
    let second = base.split('.').next().unwrap_or_default();
    second.parse().unwrap_or(u64::MAX)
}

fn flags(base: &str, info: &str, keywords: &Keywords) -> FoundFlags {
    let mut found = FoundFlags::default();
    for letter in info.chars() {
        match letter {
            'D' => found.add(Some(Flag::Draft)),
            'F' => found.add(Some(Flag::Flagged)),
            'P' => found.add(keyword("$Forwarded")),
            'R' => found.add(Some(Flag::Answered)),
            'S' => found.add(Some(Flag::Seen)),
            'T' => found.add(Some(Flag::Deleted)),
            'a'..='z' => found.add(keywords.of_letter(letter).and_then(keyword)),
            _ => {}
        }
    }
    for text in keywords.of_name(base) {
        found.add(keyword(text));
    }
    found
}
