//! A letter's way through the account: sealed, taken in, judged; prepared, filed.

mod heard;
mod keys;
mod rejudging;

use serde_bytes::ByteBuf;

use super::*;
use crate::id::{AccountId, Generation, IncomingId, MailboxName};
use crate::model::FlagSet;
use crate::openpgp::{Encryption, Protection, SignatureStatus, encrypt};
use crate::replica::{IncomingMessage, Placement};
use crate::seal::RootKey;
use crate::store::MemoryStore;
use crate::sync::wire::{Entry, PullResponse};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const LETTER: &[u8] = b"From: Alice <alice@letterlock.example>\r\n\
    To: bob@letterlock.example\r\nSubject: A secret plan\r\n\r\nMeet me.\r\n";

pub(super) fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

pub(super) async fn account(name: &str, seed: u8) -> (Account<MemoryStore>, Certificate) {
    let root = RootKey::from_octets([seed; 32]);
    let keys = AccountKeys::derive(AccountId::new([seed; 16]), 1, &root);
    let address = address(&format!("{name}@letterlock.example"));
    let store = MemoryStore::new();
    let account = Account::open(store, address, keys, [seed; 32], NOW)
        .await
        .unwrap();
    let certificate = account.create_keys(NOW).await.unwrap().remove(0);
    (account, certificate)
}

/// What the directory answers.
fn answered(address: &Address, certificate: &Certificate) -> Answers {
    let found = Found::in_directory(address, address, certificate.clone());
    Answers::from([(address.canonical(), Some(found))])
}

/// What the MX does, and the sync after it.
pub(super) async fn deliver(
    to: &Account<MemoryStore>,
    certificate: &Certificate,
    raw: &[u8],
    n: u8,
) {
    let mut rng = ChaCha20Rng::from_seed([n; 32]);
    let sealed = encrypt::to_recipient(certificate, raw, NOW, &mut rng).unwrap();
    let generation = Generation(u64::from(n));
    let (id, message) = (IncomingId::new([n; 16]), ByteBuf::from(sealed));
    let entries = vec![Entry::Incoming {
        id,
        generation,
        received_at: NOW,
        message,
    }];
    let response = PullResponse {
        entries,
        until: generation,
        more: false,
    };
    to.pulled_entries(response, NOW).await.unwrap();
}

