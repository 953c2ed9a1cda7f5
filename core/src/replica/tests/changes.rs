//! What has changed since a moment leads from what was to what is.

use super::*;
use crate::replica::MAX_VANISHED;

type Mirror = BTreeMap<(MailboxId, Uid), (MessageHash, FlagSet)>;

fn mirror(replica: &Replica<MemoryStore>) -> Mirror {
    let mut all = Mirror::new();
    for mailbox in replica.shown_mailboxes() {
        for placement in replica.placements(mailbox.id) {
            let key = (mailbox.id, placement.uid);
            all.insert(key, (placement.message, placement.flags));
        }
    }
    all
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Flag(u8),
    Move(u8),
    Expunge(u8),
    Rename,
    Ask,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(Step::Append),
        2 => any::<u8>().prop_map(Step::Flag),
        2 => any::<u8>().prop_map(Step::Move),
        2 => any::<u8>().prop_map(Step::Expunge),
        1 => Just(Step::Rename),
        2 => Just(Step::Ask),
    ]
}

async fn take(replica: &Replica<MemoryStore>, step: &Step, round: i64) {
    let (inbox, archive) = (inbox(replica).id, archive(replica));
    let nth = |mailbox, n: u8| {
        let placements = replica.placements(mailbox);
        let index = usize::from(n) % placements.len().max(1);
        placements.get(index).map(|placement| placement.uid)
    };
    let from = if round % 2 == 0 { inbox } else { archive };
    match step {
        Step::Append(n) => {
            let raw = format!("Subject: {n}\r\n\r\n");
            let none = FlagSet::new();
            replica
                .append(inbox, raw.as_bytes(), none, NOW, at(round))
                .await
                .unwrap();
        }
        Step::Flag(n) => {
            let uids: Vec<Uid> = nth(from, *n).into_iter().collect();
            let how = if n % 2 == 0 {
                FlagChange::Add
            } else {
                FlagChange::Remove
            };
            let flag = if n % 3 == 0 {
                Flag::Seen
            } else {
                Flag::Flagged
            };
            replica
                .store_flags(from, &uids, how, &flags(&[flag]), at(round))
                .await
                .unwrap();
        }
        Step::Move(n) => {
            let uids: Vec<Uid> = nth(from, *n).into_iter().collect();
            let to = if from == inbox { archive } else { inbox };
            replica
                .move_messages(from, &uids, to, at(round))
                .await
                .unwrap();
        }
        Step::Expunge(n) => {
            let uids: Vec<Uid> = nth(from, *n).into_iter().collect();
            replica.expunge(from, &uids, at(round)).await.unwrap();
        }
        Step::Rename => {
            let old = replica.mailbox_by_id(archive).unwrap().name;
            let new = MailboxName::new(&format!("Archive {round}")).unwrap();
            replica.rename_mailbox(&old, &new, at(round)).await.unwrap();
        }
        Step::Ask => {}
    }
}

fn archive(replica: &Replica<MemoryStore>) -> MailboxId {
    let archive = replica.mailbox_for(crate::model::Role::Archive);
    archive.unwrap().id
}

fn apply(mirror: &mut Mirror, changes: Changes) {
    for gone in changes.vanished {
        mirror.remove(&(gone.mailbox, gone.uid));
    }
    for (mailbox, placement) in changes.created.into_iter().chain(changes.updated) {
        mirror.insert(
            (mailbox, placement.uid),
            (placement.message, placement.flags),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn changes_lead_from_then_to_now(steps in proptest::collection::vec(any_step(), 1..60)) {
        futures_executor(async {
            let replica = device(1).await.with_page_placements(4);
            replica.set_virtual_mailboxes(&VirtualMailbox::ALL, NOW).await.unwrap();
            let (mut seen, mut state) = (mirror(&replica), replica.mod_seq());
            let mut names: Vec<_> = replica.mailboxes().iter().map(|m| m.name.clone()).collect();
            let mut gone = 0_u32;
            for (round, step) in (1..).zip(&steps) {
                take(&replica, step, round).await;
                gone += u32::from(matches!(step, Step::Move(_) | Step::Expunge(_)));
                if !matches!(step, Step::Ask) {
                    continue;
                }
                let now: Vec<_> = replica.mailboxes().iter().map(|m| m.name.clone()).collect();
                if let Some(changes) = replica.changes_since(state).await.unwrap() {
                    state = changes.state;
                    assert_eq!(changes.mailboxes.is_empty(), now == names);
                    apply(&mut seen, changes);
                } else {
                    assert!(gone > MAX_VANISHED / 2, "an answer was due");
                    (seen, state) = (mirror(&replica), replica.mod_seq());
                }
                names = now;
                gone = 0;
                assert_eq!(seen, mirror(&replica));
                assert!(replica.changes_since(state).await.unwrap().unwrap().is_empty());
            }
            pages::assert_counted(&replica).await;
            // What changes keep of pages is what they write.
            let held = (mirror(&replica), truth(&replica));
            let reopened = reopened(replica).await;
            assert_eq!((mirror(&reopened), truth(&reopened)), held);
        });
    }
}

async fn reopened(replica: Replica<MemoryStore>) -> Replica<MemoryStore> {
    let root = RootKey::from_octets([1; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    Replica::open(replica.store, keys, [9; 32], NOW)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_mod_sequence_that_was_lost_with_the_power_does_not_come_again() {
    let replica = device(1).await;
    let id = inbox(&replica).id;
    let append = async |replica: &Replica<MemoryStore>| {
        let none = FlagSet::new();
        let placed = replica.append(id, b"x", none, NOW, NOW).await.unwrap();
        replica.placement(id, placed.uid).unwrap().mod_seq
    };
    let first = append(&replica).await;
    let second = append(&replica).await;
    assert_eq!(second.get(), first.get() + 1);
    let replica = reopened(replica).await;
    // Opening alone changes nothing.
    assert_eq!(replica.mod_seq(), second);
    let third = append(&replica).await;
    assert_eq!(third.get(), second.get() + LEFT_OUT);
    assert_eq!(append(&replica).await.get(), third.get() + 1);
}

fn futures_executor<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(work)
}

#[tokio::test]
async fn threads_follow_commits() {
    let replica = device(1).await;
    let inbox = inbox(&replica).id;
    let append = async |raw: &str| {
        let none = FlagSet::new();
        let placed = replica
            .append(inbox, raw.as_bytes(), none, NOW, NOW)
            .await
            .unwrap();
        replica.placement(inbox, placed.uid).unwrap().message
    };
    let first = append("Message-ID: <1@x>\r\nSubject: a\r\n\r\n").await;
    // Made from the rows here, kept up to date from here on.
    let thread = replica.thread_of(first).await.unwrap().unwrap();
    assert_eq!(replica.thread(thread).await.unwrap(), [first]);
    let second = append("Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n\r\n").await;
    let other = append("Message-ID: <3@x>\r\nSubject: a\r\n\r\n").await;
    let thread = replica.thread_of(first).await.unwrap();
    assert_eq!(replica.thread_of(second).await.unwrap(), thread);
    assert_ne!(replica.thread_of(other).await.unwrap(), thread);
    assert_eq!(replica.with_message_id("2@x").await.unwrap(), [second]);
    assert!(replica.with_message_id("4@x").await.unwrap().is_empty());
}
