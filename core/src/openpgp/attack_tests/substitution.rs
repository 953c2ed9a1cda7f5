//! Another key in the place of the right one (13), and mail that takes encryption away (34).

use proptest::prelude::*;

use super::*;
use crate::id::Address;
use crate::keys::lookup::{Answer, Found, Lookup, Purpose, Sources};
use crate::keys::{Contact, Decision, Level, Offer, Source, attached, autocrypt, keyring};
use crate::openpgp::test_support::{expiring_secret, secret_numbered};

const DAY: i64 = 86_400;

fn offer(certificate: &Certificate, source: Source, seen_at: Timestamp) -> Offer {
    Offer {
        address: address("bob"),
        certificate: certificate.clone(),
        level: source.level(),
        seen_at,
        prefers_encryption: source == Source::Autocrypt,
    }
}

fn take(known: &mut Contact, offer: &Offer, now: Timestamp) {
    if let Decision::Store(stored) = keyring::consider(Some(known), offer, now) {
        *known = *stored;
    }
}

/// What alice knows of bob, after letters in both directions.
fn in_use(certificate: &Certificate, level: Level) -> Contact {
    let first = Offer {
        level,
        ..offer(certificate, Source::Directory, NOW)
    };
    let Decision::Store(contact) = keyring::consider(None, &first, NOW) else {
        panic!("the first key is taken");
    };
    Contact {
        encrypted_to: true,
        verified_from: true,
        ..*contact
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A provider that lies in its directory, its Web Key Directory and in the mail that it
    /// delivers, as often as it likes: a key in use stays, and the new one is not encrypted to.
    #[test]
    fn attack_13_no_provider_replaces_a_key_in_use(
        endless in any::<bool>(),
        events in proptest::collection::vec((0..Source::ALL.len(), 0..3_u64, 0..900_i64), 1..24),
    ) {
        let own = if endless { secret("bob") } else { expiring_secret("bob", 1000) };
        let mut known = in_use(own.certificate(), Level::ProviderTrust);
        for (source, number, secs) in events {
            let other = secret_numbered("bob", 20 + number);
            let source = Source::ALL[source];
            take(&mut known, &offer(other.certificate(), source, later(secs)), later(secs));
        }
        let kept = known.parse_certificate().unwrap();
        prop_assert_eq!(kept.fingerprint(), own.fingerprint());
        prop_assert!(known.is_in_use() && known.former.is_empty());
    }
}

#[test]
fn attack_13_a_weak_source_replaces_nothing_that_lives() {
    let (own, other) = (expiring_secret("bob", 1000), secret_numbered("bob", 20));
    let mut members = 0;
    for first in Source::ALL {
        for second in Source::ALL {
            for used in [false, true] {
                let mut known = in_use(own.certificate(), first.level());
                known.encrypted_to = used;
                take(&mut known, &offer(other.certificate(), second, NOW), NOW);
                let replaced = known.certificate != own.certificate().to_bytes();
                // Only what has never been used both ways, and only for a stronger word.
                assert_eq!(replaced, !used && second.level() > first.level());
                members += 1;
            }
        }
    }
    assert_eq!(members, 9 * 9 * 2);
}

#[test]
fn attack_13_a_directory_cannot_answer_for_another_address() {
    let (own, asked) = (address("alice"), Address::new("bob@example.org").unwrap());
    let eves = SecretCertificate::generate(
        &Address::new("eve@example.org").unwrap(),
        Some("bob@example.org"),
        NOW,
        &mut rng(3),
    );
    for sources in [
        Sources::default(),
        Sources {
            web_key_directory: false,
            ..Sources::default()
        },
    ] {
        let mut lookup = Lookup::new(&own, &asked, Purpose::Sending, &sources);
        while lookup.next_request().is_some() {
            let octets = eves.as_ref().unwrap().certificate().to_bytes();
            lookup.handle(&Answer::Octets(octets), NOW);
        }
        assert_eq!(lookup.finish(), None);
    }
    let found = Found::in_directory(&own, &asked, eves.unwrap().certificate().clone());
    let refused = keyring::consider(None, &found.offer(&asked, NOW), NOW);
    assert_eq!(refused, Decision::Keep(keyring::Reason::WrongAddress));
}

/// Mails that eve writes in bob's name, none of them signed by him.
fn spoofed() -> Vec<String> {
    let from = "From: bob@letterlock.example\r\n";
    let own = autocrypt::write(&public("bob"), &address("bob"), NOW).unwrap();
    let others = secret_numbered("bob", 20);
    let other = autocrypt::write(others.certificate(), &address("bob"), NOW).unwrap();
    let armored = others.certificate().to_armor();
    vec![
        format!("{from}\r\nHello.\r\n"),
        format!(
            "{from}{}\r\nHello.\r\n",
            own.replace("prefer-encrypt=mutual; ", "")
        ),
        format!(
            "{from}{}\r\nHello.\r\n",
            own.replace("mutual", "nopreference")
        ),
        format!("{from}{own}{own}\r\nHello.\r\n"),
        format!("{from}{own}{other}\r\nHello.\r\n"),
        format!("{from}{other}\r\nHello.\r\n"),
        format!("{from}Autocrypt: addr=bob@letterlock.example; keydata=AAAA\r\n\r\nHello.\r\n"),
        format!("{from}Content-Type: application/pgp-keys\r\n\r\n{armored}"),
    ]
}

#[test]
fn attack_34_no_spoofed_mail_takes_encryption_away() {
    let bob = address("bob");
    let mut members = 0;
    // Autocrypt forgets a key of which 35 days nothing was heard; a spoofed mail without the field
    // would begin that. Here silence has others asked, however long (`account::tests::heard`).
    for days in [0, 1, 34, 35, 36, 400] {
        for level in [Level::WeakChain, Level::ProviderTrust] {
            let now = later(days * DAY);
            let first = in_use(&public("bob"), level);
            let mut known = Contact {
                prefers_encryption: true,
                encrypted_to: false,
                ..first
            };
            for mail in spoofed() {
                let end = crate::mime::header::header_end(mail.as_bytes());
                if let Some(found) = autocrypt::read(&mail.as_bytes()[..end], &bob) {
                    let mut offered = offer(&found.certificate, Source::Autocrypt, now);
                    offered.prefers_encryption = found.prefers_encryption;
                    take(&mut known, &offered, now);
                }
                for certificate in attached::read(mail.as_bytes(), &bob, now) {
                    take(
                        &mut known,
                        &offer(&certificate, Source::Attachment, now),
                        now,
                    );
                }
                assert_eq!(known.parse_certificate(), Some(public("bob")), "{mail}");
                assert!(known.prefers_encryption && known.level == level, "{mail}");
                let contact_of = |asked: &Address| (*asked == bob).then_some(&known);
                let keys = keyring::keys_for(core::slice::from_ref(&bob), contact_of, now);
                assert_eq!(keys.missing, [], "{mail}");
                members += 1;
            }
        }
    }
    assert_eq!(members, 6 * 2 * 8);
}