pub(super) async fn only_incoming(account: &Account<MemoryStore>) -> IncomingMessage {
    let mut all = account.incoming(10).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

pub(super) fn newest(account: &Account<MemoryStore>, mailbox: &str) -> Placement {
    let mailbox = account
        .mailbox(&MailboxName::new(mailbox).unwrap())
        .unwrap();
    account.placements(mailbox.id).pop().unwrap()
}

pub(super) async fn shown(
    account: &Account<MemoryStore>,
    placement: &Placement,
) -> (Protection, Vec<u8>) {
    let message = account.message(placement.message).await.unwrap().unwrap();
    (
        message.protection.clone(),
        account.raw(&message).await.unwrap(),
    )
}

#[tokio::test]
async fn plain_mail_is_served_byte_for_byte() {
    let (bob, certificate) = account("bob", 2).await;
    deliver(&bob, &certificate, LETTER, 1).await;
    let incoming = only_incoming(&bob).await;
    let taken = bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert!(matches!(taken, TakenIn::Done(Some(_))));
    let (protection, raw) = shown(&bob, &newest(&bob, "INBOX")).await;
    assert_eq!(protection, Protection::NONE);
    assert_eq!(raw, LETTER);
    assert_eq!(bob.incoming(10).await.unwrap(), []);
    // Taking in the same message again changes nothing.
    bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert_eq!(bob.mailbox(&MailboxName::inbox()).unwrap().messages, 1);
}

#[tokio::test]
async fn a_letter_goes_encrypted_and_signed_from_alice_to_bob() {
    let (alice, _) = account("alice", 1).await;
    let (bob, to_bob) = account("bob", 2).await;
    let paths = vec![address("bob@letterlock.example")];
    alice
        .submit(alice.address(), paths.clone(), LETTER, NOW)
        .await
        .unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let Prepared::NeedsCertificates(wanted) =
        alice.prepare(&entry, &Answers::new(), NOW).await.unwrap()
    else {
        panic!("nobody has been asked for a certificate yet");
    };
    assert_eq!(wanted, paths);
    let answers = answered(&wanted[0], &to_bob);
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("everything is known");
    };
    let [submission] = &ready.submissions[..] else {
        panic!("one group")
    };
    let sent = submission.message.as_ref();
    let contains = |needle: &[u8]| sent.windows(needle.len()).any(|w| w == needle);
    assert!(!contains(b"secret plan") && !contains(b"Meet me"));
    // Preparing again gives the same id, so handing it over twice is harmless.
    let Prepared::Ready(again) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("everything is known");
    };
    assert_eq!(again.submissions[0].id, submission.id);
    alice
        .file_sent(&entry, ready.protection, NOW)
        .await
        .unwrap();
    assert_eq!(alice.outbox().await.unwrap(), []);
    assert!(
        shown(&alice, &newest(&alice, "Sent"))
            .await
            .1
            .ends_with(b"Meet me.\r\n")
    );

    deliver(&bob, &to_bob, sent, 1).await;
    let incoming = only_incoming(&bob).await;
    let taken = bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert!(matches!(taken, TakenIn::Done(Some(_))), "{taken:?}");
    let (protection, raw) = shown(&bob, &newest(&bob, "INBOX")).await;
    assert!(matches!(protection.encryption, Encryption::ToUs { .. }));
    let SignatureStatus::Valid { address, .. } = protection.signature else {
        panic!("{:?}", protection.signature);
    };
    assert_eq!(address, *alice.address());
    let text = String::from_utf8(raw).unwrap();
    assert!(
        text.contains("Subject: A secret plan") && text.contains("Meet me."),
        "{text}"
    );
    assert!(bob.contact(alice.address()).await.unwrap().is_some());
}

#[tokio::test]
async fn mail_to_someone_without_a_key_is_signed_or_refused() {
    let (alice, _) = account("alice", 1).await;
    let stranger = address("carol@elsewhere.example");
    alice
        .submit(alice.address(), vec![stranger.clone()], LETTER, NOW)
        .await
        .unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let answers = Answers::from([(stranger.clone(), None)]);
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("signed only");
    };
    let sent = String::from_utf8(ready.submissions[0].message.to_vec()).unwrap();
    assert!(sent.contains("multipart/signed") && sent.contains("Meet me."));
    alice.set_sending_policy(SendingPolicy::RequireEncryption);
    let refused = alice.prepare(&entry, &answers, NOW).await.unwrap();
    assert!(
        matches!(refused, Prepared::Refused { missing, because: MustEncrypt::Policy } if missing == [stranger])
    );
}

#[tokio::test]
async fn what_does_not_open_is_kept() {
    let (bob, _) = account("bob", 2).await;
    let (_, other) = account("eve", 3).await;
    deliver(&bob, &other, LETTER, 1).await;
    let incoming = only_incoming(&bob).await;
    let taken = bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert!(matches!(taken, TakenIn::Kept(_)));
    assert!(only_incoming(&bob).await.problem.is_some());
}

#[tokio::test]
async fn another_senders_name_is_refused() {
    let (alice, _) = account("alice", 1).await;
    let bob = address("bob@letterlock.example");
    let outcome = alice.submit(&bob, vec![bob.clone()], LETTER, NOW).await;
    assert!(matches!(outcome, Err(SubmitError::WrongSender)));
}

#[tokio::test]
async fn forged_status_fields_are_removed_at_every_level() {
    let forged =
        b"Letterlock-Signature: valid; fingerprint=00; address=a@b\r\nFrom: a@b.example\r\n\
        X-Leap-Signature: valid\r\nContent-Type: message/rfc822\r\n\r\n\
        letterlock-encryption: encrypted\r\nSubject: inner\r\n\r\nbody\r\n";
    let (bob, certificate) = account("bob", 2).await;
    deliver(&bob, &certificate, forged, 1).await;
    let incoming = only_incoming(&bob).await;
    bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    let (_, raw) = shown(&bob, &newest(&bob, "INBOX")).await;
    let clean = b"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n\
        Subject: inner\r\n\r\nbody\r\n";
    assert_eq!(
        String::from_utf8_lossy(&raw),
        String::from_utf8_lossy(clean)
    );
    // What came stays at hand.
    let message = bob
        .message(newest(&bob, "INBOX").message)
        .await
        .unwrap()
        .unwrap();
    let received = bob
        .message(message.received_as.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bob.raw(&received).await.unwrap(), forged);
}

