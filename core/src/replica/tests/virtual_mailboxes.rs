//! Virtual mailboxes: what they show, what is done to them, what they leave alone.

use super::*;
use crate::model::{AnnotationName, AnnotationOwner, Role};
use crate::replica::changes::Vanished;

/// They show what the placements say.
pub(super) fn assert_sound(replica: &Replica<MemoryStore>) {
    for which in VirtualMailbox::ALL {
        assert!(replica.view().is_virtual_sound(which), "{which:?}");
    }
}

/// The same, and a UID stands for the message that it has always stood for.
pub(super) fn assert_stable(
    replica: &Replica<MemoryStore>,
    shown: &mut BTreeMap<(VirtualMailbox, Uid), MessageHash>,
) {
    assert_sound(replica);
    for (which, state) in &replica.view().virtuals {
        for entry in state.roster.iter() {
            let before = shown.insert((*which, entry.uid()), entry.message());
            assert!(before.is_none_or(|before| before == entry.message()));
        }
    }
}

/// What the store says of them is what is in memory.
pub(super) fn assert_kept(replica: &Replica<MemoryStore>, stored: &View) {
    assert_sound(replica);
    let view = replica.view();
    assert!(view.virtuals.keys().eq(stored.virtuals.keys()));
    for (which, state) in &view.virtuals {
        let other = &stored.virtuals[which];
        assert_eq!(state.row, other.row);
        let rows = |roster: &Roster| roster.iter().map(Placed::from).collect::<Vec<_>>();
        assert_eq!(rows(&state.roster), rows(&other.roster));
        assert_eq!(state.roster.counts(), other.roster.counts());
    }
}

async fn with_both(seed: u8) -> Replica<MemoryStore> {
    let replica = device(seed).await;
    let both = VirtualMailbox::ALL;
    replica.set_virtual_mailboxes(&both, NOW).await.unwrap();
    replica
}

fn named(replica: &Replica<MemoryStore>, name: &str) -> MailboxId {
    replica
        .mailbox(&MailboxName::new(name).unwrap())
        .unwrap()
        .id
}

async fn append(replica: &Replica<MemoryStore>, name: &str, text: &str, set: &[Flag]) -> Uid {
    let mailbox = named(replica, name);
    let appended = replica.append(mailbox, text.as_bytes(), flags(set), NOW, NOW);
    appended.await.unwrap().uid
}

