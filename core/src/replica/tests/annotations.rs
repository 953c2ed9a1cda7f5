//! Annotations: limits, merging, what becomes of them when mailboxes are renamed and deleted.

use super::*;
use crate::model::{AnnotationName, AnnotationOwner, MAX_ANNOTATION_OCTETS, MAX_ANNOTATIONS, Role};
use crate::replica::annotations::AnnotationsDocument;
use crate::replica::document::{Document, Lww, Stamp};

const ACCOUNT: AnnotationOwner = AnnotationOwner::Account;

fn name(text: &str) -> AnnotationName {
    AnnotationName::new(text).unwrap()
}

async fn set(
    device: &Replica<MemoryStore>,
    owner: AnnotationOwner,
    entry: &str,
    value: Option<&str>,
    now: Timestamp,
) -> Result<Option<ModSeq>, ReplicaError> {
    let value = value.map(|value| value.as_bytes().to_vec());
    let entries = vec![(name(entry), value)];
    device.set_annotations(owner, entries, now).await
}

async fn all(device: &Replica<MemoryStore>, owner: AnnotationOwner) -> Vec<(String, String)> {
    let annotations = device.annotations(owner).await.unwrap();
    let text = |(name, value): (AnnotationName, Vec<u8>)| {
        (name.as_str().to_owned(), String::from_utf8(value).unwrap())
    };
    annotations.into_iter().map(text).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    list.iter().map(pair).collect()
}

/// Now and then an annotation is set or removed.
pub(super) async fn edit(device: &Replica<MemoryStore>, rng: &mut ChaCha20Rng, now: Timestamp) {
    if !rng.gen_ratio(1, 4) {
        return;
    }
    let mailboxes = device.mailboxes();
    let owner = match rng.gen_range(0..=mailboxes.len()) {
        0 => ACCOUNT,
        n => AnnotationOwner::Mailbox(mailboxes[n - 1].id),
    };
    let entry = ["/private/a", "/shared/a", "/private/specialuse"][rng.gen_range(0..3)];
    let value = ["x", "y", "\\Junk"][rng.gen_range(0..3)];
    let value = rng.r#gen::<bool>().then_some(value);
    // What is refused for a role is no failure.
    drop(set(device, owner, entry, value, now).await);
}

/// Every device knows the same annotations.
pub(super) async fn assert_same(devices: &[Replica<MemoryStore>]) {
    let mailboxes = devices[0].mailboxes().into_iter();
    let mailboxes = mailboxes.map(|mailbox| AnnotationOwner::Mailbox(mailbox.id));
    for owner in [ACCOUNT].into_iter().chain(mailboxes) {
        let expected = all(&devices[0], owner).await;
        for device in devices {
            assert_eq!(all(device, owner).await, expected);
        }
    }
}

#[tokio::test]
async fn what_two_devices_set_apart_is_all_there_and_the_later_wins() {
    let (provider, a, b) = (Provider::default(), device(1).await, device(2).await);
    for device in [&a, &b] {
        exchange(device, &provider, &mut None).await;
    }
    let inbox = AnnotationOwner::Mailbox(inbox(&a).id);
    set(&a, inbox, "/private/comment", Some("from a"), at(1))
        .await
        .unwrap();
    set(&b, inbox, "/private/comment", Some("from b"), at(2))
        .await
        .unwrap();
    set(&a, inbox, "/shared/comment", Some("for all"), at(3))
        .await
        .unwrap();
    set(&b, ACCOUNT, "/private/vendor/x", Some("here"), at(4))
        .await
        .unwrap();
    for _ in 0..2 {
        for device in [&a, &b] {
            exchange(device, &provider, &mut None).await;
        }
    }
    let before = a.mod_seq();
    for device in [&a, &b] {
        let expected = [
            ("/private/comment", "from b"),
            ("/shared/comment", "for all"),
        ];
        assert_eq!(all(device, inbox).await, pairs(&expected));
        assert_eq!(
            all(device, ACCOUNT).await,
            pairs(&[("/private/vendor/x", "here")])
        );
        assert_eq!(device.check().await.unwrap().findings, []);
    }
    // Removing reaches the other device, as a change of that name alone.
    set(&b, inbox, "/private/comment", None, at(5))
        .await
        .unwrap();
    exchange(&b, &provider, &mut None).await;
    exchange(&a, &provider, &mut None).await;
    assert_eq!(
        all(&a, inbox).await,
        pairs(&[("/shared/comment", "for all")])
    );
    let changes = a.changes_since(before).await.unwrap().unwrap();
    let names: Vec<_> = changes.annotations.iter().map(|c| &c.name).collect();
    assert_eq!(names, [&name("/private/comment")]);
    // What is read from the store is the same.
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([1; 32]));
    let again = Replica::open(a.store, keys, [9; 32], NOW).await.unwrap();
    assert_eq!(
        all(&again, inbox).await,
        pairs(&[("/shared/comment", "for all")])
    );
    assert_eq!(again.check().await.unwrap().findings, []);
}

