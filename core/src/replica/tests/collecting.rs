//! The collector: beside writers, and on several devices that each have their own garbage.

use super::*;
use crate::replica::document::{Document, is_removable, message_doc_id};

const PLENTY: usize = 10_000;

fn after_the_time() -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + GARBAGE_KEPT_MS)
}

async fn rows(replica: &Replica<MemoryStore>, table: Table) -> usize {
    let rows = replica.store.scan(table, KeyRange::all()).await.unwrap();
    rows.len()
}

async fn append(replica: &Replica<MemoryStore>, raw: &[u8]) -> Uid {
    let inbox = inbox(replica).id;
    let appended = replica.append(inbox, raw, FlagSet::new(), NOW, NOW).await;
    appended.unwrap().uid
}

async fn expunge(replica: &Replica<MemoryStore>, uid: Uid) {
    let inbox = inbox(replica).id;
    replica.expunge(inbox, &[uid], NOW).await.unwrap();
}

async fn copy(replica: &Replica<MemoryStore>, uid: Uid) -> Uid {
    let inbox = inbox(replica).id;
    let copied = replica.copy(inbox, &[uid], inbox, NOW).await.unwrap();
    copied.pairs[0].1
}

async fn assert_sound(replica: &Replica<MemoryStore>) {
    assert_eq!(replica.check().await.unwrap().findings, []);
}

/// Both devices exchange until neither has anything to say.
async fn settle(devices: &[&Replica<MemoryStore>], provider: &Provider) {
    for _ in 0..4 {
        for device in devices {
            exchange(device, provider, &mut None).await;
        }
    }
}

#[tokio::test]
async fn what_nothing_refers_to_goes_after_a_while() {
    let replica = device(1).await;
    let kept = b"Subject: kept\r\n\r\nDear B,\r\nbye\r\n";
    append(&replica, kept).await;
    let documents = rows(&replica, Table::Documents).await;
    let other = b"Subject: other\r\n\r\nNothing else says this.\r\n";
    let uid = append(&replica, other).await;
    let copied = copy(&replica, uid).await;
    expunge(&replica, uid).await;
    assert_eq!(rows(&replica, Table::Garbage).await, 0, "the copy is there");
    expunge(&replica, copied).await;
    assert_eq!(rows(&replica, Table::Garbage).await, 1);
    let young = replica.collect(at(599), PLENTY).await.unwrap();
    assert_eq!(young, Collected::default());
    let collected = replica.collect(after_the_time(), PLENTY).await.unwrap();
    assert_eq!((collected.messages, collected.contents), (1, 1));
    assert!(collected.octets > 100);
    assert_eq!(rows(&replica, Table::Garbage).await, 0);
    assert_eq!(rows(&replica, Table::Contents).await, 1);
    // The page stays: it says that they are gone.
    assert_eq!(rows(&replica, Table::Documents).await, documents);
    assert_sound(&replica).await;
}

#[tokio::test]
async fn a_content_stays_while_any_message_has_it() {
    let replica = device(1).await;
    let one = append(&replica, b"Subject: 1\r\n\r\nthe same\r\n").await;
    let two = append(&replica, b"Subject: 2\r\n\r\nthe same\r\n").await;
    expunge(&replica, one).await;
    let collected = replica.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!((collected.messages, collected.contents), (1, 0));
    assert_sound(&replica).await;
    expunge(&replica, two).await;
    let collected = replica.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!((collected.messages, collected.contents), (1, 1));
    assert_eq!(rows(&replica, Table::References).await, 0);
}

