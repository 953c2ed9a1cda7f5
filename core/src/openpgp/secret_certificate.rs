//! A certificate with its private keys (RFC 9580 10.1.2): an account's own, or one pasted into
//! the decrypt page.
//!
//! Invariant: unlocked. Private key material lives in rPGP's types, which overwrite themselves
//! when dropped, and in [`Zeroizing`] buffers; `Debug` shows the fingerprint alone.
//! Rejected: `SecretKeyParams` of rPGP, which reads the clock and cannot set an expiry.

use core::fmt;

use pgp::composed::{
    Deserializable, KeyType, SignedKeyDetails, SignedSecretKey, SignedSecretSubKey,
};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{
    Features, KeyFlags, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey,
    SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{
    CompressionAlgorithm, KeyDetails, KeyVersion, Password, SigningKey, Tag,
    Timestamp as PgpTimestamp,
};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::armor::{self, Kind};
use super::certificate::{self, Certificate};
use super::fingerprint::Fingerprint;
use super::policy::limits::MAX_CERTIFICATE_OCTETS;
use super::policy::{self, CertificateDefect};
use crate::id::{Address, Timestamp};

/// Longest display name in a user id, in octets.
pub const MAX_NAME_OCTETS: usize = 200;

/// Why octets are no usable secret key, or none can be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretCertificateError {
    /// The public part is not in order.
    #[error(transparent)]
    Defect(#[from] CertificateDefect),
    /// It is locked, and no passphrase was given.
    #[error("the key is locked with a passphrase")]
    Locked,
    /// The passphrase is wrong.
    #[error("wrong passphrase for the key")]
    Passphrase,
    /// The name has control characters or brackets, or is too long.
    #[error("the name cannot stand in a user id")]
    Name,
    /// Key material could not be made.
    #[error("the key could not be made")]
    Generation,
}

/// A certificate and its private keys, unlocked.
#[derive(Clone)]
pub struct SecretCertificate {
    secret: SignedSecretKey,
    certificate: Certificate,
}

impl SecretCertificate {
    /// Makes a certificate for the world: version 4, an Ed25519 primary key that certifies and
    /// signs, a Curve25519 subkey that encrypts, one user id: the five packets of Autocrypt
    /// Level 1. It does not expire: nothing renews it yet, and an expired certificate means mail
    /// in the clear.
    pub fn generate(
        address: &Address,
        name: Option<&str>,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        Self::generate_expiring(address, name, None, now, rng)
    }

    /// The same, to expire so many seconds after `now`.
    pub fn generate_expiring(
        address: &Address,
        name: Option<&str>,
        lifetime_secs: Option<u32>,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        let user_id = user_id(address, name)?;
        let created = PgpTimestamp::from_secs(policy::seconds(now));
        let secret = generate(&user_id, created, lifetime_secs, rng)
            .map_err(|_| SecretCertificateError::Generation)?;
        Self::from_packets(secret)
    }

    /// Parses one binary or armored transferable secret key, unlocking it with the passphrase if
    /// it is locked.
    pub fn parse(octets: &[u8], passphrase: Option<&str>) -> Result<Self, SecretCertificateError> {
        let binary = armor::binary(octets, Kind::SecretKey, MAX_CERTIFICATE_OCTETS)
            .map_err(certificate::defect)?;
        let binary = Zeroizing::new(binary.into_owned());
        let mut secret =
            SignedSecretKey::from_bytes(binary.as_slice()).map_err(|_| CertificateDefect::Form)?;
        unlock(&mut secret, passphrase)?;
        Self::from_packets(secret)
    }

    fn from_packets(secret: SignedSecretKey) -> Result<Self, SecretCertificateError> {
        let certificate = Certificate::from_packets(secret.to_public_key())?;
        Ok(Self {
            secret,
            certificate,
        })
    }

    /// The public part.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The primary key's fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }

    /// The binary form, *unlocked*: to be sealed at once.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.secret.to_bytes().unwrap_or_default())
    }

    /// Keys that may have been encrypted to: every subkey and, for old RSA keys, the primary.
    pub(super) fn packets(&self) -> &SignedSecretKey {
        &self.secret
    }

    /// The private key that signs documents at `now`: the primary, else the newest subkey that
    /// may.
    pub(super) fn signing_key(&self, now: u32) -> Option<&dyn SigningKey> {
        let verified = self.certificate.verified();
        if verified.primary_signs(now).is_ok() {
            return Some(&self.secret.primary_key);
        }
        let subkey = verified
            .packets()
            .public_subkeys
            .iter()
            .filter(|subkey| verified.subkey_signs(subkey, now).is_ok())
            .max_by_key(|subkey| subkey.key.created_at())?;
        let wanted = subkey.key.fingerprint();
        self.secret
            .secret_subkeys
            .iter()
            .find(|secret| secret.key.fingerprint() == wanted)
            .map(|secret| -> &dyn SigningKey { &secret.key })
    }
}

