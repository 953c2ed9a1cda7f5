//! Sign-up, log-in, tokens, limits, the key directory.

use std::sync::atomic::Ordering;

use letterlock_core::auth::LogInError;
use letterlock_core::auth::wire::{LogInFinish, LogInStart, Octets};
use letterlock_core::id::Address;
use letterlock_core::keys::wkd;
use letterlock_core::openpgp::Certificate;
use letterlock_server::provider::SignUp;
use rand::rngs::OsRng;

use super::world::{
    NOW, PASSWORD, World, address, assert_error, config, device, envelope, envelopes,
};

#[tokio::test]
async fn a_new_account_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("Alice").await;
    // The token works, and the first documents are there with the certificate.
    let pulled = world.pull(&alice, 0, 0).await;
    let key = envelope(alice.account, 0xff, 1, b"the sealed secret key");
    assert_eq!(envelopes(&pulled.entries), [key]);
    for spelling in ["Alice", "alice", "ALICE", "alice%2Blists"] {
        let url = format!("{}/api/v1/keys/{spelling}@letterlock.example", world.url);
        let response = world.http.get(url).send().await.unwrap();
        assert_eq!(
            response.headers()["content-type"],
            "application/octet-stream"
        );
        let certificate = response.bytes().await.unwrap();
        assert_eq!(certificate, alice.secret.certificate().to_bytes());
    }
    for unknown in ["bob@letterlock.example", "alice@example.org"] {
        let url = format!("{}/api/v1/keys/{unknown}", world.url);
        assert_error(
            world.http.get(url).send().await.unwrap(),
            404,
            "no_certificate",
        )
        .await;
    }
}

#[tokio::test]
async fn certificates_are_published_in_the_web_key_directory() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("Alice").await;
    let get = |path: String, host: &'static str| {
        let url = format!("{}/.well-known/openpgpkey/{path}", world.url);
        world.http.get(url).header("host", host).send()
    };
    let name = wkd::name_of("alice");
    let ways = [
        (
            format!("letterlock.example/hu/{name}?l=alice"),
            "openpgpkey.letterlock.example",
        ),
        (format!("hu/{name}?l=Alice"), "letterlock.example"),
        (format!("hu/{name}"), "LETTERLOCK.example:8443"),
    ];
    for (path, host) in ways {
        let response = get(path, host).await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(
            response.headers()["content-type"],
            "application/octet-stream"
        );
        let published = Certificate::parse(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(published.fingerprint(), alice.secret.fingerprint());
        assert!(published.names(&alice.address, NOW));
    }
    let head = format!(
        "{}/.well-known/openpgpkey/letterlock.example/hu/{name}",
        world.url
    );
    assert_eq!(world.http.head(head).send().await.unwrap().status(), 200);
    for path in ["policy", "letterlock.example/policy"] {
        let response = get(path.into(), "letterlock.example").await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let nobody = wkd::name_of("bob");
    for (path, host) in [
        (
            format!("letterlock.example/hu/{nobody}"),
            "openpgpkey.letterlock.example",
        ),
        (
            format!("example.org/hu/{name}"),
            "openpgpkey.letterlock.example",
        ),
        (format!("hu/{name}"), "example.org"),
        ("hu/short".into(), "letterlock.example"),
    ] {
        assert_error(get(path, host).await.unwrap(), 404, "no_certificate").await;
    }
}

#[tokio::test]
async fn log_in_right_wrong_and_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let logged_in = world.log_in(&alice.address, PASSWORD).await.unwrap();
    assert_eq!(logged_in.account_id, alice.account);
    let wrong = world.log_in(&alice.address, "wrong").await.err();
    let unknown = world.log_in(&address("nobody"), PASSWORD).await.err();
    assert_eq!(wrong, Some(LogInError::WrongPassword));
    assert_eq!(unknown, wrong);
    // Who goes on with a made-up proof is refused in the same words.
    let mut answers = Vec::new();
    for address in [alice.address.clone(), address("nobody")] {
        let (_, started) = world.start_log_in(&address, "wrong").await;
        let finish = LogInFinish {
            session: started.session,
            finalization: Octets(vec![7; 64]),
            device: device(),
        };
        let response = world.post_json("/api/v1/sessions/finish", &finish).await;
        assert_eq!(response.status(), 401);
        answers.push(response.text().await.unwrap());
        let again = world.post_json("/api/v1/sessions/finish", &finish).await;
        assert_error(again, 401, "log_in_expired").await;
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("wrong_password"));
}