#[tokio::test]
async fn a_message_as_received_stays_with_the_one_that_is_shown() {
    let replica = device(1).await;
    let incoming = IncomingMessage {
        id: IncomingId::new([7; 16]),
        generation: Generation(1),
        received_at: NOW,
        problem: None,
        message: Vec::new(),
    };
    let taken = Arrived {
        rendered: b"Subject: opened\r\n\r\ntext\r\n",
        received: Some(b"Subject: sealed\r\n\r\ngibberish\r\n"),
        protection: Protection::NONE,
        contact: None,
        unjudged: None,
    };
    let hash = replica
        .take_in(&incoming, taken, NOW)
        .await
        .unwrap()
        .unwrap();
    let message = replica.message(hash).await.unwrap().unwrap();
    let received = message.received_as.unwrap();
    let none = replica.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!(none, Collected::default());
    assert!(replica.message(received).await.unwrap().is_some());
    expunge(&replica, Uid::ONE).await;
    let collected = replica.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!(collected.messages, 2);
    assert!(replica.message(received).await.unwrap().is_none());
    assert_sound(&replica).await;
}

#[tokio::test]
async fn the_collector_works_in_batches_and_stops_at_its_limit() {
    let replica = device(1).await;
    let raws: Vec<String> = (0..150)
        .map(|n| format!("Subject: {n}\r\n\r\nbody {n}\r\n"))
        .collect();
    for raw in &raws {
        append(&replica, raw.as_bytes()).await;
    }
    let inbox = inbox(&replica).id;
    let uids: Vec<Uid> = replica.placements(inbox).iter().map(|p| p.uid).collect();
    replica.expunge(inbox, &uids, NOW).await.unwrap();
    let some = replica.collect_all(NOW, 70).await.unwrap();
    assert_eq!(some.messages + some.contents, 70);
    assert_sound(&replica).await;
    let rest = replica.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!(rest.messages + rest.contents, 230);
    assert_eq!(rows(&replica, Table::Contents).await, 0);
}

#[tokio::test]
async fn the_provider_and_other_devices_learn_of_it() {
    let provider = Provider::default();
    let (a, b) = (device(1).await, device(2).await);
    let uid = append(&a, LETTER).await;
    let hash = a.placement(inbox(&a).id, uid).unwrap().message;
    settle(&[&a, &b], &provider).await;
    assert_eq!(rows(&b, Table::Contents).await, 1);
    expunge(&a, uid).await;
    a.collect_all(NOW, PLENTY).await.unwrap();
    settle(&[&a, &b], &provider).await;
    for device in [&a, &b] {
        assert_eq!(rows(device, Table::Contents).await, 0);
        assert!(device.message(hash).await.unwrap().is_none());
        assert_sound(device).await;
    }
    let id = message_doc_id(a.keys(), hash);
    let stored = provider.log.lock().unwrap().documents[&id].1.clone();
    let document = a.open_document(id, &stored).unwrap();
    assert!(matches!(document, Document::Removed(_)));
    // A device that begins afterwards hears of nothing but removals.
    let c = device(3).await;
    settle(&[&c], &provider).await;
    assert_eq!(rows(&c, Table::Contents).await, 0);
    assert_eq!(truth(&c), truth(&a));
    assert_sound(&c).await;
}

#[tokio::test]
async fn a_device_that_still_refers_to_it_writes_it_again() {
    let provider = Provider::default();
    let (a, b) = (device(1).await, device(2).await);
    let uid = append(&a, LETTER).await;
    settle(&[&a, &b], &provider).await;
    let copied = copy(&b, Uid::ONE).await;
    expunge(&a, uid).await;
    a.collect_all(NOW, PLENTY).await.unwrap();
    settle(&[&a, &b], &provider).await;
    assert_eq!(truth(&a), truth(&b));
    let c = device(3).await;
    settle(&[&c], &provider).await;
    for device in [&a, &b, &c] {
        let placements = device.placements(inbox(device).id);
        assert_eq!(placements.len(), 1);
        let message = device
            .message(placements[0].message)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(device.raw(&message).await.unwrap(), LETTER);
        assert_sound(device).await;
    }
    assert_eq!(b.placements(inbox(&b).id)[0].uid, copied);
}

