//! Decrypted octets.
//!
//! Invariant: overwritten when dropped, and absent from every `Debug` output.

use core::fmt;
use core::ops::Deref;

use zeroize::Zeroizing;

/// Octets that were encrypted a moment ago.
#[derive(Clone, PartialEq, Eq)]
pub struct Plaintext(Zeroizing<Vec<u8>>);

impl Plaintext {
    /// Takes the octets.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets, for a caller that stores them sealed; no longer overwritten when dropped.
    pub fn into_vec(mut self) -> Vec<u8> {
        core::mem::take(&mut *self.0)
    }
}

impl From<Zeroizing<Vec<u8>>> for Plaintext {
    fn from(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} octets)", self.0.len())
    }
}
