//! What comes out of here is what comes out of rPGP: for every cipher, around every edge, and for
//! everything that was changed on the way. [`assert_same`] besides looks at each message that any
//! test of this crate opens.

mod platforms;

use futures::executor::block_on;
use pgp::composed::{MessageBuilder, RawSessionKey};
use pgp::crypto::aead::{AeadAlgorithm, ChunkSize};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{PacketTrait as _, PublicKeyEncryptedSessionKey, SymEncryptedProtectedData};
use pgp::types::CompressionAlgorithm;

use self::platforms::{Software, Threads};
use super::*;
use crate::openpgp::attack_tests::packet;
use crate::openpgp::decrypt::{self, DecryptError, Decrypted, Limits};
use crate::openpgp::encrypt::Order;
use crate::openpgp::frame::{Frame, Length};
use crate::openpgp::secret_certificate::Profile;
use crate::openpgp::sign::{self, Mode};
use crate::openpgp::test_support::{NOW, rng, secret, template};
use crate::openpgp::{SecretCertificate, encrypt, policy};

/// Whether a message opens here as it did with rPGP: to the same, or for the same reason not.
pub(in crate::openpgp) fn assert_same(
    expected: &Result<Decrypted, DecryptError>,
    octets: &[u8],
    keys: &[SecretCertificate],
    limits: &Limits,
) {
    for bulk in [&Software::default() as &dyn BulkCipher, &Threads] {
        let found = block_on(decrypt::message_with(octets, keys, limits, Some(bulk)));
        assert_alike(expected, &found);
    }
}

fn assert_alike(
    expected: &Result<Decrypted, DecryptError>,
    found: &Result<Decrypted, DecryptError>,
) {
    match (expected, found) {
        (Ok(expected), Ok(found)) => {
            assert!(expected.plaintext == found.plaintext, "the same plaintext");
            assert!(
                expected.signatures == found.signatures,
                "the same signatures"
            );
            assert_eq!(expected.encrypted_to, found.encrypted_to);
            assert_eq!(expected.cipher, found.cipher);
        }
        (Err(expected), Err(found)) => assert_eq!(expected, found),
        (expected, found) => panic!("{expected:?} with rPGP, {found:?} in bulk"),
    }
}

/// Whether it is opened here, and not left to rPGP.
fn is_taken(message: &[u8], key: &SecretCertificate) -> bool {
    let keys = core::slice::from_ref(key);
    let container = policy::container::inspect(message).unwrap();
    let limits = Limits::default();
    let software = Software::default();
    block_on(decrypt::open_in_bulk(
        message, container, keys, &limits, &software,
    ))
    .is_some()
}

fn opened(message: &[u8], key: &SecretCertificate) -> Result<Decrypted, DecryptError> {
    decrypt::message(message, core::slice::from_ref(key), &Limits::default())
}

fn bob(profile: Profile) -> SecretCertificate {
    template(profile, "bob").generate(&mut rng(1)).unwrap()
}

fn text(octets: usize) -> Vec<u8> {
    (0..octets)
        .map(|n| u8::try_from(n * 31 % 251).unwrap())
        .collect()
}

/// A message to somebody around packets, with a cipher; version 1, or GCM in chunks of this size.
fn around(
    inner: &[u8],
    to: &SecretCertificate,
    cipher: SymmetricKeyAlgorithm,
    size: Option<ChunkSize>,
) -> Vec<u8> {
    let session_key = RawSessionKey::from(vec![7_u8; cipher.key_size()]);
    let at = policy::seconds(NOW);
    let key = to.certificate().verified().encryption_key(at).unwrap();
    let (session, data) = match size {
        None => (
            PublicKeyEncryptedSessionKey::from_session_key_v3(rng(2), &session_key, cipher, key),
            SymEncryptedProtectedData::encrypt_seipdv1(rng(3), cipher, session_key.as_ref(), inner),
        ),
        Some(size) => (
            PublicKeyEncryptedSessionKey::from_session_key_v6(rng(2), &session_key, key),
            SymEncryptedProtectedData::encrypt_seipdv2(
                rng(3),
                cipher,
                AeadAlgorithm::Gcm,
                size,
                session_key.as_ref(),
                inner,
            ),
        ),
    };
    let mut message = Vec::new();
    session
        .unwrap()
        .to_writer_with_header(&mut message)
        .unwrap();
    data.unwrap().to_writer_with_header(&mut message).unwrap();
    message
}

/// Sizes around blocks, parts, chunks and pieces; what is around a document takes up to some two
/// hundred octets.
fn sizes(profile: Profile) -> Vec<usize> {
    let near = [
        -210, -150, -100, -66, -33, -20, -17, -8, -1, 0, 1, 15, 16, 17,
    ];
    let far = [-130, -66, -1, 0];
    let pieces = if profile == Profile::World {
        [2 * OPENED_AT_ONCE, SEALED_AT_ONCE]
    } else {
        [64 * 1024, 128 * 1024]
    };
    let around = |edges: &[usize], offsets: &[isize]| {
        let offsets = offsets.to_vec();
        let sizes = edges.iter().flat_map(|edge| {
            let offsets = offsets.iter();
            offsets.filter_map(|offset| edge.checked_add_signed(*offset))
        });
        sizes.collect::<Vec<usize>>()
    };
    [around(&[0, 64, 512, 1024], &near), around(&pieces, &far)].concat()
}

