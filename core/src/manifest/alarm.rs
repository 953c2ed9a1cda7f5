//! What is raised when the provider's documents are not those that the devices have stored.
//!
//! An alarm takes nothing away: every device offers the provider again what it has, and what the
//! provider shows is merged with it and never takes its place.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Address, Generation, ReplicaId, Timestamp};
use crate::keys::transparency::Hash;
use crate::mime::Notice;
use crate::seal::Collection;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestAlarm {
    /// The log ends before what this device has heard of.
    SetBack {
        /// Up to where it has heard.
        heard: Generation,
        /// Where the log ends.
        shown: Generation,
    },
    /// The provider does not have documents that follow what is pushed.
    Lost,
    /// A document at a revision before the one that was heard of.
    Older(Part),
    /// Another document under the number of one that was heard of, or one that does not follow it.
    Rewritten(Part),
    /// What the log shows is not what the devices have stored.
    Incomplete {
        /// Of which collection.
        part: Part,
        /// How many documents they have stored.
        stored: i64,
        /// How many the log shows.
        shown: i64,
    },
    /// What this device has stored is not shown to it.
    Dropped,
    /// What a device has stored is shown to some devices and was not shown to others.
    Forked(ReplicaId),
    /// A statement of a device is not signed by that device.
    NotSigned(ReplicaId),
    /// Something new under keys that the account has given up: only a removed device has made it.
    OldKeys(Part),
}

/// A collection, as alarms name it and as its number in rows of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// [`Collection::Keys`].
    Keys,
    /// [`Collection::Mail`].
    Mail,
    /// [`Collection::Messages`].
    Messages,
    /// [`Collection::Contents`].
    Contents,
    /// [`Collection::Contacts`].
    Contacts,
    /// What devices state of the others.
    Statements,
}

impl From<Collection> for Part {
    fn from(collection: Collection) -> Self {
        match collection {
            Collection::Keys => Self::Keys,
            Collection::Mail => Self::Mail,
            Collection::Messages => Self::Messages,
            Collection::Contents => Self::Contents,
            Collection::Contacts => Self::Contacts,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "your keys (collection “keys”)",
            Self::Mail => "your mailboxes and flags (collection “mail”)",
            Self::Messages => "your messages (collection “messages”)",
            Self::Contents => "the texts and attachments of your messages (collection “contents”)",
            Self::Contacts => "your contacts (collection “contacts”)",
            Self::Statements => "what your devices have stated",
        })
    }
}

impl ManifestAlarm {
    /// What tells this warning from others: the same on all devices that begin anew together.
    pub fn digest(&self, epoch: u32) -> Hash {
        let context = match self {
            Self::OldKeys(_) => "letterlock old keys alarm 1",
            _ => "letterlock manifest alarm 1",
        };
        Hash(blake3::derive_key(context, &epoch.to_be_bytes()))
    }

    /// The message in INBOX that tells of it.
    pub fn letter(&self, epoch: u32, to: &Address, now: Timestamp) -> Vec<u8> {
        let notice = Notice {
            subject: self.subject(),
            id: &self.digest(epoch),
            found: self,
            meanwhile: match self {
                Self::OldKeys(_) => "It is not used. Nothing was changed on your devices.",
                _ => {
                    "Nothing was taken away on your devices. They offer the provider again all \
                     that they have, and hear all that it has from the beginning."
                }
            },
            advice: self.advice(),
        };
        notice.message(to, now)
    }

    const fn subject(&self) -> &'static str {
        match self {
            Self::SetBack { .. } | Self::Lost => "your provider has gone back to an earlier state",
            Self::Forked(_) => "your provider shows your devices different things",
            Self::Older(_)
            | Self::Rewritten(_)
            | Self::Incomplete { .. }
            | Self::Dropped
            | Self::NotSigned(_)
            | Self::OldKeys(_) => "your provider does not show what your devices have stored",
        }
    }

    const fn advice(&self) -> &'static str {
        match self {
            Self::NotSigned(_) => {
                "Somebody who knows your account's key wrote in the name of one of your devices: \
                 look at the list of your devices in the settings (or: letterlock account \
                 devices), log out those that you do not use, and change your password."
            }
            Self::OldKeys(_) => {
                "Whoever has a device that you removed works together with your provider, and wants \
                 your devices to take something for yours. Look for another provider."
            }
            _ => {
                "Ask the provider: it may have gone back to a backup, and then your devices have \
                 put back what they had; open Letterlock once on each device that you use. If it \
                 has no explanation, or if this comes again, it hides from you what is yours, \
                 alters its order in time, or shows your devices different things: keep the \
                 devices that have all your mail, and look for another provider."
            }
        }
    }
}

impl fmt::Display for ManifestAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetBack { heard, shown } => write!(
                f,
                "the provider's log of your whole account ends at change {}, and this device has \
                 heard of change {}",
                shown.0, heard.0
            ),
            Self::Lost => f.write_str(
                "the provider does not have documents of your account any more that it had",
            ),
            Self::Older(part) => write!(
                f,
                "of {part} the provider shows a state that is older than one that this device has \
                 seen"
            ),
            Self::Rewritten(part) => write!(
                f,
                "of {part} the provider shows something else than before under the same number"
            ),
            Self::Incomplete {
                part,
                stored,
                shown,
            } => {
                write!(
                    f,
                    "of {part} the provider shows {shown} documents, and your devices have stored \
                     {stored}"
                )?;
                if stored == shown {
                    f.write_str(", but not all of them so")?;
                }
                Ok(())
            }
            Self::Dropped => f.write_str(
                "the provider has confirmed what this device has stored, and does not show it",
            ),
            Self::Forked(device) => {
                let id = device.to_string();
                let id = id.get(..8).unwrap_or_default();
                write!(
                    f,
                    "what your device {id} has stored was shown to others of your devices and not \
                     to this one: all of your account may be concerned"
                )
            }
            Self::OldKeys(part) => write!(
                f,
                "of {part} the provider shows something new under keys that your account has given \
                 up, which none of your devices uses any more"
            ),
            Self::NotSigned(device) => {
                let id = device.to_string();
                let id = id.get(..8).unwrap_or_default();
                write!(
                    f,
                    "what is stated in the name of your device {id} is not signed by it"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_names_the_collection_and_says_what_to_do() {
        let alarm = ManifestAlarm::Incomplete {
            part: Collection::Messages.into(),
            stored: 7,
            shown: 5,
        };
        let to = Address::new("alice@x.example").unwrap();
        let letter = alarm.letter(2, &to, Timestamp::from_secs(1_700_000_000));
        let text = String::from_utf8(letter).unwrap();
        let digest = alarm.digest(2);
        for expected in [
            "Subject: Warning: your provider does not show what your devices have stored\r\n",
            &format!("Message-ID: <{digest}@x.example>\r\n"),
            "collection “messages”",
            "shows 5 documents",
            "have stored 7.",
            "Nothing was taken away",
            "Ask the provider",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_ne!(digest, alarm.digest(3));
    }

    #[test]
    fn the_rows_form_stands() {
        let alarm = ManifestAlarm::Incomplete {
            part: Part::Contacts,
            stored: 1,
            shown: -1,
        };
        let row = postcard::to_extend(&alarm, Vec::new()).unwrap();
        assert_eq!(row, [4, 4, 2, 1]);
    }
}
