//! A provider that does not keep to the rules: the attacks of the list that a replica must withstand
//! by itself, by their numbers.

use std::collections::BTreeSet;

use super::*;
use crate::id::{ReplicaId, Revision};
use crate::seal::{self, HEADER_LEN};

/// One document of each kind, as the provider has them.
async fn documents() -> (Replica<MemoryStore>, Provider) {
    let (device, provider) = (device(1).await, Provider::default());
    let inbox = inbox(&device).id;
    for number in 0..3 {
        let raw = format!("Subject: {number}\r\n\r\nLetter {number}.\r\n");
        let none = FlagSet::new();
        let appended = device.append(inbox, raw.as_bytes(), none, NOW, NOW).await;
        appended.unwrap();
    }
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for _ in 0..20 {
        annotations::edit(&device, &mut rng, NOW).await;
    }
    exchange(&device, &provider, &mut None).await;
    (device, provider)
}

fn stored(provider: &Provider) -> Vec<Vec<u8>> {
    let log = provider.log.lock().unwrap();
    let envelopes = log.documents.values();
    envelopes.map(|(_, envelope)| envelope.clone()).collect()
}

/// The header of one envelope before the sealed part of another.
fn swapped(header: &[u8], sealed: &[u8]) -> Vec<u8> {
    [&header[..HEADER_LEN], &sealed[HEADER_LEN..]].concat()
}

#[tokio::test]
async fn attack_16_no_document_opens_in_the_place_of_another() {
    let (device, provider) = documents().await;
    let stored = stored(&provider);
    let collections = stored.iter().map(|envelope| {
        let header = Header::parse(envelope).unwrap();
        header.collection
    });
    assert!(collections.collect::<BTreeSet<_>>().len() >= 3);
    for (one, header) in stored.iter().enumerate() {
        for (other, sealed) in stored.iter().enumerate() {
            let opened = seal::open(&device.keys, &swapped(header, sealed));
            assert_eq!(opened.is_ok(), one == other, "{one} {other}");
        }
    }
    // What another account has sealed under the same ids.
    let root = RootKey::from_octets([1; 32]);
    let account = AccountId::new([2; 16]);
    let theirs = AccountKeys::derive(account, 1, &root);
    for envelope in &stored {
        assert!(seal::open(&theirs, envelope).is_err());
        let mut moved = envelope.clone();
        let at = moved.windows(16).position(|octets| octets == [1; 16]);
        let at = at.unwrap();
        moved[at..at + 16].copy_from_slice(account.as_bytes());
        assert!(seal::open(&theirs, &moved).is_err());
        assert!(seal::open(&device.keys, &moved).is_err());
    }
}

#[tokio::test]
async fn attack_16_a_device_takes_no_swapped_document_in_and_gives_nothing_up() {
    let (alice, provider) = documents().await;
    let before = truth(&alice);
    let stored = stored(&provider);
    for (one, header) in stored.iter().enumerate() {
        let other = (one + 1) % stored.len();
        let fresh = device(2).await;
        for device in [&alice, &fresh] {
            let lie = PullResponse {
                entries: vec![Entry::Document {
                    envelope: ByteBuf::from(swapped(header, &stored[other])),
                }],
                until: Generation(provider.log.lock().unwrap().generation + 1),
                more: false,
            };
            let (asked, was) = (device.pulled(), truth(device));
            let told = engine::handle_pull(device, asked, lie, NOW).await;
            // The very document that alice has, or one that does not open: nothing in between.
            if told.is_err() {
                assert_eq!(device.pulled(), asked, "it asks for the same again");
            }
            assert_eq!(truth(device), was);
        }
        // The provider says the truth again.
        exchange(&fresh, &provider, &mut None).await;
        assert_eq!(truth(&fresh), before);
    }
    assert_eq!(truth(&alice), before);
}

/// The lengths of what one letter becomes at the provider.
async fn lengths(text: &str, octets: usize) -> Vec<usize> {
    let (device, provider) = (device(1).await, Provider::default());
    exchange(&device, &provider, &mut None).await;
    let before = stored(&provider);
    let words = noise(octets as u64, octets);
    let body = String::from_utf8(words).unwrap();
    let raw = format!("Subject: {text}\r\n\r\n{body}\r\n");
    let none = FlagSet::new();
    let inbox = inbox(&device).id;
    let appended = device.append(inbox, raw.as_bytes(), none, NOW, NOW).await;
    appended.unwrap();
    exchange(&device, &provider, &mut None).await;
    let mut after = stored(&provider);
    after.retain(|envelope| !before.contains(envelope));
    let mut lengths: Vec<usize> = after.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths
}

/// What is stored and sent tells a class of lengths, of which there are few, and not a length.
#[tokio::test]
async fn attack_32_lengths_tell_classes() {
    let keys = device(1).await.keys;
    let mut classes = BTreeSet::new();
    let place = |length: usize| seal::Place {
        collection: Collection::Contents,
        document: DocId::new(
            blake3::hash(&length.to_be_bytes()).as_bytes()[..16]
                .try_into()
                .unwrap(),
        ),
        revision: Revision::ONE,
        previous: [0; 32],
        replica: ReplicaId::new([1; 16]),
    };
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for length in (0..20_000).step_by(37) {
        let payload = vec![0; length];
        let sealed = seal::seal(&keys, place(length), &payload, &mut rng).unwrap();
        let more = sealed.len() - length;
        assert!(more <= 400 + length * 12 / 100, "{length}: {more}");
        classes.insert(sealed.len());
    }
    // 541 lengths; each of seven octaves has at most 16 classes, and below them there is one.
    assert!(classes.len() <= 7 * 16 + 1, "{}", classes.len());
    // One letter is as long as another that is a little shorter and speaks of something else.
    for octets in [300, 5_000, 60_000] {
        let one = lengths("A party", octets).await;
        assert_eq!(one, lengths("The end", octets - 2).await, "{octets}");
        assert!(one.len() >= 3, "{one:?}");
    }
}
