//! What a primary key says of itself, its user ids and its subkeys (RFC 9580 5.2.1, 5.2.3).
//!
//! Invariant: every signature names its maker and its time, in the hashed area; SHA-512.

use core::mem::discriminant;

use pgp::crypto::aead::AeadAlgorithm;
use pgp::crypto::hash::HashAlgorithm;
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{
    Features, KeyFlags, PublicSubkey, SecretKey, Signature, SignatureConfig, SignatureType,
    Subpacket, SubpacketData, UserId,
};
use pgp::types::{
    CompressionAlgorithm, Duration, KeyDetails, KeyVersion, Password, Tag, Timestamp,
};
use rand::{CryptoRng, RngCore};

/// What an owner reads, the liked first.
const CIPHERS: [SymmetricKeyAlgorithm; 3] = [
    SymmetricKeyAlgorithm::AES256,
    SymmetricKeyAlgorithm::AES192,
    SymmetricKeyAlgorithm::AES128,
];
const HASHES: [HashAlgorithm; 3] = [
    HashAlgorithm::Sha512,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha256,
];
const COMPRESSION: [CompressionAlgorithm; 2] = [
    CompressionAlgorithm::Uncompressed,
    CompressionAlgorithm::ZLIB,
];
/// GCM is several times as quick where a processor has AES; OCB everybody reads.
const MODES: [AeadAlgorithm; 2] = [AeadAlgorithm::Gcm, AeadAlgorithm::Ocb];

/// A primary key that signs at one moment.
pub(super) struct Maker<'a> {
    primary: &'a SecretKey,
    at: Timestamp,
}

impl<'a> Maker<'a> {
    pub(super) fn new(primary: &'a SecretKey, at: Timestamp) -> Self {
        Self { primary, at }
    }

