//! What the `OpenPGP` field of a mail points to, on a server that misbehaves.

use letterlock_core::keys::openpgp_field::{self, Pointer};

use super::*;

const PATH: &str = "/~bob/key.asc";

fn pointer(id: &str) -> Pointer {
    let field = format!("OpenPGP: id={id}; url=https://{DIRECT}{PATH}\r\n");
    openpgp_field::read(field.as_bytes(), &bob()).unwrap()
}

/// Looks bob up, whose domain has a directory without him; our provider has nobody.
async fn look_up(world: &World, pointer: &Pointer) -> Option<letterlock_core::keys::Found> {
    let own = address("alice@example.net");
    let lookup = Lookup::new(&own, &bob(), Purpose::Sending, &Sources::default());
    let lookup = lookup.with_pointer(Some(pointer));
    let at_home = |_| async { Ok::<_, io::Error>(Answer::Nothing) };
    let looked = carry_out(lookup, (&world.fetcher, None), at_home, LATER);
    let looked = tokio::time::timeout(PATIENCE * 4, looked).await;
    looked.expect("it ends in time").unwrap().finish()
}

async fn with(manner: Manner) -> World {
    let elsewhere = gives(key(&bob()).certificate());
    let nobody = Manner::Status("404 Not Found");
    world(&[
        (ADVANCED, nobody),
        (DIRECT, manner),
        ("elsewhere.org", elsewhere),
    ])
    .await
}

#[tokio::test]
async fn what_a_mail_points_to_is_fetched_if_the_domain_has_no_directory_entry() {
    let key = key(&bob());
    let named = key.fingerprint().to_string();
    let armored = key.certificate().to_armor().into_bytes();
    for (id, given) in [
        ("none", gives(key.certificate())),
        (&named, Manner::Gives(armored)),
    ] {
        let world = with(given).await;
        let found = look_up(&world, &pointer(id)).await.unwrap();
        assert_eq!(found.source, Source::OpenPgpField);
        assert_eq!(found.certificate.fingerprint(), key.fingerprint());
        let asked = world.asked.lock().unwrap().clone();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert_eq!(asked[1], format!("{DIRECT}{PATH}"));
    }
    // A key that was withdrawn is told.
    let revoked = revoked(&key);
    let world = with(gives(&revoked)).await;
    let found = look_up(&world, &pointer(&named)).await.unwrap().certificate;
    assert_eq!(found.usable_for_encryption(LATER), Err(Unusable::Revoked));
}

#[tokio::test]
async fn whatever_that_server_does_the_lookup_ends_without_a_key() {
    let other = key(&bob());
    let named = key(&bob()).fingerprint().to_string();
    for (id, manner) in [
        ("none", Manner::Silent),
        ("none", Manner::Trickles),
        ("none", Manner::Endless),
        ("none", Manner::Announces(20_000_000)),
        ("none", Manner::Breaks),
        ("none", Manner::Status("500 Internal Server Error")),
        ("none", Manner::Gives(b"<html>welcome</html>".to_vec())),
        (
            "none",
            gives(key(&address("eve@example.org")).certificate()),
        ),
        (
            "none",
            Manner::Redirects("https://elsewhere.org{path}".into()),
        ),
        ("none", Manner::Redirects("http://example.org{path}".into())),
        (
            "none",
            Manner::Redirects("https://example.org{path}".into()),
        ),
        // Bob's, and not the one that the mail named.
        (&named, gives(other.certificate())),
    ] {
        let world = with(manner).await;
        assert_eq!(look_up(&world, &pointer(id)).await, None);
        let asked = world.asked.lock().unwrap().clone();
        let places = [format!("{DIRECT}{PATH}")];
        assert!(
            asked[1..].iter().all(|place| places.contains(place)),
            "{asked:?}"
        );
        assert!(asked.len() <= 2 + MAX_REDIRECTS, "{asked:?}");
    }
}
