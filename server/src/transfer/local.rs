//! Finds mailboxes in files and directories, and tells how they are kept.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::eml;
use super::export_state::STATE_FILE;
use super::maildir;
use super::mbox::Dialect;
use super::names;
use super::source::{Format, SourceError, Unit, UnitPlace, at};

/// Deepest nesting of directories that is looked into for mboxes.
const MAX_DEPTH: usize = 64;
/// Endings of directories that hold the mailboxes below one: Thunderbird's.
const SUBFOLDERS_ENDING: &str = ".sbd";
/// The same: `KMail`'s, behind a dot.
const KMAIL_ENDING: &str = ".directory";
/// The ending of an mbox, which is no part of the mailbox's name.
const MBOX_ENDING: &str = ".mbox";

/// What a person said of a source.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// How it is kept; `None`: to be told by its content.
    pub format: Option<Format>,
    /// Which dialect its mboxes are in; `None`: to be told by their content.
    pub dialect: Option<Dialect>,
}

/// The mailboxes at a path.
pub fn units(path: &Path, wanted: Wanted) -> Result<Vec<Unit>, SourceError> {
    let path = fs::canonicalize(path).map_err(at(path))?;
    if !path.is_dir() {
        return Ok(vec![single_file(&path, wanted)?]);
    }
    let format = match wanted.format {
        Some(format) => format,
        None => detect(&path).map_err(at(&path))?,
    };
    let units = match format {
        Format::Mbox => mboxes(&path, wanted)?,
        Format::Maildir => maildirs(&path)?,
        Format::Eml => emls(&path)?,
    };
    if units.is_empty() {
        let what = match format {
            Format::Mbox => "a directory without an mbox",
            Format::Maildir => "no Maildir: it has neither `cur` nor `new`",
            Format::Eml => "a directory without .eml files",
        };
        return Err(SourceError::Unknown { path, what });
    }
    Ok(units)
}

fn single_file(path: &Path, wanted: Wanted) -> Result<Unit, SourceError> {
    let unknown = |what| SourceError::Unknown {
        path: path.to_owned(),
        what,
    };
    match wanted.format {
        None | Some(Format::Mbox) => {}
        Some(Format::Maildir | Format::Eml) => {
            return Err(unknown("a file: give the directory"));
        }
    }
    if eml::is_message(path) && wanted.format.is_none() {
        return Err(unknown(
            "a single message: give the directory that it is in",
        ));
    }
    if wanted.format.is_none() && !is_mbox(path).map_err(at(path))? {
        return Err(unknown(
            "no mbox: it does not begin with a From_ line (--format mbox takes it all the same)",
        ));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(MBOX_ENDING).unwrap_or(&name);
    let mut unit = mbox_unit(path, vec![name.to_owned()], wanted)?;
    unit.alone = true;
    Ok(unit)
}

fn mbox_unit(path: &Path, levels: Vec<String>, wanted: Wanted) -> Result<Unit, SourceError> {
    let dialect = match wanted.dialect {
        Some(dialect) => dialect,
        None => Dialect::detect(path).map_err(at(path))?,
    };
    let octets = fs::metadata(path).map_err(at(path))?.len();
    Ok(Unit {
        shown: path.display().to_string(),
        identity: path.as_os_str().as_encoded_bytes().to_vec(),
        levels,
        alone: false,
        role: None,
        octets: Some(octets),
        messages: None,
        place: UnitPlace::Mbox(path.to_owned(), dialect),
    })
}

/// Whether a file begins as an mbox does. An empty one is an empty mailbox.
fn is_mbox(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut start)?;
    let text = start.trim_ascii_start();
    let ends_so = || {
        path.extension()
            .is_some_and(|extension| extension == "mbox")
    };
    Ok(text.starts_with(b"From ") || text.is_empty() && ends_so())
}

