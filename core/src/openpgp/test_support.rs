//! Keys, times and randomness for the tests of this folder.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::SecretCertificate;
use super::secret_certificate::{Profile, Template};
use crate::id::{Address, Timestamp};

/// 2026-01-01T00:00:00Z: when the tests' keys were made.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

pub(crate) fn later(secs: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + secs)
}

pub(crate) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(crate) fn address(local: &str) -> Address {
    Address::new(&format!("{local}@letterlock.example")).unwrap()
}

/// The same key for the same name, each time.
pub(crate) fn secret(local: &str) -> SecretCertificate {
    let seed = local
        .bytes()
        .fold(7, |seed: u64, octet| seed * 31 + u64::from(octet));
    SecretCertificate::generate(&address(local), Some(local), NOW, &mut rng(seed)).unwrap()
}

/// Another key for the same name.
pub(crate) fn secret_numbered(local: &str, number: u64) -> SecretCertificate {
    SecretCertificate::generate(&address(local), Some(local), NOW, &mut rng(1000 + number)).unwrap()
}

/// A key that expires so many seconds after [`NOW`].
pub(crate) fn expiring_secret(local: &str, lifetime: u32) -> SecretCertificate {
    Template {
        lifetime_secs: Some(lifetime),
        ..template(Profile::World, local)
    }
    .generate(&mut rng(u64::from(lifetime)))
    .unwrap()
}

/// What a key of a profile for a name is made by.
pub(crate) fn template(profile: Profile, local: &str) -> Template {
    Template::new(profile, &address(local), Some(local), NOW).unwrap()
}
