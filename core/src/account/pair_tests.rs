//! Two certificates for one account: what goes to which, and what is judged by which.

use super::tests::{NOW, account, address, deliver, newest, only_incoming, shown};
use super::*;
use crate::id::MailboxName;
use crate::keys::{Role, published};
use crate::openpgp::protection::Cipher;
use crate::openpgp::secret_certificate::RevocationReason;
use crate::openpgp::{Encryption, Protection, SignatureStatus};
use crate::store::MemoryStore;

type Device = Account<MemoryStore>;

/// What our provider's directory says of these accounts.
async fn directory(asked: &Device, about: &[&Device]) -> Answers {
    let mut answers = Answers::new();
    for account in about {
        let keys = account.own_keys().await.unwrap();
        let entry = keys.published(account.address(), NOW);
        let octets: Vec<&[u8]> = entry.iter().map(Certificate::as_bytes).collect();
        let address = account.address();
        let found = Found::answered(asked.address(), address, &octets.concat(), NOW);
        answers.insert(address.canonical(), found);
    }
    answers
}

/// What is handed to the provider for these recipients, and how it is protected.
async fn sent(from: &Device, to: &[&str], answers: &Answers) -> (Vec<u8>, Protection) {
    let paths: Vec<Address> = to.iter().map(|name| address(name)).collect();
    let letter = format!(
        "From: {}\r\nTo: {}\r\nSubject: x\r\n\r\nHello.\r\n",
        from.address(),
        to.join(", ")
    );
    let from_address = from.address().clone();
    from.submit(&from_address, paths, letter.as_bytes(), NOW)
        .await
        .unwrap();
    let entry = from.outbox().await.unwrap().remove(0);
    let Prepared::Ready(ready) = from.prepare(&entry, answers, NOW).await.unwrap() else {
        panic!("everything is known");
    };
    from.file_sent(&entry, ready.protection.clone(), NOW)
        .await
        .unwrap();
    (ready.submissions[0].message.to_vec(), ready.protection)
}

async fn fingerprint(of: &Device, role: Role) -> crate::openpgp::Fingerprint {
    let keys = of.own_keys().await.unwrap();
    keys.in_use(role, of.address(), NOW).unwrap().fingerprint()
}

async fn received(by: &Device, mail: &[u8], n: u8) -> Protection {
    let keys = by.own_keys().await.unwrap();
    let sealing = keys.in_use(Role::Sealing, by.address(), NOW).unwrap();
    deliver(by, sealing.certificate(), mail, n).await;
    let incoming = only_incoming(by).await;
    let taken = by.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert!(matches!(taken, TakenIn::Done(Some(_))), "{taken:?}");
    shown(by, &newest(by, "INBOX")).await.0
}

const BOB: &str = "bob@letterlock.example";
const CAROL: &str = "carol@letterlock.example";

#[tokio::test]
async fn users_of_one_provider_write_to_version_6() {
    let (alice, _) = account("alice", 1).await;
    let (bob, _) = account("bob", 2).await;
    let answers = directory(&alice, &[&bob]).await;
    let (mail, protection) = sent(&alice, &[BOB], &answers).await;
    let text = String::from_utf8(mail.clone()).unwrap();
    // The field that programs of the world read is still that of version 4.
    let field = crate::keys::autocrypt::read(mail.as_slice(), alice.address()).unwrap();
    let world = fingerprint(&alice, Role::World).await;
    assert_eq!(field.certificate.fingerprint(), world, "{text}");
    assert_eq!(
        protection.encryption,
        Encryption::ToUs {
            fingerprint: fingerprint(&alice, Role::Sealing).await,
            cipher: Cipher::Aes256Aead
        }
    );
    let protection = received(&bob, &mail, 1).await;
    assert_eq!(
        protection.encryption,
        Encryption::ToUs {
            fingerprint: fingerprint(&bob, Role::Sealing).await,
            cipher: Cipher::Aes256Aead
        }
    );
    let SignatureStatus::Valid { fingerprint, .. } = protection.signature else {
        panic!("{:?}", protection.signature);
    };
    assert_eq!(fingerprint, world);
    // What was learnt stays: nobody is asked again.
    sent(&alice, &[BOB], &Answers::new()).await;
}

