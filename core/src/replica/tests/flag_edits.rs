//! Flags that are shown before their pages have them.

use super::pages::{append, assert_counted, rows, sync};
use super::*;
use crate::replica::flag_edits::FlagEdit as Waiting;
use crate::store::{Key, KeyRange};

async fn waiting(replica: &Replica<MemoryStore>) -> Vec<(Key, Vec<u8>)> {
    let waiting = KeyRange::prefix(b"flags ");
    replica.store.scan(Table::Meta, waiting).await.unwrap()
}

async fn opened(store: MemoryStore, seed: u8) -> Replica<MemoryStore> {
    let keys = device(1).await.keys;
    let replica = Replica::open(store, keys, [seed; 32], NOW).await.unwrap();
    replica.with_page_placements(4)
}

async fn filled(messages: usize) -> (Replica<MemoryStore>, MailboxId, Vec<Uid>) {
    let replica = opened(MemoryStore::new(), 1).await;
    replica.create_default_mailboxes(NOW).await.unwrap();
    let id = inbox(&replica).id;
    let mut uids = Vec::new();
    for number in 0..messages {
        uids.push(append(&replica, id, &number.to_string()).await);
    }
    (replica, id, uids)
}

fn shown(replica: &Replica<MemoryStore>, mailbox: MailboxId) -> Vec<(Uid, FlagSet)> {
    let placements = replica.placements(mailbox);
    let shown = placements.into_iter().map(|shown| (shown.uid, shown.flags));
    shown.collect()
}

#[tokio::test]
async fn a_change_of_many_is_one_row_until_its_pages_are_wanted() {
    let (replica, id, uids) = filled(10).await;
    let provider = Provider::default();
    sync(&[&replica], &provider).await;
    let documents = replica.store.scan(Table::Documents, KeyRange::all());
    let documents = documents.await.unwrap();
    let seen = flags(&[Flag::Seen]);
    let changed = replica.store_flags(id, &uids, FlagChange::Add, &seen, at(1));
    assert_eq!(changed.await.unwrap().len(), 10);
    assert_eq!(waiting(&replica).await.len(), 1);
    assert_eq!(rows(&replica, Table::Pending).await, 0);
    assert!(replica.has_pending().await.unwrap());
    let same = replica.store.scan(Table::Documents, KeyRange::all());
    assert_eq!(same.await.unwrap(), documents);
    // The same once more is no change.
    let again = replica.store_flags(id, &uids, FlagChange::Add, &seen, at(2));
    assert!(again.await.unwrap().is_empty());
    assert_eq!(waiting(&replica).await.len(), 1);
    assert_counted(&replica).await;
    // Each page once, and what this device states of them.
    let push = replica.pending_push().await.unwrap().unwrap();
    assert_eq!(push.request.documents.len(), 3 + 1);
    assert!(waiting(&replica).await.is_empty());
    assert_counted(&replica).await;
    assert!(replica.check().await.unwrap().is_sound());
}

#[tokio::test]
async fn what_waits_is_shown_after_a_restart_and_reaches_others() {
    let (replica, id, uids) = filled(9).await;
    let (provider, other) = (Provider::default(), device(2).await);
    sync(&[&replica, &other], &provider).await;
    let (seen, late) = (flags(&[Flag::Seen]), flags(&[Flag::Flagged]));
    let odd: Vec<Uid> = uids.iter().copied().step_by(2).collect();
    for (uids, how, set, second) in [
        (&uids, FlagChange::Add, &seen, 1),
        (&odd, FlagChange::Replace, &late, 2),
        (&odd[..1].to_vec(), FlagChange::Remove, &late, 3),
    ] {
        let changed = replica.store_flags(id, uids, how, set, at(second));
        assert_eq!(changed.await.unwrap().len(), uids.len());
    }
    let expected = shown(&replica, id);
    assert_eq!(expected[0].1, FlagSet::new());
    assert_eq!(expected[1].1, seen);
    assert_eq!(expected[2].1, late);
    let again = opened(replica.store, 9).await;
    assert_eq!(waiting(&again).await.len(), 3);
    assert_eq!(shown(&again, id), expected);
    sync(&[&again, &other], &provider).await;
    // UIDs are each device's own.
    let by_id = |replica: &Replica<MemoryStore>| -> BTreeMap<_, _> {
        let placements = replica.placements(id).into_iter();
        placements.map(|shown| (shown.id, shown.flags)).collect()
    };
    assert_eq!(by_id(&other), by_id(&again));
    assert!(waiting(&again).await.is_empty());
    for replica in [&again, &other] {
        assert_counted(replica).await;
        assert!(replica.check().await.unwrap().is_sound());
    }
}

