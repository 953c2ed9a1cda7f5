//! Devices, the end of an account, invites and room.

use std::sync::atomic::Ordering;
use std::time::Duration;

use letterlock_core::auth::wire::{
    AccountDelete, AccountDeleted, AccountState, Invite, LogInStart, Octets, PasswordProof,
};
use letterlock_core::auth::{ClientSignUp, LogInError};
use letterlock_core::id::{AccountId, Generation, OutboxId, Timestamp};
use letterlock_core::sync::wire::{PullRequest, Submission};
use letterlock_server::provider::invites::{self, Invited};
use letterlock_server::provider::{DeliverError, SignUp};
use rand::rngs::OsRng;
use reqwest::Response;
use serde_bytes::ByteBuf;

use super::backend;
use super::world::{
    NOW, PASSWORD, User, World, address, assert_error, config, device_named, envelope, json, peer,
    sign_up_start,
};

async fn state(world: &World, user: &User) -> AccountState {
    json(world.get("/api/v1/account", &user.token).await).await
}

async fn remove(world: &World, user: &User, device: &str) -> Response {
    let url = format!("{}/api/v1/devices/{device}", world.url);
    let request = world.http.delete(url).bearer_auth(user.token.as_str());
    request.send().await.unwrap()
}

/// The account on another device.
async fn on_device(world: &World, user: &User, id: u8, name: &str) -> User {
    let device = device_named(id, name);
    let log_in = world.log_in_as(&user.address, PASSWORD, device).await;
    User {
        address: user.address.clone(),
        account: user.account,
        token: log_in.unwrap().token,
        secret: user.secret.clone(),
    }
}

#[tokio::test]
async fn devices_are_listed_with_when_they_were_seen() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    world.clock.fetch_add(60_000, Ordering::SeqCst);
    let phone = on_device(&world, &alice, 7, "phone").await;
    // The same device again is one entry, under its newest name.
    world.clock.fetch_add(1, Ordering::SeqCst);
    let phone_again = on_device(&world, &alice, 7, "new phone").await;
    let listed = state(&world, &phone).await.devices;
    let names: Vec<_> = listed
        .iter()
        .map(|device| (&*device.name, device.current))
        .collect();
    assert_eq!(names, [("new phone", true), ("test", false)]);
    assert_eq!(listed[1].last_seen, NOW);
    // Seen again, to ten minutes.
    world.clock.fetch_add(600_000, Ordering::SeqCst);
    assert_eq!(world.push(&alice, &[]).await.status(), 200);
    let listed = state(&world, &alice).await.devices;
    assert_eq!(listed[0].name, "test");
    assert_eq!(
        listed[0].last_seen,
        Timestamp::from_millis(NOW.as_millis() + 660_001)
    );
    // A removed device is out with all its tokens.
    assert_eq!(
        remove(&world, &alice, &listed[1].id.to_string())
            .await
            .status(),
        204
    );
    for gone in [&phone, &phone_again] {
        assert_error(world.push(gone, &[]).await, 401, "unauthorized").await;
    }
    for unknown in [listed[1].id.to_string(), "nonsense".to_owned()] {
        assert_error(
            remove(&world, &alice, &unknown).await,
            404,
            "no_such_device",
        )
        .await;
    }
    assert_eq!(state(&world, &alice).await.devices.len(), 1);
}

#[tokio::test]
async fn a_removed_device_stops_waiting_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let phone = on_device(&world, &alice, 7, "phone").await;
    let request = PullRequest {
        since: Generation(1),
        collections: Vec::new(),
        rewritten: Vec::new(),
        wait_ms: 50_000,
    };
    let waiting = world.post(&phone, "/api/v1/sync/pull", &request);
    let removing = async {
        // Long enough that the pull waits; whether it does or not, it must end.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let id = device_named(7, "").id.to_string();
        assert_eq!(remove(&world, &alice, &id).await.status(), 204);
    };
    let both = futures::future::join(waiting, removing);
    let (answer, ()) = tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .expect("the pull that waits ends");
    assert_error(answer, 401, "unauthorized").await;
    // Another device's goes on waiting.
    let still = PullRequest {
        wait_ms: 100,
        ..request
    };
    let answer = world.post(&alice, "/api/v1/sync/pull", &still).await;
    assert_eq!(answer.status(), 200);
}

