//! Phrases as people type them, their proofs, and what must not open.

use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;

const ACCOUNT: AccountId = AccountId::new([1; 16]);
const CHALLENGE: [u8; CHALLENGE_OCTETS] = [7; CHALLENGE_OCTETS];

fn phrase(seed: u64) -> RecoveryPhrase {
    RecoveryPhrase::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn alice() -> Address {
    Address::new("Alice@letterlock.example").unwrap()
}

/// BIP-39's own test vector for 32 octets of 0x7f.
const VECTOR: &str = "legal winner thank year wave sausage worth useful legal winner thank year \
                      wave sausage worth useful legal winner thank year wave sausage worth title";

#[test]
fn the_words_are_those_of_bip_39() {
    let phrase = RecoveryPhrase(Zeroizing::new([0x7f; 32]));
    assert_eq!(*phrase.words(), VECTOR);
    assert_eq!(*RecoveryPhrase::parse(VECTOR).unwrap().0, [0x7f; 32]);
}

#[test]
fn what_a_person_types_is_read() {
    let mut numbered = String::new();
    for (at, word) in VECTOR.split(' ').enumerate() {
        numbered = format!("{numbered}{}. {}\r\n", at + 1, word.to_uppercase());
    }
    assert_eq!(*RecoveryPhrase::parse(&numbered).unwrap().0, [0x7f; 32]);
    let refused = |text: &str| RecoveryPhrase::parse(text).unwrap_err();
    assert_eq!(refused(""), PhraseError::Length(0));
    assert_eq!(refused("legal winner"), PhraseError::Length(2));
    assert_eq!(
        refused(&VECTOR.replace("title", "tilte")),
        PhraseError::UnknownWord(24)
    );
    assert_eq!(
        refused(&VECTOR.replace("title", "useful")),
        PhraseError::Checksum
    );
    assert!(matches!(
        refused(&"legal ".repeat(10_000)),
        PhraseError::Length(_)
    ));
    let shown = format!("{:?}", RecoveryPhrase::parse(VECTOR).unwrap());
    assert!(!shown.contains("legal"), "{shown}");
}

#[test]
fn a_phrase_proves_itself_for_one_challenge_and_one_address() {
    let phrase = phrase(1);
    let verifier = phrase.verifier();
    assert!(is_verifier(&verifier));
    let proof = phrase.prove(&alice(), &CHALLENGE);
    let holds = |verifier: Option<&[u8]>, address: &Address, challenge: &[u8], proof: &[u8]| {
        verify(verifier, address, challenge, proof)
    };
    assert!(holds(
        Some(&verifier),
        &alice().canonical(),
        &CHALLENGE,
        &proof
    ));
    let bob = Address::new("bob@letterlock.example").unwrap();
    assert!(!holds(Some(&verifier), &bob, &CHALLENGE, &proof));
    assert!(!holds(Some(&verifier), &alice(), &[8; 32], &proof));
    assert!(!holds(Some(&verifier), &alice(), &CHALLENGE, &proof[1..]));
    assert!(!holds(None, &alice(), &CHALLENGE, &proof));
    let other = self::phrase(2).prove(&alice(), &CHALLENGE);
    assert!(!holds(Some(&verifier), &alice(), &CHALLENGE, &other));
    let mut changed = proof.clone();
    for at in 0..proof.len() {
        changed[at] ^= 1;
        assert!(
            !holds(Some(&verifier), &alice(), &CHALLENGE, &changed),
            "{at}"
        );
        changed[at] ^= 1;
    }
}

#[test]
fn weak_verifiers_are_none() {
    // Points of small order: every signature could be made to hold under them.
    let mut one = [0; 32];
    one[0] = 1;
    for weak in [[0; 32], one] {
        assert!(!is_verifier(&weak));
        assert!(!verify(Some(&weak), &alice(), &CHALLENGE, &[0; 64]));
    }
    assert!(!is_verifier(&[7; 31]) && is_verifier(&NOBODY));
}

#[test]
fn attack_36_a_wrong_truncated_or_swapped_recovery_wrap_does_not_open() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let (right, wrong) = (phrase(1), phrase(2));
    let wrap = right.wrap(ACCOUNT, 4, &[9; 32], &mut rng);
    let opened = right.unwrap_key(ACCOUNT, &wrap).unwrap();
    assert_eq!((*opened.root_key, opened.epoch), ([9; 32], 4));
    assert_eq!(
        wrong.unwrap_key(ACCOUNT, &wrap).err(),
        Some(WrapError::DoesNotOpen)
    );
    let other = AccountId::new([2; 16]);
    assert_eq!(
        right.unwrap_key(other, &wrap).err(),
        Some(WrapError::DoesNotOpen)
    );
    // The password's wrap in the place of the phrase's, under the very same material.
    let material = right.derive(b"wrap");
    let swapped = wrap_root_key(
        &*material,
        ACCOUNT,
        4,
        WrapKind::Password,
        &[9; 32],
        &mut rng,
    );
    assert_eq!(
        right.unwrap_key(ACCOUNT, &swapped).err(),
        Some(WrapError::Form)
    );
    for at in 0..wrap.as_bytes().len() {
        assert!(RootKeyWrap::from_octets(&wrap.as_bytes()[..at]).is_err());
        let mut changed = wrap.as_bytes().to_vec();
        changed[at] ^= 1;
        let opened = RootKeyWrap::from_octets(&changed)
            .and_then(|wrap| right.unwrap_key(ACCOUNT, &wrap).map(|_| ()));
        assert!(opened.is_err(), "octet {at}");
    }
}

proptest! {
    #[test]
    fn words_and_back_is_the_same_phrase(entropy: [u8; 32]) {
        let phrase = RecoveryPhrase(Zeroizing::new(entropy));
        let words = phrase.words();
        prop_assert_eq!(words.split(' ').count(), PHRASE_WORDS);
        prop_assert_eq!(*RecoveryPhrase::parse(&words).unwrap().0, entropy);
    }

    #[test]
    fn no_text_panics(text in ".{0,400}") {
        let _read = RecoveryPhrase::parse(&text);
    }
}
