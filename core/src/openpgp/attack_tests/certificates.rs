//! Forged and broken certificates (12): every way in which a subkey can be bound, with every way
//! in which the primary key can speak of itself. Mail is encrypted only where both are in order.

use pgp::composed::{SignedSecretKey, SignedSecretSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Notation, RevocationCode, Signature, SignatureConfig, SignatureType};
use pgp::packet::{Subpacket, SubpacketData};
use pgp::types::{
    Duration, KeyDetails, Mpi, Password, SignatureBytes, Tag, Timestamp as PgpTimestamp,
};

use super::*;

const DAY: i64 = 86_400;

/// How a signature of the certificate is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::openpgp) enum Way {
    Good,
    /// Made a day ahead.
    Future,
    /// Made before the key was.
    BeforeTheKey,
    WithoutTime,
    /// Good for a second only.
    Elapsed,
    /// The key that it speaks of lives a second.
    KeyExpired,
    UnknownCritical,
    /// Of eve's, naming alice.
    ByEveAsAlice,
    ByEve,
    /// One bit of it is wrong.
    Corrupted,
    /// There is none.
    Missing,
    /// Taken back, with a reason that counts from then on.
    Retired,
    /// Taken back, with a reason that counts for all time.
    Compromised,
    /// Says that the key may not do this.
    WithoutFlags,
    /// Says that it may sign.
    OtherFlags,
    /// Is over another key or user id.
    OverAnother,
}

pub(in crate::openpgp) const WAYS: [Way; 16] = [
    Way::Good,
    Way::Future,
    Way::BeforeTheKey,
    Way::WithoutTime,
    Way::Elapsed,
    Way::KeyExpired,
    Way::UnknownCritical,
    Way::ByEveAsAlice,
    Way::ByEve,
    Way::Corrupted,
    Way::Missing,
    Way::Retired,
    Way::Compromised,
    Way::WithoutFlags,
    Way::OtherFlags,
    Way::OverAnother,
];

fn nothing() -> Password {
    Password::empty()
}

fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}