async fn delete(world: &World, user: &User, proof: PasswordProof) -> Response {
    let delete = AccountDelete { proof };
    world
        .post_with("/api/v1/account/delete", &user.token, &delete)
        .await
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_and_its_address_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    let large = vec![b'x'; 100_000];
    let documents = [
        envelope(alice.account, 1, 1, &large),
        envelope(alice.account, 2, 1, b"small"),
    ];
    assert_eq!(world.push(&alice, &documents).await.status(), 200);
    world
        .deliver(
            &alice.address,
            &[b"Subject: x\r\n\r\n".as_slice(), &large].concat(),
        )
        .await;
    world.deliver(&bob.address, b"Subject: x\r\n\r\n").await;
    // Without the password nobody ends it.
    let (_, started) = world.start_log_in(&alice.address, "guess").await;
    let guess = PasswordProof {
        session: started.session,
        finalization: Octets(vec![7; 64]),
    };
    assert_error(delete(&world, &alice, guess).await, 401, "wrong_password").await;
    let proof = world.prove(&alice.address, PASSWORD).await.unwrap();
    let response = delete(&world, &alice, proof).await;
    assert_eq!(response.status(), 200);
    let deleted: AccountDeleted = json(response).await;
    assert_eq!(
        (deleted.documents, deleted.incoming, deleted.devices),
        (3, 1, 1)
    );
    assert!(deleted.octets > 200_000);
    assert_eq!(
        deleted.reserved_until.as_millis() - NOW.as_millis(),
        180 * 24 * 60 * 60 * 1000
    );
    assert_unknown(&world, &alice).await;
    // Nobody else gets the address, until its time is over.
    let (_, request) = ClientSignUp::start("x", &mut OsRng).unwrap();
    let start = LogInStart {
        address: alice.address.clone(),
        request: request.into(),
    };
    let path = "/api/v1/accounts/start";
    assert_error(world.post_json(path, &start).await, 409, "address_taken").await;
    world
        .clock
        .store(deleted.reserved_until.as_millis(), Ordering::SeqCst);
    world.sign_up("alice").await;
    assert_eq!(
        world.pull(&bob, 1, 0).await.entries.len(),
        1,
        "Bob has all of his"
    );
    world.stop().await;
    assert_nothing_left(dir.path(), alice.account);
}

/// The account is as unknown as if it had never been.
async fn assert_unknown(world: &World, alice: &User) {
    assert_error(world.push(alice, &[]).await, 401, "unauthorized").await;
    let again = world.log_in(&alice.address, PASSWORD).await.err();
    assert_eq!(again, Some(LogInError::WrongPassword));
    let mail = world
        .provider
        .deliver(None, &alice.address, b"x", &peer(), NOW)
        .await;
    assert!(matches!(mail, Err(DeliverError::UnknownRecipient)));
    let url = format!("{}/api/v1/keys/{}", world.url, alice.address);
    assert_error(
        world.http.get(url).send().await.unwrap(),
        404,
        "no_certificate",
    )
    .await;
}

/// Nothing in the provider's folder is of the account, and no large value is left.
fn assert_nothing_left(folder: &std::path::Path, account: AccountId) {
    let account = backend::literal(account.as_bytes());
    for table in [
        "documents",
        "incoming",
        "sessions",
        "keys",
        "submissions",
        "accounts",
    ] {
        let sql = format!("SELECT count(*) FROM {table} WHERE account = {account}");
        assert_eq!(backend::number(folder, &sql), 0, "{table}");
    }
    let files = std::fs::read_dir(folder.join("blobs")).unwrap().count();
    assert_eq!(files, 0, "large values are gone too");
}

#[tokio::test]
async fn an_interrupted_deletion_goes_on_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let account = alice.account;
    world.stop().await;
    // As if the provider had been killed after the first step, with the account in another database than
    // what is its own.
    let sql = "UPDATE accounts SET deleting = 1, address = 'deleted'";
    backend::execute(dir.path(), sql);
    let world = World::start(dir.path()).await;
    let account = backend::literal(account.as_bytes());
    let sql = format!("SELECT count(*) FROM accounts WHERE account = {account}");
    let left = || backend::number(dir.path(), &sql);
    for _ in 0..1000 {
        if left() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(left(), 0);
    let again = sign_up_start("alice", None);
    let again = world.post_json("/api/v1/accounts/start", &again).await;
    assert_error(again, 409, "address_taken").await;
    world.sign_up("carol").await;
    world.stop().await;
}