#[tokio::test]
async fn what_was_removed_can_come_again() {
    let provider = Provider::default();
    let (a, b) = (device(1).await, device(2).await);
    for round in 0..3 {
        let uid = append(&a, LETTER).await;
        settle(&[&a, &b], &provider).await;
        let placements = b.placements(inbox(&b).id);
        assert_eq!(placements.len(), 1, "round {round}");
        let message = b.message(placements[0].message).await.unwrap().unwrap();
        assert_eq!(b.raw(&message).await.unwrap(), LETTER);
        expunge(&a, uid).await;
        a.collect_all(NOW, PLENTY).await.unwrap();
        // Appended again before the removal was pushed: it follows what the provider has.
        let again = append(&a, LETTER).await;
        settle(&[&a, &b], &provider).await;
        assert_sound(&b).await;
        expunge(&a, again).await;
        a.collect_all(NOW, PLENTY).await.unwrap();
        settle(&[&a, &b], &provider).await;
        assert_eq!(rows(&b, Table::Contents).await, 0);
    }
}

#[tokio::test]
async fn what_is_collected_while_it_is_pushed_is_collected_there_too() {
    let provider = Provider::default();
    let a = device(1).await;
    let uid = append(&a, LETTER).await;
    let push = a.pending_push().await.unwrap().unwrap();
    let response = provider.push(&push.request);
    assert!(matches!(response, PushResponse::Accepted { .. }));
    expunge(&a, uid).await;
    a.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!(rows(&a, Table::Contents).await, 0);
    a.pushed(&push, NOW).await.unwrap();
    settle(&[&a], &provider).await;
    a.collect_all(NOW, PLENTY).await.unwrap();
    settle(&[&a], &provider).await;
    assert_eq!(rows(&a, Table::Contents).await, 0);
    let b = device(2).await;
    settle(&[&b], &provider).await;
    assert_eq!(rows(&b, Table::Contents).await, 0);
}

#[tokio::test]
async fn what_is_still_on_its_way_from_another_device_is_let_alone() {
    let provider = Provider::default();
    let (a, b) = (device(1).await, device(2).await);
    append(&a, LETTER).await;
    let push = a.pending_push().await.unwrap().unwrap();
    // Only the content and the message get through for now.
    let mut request = push.request.clone();
    request.documents.retain(|envelope| {
        let collection = Header::parse(envelope).unwrap().collection;
        let collection = a.keys().collection(collection);
        collection.is_some_and(is_removable)
    });
    provider.push(&request);
    exchange(&b, &provider, &mut None).await;
    assert_eq!(rows(&b, Table::Garbage).await, 1);
    let days = at(20 * 24 * 60 * 60);
    let collected = b.collect(days, PLENTY).await.unwrap();
    assert_eq!(collected, Collected::default());
    settle(&[&a, &b], &provider).await;
    assert_eq!(rows(&b, Table::Garbage).await, 0);
    assert_eq!(inbox(&b).messages, 1);
    assert_sound(&b).await;
}

#[tokio::test]
async fn an_append_that_reuses_a_content_keeps_it() {
    // Two programs on one store: neither knows what the other has just done.
    let root = RootKey::from_octets([1; 32]);
    let keys = || AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let store = Arc::new(MemoryStore::new());
    let open = |seed| Replica::open(Shared(store.clone()), keys(), [seed; 32], NOW);
    let a = open(1).await.unwrap();
    a.create_default_mailboxes(NOW).await.unwrap();
    let inbox = a.mailbox(&MailboxName::inbox()).unwrap().id;
    let none = FlagSet::new;
    let uid = a.append(inbox, LETTER, none(), NOW, NOW).await.unwrap().uid;
    a.expunge(inbox, &[uid], NOW).await.unwrap();
    let b = open(2).await.unwrap();
    a.append(inbox, LETTER, none(), NOW, NOW).await.unwrap();
    let collected = b.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!(collected, Collected::default());
    // The other way round: the collector is first, and the append must notice.
    let uid = a.placements(inbox)[0].uid;
    a.expunge(inbox, &[uid], NOW).await.unwrap();
    let c = open(3).await.unwrap();
    let collected = c.collect_all(NOW, PLENTY).await.unwrap();
    assert_eq!(collected.contents, 1);
    let error = a.append(inbox, LETTER, none(), NOW, NOW).await.unwrap_err();
    assert!(matches!(error, ReplicaError::Busy));
    a.append(inbox, LETTER, none(), NOW, NOW).await.unwrap();
    assert_eq!(a.check().await.unwrap().findings, []);
}

