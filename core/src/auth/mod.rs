//! OPAQUE (RFC 9807) sign-up and log-in, both sides, and the wraps of the root key.
//!
//! The password never leaves the device, not even hashed: the provider evaluates a blinded group
//! element and keeps a record that it can test guesses against only by paying Argon2id for each.
//! What OPAQUE gives to the device alone (the export key) opens the root key's wrap.
//!
//! Parameters: Ristretto255, 3DH, SHA-512, Argon2id with 64 MiB and 3 passes.
//!
//! Invariant: sans-IO and octets in, octets out; no type of the `opaque_ke` crate leaves here.
//! Every secret is zeroized on drop and has no `Debug`.
//! A lost password is repaired with a recovery phrase of 24 words ([`recovery`]). A device that has
//! logged in once does so again by a key of its own ([`device`]); which devices an account has, it
//! signs itself ([`devices`]). A device that is in brings another one in ([`enrolment`]).
//! Rejected: SRP and "hash on the client, then bcrypt", where the provider or a thief of its
//! database can compute guesses offline with a fast hash, or sees something that opens mail.

mod suite;
pub mod wire;
pub mod sealing;
pub mod wrap;
pub mod sign_up;
pub mod log_in;
pub mod local;
pub mod recovery;
pub mod device;
pub mod devices;
pub mod enrolment;

pub use device::DeviceKey;
pub use devices::{DeviceAlarm, DeviceList, DeviceListError, ListedDevice, SignedDeviceList};
pub use devices::{Recipient, Way, WayIn, Ways};
pub use enrolment::{EnrolmentCode, EnrolmentError};
pub use local::{LocalWrap, LocalWrapError};
pub use log_in::{ClientLogIn, LogInError, LoggedIn, ServerLogIn};
pub use recovery::{PhraseError, RecoveryPhrase};
pub use sealing::SealingSecret;
pub use sign_up::{ClientSignUp, SignUpError, SignedUp};
pub use suite::{
    ARGON2_LANES, ARGON2_MEMORY_KIB, ARGON2_PASSES, MAX_PASSWORD_OCTETS, MalformedMessage,
    ServerSecret,
};
pub use wrap::{ExportKey, RootKeyWrap, Unwrapped, WrapError, WrapKind};
pub use wrap::{unwrap_root_key, wrap_root_key};

#[cfg(test)]
mod tests;