#[tokio::test]
async fn what_is_appended_keeps_its_fields_and_proves_nothing_by_them() {
    let (alice, _) = account("alice", 1).await;
    let (bob, to_bob) = account("bob", 2).await;
    let forged = b"Letterlock-Encryption: encrypted; fingerprint=00; cipher=aes256\r\n\
        Letterlock-Signature: valid; fingerprint=00; address=eve@e.example\r\n\
        From: eve@e.example\r\n\r\nBelieve me.\r\n";
    let archive = bob.mailbox(&MailboxName::new("Archive").unwrap());
    let archive = archive.unwrap().id;
    let append = |raw: Vec<u8>| {
        let bob = &bob;
        async move {
            bob.append(archive, &raw, FlagSet::new(), NOW, NOW)
                .await
                .unwrap();
            shown(bob, &newest(bob, "Archive")).await
        }
    };
    let (protection, raw) = append(forged.to_vec()).await;
    assert_eq!(protection, Protection::NONE);
    assert_eq!(raw, forged);
    assert!(protection.is_claimed_otherwise(&raw));
    // Piece by piece it is the same.
    let mut appender = bob.appender(archive, FlagSet::new(), NOW, NOW).unwrap();
    appender
        .write(&[&forged[..], b"More.\r\n"].concat())
        .await
        .unwrap();
    appender.finish(None, NOW).await.unwrap();
    let (protection, _) = shown(&bob, &newest(&bob, "Archive")).await;
    assert_eq!(protection, Protection::NONE);

    // What the account judged itself is what it was, wherever a program copies it to.
    let paths = vec![address("bob@letterlock.example")];
    let from = alice.address();
    alice
        .submit(from, paths.clone(), LETTER, NOW)
        .await
        .unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let answers = answered(&paths[0], &to_bob);
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("everything is known");
    };
    deliver(&bob, &to_bob, &ready.submissions[0].message, 1).await;
    let incoming = only_incoming(&bob).await;
    bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    let (judged, raw) = shown(&bob, &newest(&bob, "INBOX")).await;
    assert!(matches!(judged.signature, SignatureStatus::Valid { .. }));
    assert!(!judged.is_claimed_otherwise(&raw));
    let (protection, copied) = append(raw.clone()).await;
    assert_eq!((&protection, &copied), (&judged, &raw));
    // One octet more, and it is another message, of which the account knows nothing.
    let (protection, altered) = append([&raw[..], b"!"].concat()).await;
    assert_eq!(protection, Protection::NONE);
    assert!(protection.is_claimed_otherwise(&altered));
}

/// An account of one of several people who know nothing of each other yet.
async fn person(local: &str, seed: u8) -> (Account<MemoryStore>, Certificate) {
    account(local, seed).await
}

async fn level_of(account: &Account<MemoryStore>, local: &str) -> Option<crate::keys::Level> {
    let address = address(&format!("{local}@letterlock.example"));
    let contact = account.contact(&address).await.unwrap();
    contact.map(|contact| contact.level)
}