/// Device B has removed a letter that A, which does not know, has placed again; C knows of both.
async fn placed_without_its_message(provider: &Provider) -> [Replica<MemoryStore>; 3] {
    let [a, b, c] = [device(1).await, device(2).await, device(3).await];
    let uid = append(&a, LETTER).await;
    settle(&[&a, &b, &c], provider).await;
    expunge(&a, uid).await;
    settle(&[&a, &b, &c], provider).await;
    append(&a, LETTER).await;
    let placed = a.pending_push().await.unwrap().unwrap();
    b.collect_all(NOW, PLENTY).await.unwrap();
    c.collect_all(NOW, PLENTY).await.unwrap();
    let removals = b.pending_push().await.unwrap().unwrap();
    for push in [placed, removals] {
        let response = provider.push(&push.request);
        assert!(matches!(response, PushResponse::Accepted { .. }));
    }
    exchange(&c, provider, &mut None).await;
    [a, b, c]
}

#[tokio::test]
async fn what_is_not_here_is_not_copied() {
    let provider = Provider::default();
    let [a, b, c] = placed_without_its_message(&provider).await;
    let (inbox, uid) = (inbox(&c).id, c.placements(inbox(&c).id)[0].uid);
    assert!(c.awaits_any().await.unwrap());
    let refused = c.copy(inbox, &[uid], inbox, NOW).await.unwrap_err();
    assert!(matches!(refused, ReplicaError::NotHere(_)), "{refused}");
    // It comes again from the device that has placed it.
    settle(&[&a, &b, &c], &provider).await;
    assert!(!c.awaits_any().await.unwrap());
    c.copy(inbox, &[uid], inbox, NOW).await.unwrap();
    settle(&[&a, &b, &c], &provider).await;
    for device in [&a, &b, &c] {
        assert_eq!(device.placements(inbox).len(), 2);
        assert_sound(device).await;
    }
}

#[tokio::test]
async fn what_is_expunged_before_it_came_is_awaited_no_more() {
    let provider = Provider::default();
    let [a, b, c] = placed_without_its_message(&provider).await;
    let uid = c.placements(inbox(&c).id)[0].uid;
    expunge(&c, uid).await;
    assert!(!c.awaits_any().await.unwrap());
    assert_sound(&c).await;
    settle(&[&a, &b, &c], &provider).await;
    for device in [&a, &b, &c] {
        assert_eq!(device.placements(inbox(device).id), []);
        assert_sound(device).await;
    }
}

/// A message of a small set whose leaves overlap.
fn pick(rng: &mut ChaCha20Rng) -> String {
    let (one, two) = (rng.gen_range(0..4), rng.gen_range(0..4));
    format!(
        "Subject: {one} {two}\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\n\r\nleaf {one}\r\n--b\r\n\r\nleaf {two}\r\n--b--\r\n"
    )
}