#[test]
fn every_size_opens_to_the_same_whoever_sealed_it() {
    for profile in [Profile::World, Profile::Version6] {
        let (alice, bob) = (secret("alice"), bob(profile));
        let recipients = [bob.certificate().clone()];
        for (number, size) in sizes(profile).into_iter().enumerate() {
            let document = text(size);
            let signers = [alice.clone(), bob.clone()];
            let order = Order {
                recipients: &recipients,
                signers: signers.get(..number % 2).unwrap(),
                ..Order::default()
            };
            let seal = |bulk: Option<&dyn BulkCipher>| {
                block_on(order.seal(&document, NOW, &mut rng(4), bulk)).unwrap()
            };
            let software = seal(Some(&Software::default()));
            let threads = seal(Some(&Threads));
            for message in [&software, &threads, &seal(None)] {
                assert!(is_taken(message, &bob), "{size}");
                let opened = opened(message, &bob).unwrap();
                assert!(*opened.plaintext == *document, "{size}");
                assert_eq!(opened.signatures.proofs(&recipients, NOW).len(), 0);
                let alice = [alice.certificate().clone()];
                assert_eq!(opened.signatures.proofs(&alice, NOW).len(), number % 2);
            }
        }
    }
}

#[test]
fn a_piece_that_ends_with_the_contents_is_followed_by_the_digest_alone() {
    let bob = bob(Profile::World);
    // A literal packet's head and fields, and the random octets.
    let document = text(SEALED_AT_ONCE - 6 - 6 - 18);
    let order = Order {
        recipients: &[bob.certificate().clone()],
        ..Order::default()
    };
    let software = Software::default();
    let sealed = block_on(order.seal(&document, NOW, &mut rng(4), Some(&software))).unwrap();
    assert!(is_taken(&sealed, &bob));
    assert!(*opened(&sealed, &bob).unwrap().plaintext == *document);
}

#[test]
fn several_signers_are_nested_as_rpgp_nests_them() {
    let (alice, bob) = (secret("alice"), bob(Profile::Version6));
    let order = Order {
        recipients: &[bob.certificate().clone()],
        signers: &[alice.clone(), bob.clone()],
        ..Order::default()
    };
    let software = Software::default();
    let sealed = block_on(order.seal(b"text", NOW, &mut rng(4), Some(&software))).unwrap();
    assert!(
        !is_taken(&sealed, &bob),
        "two signatures are rPGP's to read"
    );
    let signatures = opened(&sealed, &bob).unwrap().signatures;
    for signer in [alice, bob] {
        let certificates = [signer.certificate().clone()];
        assert_eq!(signatures.proofs(&certificates, NOW).len(), 1);
    }
}

#[test]
fn every_cipher_and_chunk_size_opens_to_the_same() {
    let alice = secret("alice");
    let document = text(10_000);
    let inner = sign::message(&document, &[alice], Mode::Binary, NOW, &mut rng(5)).unwrap();
    for cipher in [
        SymmetricKeyAlgorithm::AES128,
        SymmetricKeyAlgorithm::AES192,
        SymmetricKeyAlgorithm::AES256,
    ] {
        let message = around(&inner, &bob(Profile::World), cipher, None);
        assert!(is_taken(&message, &bob(Profile::World)));
        assert!(*opened(&message, &bob(Profile::World)).unwrap().plaintext == *document);
        for size in (0..=16).map(|octet| ChunkSize::try_from(octet).unwrap()) {
            let bob = bob(Profile::Version6);
            let message = around(&inner, &bob, cipher, Some(size));
            assert!(is_taken(&message, &bob));
            assert!(*opened(&message, &bob).unwrap().plaintext == *document);
        }
    }
}

/// Short messages of both versions, signed.
fn short() -> [(Vec<u8>, SecretCertificate); 2] {
    [Profile::World, Profile::Version6].map(|profile| {
        let bob = bob(profile);
        let document = text(200);
        let alice = [secret("alice")];
        let inner = sign::message(&document, &alice, Mode::Binary, NOW, &mut rng(5)).unwrap();
        let size = (profile == Profile::Version6).then_some(ChunkSize::C64B);
        let message = around(&inner, &bob, SymmetricKeyAlgorithm::AES256, size);
        (message, bob)
    })
}