/// Tells how the mailboxes of a directory are kept.
fn detect(path: &Path) -> io::Result<Format> {
    let state = fs::read_to_string(path.join(STATE_FILE)).unwrap_or_default();
    let formats = [Format::Mbox, Format::Maildir, Format::Eml];
    let written = formats
        .into_iter()
        .find(|format| state.contains(&format!("\"format\": \"{}\"", format.name())));
    if let Some(format) = written {
        return Ok(format);
    }
    if !maildir::folders(path)?.is_empty() {
        return Ok(Format::Maildir);
    }
    let has_eml = !eml::folders(path, false)?.is_empty();
    Ok(if has_eml { Format::Eml } else { Format::Mbox })
}

fn mboxes(root: &Path, wanted: Wanted) -> Result<Vec<Unit>, SourceError> {
    let exported = root.join(STATE_FILE).is_file();
    let name_of = |name: &str| {
        let escaped = exported.then(|| names::level(name));
        escaped.unwrap_or_else(|| name.to_owned())
    };
    let mut found = Vec::new();
    let mut to_do: Vec<(PathBuf, Vec<String>)> = vec![(root.to_owned(), Vec::new())];
    while let Some((path, levels)) = to_do.pop() {
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let path = entry.map_err(at(&path))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kmail = name.strip_prefix('.');
            let kmail = kmail.and_then(|name| name.strip_suffix(KMAIL_ENDING));
            let kmail = kmail.filter(|name| !name.is_empty() && path.is_dir());
            if name.starts_with('.') && kmail.is_none() || name == STATE_FILE {
                continue;
            }
            let mut below = levels.clone();
            if path.is_dir() {
                let name = kmail.unwrap_or(&name);
                let name = name.strip_suffix(SUBFOLDERS_ENDING).unwrap_or(name);
                below.push(name_of(name));
                if below.len() < MAX_DEPTH {
                    to_do.push((path, below));
                }
            } else if is_mbox(&path).map_err(at(&path))? {
                let name = name.strip_suffix(MBOX_ENDING).unwrap_or(&name);
                below.push(name_of(name));
                found.push(mbox_unit(&path, below, wanted)?);
            }
        }
    }
    found.sort_by(|a, b| a.levels.cmp(&b.levels));
    Ok(found)
}

fn maildirs(root: &Path) -> Result<Vec<Unit>, SourceError> {
    let mut units = Vec::new();
    for folder in maildir::folders(root).map_err(at(root))? {
        let mut levels = folder.levels;
        if levels.is_empty() {
            levels.push("INBOX".to_owned());
        }
        let entries = maildir::messages(&folder.path).map_err(at(&folder.path))?;
        let sizes = entries.iter().map(|entry| entry.size).collect();
        units.push(folder_unit(folder.path, levels, sizes, UnitPlace::Maildir));
    }
    Ok(units)
}

fn emls(root: &Path) -> Result<Vec<Unit>, SourceError> {
    let mut units = Vec::new();
    let exported = root.join(STATE_FILE).is_file();
    for folder in eml::folders(root, exported).map_err(at(root))? {
        let mut levels = folder.levels;
        if levels.is_empty() {
            let name = root.file_name().unwrap_or_default().to_string_lossy();
            levels.push(name.into_owned());
        }
        let entries = eml::messages(&folder.path).map_err(at(&folder.path))?;
        let sizes = entries.iter().map(|entry| entry.size).collect();
        units.push(folder_unit(folder.path, levels, sizes, UnitPlace::Eml));
    }
    Ok(units)
}

/// A folder with a file for each message.
fn folder_unit(
    path: PathBuf,
    levels: Vec<String>,
    sizes: Vec<u64>,
    place: fn(PathBuf) -> UnitPlace,
) -> Unit {
    Unit {
        shown: path.display().to_string(),
        identity: path.as_os_str().as_encoded_bytes().to_vec(),
        levels,
        alone: false,
        role: None,
        messages: u64::try_from(sizes.len()).ok(),
        octets: Some(total(sizes.into_iter())),
        place: place(path),
    }
}

fn total(octets: impl Iterator<Item = u64>) -> u64 {
    octets.fold(0, u64::saturating_add)
}
