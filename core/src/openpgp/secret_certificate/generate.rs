//! Making keys: what is in a new certificate (RFC 9580 10.1, RFC 9980, Autocrypt Level 1).
//!
//! Invariant: every packet of a new certificate carries the same time, and nothing is in it that
//! its profile's readers do not understand. Rejected: `SecretKeyParams` of rPGP, which reads the
//! clock and cannot set an expiry; an ML-KEM subkey in the version 4 certificate, for which RNP
//! refuses the whole key.

use pgp::composed::{KeyType, SignedKeyDetails, SignedSecretKey, SignedSecretSubKey};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::packet::{
    PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey, SignatureType, UserId,
};
use pgp::types::{KeyVersion, PacketHeaderVersion, SignedUser, Timestamp as PgpTimestamp};
use rand::{CryptoRng, RngCore};

use super::self_signature::Maker;
use super::{SecretCertificate, SecretCertificateError, user_id};
use crate::id::{Address, Timestamp};
use crate::openpgp::policy;

/// Which kind of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// For the world: version 4, an Ed25519 primary key that certifies and signs, a Curve25519
    /// subkey that encrypts, both in the old encoding; with one user id the five packets of
    /// Autocrypt Level 1. It does not ask for SEIPD version 2: many who read it cannot write that.
    World,
    /// RFC 9580: version 6, Ed25519 and X25519.
    Version6,
    /// RFC 9980: version 6, Ed25519 to sign and ML-KEM-768 with X25519 to encrypt, so that what
    /// is recorded today stays closed to the quantum computers of tomorrow.
    PostQuantum,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::World, Self::Version6, Self::PostQuantum];

    fn version(self) -> KeyVersion {
        match self {
            Self::World => KeyVersion::V4,
            Self::Version6 | Self::PostQuantum => KeyVersion::V6,
        }
    }

    fn primary(self) -> KeyType {
        match self {
            Self::World => KeyType::Ed25519Legacy,
            Self::Version6 | Self::PostQuantum => KeyType::Ed25519,
        }
    }

    fn subkey(self) -> KeyType {
        match self {
            Self::World => KeyType::ECDH(ECCCurve::Curve25519Legacy),
            Self::Version6 => KeyType::X25519,
            Self::PostQuantum => KeyType::MlKem768X25519,
        }
    }
}

/// What a new certificate shall be.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its kind.
    pub profile: Profile,
    /// Its user ids, the primary one first; there may be none.
    pub user_ids: Vec<String>,
    /// When it is made.
    pub created_at: Timestamp,
    /// For how many seconds it lives; `None` for ever.
    pub lifetime_secs: Option<u32>,
    /// Whether it shall have a subkey to encrypt to.
    pub encrypts: bool,
}

impl Template {
    /// One user id, an encryption subkey, no expiry.
    ///
    /// # Errors
    ///
    /// [`SecretCertificateError::Name`] if the name cannot stand in a user id.
    pub fn new(
        profile: Profile,
        address: &Address,
        name: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, SecretCertificateError> {
        Ok(Self {
            profile,
            user_ids: vec![user_id(address, name)?],
            created_at: now,
            lifetime_secs: None,
            encrypts: true,
        })
    }

    /// Makes it.
    pub fn generate(
        &self,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<SecretCertificate, SecretCertificateError> {
        let packets = self
            .packets(rng)
            .map_err(|_| SecretCertificateError::Generation)?;
        SecretCertificate::from_packets(packets)
    }

    fn packets<R: CryptoRng + RngCore>(&self, rng: &mut R) -> pgp::errors::Result<SignedSecretKey> {
        let created = PgpTimestamp::from_secs(policy::seconds(self.created_at));
        let version = self.profile.version();
        let kind = self.profile.primary();
        let (public, private) = kind.generate(&mut *rng)?;
        let inner = PubKeyInner::new(version, kind.to_alg(), created, None, public)?;
        let primary = SecretKey::new(PublicKey::from_inner(inner)?, private)?;
        let maker = Maker::new(&primary, created);

        let mut direct = vec![];
        // Version 6 says all in one direct signature (RFC 9580 10.1.1); so does who has no name.
        if version == KeyVersion::V6 || self.user_ids.is_empty() {
            let preferences = maker.preferences(SignatureType::Key, self.lifetime_secs, rng)?;
            direct.push(maker.sign_key(preferences)?);
        }
        let mut users = vec![];
        for (number, user_id) in self.user_ids.iter().enumerate() {
            let user_id = UserId::from_str(PacketHeaderVersion::default(), user_id)?;
            let kind = SignatureType::CertPositive;
            let mut config = match version {
                KeyVersion::V6 => maker.config(kind, rng)?,
                _ => maker.preferences(kind, self.lifetime_secs, rng)?,
            };
            if number == 0 {
                Maker::mark_primary(&mut config)?;
            }
            let certification = maker.sign_user_id(config, &user_id)?;
            users.push(SignedUser::new(user_id, vec![certification]));
        }
        let mut subkeys = vec![];
        if self.encrypts {
            subkeys.push(encryption_subkey(self.profile, &maker, rng)?);
        }
        let details = SignedKeyDetails::new(vec![], direct, users, vec![]);
        Ok(SignedSecretKey::new(primary, details, vec![], subkeys))
    }
}

/// A new subkey to encrypt to, of the profile's kind, bound by its primary key.
pub(super) fn encryption_subkey<R: CryptoRng + RngCore>(
    profile: Profile,
    maker: &Maker<'_>,
    rng: &mut R,
) -> pgp::errors::Result<SignedSecretSubKey> {
    let kind = profile.subkey();
    let (public, private) = kind.generate(&mut *rng)?;
    let inner = PubKeyInner::new(profile.version(), kind.to_alg(), maker.at(), None, public)?;
    let subkey = SecretSubkey::new(PublicSubkey::from_inner(inner)?, private)?;
    let binding = maker.sign_subkey(maker.encryption_binding(rng)?, subkey.public_key())?;
    Ok(SignedSecretSubKey::new(subkey, vec![binding]))
}
