//! What happens to a key during its life: it is renewed, revoked, and followed by another.
//!
//! Invariants: nothing is taken away, signatures are only added, so that what was signed before
//! stays what it was; a renewal says again what the last self-signature said, with a new time and
//! a later end. Rejected: changing the expiry of old signatures' successors by a fixed template,
//! which would rewrite the preferences of keys that came from elsewhere.

use pgp::composed::SignedSecretSubKey;
use pgp::packet::{
    KeyFlags, RevocationCode, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::types::{KeyDetails, Timestamp as PgpTimestamp};
use rand::{CryptoRng, RngCore};

use super::self_signature::{Maker, set_lifetime};
use super::{SecretCertificate, SecretCertificateError};
use crate::id::{Address, Timestamp};
use crate::openpgp::certificate::address_of_user_id;
use crate::openpgp::{Certificate, policy};

/// Longest explanation in a revocation, in octets.
pub const MAX_EXPLANATION_OCTETS: usize = 500;

/// Why a key is revoked (RFC 9580 5.2.3.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    /// None is given. Counts for all time, like a compromise.
    Unspecified,
    /// Another key has taken its place. What it signed before stays good.
    Superseded,
    /// The private key may be in other hands: nothing that it ever signed is good.
    Compromised,
    /// It is not used any more. What it signed before stays good.
    Retired,
}

impl RevocationReason {
    fn code(self) -> RevocationCode {
        match self {
            Self::Unspecified => RevocationCode::NoReason,
            Self::Superseded => RevocationCode::KeySuperseded,
            Self::Compromised => RevocationCode::KeyCompromised,
            Self::Retired => RevocationCode::KeyRetired,
        }
    }
}

impl SecretCertificate {
    /// The same key with self-signatures made `now`, to expire so many seconds after `now`;
    /// `None` for never. The subkeys that stand now, or would if they had not expired, live as
    /// long as the primary key.
    ///
    /// # Errors
    ///
    /// [`SecretCertificateError::Generation`] if the certificate says nothing that can be said
    /// again, or if a lifetime does not fit into its 32 bits.
    pub fn renewed(
        &self,
        lifetime_secs: Option<u32>,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        let renewal = Renewal {
            lifetime_secs,
            advertises: false,
            binds_all: false,
        };
        self.said_anew(renewal, policy::seconds(now), rng)
    }

    /// What the newest self-signatures say, said again.
    pub(super) fn said_anew(
        &self,
        renewal: Renewal,
        at: u32,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        let mut secret = self.packets().clone();
        let primary = secret.primary_key.clone();
        let maker = Maker::new(&primary, PgpTimestamp::from_secs(at));
        let life = renewal.lifetime(primary.created_at().as_secs(), at)?;
        let failed = |_| SecretCertificateError::Generation;
        let speak = |config: &mut SignatureConfig| -> pgp::errors::Result<()> {
            set_lifetime(config, life)?;
            if renewal.advertises {
                maker.advertise(config)?;
            }
            Ok(())
        };
        let mut renewed = false;

        let direct = newest(&secret.details.direct_signatures, SignatureType::Key);
        if let Some(mut config) = said_again(&maker, direct, rng)? {
            speak(&mut config).map_err(failed)?;
            let signature = maker.sign_key(config).map_err(failed)?;
            secret.details.direct_signatures.push(signature);
            renewed = true;
        }
        for user in &mut secret.details.users {
            let stands = self.stands(user.id.as_str().unwrap_or_default(), at);
            let own = user
                .signatures
                .iter()
                .filter(|signature| policy::certificate::names(signature, &primary));
            let last = own
                .filter(|signature| signature.typ() != Some(SignatureType::CertRevocation))
                .max_by_key(|signature| signature.created());
            let Some(mut config) = said_again(&maker, last.filter(|_| stands), rng)? else {
                continue;
            };
            // Where a direct signature speaks for the key, user ids say nothing of it.
            if last.is_some_and(|last| last.key_flags() != KeyFlags::default()) {
                speak(&mut config).map_err(failed)?;
            }
            let signature = maker.sign_user_id(config, &user.id).map_err(failed)?;
            user.signatures.push(signature);
            renewed = true;
        }
        for subkey in &mut secret.secret_subkeys {
            bind_again(&maker, subkey, renewal, at, rng)?;
        }
        if !renewed {
            return Err(SecretCertificateError::Generation);
        }
        Self::from_packets(secret)
    }

    /// Whether a user id stands, or did until the certificate expired.
    fn stands(&self, user_id: &str, at: u32) -> bool {
        self.certificate()
            .verified()
            .user_ids(at)
            .contains(&user_id)
    }

