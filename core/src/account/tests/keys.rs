//! What an account knows of others' keys, and what follows for its mail.

use super::*;
use crate::keys::own::Use;
use crate::keys::{Role, keyring};
use crate::openpgp::secret_certificate::RevocationReason;
use crate::openpgp::{Fingerprint, SecretCertificate};

const LATER: Timestamp = Timestamp::from_secs(NOW.as_secs() + 60);

#[tokio::test]
async fn a_compared_key_is_marked_and_only_the_one_that_was_compared() {
    let (alice, to_alice) = account("alice", 1).await;
    let (bob, to_bob) = account("bob", 2).await;
    let contact = |address: &Address, certificate: &Certificate| {
        let offer = crate::keys::Offer {
            address: address.clone(),
            certificate: certificate.clone(),
            level: crate::keys::Level::WeakChain,
            seen_at: NOW,
            prefers_encryption: false,
        };
        match keyring::consider(None, &offer, NOW) {
            crate::keys::Decision::Store(contact) => *contact,
            crate::keys::Decision::Keep(reason) => panic!("{reason:?}"),
        }
    };
    assert_eq!(alice.comparison(bob.address(), NOW).await.unwrap(), None);
    let known = contact(bob.address(), &to_bob);
    alice.store_contact(known, NOW).await.unwrap();
    let known = contact(alice.address(), &to_alice);
    bob.store_contact(known, NOW).await.unwrap();
    // Both screens show the same of either.
    let at_alice = alice.comparison(bob.address(), NOW).await.unwrap().unwrap();
    let at_bob = bob.comparison(alice.address(), NOW).await.unwrap().unwrap();
    assert_eq!(at_alice.ours, std::slice::from_ref(&at_bob.theirs));
    assert_eq!(at_bob.ours, std::slice::from_ref(&at_alice.theirs));
    assert_eq!(at_alice.theirs.words(), at_bob.ours[0].words());
    // Another key than the one known now is not marked.
    let theirs = at_alice.theirs.fingerprint;
    let other = to_alice.fingerprint();
    let refused = alice.mark_compared(bob.address(), &other, NOW).await;
    assert!(matches!(refused, Err(CompareError::Differs)));
    let refused = bob.mark_compared(bob.address(), &theirs, NOW).await;
    assert!(matches!(refused, Err(CompareError::Unknown)));
    let level = alice.contact(bob.address()).await.unwrap().unwrap().level;
    assert_eq!(level, crate::keys::Level::WeakChain);
    alice
        .mark_compared(bob.address(), &theirs, NOW)
        .await
        .unwrap();
    let marked = alice.comparison(bob.address(), NOW).await.unwrap().unwrap();
    assert_eq!(marked.level, crate::keys::Level::Fingerprint);
    // What is revoked is nothing to compare any more, but its successor.
    let old = at_alice.ours[0].fingerprint;
    let why = (RevocationReason::Compromised, "");
    alice.replace_key(old, why, LATER).await.unwrap();
    let ours = alice.own_identities(LATER).await.unwrap();
    assert_eq!(ours.len(), 1);
    assert_ne!(ours[0].fingerprint, old);
}

/// A key that comes from elsewhere is one of the account's, and leaves locked.
#[tokio::test]
async fn a_key_is_brought_in_and_taken_out() {
    let (alice, _) = account("alice", 1).await;
    let (other, _) = account("alice", 2).await;
    let brought = other.own_keys().await.unwrap()[0].fingerprint();
    let locked = other
        .export_key(brought, "a long passphrase")
        .await
        .unwrap();
    let import = async |passphrase: &str| {
        let wanted = Use::InUse;
        alice
            .import_keys(locked.as_bytes(), passphrase, wanted, LATER)
            .await
    };
    assert!(matches!(import("another").await, Err(KeyError::Making(_))));
    assert_eq!(import("a long passphrase").await.unwrap(), [brought]);
    let keys = alice.own_keys().await.unwrap();
    let used = keys.in_use(Role::World, alice.address(), LATER).unwrap();
    assert_eq!(used.fingerprint(), brought);
    let ours = alice.own_identities(LATER).await.unwrap();
    assert_eq!(ours[0].fingerprint, brought);
    let unknown = alice.export_key(Fingerprint::V4([7; 20]), "x").await;
    assert!(matches!(unknown, Err(KeyError::Making(_))));
}

