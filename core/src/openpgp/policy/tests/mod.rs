//! One test for each check, with signatures and certificates made by hand. The name's number is
//! the check's. Those that concern more than one signature or certificate are tested where they
//! are made:
//!
//! | check | test |
//! |---|---|
//! | 14, the reader is one of the intended recipients | `attack_07_…` in `attack_tests::signatures` |
//! | 15, nothing counts before the message has been read to its end | `attack_02_…` in `attack_tests::efail`, `bulk::tests` |
//! | 16, the cryptographic layer is the root of the message | `attack_03_…` in `attack_tests::wrapping` |
//! | 25, the size of an armor | `armor::tests` |
//! | 26, the size of an encrypted message | `decrypt::tests::sizes_are_limited_on_both_sides` |
//! | 27, what is inflated, and how deep | `attack_09_…` in `attack_tests::exhaustion` |
//! | 29, whatever panics is an error | `attack_11_…` in `attack_tests::exhaustion`, `containers` |

mod certificates;
mod containers;
mod signatures;

use pgp::composed::SignedSecretKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Password, Timestamp as PgpTimestamp};

use super::seconds;
use crate::openpgp::test_support::NOW;
use crate::openpgp::{Certificate, SecretCertificate};

fn at(offset: i64) -> PgpTimestamp {
    PgpTimestamp::from_secs(u32::try_from(i64::from(seconds(NOW)) + offset).unwrap())
}

fn created(offset: i64) -> Subpacket {
    Subpacket::regular(SubpacketData::SignatureCreationTime(at(offset))).unwrap()
}

fn regular(data: SubpacketData) -> Subpacket {
    Subpacket::regular(data).unwrap()
}

/// A configuration by the primary key, made at [`NOW`] plus `offset`.
fn config(key: &SignedSecretKey, kind: SignatureType, offset: i64) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.primary_key.algorithm(), HashAlgorithm::Sha512);
    config.hashed_subpackets = vec![
        created(offset),
        regular(SubpacketData::IssuerFingerprint(
            key.primary_key.fingerprint(),
        )),
    ];
    config
}

fn nothing() -> Password {
    Password::empty()
}

/// The public part of a changed key, judged anew.
fn certificate(key: &SignedSecretKey) -> Certificate {
    Certificate::from_packets(key.to_public_key()).unwrap()
}

fn packets(secret: &SecretCertificate) -> SignedSecretKey {
    secret.packets().clone()
}