#[tokio::test]
async fn one_who_reads_version_4_alone_brings_all_to_it() {
    let (alice, _) = account("alice", 1).await;
    let (bob, _) = account("bob", 2).await;
    let (_, carols) = account("carol", 3).await;
    let mut answers = directory(&alice, &[&bob]).await;
    let carol = address(CAROL);
    let found = Found::in_directory(alice.address(), &carol, carols);
    answers.insert(carol, Some(found));
    let (mail, protection) = sent(&alice, &[BOB, CAROL], &answers).await;
    let expected = Encryption::ToUs {
        fingerprint: fingerprint(&alice, Role::World).await,
        cipher: Cipher::Aes256,
    };
    assert_eq!(protection.encryption, expected);
    let protection = received(&bob, &mail, 1).await;
    let expected = Encryption::ToUs {
        fingerprint: fingerprint(&bob, Role::World).await,
        cipher: Cipher::Aes256,
    };
    assert_eq!(protection.encryption, expected);
    // They are told of each other by what everybody reads.
    let (_, raw) = shown(&bob, &newest(&bob, "INBOX")).await;
    assert!(!raw.is_empty());
    let learnt = bob.contact(&address(CAROL)).await.unwrap().unwrap();
    let learnt = learnt.parse_certificate().unwrap();
    assert!(!published::is_version6(&learnt));
}

#[tokio::test]
async fn a_contact_of_the_same_provider_is_asked_for_once_more() {
    let (alice, _) = account("alice", 1).await;
    let (bob, _) = account("bob", 2).await;
    // Alice knows Bob by a mail of his: of version 4.
    let (mail, _) = sent(&bob, &["alice@letterlock.example"], &{
        directory(&bob, &[&alice]).await
    })
    .await;
    received(&alice, &mail, 1).await;
    let one = [address(BOB)];
    let known = alice.recipients(&one, &Answers::new(), NOW).await.unwrap();
    assert!(
        known.is_ok(),
        "to know whether he can be written to, nobody is asked"
    );
    alice
        .submit(
            alice.address(),
            one.to_vec(),
            b"To: bob@letterlock.example\r\n\r\nx",
            NOW,
        )
        .await
        .unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let asked = alice.prepare(&entry, &Answers::new(), NOW).await.unwrap();
    assert!(matches!(asked, Prepared::NeedsCertificates(wanted) if wanted == one));
    // The directory has nobody, or somebody else: what is known is used.
    let (other, _) = account("bob", 9).await;
    let none = Answers::from([(address(BOB), None)]);
    for answers in [none, directory(&alice, &[&other]).await] {
        let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
            panic!("he is known");
        };
        let world = fingerprint(&alice, Role::World).await;
        assert!(matches!(
            ready.protection.encryption,
            Encryption::ToUs { fingerprint, .. } if fingerprint == world
        ));
    }
    let answers = directory(&alice, &[&bob]).await;
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("he is known");
    };
    let sealing = fingerprint(&alice, Role::Sealing).await;
    assert!(matches!(
        ready.protection.encryption,
        Encryption::ToUs { fingerprint, .. } if fingerprint == sealing
    ));
}