fn uids(replica: &Replica<MemoryStore>, name: &str) -> Vec<u32> {
    let placements = replica.placements(named(replica, name)).into_iter();
    placements.map(|placement| placement.uid.get()).collect()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

async fn change(replica: &Replica<MemoryStore>, name: &str, uid: Uid, how: FlagChange, flag: Flag) {
    let mailbox = named(replica, name);
    replica
        .store_flags(mailbox, &[uid], how, &flags(&[flag]), at(9))
        .await
        .unwrap();
}

async fn vanished(replica: &Replica<MemoryStore>, name: &str, since: ModSeq) -> Vec<u32> {
    let mailbox = named(replica, name);
    let gone = replica.vanished_since(mailbox, since).await.unwrap();
    let uids = gone.unwrap().into_iter();
    uids.map(|Vanished { uid, .. }| uid.get()).collect()
}

#[tokio::test]
async fn they_are_off_at_first_and_can_be_turned_off() {
    let replica = device(1).await;
    append(&replica, "INBOX", "a", &[]).await;
    let rows = || replica.store.scan(Table::Meta, KeyRange::all());
    let before = rows().await.unwrap().len();
    assert_eq!(replica.shown_mailboxes(), replica.mailboxes());
    replica
        .set_virtual_mailboxes(&[VirtualMailbox::All], NOW)
        .await
        .unwrap();
    let all = replica.mailbox(&MailboxName::new("All Mail").unwrap());
    let first = all.unwrap();
    assert_eq!(first.virtual_mailbox, Some(VirtualMailbox::All));
    assert_eq!((first.messages, first.uid_next), (1, uid(2)));
    assert_eq!(
        replica.mailboxes().len() + 1,
        replica.shown_mailboxes().len()
    );
    // It stays as it is.
    let both = VirtualMailbox::ALL;
    replica.set_virtual_mailboxes(&both, NOW).await.unwrap();
    assert_eq!(replica.mailbox_by_id(first.id).unwrap(), first);
    replica.set_virtual_mailboxes(&[], NOW).await.unwrap();
    assert_eq!(replica.mailbox_by_id(first.id), None);
    assert_eq!(rows().await.unwrap().len(), before);
    replica.set_virtual_mailboxes(&both, NOW).await.unwrap();
    let again = replica.mailbox_by_id(first.id).unwrap();
    assert!(again.uid_validity > first.uid_validity);
    assert!(replica.check().await.unwrap().is_sound());
    pages::assert_counted(&replica).await;
}

#[tokio::test]
async fn a_message_is_shown_once_and_not_in_junk_or_trash() {
    let replica = with_both(1).await;
    append(&replica, "INBOX", "one", &[]).await;
    append(&replica, "Junk", "spam", &[Flag::Flagged]).await;
    let two = append(&replica, "Drafts", "two", &[Flag::Flagged]).await;
    assert_eq!(uids(&replica, "All Mail"), [1, 2]);
    assert_eq!(uids(&replica, "Flagged"), [1]);
    // A copy is the same message.
    let (drafts, archive) = (named(&replica, "Drafts"), named(&replica, "Archive"));
    replica.copy(drafts, &[two], archive, NOW).await.unwrap();
    assert_eq!(uids(&replica, "All Mail"), [1, 2]);
    // The other bears it from here on, under the same UID.
    change(&replica, "Archive", Uid::ONE, FlagChange::Add, Flag::Seen).await;
    let all = named(&replica, "All Mail");
    assert!(
        !replica
            .placement(all, uid(2))
            .unwrap()
            .flags
            .contains(&Flag::Seen)
    );
    let before = replica.mod_seq();
    replica.expunge(drafts, &[two], NOW).await.unwrap();
    let shown = replica.placement(all, uid(2)).unwrap();
    assert!(shown.flags.contains(&Flag::Seen) && shown.mod_seq > before);
    // Into Trash it leaves, out of it it comes as a new one.
    let trash = named(&replica, "Trash");
    replica
        .move_messages(archive, &[Uid::ONE], trash, NOW)
        .await
        .unwrap();
    assert_eq!(
        (uids(&replica, "All Mail"), uids(&replica, "Flagged")),
        (vec![1], vec![])
    );
    assert_eq!(vanished(&replica, "All Mail", before).await, [2]);
    replica
        .move_messages(trash, &[Uid::ONE], archive, NOW)
        .await
        .unwrap();
    assert_eq!(
        (uids(&replica, "All Mail"), uids(&replica, "Flagged")),
        (vec![1, 3], vec![2])
    );
    // From one ordinary mailbox into another nothing happens here.
    let inbox = named(&replica, "INBOX");
    replica
        .move_messages(archive, &[uid(2)], inbox, NOW)
        .await
        .unwrap();
    assert_eq!(uids(&replica, "All Mail"), [1, 3]);
    pages::assert_counted(&replica).await;
}

#[tokio::test]
async fn what_is_done_to_them_is_done_to_the_messages() {
    let replica = with_both(1).await;
    append(&replica, "INBOX", "one", &[Flag::Flagged]).await;
    let (inbox, archive) = (named(&replica, "INBOX"), named(&replica, "Archive"));
    replica
        .copy(inbox, &[Uid::ONE], archive, NOW)
        .await
        .unwrap();
    change(&replica, "All Mail", Uid::ONE, FlagChange::Add, Flag::Seen).await;
    for name in ["INBOX", "Archive", "Flagged"] {
        let placement = replica.placement(named(&replica, name), Uid::ONE).unwrap();
        assert!(placement.flags.contains(&Flag::Seen), "{name}");
    }
    let before = replica.mod_seq();
    change(
        &replica,
        "Flagged",
        Uid::ONE,
        FlagChange::Remove,
        Flag::Flagged,
    )
    .await;
    assert_eq!(uids(&replica, "Flagged"), [0; 0]);
    assert_eq!(vanished(&replica, "Flagged", before).await, [1]);
    // Copied out once; moved out from everywhere.
    let (all, sent) = (named(&replica, "All Mail"), named(&replica, "Sent"));
    let copied = replica.copy(all, &[Uid::ONE], sent, NOW).await.unwrap();
    assert_eq!(copied.pairs, [(Uid::ONE, Uid::ONE)]);
    let moved = replica
        .move_messages(all, &[Uid::ONE], archive, NOW)
        .await
        .unwrap();
    assert_eq!(moved.pairs.len(), 1);
    assert_eq!(uids(&replica, "INBOX"), [0; 0]);
    assert_eq!(uids(&replica, "Sent"), [0; 0]);
    assert_eq!(uids(&replica, "Archive"), [2]);
    // As if it had been copied and expunged.
    assert_eq!(uids(&replica, "All Mail"), [2]);
    assert_eq!(vanished(&replica, "All Mail", before).await, [1]);
    pages::assert_counted(&replica).await;
}

#[tokio::test]
async fn an_expunge_takes_what_was_shown_as_deleted() {
    let replica = with_both(1).await;
    append(&replica, "INBOX", "one", &[]).await;
    let (inbox, archive) = (named(&replica, "INBOX"), named(&replica, "Archive"));
    replica
        .copy(inbox, &[Uid::ONE], archive, NOW)
        .await
        .unwrap();
    change(&replica, "INBOX", Uid::ONE, FlagChange::Add, Flag::Deleted).await;
    let all = named(&replica, "All Mail");
    let gone = replica.expunge(all, &[Uid::ONE], NOW).await.unwrap();
    assert_eq!(gone, [Uid::ONE]);
    // The copy is kept: nobody has marked it.
    assert_eq!(uids(&replica, "INBOX"), [0; 0]);
    assert_eq!(
        (uids(&replica, "Archive"), uids(&replica, "All Mail")),
        (vec![1], vec![1])
    );
    change(
        &replica,
        "All Mail",
        Uid::ONE,
        FlagChange::Add,
        Flag::Deleted,
    )
    .await;
    replica.expunge(all, &[Uid::ONE], NOW).await.unwrap();
    assert_eq!(uids(&replica, "Archive"), [0; 0]);
    assert_eq!(uids(&replica, "All Mail"), [0; 0]);
    pages::assert_counted(&replica).await;
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let replica = with_both(1).await;
    append(&replica, "INBOX", "one", &[]).await;
    let (inbox, all) = (named(&replica, "INBOX"), named(&replica, "All Mail"));
    let is_virtual = |error: ReplicaError| assert!(matches!(error, ReplicaError::Virtual));
    let none = FlagSet::new();
    is_virtual(replica.append(all, b"x", none, NOW, NOW).await.unwrap_err());
    is_virtual(
        replica
            .copy(inbox, &[Uid::ONE], all, NOW)
            .await
            .unwrap_err(),
    );
    is_virtual(
        replica
            .move_messages(inbox, &[Uid::ONE], all, NOW)
            .await
            .unwrap_err(),
    );
    let name = |name: &str| MailboxName::new(name).unwrap();
    is_virtual(
        replica
            .delete_mailbox(&name("All Mail"), NOW)
            .await
            .unwrap_err(),
    );
    let renamed = replica
        .rename_mailbox(&name("Flagged"), &name("x"), NOW)
        .await;
    is_virtual(renamed.unwrap_err());
    is_virtual(
        replica
            .create_mailbox(&name("All Mail/x"), NOW)
            .await
            .unwrap_err(),
    );
    let owner = AnnotationOwner::Mailbox(all);
    let special_use = AnnotationName::special_use();
    let noted = replica.annotations(owner).await.unwrap();
    assert_eq!(noted[&special_use], b"\\All");
    let set = replica
        .set_annotations(owner, vec![(special_use, None)], NOW)
        .await;
    is_virtual(set.unwrap_err());
    let taken = replica
        .create_mailbox(&name("All Mail"), NOW)
        .await
        .unwrap_err();
    assert!(matches!(taken, ReplicaError::MailboxExists));
    let taken = replica
        .rename_mailbox(&name("Sent"), &name("Flagged"), NOW)
        .await;
    assert!(matches!(taken.unwrap_err(), ReplicaError::MailboxExists));
    // A subscription can be ended.
    replica
        .set_subscribed(&name("All Mail"), false, NOW)
        .await
        .unwrap();
    assert!(!replica.mailbox_by_id(all).unwrap().subscribed);
    pages::assert_counted(&replica).await;
}

#[tokio::test]
async fn it_gives_way_to_a_mailbox_of_its_name() {
    let provider = Provider::default();
    let (a, b) = (with_both(1).await, device(2).await);
    let name = MailboxName::new("Flagged").unwrap();
    let flagged = a.mailbox(&name).unwrap().id;
    b.create_mailbox(&name, at(1)).await.unwrap();
    exchange(&b, &provider, &mut None).await;
    exchange(&a, &provider, &mut None).await;
    assert_eq!(a.mailbox(&name).unwrap().virtual_mailbox, None);
    let state = a.mod_seq();
    assert_eq!(
        a.mailbox_by_id(flagged).unwrap().name.as_str(),
        "Flagged (2)"
    );
    a.delete_mailbox(&name, at(2)).await.unwrap();
    assert_eq!(a.mailbox(&name).unwrap().id, flagged);
    let changes = a.changes_since(state).await.unwrap().unwrap();
    assert!(changes.mailboxes.contains(&flagged));
    pages::assert_counted(&a).await;
}

#[tokio::test]
async fn a_mailbox_that_becomes_one_for_junk_is_left_out() {
    let replica = with_both(1).await;
    let name = MailboxName::new("Lists").unwrap();
    let lists = replica.create_mailbox(&name, NOW).await.unwrap();
    append(&replica, "Lists", "one", &[Flag::Flagged]).await;
    replica
        .delete_mailbox(&MailboxName::new("Junk").unwrap(), NOW)
        .await
        .unwrap();
    assert_eq!(uids(&replica, "All Mail"), [1]);
    let role = |role: Option<Role>| {
        let value = role.map(|role| role.attribute().as_bytes().to_vec());
        let entries = vec![(AnnotationName::special_use(), value)];
        replica.set_annotations(AnnotationOwner::Mailbox(lists), entries, NOW)
    };
    role(Some(Role::Junk)).await.unwrap();
    assert_eq!(
        (uids(&replica, "All Mail"), uids(&replica, "Flagged")),
        (vec![], vec![])
    );
    role(None).await.unwrap();
    assert_eq!(uids(&replica, "All Mail"), [2]);
    pages::assert_counted(&replica).await;
}

#[tokio::test]
async fn one_that_is_damaged_is_made_anew() {
    let root = RootKey::from_octets([1; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let replica = with_both(1).await;
    append(&replica, "INBOX", "one", &[]).await;
    let before = replica
        .mailbox(&MailboxName::new("All Mail").unwrap())
        .unwrap();
    let rows = KeyRange::prefix(b"virtual a");
    let rows = replica.store.scan(Table::Meta, rows).await.unwrap();
    let mut batch = crate::store::Batch::new();
    let (key, row) = rows.last().unwrap();
    let (mut other, mut row) = (key.clone(), row.clone());
    *other.last_mut().unwrap() = 9;
    // A message that is nowhere.
    row[0] ^= 1;
    batch.put(Table::Meta, other, row);
    replica.store.commit(batch).await.unwrap();
    let reopened = Replica::open(replica.store, keys, [2; 32], NOW)
        .await
        .unwrap();
    assert_eq!(reopened.mailbox_by_id(before.id), None);
    let both = VirtualMailbox::ALL;
    reopened.set_virtual_mailboxes(&both, NOW).await.unwrap();
    let again = reopened.mailbox_by_id(before.id).unwrap();
    assert!(again.uid_validity > before.uid_validity);
    assert_eq!(uids(&reopened, "All Mail"), [1]);
    pages::assert_counted(&reopened).await;
}
