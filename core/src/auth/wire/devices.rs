//! Calls about devices: the account's signed list of them, and log-ins by their own keys.

use serde::{Deserialize, Serialize};

use super::{Octets, PasswordProof, Token, text};
use crate::id::{Address, ReplicaId};

/// What the provider has as the account's list of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DevicesShown {
    /// A [`crate::auth::SignedDeviceList`]; `None` if the account has none yet.
    pub list: Option<Octets>,
}

/// Replaces the list: by a later one that the same account key has signed, or that of a key epoch
/// which this one's has signed. Devices that are not in
/// it any more are logged out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DevicesPut {
    /// A [`crate::auth::SignedDeviceList`].
    pub list: Octets,
    /// The password, proved for this: for the first list of an account, whose key the provider does
    /// not know yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<PasswordProof>,
}

/// Asks for a challenge for a device's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChallengeStart {
    /// The account's address.
    pub address: Address,
    /// The device that logs in.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text")]
    pub device: ReplicaId,
}

/// The challenge; an unknown device gets one too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChallengeStarted {
    /// Names this log-in in the next call; valid for two minutes, once.
    pub session: Octets,
    /// For [`crate::auth::DeviceKey::prove`].
    pub challenge: Octets,
}

/// Proves the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChallengeProve {
    /// From [`ChallengeStarted`].
    pub session: Octets,
    /// From [`crate::auth::DeviceKey::prove`].
    pub signature: Octets,
}

/// The device is logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChallengeProved {
    /// For its calls; valid for a day.
    pub token: Token,
}
