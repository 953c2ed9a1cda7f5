//! Two certificates for an address: published, sealed to, renewed, never put in by another.

use letterlock_core::auth::wire::{Octets, Publish};
use letterlock_core::id::Timestamp;
use letterlock_core::keys::{OwnKeys, Published, Role, wkd};
use letterlock_core::openpgp::secret_certificate::RevocationReason;
use letterlock_core::openpgp::{Certificate, Fingerprint, SecretCertificate, decrypt};
use letterlock_core::sync::wire::Entry;
use letterlock_server::provider::DeliverError;
use rand::rngs::OsRng;
use reqwest::Response;

use super::world::{NOW, User, World, assert_error, peer};

const PATH: &str = "/api/v1/keys";
const MESSAGE: &[u8] = b"From: bob@example.org\r\nSubject: secret plans\r\n\r\nhello\r\n";

fn publish(keys: &OwnKeys, user: &User, at: Timestamp) -> Publish {
    let certificates = keys.published(&user.address, at);
    let octets = certificates.iter().map(|c| Octets(c.to_bytes()));
    Publish {
        certificates: octets.collect(),
    }
}

/// What an account of before has after its first unlock.
fn kept_up(user: &User, at: Timestamp) -> OwnKeys {
    let keys = OwnKeys::gather([user.secret.clone()]);
    let made = keys.upkeep(&user.address, at, &mut OsRng).unwrap();
    OwnKeys::gather(keys.iter().cloned().chain(made))
}

async fn directory(world: &World, user: &User) -> Published {
    let path = format!("{PATH}/{}", user.address);
    let response = world.get(&path, &user.token);
    Published::parse(&response.await.bytes().await.unwrap())
}

async fn web_key_directory(world: &World, local: &str) -> Response {
    let name = wkd::name_of(local);
    let url = format!(
        "{}/.well-known/openpgpkey/letterlock.example/hu/{name}",
        world.url
    );
    world.http.get(url).send().await.unwrap()
}

/// The certificate that the last message was sealed to.
async fn sealed_to(world: &World, user: &User, keys: &[SecretCertificate]) -> Fingerprint {
    let pulled = world.pull(user, 0, 0).await;
    let last = pulled
        .entries
        .into_iter()
        .rev()
        .find_map(|entry| match entry {
            Entry::Incoming { message, .. } => Some(message),
            _ => None,
        });
    let opened = decrypt::message(&last.unwrap(), keys, &decrypt::Limits::default());
    opened.unwrap().encrypted_to
}

#[tokio::test]
async fn the_directory_has_both_the_world_one_and_the_mx_seals_to_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    world.deliver(&alice.address, MESSAGE).await;
    let version4 = alice.secret.fingerprint();
    let old = std::slice::from_ref(&alice.secret);
    assert_eq!(sealed_to(&world, &alice, old).await, version4);

    let keys = kept_up(&alice, NOW);
    let body = publish(&keys, &alice, NOW);
    for _ in 0..2 {
        let response = world.put_json(PATH, &alice.token, &body).await;
        assert_eq!(response.status(), 204);
    }
    let entry = directory(&world, &alice).await;
    assert_eq!(entry.certificates(), keys.published(&alice.address, NOW));
    let published = web_key_directory(&world, "alice").await;
    let published = Certificate::parse(&published.bytes().await.unwrap()).unwrap();
    assert_eq!(published.fingerprint(), version4);

    let sealing = keys.in_use(Role::Sealing, &alice.address, NOW).unwrap();
    world.deliver(&alice.address, MESSAGE).await;
    assert_eq!(
        sealed_to(&world, &alice, &keys).await,
        sealing.fingerprint()
    );

    // Revoked, it is not sealed to any more; with nothing left nothing is taken in.
    for fingerprint in [sealing.fingerprint(), version4] {
        let key = keys.iter().find(|key| key.fingerprint() == fingerprint);
        let revoked = key
            .unwrap()
            .revoked(RevocationReason::Retired, "", NOW, &mut OsRng);
        let body = Publish {
            certificates: vec![Octets(revoked.unwrap().certificate().to_bytes())],
        };
        let response = world.put_json(PATH, &alice.token, &body).await;
        assert_eq!(response.status(), 204);
        if fingerprint != version4 {
            world.deliver(&alice.address, MESSAGE).await;
            assert_eq!(sealed_to(&world, &alice, &keys).await, version4);
        }
    }
    let before = world.pull(&alice, 0, 0).await.until;
    let peer = peer();
    let deliver = world
        .provider
        .deliver(None, &alice.address, MESSAGE, &peer, NOW);
    assert!(matches!(deliver.await, Err(DeliverError::NoCertificate)));
    assert_eq!(world.pull(&alice, 0, 0).await.until, before);
    // The revocations are told to whoever asks.
    let entry = directory(&world, &alice).await;
    assert_eq!(
        (entry.certificates().len(), entry.for_sealing(NOW)),
        (2, None)
    );
    assert_eq!(web_key_directory(&world, "alice").await.status(), 200);
}

