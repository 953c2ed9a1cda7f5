//! The cipher suite, the cost of a password guess, and the provider's long-term secret.

use argon2::{Algorithm, Argon2, Params, Version};
use opaque_ke::generic_array::typenum::Unsigned;
use opaque_ke::{Ristretto255, ServerRegistration, ServerSetup, TripleDh};
use rand::{CryptoRng, RngCore};
use sha2::Sha512;
use zeroize::Zeroizing;

/// Memory for one password guess, in KiB: 64 MiB, which a browser tab still gives.
pub const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Passes over that memory.
pub const ARGON2_PASSES: u32 = 3;
/// Lanes: one, because WebAssembly has one thread.
pub const ARGON2_LANES: u32 = 1;
/// Longest password accepted, in octets of UTF-8.
pub const MAX_PASSWORD_OCTETS: usize = 4096;

/// Binds the handshake to this use of OPAQUE (RFC 9807 6.4.1 `context`).
pub(super) const CONTEXT: &[u8] = b"letterlock/auth/1";

/// RFC 9807's recommended shape, with Ristretto255 and 3DH.
pub(super) struct Suite;

impl opaque_ke::CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, Sha512>;
    type Ksf = Argon2<'static>;
}

/// Argon2id with the given cost; `None` if the cost is out of Argon2's range.
pub(super) fn argon2id(memory_kib: u32, passes: u32, lanes: u32) -> Option<Argon2<'static>> {
    let params = Params::new(memory_kib, passes, lanes, None).ok()?;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The stretching of every password. The crate's `Default` is cheaper, so it is never used.
pub(super) fn stretch() -> Argon2<'static> {
    argon2id(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES)
        .expect("the constants above are in Argon2's range")
}

/// A message of the other side does not have the form of RFC 9807, or is not a group element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of the log-in protocol is malformed")]
pub struct MalformedMessage;

/// The provider's OPAQUE secret: the OPRF seed and the static key pair.
///
/// It is no key to mail. Whoever steals it together with the records can try passwords offline
/// at Argon2's price; losing it makes every password useless, so it is stored with the records.
#[derive(Clone)]
pub struct ServerSecret {
    pub(super) setup: ServerSetup<Suite>,
    decoy: Vec<u8>,
}

impl ServerSecret {
    /// Draws a new one, once in a provider's life.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self::from_setup(ServerSetup::new(rng))
    }

    /// Reads what [`ServerSecret::to_octets`] wrote.
    pub fn from_octets(octets: &[u8]) -> Result<Self, MalformedMessage> {
        ServerSetup::deserialize(octets)
            .map(Self::from_setup)
            .map_err(|_| MalformedMessage)
    }

    /// For the provider's database.
    pub fn to_octets(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.setup.serialize().to_vec())
    }

    fn from_setup(setup: ServerSetup<Suite>) -> Self {
        // A record is `client_public_key || masking_key || envelope` (RFC 9807 5.1.1).
        let mut decoy = setup.keypair().public().serialize().to_vec();
        decoy.resize(opaque_ke::ServerRegistrationLen::<Suite>::USIZE, 0);
        Self { setup, decoy }
    }

    /// Reads a record. For an address without one a decoy is read and dropped, so that both
    /// cases decompress one group element.
    pub(super) fn read_record(
        &self,
        record: Option<&[u8]>,
    ) -> Result<Option<ServerRegistration<Suite>>, MalformedMessage> {
        let read = ServerRegistration::deserialize(record.unwrap_or(&self.decoy))
            .map_err(|_| MalformedMessage)?;
        Ok(record.map(|_| read))
    }
}
