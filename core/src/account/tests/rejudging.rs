//! Letters whose signer's key becomes known later.

use super::*;
use crate::mime::header;
use crate::model::{Flag, FlagChange};
use crate::openpgp::SecretCertificate;
use crate::openpgp::pgp_mime::{self, Sender};
use crate::openpgp::protection::BadSignature;

const BOB: &str = "bob@sea.org";

fn key(seed: u8) -> SecretCertificate {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    SecretCertificate::generate(&address(BOB), None, NOW, &mut rng).unwrap()
}

/// A letter that bob has signed, without his key.
fn signed(key: &SecretCertificate, text: &str) -> Vec<u8> {
    let letter = format!("From: {BOB}\r\nTo: alice@letterlock.example\r\n\r\n{text}\r\n");
    let sender = Sender {
        key,
        address: &address(BOB),
        now: NOW,
    };
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let mail = pgp_mime::sign(letter.as_bytes(), &sender, &mut rng).unwrap();
    let end = header::header_end(&mail);
    let top = header::remove_fields(&mail[..end], &["Autocrypt"]);
    [&top, &mail[end..]].concat()
}

/// A mail that brings a key.
fn with_key(key: &SecretCertificate) -> Vec<u8> {
    let field = crate::keys::autocrypt::write(key.certificate(), &address(BOB), NOW).unwrap();
    format!("{field}From: {BOB}\r\n\r\nMy key.\r\n").into_bytes()
}

async fn take_in(alice: &Account<MemoryStore>, to: &Certificate, raw: &[u8], n: u8) {
    deliver(alice, to, raw, n).await;
    let incoming = only_incoming(alice).await;
    let nobody = Answers::from([(address(BOB), None)]);
    let taken = alice.take_in(&incoming, &nobody, NOW).await.unwrap();
    assert!(matches!(taken, TakenIn::Done(Some(_))), "{taken:?}");
}

#[tokio::test]
async fn a_signature_by_an_unknown_key_is_judged_when_the_key_is_known() {
    let (alice, to_alice) = account("alice", 1).await;
    let bobs = key(7);
    take_in(&alice, &to_alice, &signed(&bobs, "Come."), 1).await;
    let before = newest(&alice, "INBOX");
    let status = shown(&alice, &before).await.0.signature;
    assert!(matches!(status, SignatureStatus::UnknownKey { .. }));
    let inbox = alice.mailbox(&MailboxName::inbox()).unwrap().id;
    let flags = FlagSet::from_iter([Flag::Seen]);
    let (one, how) = ([before.uid], FlagChange::Add);
    let marked = alice.store_flags(inbox, &one, how, &flags, NOW);
    marked.await.unwrap();
    // Nobody knows more yet; another's key is no news of it.
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 0);
    let gull = b"From: gull@sea.org\r\n\r\nHello.\r\n";
    take_in(&alice, &to_alice, gull, 2).await;
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 0);
    take_in(&alice, &to_alice, &with_key(&bobs), 3).await;
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 1);
    let after = newest(&alice, "INBOX");
    assert!(
        after.uid > before.uid,
        "a message under a UID never changes"
    );
    let (protection, raw) = shown(&alice, &after).await;
    let expected = SignatureStatus::Valid {
        fingerprint: bobs.fingerprint(),
        address: address(BOB),
    };
    assert_eq!(protection.signature, expected);
    let text = String::from_utf8(raw).unwrap();
    assert!(
        text.starts_with(&protection.header_fields()) && text.contains("Come."),
        "{text}"
    );
    assert_eq!(
        (after.flags, after.internal_date),
        (flags, before.internal_date)
    );
    assert_eq!(
        alice.placements(inbox).len(),
        3,
        "the other form of it is gone"
    );
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 0);
    assert_eq!(alice.unjudged().await.unwrap(), []);
}

#[tokio::test]
async fn what_the_key_has_not_signed_is_told_so() {
    let (alice, to_alice) = account("alice", 1).await;
    let bobs = key(7);
    let mail = String::from_utf8(signed(&bobs, "Come.")).unwrap();
    let forged = mail.replace("Come.", "Go away.");
    take_in(&alice, &to_alice, forged.as_bytes(), 1).await;
    // Mail by a key that is not his stays as it is.
    take_in(&alice, &to_alice, &signed(&key(8), "Believe me."), 2).await;
    take_in(&alice, &to_alice, &with_key(&bobs), 3).await;
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 1);
    let status = shown(&alice, &newest(&alice, "INBOX")).await.0.signature;
    let reason = BadSignature::Mismatch;
    assert_eq!(status, SignatureStatus::Bad { reason });
    assert_eq!(alice.unjudged().await.unwrap().len(), 1);
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_copied_changes_everywhere_and_what_was_expunged_stays_away() {
    let (alice, to_alice) = account("alice", 1).await;
    let bobs = key(7);
    let inbox = alice.mailbox(&MailboxName::inbox()).unwrap().id;
    let archive = alice
        .mailbox(&MailboxName::new("Archive").unwrap())
        .unwrap()
        .id;
    take_in(&alice, &to_alice, &signed(&bobs, "First."), 1).await;
    let first = newest(&alice, "INBOX").uid;
    alice.copy(inbox, &[first], archive, NOW).await.unwrap();
    take_in(&alice, &to_alice, &signed(&bobs, "Second."), 2).await;
    let second = newest(&alice, "INBOX").uid;
    alice.expunge(inbox, &[second], NOW).await.unwrap();
    take_in(&alice, &to_alice, &with_key(&bobs), 3).await;
    assert_eq!(alice.judge_again(NOW).await.unwrap(), 1);
    assert_eq!(alice.unjudged().await.unwrap(), []);
    for (mailbox, messages) in [("INBOX", 2), ("Archive", 1)] {
        let id = alice
            .mailbox(&MailboxName::new(mailbox).unwrap())
            .unwrap()
            .id;
        assert_eq!(alice.placements(id).len(), messages, "{mailbox}");
        let status = shown(&alice, &newest(&alice, mailbox)).await.0.signature;
        assert!(matches!(status, SignatureStatus::Valid { .. }), "{mailbox}");
    }
}
