//! Payloads go both ways, what is foreign is refused.

use super::*;

/// Reads a payload as that of some document of the mail collection.
fn decoded(payload: &[u8]) -> Result<Document, DocumentError> {
    Document::decode(Collection::Mail, DocId::new([9; 16]), payload)
}

#[test]
fn newer_and_damaged_payloads_are_told_apart() {
    assert_eq!(decoded(b"g\x02").err(), Some(DocumentError::Newer));
    assert_eq!(decoded(b"?\x01").err(), Some(DocumentError::Newer));
    assert_eq!(decoded(b"g").err(), Some(DocumentError::Damaged));
    assert_eq!(decoded(b"g\x01\0\xff").err(), Some(DocumentError::Damaged));
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