#[tokio::test]
async fn a_token_ends_with_log_out() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let mut alice = world.sign_up("alice").await;
    let second = world.log_in(&alice.address, PASSWORD).await.unwrap().token;
    let url = format!("{}/api/v1/sessions", world.url);
    let log_out = world.http.delete(&url).bearer_auth(alice.token.as_str());
    assert_eq!(log_out.send().await.unwrap().status(), 204);
    let refused = world.push(&alice, &[]).await;
    assert_error(refused, 401, "unauthorized").await;
    alice.token = second;
    assert_eq!(world.push(&alice, &[]).await.status(), 200);
    let without = world.http.delete(&url).send().await.unwrap();
    assert_error(without, 401, "unauthorized").await;
}

#[tokio::test]
async fn bad_sign_ups_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let finish = "/api/v1/accounts/finish";

    let (good, _) = world.sign_up_request("bob").await;
    let mut taken = good.clone();
    taken.address = address("ALICE");
    taken.certificate = alice.secret.certificate().to_bytes().into();
    assert_error(world.post_json(finish, &taken).await, 409, "address_taken").await;
    let mut same_id = good.clone();
    same_id.account_id = alice.account;
    same_id.documents.clear();
    assert_error(
        world.post_json(finish, &same_id).await,
        409,
        "address_taken",
    )
    .await;
    let mut foreign = good.clone();
    foreign.address = Address::new("bob@example.org").unwrap();
    assert_error(
        world.post_json(finish, &foreign).await,
        400,
        "foreign_domain",
    )
    .await;
    let mut reserved = good.clone();
    reserved.address = address("Postmaster");
    assert_error(
        world.post_json(finish, &reserved).await,
        403,
        "reserved_address",
    )
    .await;
    let mut detail = good.clone();
    detail.address = address("alice+x");
    assert_error(world.post_json(finish, &detail).await, 400, "bad_address").await;
    let mut others_key = good.clone();
    others_key.certificate = alice.secret.certificate().to_bytes().into();
    assert_error(
        world.post_json(finish, &others_key).await,
        400,
        "bad_certificate",
    )
    .await;
    let mut others_document = good.clone();
    others_document.documents = vec![envelope(alice.account, 1, 1, b"x").into()];
    assert_error(
        world.post_json(finish, &others_document).await,
        403,
        "foreign_account",
    )
    .await;
    let mut record = good.clone();
    record.record = Octets(vec![0; 3]);
    assert_error(world.post_json(finish, &record).await, 400, "malformed").await;
    let mut large = good.clone();
    large.device.name = "x".repeat(2 * 1024 * 1024);
    assert_error(world.post_json(finish, &large).await, 413, "too_large").await;
    assert_error(world.post_json(finish, &"x").await, 400, "malformed").await;
    // A refused sign-up leaves nothing: the second document is no first revision.
    let mut late = good.clone();
    late.documents
        .push(envelope(good.account_id, 2, 2, b"x").into());
    assert_error(world.post_json(finish, &late).await, 400, "malformed").await;
    assert_eq!(
        world.provider.incoming_count(&good.address).await.unwrap(),
        None
    );
    assert_eq!(world.post_json(finish, &good).await.status(), 201);
}

#[tokio::test]
async fn a_closed_provider_takes_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.sign_up = SignUp::Closed;
    let world = World::with(config).await;
    let start = LogInStart {
        address: address("alice"),
        request: Octets(vec![1; 32]),
    };
    let refused = world.post_json("/api/v1/accounts/start", &start).await;
    assert_error(refused, 403, "sign_up_closed").await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    for _ in 0..20 {
        world.start_log_in(&alice.address, "guess").await;
    }
    let (_, request) = letterlock_core::auth::ClientLogIn::start("guess", &mut OsRng).unwrap();
    let start = LogInStart {
        address: alice.address.clone(),
        request: request.into(),
    };
    let refused = world.post_json("/api/v1/sessions/start", &start).await;
    assert_eq!(refused.headers()["retry-after"], "600");
    assert_error(refused, 429, "too_many_attempts").await;
    world.clock.fetch_add(600_000, Ordering::SeqCst);
    world.log_in(&alice.address, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn unknown_calls_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let get = |path: &str| world.http.get(format!("{}{path}", world.url)).send();
    assert_eq!(get("/api/v1/health").await.unwrap().status(), 200);
    assert_error(get("/api/v1/nothing").await.unwrap(), 404, "unknown_call").await;
    assert_error(get("/api/v1/sync/pull").await.unwrap(), 405, "wrong_method").await;
}