/// RFC 9788 6.1: what was confidential stays so in the answer.
#[tokio::test]
async fn an_answer_to_an_encrypted_letter_does_not_leave_in_the_clear() {
    let (alice, _) = account("alice", 1).await;
    let (_, to_bob) = account("bob", 2).await;
    let paths = vec![address("bob@letterlock.example")];
    let letter = [b"Message-ID: <secret@letterlock.example>\r\n", LETTER].concat();
    let sent = alice
        .submit(alice.address(), paths.clone(), &letter, NOW)
        .await;
    sent.unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let answers = answered(&paths[0], &to_bob);
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("bob's key is known");
    };
    alice
        .file_sent(&entry, ready.protection, NOW)
        .await
        .unwrap();

    let stranger = address("carol@elsewhere.example");
    let nobody = Answers::from([(stranger.clone(), None)]);
    for (fields, leaves) in [
        ("In-Reply-To: <secret@letterlock.example>\r\n", false),
        (
            "References: <other@x.example>\r\n <secret@letterlock.example>\r\n",
            false,
        ),
        ("In-Reply-To: <other@x.example>\r\n", true),
        ("", true),
    ] {
        let reply = format!(
            "{fields}From: alice@letterlock.example\r\nTo: {stranger}\r\n\
             Subject: Re: A secret plan\r\n\r\n> Meet me.\r\n"
        );
        let to = vec![stranger.clone()];
        let put = alice
            .submit(alice.address(), to.clone(), reply.as_bytes(), NOW)
            .await;
        put.unwrap();
        let entry = alice.outbox().await.unwrap().remove(0);
        match alice.prepare(&entry, &nobody, NOW).await.unwrap() {
            Prepared::Ready(ready) => {
                assert!(leaves, "{fields}");
                alice
                    .file_sent(&entry, ready.protection, NOW)
                    .await
                    .unwrap();
            }
            Prepared::Refused { missing, because } => {
                assert!(!leaves, "{fields}");
                assert_eq!((missing, because), (to, MustEncrypt::Answer));
                let sent = alice.mailbox_for(crate::model::Role::Sent).unwrap().id;
                // Out of the outbox, as after a delivery report.
                let gone = Protection::NONE;
                alice
                    .outbox_sent(&entry, sent, gone, b"", NOW)
                    .await
                    .unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Issue of a person who imports an old key: what it opens is placed anew, once.
#[tokio::test]
async fn what_a_later_key_opens_is_opened_when_it_comes() {
    let (bob, to_bob) = account("bob", 2).await;
    let address = bob.address().clone();
    let old = bob
        .with_rng(|rng| SecretCertificate::generate(&address, None, NOW, rng))
        .unwrap();
    let payload = b"Content-Type: text/plain\r\n\r\nAn old secret.\r\n";
    let to = [old.certificate().clone()];
    let armored = bob
        .with_rng(|rng| encrypt::message(&to, None, payload, NOW, rng))
        .unwrap();
    let head = "From: Alice <alice@letterlock.example>\r\nSubject: old\r\n\
        Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n\
        --b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b\r\n\
        Content-Type: application/octet-stream\r\n\r\n";
    let wire = [head.as_bytes(), &armored, b"\r\n--b--\r\n"].concat();
    deliver(&bob, &to_bob, LETTER, 1).await;
    deliver(&bob, &to_bob, &wire, 2).await;
    for incoming in bob.incoming(10).await.unwrap() {
        bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    }
    let closed = newest(&bob, "INBOX");
    let inbox = bob.mailbox(&MailboxName::inbox()).unwrap().id;
    assert!(matches!(
        shown(&bob, &closed).await.0.encryption,
        Encryption::Undecryptable { .. }
    ));
    let flags = FlagSet::from_iter([crate::model::Flag::Seen]);
    let how = crate::model::FlagChange::Add;
    let marked = bob
        .store_flags(inbox, &[closed.uid], how, &flags, NOW)
        .await;
    marked.unwrap();
    // Nothing has come yet; and the same keys are not tried twice.
    assert_eq!(bob.open_closed(NOW).await.unwrap(), 0);
    assert_eq!(bob.open_closed(NOW).await.unwrap(), 0);
    bob.store_key(&old.to_bytes(), NOW).await.unwrap();
    assert_eq!(bob.open_closed(NOW).await.unwrap(), 1);
    assert_eq!(bob.open_closed(NOW).await.unwrap(), 0);
    let open = newest(&bob, "INBOX");
    assert!(open.uid > closed.uid, "a message under a UID never changes");
    assert_eq!(
        (open.flags.clone(), open.internal_date),
        (flags, closed.internal_date)
    );
    assert_eq!(
        bob.placements(inbox).len(),
        2,
        "the other letter is there, the closed one is not"
    );
    let (protection, raw) = shown(&bob, &open).await;
    let fingerprint = old.fingerprint();
    assert!(
        matches!(protection.encryption, Encryption::ToUs { fingerprint: by, .. } if by == fingerprint)
    );
    assert!(raw.ends_with(b"\r\n\r\nAn old secret.\r\n"));
    // As it came, it is kept.
    let message = bob.message(open.message).await.unwrap().unwrap();
    let received = bob
        .message(message.received_as.unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bob.raw(&received).await.unwrap(), wire);
    // And new mail to the old key opens at once.
    deliver(&bob, &to_bob, &wire, 3).await;
    let incoming = only_incoming(&bob).await;
    bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
    let again = shown(&bob, &newest(&bob, "INBOX")).await.0;
    assert!(matches!(again.encryption, Encryption::ToUs { .. }));
}

#[tokio::test]
async fn where_mail_says_that_a_certificate_is_is_kept_and_nobody_is_asked() {
    let (bob, to_bob) = account("bob", 2).await;
    let author = address("gull@sea.org");
    let mail = |from: &str, url: &str| {
        format!("From: {from}\r\nOpenPGP: id=12345678; url=\"{url}\"\r\n\r\nHello.\r\n")
    };
    for (n, from, url) in [
        (1, "gull@sea.org", "https://sea.org/gull.asc"),
        (2, "gull@sea.org", "https://evil.org/gull.asc"),
        (3, "tern@sea.org", "https://evil.org/tern.asc"),
        // Of our own provider's users its directory speaks.
        (
            4,
            "alice@letterlock.example",
            "https://letterlock.example/alice.asc",
        ),
    ] {
        deliver(&bob, &to_bob, mail(from, url).as_bytes(), n).await;
        let incoming = only_incoming(&bob).await;
        let taken = bob.take_in(&incoming, &Answers::new(), NOW).await.unwrap();
        assert!(matches!(taken, TakenIn::Done(Some(_))), "{taken:?}");
    }
    let kept = bob.pointer(&author).await.unwrap().unwrap();
    assert_eq!(kept.url_for(&author), Some("https://sea.org/gull.asc"));
    for other in ["tern@sea.org", "alice@letterlock.example"] {
        assert_eq!(bob.pointer(&address(other)).await.unwrap(), None, "{other}");
    }
    // A hint is no certificate.
    assert_eq!(bob.contact(&author).await.unwrap(), None);
}

/// A letter of one line, sent and filed: what the provider was handed.
async fn send(from: &Account<MemoryStore>, to: &Address, answers: &Answers) -> Vec<u8> {
    let text = format!("From: {}\r\nTo: {to}\r\n\r\nHello.\r\n", from.address());
    let paths = vec![to.clone()];
    let queued = from.submit(from.address(), paths, text.as_bytes(), NOW);
    queued.await.unwrap();
    let entry = from.outbox().await.unwrap().remove(0);
    let prepared = from.prepare(&entry, answers, NOW).await.unwrap();
    let Prepared::Ready(ready) = prepared else {
        panic!("everything is known: {prepared:?}");
    };
    let message = ready.submissions[0].message.to_vec();
    from.file_sent(&entry, ready.protection, NOW).await.unwrap();
    message
}

/// What the rules of replacement call "used in both directions" is written down as it happens.
#[tokio::test]
async fn letters_both_ways_put_a_key_in_use_and_a_higher_level_does_not_replace_it() {
    let (alice, to_alice) = account("alice", 1).await;
    let (bob, to_bob) = account("bob", 2).await;
    let at_alice = || async { alice.contact(bob.address()).await.unwrap().unwrap() };
    let letter = send(&bob, alice.address(), &answered(alice.address(), &to_alice)).await;
    deliver(&alice, &to_alice, &letter, 1).await;
    let incoming = only_incoming(&alice).await;
    alice
        .take_in(&incoming, &Answers::new(), NOW)
        .await
        .unwrap();
    let known = at_alice().await;
    assert!(known.verified_from && !known.encrypted_to);
    // To be asked for both of bob's keys is no use yet.
    let nobody = Answers::from([(bob.address().canonical(), None)]);
    send(&alice, bob.address(), &nobody).await;
    assert!(at_alice().await.is_in_use());
    // Nor does the provider's word, which is above that of a mail.
    let (_, other) = account("bob", 9).await;
    send(&alice, bob.address(), &answered(bob.address(), &other)).await;
    let known = at_alice().await;
    let fingerprint = known.parse_certificate().unwrap().fingerprint();
    assert_eq!(fingerprint, to_bob.fingerprint());
    assert!(known.former.is_empty());
}

#[tokio::test]
async fn a_letter_in_the_clear_and_a_signature_by_another_put_nothing_in_use() {
    let (alice, to_alice) = account("alice", 1).await;
    let (eve, _) = account("eve", 3).await;
    let (_, to_bob) = account("bob", 2).await;
    let bob = address("bob@letterlock.example");
    let offer = Found::in_directory(alice.address(), &bob, to_bob).offer(&bob, NOW);
    let crate::keys::Decision::Store(contact) = keyring::consider(None, &offer, NOW) else {
        panic!("nobody was known");
    };
    alice.store_contact(*contact, NOW).await.unwrap();
    // Eve signs a letter that says it is by bob.
    let letter = b"From: bob@letterlock.example\r\nTo: alice@letterlock.example\r\n\r\nHi.\r\n";
    let keys = eve.own_keys().await.unwrap();
    let sender = crate::openpgp::pgp_mime::Sender {
        key: keys.signer(eve.address(), NOW).unwrap(),
        address: eve.address(),
        now: NOW,
    };
    let signed = eve.with_rng(|rng| crate::openpgp::pgp_mime::sign(letter, &sender, rng));
    deliver(&alice, &to_alice, &signed.unwrap(), 1).await;
    let incoming = only_incoming(&alice).await;
    let nobody = Answers::from([(bob.canonical(), None)]);
    alice.take_in(&incoming, &nobody, NOW).await.unwrap();
    // A letter that goes in the clear because another recipient has no key.
    let (carol, paths) = (address("carol@elsewhere.example"), bob.clone());
    let paths = vec![carol.clone(), paths];
    let text = b"To: carol@elsewhere.example, bob@letterlock.example\r\n\r\nHello.\r\n";
    alice
        .submit(alice.address(), paths, text, NOW)
        .await
        .unwrap();
    let entry = alice.outbox().await.unwrap().remove(0);
    let answers = Answers::from([(carol, None), (bob.canonical(), None)]);
    let Prepared::Ready(ready) = alice.prepare(&entry, &answers, NOW).await.unwrap() else {
        panic!("in the clear");
    };
    assert_eq!(ready.protection.encryption, Encryption::None);
    alice
        .file_sent(&entry, ready.protection, NOW)
        .await
        .unwrap();
    let known = alice.contact(&bob).await.unwrap().unwrap();
    assert!(!known.verified_from && !known.encrypted_to);
}