#[tokio::test]
async fn a_stolen_token_puts_no_key_in() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    let thief = OwnKeys::generate(&alice.address, NOW, &mut OsRng).unwrap();
    let body = publish(&thief, &alice, NOW);
    let refused = world.put_json(PATH, &alice.token, &body).await;
    assert_error(refused, 403, "not_vouched").await;
    let alices = publish(&kept_up(&alice, NOW), &alice, NOW);
    let refused = world.put_json(PATH, &bob.token, &alices);
    assert_error(refused.await, 400, "bad_certificate").await;
    let token = letterlock_core::auth::wire::Token::new("none".into());
    let refused = world.put_json(PATH, &token, &body).await;
    assert_error(refused, 401, "unauthorized").await;
    let many = Publish {
        certificates: vec![Octets(alice.secret.certificate().to_bytes()); 9],
    };
    let refused = world.put_json(PATH, &alice.token, &many).await;
    assert_error(refused, 400, "malformed").await;
    let broken = Publish {
        certificates: vec![Octets(b"no certificate".to_vec())],
    };
    let refused = world.put_json(PATH, &alice.token, &broken).await;
    assert_error(refused, 400, "bad_certificate").await;
    let entry = directory(&world, &alice).await;
    assert_eq!(entry.certificates(), [alice.secret.certificate().clone()]);
}

#[tokio::test]
async fn devices_that_publish_apart_lose_nothing_of_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    // Both make a sealing key and an end for the other at once.
    let (one, two) = (kept_up(&alice, NOW), kept_up(&alice, NOW));
    for keys in [&one, &two] {
        let body = publish(keys, &alice, NOW);
        let response = world.put_json(PATH, &alice.token, &body).await;
        assert_eq!(response.status(), 204);
    }
    let all = OwnKeys::gather(one.iter().chain(two.iter()).cloned());
    let chosen = all.in_use(Role::Sealing, &alice.address, NOW).unwrap();
    world.deliver(&alice.address, MESSAGE).await;
    assert_eq!(sealed_to(&world, &alice, &all).await, chosen.fingerprint());
    let entry = directory(&world, &alice).await;
    assert_eq!(entry.certificates().len(), 3);
}

#[tokio::test]
async fn sign_up_brings_both() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (mut request, _) = world.sign_up_request("alice").await;
    let keys = OwnKeys::generate(&request.address, NOW, &mut OsRng).unwrap();
    let both = keys.published(&request.address, NOW);
    request.certificate = Octets(both[0].to_bytes());
    let stranger = OwnKeys::generate(&super::world::address("eve"), NOW, &mut OsRng).unwrap();
    request.more_certificates = vec![Octets(stranger[1].certificate().to_bytes())];
    let refused = world.post_json("/api/v1/accounts/finish", &request).await;
    assert_error(refused, 400, "bad_certificate").await;
    request.more_certificates = vec![Octets(both[1].to_bytes())];
    let user = world.finish_sign_up(request, keys[0].clone()).await;
    assert_eq!(directory(&world, &user).await.certificates(), both);
}