    /// The same key, revoked `now` (RFC 9580 5.2.1.11). It still opens what was encrypted to it.
    ///
    /// # Errors
    ///
    /// [`SecretCertificateError::Explanation`] for a text that is too long or has control
    /// characters.
    pub fn revoked(
        &self,
        reason: RevocationReason,
        explanation: &str,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Self, SecretCertificateError> {
        if explanation.len() > MAX_EXPLANATION_OCTETS || explanation.chars().any(char::is_control) {
            return Err(SecretCertificateError::Explanation);
        }
        let mut secret = self.packets().clone();
        let at = PgpTimestamp::from_secs(policy::seconds(now));
        let revocation = || -> pgp::errors::Result<Signature> {
            let maker = Maker::new(&self.packets().primary_key, at);
            let mut config = maker.config(SignatureType::KeyRevocation, rng)?;
            let text = explanation.as_bytes().to_vec().into();
            let said = SubpacketData::RevocationReason(reason.code(), text);
            config.hashed_subpackets.push(Subpacket::regular(said)?);
            maker.sign_key(config)
        }()
        .map_err(|_| SecretCertificateError::Generation)?;
        secret.details.revocation_signatures.push(revocation);
        Self::from_packets(secret)
    }

    /// Certifies that another certificate belongs to `address`: how a key names its successor,
    /// and how one person vouches for another. The answer is their certificate with our word.
    ///
    /// # Errors
    ///
    /// [`SecretCertificateError::Name`] if no user id of theirs that stands now has the address.
    pub fn certify(
        &self,
        theirs: &Certificate,
        address: &Address,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Certificate, SecretCertificateError> {
        let is_meant = |user_id: &str| {
            let named = address_of_user_id(user_id);
            named.is_some_and(|named| named.canonical() == address.canonical())
        };
        self.certify_user_ids(theirs, is_meant, now, rng)
    }

    /// Certifies that another certificate belongs to those of its user ids that are meant.
    ///
    /// # Errors
    ///
    /// [`SecretCertificateError::Name`] if none of them stands now.
    pub fn certify_user_ids(
        &self,
        theirs: &Certificate,
        is_meant: impl Fn(&str) -> bool,
        now: Timestamp,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<Certificate, SecretCertificateError> {
        let at = policy::seconds(now);
        let standing = theirs.verified().user_ids(at);
        let mut packets = theirs.verified().packets().clone();
        let key = packets.primary_key.clone();
        let maker = Maker::new(&self.packets().primary_key, PgpTimestamp::from_secs(at));
        let mut certified = false;
        for user in &mut packets.details.users {
            let text = user.id.as_str();
            if text.is_none_or(|id| !standing.contains(&id) || !is_meant(id)) {
                continue;
            }
            let signature = maker
                .config(SignatureType::CertGeneric, rng)
                .and_then(|config| maker.certify(config, &key, &user.id))
                .map_err(|_| SecretCertificateError::Generation)?;
            user.signatures.push(signature);
            certified = true;
        }
        if !certified {
            return Err(SecretCertificateError::Name);
        }
        Ok(Certificate::from_packets(packets)?)
    }
}

/// How the newest self-signatures are said again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renewal {
    /// How long the key lives from now; `None` for ever.
    pub(super) lifetime_secs: Option<u32>,
    /// Whether they say what the owner reads, where they did not.
    pub(super) advertises: bool,
    /// Whether subkeys without an end of their own are bound again too.
    pub(super) binds_all: bool,
}

impl Renewal {
    /// How many seconds a key may live from its creation, 0 for ever.
    fn lifetime(&self, created: u32, at: u32) -> Result<u32, SecretCertificateError> {
        let Some(secs) = self.lifetime_secs else {
            return Ok(0);
        };
        at.checked_sub(created)
            .and_then(|age| age.checked_add(secs))
            .ok_or(SecretCertificateError::Generation)
    }
}

/// Binds a subkey that stands, or did until it expired, once more.
fn bind_again(
    maker: &Maker<'_>,
    subkey: &mut SignedSecretSubKey,
    renewal: Renewal,
    at: u32,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), SecretCertificateError> {
    let last = newest(&subkey.signatures, SignatureType::SubkeyBinding);
    let ends = last.is_some_and(|last| last.key_expiration_time().is_some());
    let revoked = newest(&subkey.signatures, SignatureType::SubkeyRevocation).is_some();
    let wanted = (ends || renewal.binds_all) && !revoked;
    let Some(mut config) = said_again(maker, last.filter(|_| wanted), rng)? else {
        return Ok(());
    };
    let failed = |_| SecretCertificateError::Generation;
    if ends {
        let life = renewal.lifetime(subkey.key.created_at().as_secs(), at)?;
        set_lifetime(&mut config, life).map_err(failed)?;
    }
    let signature = maker
        .sign_subkey(config, subkey.key.public_key())
        .map_err(failed)?;
    subkey.signatures.push(signature);
    Ok(())
}

fn newest(signatures: &[Signature], kind: SignatureType) -> Option<&Signature> {
    signatures
        .iter()
        .filter(|signature| signature.typ() == Some(kind))
        .max_by_key(|signature| signature.created())
}

fn said_again(
    maker: &Maker<'_>,
    last: Option<&Signature>,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Option<SignatureConfig>, SecretCertificateError> {
    let Some(last) = last else { return Ok(None) };
    maker
        .repeat(last, rng)
        .map_err(|_| SecretCertificateError::Generation)
}
