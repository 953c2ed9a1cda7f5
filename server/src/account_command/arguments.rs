//! Command lines of `letterlock account`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use letterlock_core::id::Address;

use crate::bridge::app_password_command::WhoseArguments;

/// What is to be done with an account.
#[derive(Debug, Clone, Subcommand)]
pub enum AccountCommand {
    /// Make an account at a provider, print its recovery phrase, and bring it to this device.
    Create {
        /// Which.
        #[command(flatten)]
        enrol: EnrolArguments,
        /// The code of a provider that takes invited people only.
        #[arg(long, value_name = "CODE")]
        invite: Option<String>,
    },
    /// Bring an account to this device, or tell this device a password that was changed elsewhere.
    LogIn {
        /// Which.
        #[command(flatten)]
        enrol: EnrolArguments,
    },
    /// The password is lost: set a new one by the recovery phrase, and bring the account here.
    Recover {
        /// Which.
        #[command(flatten)]
        enrol: EnrolArguments,
        /// Take the phrase from this file; else it is asked for, or taken from a line of standard
        /// input before the new password.
        #[arg(long, value_name = "FILE")]
        phrase_file: Option<PathBuf>,
        /// Let other devices stay logged in.
        #[arg(long)]
        keep_devices: bool,
    },
    /// Show the room that the account takes, whether it has a recovery phrase, and its devices.
    Status {
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
    },
    /// Change the password.
    Password {
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
        /// Take the new password from the first line of this file; else it is asked for, or taken
        /// from the next line of standard input.
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
        /// Let other devices stay logged in.
        #[arg(long)]
        keep_devices: bool,
    },
    /// Make a new recovery phrase and print it, this once; the old one ends.
    NewPhrase {
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
    },
    /// Check that a recovery phrase would repair this account; nothing changes.
    CheckPhrase {
        /// Whose; no password is asked for.
        #[command(flatten)]
        whose: KeptArguments,
        /// Take the phrase from this file; else it is asked for, or taken from a line of standard
        /// input.
        #[arg(long, value_name = "FILE")]
        phrase_file: Option<PathBuf>,
    },
    /// List the devices: what the account has signed, and who is logged in beside.
    Devices {
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
    },
    /// Bring a new device in: by the code that it shows, and three words that it shows after.
    AddDevice {
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
        /// Take the code from the first line of this file; else it is asked for, or taken from a
        /// line of standard input, before the words.
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    /// Bring an account to this device by another device of it, without the account's password.
    Join {
        /// The provider, such as `https://mail.example.org`.
        #[arg(long, value_name = "URL")]
        provider: String,
        /// The data directory [default: the demo's].
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Take the password that opens the account on this device from the first line of this
        /// file; else it is asked for, or taken from a line of standard input. It need not be the
        /// account's.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// What this device is called in the account's list.
        #[arg(
            long,
            value_name = "NAME",
            default_value = "letterlock on the command line"
        )]
        device_name: String,
    },
    /// Take a device out of the account's list and log it out, at once.
    RemoveDevice {
        /// Its name or the beginning of its id, as `devices` shows them.
        device: String,
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
    },
    /// Show the account's own keys, revoke or replace them, take them out or bring some in.
    Keys {
        /// What to do.
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// End the account: everything of it is removed, at the provider and here.
    Delete {
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
        /// Do not ask again.
        #[arg(long)]
        yes: bool,
    },
    /// Remove an account from this device; at the provider it stays as it is.
    Forget {
        /// Whose.
        #[command(flatten)]
        whose: WhoseArguments,
        /// Do not ask again.
        #[arg(long)]
        yes: bool,
    },
}