    /// The moment.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// A signature with a time and a maker, and nothing else yet.
    pub(super) fn config<R: CryptoRng + RngCore>(
        &self,
        kind: SignatureType,
        rng: &mut R,
    ) -> pgp::errors::Result<SignatureConfig> {
        let algorithm = self.primary.algorithm();
        let mut config = match self.primary.version() {
            KeyVersion::V6 => {
                SignatureConfig::v6(&mut *rng, kind, algorithm, HashAlgorithm::Sha512)?
            }
            _ => SignatureConfig::v4(kind, algorithm, HashAlgorithm::Sha512),
        };
        config.hashed_subpackets = vec![
            Subpacket::critical(SubpacketData::SignatureCreationTime(self.at))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(self.primary.fingerprint()))?,
        ];
        if self.primary.version() == KeyVersion::V4 {
            config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(
                self.primary.legacy_key_id(),
            ))?];
        }
        Ok(config)
    }

    /// The same with what the key is for, how long it lives and what its owner can read. Without
    /// preferences others fall back to 3DES and SHA-1.
    pub(super) fn preferences<R: CryptoRng + RngCore>(
        &self,
        kind: SignatureType,
        lifetime_secs: Option<u32>,
        rng: &mut R,
    ) -> pgp::errors::Result<SignatureConfig> {
        let mut flags = KeyFlags::default();
        flags.set_certify(true);
        flags.set_sign(true);
        let mut config = self.config(kind, rng)?;
        config
            .hashed_subpackets
            .push(Subpacket::critical(SubpacketData::KeyFlags(flags))?);
        self.advertise(&mut config)?;
        if let Some(secs) = lifetime_secs {
            set_lifetime(&mut config, secs)?;
        }
        Ok(config)
    }

    /// Says what the owner can read, where the signature does not say it yet: what stands there
    /// may be more, by another program's word, and stays.
    pub(super) fn advertise(&self, config: &mut SignatureConfig) -> pgp::errors::Result<()> {
        let version6 = self.primary.version() == KeyVersion::V6;
        let mut features = Features::new();
        for subpacket in &config.hashed_subpackets {
            if let SubpacketData::Features(said) = &subpacket.data {
                features = said.clone();
            }
        }
        features.set_seipd_v1(true);
        features.set_seipd_v2(version6 || features.seipd_v2());
        let is_features = |data: &SubpacketData| matches!(data, SubpacketData::Features(_));
        config
            .hashed_subpackets
            .retain(|said| !is_features(&said.data));
        let mut able = vec![
            SubpacketData::Features(features),
            SubpacketData::PreferredSymmetricAlgorithms(CIPHERS.into_iter().collect()),
            SubpacketData::PreferredHashAlgorithms(HASHES.into_iter().collect()),
            SubpacketData::PreferredCompressionAlgorithms(COMPRESSION.into_iter().collect()),
        ];
        if version6 {
            let aead = MODES.map(|mode| (SymmetricKeyAlgorithm::AES256, mode));
            able.push(SubpacketData::PreferredAeadAlgorithms(
                aead.into_iter().collect(),
            ));
        }
        for data in able {
            let said = |known: &Subpacket| discriminant(&known.data) == discriminant(&data);
            if !config.hashed_subpackets.iter().any(said) {
                config.hashed_subpackets.push(Subpacket::regular(data)?);
            }
        }
        Ok(())
    }

    /// Makes a certification that of the primary user id.
    pub(super) fn mark_primary(config: &mut SignatureConfig) -> pgp::errors::Result<()> {
        let mark = Subpacket::regular(SubpacketData::IsPrimary(true))?;
        config.hashed_subpackets.push(mark);
        Ok(())
    }

    /// The binding of a subkey that encrypts mail and storage.
    pub(super) fn encryption_binding<R: CryptoRng + RngCore>(
        &self,
        rng: &mut R,
    ) -> pgp::errors::Result<SignatureConfig> {
        let mut flags = KeyFlags::default();
        flags.set_encrypt_comms(true);
        flags.set_encrypt_storage(true);
        let mut config = self.config(SignatureType::SubkeyBinding, rng)?;
        config
            .hashed_subpackets
            .push(Subpacket::critical(SubpacketData::KeyFlags(flags))?);
        Ok(config)
    }

    /// What an older signature says, said again now: all its hashed subpackets but the time.
    pub(super) fn repeat<R: CryptoRng + RngCore>(
        &self,
        old: &Signature,
        rng: &mut R,
    ) -> pgp::errors::Result<Option<SignatureConfig>> {
        let (Some(kind), Some(said)) = (old.typ(), old.config()) else {
            return Ok(None);
        };
        let mut config = self.config(kind, rng)?;
        let kept = said.hashed_subpackets().filter(|subpacket| {
            !matches!(
                subpacket.data,
                SubpacketData::SignatureCreationTime(_)
                    | SubpacketData::SignatureExpirationTime(_)
                    | SubpacketData::IssuerFingerprint(_)
                    | SubpacketData::IssuerKeyId(_)
            )
        });
        config.hashed_subpackets.extend(kept.cloned());
        // A signing subkey's agreement often stands outside the hashed area.
        let agreement = said
            .unhashed_subpackets()
            .filter(|subpacket| matches!(subpacket.data, SubpacketData::EmbeddedSignature(_)));
        config.unhashed_subpackets.extend(agreement.cloned());
        Ok(Some(config))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a key signs for keys"
    )]
    pub(super) fn sign_key(&self, config: SignatureConfig) -> pgp::errors::Result<Signature> {
        config.sign_key(self.primary, &Password::empty(), self.primary.public_key())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a key signs for keys"
    )]
    pub(super) fn sign_user_id(
        &self,
        config: SignatureConfig,
        user_id: &UserId,
    ) -> pgp::errors::Result<Signature> {
        let own = self.primary.public_key();
        config.sign_certification(self.primary, own, &Password::empty(), Tag::UserId, user_id)
    }

    /// Certifies somebody else's user id.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a key signs for keys"
    )]
    pub(super) fn certify(
        &self,
        config: SignatureConfig,
        theirs: &pgp::packet::PublicKey,
        user_id: &UserId,
    ) -> pgp::errors::Result<Signature> {
        let empty = Password::empty();
        config.sign_certification_third_party(self.primary, &empty, theirs, Tag::UserId, user_id)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where a key signs for keys"
    )]
    pub(super) fn sign_subkey(
        &self,
        config: SignatureConfig,
        subkey: &PublicSubkey,
    ) -> pgp::errors::Result<Signature> {
        let own = self.primary.public_key();
        config.sign_subkey_binding(self.primary, own, &Password::empty(), subkey)
    }
}

/// Says that the key lives so many seconds from its creation; 0 for ever.
pub(super) fn set_lifetime(config: &mut SignatureConfig, secs: u32) -> pgp::errors::Result<()> {
    config
        .hashed_subpackets
        .retain(|subpacket| !matches!(subpacket.data, SubpacketData::KeyExpirationTime(_)));
    if secs != 0 {
        let lifetime = SubpacketData::KeyExpirationTime(Duration::from_secs(secs));
        config
            .hashed_subpackets
            .push(Subpacket::critical(lifetime)?);
    }
    Ok(())
}