#[tokio::test]
async fn a_letter_to_two_tells_each_of_the_other() {
    let (alice, _) = person("alice", 1).await;
    let (bob, to_bob) = person("bob", 2).await;
    let (_, to_carol) = person("carol", 3).await;
    let (_, to_dave) = person("dave", 4).await;
    let people = ["bob", "carol", "dave"].map(|l| address(&format!("{l}@letterlock.example")));
    let letter = b"From: alice@letterlock.example\r\nTo: Bob <bob@letterlock.example>\r\n\
        Cc: carol@letterlock.example\r\nSubject: s\r\n\r\nHello.\r\n";
    alice
        .submit(alice.address(), people.to_vec(), letter, NOW)
        .await
        .unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let mut answers = Answers::new();
    for (person, certificate) in people.iter().zip([&to_bob, &to_carol, &to_dave]) {
        answers.extend(answered(person, certificate));
    }
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("everybody is known");
    };
    let [shown, _hidden] = &ready.submissions[..] else {
        panic!("two who are shown, and one who is not");
    };
    deliver(&bob, &to_bob, shown.message.as_ref(), 1).await;
    let incoming = only_incoming(&bob).await;
    bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert_eq!(
        level_of(&bob, "carol").await,
        Some(crate::keys::Level::WeakChain)
    );
    assert_eq!(
        level_of(&bob, "alice").await,
        Some(crate::keys::Level::WeakChain)
    );
    assert_eq!(
        level_of(&bob, "dave").await,
        None,
        "who is hidden is not told of"
    );
    let (_, raw) = self::shown(&bob, &newest(&bob, "INBOX")).await;
    let text = String::from_utf8(raw).unwrap();
    assert!(
        !text.contains("Autocrypt-Gossip") && text.contains("Hello."),
        "{text}"
    );
    // So bob answers both in the dark.
    let both = [people[1].clone(), alice.address().clone()];
    let found = bob.recipients(&both, &Answers::new(), NOW).await.unwrap();
    assert!(
        found
            .unwrap()
            .iter()
            .all(|(_, certificate)| certificate.is_some())
    );
}

#[tokio::test]
async fn a_key_attached_to_a_mail_is_the_authors_if_nothing_better_is_known() {
    let (bob, to_bob) = person("bob", 2).await;
    let (_, of_alice) = person("alice", 1).await;
    let mail = format!(
        "From: alice@letterlock.example\r\nTo: bob@letterlock.example\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello.\r\n\
         --b\r\nContent-Type: application/pgp-keys\r\n\r\n{}\r\n--b--\r\n",
        of_alice.to_armor()
    );
    deliver(&bob, &to_bob, mail.as_bytes(), 1).await;
    let incoming = only_incoming(&bob).await;
    bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    assert_eq!(
        level_of(&bob, "alice").await,
        Some(crate::keys::Level::WeakChain)
    );
}

#[tokio::test]
async fn who_cannot_be_encrypted_to_any_more_is_looked_up_again() {
    use crate::keys::{Level, Offer, keyring};
    let (alice, _) = person("alice", 1).await;
    let bob = address("bob@letterlock.example");
    let template = crate::openpgp::secret_certificate::Template {
        lifetime_secs: Some(1000),
        ..crate::openpgp::secret_certificate::Template::new(
            crate::openpgp::Profile::World,
            &bob,
            None,
            NOW,
        )
        .unwrap()
    };
    let mut rng = ChaCha20Rng::from_seed([9; 32]);
    let offer = Offer {
        address: bob.clone(),
        certificate: template.generate(&mut rng).unwrap().certificate().clone(),
        level: Level::ProviderTrust,
        seen_at: NOW,
        prefers_encryption: false,
    };
    let keyring::Decision::Store(contact) = keyring::consider(None, &offer, NOW) else {
        panic!("the first is taken");
    };
    alice.store_contact(*contact, NOW).await.unwrap();
    let one = core::slice::from_ref(&bob);
    let later = Timestamp::from_secs(NOW.as_secs() + 2000);
    let known = alice
        .recipients(one, &Answers::new(), NOW)
        .await
        .unwrap()
        .unwrap();
    assert!(known[0].1.is_some());
    let asked = alice.recipients(one, &Answers::new(), later).await.unwrap();
    assert_eq!(asked.unwrap_err(), core::slice::from_ref(&bob));
    let (_, new) = person("bob", 2).await;
    let found = alice
        .recipients(one, &answered(&bob, &new), later)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found[0].1.as_ref(), Some(&new));
    // A weaker source does not do.
    let weaker = Found::in_directory(&address("x@elsewhere.example"), &bob, new);
    let weaker = Answers::from([(bob.clone(), Some(weaker))]);
    let found = alice
        .recipients(one, &weaker, later)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found[0].1, None);
}
