//! Calls about an account that exists: its password, recovery phrase, devices and end.
//!
//! What a thief of a token must not be able to do (a new password, a new phrase, the end) needs a
//! [`PasswordProof`] beside the token, made by a log-in that was begun for it.

use serde::{Deserialize, Serialize};

use super::{Device, Octets, Token, text};
use crate::id::{AccountId, Address, ReplicaId, Timestamp};

/// The second half of a log-in, to prove the password for one call; begin it with
/// [`super::LogInStart`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordProof {
    /// From [`super::LogInStarted`].
    pub session: Octets,
    /// From [`crate::auth::ClientLogIn::finish`].
    pub finalization: Octets,
}

/// What the provider keeps of a recovery phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recovery {
    /// From [`crate::auth::RecoveryPhrase::verifier`].
    pub verifier: Octets,
    /// From [`crate::auth::RecoveryPhrase::wrap`].
    pub root_key_wrap: Octets,
}

/// Sets a new recovery phrase; the old one ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoverySet {
    /// The password, proved for this.
    pub proof: PasswordProof,
    /// The new phrase.
    pub recovery: Recovery,
    /// The next [`crate::auth::SignedDeviceList`], which names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Octets>,
}

/// Begins a change of the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordStart {
    /// The old password, proved for this.
    pub proof: PasswordProof,
    /// From [`crate::auth::ClientSignUp::start`] with the new password.
    pub request: Octets,
}

/// The provider lets the password be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordStarted {
    /// Names this change in the next call; valid for two minutes, once.
    pub change: Octets,
    /// For [`crate::auth::ClientSignUp::finish`].
    pub response: Octets,
}

/// Asks for a challenge for the recovery phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryStart {
    /// The account's address.
    pub address: Address,
}

/// The challenge; an unknown address gets one too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryStarted {
    /// Names this recovery in the next call; valid for two minutes, once.
    pub session: Octets,
    /// For [`crate::auth::RecoveryPhrase::prove`].
    pub challenge: Octets,
}

/// Proves the recovery phrase, and asks for a new password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryProve {
    /// From [`RecoveryStarted`].
    pub session: Octets,
    /// From [`crate::auth::RecoveryPhrase::prove`].
    pub signature: Octets,
    /// From [`crate::auth::ClientSignUp::start`] with the new password.
    pub request: Octets,
}

/// The phrase is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecoveryProved {
    /// The account.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text")]
    pub account_id: AccountId,
    /// Opens with the phrase.
    pub root_key_wrap: Octets,
    /// Names the change of the password in the next call; valid for two minutes, once.
    pub change: Octets,
    /// For [`crate::auth::ClientSignUp::finish`].
    pub response: Octets,
    /// The account's [`crate::auth::SignedDeviceList`], if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Octets>,
}

/// Which log-ins of the account end with a change of its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OtherDevices {
    /// They stay logged in.
    Stay,
    /// They are logged out at once.
    LogOut,
}

/// Sets the new password, all or nothing: record, wrap and log-ins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordFinish {
    /// From [`PasswordStarted`] or [`RecoveryProved`].
    pub change: Octets,
    /// From [`crate::auth::ClientSignUp::finish`].
    pub record: Octets,
    /// A [`crate::auth::RootKeyWrap`] of kind [`crate::auth::WrapKind::Password`].
    pub root_key_wrap: Octets,
    /// The device that does it.
    pub device: Device,
    /// What becomes of the others.
    pub others: OtherDevices,
    /// The next [`crate::auth::SignedDeviceList`], which names the new password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Octets>,
}

/// The new password holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PasswordFinished {
    /// A token for this device; after a change by password `None`: the one that it has stays.
    pub token: Option<Token>,
}

/// What the provider knows of the account that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountState {
    /// When it was made.
    pub created_at: Timestamp,
    /// Whether a recovery phrase is set.
    pub has_recovery: bool,
    /// Octets that its documents and its incoming mail take.
    pub used_octets: u64,
    /// Octets that they may take; `None` for any.
    pub quota_octets: Option<u64>,
    /// Its devices, the one seen last first.
    pub devices: Vec<DeviceState>,
}

/// One device in the list of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeviceState {
    /// Its replica.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text")]
    pub id: ReplicaId,
    /// The name that it gave itself.
    pub name: String,
    /// Its first log-in of those that hold.
    pub since: Timestamp,
    /// When it was heard of last, to ten minutes.
    pub last_seen: Timestamp,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Ends the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountDelete {
    /// The password, proved for this.
    pub proof: PasswordProof,
}

/// What the provider has removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AccountDeleted {
    /// Sealed documents.
    pub documents: u64,
    /// Messages that no device had taken in.
    pub incoming: u64,
    /// Messages that waited to be relayed.
    pub queued: u64,
    /// Devices that were logged in.
    pub devices: u64,
    /// Octets of documents and messages.
    pub octets: u64,
    /// Until then nobody else gets the address.
    pub reserved_until: Timestamp,
}
