//! What is raised when the provider's words about an account's devices do not hold.
//!
//! An alarm takes nothing away: the list that was verified last stays, and nothing is ever sealed
//! for a device that is not in it.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Address, ReplicaId, Timestamp};
use crate::keys::transparency::Hash;
use crate::mime::Notice;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceAlarm {
    /// A list that the account's key has not signed, after this one (0: none was seen).
    NotSigned(u64),
    /// A list that is older than one that was seen.
    SetBack {
        /// The number of that one.
        seen: u64,
        /// Of the one that was shown.
        shown: u64,
    },
    /// Another list under the number of one that was seen.
    Rewritten(u64),
    /// No list, though this one was seen.
    Withheld(u64),
    /// A device is logged in that is not in the list.
    Stranger {
        /// It.
        id: ReplicaId,
        /// What the provider calls it.
        name: String,
    },
}

/// The message in INBOX that tells of an alarm.
pub struct AlarmLetter {
    /// The same for the same alarm, so that it is told once.
    pub digest: Hash,
    /// The message.
    pub message: Vec<u8>,
}

impl DeviceAlarm {
    /// The message in INBOX that tells of it.
    pub fn letter(&self, to: &Address, now: Timestamp) -> AlarmLetter {
        let digest = self.digest();
        let notice = Notice {
            subject: "the list of your devices does not hold",
            id: &digest,
            found: self,
            meanwhile: self.meanwhile(),
            advice: self.advice(),
        };
        AlarmLetter {
            digest,
            message: notice.message(to, now),
        }
    }

    fn digest(&self) -> Hash {
        let about = match self {
            Self::NotSigned(seen) => format!("not signed {seen}"),
            Self::SetBack { seen, shown } => format!("set back {seen} {shown}"),
            Self::Rewritten(number) => format!("rewritten {number}"),
            Self::Withheld(seen) => format!("withheld {seen}"),
            // Another name is the same device.
            Self::Stranger { id, .. } => format!("stranger {id}"),
        };
        let context = "letterlock device alarm 1";
        Hash(blake3::derive_key(context, about.as_bytes()))
    }

    /// What happens meanwhile.
    const fn meanwhile(&self) -> &'static str {
        match self {
            Self::Stranger { .. } => {
                "It counts as none of your devices; but whoever is logged in there has had your \
                 password, and may have read your mail."
            }
            Self::NotSigned(_) | Self::SetBack { .. } | Self::Rewritten(_) | Self::Withheld(_) => {
                "What the provider shows is not used: your devices go by the last list that was \
                 in order."
            }
        }
    }

    /// What the user can do.
    const fn advice(&self) -> &'static str {
        match self {
            Self::Stranger { .. } => {
                "If it is not yours, log it out in the settings (or: letterlock account \
                 remove-device) and change your password. If it is, update its program and log in \
                 there again."
            }
            Self::NotSigned(_) | Self::SetBack { .. } | Self::Rewritten(_) | Self::Withheld(_) => {
                "Ask the provider: it may have gone back to a backup, and then your devices bring \
                 it up to date by themselves. If it has no explanation, it wants you to take \
                 devices for yours that are not."
            }
        }
    }
}

impl fmt::Display for DeviceAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSigned(_) => f.write_str(
                "the provider shows a list of your devices that your account's key has not signed",
            ),
            Self::SetBack { seen, shown } => write!(
                f,
                "the provider shows an old list of your devices: number {shown}, after number {seen}"
            ),
            Self::Rewritten(number) => write!(
                f,
                "the provider shows another list of your devices than before under the number \
                 {number}"
            ),
            Self::Withheld(seen) => write!(
                f,
                "the provider does not show the list of your devices any more, of which this \
                 device has seen number {seen}"
            ),
            Self::Stranger { id, name } => {
                let id = id.to_string();
                let id = id.get(..8).unwrap_or_default();
                // A name is the provider's word: no line of it becomes one of ours.
                let name: String = name.chars().filter(|c| !c.is_control()).collect();
                write!(
                    f,
                    "a device is logged in to your account that is not in its signed list: \
                     “{name}” ({id})"
                )
            }
        }
    }
}