/// What is to be done with an account's own keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// List them: what they are for, which are in use, and until when.
    List {
        /// Whose.
        #[command(flatten)]
        whose: KeysArguments,
    },
    /// Revoke a key. If it is in use another takes its place, which it signs before.
    Revoke {
        /// Its fingerprint, or at least eight digits of the beginning or the end.
        key: String,
        /// Why: what correspondents' programs make of it depends on that.
        #[arg(long, value_enum)]
        reason: Reason,
        /// The same in words, for everybody to read.
        #[arg(long, value_name = "TEXT", default_value = "")]
        explanation: String,
        /// Whose.
        #[command(flatten)]
        whose: KeysArguments,
    },
    /// Replace keys by new ones that they sign, and revoke them as superseded.
    Rotate {
        /// Which [default: those in use].
        key: Option<String>,
        /// Whose.
        #[command(flatten)]
        whose: KeysArguments,
    },
    /// Write certificates, or secret keys, armored.
    Export {
        /// Which [default: those in use].
        key: Option<String>,
        /// The secret keys: they open the account's mail.
        #[arg(long)]
        secret: bool,
        /// Lock secret keys with the first line of this file.
        #[arg(long, value_name = "FILE", requires = "secret")]
        passphrase_file: Option<PathBuf>,
        /// Do not lock secret keys.
        #[arg(long, requires = "secret", conflicts_with = "passphrase_file")]
        no_passphrase: bool,
        /// Write to this new file instead of standard output.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Whose.
        #[command(flatten)]
        whose: KeysArguments,
    },
    /// Bring in secret keys that gpg, Thunderbird, Proton or another program has exported.
    Import {
        /// The file.
        file: PathBuf,
        /// They are locked with the first line of this file.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
        /// Use it from now on in the place of the account's key; else it opens old mail.
        #[arg(long = "use")]
        take_into_use: bool,
        /// Whose.
        #[command(flatten)]
        whose: KeysArguments,
    },
}

impl KeysCommand {
    /// Whose keys.
    pub const fn whose(&self) -> &KeysArguments {
        match self {
            Self::List { whose }
            | Self::Revoke { whose, .. }
            | Self::Rotate { whose, .. }
            | Self::Export { whose, .. }
            | Self::Import { whose, .. } => whose,
        }
    }
}

/// Why a key is revoked (RFC 9580 5.2.3.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reason {
    /// No reason is given. Counts like a compromise.
    Unspecified,
    /// Another key has taken its place.
    Superseded,
    /// Somebody else may have it: nothing that it ever signed counts any more.
    Compromised,
    /// It is not used any more.
    Retired,
}

/// Whose keys, and how that is proven: by the password, or by the recovery phrase.
#[derive(Debug, Clone, Args)]
pub struct KeysArguments {
    /// An account that is on this device.
    #[command(flatten)]
    pub kept: KeptArguments,
    /// Take the recovery phrase from this file instead of asking for the password; it sets a new
    /// password. Other devices stay logged in.
    #[arg(long, value_name = "FILE")]
    pub phrase_file: Option<PathBuf>,
    /// Take that new password from the first line of this file; else it is asked for, or taken
    /// from a line of standard input.
    #[arg(long, value_name = "FILE", requires = "phrase_file")]
    pub new_password_file: Option<PathBuf>,
    /// With the phrase, the account need not be on this device: its address.
    #[arg(long, value_name = "ADDRESS", requires = "phrase_file")]
    pub recover: Option<Address>,
}

/// An account that may not be on this device.
#[derive(Debug, Clone, Args)]
pub struct EnrolArguments {
    /// The address.
    pub address: Address,
    /// The provider, such as `https://mail.example.org`; not needed for an account that is here.
    #[arg(long, value_name = "URL")]
    pub provider: Option<String>,
    /// The data directory [default: the demo's].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Take the password (to `create` and `recover`: the new one) from the first line of this
    /// file; else it is asked for, or taken from a line of standard input.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// What this device is called in the account's list.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "letterlock on the command line"
    )]
    pub device_name: String,
}

/// An account that is on this device. Its bridge may run.
#[derive(Debug, Clone, Args)]
pub struct KeptArguments {
    /// Whose, and where it is.
    #[command(flatten)]
    pub whose: WhoseArguments,
    /// The provider [default: where the account was synced last].
    #[arg(long, value_name = "URL")]
    pub provider: Option<String>,
    /// Take the account's password from the first line of this file; else it is asked for, or
    /// taken from a line of standard input.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}