#[tokio::test]
async fn queued_mail_goes_with_its_account() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.relay = letterlock_server::provider::Relay::Folder(dir.path().join("relay"));
    let world = World::with(config).await;
    // A relay that is not there: mail stays in the queue.
    std::fs::remove_dir_all(dir.path().join("relay")).unwrap();
    let alice = world.sign_up("alice").await;
    let submission = Submission {
        id: OutboxId::new([3; 16]),
        reverse_path: alice.address.clone(),
        forward_paths: vec![letterlock_core::id::Address::new("x@elsewhere.example").unwrap()],
        message: ByteBuf::from(b"Subject: x\r\n\r\nx\r\n".to_vec()),
    };
    let answer = world.post(&alice, "/api/v1/outbox", &submission).await;
    assert_eq!(answer.status(), 202);
    let proof = world.prove(&alice.address, PASSWORD).await.unwrap();
    let deleted: AccountDeleted = json(delete(&world, &alice, proof).await).await;
    assert_eq!(deleted.queued, 1);
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.sign_up = SignUp::Invite;
    let world = World::with(config).await;
    let invited = Invited {
        name: "the choir".to_owned(),
        uses_left: 1,
        expires_at: Timestamp::from_millis(NOW.as_millis() + 1000),
    };
    let code = invites::add(dir.path(), &backend::records(dir.path()), &invited, NOW)
        .await
        .unwrap();
    let path = "/api/v1/accounts/start";
    for invite in [
        None,
        Some(Invite::new("")),
        Some(Invite::new("abcd-efgh-jkmn-pqrs")),
    ] {
        let start = sign_up_start("alice", invite);
        assert_error(world.post_json(path, &start).await, 403, "invite_needed").await;
    }
    let (mut request, secret) = world
        .sign_up_request_with("alice", Some(code.clone()))
        .await;
    request.invite = None;
    let finish = "/api/v1/accounts/finish";
    assert_error(
        world.post_json(finish, &request).await,
        403,
        "invite_needed",
    )
    .await;
    // Who was let begin by the same code and comes second is not let in.
    let (second, _) = world.sign_up_request_with("bob", Some(code.clone())).await;
    request.invite = Some(code.clone());
    world.finish_sign_up(request, secret).await;
    assert_error(world.post_json(finish, &second).await, 403, "invite_needed").await;
    // An address that is taken costs no invite; a code that is too old is none.
    let code = invites::add(dir.path(), &backend::records(dir.path()), &invited, NOW)
        .await
        .unwrap();
    let (mut taken, _) = world
        .sign_up_request_with("carol", Some(code.clone()))
        .await;
    taken.address = address("alice");
    assert_eq!(world.post_json(finish, &taken).await.status(), 400);
    assert_eq!(
        invites::list(dir.path(), &backend::records(dir.path()), NOW)
            .await
            .unwrap()
            .len(),
        1
    );
    world.clock.fetch_add(1000, Ordering::SeqCst);
    let start = sign_up_start("dave", Some(code));
    assert_error(world.post_json(path, &start).await, 403, "invite_needed").await;
}

#[tokio::test]
async fn sign_ups_from_one_place_are_limited() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.sign_ups_per_hour = 2;
    let world = World::with(config).await;
    world.sign_up("alice").await;
    let (first, secret) = world.sign_up_request("bob").await;
    world.finish_sign_up(first.clone(), secret).await;
    let start = sign_up_start("carol", None);
    let path = "/api/v1/accounts/start";
    let refused = world.post_json(path, &start).await;
    assert_eq!(refused.headers()["retry-after"], "3600");
    assert_error(refused, 429, "too_many_attempts").await;
    // Nor by the second call alone.
    let finish = "/api/v1/accounts/finish";
    let refused = world.post_json(finish, &first).await;
    assert_error(refused, 429, "too_many_attempts").await;
    world.clock.fetch_add(3_600_000, Ordering::SeqCst);
    assert_eq!(world.post_json(path, &start).await.status(), 200);
}

#[tokio::test]
async fn a_full_account_refuses_mail_and_growth_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.quota_octets = Some(100_000);
    let world = World::with(config).await;
    let alice = world.sign_up("alice").await;
    let before = state(&world, &alice).await;
    assert_eq!(before.quota_octets, Some(100_000));
    let deliver = |size: usize| {
        let message = vec![b'x'; size];
        let (provider, address) = (world.provider.clone(), alice.address.clone());
        async move {
            provider
                .deliver(None, &address, &message, &peer(), NOW)
                .await
        }
    };
    let error = deliver(100_001).await.unwrap_err();
    assert!(matches!(error, DeliverError::LargerThanQuota) && error.is_permanent());
    deliver(90_000).await.unwrap();
    let error = deliver(20_000).await.unwrap_err();
    assert!(matches!(error, DeliverError::MailboxFull) && !error.is_permanent());
    // A device may go a quarter beyond, to take in what was accepted, and no further.
    let small = [envelope(alice.account, 1, 1, &vec![1; 20_000])];
    assert_eq!(world.push(&alice, &small).await.status(), 200);
    let used = state(&world, &alice).await.used_octets;
    assert!(used > 110_000 && used < 125_000, "{used}");
    let error = world
        .provider
        .check_recipient(&alice.address)
        .await
        .unwrap_err();
    assert!(matches!(error, DeliverError::MailboxFull));
    let more = [envelope(alice.account, 2, 1, &vec![1; 20_000])];
    assert_error(world.push(&alice, &more).await, 507, "over_quota").await;
    assert_eq!(
        state(&world, &alice).await.used_octets,
        used,
        "nothing of it was stored"
    );
    // What makes it smaller is always taken.
    let smaller = [envelope(alice.account, 1, 2, b"removed")];
    assert_eq!(world.push(&alice, &smaller).await.status(), 200);
    assert!(state(&world, &alice).await.used_octets < used);
}

#[tokio::test]
async fn attack_37_clocks_ten_years_off_end_nothing_and_crash_nothing() {
    const TEN_YEARS_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    for shift in [TEN_YEARS_MS, -2 * TEN_YEARS_MS] {
        world.clock.fetch_add(shift, Ordering::SeqCst);
        assert_eq!(world.push(&alice, &[]).await.status(), 200);
        let devices = state(&world, &alice).await.devices;
        let this = devices.iter().find(|device| device.current).unwrap();
        assert_eq!(
            this.last_seen.as_millis(),
            world.clock.load(Ordering::SeqCst)
        );
        on_device(&world, &alice, 7, "phone").await;
    }
}
