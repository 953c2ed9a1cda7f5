//! What is asked of whom, and what answers are worth.

use super::*;
use crate::keys::{Level, openpgp_field};
use crate::openpgp::policy::Unusable;
use crate::openpgp::secret_certificate::{Profile, RevocationReason, Template};
use crate::openpgp::test_support::{NOW, later, rng, secret_numbered};
use crate::openpgp::{SecretCertificate, armor};

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn own() -> Address {
    address("alice@example.net")
}

fn bob() -> Address {
    address("Bob.Stone@example.org")
}

fn key_of(address: &Address, seed: u64) -> SecretCertificate {
    SecretCertificate::generate(address, None, NOW, &mut rng(seed)).unwrap()
}

fn octets(certificate: &Certificate) -> Answer {
    Answer::Octets(certificate.to_bytes())
}

/// All questions of a lookup that each get the same answer.
fn asked(mut lookup: Lookup, answer: &Answer) -> Vec<String> {
    let mut asked = Vec::new();
    while let Some(request) = lookup.next_request() {
        asked.push(match request {
            Request::Directory(_) => "directory".to_owned(),
            Request::Https { url } => url.clone(),
            Request::OpenPgpKey { name } => name.clone(),
        });
        lookup.handle(answer, NOW);
    }
    asked
}

fn with_key_server() -> Sources {
    Sources {
        key_server: Some(WELL_KNOWN_KEY_SERVER.to_owned()),
        revocation_server: Some("keyserver.ubuntu.com".to_owned()),
        ..Sources::default()
    }
}

#[test]
fn the_order_of_sources() {
    let lookup = |sources| Lookup::new(&own(), &bob(), Purpose::Sending, sources);
    let hash = crate::keys::wkd::name_of("bob.stone");
    let advanced = format!(
        "https://openpgpkey.example.org/.well-known/openpgpkey/example.org/hu/{hash}?l=Bob.Stone"
    );
    let direct = format!("https://example.org/.well-known/openpgpkey/hu/{hash}?l=Bob.Stone");
    let server = "https://keys.openpgp.org/vks/v1/by-email/Bob.Stone%40example.org";
    // The domain itself is asked only if it has no host for keys.
    let all = with_key_server();
    let every = [advanced.as_str(), &direct, "directory", server];
    assert_eq!(asked(lookup(&all), &Answer::NoHost), every);
    for answer in [
        Answer::Nothing,
        Answer::Failed,
        Answer::Octets(b"junk".to_vec()),
    ] {
        assert_eq!(
            asked(lookup(&all), &answer),
            [&advanced, "directory", server]
        );
    }
    // By default no third party is asked, and none at all if that is not wanted.
    let default = Sources::default();
    assert_eq!(asked(lookup(&default), &Answer::NoHost), every[..3]);
    let off = Sources {
        web_key_directory: false,
        ..Sources::default()
    };
    assert_eq!(asked(lookup(&off), &Answer::NoHost), ["directory"]);
}

#[test]
fn nobody_else_is_asked_for_mail_that_came_or_for_our_own_domain() {
    let all = with_key_server();
    let verifying = Lookup::new(&own(), &bob(), Purpose::Verifying, &all);
    assert_eq!(asked(verifying, &Answer::NoHost), ["directory"]);
    let neighbour = address("carol@example.net");
    let at_home = Lookup::new(&own(), &neighbour, Purpose::Sending, &all);
    assert_eq!(asked(at_home, &Answer::NoHost), ["directory"]);
}

