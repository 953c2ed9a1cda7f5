//! What the page and the worker say about the account itself: password, phrase, devices, end.

use serde::{Deserialize, Serialize};

use super::Secret;

/// A part of the settings: what is asked for there, and where the outcome is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    /// The password.
    Password,
    /// The recovery phrase.
    Phrase,
    /// The keys.
    Keys,
    /// The devices.
    Devices,
    /// The end of the account.
    End,
}

/// What is to be done with the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Replace the password.
    Password {
        /// The one that holds.
        old: Secret,
        /// The one that shall hold.
        new: Secret,
        /// Whether other devices stay logged in.
        keep_devices: bool,
    },
    /// Think of a recovery phrase, to be shown; it does not hold yet.
    DrawPhrase,
    /// Make a phrase that was shown the account's.
    SetPhrase {
        /// The words.
        phrase: Secret,
        /// The password.
        password: Secret,
    },
    /// Whether a phrase would repair this account.
    CheckPhrase {
        /// The words.
        phrase: Secret,
    },
    /// The user has compared a correspondent's key with them.
    Compared {
        /// Whose.
        address: String,
        /// The fingerprint that was on the screen.
        fingerprint: String,
    },
    /// Revoke a key of the account; one that is in use has a successor first.
    ReplaceKey {
        /// Which, of [`KeyRow`].
        fingerprint: String,
        /// Why.
        reason: KeyReason,
        /// More about it, for whoever meets the revocation.
        explanation: String,
    },
    /// Hand out a secret key, locked.
    ExportKey {
        /// Which, of [`KeyRow`].
        fingerprint: String,
        /// What locks it.
        passphrase: Secret,
    },
    /// Take secret keys of elsewhere into the account.
    ImportKeys {
        /// The armored block or blocks.
        text: Secret,
        /// What opens them; empty if nothing does.
        passphrase: Secret,
        /// Whether they are used from now on, in the place of those that are.
        take_into_use: bool,
    },
    /// Greet a new device, by the code that it shows.
    AddDevice {
        /// The code.
        code: Secret,
    },
    /// Bring it in, if these are the words that it shows.
    AdmitDevice {
        /// What was typed.
        words: String,
    },
    /// Do not.
    RefuseDevice,
    /// Take a device out of the account's list and log it out.
    RemoveDevice {
        /// Its id, of [`DeviceRow`].
        id: String,
    },
    /// End the account.
    Delete {
        /// The password.
        password: Secret,
    },
}

impl Change {
    /// Where its outcome is told.
    pub const fn section(&self) -> Section {
        match self {
            Self::Password { .. } => Section::Password,
            Self::DrawPhrase | Self::SetPhrase { .. } | Self::CheckPhrase { .. } => Section::Phrase,
            Self::Compared { .. }
            | Self::ReplaceKey { .. }
            | Self::ExportKey { .. }
            | Self::ImportKeys { .. } => Section::Keys,
            Self::AddDevice { .. }
            | Self::AdmitDevice { .. }
            | Self::RefuseDevice
            | Self::RemoveDevice { .. } => Section::Devices,
            Self::Delete { .. } => Section::End,
        }
    }
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Changed {
    /// The new password holds.
    Password,
    /// A phrase to show.
    Phrase(Secret),
    /// The phrase holds.
    PhraseSet,
    /// The phrase is right.
    PhraseRight,
    /// The key is marked as compared.
    Compared,
    /// The key is revoked; what is used in its place is among the keys.
    KeyReplaced,
    /// A locked secret key to save.
    KeyExported {
        /// Where the page finds it.
        url: String,
        /// What to call the file.
        name: String,
    },
    /// So many keys are the account's from now on.
    KeysImported(usize),
    /// A new device of this name shows words.
    DeviceAsks(String),
    /// It is in.
    DeviceAdded,
    /// These were not its words; whether they can be typed again.
    WrongWords {
        /// For people.
        text: String,
        /// Whether it still asks.
        again: bool,
    },
    /// It was told that it stays outside.
    DeviceRefused,
    /// The device is none of the account's any more.
    Device,
    /// The account has ended.
    Ended(Ended),
}

/// What was removed with an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Whose it was.
    pub address: String,
    /// Sealed documents at the provider.
    pub documents: u64,
    /// Messages that no device had taken in.
    pub incoming: u64,
    /// Messages that waited to be sent.
    pub queued: u64,
    /// Devices that were logged in.
    pub devices: u64,
    /// Octets of all that.
    pub octets: u64,
}

/// The account as its owner sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Octets that are taken at the provider.
    pub used_octets: u64,
    /// Octets that may be.
    pub quota_octets: Option<u64>,
    /// Octets of what letters say and carry that are in this browser.
    pub kept_octets: u64,
    /// Most that may be.
    pub kept_most_octets: u64,
    /// Whether there is a recovery phrase.
    pub has_recovery: bool,
    /// Its devices.
    pub devices: Vec<DeviceRow>,
}

/// A device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// For [`Change::RemoveDevice`].
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// When it was heard of last, milliseconds since 1970; `None`: it is logged out.
    pub last_seen_ms: Option<i64>,
    /// Whether it is logged in without being in the account's signed list.
    pub stranger: bool,
    /// Whether it is this one.
    pub current: bool,
}

/// Why a key is revoked (RFC 9580 5.2.3.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyReason {
    /// Another takes its place.
    Superseded,
    /// Somebody else may have it.
    Compromised,
    /// It is not used any more.
    Retired,
    /// None that is told.
    Unspecified,
}

/// What one of the account's keys is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// It is the one in use.
    InUse,
    /// It is the one in use, and the next device that runs renews it.
    Expired,
    /// It opens old mail.
    Retired,
    /// It opens old mail and may not be used for other mail, for this reason.
    Unusable(String),
}

/// One of the account's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// The fingerprint, in groups.
    pub fingerprint: String,
    /// Whether it is the one for the world; else the one for this provider's users.
    pub for_the_world: bool,
    /// What it is worth.
    pub state: KeyState,
    /// Whether it can be revoked still.
    pub can_be_revoked: bool,
    /// When it was made, milliseconds since 1970.
    pub created_at_ms: i64,
    /// When it ends unless it is renewed; `None`: never.
    pub expires_at_ms: Option<i64>,
}

/// The account's keys, and what people compare to know each other's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysView {
    /// All of the account's.
    pub all: Vec<KeyRow>,
    /// Ours, as they are compared.
    pub own: Vec<KeyView>,
    /// The one to compare with, if one was asked for.
    pub theirs: Option<TheirKey>,
}

/// One certificate, as it is compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Whose.
    pub address: String,
    /// The words to read aloud.
    pub words: String,
    /// The fingerprint, in groups.
    pub fingerprint: String,
    /// Modules on a side of the QR code.
    pub code_side: u32,
    /// Its dark modules, as the path of an SVG.
    pub code_path: String,
}

/// A correspondent's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TheirKey {
    /// It.
    pub key: KeyView,
    /// Whether it was compared before.
    pub compared: bool,
}
