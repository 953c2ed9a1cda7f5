//! Leaves in pieces, stored once; messages read piece by piece; many appended at once; the check.

use super::*;
use crate::mime::Span;
use crate::replica::document::{CONTENT_OCTETS, content_doc_id, message_doc_id};
use crate::store::Batch;

fn large_message() -> Vec<u8> {
    let mut raw = b"Subject: large\r\n\r\n".to_vec();
    raw.extend(noise(1, 2 * CONTENT_OCTETS + 12_345));
    raw
}

fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u64,
        end: end as u64,
    }
}

async fn append(replica: &Replica<MemoryStore>, raw: &[u8]) -> Uid {
    let inbox = inbox(replica).id;
    let appended = replica.append(inbox, raw, FlagSet::new(), NOW, NOW).await;
    appended.unwrap().uid
}

async fn message_at(replica: &Replica<MemoryStore>, uid: Uid) -> Arc<Message> {
    let placement = replica.placement(inbox(replica).id, uid).unwrap();
    replica.message(placement.message).await.unwrap().unwrap()
}

async fn rows(replica: &Replica<MemoryStore>, table: Table) -> usize {
    let rows = replica.store.scan(table, KeyRange::all()).await.unwrap();
    rows.len()
}

#[tokio::test]
async fn a_long_leaf_is_kept_and_read_in_pieces() {
    let replica = device(1).await;
    let raw = large_message();
    let uid = append(&replica, &raw).await;
    let message = message_at(&replica, uid).await;
    assert_eq!(message.leaves.len(), 1);
    assert_eq!(message.leaves[0].pieces.len(), 3);
    assert_eq!(rows(&replica, Table::Contents).await, 3);
    assert!(replica.raw(&message).await.unwrap() == raw);
    let head = raw.len() - (2 * CONTENT_OCTETS + 12_345);
    let edges = [head, head + CONTENT_OCTETS, head + 2 * CONTENT_OCTETS];
    for edge in edges {
        for (start, end) in [(edge - 2, edge + 2), (edge, edge + 1), (edge - 1, edge)] {
            let read = replica.read(&message, span(start, end)).await.unwrap();
            assert_eq!(read, raw[start..end], "{start}..{end}");
        }
    }
    let across = span(head + CONTENT_OCTETS - 1, raw.len() + 99);
    let read = replica.read(&message, across).await.unwrap();
    assert!(read == raw[head + CONTENT_OCTETS - 1..]);
    assert_eq!(replica.read(&message, span(5, 5)).await.unwrap(), b"");
}

#[tokio::test]
async fn many_are_read_as_one_by_one() {
    let replica = device(1).await;
    let small = b"Subject: small\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n";
    let mut hashes = Vec::new();
    for raw in [&large_message()[..], small, b"Subject: none\r\n\r\n"] {
        let uid = append(&replica, raw).await;
        hashes.push(message_at(&replica, uid).await.hash);
    }
    let unknown = MessageHash::new([9; 32]);
    hashes.insert(1, unknown);
    let found = replica.messages(&hashes).await.unwrap();
    let found: Vec<Option<Arc<Message>>> = found.into_iter().map(Result::unwrap).collect();
    assert!(found[1].is_none());
    let mut wanted = Vec::new();
    for message in found.into_iter().flatten() {
        let end = usize::try_from(message.structure.size).unwrap();
        for (start, end) in [(0, end), (3, end - 1), (end, end), (end / 2, end / 2 + 9)] {
            wanted.push((Arc::clone(&message), span(start, end)));
        }
    }
    let all = replica.read_many(&wanted).await.unwrap();
    for ((message, span), read) in wanted.iter().zip(all) {
        let expected = replica.read(message, *span).await.unwrap();
        assert!(read.unwrap() == expected, "{span:?} of {message:?}");
    }
}