/// What is there, as somebody who writes down each change would say.
type Model = BTreeMap<(MailboxId, Uid), FlagSet>;

fn assert_shown(replica: &Replica<MemoryStore>, model: &Model, mailboxes: [MailboxId; 2]) {
    let mut found = Model::new();
    for mailbox in mailboxes {
        let all = shown(replica, mailbox).into_iter();
        found.extend(all.map(|(uid, flags)| ((mailbox, uid), flags)));
    }
    assert_eq!(found, *model);
}

#[tokio::test]
async fn whatever_is_done_meanwhile_flags_are_what_was_last_said() {
    let all = [Flag::Seen, Flag::Flagged, Flag::Deleted];
    let keyword = |name: &str| Flag::parse(name).unwrap();
    let all = [&all[..], &[keyword("$Work"), keyword("later")]].concat();
    for seed in 0..60 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut replica, id, uids) = filled(12).await;
        let archive = replica
            .mailboxes()
            .into_iter()
            .find(|m| m.id != id)
            .unwrap()
            .id;
        let mut model: Model = uids
            .iter()
            .map(|uid| ((id, *uid), FlagSet::new()))
            .collect();
        for round in 0..40 {
            let mailbox = if rng.gen_ratio(1, 3) { archive } else { id };
            let there = model
                .keys()
                .filter(|(of, _)| *of == mailbox)
                .map(|(_, uid)| *uid);
            let some: Vec<Uid> = there.filter(|_| rng.gen_ratio(2, 3)).collect();
            match rng.gen_range(0..12) {
                0..=6 => {
                    let set: FlagSet = all
                        .iter()
                        .filter(|_| rng.gen_ratio(1, 3))
                        .cloned()
                        .collect();
                    let hows = [FlagChange::Add, FlagChange::Remove, FlagChange::Replace];
                    let how = hows[rng.gen_range(0..3)];
                    let stored = replica.store_flags(mailbox, &some, how, &set, at(round));
                    stored.await.unwrap();
                    for uid in some {
                        let flags = model.get_mut(&(mailbox, uid)).unwrap();
                        *flags = how.apply(flags, &set);
                    }
                }
                7 => {
                    let to = if mailbox == id { archive } else { id };
                    let moved = replica.move_messages(mailbox, &some, to, at(round));
                    for (before, after) in moved.await.unwrap().pairs {
                        let flags = model.remove(&(mailbox, before)).unwrap();
                        model.insert((to, after), flags);
                    }
                }
                8 => {
                    let one = &some[..some.len().min(1)];
                    replica.expunge(mailbox, one, at(round)).await.unwrap();
                    model.retain(|place, _| !one.iter().any(|uid| *place == (mailbox, *uid)));
                }
                9 => {
                    let uid = append(&replica, mailbox, &format!("{seed} {round}")).await;
                    model.insert((mailbox, uid), FlagSet::new());
                }
                10 => drop(replica.pending_push().await.unwrap()),
                _ => replica = opened(replica.store, 9).await,
            }
            assert_shown(&replica, &model, [id, archive]);
            assert_counted(&replica).await;
        }
        assert!(replica.check().await.unwrap().is_sound(), "seed {seed}");
        assert_shown(&replica, &model, [id, archive]);
    }
}

#[tokio::test]
async fn the_row_stands_and_a_later_one_is_refused() {
    let (replica, id, uids) = filled(3).await;
    let set = flags(&[Flag::Seen, Flag::parse("$Work").unwrap()]);
    let stored = replica.store_flags(id, &uids[1..], FlagChange::Add, &set, at(1));
    stored.await.unwrap();
    let [(_, mut row)] = <[_; 1]>::try_from(waiting(&replica).await).unwrap();
    let hash = format!("{:02x?}", &blake3::hash(&row).as_bytes()[..8]);
    assert_eq!(
        (row.len(), hash.as_str()),
        (58, "[4c, 59, 82, 08, 10, 58, 77, 14]")
    );
    assert!(Waiting::decode(&row).is_ok());
    row[0] += 1;
    assert!(Waiting::decode(&row).is_err());
}