fn config(kind: SignatureType, key: &SignedSecretKey, offset: i64) -> SignatureConfig {
    let at = u32::try_from(NOW.as_secs() + offset).unwrap();
    let created = SubpacketData::SignatureCreationTime(PgpTimestamp::from_secs(at));
    let issuer = SubpacketData::IssuerFingerprint(key.primary_key.fingerprint());
    let mut config = SignatureConfig::v4(kind, key.primary_key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![regular(created), regular(issuer)];
    // gpg asks for it in what a key says of itself.
    let id = SubpacketData::IssuerKeyId(key.primary_key.legacy_key_id());
    config.unhashed_subpackets = vec![regular(id)];
    config
}

/// What the signature says, made as the way wants it; the flags stand for themselves.
fn said(kind: SignatureType, way: Way, flags: KeyFlags) -> SignatureConfig {
    let alice = secret("alice");
    let signer = if way == Way::ByEve {
        secret("eve")
    } else {
        alice
    };
    let offset = match way {
        Way::Future => DAY,
        Way::BeforeTheKey => -DAY,
        _ => 0,
    };
    let mut config = config(kind, signer.packets(), offset);
    if way == Way::WithoutTime {
        config.hashed_subpackets.remove(0);
    }
    let flags = match way {
        Way::WithoutFlags => KeyFlags::default(),
        Way::OtherFlags => {
            let mut flags = KeyFlags::default();
            flags.set_authentication(true);
            flags
        }
        _ => flags,
    };
    let second = Duration::from_secs(1);
    let added = &mut config.hashed_subpackets;
    added.push(regular(SubpacketData::KeyFlags(flags)));
    match way {
        Way::Elapsed => added.push(regular(SubpacketData::SignatureExpirationTime(second))),
        Way::KeyExpired => added.push(regular(SubpacketData::KeyExpirationTime(second))),
        Way::UnknownCritical => {
            let notation = SubpacketData::Notation(Notation {
                readable: true,
                name: "x@letterlock.example".into(),
                value: "y".into(),
            });
            added.push(Subpacket::critical(notation).unwrap());
        }
        _ => {}
    }
    config
}

fn is_eves(way: Way) -> bool {
    matches!(way, Way::ByEve | Way::ByEveAsAlice)
}

fn corrupted(signature: &Signature) -> Signature {
    let SignatureBytes::Mpis(mut numbers) = signature.signature().unwrap().clone() else {
        panic!("EdDSA in its old form has two numbers");
    };
    let mut octets = numbers[1].as_ref().to_vec();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    numbers[1] = Mpi::from_slice(&octets);
    let config = signature.config().unwrap().clone();
    let prefix = signature.signed_hash_value().unwrap();
    Signature::from_config(config, prefix, SignatureBytes::Mpis(numbers)).unwrap()
}

/// The user id's signatures, and revocations of the key.
fn speak_of_itself(key: &mut SignedSecretKey, way: Way) {
    let (alice, eve) = (secret("alice"), secret("eve"));
    let signer = if is_eves(way) {
        eve.packets()
    } else {
        alice.packets()
    };
    let public = key.primary_key.public_key().clone();
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(true);
    let user = &mut key.details.users[0];
    let over = if way == Way::OverAnother {
        eve.packets().details.users[0].id.clone()
    } else {
        user.id.clone()
    };
    let config_of_user = said(SignatureType::CertPositive, way, flags);
    let made = config_of_user.sign_certification(
        &signer.primary_key,
        &public,
        &nothing(),
        Tag::UserId,
        &over,
    );
    let made = made.unwrap();
    user.signatures = match way {
        Way::Missing => vec![],
        Way::Corrupted => vec![corrupted(&made)],
        _ => vec![made],
    };
    if let Way::Retired | Way::Compromised = way {
        let code = reason(way);
        let mut revocation = config(SignatureType::KeyRevocation, alice.packets(), 1);
        revocation
            .hashed_subpackets
            .push(regular(SubpacketData::RevocationReason(code, "".into())));
        let revocation = revocation
            .sign_key(&key.primary_key, &nothing(), &public)
            .unwrap();
        key.details.revocation_signatures.push(revocation);
    }
}

fn reason(way: Way) -> RevocationCode {
    if way == Way::Retired {
        RevocationCode::KeyRetired
    } else {
        RevocationCode::KeyCompromised
    }
}

/// The encryption subkey and its binding.
fn bind(key: &mut SignedSecretKey, way: Way) {
    let (alice, eve) = (secret("alice"), secret("eve"));
    let signer = if is_eves(way) {
        eve.packets()
    } else {
        alice.packets()
    };
    let public = key.primary_key.public_key().clone();
    let mut flags = KeyFlags::default();
    flags.set_encrypt_comms(true);
    let subkey = key.secret_subkeys[0].key.clone();
    let over = if way == Way::OverAnother {
        eve.packets().secret_subkeys[0].key.public_key().clone()
    } else {
        subkey.public_key().clone()
    };
    let sign = |config: SignatureConfig, signer: &SignedSecretKey, over| {
        config
            .sign_subkey_binding(&signer.primary_key, &public, &nothing(), over)
            .unwrap()
    };
    let made = sign(
        said(SignatureType::SubkeyBinding, way, flags),
        signer,
        &over,
    );
    let mut signatures = match way {
        Way::Missing => vec![],
        Way::Corrupted => vec![corrupted(&made)],
        _ => vec![made],
    };
    if let Way::Retired | Way::Compromised = way {
        let mut revocation = config(SignatureType::SubkeyRevocation, alice.packets(), 1);
        let data = SubpacketData::RevocationReason(reason(way), "".into());
        revocation.hashed_subpackets.push(regular(data));
        signatures.push(sign(revocation, alice.packets(), &over));
    }
    key.secret_subkeys = vec![SignedSecretSubKey::new(subkey, signatures)];
}

/// alice's key, as it speaks of itself in one way and binds its subkey in another.
pub(in crate::openpgp) fn alice(own: Way, binding: Way) -> SignedSecretKey {
    let mut key = secret("alice").packets().clone();
    speak_of_itself(&mut key, own);
    bind(&mut key, binding);
    key
}

#[test]
fn attack_12_forged_and_broken_certificates() {
    let mut members = 0;
    let mut wrong = Vec::new();
    for own in WAYS {
        for binding in WAYS {
            let key = alice(own, binding);
            let usable = Certificate::from_packets(key.to_public_key())
                .is_ok_and(|certificate| certificate.usable_for_encryption(READ_AT).is_ok());
            // What the primary key may do itself does not matter for its subkey.
            let speaks = matches!(own, Way::Good | Way::WithoutFlags | Way::OtherFlags);
            let expected = speaks && binding == Way::Good;
            if usable != expected {
                wrong.push(format!("the key {own:?}, its subkey {binding:?}: {usable}"));
            }
            members += 1;
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(members, 16 * 16);
}

#[test]
fn attack_12_a_grafted_subkey_comes_to_nothing() {
    // eve's subkey in alice's certificate, with each of the bindings that exist.
    let (alice, eve) = (secret("alice"), secret("eve"));
    let theirs = &eve.packets().secret_subkeys[0];
    let own = &alice.packets().secret_subkeys[0];
    for signatures in [
        theirs.signatures.clone(),
        own.signatures.clone(),
        [theirs.signatures.clone(), own.signatures.clone()].concat(),
        vec![],
    ] {
        for keep_own in [true, false] {
            let mut key = alice.packets().clone();
            let grafted = SignedSecretSubKey::new(theirs.key.clone(), signatures.clone());
            key.secret_subkeys.insert(0, grafted);
            if !keep_own {
                key.secret_subkeys.truncate(1);
            }
            let certificate = Certificate::from_packets(key.to_public_key()).unwrap();
            let at = policy::seconds(READ_AT);
            let used = certificate.verified().encryption_key(at);
            let expected = keep_own.then(|| own.key.fingerprint());
            assert_eq!(used.ok().map(|subkey| subkey.key.fingerprint()), expected);
        }
    }
}
