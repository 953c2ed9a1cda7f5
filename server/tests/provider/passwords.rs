//! A password that changes, and one that is lost: the recovery phrase.

use letterlock_core::auth::wire::{
    LogInFinished, Octets, OtherDevices, PasswordFinish, PasswordFinished, PasswordProof,
    PasswordStart, PasswordStarted, Recovery, RecoveryProve, RecoveryProved, RecoverySet,
    RecoveryStart, RecoveryStarted, Token,
};
use letterlock_core::auth::{
    ClientSignUp, LogInError, RecoveryPhrase, RootKeyWrap, ServerLogIn, ServerSecret, WrapKind,
    wrap_root_key,
};
use letterlock_core::id::{AccountId, Address};
use rand::rngs::OsRng;
use reqwest::Response;

use super::backend;
use super::world::{PASSWORD, ROOT_KEY, User, World, address, assert_error, device_named, json};

const NEW: &str = "a new password";

fn phrase_for(account: AccountId) -> (RecoveryPhrase, Recovery) {
    let phrase = RecoveryPhrase::generate(&mut OsRng);
    let wrap = phrase.wrap(account, 1, &ROOT_KEY, &mut OsRng);
    let recovery = Recovery {
        verifier: phrase.verifier().to_vec().into(),
        root_key_wrap: wrap.as_bytes().to_vec().into(),
    };
    (phrase, recovery)
}

async fn with_phrase(world: &World, user: &User) -> RecoveryPhrase {
    let (phrase, recovery) = phrase_for(user.account);
    let proof = world.prove(&user.address, PASSWORD).await.unwrap();
    let devices = None;
    let set = RecoverySet {
        proof,
        recovery,
        devices,
    };
    let response = world.put_json("/api/v1/recovery", &user.token, &set).await;
    assert_eq!(response.status(), 204);
    phrase
}

async fn start_recovery(world: &World, address: &Address) -> RecoveryStarted {
    let start = RecoveryStart {
        address: address.clone(),
    };
    json(world.post_json("/api/v1/recovery/start", &start).await).await
}

async fn prove(
    world: &World,
    address: &Address,
    phrase: &RecoveryPhrase,
) -> (ClientSignUp, Response) {
    let started = start_recovery(world, address).await;
    let (client, request) = ClientSignUp::start(NEW, &mut OsRng).unwrap();
    let prove = RecoveryProve {
        session: started.session,
        signature: phrase.prove(address, &started.challenge.0).into(),
        request: request.into(),
    };
    let response = world.post_json("/api/v1/recovery/prove", &prove).await;
    (client, response)
}

fn finish(
    user: &User,
    client: ClientSignUp,
    (change, response): (Octets, &Octets),
    others: OtherDevices,
) -> PasswordFinish {
    let signed_up = client
        .finish(&user.address, &response.0, &mut OsRng)
        .unwrap();
    let material = signed_up.export_key.as_bytes();
    let kind = WrapKind::Password;
    let wrap = wrap_root_key(material, user.account, 1, kind, &ROOT_KEY, &mut OsRng);
    PasswordFinish {
        change,
        record: signed_up.record.into(),
        root_key_wrap: wrap.as_bytes().to_vec().into(),
        device: device_named(8, "new laptop"),
        others,
        devices: None,
    }
}

async fn recover(world: &World, user: &User, phrase: &RecoveryPhrase) -> Token {
    let (client, response) = prove(world, &user.address, phrase).await;
    assert_eq!(response.status(), 200);
    let proved: RecoveryProved = json(response).await;
    assert_eq!(proved.account_id, user.account);
    let wrap = RootKeyWrap::from_octets(&proved.root_key_wrap.0).unwrap();
    let opened = phrase.unwrap_key(user.account, &wrap).unwrap();
    assert_eq!(*opened.root_key, ROOT_KEY);
    let change = (proved.change, &proved.response);
    let finish = finish(user, client, change, OtherDevices::LogOut);
    let path = "/api/v1/password/finish";
    let finished: PasswordFinished = json(world.post_json(path, &finish).await).await;
    // Once.
    let again = world.post_json(path, &finish).await;
    assert_error(again, 401, "log_in_expired").await;
    finished.token.unwrap()
}

async fn change(
    world: &World,
    user: &User,
    others: OtherDevices,
) -> Result<PasswordFinished, Response> {
    let (client, request) = ClientSignUp::start(NEW, &mut OsRng).unwrap();
    let start = PasswordStart {
        proof: world.prove(&user.address, PASSWORD).await.unwrap(),
        request: request.into(),
    };
    let path = "/api/v1/password/start";
    let response = world.post_with(path, &user.token, &start).await;
    assert_eq!(response.status(), 200);
    let started: PasswordStarted = json(response).await;
    let change = (started.change, &started.response);
    let finish = finish(user, client, change, others);
    let response = world.post_json("/api/v1/password/finish", &finish).await;
    if response.status() == 200 {
        Ok(json(response).await)
    } else {
        Err(response)
    }
}