#[test]
fn whatever_is_changed_or_cut_off_opens_neither_here_nor_there() {
    for (message, bob) in short() {
        assert!(is_taken(&message, &bob));
        let mut places = 0..message.len();
        let container = places.find(|place| {
            let rest = &message[*place..];
            Frame::read(rest).is_some_and(|frame| {
                let is_last = frame.length == Length::Fixed(rest.len() - frame.head);
                frame.tag == 18 && is_last
            })
        });
        let body = container.unwrap() + 3;
        let mut changed = message.clone();
        for place in body..message.len() {
            for bit in [1, 0x10, 0x80] {
                changed[place] ^= bit;
                // `message` compares both ways.
                assert!(opened(&changed, &bob).is_err(), "{place}");
                changed[place] ^= bit;
            }
        }
        for length in 0..message.len() {
            assert!(opened(&message[..length], &bob).is_err(), "{length}");
        }
        for end in [&[0_u8][..], &packet(10, b"PGP"), &message] {
            let longer = [&message, end].concat();
            assert!(
                !is_taken(&longer, &bob),
                "rPGP decides what may stand behind it"
            );
            let _same = opened(&longer, &bob);
        }
    }
}

#[test]
fn what_is_inside_is_taken_or_left_but_never_read_otherwise() {
    let bob = bob(Profile::World);
    let alice = [secret("alice")];
    let signed = sign::message(b"text", &alice, Mode::Binary, NOW, &mut rng(5)).unwrap();
    let as_text = sign::message(b"text", &alice, Mode::Text, NOW, &mut rng(5)).unwrap();
    let literal = packet(11, b"b\0\0\0\0\0text");
    let mut packed = MessageBuilder::from_bytes("", text(5000));
    packed.compression(CompressionAlgorithm::ZLIB);
    let marker = packet(10, b"PGP");
    let cases = [
        (true, literal.clone()),
        (true, packet(11, b"u\x04name\0\0\0\0text")),
        (true, signed.clone()),
        (true, packed.to_vec(rng(6)).unwrap()),
        (false, as_text),
        (false, packet(11, b"m\0\0\0\0\0text")),
        (false, [&marker[..], &signed].concat()),
        (false, [&signed[..], &marker].concat()),
        (false, [&signed[..], &literal].concat()),
        (false, [&literal[..], &literal].concat()),
        (false, packet(11, b"b\xff\0\0")),
        (false, packet(11, b"")),
        (false, vec![]),
        (false, vec![0xcb, 0xe1, b'b', 0, 0, 0, 0, 0]),
        (false, signed[..signed.len() - 1].to_vec()),
        (false, packet(60, b"anything")),
    ];
    for (number, (taken, inner)) in cases.into_iter().enumerate() {
        let message = around(&inner, &bob, SymmetricKeyAlgorithm::AES256, None);
        assert_eq!(is_taken(&message, &bob), taken, "{number}");
        assert!(!taken || opened(&message, &bob).is_ok(), "{number}");
        let _same = opened(&message, &bob);
    }
}

#[test]
fn other_ciphers_and_modes_and_too_much_are_left_to_rpgp() {
    let bob6 = bob(Profile::Version6);
    let literal = packet(11, b"b\0\0\0\0\0text");
    let twofish = around(
        &literal,
        &bob(Profile::World),
        SymmetricKeyAlgorithm::Twofish,
        None,
    );
    assert!(!is_taken(&twofish, &bob(Profile::World)));
    let at = policy::seconds(NOW);
    let key = bob6.certificate().verified().encryption_key(at).unwrap();
    let mut ocb = MessageBuilder::from_bytes("", "text").seipd_v2(
        rng(1),
        SymmetricKeyAlgorithm::AES256,
        AeadAlgorithm::Ocb,
        ChunkSize::C64KiB,
    );
    ocb.encrypt_to_key(rng(2), key).unwrap();
    let ocb = ocb.to_vec(rng(3)).unwrap();
    assert!(!is_taken(&ocb, &bob6));
    assert!(opened(&ocb, &bob6).is_ok());
    let gcm = around(
        &literal,
        &bob6,
        SymmetricKeyAlgorithm::AES256,
        Some(ChunkSize::C64B),
    );
    let few = Limits {
        plaintext_octets: 3,
        ..Limits::default()
    };
    let found = decrypt::message(&gcm, core::slice::from_ref(&bob6), &few);
    assert_eq!(found.unwrap_err(), DecryptError::TooLarge(3));
}

#[test]
fn a_platform_that_lacks_something_leaves_it_to_rpgp() {
    for (profile, purposes) in [
        (Profile::World, [Purpose::Chain, Purpose::Blocks]),
        (Profile::Version6, [Purpose::Gcm, Purpose::Gcm]),
    ] {
        let bob = bob(profile);
        for lacks in purposes.map(Some) {
            let software = Software { lacks };
            let to = [bob.certificate().clone()];
            let mut rng = rng(1);
            let sealed = encrypt::message_with(&to, None, b"a", NOW, &mut rng, Some(&software));
            let sealed = block_on(sealed).unwrap();
            let keys = core::slice::from_ref(&bob);
            let limits = Limits::default();
            let opened = decrypt::message_with(&sealed, keys, &limits, Some(&software));
            assert_eq!(&*block_on(opened).unwrap().plaintext, b"a");
        }
    }
}
