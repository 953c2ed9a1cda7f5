//! Messages that are appended piece by piece: the same as at once, and nothing before the end.

use super::*;
use crate::replica::document::CONTENT_OCTETS;

/// A message with a small text and a leaf of `length` octets that cannot be deflated.
fn message(seed: u64, length: usize) -> Vec<u8> {
    let mut raw = b"Subject: film\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\n\r\nSee the film.\r\n--b\r\nContent-Type: video/mp4\r\n\r\n"
        .to_vec();
    raw.extend(noise(seed, length));
    raw.extend(b"\r\n--b--\r\n");
    raw
}

async fn rows(replica: &Replica<impl Store>, table: Table) -> usize {
    let rows = replica.store.scan(table, KeyRange::all()).await.unwrap();
    rows.len()
}

fn appender<S: Store>(replica: &Replica<S>) -> Appender<'_, S> {
    let inbox = replica.mailbox(&MailboxName::inbox()).unwrap().id;
    let seen = flags(&[Flag::Seen]);
    replica.appender(inbox, seen, at(-5), NOW).unwrap()
}

#[tokio::test]
async fn piece_by_piece_is_the_same_as_at_once() {
    for (length, cut) in [
        (0, 1),
        (100, 7),
        (CONTENT_OCTETS, 999),
        (2_500_000, 300_001),
    ] {
        let raw = message(1, length);
        let (one, two) = (device(1).await, device(2).await);
        let inbox = inbox(&one).id;
        let seen = flags(&[Flag::Seen]);
        one.append(inbox, &raw, seen, at(-5), NOW).await.unwrap();
        let mut appender = appender(&two);
        for piece in raw.chunks(cut) {
            appender.write(piece).await.unwrap();
        }
        let checkpoint = Checkpoint {
            name: b"import".to_vec(),
            position: b"1".to_vec(),
        };
        let uid = appender.finish(Some(checkpoint), NOW).await.unwrap().uid;
        assert_eq!(uid, Uid::ONE);
        assert_eq!(two.checkpoint(b"import").await.unwrap().unwrap(), b"1");
        let (a, b) = (
            one.placements(inbox).remove(0),
            two.placements(inbox).remove(0),
        );
        assert_eq!((a.message, a.size, a.flags), (b.message, b.size, b.flags));
        assert_eq!(a.internal_date, b.internal_date);
        let stored = two.message(b.message).await.unwrap().unwrap();
        assert!(stored == one.message(a.message).await.unwrap().unwrap());
        assert!(two.raw(&stored).await.unwrap() == raw);
        assert_eq!(rows(&two, Table::Garbage).await, 0);
        assert_eq!(two.check().await.unwrap().findings, []);
    }
}

#[tokio::test]
async fn an_empty_message_can_be_appended() {
    let replica = device(1).await;
    appender(&replica).finish(None, NOW).await.unwrap();
    assert_eq!(inbox(&replica).messages, 1);
    assert_eq!(replica.check().await.unwrap().findings, []);
}

#[tokio::test]
async fn what_was_not_finished_is_collected_and_what_is_being_written_is_not() {
    let replica = device(1).await;
    let raw = message(1, 3 * CONTENT_OCTETS);
    let mut appender = appender(&replica);
    appender.write(&raw[..raw.len() - 50]).await.unwrap();
    let staged = rows(&replica, Table::Contents).await;
    assert!(staged >= 3, "{staged}");
    assert_eq!(inbox(&replica).messages, 0);
    let none = replica.collect_all(at(999_999), 100).await.unwrap();
    assert_eq!(none, Collected::default());
    assert_eq!(replica.check().await.unwrap().findings, []);
    drop(appender);
    let collected = replica.collect_all(NOW, 100).await.unwrap();
    assert_eq!(collected.contents, staged);
    assert_eq!(rows(&replica, Table::Contents).await, 0);
}

#[tokio::test]
async fn a_content_that_loses_its_message_while_it_is_appended_again_stays() {
    let replica = device(1).await;
    let raw = message(1, 2 * CONTENT_OCTETS);
    let inbox = inbox(&replica).id;
    let none = FlagSet::new();
    let first = replica.append(inbox, &raw, none, NOW, NOW).await.unwrap();
    let mut appender = appender(&replica);
    appender.write(&raw[..raw.len() - 9]).await.unwrap();
    replica.expunge(inbox, &[first.uid], NOW).await.unwrap();
    replica.collect_all(NOW, 100).await.unwrap();
    appender.write(&raw[raw.len() - 9..]).await.unwrap();
    appender.finish(None, NOW).await.unwrap();
    let report = replica.check().await.unwrap();
    assert_eq!((report.findings, report.messages), (vec![], 1));
}

#[tokio::test]
async fn what_another_program_collected_is_noticed() {
    let root = RootKey::from_octets([1; 32]);
    let keys = || AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = Arc::new(MemoryStore::new());
    let open = |seed| Replica::open(Shared(store.clone()), keys(), [seed; 32], NOW);
    let a = open(1).await.unwrap();
    a.create_default_mailboxes(NOW).await.unwrap();
    let raw = message(1, 2 * CONTENT_OCTETS);
    let mut appender = appender(&a);
    appender.write(&raw).await.unwrap();
    let b = open(2).await.unwrap();
    assert!(b.collect_all(NOW, 100).await.unwrap().contents > 0);
    let error = appender.finish(None, NOW).await.unwrap_err();
    assert!(matches!(error, ReplicaError::Busy));
}

#[tokio::test]
async fn what_cannot_be_appended_is_refused_before_anything_is_written() {
    let replica = device(1).await;
    let mailbox = MailboxId::new([9; 16]);
    let error = replica.appender(mailbox, FlagSet::new(), NOW, NOW).err();
    assert!(matches!(error, Some(ReplicaError::NoSuchMailbox)));
    let many: FlagSet = (0..200)
        .map(|n| Flag::parse(&format!("k{n}")).unwrap())
        .collect();
    let error = replica.appender(inbox(&replica).id, many, NOW, NOW).err();
    assert!(matches!(error, Some(ReplicaError::TooManyFlags)));
}
