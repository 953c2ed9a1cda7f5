//! Payloads go both ways, versions of a document merge, what is foreign is refused.

use proptest::prelude::*;

use super::*;

fn stamp(millis: i64, replica: u8) -> Stamp {
    Stamp {
        millis,
        replica: ReplicaId::new([replica; 16]),
    }
}

fn placement(moves: &[(i64, u8)], flags: &[(bool, i64, u8)], deleted: bool) -> Document {
    let mut placement = PlacementDocument {
        id: PlacementId::new([1; 16]),
        message: MessageHash::new([2; 32]),
        mailbox: Lww::new(MailboxId::new([0; 16]), stamp(0, 0)),
        flags: BTreeMap::new(),
        internal_date: Timestamp::from_secs(5),
        save_date: Lww::new(Timestamp::from_secs(5), stamp(0, 0)),
        size: 10,
        deleted,
    };
    for (millis, replica) in moves {
        // A stamp names one write, so its value follows from it.
        let to = MailboxId::new([millis.to_le_bytes()[0] ^ replica; 16]);
        placement
            .mailbox
            .merge(Lww::new(to, stamp(*millis, *replica)));
    }
    for (index, (_, millis, replica)) in flags.iter().enumerate() {
        let flag = if index % 2 == 0 {
            Flag::Seen
        } else {
            Flag::Flagged
        };
        let state = Lww::new(
            (millis + i64::from(*replica)) % 2 == 0,
            stamp(*millis, *replica),
        );
        placement
            .flags
            .entry(flag)
            .and_modify(|s| s.merge(state.clone()))
            .or_insert(state);
    }
    Document::Placement(placement)
}

fn any_placement() -> impl Strategy<Value = Document> {
    let moves = proptest::collection::vec((1..9_i64, 1..4_u8), 0..3);
    let flags = proptest::collection::vec((any::<bool>(), 1..9_i64, 1..4_u8), 0..4);
    (moves, flags, any::<bool>()).prop_map(|(m, f, d)| placement(&m, &f, d))
}

/// Reads a payload as that of some document of the mail collection.
fn decoded(payload: &[u8]) -> Result<Document, DocumentError> {
    Document::decode(Collection::Mail, DocId::new([9; 16]), payload)
}

fn merged(mut a: Document, b: &Document) -> Document {
    a.merge(b.clone());
    a
}

proptest! {
    #[test]
    fn merging_is_a_semilattice(a in any_placement(), b in any_placement(), c in any_placement()) {
        prop_assert!(merged(a.clone(), &b) == merged(b.clone(), &a));
        prop_assert!(merged(a.clone(), &a) == a);
        let left = merged(merged(a.clone(), &b), &c);
        prop_assert!(left == merged(a, &merged(b, &c)));
    }

    #[test]
    fn documents_go_both_ways(document in any_placement()) {
        prop_assert!(decoded(&document.encode().unwrap()).unwrap() == document);
    }
}

#[test]
fn newer_and_damaged_payloads_are_told_apart() {
    assert_eq!(decoded(b"p\x02").err(), Some(DocumentError::Newer));
    assert_eq!(decoded(b"?\x01").err(), Some(DocumentError::Newer));
    assert_eq!(decoded(b"p").err(), Some(DocumentError::Damaged));
    assert_eq!(decoded(b"p\x01\0\xff").err(), Some(DocumentError::Damaged));
}

#[test]
fn a_content_is_no_longer_than_its_limit() {
    let longest = Document::Content(vec![b'a'; CONTENT_OCTETS]);
    assert!(decoded(&longest.encode().unwrap()).unwrap() == longest);
    let longer = Document::Content(vec![b'a'; CONTENT_OCTETS + 1]);
    assert_eq!(longer.encode().err(), Some(DocumentError::TooLong));
    let forged = [b"l\x01\0", &vec![b'a'; CONTENT_OCTETS + 1][..]].concat();
    assert_eq!(decoded(&forged).err(), Some(DocumentError::Damaged));
}

#[test]
fn a_removal_is_of_a_message_or_a_content_and_says_nothing_else() {
    let id = DocId::new([9; 16]);
    for collection in Collection::ALL {
        let removed = Document::Removed(Removed { collection, id });
        let payload = removed.encode().unwrap();
        assert_eq!(payload, b"x\x01\0");
        let read = Document::decode(collection, id, &payload);
        match collection {
            Collection::Messages | Collection::Contents => assert!(read.unwrap() == removed),
            Collection::Keys | Collection::Mail | Collection::Contacts => {
                assert_eq!(read.err(), Some(DocumentError::Damaged));
            }
        }
    }
    let more = Document::decode(Collection::Contents, id, b"x\x01\0more");
    assert_eq!(more.err(), Some(DocumentError::Damaged));
}