#[tokio::test]
async fn a_phrase_repairs_a_lost_password() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let mut alice = world.sign_up("alice").await;
    let phrase = with_phrase(&world, &alice).await;
    let token = recover(&world, &alice, &phrase).await;
    // The old password is nothing any more, the old device is logged out, the new one is in.
    let old = world.log_in(&alice.address, PASSWORD).await.err();
    assert_eq!(old, Some(LogInError::WrongPassword));
    let new: LogInFinished = world.log_in(&alice.address, NEW).await.unwrap();
    assert_eq!(new.account_id, alice.account);
    assert_error(world.push(&alice, &[]).await, 401, "unauthorized").await;
    alice.token = token;
    assert_eq!(world.pull(&alice, 0, 0).await.entries.len(), 1);
    // The phrase is what it was.
    recover(&world, &alice, &phrase).await;
}

#[tokio::test]
async fn a_phrase_can_come_with_the_sign_up_and_a_new_one_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (mut request, secret) = world.sign_up_request("alice").await;
    let (first, recovery) = phrase_for(request.account_id);
    request.recovery = Some(Recovery {
        verifier: Octets(vec![0; 32]),
        ..recovery.clone()
    });
    let path = "/api/v1/accounts/finish";
    assert_error(world.post_json(path, &request).await, 400, "malformed").await;
    request.recovery = Some(recovery);
    let alice = world.finish_sign_up(request, secret).await;
    let (_, response) = prove(&world, &alice.address, &first).await;
    assert_eq!(response.status(), 200);
    let second = with_phrase(&world, &alice).await;
    let (_, response) = prove(&world, &alice.address, &first).await;
    assert_error(response, 401, "wrong_phrase").await;
    let (_, response) = prove(&world, &alice.address, &second).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_wrong_phrase_an_account_without_one_and_an_unknown_address_look_alike() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    with_phrase(&world, &alice).await;
    let wrong = RecoveryPhrase::generate(&mut OsRng);
    let mut answers = Vec::new();
    for address in [alice.address.clone(), bob.address, address("nobody")] {
        let (_, response) = prove(&world, &address, &wrong).await;
        assert_eq!(response.status(), 401);
        answers.push(response.text().await.unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert!(answers[0].contains("wrong_phrase"));
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_in_time() {
    use std::sync::atomic::Ordering;
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let phrase = with_phrase(&world, &alice).await;
    let path = "/api/v1/recovery/prove";
    for (after_ms, outcomes) in [(0, [200, 401]), (120_001, [401, 401])] {
        let started = start_recovery(&world, &alice.address).await;
        let (_, request) = ClientSignUp::start(NEW, &mut OsRng).unwrap();
        let prove = RecoveryProve {
            session: started.session,
            signature: phrase.prove(&alice.address, &started.challenge.0).into(),
            request: request.into(),
        };
        world.clock.fetch_add(after_ms, Ordering::SeqCst);
        for status in outcomes {
            assert_eq!(world.post_json(path, &prove).await.status(), status);
        }
        // The proof of one challenge is none for the next.
        let next = start_recovery(&world, &alice.address).await;
        let repeated = RecoveryProve {
            session: next.session,
            ..prove
        };
        assert_error(world.post_json(path, &repeated).await, 401, "wrong_phrase").await;
    }
}

#[tokio::test]
async fn guessing_phrases_is_slowed_down_like_guessing_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    for _ in 0..20 {
        start_recovery(&world, &alice.address).await;
    }
    let start = RecoveryStart {
        address: alice.address.clone(),
    };
    let refused = world.post_json("/api/v1/recovery/start", &start).await;
    assert_error(refused, 429, "too_many_attempts").await;
}

#[tokio::test]
async fn a_changed_password_ends_the_old_one_and_other_devices_if_asked() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    for (name, others) in [("alice", OtherDevices::Stay), ("bob", OtherDevices::LogOut)] {
        let user = world.sign_up(name).await;
        let other = world
            .log_in_as(&user.address, PASSWORD, device_named(7, "phone"))
            .await;
        let other = User {
            token: other.unwrap().token,
            address: user.address.clone(),
            account: user.account,
            secret: user.secret.clone(),
        };
        let finished = change(&world, &user, others).await.unwrap();
        assert!(finished.token.is_none(), "the token that is there stays");
        assert_eq!(world.push(&user, &[]).await.status(), 200);
        let expected = if others == OtherDevices::Stay {
            200
        } else {
            401
        };
        assert_eq!(world.push(&other, &[]).await.status(), expected, "{name}");
        let old = world.log_in(&user.address, PASSWORD).await.err();
        assert_eq!(old, Some(LogInError::WrongPassword));
        world.log_in(&user.address, NEW).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_alone_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let bob = world.sign_up("bob").await;
    let (_, request) = ClientSignUp::start(NEW, &mut OsRng).unwrap();
    let (_, recovery) = phrase_for(alice.account);
    // Made up, and Bob's own: with Alice's token neither proves Alice's password.
    let (_, started) = world.start_log_in(&alice.address, "guess").await;
    let made_up = PasswordProof {
        session: started.session,
        finalization: Octets(vec![7; 64]),
    };
    let bobs = || world.prove(&bob.address, PASSWORD);
    let path = "/api/v1/password/start";
    for proof in [made_up.clone(), bobs().await.unwrap()] {
        let start = PasswordStart {
            proof,
            request: request.clone().into(),
        };
        let refused = world.post_with(path, &alice.token, &start).await;
        assert_error(refused, 401, "wrong_password").await;
    }
    let set = RecoverySet {
        proof: bobs().await.unwrap(),
        recovery,
        devices: None,
    };
    let refused = world.put_json("/api/v1/recovery", &alice.token, &set).await;
    assert_error(refused, 401, "wrong_password").await;
    let start = PasswordStart {
        proof: made_up,
        request: request.into(),
    };
    let refused = world.post_with(path, &alice.token, &start).await;
    assert_error(refused, 401, "log_in_expired").await;
    world.log_in(&alice.address, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_removed_in_between_does_not_change_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let (client, request) = ClientSignUp::start(NEW, &mut OsRng).unwrap();
    let start = PasswordStart {
        proof: world.prove(&alice.address, PASSWORD).await.unwrap(),
        request: request.into(),
    };
    let path = "/api/v1/password/start";
    let started: PasswordStarted = json(world.post_with(path, &alice.token, &start).await).await;
    let url = format!("{}/api/v1/sessions", world.url);
    let log_out = world.http.delete(&url).bearer_auth(alice.token.as_str());
    assert_eq!(log_out.send().await.unwrap().status(), 204);
    let change = (started.change, &started.response);
    let finish = finish(&alice, client, change, OtherDevices::LogOut);
    let refused = world.post_json("/api/v1/password/finish", &finish).await;
    assert_error(refused, 401, "unauthorized").await;
    world.log_in(&alice.address, PASSWORD).await.unwrap();
}

/// What is in the provider's database, without its log-in secret, tests no guess: not even the
/// right password can be recognised by it.
#[tokio::test]
async fn attack_20_a_stolen_database_tests_no_guess_without_the_provider_secret() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let phrase = with_phrase(&world, &alice).await;
    world.stop().await;
    let column = |name| backend::octets(dir.path(), &format!("SELECT {name} FROM accounts"));
    let (record, wrap) = (column("record"), column("root_key_wrap"));
    let (recovery_wrap, verifier) = (column("recovery_wrap"), column("recovery_verifier"));
    let thief = ServerSecret::generate(&mut OsRng);
    let (client, request) =
        letterlock_core::auth::ClientLogIn::start(PASSWORD, &mut OsRng).unwrap();
    let started = ServerLogIn::start(&thief, &alice.address, Some(&record), &request, &mut OsRng);
    let (_, response) = started.unwrap();
    let error = client.finish(&alice.address, &response, &mut OsRng).err();
    assert_eq!(error, Some(LogInError::WrongPassword), "the right password");
    // Nothing that is stored opens a wrap as it is.
    for material in [&record, &wrap, &verifier, &recovery_wrap] {
        for (kind, sealed) in [
            (WrapKind::Password, &wrap),
            (WrapKind::Recovery, &recovery_wrap),
        ] {
            let sealed = RootKeyWrap::from_octets(sealed).unwrap();
            let account = alice.account;
            let opened = letterlock_core::auth::unwrap_root_key(material, account, kind, &sealed);
            assert!(opened.is_err());
        }
    }
    let words = phrase.words();
    let sealed = RootKeyWrap::from_octets(&recovery_wrap).unwrap();
    let again = RecoveryPhrase::parse(&words).unwrap();
    assert!(again.unwrap_key(alice.account, &sealed).is_ok());
    // A guess costs what it is said to cost.
    const {
        assert!(letterlock_core::auth::ARGON2_MEMORY_KIB >= 64 * 1024);
        assert!(letterlock_core::auth::ARGON2_PASSES >= 3);
    }
}
