//! Keywords of a Maildir: Dovecot's `dovecot-keywords` and Courier's `courierimapkeywords`.
//!
//! Dovecot gives the letters `a` to `z` of a file name's flags a meaning, in lines `0 $Forwarded`.
//! Courier keeps, in `courierimapkeywords/:list`, the keywords one a line, an empty line, and
//! lines `name:0 3`; and beside it a file for each message that changed since (`name`, or
//! `.N.name`, the highest N), with one keyword a line, which overrules the list.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Dovecot's file in a folder.
pub(super) const DOVECOT_FILE: &str = "dovecot-keywords";
/// Courier's folder in a folder.
pub(super) const COURIER_FOLDER: &str = "courierimapkeywords";
const COURIER_LIST: &str = ":list";
/// Letters that Dovecot gives a meaning.
pub(super) const LETTERS: usize = 26;
/// Longest of these files that is read, in octets.
const MAX_FILE_OCTETS: u64 = 64 * 1024 * 1024;

/// The keywords of a folder's messages.
#[derive(Debug, Default)]
pub(super) struct Keywords {
    letters: BTreeMap<char, String>,
    by_name: BTreeMap<String, Vec<String>>,
}

impl Keywords {
    /// Reads what a folder has; what is not there or damaged says nothing.
    pub(super) fn read(folder: &Path) -> Self {
        let dovecot = read_text(&folder.join(DOVECOT_FILE)).unwrap_or_default();
        let letters = dovecot.lines().filter_map(dovecot_line).collect();
        let courier = folder.join(COURIER_FOLDER);
        let list = read_text(&courier.join(COURIER_LIST)).unwrap_or_default();
        let mut by_name = courier_list(&list);
        for (name, keywords) in courier_files(&courier) {
            by_name.insert(name, keywords);
        }
        Self { letters, by_name }
    }

    /// The keyword of a letter in a file name.
    pub(super) fn of_letter(&self, letter: char) -> Option<&str> {
        self.letters.get(&letter).map(String::as_str)
    }

    /// The keywords that are kept under a message's name.
    pub(super) fn of_name(&self, name: &str) -> &[String] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE_OCTETS {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

fn dovecot_line(line: &str) -> Option<(char, String)> {
    let (index, keyword) = line.split_once(' ')?;
    let index = index
        .parse::<u8>()
        .ok()
        .filter(|n| usize::from(*n) < LETTERS)?;
    let letter = char::from(b'a'.checked_add(index)?);
    Some((letter, keyword.trim().to_owned()))
}

fn courier_list(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let of = |indexes: &str| -> Vec<String> {
        let indexes = indexes.split_ascii_whitespace();
        let found = indexes.filter_map(|index| names.get(index.parse::<usize>().ok()?));
        found.map(|name| (*name).to_owned()).collect()
    };
    lines
        .filter_map(|line| {
            let (name, indexes) = line.rsplit_once(':')?;
            Some((name.to_owned(), of(indexes)))
        })
        .collect()
}

fn courier_files(folder: &Path) -> BTreeMap<String, Vec<String>> {
    // The latest of each: the one without a number, else that with the highest.
    let mut latest: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeMap::new();
    };
    for entry in entries.flatten() {
        let Ok(file) = entry.file_name().into_string() else {
            continue;
        };
        let (number, name) = match file.strip_prefix('.') {
            Some(rest) => match rest.split_once('.') {
                Some((number, name)) => (number.parse::<u64>().ok(), name.to_owned()),
                None => (None, String::new()),
            },
            None => (Some(u64::MAX), file.clone()),
        };
        let Some(number) = number.filter(|_| !name.is_empty() && !name.starts_with(':')) else {
            continue;
        };
        let known = latest.get(&name).map(|(number, _)| *number);
        if known.is_none_or(|known| known <= number) {
            latest.insert(name, (number, file));
        }
    }
    let texts = latest.into_iter().filter_map(|(name, (_, file))| {
        let text = read_text(&folder.join(file)).ok()?;
        let keywords = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Some((name, keywords.map(str::to_owned).collect()))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(Keywords::read(folder.path()).of_letter('a'), None);
        write(DOVECOT_FILE, "0 $Forwarded\n1 Work\n26 Beyond\nnonsense\n");
        fs::create_dir(folder.path().join(COURIER_FOLDER)).unwrap();
        write(
            "courierimapkeywords/:list",
            "one\ntwo\n\n1.a,S=3:0 1\n2.b:1\n3.c:0 9\n",
        );
        write("courierimapkeywords/2.b", "three\n");
        write("courierimapkeywords/.7.3.c", "four\n");
        write("courierimapkeywords/.8.3.c", "");
        let keywords = Keywords::read(folder.path());
        assert_eq!(keywords.of_letter('a'), Some("$Forwarded"));
        assert_eq!(keywords.of_letter('b'), Some("Work"));
        assert_eq!(keywords.of_letter('c'), None);
        assert_eq!(keywords.of_name("1.a,S=3"), ["one", "two"]);
        assert_eq!(keywords.of_name("2.b"), ["three"]);
        assert!(keywords.of_name("3.c").is_empty());
    }
}