#[test]
fn names_that_are_nobodys_are_not_asked() {
    for domain in [
        "localhost",
        "box.local",
        "a.example",
        "b.test",
        "c.invalid",
        "d.onion",
        "e.internal",
        "router.home.arpa",
        "127.0.0.1",
        "[127.0.0.1]",
        "single",
        "müller.org",
        "a_b.org",
        "example.org/x",
        "example.org:8443",
        "example.org?x",
        "example.org#x",
        "-a.org",
        "a-.org",
        &format!("{}.org", "x".repeat(64)),
        "example.123",
    ] {
        assert!(!is_public(domain), "{domain}");
        if let Ok(address) = Address::new(&format!("bob@{domain}")) {
            let lookup = Lookup::new(&own(), &address, Purpose::Sending, &Sources::default());
            assert_eq!(asked(lookup, &Answer::NoHost), ["directory"], "{domain}");
        }
    }
    for host in ["evil.example.org/@keys.openpgp.org", "localhost", ""] {
        let sources = Sources {
            key_server: Some(host.to_owned()),
            ..Sources::default()
        };
        let lookup = Lookup::new(&own(), &bob(), Purpose::Sending, &sources);
        assert_eq!(asked(lookup, &Answer::Nothing).len(), 2, "{host}");
    }
    // A local part is data, whatever it says.
    let odd = address("\"../../x?l=&#\"@example.org");
    let lookup = Lookup::new(&own(), &odd, Purpose::Sending, &Sources::default());
    let urls = asked(lookup, &Answer::Nothing);
    let (_, query) = urls[0].split_once("?l=").unwrap();
    assert!(
        query
            .bytes()
            .all(|o| o.is_ascii_alphanumeric() || b"%-._~".contains(&o)),
        "{query}"
    );
    assert!(is_public("mail.example.org") && is_public("xn--mller-kva.org"));
}

#[test]
fn the_first_certificate_for_the_address_ends_it() {
    let key = key_of(&bob(), 1);
    let mut lookup = Lookup::new(&own(), &bob(), Purpose::Sending, &with_key_server());
    lookup.handle(&octets(key.certificate()), NOW);
    assert_eq!(lookup.next_request(), None);
    let found = lookup.finish().unwrap();
    assert_eq!(found.source, Source::WebKeyDirectory);
    assert_eq!(found.certificate.fingerprint(), key.fingerprint());
    let offer = found.offer(&bob(), NOW);
    assert_eq!(
        (offer.level, offer.address),
        (Level::ProviderTrust, bob().canonical())
    );
}

#[test]
fn a_revoked_one_ends_it_too_and_its_successor_comes_first() {
    let old = key_of(&bob(), 1);
    let revoked = old
        .revoked(RevocationReason::Compromised, "", later(5), &mut rng(2))
        .unwrap();
    let begin = || Lookup::new(&own(), &bob(), Purpose::Sending, &with_key_server());
    let mut lookup = begin();
    lookup.handle(&octets(revoked.certificate()), later(10));
    assert_eq!(
        lookup.next_request(),
        None,
        "no weaker source is asked for another"
    );
    let found = lookup.finish().unwrap().certificate;
    assert_eq!(
        found.usable_for_encryption(later(10)),
        Err(Unusable::Revoked)
    );
    let new = key_of(&bob(), 3);
    let both = [
        revoked.certificate().to_bytes(),
        new.certificate().to_bytes(),
    ]
    .concat();
    for answer in [both.clone(), armor::wrap(&both).unwrap()] {
        let mut lookup = begin();
        lookup.handle(&Answer::Octets(answer), later(10));
        assert_eq!(
            lookup.finish().unwrap().certificate.fingerprint(),
            new.fingerprint()
        );
    }
}

#[test]
fn answers_of_others_and_of_no_use_are_passed_over() {
    let eve = key_of(&address("eve@example.org"), 4);
    let large = vec![0xc6; MAX_ANSWER_OCTETS + 1];
    let mut padded = key_of(&bob(), 1).certificate().to_bytes();
    padded.resize(MAX_ANSWER_OCTETS + 1, 0);
    for answer in [
        eve.certificate().to_bytes(),
        large,
        padded,
        vec![],
        b"<html>".to_vec(),
    ] {
        let mut lookup = Lookup::new(&own(), &bob(), Purpose::Sending, &Sources::default());
        lookup.handle(&Answer::Octets(answer), NOW);
        assert_eq!(lookup.next_request(), Some(&Request::Directory(bob())));
    }
}

