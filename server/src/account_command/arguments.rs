//! Command lines of `letterlock account`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
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
    /// Log a device out, at once.
    RemoveDevice {
        /// Its name or the beginning of its id, as `status` shows them.
        device: String,
        /// Whose.
        #[command(flatten)]
        whose: KeptArguments,
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