#[tokio::test]
async fn a_message_is_read_piece_by_piece() {
    let replica = device(1).await;
    let raw = large_message();
    let uid = append(&replica, &raw).await;
    let message = message_at(&replica, uid).await;
    let mut pieces = replica.pieces(&message, span(3, raw.len()));
    let mut lengths = Vec::new();
    let mut read = Vec::new();
    while let Some(piece) = pieces.next().await.unwrap() {
        lengths.push(piece.len());
        read.extend(piece);
    }
    assert!(read == raw[3..]);
    assert_eq!(lengths.len(), 4);
    assert!(
        lengths
            .iter()
            .all(|length| (1..=CONTENT_OCTETS).contains(length))
    );
    assert!(pieces.next().await.unwrap().is_none());
}

fn with_attachment(subject: &str, text: &str, attachment: &str) -> String {
    format!(
        "Subject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=outer\r\n\r\n\
         --outer\r\nContent-Type: text/plain\r\n\r\n{text}\r\n\
         --outer\r\nContent-Type: application/octet-stream\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{attachment}\r\n--outer--\r\n"
    )
}

#[tokio::test]
async fn equal_leaves_are_stored_once_across_forwards_and_replies() {
    let replica = device(1).await;
    let attachment = "QSBsb25nIGF0dGFjaG1lbnQ=".repeat(200);
    let original = with_attachment("plans", "See the plans.", &attachment);
    append(&replica, original.as_bytes()).await;
    assert_eq!(rows(&replica, Table::Contents).await, 2);
    // The reply has the attachment and a text of its own.
    let reply = with_attachment("Re: plans", "> See the plans.\r\nI have.", &attachment);
    append(&replica, reply.as_bytes()).await;
    assert_eq!(rows(&replica, Table::Contents).await, 3);
    // The forward has the whole original inside, and one line above.
    let forward = format!(
        "Subject: Fwd: plans\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=forward\r\n\r\n\
         --forward\r\n\r\nLook.\r\n--forward\r\n\
         Content-Type: message/rfc822\r\n\r\n{original}\r\n--forward--\r\n"
    );
    append(&replica, forward.as_bytes()).await;
    assert_eq!(rows(&replica, Table::Contents).await, 4);
    // Once more the same.
    append(&replica, forward.as_bytes()).await;
    assert_eq!(rows(&replica, Table::Contents).await, 4);
    for (uid, raw) in [(2, &reply), (3, &forward), (4, &forward)] {
        let message = message_at(&replica, Uid::new(uid).unwrap()).await;
        assert_eq!(replica.raw(&message).await.unwrap(), raw.as_bytes());
    }
    assert_eq!(replica.check().await.unwrap().findings, []);
}

#[tokio::test]
async fn text_is_kept_deflated() {
    let replica = device(1).await;
    let text = "A line of a letter that is much like every other line.\r\n".repeat(400);
    append(&replica, format!("Subject: x\r\n\r\n{text}").as_bytes()).await;
    let contents = replica.store.scan(Table::Contents, KeyRange::all()).await;
    let octets: usize = contents.unwrap().iter().map(|(_, value)| value.len()).sum();
    assert!(octets < text.len() / 10, "{octets} octets");
}

#[tokio::test]
async fn many_are_appended_in_one_step_with_a_position() {
    let replica = device(1).await;
    let inbox = inbox(&replica).id;
    let raws: Vec<String> = (0..20)
        .map(|n| format!("Subject: {n}\r\n\r\nThe same text in each.\r\n"))
        .collect();
    let messages: Vec<NewMessage<'_>> = raws
        .iter()
        .map(|raw| NewMessage {
            raw: raw.as_bytes(),
            flags: flags(&[Flag::Seen]),
            internal_date: at(-9),
        })
        .collect();
    let checkpoint = |position: &[u8]| {
        Some(Checkpoint {
            name: b"import".to_vec(),
            position: position.to_vec(),
        })
    };
    assert_eq!(replica.checkpoint(b"import").await.unwrap(), None);
    let mod_seq = replica.mod_seq();
    let appended = replica.append_all(inbox, &messages, checkpoint(b"20"), NOW);
    let appended = appended.await.unwrap();
    let uids: Vec<u32> = appended.iter().map(|one| one.uid.get()).collect();
    assert_eq!(uids, (1..=20).collect::<Vec<u32>>());
    assert_eq!(rows(&replica, Table::Contents).await, 1);
    assert_eq!(replica.mod_seq().get(), mod_seq.get() + 1);
    assert_eq!(replica.checkpoint(b"import").await.unwrap().unwrap(), b"20");
    // One that cannot be appended: none is, and the position stays.
    let mut some = messages[..2].to_vec();
    some[1].flags = (0..200)
        .map(|n| Flag::parse(&format!("k{n}")).unwrap())
        .collect();
    let error = replica.append_all(inbox, &some, checkpoint(b"22"), NOW);
    assert!(matches!(error.await, Err(ReplicaError::TooManyFlags)));
    assert_eq!(replica.placements(inbox).len(), 20);
    assert_eq!(replica.checkpoint(b"import").await.unwrap().unwrap(), b"20");
    // A position alone.
    let none = replica.append_all(inbox, &[], checkpoint(b"30"), NOW).await;
    assert_eq!(none.unwrap(), []);
    assert_eq!(replica.checkpoint(b"import").await.unwrap().unwrap(), b"30");
    assert_eq!(replica.check().await.unwrap().findings, []);
}

