//! Keys that came with mail, and mail without them.

use super::*;
use crate::keys::silence::DAY_SECS;
use crate::keys::{Contact, Decision, Level, Offer, keyring};
use crate::openpgp::SecretCertificate;

const BOB: &str = "bob@sea.org";

fn after(days: i64) -> Timestamp {
    Timestamp::from_secs(NOW.as_secs() + days * DAY_SECS)
}

fn key(seed: u8) -> Certificate {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let key = SecretCertificate::generate(&address(BOB), None, NOW, &mut rng);
    key.unwrap().certificate().clone()
}

/// Bob, as a mail of his has made him known; how well, and how he is used, may be better.
fn bob(level: Level, in_use: bool) -> Contact {
    let offer = Offer {
        address: address(BOB),
        certificate: key(7),
        level,
        seen_at: NOW,
        prefers_encryption: true,
    };
    let Decision::Store(contact) = keyring::consider(None, &offer, NOW) else {
        panic!("nobody was known");
    };
    Contact {
        encrypted_to: in_use,
        verified_from: in_use,
        ..*contact
    }
}

/// A mail comes, after so many days.
async fn take_in(alice: &Account<MemoryStore>, to: &Certificate, raw: &[u8], days: i64, n: u8) {
    deliver(alice, to, raw, n).await;
    let mut incoming = only_incoming(alice).await;
    incoming.received_at = after(days);
    let nobody = Answers::from([(address(BOB), None)]);
    let taken = alice.take_in(&incoming, &nobody, after(days)).await;
    assert!(matches!(taken.unwrap(), TakenIn::Done(Some(_))));
}

fn spoofed(days: i64) -> String {
    let date = crate::mime::format_date(after(days));
    format!("From: {BOB}\r\nTo: alice@letterlock.example\r\nDate: {date}\r\n\r\nHello.\r\n")
}

async fn prepare(alice: &Account<MemoryStore>, answers: &Answers, now: Timestamp) -> Prepared {
    if alice.outbox().await.unwrap().is_empty() {
        let text = format!("From: alice@letterlock.example\r\nTo: {BOB}\r\n\r\nHello.\r\n");
        let paths = vec![address(BOB)];
        let queued = alice.submit(alice.address(), paths, text.as_bytes(), now);
        queued.await.unwrap();
    }
    let entry = alice.outbox().await.unwrap().remove(0);
    alice.prepare(&entry, answers, now).await.unwrap()
}

fn is_encrypted(prepared: &Prepared) -> bool {
    matches!(prepared, Prepared::Ready(ready) if ready.protection.encryption != Encryption::None)
}

fn asks(prepared: &Prepared) -> bool {
    matches!(prepared, Prepared::NeedsCertificates(wanted) if *wanted == [address(BOB)])
}

/// Who spoofs mail in bob's name for as long as they like has others asked for his key, and that is
/// all.
#[tokio::test]
async fn attack_34_spoofed_mail_without_a_key_takes_no_encryption_away() {
    for (level, in_use, is_asked) in [
        (Level::WeakChain, false, true),
        (Level::WeakChain, true, false),
        (Level::ProviderTrust, false, false),
        (Level::Fingerprint, false, false),
    ] {
        let (alice, to_alice) = account("alice", 1).await;
        alice.store_contact(bob(level, in_use), NOW).await.unwrap();
        for (n, days) in [1_i64, 20, 35, 36, 37, 90].into_iter().enumerate() {
            let mail = spoofed(days);
            let n = u8::try_from(n + 1).unwrap();
            take_in(&alice, &to_alice, mail.as_bytes(), days, n).await;
            let first = prepare(&alice, &Answers::new(), after(days)).await;
            let stale = is_asked && days > 35;
            assert_eq!(asks(&first), stale, "{level:?} {days}");
            assert_eq!(is_encrypted(&first), !stale, "{level:?} {days}");
            // Nobody has another: it is encrypted, whatever came.
            let nobody = Answers::from([(address(BOB), None)]);
            let then = prepare(&alice, &nobody, after(days)).await;
            assert!(is_encrypted(&then), "{level:?} {days}");
            if !stale && !in_use {
                // What was prepared has put the key to use: begin again.
                alice.store_contact(bob(level, in_use), NOW).await.unwrap();
            }
        }
        let known = alice.contact(&address(BOB)).await.unwrap().unwrap();
        assert_eq!(known.parse_certificate(), Some(key(7)), "{level:?}");
        assert!(known.prefers_encryption);
    }
}

#[tokio::test]
async fn what_others_have_takes_the_place_of_a_stale_key_by_the_rules() {
    let found = |seed, source| {
        let found = Found {
            certificate: key(seed),
            companion: None,
            source,
        };
        Answers::from([(address(BOB), Some(found))])
    };
    for (source, replaced) in [
        (crate::keys::Source::WebKeyDirectory, true),
        (crate::keys::Source::KeyServer, false),
    ] {
        let (alice, to_alice) = account("alice", 1).await;
        let known = bob(Level::WeakChain, false);
        alice.store_contact(known, NOW).await.unwrap();
        take_in(&alice, &to_alice, spoofed(40).as_bytes(), 40, 1).await;
        assert!(asks(&prepare(&alice, &Answers::new(), after(40)).await));
        let prepared = prepare(&alice, &found(8, source), after(40)).await;
        assert!(is_encrypted(&prepared));
        let known = alice.contact(&address(BOB)).await.unwrap().unwrap();
        let expected = if replaced { key(8) } else { key(7) };
        assert_eq!(known.parse_certificate(), Some(expected), "{source:?}");
    }
}

#[tokio::test]
async fn a_key_that_is_heard_of_is_not_stale() {
    let (alice, to_alice) = account("alice", 1).await;
    let known = bob(Level::WeakChain, false);
    alice.store_contact(known, NOW).await.unwrap();
    let field = crate::keys::autocrypt::write(&key(7), &address(BOB), NOW).unwrap();
    let with_key = format!("{field}{}", spoofed(30));
    take_in(&alice, &to_alice, with_key.as_bytes(), 30, 1).await;
    take_in(&alice, &to_alice, spoofed(60).as_bytes(), 60, 2).await;
    assert!(is_encrypted(
        &prepare(&alice, &Answers::new(), after(60)).await
    ));
    // Mail that was long on its way, or says so, is of no time after its date.
    let (alice, to_alice) = account("alice", 1).await;
    let known = bob(Level::WeakChain, false);
    alice.store_contact(known, NOW).await.unwrap();
    take_in(&alice, &to_alice, spoofed(3).as_bytes(), 60, 1).await;
    assert!(is_encrypted(
        &prepare(&alice, &Answers::new(), after(60)).await
    ));
}

#[tokio::test]
async fn being_seen_again_on_the_same_day_is_no_new_revision() {
    let (alice, to_alice) = account("alice", 1).await;
    let known = bob(Level::WeakChain, false);
    alice.store_contact(known.clone(), NOW).await.unwrap();
    let field = crate::keys::autocrypt::write(&key(7), &address(BOB), NOW).unwrap();
    let mail = |days| format!("{field}{}", spoofed(days));
    take_in(&alice, &to_alice, mail(0).as_bytes(), 0, 1).await;
    let same = alice.contact(&address(BOB)).await.unwrap().unwrap();
    assert_eq!(same, known);
    take_in(&alice, &to_alice, mail(2).as_bytes(), 2, 2).await;
    let seen = alice.contact(&address(BOB)).await.unwrap().unwrap();
    assert_eq!(seen.last_seen, after(2));
}