impl fmt::Debug for SecretCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretCertificate({})", self.fingerprint())
    }
}

fn user_id(address: &Address, name: Option<&str>) -> Result<String, SecretCertificateError> {
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        None => Ok(format!("<{address}>")),
        Some(name) if name.len() > MAX_NAME_OCTETS => Err(SecretCertificateError::Name),
        Some(name) if name.contains(['<', '>']) || name.chars().any(char::is_control) => {
            Err(SecretCertificateError::Name)
        }
        Some(name) => Ok(format!("{name} <{address}>")),
    }
}

fn unlock(
    secret: &mut SignedSecretKey,
    passphrase: Option<&str>,
) -> Result<(), SecretCertificateError> {
    let locked = secret.primary_key.secret_params().is_encrypted()
        || secret
            .secret_subkeys
            .iter()
            .any(|subkey| subkey.key.secret_params().is_encrypted());
    if !locked {
        return Ok(());
    }
    let password = Password::from(passphrase.ok_or(SecretCertificateError::Locked)?);
    let wrong = |_| SecretCertificateError::Passphrase;
    if secret.primary_key.secret_params().is_encrypted() {
        secret
            .primary_key
            .remove_password(&password)
            .map_err(wrong)?;
    }
    for subkey in &mut secret.secret_subkeys {
        if subkey.key.secret_params().is_encrypted() {
            subkey.key.remove_password(&password).map_err(wrong)?;
        }
    }
    Ok(())
}

fn generate<R: CryptoRng + RngCore>(
    user_id: &str,
    created: PgpTimestamp,
    lifetime_secs: Option<u32>,
    rng: &mut R,
) -> pgp::errors::Result<SignedSecretKey> {
    let primary_type = KeyType::Ed25519Legacy;
    let (public, private) = primary_type.generate(&mut *rng)?;
    let inner = PubKeyInner::new(KeyVersion::V4, primary_type.to_alg(), created, None, public)?;
    let primary = SecretKey::new(PublicKey::from_inner(inner)?, private)?;

    let subkey_type = KeyType::ECDH(ECCCurve::Curve25519Legacy);
    let (public, private) = subkey_type.generate(&mut *rng)?;
    let inner = PubKeyInner::new(KeyVersion::V4, subkey_type.to_alg(), created, None, public)?;
    let subkey = SecretSubkey::new(PublicSubkey::from_inner(inner)?, private)?;

    let user_id = UserId::from_str(pgp::types::PacketHeaderVersion::default(), user_id)?;
    let certification = self_signature(&primary, created, lifetime_secs)?.sign_certification(
        &primary,
        primary.public_key(),
        &Password::empty(),
        Tag::UserId,
        &user_id,
    )?;
    let binding = binding(&primary, created)?.sign_subkey_binding(
        &primary,
        primary.public_key(),
        &Password::empty(),
        subkey.public_key(),
    )?;
    let details = SignedKeyDetails::new(
        vec![],
        vec![],
        vec![user_id.into_signed(certification)],
        vec![],
    );
    let subkeys = vec![SignedSecretSubKey::new(subkey, vec![binding])];
    Ok(SignedSecretKey::new(primary, details, vec![], subkeys))
}

/// Preferences: without them others fall back to 3DES and SHA-1. No SEIPD version 2 for a
/// version 4 certificate: many of those who read this key cannot write it.
fn self_signature(
    primary: &SecretKey,
    created: PgpTimestamp,
    lifetime_secs: Option<u32>,
) -> pgp::errors::Result<SignatureConfig> {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let mut features = Features::new();
    features.set_seipd_v1(true);
    let ciphers = [
        SymmetricKeyAlgorithm::AES256,
        SymmetricKeyAlgorithm::AES192,
        SymmetricKeyAlgorithm::AES128,
    ];
    let hashes = [
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha256,
    ];
    let compression = [
        CompressionAlgorithm::Uncompressed,
        CompressionAlgorithm::ZLIB,
    ];
    let mut config = signature_config(primary, SignatureType::CertPositive, created)?;
    config.hashed_subpackets.extend([
        Subpacket::regular(SubpacketData::IsPrimary(true))?,
        Subpacket::critical(SubpacketData::KeyFlags(flags))?,
        Subpacket::regular(SubpacketData::Features(features))?,
        Subpacket::regular(SubpacketData::PreferredSymmetricAlgorithms(
            ciphers.into_iter().collect(),
        ))?,
        Subpacket::regular(SubpacketData::PreferredHashAlgorithms(
            hashes.into_iter().collect(),
        ))?,
        Subpacket::regular(SubpacketData::PreferredCompressionAlgorithms(
            compression.into_iter().collect(),
        ))?,
    ]);
    if let Some(secs) = lifetime_secs {
        let lifetime = SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(secs));
        config
            .hashed_subpackets
            .push(Subpacket::critical(lifetime)?);
    }
    Ok(config)
}