#[tokio::test]
async fn annotations_follow_their_mailbox_and_go_with_it() {
    let a = device(1).await;
    let mailbox = |text: &str| MailboxName::new(text).unwrap();
    let id = a.create_mailbox(&mailbox("old"), NOW).await.unwrap();
    let owner = AnnotationOwner::Mailbox(id);
    set(&a, owner, "/private/comment", Some("mine"), NOW)
        .await
        .unwrap();
    a.rename_mailbox(&mailbox("old"), &mailbox("new"), NOW)
        .await
        .unwrap();
    assert_eq!(all(&a, owner).await, pairs(&[("/private/comment", "mine")]));
    a.delete_mailbox(&mailbox("new"), NOW).await.unwrap();
    assert!(matches!(
        a.annotations(owner).await,
        Err(ReplicaError::NoSuchMailbox)
    ));
    // One of the same name begins without.
    let id = a.create_mailbox(&mailbox("new"), NOW).await.unwrap();
    assert_eq!(all(&a, AnnotationOwner::Mailbox(id)).await, []);
    // RFC 5464 4.1: INBOX keeps what is copied from it.
    let inbox = AnnotationOwner::Mailbox(inbox(&a).id);
    set(&a, inbox, "/private/comment", Some("in"), NOW)
        .await
        .unwrap();
    a.rename_mailbox(&MailboxName::inbox(), &mailbox("2023"), NOW)
        .await
        .unwrap();
    let copy = AnnotationOwner::Mailbox(a.mailbox(&mailbox("2023")).unwrap().id);
    for owner in [inbox, copy] {
        assert_eq!(all(&a, owner).await, pairs(&[("/private/comment", "in")]));
    }
    assert_eq!(a.check().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_role_is_given_and_taken_by_its_annotation() {
    const SPECIAL_USE: &str = "/private/specialuse";
    let (provider, a, b) = (Provider::default(), device(1).await, device(2).await);
    let drafts = a.mailbox_for(Role::Drafts).unwrap().id;
    let name = MailboxName::new("SavedDrafts").unwrap();
    let saved = a.create_mailbox(&name, NOW).await.unwrap();
    let (drafts, saved) = (
        AnnotationOwner::Mailbox(drafts),
        AnnotationOwner::Mailbox(saved),
    );
    assert_eq!(all(&a, drafts).await, pairs(&[(SPECIAL_USE, "\\Drafts")]));
    let taken = set(&a, saved, SPECIAL_USE, Some("\\Drafts"), NOW).await;
    assert!(matches!(taken, Err(ReplicaError::RoleTaken)));
    for unknown in ["\\All", "Drafts", "\\Drafts \\Sent", ""] {
        let refused = set(&a, saved, SPECIAL_USE, Some(unknown), NOW).await;
        assert!(matches!(refused, Err(ReplicaError::RoleNotPossible)));
    }
    let inbox = AnnotationOwner::Mailbox(inbox(&a).id);
    let refused = set(&a, inbox, SPECIAL_USE, Some("\\Junk"), NOW).await;
    assert!(matches!(refused, Err(ReplicaError::RoleNotPossible)));
    set(&a, drafts, SPECIAL_USE, None, NOW).await.unwrap();
    assert_eq!(all(&a, drafts).await, []);
    set(&a, saved, SPECIAL_USE, Some("\\drafts"), NOW)
        .await
        .unwrap();
    exchange(&a, &provider, &mut None).await;
    exchange(&b, &provider, &mut None).await;
    for device in [&a, &b] {
        assert_eq!(device.mailbox_for(Role::Drafts).unwrap().name, name);
        assert_eq!(device.check().await.unwrap().findings, []);
    }
}

#[tokio::test]
async fn limits_hold_and_what_is_refused_changes_nothing() {
    let a = device(1).await;
    let long = "x".repeat(MAX_ANNOTATION_OCTETS + 1);
    let refused = set(&a, ACCOUNT, "/private/a", Some(&long), NOW).await;
    assert!(matches!(refused, Err(ReplicaError::AnnotationTooLong)));
    for fixed in ["/private", "/shared/admin"] {
        let refused = set(&a, ACCOUNT, fixed, Some("x"), NOW).await;
        assert!(matches!(refused, Err(ReplicaError::AnnotationFixed)));
    }
    let entry = |n: usize| (name(&format!("/private/{n}")), Some(b"x".to_vec()));
    let before = a.mod_seq();
    let many: Vec<_> = (0..=MAX_ANNOTATIONS).map(entry).collect();
    let refused = a.set_annotations(ACCOUNT, many.clone(), NOW).await;
    assert!(matches!(refused, Err(ReplicaError::TooManyAnnotations)));
    assert_eq!(a.mod_seq(), before);
    let most = many[1..].to_vec();
    a.set_annotations(ACCOUNT, most, NOW).await.unwrap();
    let refused = a.set_annotations(ACCOUNT, vec![entry(0)], NOW).await;
    assert!(matches!(refused, Err(ReplicaError::TooManyAnnotations)));
    // Setting what is there, and removing what is not, is no change.
    let same = a.set_annotations(ACCOUNT, vec![entry(1)], NOW).await;
    assert_eq!(same.unwrap(), None);
    let gone = set(&a, ACCOUNT, "/private/never", None, NOW).await;
    assert_eq!(gone.unwrap(), None);
    let removed = set(&a, ACCOUNT, "/private/1", None, NOW).await;
    assert!(removed.unwrap().is_some());
    let set = a.set_annotations(ACCOUNT, vec![entry(0)], NOW).await;
    assert!(set.unwrap().is_some());
}

fn any_document() -> impl Strategy<Value = AnnotationsDocument> {
    // A stamp is of one change of one device: what it wrote under a name is one value.
    let entry = (0..4_u8, 0..6_i64, 1..4_u8);
    proptest::collection::vec(entry, 0..6).prop_map(|entries| {
        let field = |(number, millis, device): (u8, i64, u8)| {
            let replica = ReplicaId::new([device; 16]);
            let value = (millis % 3 > 0).then(|| ByteBuf::from(vec![number, device]));
            let field = Lww::new(value, Stamp { millis, replica });
            (name(&format!("/private/{number}")), field)
        };
        AnnotationsDocument {
            owner: ACCOUNT,
            entries: entries.into_iter().map(field).collect(),
        }
    })
}

fn merged(a: &AnnotationsDocument, b: &AnnotationsDocument) -> AnnotationsDocument {
    let mut document = Document::Annotations(a.clone());
    document.merge(Document::Annotations(b.clone()));
    let Document::Annotations(document) = document else {
        panic!("{document:?}");
    };
    document
}

proptest! {
    #[test]
    fn merging_is_a_semilattice(a in any_document(), b in any_document(), c in any_document()) {
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
    }
}
