//! The account calls, as values: JSON, octets in unpadded base64url, ids in hexadecimal.
//!
//! | call | request | response |
//! |---|---|---|
//! | `POST /api/v1/accounts/start` | [`SignUpStart`] | 200 [`SignUpStarted`] |
//! | `POST /api/v1/accounts/finish` | [`SignUpFinish`] | 201 [`SignUpFinished`] |
//! | `POST /api/v1/sessions/start` | [`LogInStart`] | 200 [`LogInStarted`] |
//! | `POST /api/v1/sessions/finish` | [`LogInFinish`] | 200 [`LogInFinished`] |
//! | `DELETE /api/v1/sessions` (token) | | 204 |
//! | `GET /api/v1/account` (token) | | 200 [`AccountState`] |
//! | `POST /api/v1/account/delete` (token) | [`AccountDelete`] | 200 [`AccountDeleted`] |
//! | `DELETE /api/v1/devices/{id}` (token) | | 204; 404 `no_such_device` |
//! | `GET /api/v1/devices` (token) | | 200 [`DevicesShown`] |
//! | `PUT /api/v1/devices` (token) | [`DevicesPut`] | 204; 403 `proof_needed`; 409 `list_changed` |
//! | `POST /api/v1/sessions/challenge` | [`ChallengeStart`] | 200 [`ChallengeStarted`] |
//! | `POST /api/v1/sessions/prove` | [`ChallengeProve`] | 200 [`ChallengeProved`] |
//! | `GET /api/v1/rendezvous/{id}` | | 200 [`RendezvousShown`] |
//! | `PUT /api/v1/rendezvous/{id}` (token) | [`RendezvousPut`] | 204; 409 `already_left` |
//! | `POST /api/v1/rendezvous/{id}` | [`RendezvousAnswer`] | 204; 404 `no_rendezvous` |
//! | `POST /api/v1/password/start` (token) | [`PasswordStart`] | 200 [`PasswordStarted`] |
//! | `POST /api/v1/password/finish` | [`PasswordFinish`] | 200 [`PasswordFinished`] |
//! | `POST /api/v1/recovery/start` | [`RecoveryStart`] | 200 [`RecoveryStarted`] |
//! | `POST /api/v1/recovery/prove` | [`RecoveryProve`] | 200 [`RecoveryProved`] |
//! | `PUT /api/v1/recovery` (token) | [`RecoverySet`] | 204 |
//! | `PUT /api/v1/keys` (token) | [`Publish`] | 204; 403 `not_vouched` |
//!
//! Errors are [`crate::sync::wire::ErrorBody`] in JSON: 400 `malformed`, `foreign_domain`,
//! `bad_certificate`, `bad_list`; 401 `wrong_password`, `wrong_phrase`, `wrong_device`,
//! `log_in_expired`, `unauthorized`; 403 `sign_up_closed`, `invite_needed`; 409 `address_taken`,
//! `already_left`, `list_changed`; 413 `too_large`; 429 `too_many_attempts` with `Retry-After` in seconds.

mod devices;
mod rendezvous;
mod upkeep;

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{AccountId, Address, ReplicaId};

pub use devices::{
    ChallengeProve, ChallengeProved, ChallengeStart, ChallengeStarted, DevicesPut, DevicesShown,
};
pub use rendezvous::{RendezvousAnswer, RendezvousPut, RendezvousShown, SponsorStep};
pub use upkeep::{
    AccountDelete, AccountDeleted, AccountState, DeviceState, OtherDevices, PasswordFinish,
    PasswordFinished, PasswordProof, PasswordStart, PasswordStarted, Recovery, RecoveryProve,
    RecoveryProved, RecoverySet, RecoveryStart, RecoveryStarted,
};