async fn act(device: &Replica<MemoryStore>, rng: &mut ChaCha20Rng, now: Timestamp) {
    let mailboxes = device.mailboxes();
    let choose = |rng: &mut ChaCha20Rng| mailboxes[rng.gen_range(0..mailboxes.len())].id;
    let (from, to) = (choose(rng), choose(rng));
    let uids: Vec<Uid> = device.placements(from).iter().map(|p| p.uid).collect();
    let some: Vec<Uid> = uids.into_iter().filter(|_| rng.r#gen()).collect();
    match rng.gen_range(0..8) {
        0..=2 => {
            let raw = pick(rng);
            let none = FlagSet::new();
            let appended = device.append(from, raw.as_bytes(), none, now, now).await;
            appended.unwrap();
        }
        3 => match device.copy(from, &some, to, now).await {
            Ok(_) => {}
            // It is on its way, or another device has yet to give it again.
            Err(ReplicaError::NotHere(_)) => assert!(device.awaits_any().await.unwrap()),
            Err(error) => panic!("{error}"),
        },
        4 => drop(device.move_messages(from, &some, to, now).await.unwrap()),
        5 => drop(device.expunge(from, &some, now).await.unwrap()),
        6 => {
            let limit = rng.gen_range(1..6);
            device.collect_all(now, limit).await.unwrap();
        }
        _ => drop(device.collect_all(now, PLENTY).await.unwrap()),
    }
}

async fn assert_readable(device: &Replica<MemoryStore>, seed: u64) {
    let report = device.check().await.unwrap();
    assert_eq!(report.findings, [], "seed {seed}");
}

/// One device: whatever is done in whatever order, everything can be read and is counted right.
async fn alone(seed: u64) {
    let device = device(1).await;
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    for step in 0..40 {
        act(&device, &mut rng, NOW).await;
        if step % 4 == 0 {
            assert_readable(&device, seed).await;
        }
    }
    for mailbox in device.mailboxes() {
        let uids: Vec<Uid> = device
            .placements(mailbox.id)
            .iter()
            .map(|p| p.uid)
            .collect();
        device.expunge(mailbox.id, &uids, NOW).await.unwrap();
    }
    device.collect_all(NOW, PLENTY).await.unwrap();
    for table in [Table::Contents, Table::References, Table::Garbage] {
        assert_eq!(rows(&device, table).await, 0, "seed {seed}");
    }
}

/// Three devices that append, copy, expunge and collect against each other over a lossy link.
async fn together(seed: u64) {
    let provider = Provider::default();
    let devices = [device(1).await, device(2).await, device(3).await];
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut lossy = Some(ChaCha20Rng::seed_from_u64(seed ^ 0xff));
    let mut received = 0;
    for _ in 0..60 {
        let device = &devices[rng.gen_range(0..devices.len())];
        let now = at(rng.gen_range(0..50));
        act(device, &mut rng, now).await;
        if rng.gen_ratio(1, 10) {
            received += 1;
            provider.receive(received);
        }
        if rng.gen_ratio(1, 3) {
            exchange(device, &provider, &mut lossy).await;
        }
    }
    let [a, b, c] = &devices;
    settle(&[a, b, c], &provider).await;
    for device in [a, b, c] {
        device.collect_all(NOW, PLENTY).await.unwrap();
    }
    settle(&[a, b, c], &provider).await;
    assert_eq!(truth(a), truth(b), "seed {seed}");
    assert_eq!(truth(b), truth(c), "seed {seed}");
    for device in [a, b, c] {
        assert_readable(device, seed).await;
        assert!(!device.has_pending().await.unwrap(), "seed {seed}");
    }
    // What the provider has is enough for a new device, and no more than any other has.
    let fresh = new_device().await;
    settle(&[&fresh], &provider).await;
    assert_eq!(truth(&fresh), truth(a), "seed {seed}");
    assert_readable(&fresh, seed).await;
    let used = rows(&fresh, Table::Contents).await - garbage_contents(&fresh).await;
    assert_eq!(
        used,
        rows(a, Table::Contents).await - garbage_contents(a).await
    );
}

async fn new_device() -> Replica<MemoryStore> {
    device(4).await
}

/// How many contents are here that nothing refers to.
async fn garbage_contents(device: &Replica<MemoryStore>) -> usize {
    let contents = device.store.scan(Table::Contents, KeyRange::all()).await;
    let mut unreferenced = 0;
    for (key, _) in contents.unwrap() {
        let count = device.store.get(Table::References, &key).await.unwrap();
        unreferenced += usize::from(count.is_none());
    }
    unreferenced
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn everything_stays_readable(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(alone(seed));
    }

    #[test]
    fn collecting_devices_converge(seed in prop_oneof![any::<u64>(), Just(3_509_408_288_177_125_527)]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(together(seed));
    }
}