#[test]
fn other_user_ids_are_dropped() {
    let two = Template {
        user_ids: vec![
            "Eve <eve@example.org>".to_owned(),
            "Bob <bob.stone@example.org>".to_owned(),
        ],
        ..Template::new(Profile::Version6, &bob(), None, NOW).unwrap()
    };
    let key = two.generate(&mut rng(5)).unwrap();
    let mut lookup = Lookup::new(&own(), &bob(), Purpose::Sending, &Sources::default());
    lookup.handle(&octets(key.certificate()), NOW);
    let found = lookup.finish().unwrap().certificate;
    assert_eq!(found.user_ids(NOW), ["Bob <bob.stone@example.org>"]);
}

#[test]
fn a_refresh_brings_revocations_by_fingerprint_alone() {
    let known = key_of(&bob(), 1);
    let fingerprint = known.fingerprint();
    let mut refresh = Refresh::new(known.certificate(), &with_key_server());
    let Some(Request::Https { url }) = refresh.next_request().cloned() else {
        panic!("a key server");
    };
    let vks = format!("https://keys.openpgp.org/vks/v1/by-fingerprint/{fingerprint}");
    assert_eq!(url, vks);
    // Another key of the same name is no news of this one.
    refresh.handle(&octets(secret_numbered("bob", 9).certificate()));
    let Some(Request::Https { url }) = refresh.next_request().cloned() else {
        panic!("another key server");
    };
    assert!(url.ends_with(&format!("&search=0x{fingerprint}")), "{url}");
    let revoked = known
        .revoked(RevocationReason::Compromised, "", later(5), &mut rng(2))
        .unwrap();
    refresh.handle(&octets(revoked.certificate()));
    assert_eq!(refresh.next_request(), None);
    let news = refresh.finish();
    assert_eq!(news.fingerprint(), fingerprint);
    assert_eq!(news.usable_for_encryption(later(9)), Err(Unusable::Revoked));
    // Nobody is asked unless somebody is named.
    assert_eq!(
        Refresh::new(&news, &Sources::default()).next_request(),
        None
    );
}

#[test]
fn what_proves_nothing_is_worth_nothing() {
    for source in Source::ALL {
        let trusted = matches!(
            source,
            Source::Directory | Source::WebKeyDirectory | Source::Dane
        );
        let level = if trusted {
            Level::ProviderTrust
        } else {
            Level::WeakChain
        };
        assert_eq!(source.level(), level, "{source:?}");
    }
    let key = key_of(&bob(), 1).certificate().clone();
    let of = |own: &Address| Found::in_directory(own, &bob(), key.clone()).source;
    assert_eq!(of(&own()), Source::ForeignDirectory);
    assert_eq!(of(&address("zoe@example.org")), Source::Directory);
}

const POINTED: &str = "https://example.org/~bob/key.asc";

fn pointer(id: &str) -> Pointer {
    let field = format!("OpenPGP: id={id}; url=\"{POINTED}\"\r\n");
    openpgp_field::read(field.as_bytes(), &bob()).unwrap()
}

#[test]
fn what_mail_points_to_is_asked_last_but_for_key_servers_and_only_to_send() {
    let any = pointer("none");
    let begin =
        |purpose, sources| Lookup::new(&own(), &bob(), purpose, sources).with_pointer(Some(&any));
    let (all, default) = (with_key_server(), Sources::default());
    let order = asked(begin(Purpose::Sending, &all), &Answer::Nothing);
    let server = "https://keys.openpgp.org/vks/v1/by-email/Bob.Stone%40example.org";
    assert_eq!(order[1..], ["directory", POINTED, server]);
    let order = asked(begin(Purpose::Sending, &default), &Answer::Failed);
    assert_eq!(order[1..], ["directory", POINTED]);
    // Nobody is asked because a mail was read, or against the user's will.
    let reading = asked(begin(Purpose::Verifying, &all), &Answer::Nothing);
    assert_eq!(reading, ["directory"]);
    let off = Sources {
        openpgp_field: false,
        ..all.clone()
    };
    let order = asked(begin(Purpose::Sending, &off), &Answer::Nothing);
    assert_eq!(order[1..], ["directory", server]);
    // Of our own domain, or of another than the address's, no mail points anywhere.
    for other in [address("carol@example.net"), address("eve@elsewhere.org")] {
        let lookup = Lookup::new(&own(), &other, Purpose::Sending, &all).with_pointer(Some(&any));
        let order = asked(lookup, &Answer::Nothing);
        assert!(!order.iter().any(|url| url == POINTED), "{order:?}");
    }
}