#[tokio::test]
async fn a_rotation_is_heard_of_by_reading() {
    let (alice, _) = account("alice", 1).await;
    let (bob, _) = account("bob", 2).await;
    let to_alice = ["alice@letterlock.example"];
    let answers = directory(&bob, &[&alice]).await;
    let (mail, _) = sent(&bob, &to_alice, &answers).await;
    received(&alice, &mail, 1).await;
    let old = fingerprint(&bob, Role::World).await;
    let keys = bob.own_keys().await.unwrap();
    let why = (RevocationReason::Superseded, "");
    let later = Timestamp::from_secs(NOW.as_secs() + 60);
    let mut rng = ChaCha20Rng::from_seed([5; 32]);
    let made = keys.replace(old, why, bob.address(), later, &mut rng);
    for key in made.unwrap() {
        bob.store_key(&key.to_bytes(), later).await.unwrap();
    }
    let keys = bob.own_keys().await.unwrap();
    let new = keys.signer(bob.address(), later).unwrap().fingerprint();
    assert_ne!(new, old);

    bob.submit(
        &bob.address().clone(),
        vec![alice.address().clone()],
        b"From: bob@letterlock.example\r\nTo: alice@letterlock.example\r\n\r\nNew key.\r\n",
        later,
    )
    .await
    .unwrap();
    let entry = bob.outbox().await.unwrap().remove(0);
    let Prepared::Ready(ready) = bob.prepare(&entry, &answers, later).await.unwrap() else {
        panic!("everything is known");
    };
    let alices = alice.own_keys().await.unwrap();
    let sealing = alices.in_use(Role::Sealing, alice.address(), NOW).unwrap();
    let mail = ready.submissions[0].message.to_vec();
    deliver(&alice, sealing.certificate(), &mail, 2).await;
    let incoming = only_incoming(&alice).await;
    let taken = alice
        .take_in(&incoming, &Answers::new(), later)
        .await
        .unwrap();
    assert_eq!(taken, TakenIn::NeedsCertificate(address(BOB)));
    let published = keys.published(bob.address(), later);
    let octets: Vec<&[u8]> = published.iter().map(Certificate::as_bytes).collect();
    let found = Found::answered(alice.address(), bob.address(), &octets.concat(), later);
    let answers = Answers::from([(address(BOB), found)]);
    let taken = alice.take_in(&incoming, &answers, later).await.unwrap();
    assert!(matches!(taken, TakenIn::Done(Some(_))), "{taken:?}");
    let (protection, _) = shown(&alice, &newest(&alice, "INBOX")).await;
    assert!(
        matches!(protection.signature, SignatureStatus::Valid { fingerprint, .. } if fingerprint == new),
        "{:?}",
        protection.signature
    );
    let known = alice.contact(&address(BOB)).await.unwrap().unwrap();
    assert_eq!(known.former, [old]);
    assert!(known.parse_companion().is_some());
}

#[tokio::test]
async fn keys_are_kept_up_stored_pushed_and_only_then_published() {
    let (alice, _) = account("alice", 1).await;
    assert!(
        alice.to_publish(NOW).await.unwrap().is_none(),
        "they wait to be pushed"
    );
    let push = alice.pending_push().await.unwrap().unwrap();
    alice.pushed(&push, NOW).await.unwrap();
    let publication = alice.to_publish(NOW).await.unwrap().unwrap();
    assert_eq!(publication.certificates.len(), 2);
    alice.note_published(&publication);
    assert!(alice.to_publish(NOW).await.unwrap().is_none());
    assert!(!alice.maintain_keys(NOW).await.unwrap());
    let later = Timestamp::from_secs(NOW.as_secs() + 400 * 24 * 60 * 60);
    assert!(alice.maintain_keys(later).await.unwrap());
    assert!(!alice.maintain_keys(later).await.unwrap());
    assert!(alice.to_publish(later).await.unwrap().is_none());
    let push = alice.pending_push().await.unwrap().unwrap();
    alice.pushed(&push, later).await.unwrap();
    let renewed = alice.to_publish(later).await.unwrap().unwrap();
    assert_eq!(renewed.certificates.len(), 2);
    let inbox = alice.mailbox(&MailboxName::inbox());
    assert!(inbox.is_some());

    // Another device that has heard of the first documents alone makes nothing of its own.
    let empty = Account::open(
        MemoryStore::new(),
        alice.address().clone(),
        AccountKeys::derive(
            crate::id::AccountId::new([1; 16]),
            1,
            &crate::seal::RootKey::from_octets([1; 32]),
        ),
        [7; 32],
        NOW,
    );
    let empty = empty.await.unwrap();
    assert!(!empty.maintain_keys(NOW).await.unwrap());
    assert!(empty.to_publish(NOW).await.unwrap().is_none());
}