/// Largest body of an account call, in octets; sign-up carries the first sealed documents.
pub const MAX_ACCOUNT_REQUEST_OCTETS: usize = 1024 * 1024;
/// Most documents at sign-up.
pub const MAX_SIGN_UP_DOCUMENTS: usize = 64;
/// Longest name of a device, in octets of UTF-8.
pub const MAX_DEVICE_NAME_OCTETS: usize = 200;

/// Octets that travel in JSON as unpadded base64url (RFC 4648 5).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Octets(pub Vec<u8>);

impl From<Vec<u8>> for Octets {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

/// Shows the length alone: octets may be secret.
impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        URL_SAFE_NO_PAD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|_| serde::de::Error::custom("not base64url"))
    }
}

/// A bearer token: proves a log-in. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes the text as it came.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text for `Authorization: Bearer`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// An invite code, as it was handed out. `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Invite(String);

impl Invite {
    /// Takes the text as it was typed: case and space around it do not matter.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_lowercase())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invite(…)")
    }
}

/// The device that signs up or logs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Device {
    /// Its replica.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text")]
    pub id: ReplicaId,
    /// For the user's list of devices; at most [`MAX_DEVICE_NAME_OCTETS`].
    pub name: String,
}

/// Begins a sign-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUpStart {
    /// The wanted address.
    pub address: Address,
    /// From [`super::ClientSignUp::start`].
    pub request: Octets,
    /// For a provider that takes invited people only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<Invite>,
}

/// The provider's half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUpStarted {
    /// For [`super::ClientSignUp::finish`].
    pub response: Octets,
}

/// Creates the account with all that it needs, all or nothing: a certificate whose key is not
/// stored beside it would receive mail that nobody can open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUpFinish {
    /// The same address as at the start.
    pub address: Address,
    /// Drawn by the device; sealed documents are bound to it.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text")]
    pub account_id: AccountId,
    /// From [`super::ClientSignUp::finish`].
    pub record: Octets,
    /// A [`super::RootKeyWrap`] of kind [`super::WrapKind::Password`].
    pub root_key_wrap: Octets,
    /// The OpenPGP certificate that every mail program reads, binary, for incoming mail and the
    /// directories.
    pub certificate: Octets,
    /// Others, for those who read them: of version 6, by the first one's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_certificates: Vec<Octets>,
    /// Sealed envelopes of revision 1, the secret key's among them; at most
    /// [`MAX_SIGN_UP_DOCUMENTS`].
    pub documents: Vec<Octets>,
    /// The first device.
    pub device: Device,
    /// The first [`super::SignedDeviceList`], with that device in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Octets>,
    /// What repairs a lost password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
    /// The same as at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<Invite>,
}

/// The account exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignUpFinished {
    /// Of the first device.
    pub token: Token,
}

/// Tells the directory of renewals, successors and revocations. It keeps what it has, merged with
/// these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Publish {
    /// Certificates, binary, at most [`MAX_PUBLISHED`](crate::keys::published::MAX_PUBLISHED); each
    /// that is new to the directory signed by one that is there or comes before it.
    pub certificates: Vec<Octets>,
}

/// Begins a log-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogInStart {
    /// The account's address.
    pub address: Address,
    /// From [`super::ClientLogIn::start`].
    pub request: Octets,
}

/// The provider's half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogInStarted {
    /// Names this log-in in the next call; valid for two minutes, once.
    pub session: Octets,
    /// For [`super::ClientLogIn::finish`].
    pub response: Octets,
}

/// Proves the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogInFinish {
    /// From [`LogInStarted`].
    pub session: Octets,
    /// From [`super::ClientLogIn::finish`].
    pub finalization: Octets,
    /// The device that logs in.
    pub device: Device,
}

/// The log-in succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogInFinished {
    /// For this device's calls.
    pub token: Token,
    /// The account.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    #[serde(with = "text")]
    pub account_id: AccountId,
    /// Opens with the export key.
    pub root_key_wrap: Octets,
}

/// An id as its text form.
mod text {
    use core::fmt::Display;
    use core::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
