//! What is raised when a provider's directory does not prove what it says.
//!
//! An alarm names what was found, whose entry it is about and who else saw otherwise, and what to
//! do. It takes nothing away: keys that are known stay in use, mail that waits goes on waiting,
//! what was verified last stays what new answers are compared with.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::merkle::{Hash, sha256};
use crate::id::Address;

/// Who was shown another directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Witness {
    /// Another device of the account.
    Device,
    /// A correspondent, in an encrypted mail.
    Correspondent(Address),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// The directory is signed by another key, or hashed with another salt, than the one that was
    /// seen first.
    OtherDirectory,
    /// The signature of the directory's head is bad.
    BadSignature,
    /// The log is shorter than it was.
    RolledBack {
        /// Changes in the log that was seen.
        seen: u64,
        /// Changes in the log that was shown now.
        shown: u64,
    },
    /// The log does not begin with the one that was seen.
    NotExtended {
        /// Changes in the log that was seen.
        seen: u64,
    },
    /// A change of the log is more, or another one, than it says.
    FalseChange {
        /// Its position, from 0.
        position: u64,
    },
    /// The proof of an address's entry does not hold, or it is of other certificates.
    FalseEntry(Address),
    /// Somebody else was shown a directory that is not this one's past.
    SplitView {
        /// Who.
        witness: Witness,
        /// Changes in the log that they were shown.
        size: u64,
    },
    /// The account's own entry has certificates that none of its devices has published.
    OwnEntry {
        /// Whose: the account's address.
        address: Address,
        /// The entry's version; `None` if there is no entry at all.
        version: Option<u64>,
    },
}

/// An alarm about a provider's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Whose directory.
    pub domain: String,
    /// What was found.
    pub finding: Finding,
}

impl Alarm {
    /// The same for the same finding, so that it is told once.
    pub fn digest(&self) -> Hash {
        sha256(&[
            b"letterlock directory alarm 1\0",
            self.to_string().as_bytes(),
        ])
    }

    /// What the user can do.
    pub const fn advice(&self) -> &'static str {
        match self.finding {
            Finding::OwnEntry { .. } => {
                "Compare your key's fingerprint with somebody who writes to you, over a channel \
                 that is not this provider's, and ask the provider who has changed your entry. \
                 Until that is clear, mail to you may be encrypted to somebody else's key."
            }
            Finding::SplitView { .. } | Finding::FalseEntry(_) => {
                "Compare fingerprints with those you write to, over a channel that is not this \
                 provider's, before you send anything that matters to keys you have not used yet."
            }
            Finding::OtherDirectory
            | Finding::BadSignature
            | Finding::RolledBack { .. }
            | Finding::NotExtended { .. }
            | Finding::FalseChange { .. } => {
                "Ask the provider: it may have gone back to a backup, and then says so to \
                 everybody. If it has no explanation, it shows different keys to different people."
            }
        }
    }

    /// What happens meanwhile.
    pub const fn meanwhile(&self) -> &'static str {
        "No key was given up and no mail is lost: keys that you have go on being used, new ones \
         from this directory are not, and mail that needs one waits in the outbox."
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domain = &self.domain;
        match &self.finding {
            Finding::OtherDirectory => {
                write!(
                    f,
                    "the key directory of {domain} is signed by another key than before"
                )
            }
            Finding::BadSignature => {
                write!(f, "the key directory of {domain} has a bad signature")
            }
            Finding::RolledBack { seen, shown } => write!(
                f,
                "the key directory of {domain} was set back: it had {seen} changes and shows {shown}"
            ),
            Finding::NotExtended { seen } => write!(
                f,
                "the key directory of {domain} has rewritten its past: it does not begin with the \
                 {seen} changes that were seen"
            ),
            Finding::FalseChange { position } => write!(
                f,
                "the key directory of {domain} hides what its change {position} did"
            ),
            Finding::FalseEntry(address) => write!(
                f,
                "the key directory of {domain} does not prove what it says of {address}"
            ),
            Finding::SplitView {
                witness: Witness::Device,
                size,
            } => write!(
                f,
                "the key directory of {domain} has shown another log of {size} changes to another \
                 of your devices"
            ),
            Finding::SplitView {
                witness: Witness::Correspondent(who),
                size,
            } => write!(
                f,
                "the key directory of {domain} has shown another log of {size} changes to {who}"
            ),
            Finding::OwnEntry {
                address,
                version: Some(version),
            } => write!(
                f,
                "the key directory of {domain} has for {address}, as version {version}, keys that \
                 none of your devices has published"
            ),
            Finding::OwnEntry {
                address,
                version: None,
            } => write!(
                f,
                "the key directory of {domain} has lost the keys of {address}"
            ),
        }
    }
}