fn binding(primary: &SecretKey, created: PgpTimestamp) -> pgp::errors::Result<SignatureConfig> {
    let mut flags = KeyFlags::default();
    flags.set_encrypt_comms(true);
    flags.set_encrypt_storage(true);
    let mut config = signature_config(primary, SignatureType::SubkeyBinding, created)?;
    config
        .hashed_subpackets
        .push(Subpacket::critical(SubpacketData::KeyFlags(flags))?);
    Ok(config)
}

fn signature_config(
    primary: &SecretKey,
    kind: SignatureType,
    created: PgpTimestamp,
) -> pgp::errors::Result<SignatureConfig> {
    let mut config = SignatureConfig::v4(kind, primary.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        Subpacket::critical(SubpacketData::SignatureCreationTime(created))?,
        Subpacket::regular(SubpacketData::IssuerFingerprint(primary.fingerprint()))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(
        primary.legacy_key_id(),
    ))?];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::test_support::{NOW, later, rng, secret};

    #[test]
    fn a_generated_certificate_is_what_autocrypt_wants() {
        let alice = secret("alice");
        let certificate = alice.certificate();
        let packets: Vec<_> = pgp::packet::PacketParser::new(certificate.as_bytes())
            .map(|packet| pgp::packet::PacketTrait::tag(&packet.unwrap()))
            .collect();
        assert_eq!(
            packets,
            [
                Tag::PublicKey,
                Tag::UserId,
                Tag::Signature,
                Tag::PublicSubkey,
                Tag::Signature
            ]
        );
        let address = Address::new("ALICE@letterlock.example").unwrap();
        assert!(
            certificate.as_bytes().len() < 600,
            "{}",
            certificate.as_bytes().len()
        );
        assert_eq!(
            certificate.to_autocrypt(&address, NOW).unwrap(),
            certificate.to_bytes()
        );
        assert!(certificate.names(&address, NOW));
        assert_eq!(certificate.usable_for_encryption(NOW), Ok(()));
        assert_eq!(certificate.expires_at(later(9_000_000)), None);
        assert_eq!(certificate.created_at(), NOW);
        assert!(certificate.verified().packets().primary_key.version() == KeyVersion::V4);
        assert!(!certificate.verified().reads_seipd_v2(policy::seconds(NOW)));
    }

    #[test]
    fn keys_survive_the_way_through_octets_and_armor() {
        let alice = secret("alice");
        let again = SecretCertificate::parse(&alice.to_bytes(), None).unwrap();
        assert_eq!(again.certificate(), alice.certificate());
        let armored = alice.certificate().to_armor();
        assert_eq!(
            &Certificate::parse(armored.as_bytes()).unwrap(),
            alice.certificate()
        );
        assert!(Certificate::parse(&alice.to_bytes()).is_err());
        assert!(!format!("{alice:?}").contains("letterlock"));
    }

    #[test]
    fn a_passphrase_unlocks_and_a_wrong_one_does_not() {
        let mut locked = secret("alice").secret;
        let password = Password::from("correct horse");
        locked.primary_key.set_password(rng(1), &password).unwrap();
        for subkey in &mut locked.secret_subkeys {
            subkey.key.set_password(rng(2), &password).unwrap();
        }
        let octets = locked.to_bytes().unwrap();
        assert!(SecretCertificate::parse(&octets, Some("correct horse")).is_ok());
        assert!(matches!(
            SecretCertificate::parse(&octets, Some("wrong")),
            Err(SecretCertificateError::Passphrase)
        ));
        assert!(matches!(
            SecretCertificate::parse(&octets, None),
            Err(SecretCertificateError::Locked)
        ));
    }

    #[test]
    fn a_name_cannot_smuggle_another_address() {
        let address = Address::new("a@b.example").unwrap();
        for name in ["x <eve@evil.example>", "a\nb", &"n".repeat(201)] {
            assert!(SecretCertificate::generate(&address, Some(name), NOW, &mut rng(3)).is_err());
        }
        assert!(SecretCertificate::generate(&address, None, NOW, &mut rng(3)).is_ok());
    }
}