#[test]
fn what_mail_points_to_is_the_certificate_that_the_mail_named() {
    let (old, new) = (key_of(&bob(), 1), key_of(&bob(), 2));
    let both = [old.certificate().to_bytes(), new.certificate().to_bytes()].concat();
    let eve = key_of(&address("eve@example.org"), 4);
    let revoked = new.revoked(RevocationReason::Compromised, "", NOW, &mut rng(2));
    let revoked = revoked.unwrap().certificate().clone();
    let named = new.fingerprint().to_string();
    for (id, answer, found) in [
        ("none", both.clone(), Some(old.fingerprint())),
        (&named[24..], both.clone(), Some(old.fingerprint())),
        (&named, both, Some(new.fingerprint())),
        (&named, old.certificate().to_bytes(), None),
        (&named, revoked.to_bytes(), Some(new.fingerprint())),
        ("none", eve.certificate().to_bytes(), None),
        ("none", b"<html>".to_vec(), None),
    ] {
        let lookup = Lookup::new(&own(), &bob(), Purpose::Sending, &Sources::default());
        let mut lookup = lookup.with_pointer(Some(&pointer(id)));
        while let Some(request) = lookup.next_request() {
            let pointed = *request
                == Request::Https {
                    url: POINTED.into(),
                };
            let answer = if pointed {
                Answer::Octets(answer.clone())
            } else {
                Answer::Nothing
            };
            lookup.handle(&answer, NOW);
        }
        let brought = lookup.finish();
        let fingerprint = brought
            .as_ref()
            .map(|brought| brought.certificate.fingerprint());
        assert_eq!(fingerprint, found, "{id}");
        if let Some(brought) = brought {
            assert_eq!(brought.source, Source::OpenPgpField);
            assert_eq!(brought.offer(&bob(), NOW).level, Level::WeakChain);
        }
    }
}

#[test]
fn the_dns_of_the_domain_is_asked_after_its_directory_if_that_is_wanted() {
    let wanted = Sources {
        dane: true,
        ..with_key_server()
    };
    let (own, bob, default) = (own(), bob(), Sources::default());
    let begin = |purpose, sources| Lookup::new(&own, &bob, purpose, sources);
    let order = asked(begin(Purpose::Sending, &wanted), &Answer::Nothing);
    let names = dane::names(&bob);
    assert_eq!(names.len(), 2, "as it is written, and in lower case");
    assert_eq!(order[1..4], [&names[0], &names[1], "directory"]);
    assert_eq!(order.len(), 5);
    for (purpose, sources) in [(Purpose::Sending, &default), (Purpose::Verifying, &wanted)] {
        let order = asked(begin(purpose, sources), &Answer::Nothing);
        assert!(
            order.iter().all(|asked| !asked.contains("_openpgpkey")),
            "{order:?}"
        );
    }
    // What it brings is for the address, and worth what the domain's word is.
    let key = key_of(&bob, 1);
    let mut lookup = begin(Purpose::Sending, &wanted);
    lookup.handle(&Answer::Nothing, NOW);
    let eve = key_of(&address("eve@example.org"), 4);
    lookup.handle(&octets(eve.certificate()), NOW);
    lookup.handle(&octets(key.certificate()), NOW);
    let found = lookup.finish().unwrap();
    assert_eq!(found.source, Source::Dane);
    assert_eq!(found.offer(&bob, NOW).level, Level::ProviderTrust);
}