#[tokio::test]
async fn the_check_finds_what_is_wrong() {
    let replica = device(1).await;
    let keys = replica.keys();
    let uid = append(&replica, LETTER).await;
    append(&replica, b"Subject: other\r\n\r\nother\r\n").await;
    let report = replica.check().await.unwrap();
    assert!(report.is_sound() && !report.cut, "{:?}", report.findings);
    assert_eq!((report.placements, report.messages), (2, 2));
    assert_eq!(report.contents, 2);
    assert_eq!(report.octets, LETTER.len() as u64 + 25);
    let message = message_at(&replica, uid).await;
    let content = content_doc_id(keys, message.leaves[0].pieces[0]);
    let document = message_doc_id(keys, message.hash);
    let mailbox = inbox(&replica).id;
    let sound = replica.store.get(Table::Contents, content.as_bytes()).await;
    let sound = sound.unwrap().unwrap();
    let missing = Finding::ContentMissing {
        message: message.hash,
        content,
    };
    let unreadable = |document| Finding::Unreadable { document };
    let gone = Finding::MessageMissing {
        mailbox,
        uid,
        message: message.hash,
    };
    let awaited = |document| Finding::WrongAwaited { document };
    let miscounted = |document, counted, stored| Finding::WrongCount {
        document,
        counted,
        stored,
    };
    let id = content.as_bytes();
    let cases = [
        (delete(Table::Contents, id), vec![missing, awaited(content)]),
        (put(Table::Awaited, id, Vec::new()), vec![awaited(content)]),
        (
            put(Table::Contents, id, [&sound[..], b"x"].concat()),
            vec![unreadable(document), unreadable(content)],
        ),
        (
            put(Table::References, id, encode_row(&2_u32)),
            vec![miscounted(content, 1, 2)],
        ),
        (
            delete(Table::References, id),
            vec![miscounted(content, 1, 0)],
        ),
        (
            delete(Table::Documents, document.as_bytes()),
            vec![
                miscounted(content, 0, 1),
                Finding::Orphan { document: content },
                gone,
                awaited(document),
            ],
        ),
    ];
    for (batch, mut expected) in cases {
        let fresh = copy_of(&replica).await;
        fresh.store.commit(batch).await.unwrap();
        let mut findings = fresh.check().await.unwrap().findings;
        let by_text = |finding: &Finding| format!("{finding:?}");
        findings.sort_by_key(by_text);
        expected.sort_by_key(by_text);
        assert_eq!(findings, expected);
    }
}

fn delete(table: Table, key: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.delete(table, key);
    batch
}

fn put(table: Table, key: &[u8], value: Vec<u8>) -> Batch {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    batch
}

/// A replica over a copy of everything that another has stored.
async fn copy_of(replica: &Replica<MemoryStore>) -> Replica<MemoryStore> {
    let store = MemoryStore::new();
    let mut batch = Batch::new();
    for table in Table::ALL {
        for (key, value) in replica.store.scan(table, KeyRange::all()).await.unwrap() {
            batch.put(table, key, value);
        }
    }
    store.commit(batch).await.unwrap();
    let root = RootKey::from_octets([1; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    Replica::open(store, keys, [9; 32], NOW).await.unwrap()
}
