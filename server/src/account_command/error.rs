//! Why a command about an account did not do what it should.

use std::io;

use letterlock_core::id::Address;

use crate::bridge::app_password_command::AppPasswordCommandError;
use crate::bridge::enrolment::EnrolError;
use crate::bridge::lock::LockError;
use crate::bridge::provider_client::ProviderError;
use crate::bridge::unlock::UnlockFileError;
use crate::demo::DemoError;
use crate::transfer::password::PasswordError;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountCommandError {
    /// The account is not in the data directory.
    #[error("{0} is not on this device")]
    NotHere(Address),
    /// An account of this address is in the data directory.
    #[error("{0} is on this device already")]
    Here(Address),
    /// Nobody has said where the provider is.
    #[error("which provider? Use --provider URL")]
    NoProvider,
    /// No device is called so, or several.
    #[error("no device or more than one is called so: `letterlock account devices` lists them")]
    WhichDevice,
    /// What the provider shows as the list of devices cannot be used.
    #[error(transparent)]
    Devices(#[from] letterlock_core::auth::devices::Refused),
    /// The recovery phrase could not open what is stored after a removal.
    #[error(
        "the recovery phrase is older than key epochs and would not open what is stored after the \
         removal: make a new one first (letterlock account new-phrase)"
    )]
    OldPhrase,
    /// A device does not remove itself.
    #[error("this is the device that you are on: `letterlock account forget` removes it")]
    ThisDevice,
    /// The user has not seen that the other device took the words.
    #[error(
        "not confirmed: the account is not on this device. If the other device has taken the words, \
         remove this one there (letterlock account remove-device)"
    )]
    NotJoined,
    /// Nobody has said yes.
    #[error("not confirmed; nothing was done (--yes confirms)")]
    NotConfirmed,
    /// The provider has logged this device out again before its mail was here.
    #[error("the provider has logged this device out")]
    LoggedOut,
    /// It was interrupted.
    #[error("interrupted: the account is here, its mail is not all")]
    Interrupted,
    /// See there.
    #[error(transparent)]
    Keys(#[from] super::keys::KeysCommandError),
    /// See there.
    #[error(transparent)]
    Whose(#[from] AppPasswordCommandError),
    /// See there.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// See there.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// See there.
    #[error(transparent)]
    UnlockFile(#[from] UnlockFileError),
    /// See there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// See there.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No data directory is known, or the demo's own file does not read.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// Nobody reads what is printed, or a folder cannot be removed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
