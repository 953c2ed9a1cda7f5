//! `letterlock-export.json`: what an export wrote, and how far it came.
//!
//! Invariant: what it says is durable before it is written, so an export that was interrupted
//! goes on behind it; it is also what tells a directory of ours from any other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::mbox::Dialect;
use super::source::Format;
use crate::bridge::unlock::write_private;

/// Name of the file in the target directory.
pub const STATE_FILE: &str = "letterlock-export.json";
const VERSION: u32 = 1;

/// The file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportState {
    version: u32,
    /// How messages are kept.
    pub format: String,
    /// Which dialect an mbox is in.
    pub dialect: Option<String>,
    /// Whose mail it is.
    pub address: String,
    /// Whether all that was asked for is there.
    pub finished: bool,
    /// How far each mailbox is.
    pub mailboxes: BTreeMap<String, MailboxState>,
}

/// How far a mailbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailboxState {
    /// UIDVALIDITY of the UIDs here.
    pub uid_validity: u32,
    /// The last UID written; 0 before the first.
    pub last_uid: u32,
    /// Messages written.
    pub messages: u64,
    /// Octets of the mbox, or of the list of flags.
    pub octets: u64,
}

impl ExportState {
    /// An export that has yet to begin.
    pub fn new(format: Format, dialect: Dialect, address: &str) -> Self {
        let dialect = (format == Format::Mbox).then(|| format!("{dialect:?}").to_lowercase());
        Self {
            version: VERSION,
            format: format.name().to_owned(),
            dialect,
            address: address.to_owned(),
            finished: false,
            mailboxes: BTreeMap::new(),
        }
    }

    /// Whether it is of the same account in the same form.
    pub fn is_like(&self, other: &Self) -> bool {
        (&self.format, &self.dialect, &self.address)
            == (&other.format, &other.dialect, &other.address)
    }

    /// Reads the file of a directory; `None` if there is none, or none that is understood.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        match fs::read(folder.join(STATE_FILE)) {
            Ok(octets) => Ok(serde_json::from_slice::<Self>(&octets)
                .ok()
                .filter(|state| state.version == VERSION)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the file of a directory, durably.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        write_private(&folder.join(STATE_FILE), self)
    }
}
