//! The signed list of devices, and log-ins by their keys, call by call.

use std::sync::atomic::Ordering;

use letterlock_core::auth::wire::{
    ChallengeProve, ChallengeProved, ChallengeStart, ChallengeStarted, DevicesPut, DevicesShown,
    PasswordProof, Token,
};
use letterlock_core::auth::{DeviceKey, DeviceList, ListedDevice, SignedDeviceList};
use letterlock_core::id::{AccountId, Address, ReplicaId};
use letterlock_core::seal::{AccountKeys, RootKey};
use rand::rngs::OsRng;
use reqwest::Response;

use super::world::{
    NOW, PASSWORD, ROOT_KEY, User, World, address, assert_error, device, device_named, json,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn keys(account: AccountId, root: [u8; 32]) -> AccountKeys {
    AccountKeys::derive(account, 1, &RootKey::from_octets(root))
}

fn listed(id: u8, key: &DeviceKey) -> ListedDevice {
    ListedDevice {
        id: ReplicaId::new([id; 16]),
        key: key.public_key(),
        added_at: NOW,
        name: format!("device {id}"),
        recipient: None,
    }
}

/// Alice, who has signed up with a list of her first device, and that device's key.
async fn alice(world: &World) -> (User, DeviceKey, DeviceList) {
    let (mut request, secret) = world.sign_up_request("alice").await;
    let key = DeviceKey::generate(&mut OsRng);
    let list = DeviceList::first(listed(9, &key));
    let signed = list
        .sign(&keys(request.account_id, ROOT_KEY), &mut OsRng)
        .unwrap();
    request.devices = Some(signed.octets().to_vec().into());
    let user = world.finish_sign_up(request, secret).await;
    (user, key, list)
}

async fn shown(world: &World, user: &User) -> Option<SignedDeviceList> {
    let shown: DevicesShown = json(world.get("/api/v1/devices", &user.token).await).await;
    let list = shown.list?;
    Some(SignedDeviceList::parse(&list.0).unwrap())
}

async fn put(
    world: &World,
    user: &User,
    list: &SignedDeviceList,
    proof: Option<PasswordProof>,
) -> Response {
    let list = list.octets().to_vec().into();
    let put = DevicesPut { list, proof };
    world.put_json("/api/v1/devices", &user.token, &put).await
}

async fn challenge(world: &World, address: &Address, id: u8) -> ChallengeStarted {
    let start = ChallengeStart {
        address: address.clone(),
        device: ReplicaId::new([id; 16]),
    };
    let response = world.post_json("/api/v1/sessions/challenge", &start).await;
    json(response).await
}

/// A whole log-in of the device with this id by a key.
async fn prove(world: &World, address: &Address, id: u8, key: &DeviceKey) -> Response {
    let started = challenge(world, address, id).await;
    let device = ReplicaId::new([id; 16]);
    let prove = ChallengeProve {
        session: started.session,
        signature: key.prove(address, device, &started.challenge.0).into(),
    };
    world.post_json("/api/v1/sessions/prove", &prove).await
}

async fn log_in(world: &World, user: &User, id: u8, key: &DeviceKey) -> User {
    let response = prove(world, &user.address, id, key).await;
    assert_eq!(response.status(), 200);
    let proved: ChallengeProved = json(response).await;
    with_token(user, proved.token)
}

fn with_token(user: &User, token: Token) -> User {
    User {
        address: user.address.clone(),
        account: user.account,
        token,
        secret: user.secret.clone(),
    }
}

async fn works(world: &World, user: &User) -> bool {
    world.push(user, &[]).await.status() == 200
}

#[tokio::test]
async fn a_device_logs_in_by_its_key_for_a_day_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (alice, key, _) = alice(&world).await;
    let bob = world.sign_up("bob").await;
    let again = log_in(&world, &alice, 9, &key).await;
    assert!(works(&world, &again).await && works(&world, &alice).await);
    world.clock.fetch_add(DAY_MS - 1, Ordering::SeqCst);
    assert!(works(&world, &again).await);
    world.clock.fetch_add(1, Ordering::SeqCst);
    for ended in [&alice, &again] {
        assert_error(world.push(ended, &[]).await, 401, "unauthorized").await;
    }
    // Who has no key goes on as before.
    assert!(works(&world, &bob).await);
    let again = log_in(&world, &alice, 9, &key).await;
    assert!(works(&world, &again).await);
}

#[tokio::test]
async fn what_is_no_proof_fails_alike() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (alice, key, _) = alice(&world).await;
    let bob = world.sign_up("bob").await;
    let other = DeviceKey::generate(&mut OsRng);
    for (who, id, key) in [
        (&alice.address, 9, &other),
        (&alice.address, 7, &key),
        (&bob.address, 9, &key),
        (&address("nobody"), 9, &key),
    ] {
        assert_error(prove(&world, who, id, key).await, 401, "wrong_device").await;
    }
    // A challenge is taken once, for its device, and a signature is of it alone.
    let first = challenge(&world, &alice.address, 9).await;
    let second = challenge(&world, &alice.address, 9).await;
    let device = ReplicaId::new([9; 16]);
    let replayed = ChallengeProve {
        session: second.session,
        signature: key.prove(&alice.address, device, &first.challenge.0).into(),
    };
    for code in ["wrong_device", "log_in_expired"] {
        let answer = world.post_json("/api/v1/sessions/prove", &replayed).await;
        assert_error(answer, 401, code).await;
    }
}

#[tokio::test]
async fn attack_19_a_token_alone_makes_no_list() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    // An account of before there were lists.
    let bob = world.sign_up("bob").await;
    assert_eq!(shown(&world, &bob).await, None);
    let thief = DeviceKey::generate(&mut OsRng);
    let bogus = DeviceList::first(listed(7, &thief))
        .sign(&keys(bob.account, [66; 32]), &mut OsRng)
        .unwrap();
    let refused = put(&world, &bob, &bogus, None).await;
    assert_error(refused, 403, "proof_needed").await;
    let own = DeviceList::first(listed(9, &thief))
        .sign(&keys(bob.account, ROOT_KEY), &mut OsRng)
        .unwrap();
    let proof = world.prove(&bob.address, PASSWORD).await.unwrap();
    assert_eq!(put(&world, &bob, &own, Some(proof)).await.status(), 204);
    assert_eq!(shown(&world, &bob).await, Some(own));
    // From then on the key that the first list names signs all.
    let (alice, _, list) = alice(&world).await;
    let next = list.with(listed(7, &thief)).unwrap().unwrap();
    let bogus = next
        .sign(&keys(alice.account, [66; 32]), &mut OsRng)
        .unwrap();
    let proof = world.prove(&alice.address, PASSWORD).await.unwrap();
    for proof in [None, Some(proof)] {
        let refused = put(&world, &alice, &bogus, proof).await;
        assert_error(refused, 400, "bad_list").await;
    }
    let foreign = next.sign(&keys(bob.account, ROOT_KEY), &mut OsRng).unwrap();
    let refused = put(&world, &alice, &foreign, None).await;
    assert_error(refused, 400, "bad_list").await;
    let mut forged = next
        .sign(&keys(alice.account, ROOT_KEY), &mut OsRng)
        .unwrap()
        .octets()
        .to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = DevicesPut {
        list: forged.into(),
        proof: None,
    };
    let refused = world.put_json("/api/v1/devices", &alice.token, &forged);
    assert_error(refused.await, 400, "bad_list").await;
    let kept = shown(&world, &alice).await.unwrap();
    assert_eq!(kept.list(), &list);
    let refused = prove(&world, &alice.address, 7, &thief).await;
    assert_error(refused, 401, "wrong_device").await;
}

#[tokio::test]
async fn of_two_lists_at_once_one_is_built_on_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (alice, _, list) = alice(&world).await;
    let own = keys(alice.account, ROOT_KEY);
    let key = DeviceKey::generate(&mut OsRng);
    let one = list
        .with(listed(1, &key))
        .unwrap()
        .unwrap()
        .sign(&own, &mut OsRng)
        .unwrap();
    let two = list
        .with(listed(2, &key))
        .unwrap()
        .unwrap()
        .sign(&own, &mut OsRng)
        .unwrap();
    assert_eq!(put(&world, &alice, &one, None).await.status(), 204);
    for late in [&two, &one] {
        let refused = put(&world, &alice, late, None).await;
        assert_error(refused, 409, "list_changed").await;
    }
    let both = one.list().with(listed(2, &key)).unwrap().unwrap();
    let both = both.sign(&own, &mut OsRng).unwrap();
    assert_eq!(put(&world, &alice, &both, None).await.status(), 204);
    // A provider that was set back takes a later list than the next.
    let far = both.list().with(listed(3, &key)).unwrap().unwrap();
    let far = far
        .with(listed(4, &key))
        .unwrap()
        .unwrap()
        .sign(&own, &mut OsRng)
        .unwrap();
    assert_eq!(put(&world, &alice, &far, None).await.status(), 204);
    assert_eq!(shown(&world, &alice).await, Some(far));
}

#[tokio::test]
async fn a_removed_device_is_out_with_token_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (alice, _, list) = alice(&world).await;
    let own = keys(alice.account, ROOT_KEY);
    let key = DeviceKey::generate(&mut OsRng);
    let both = list.with(listed(7, &key)).unwrap().unwrap();
    let put_both = put(&world, &alice, &both.sign(&own, &mut OsRng).unwrap(), None).await;
    assert_eq!(put_both.status(), 204);
    let phone = log_in(&world, &alice, 7, &key).await;
    assert!(works(&world, &phone).await);
    let without = both.without(ReplicaId::new([7; 16])).unwrap();
    let removed = put(
        &world,
        &alice,
        &without.sign(&own, &mut OsRng).unwrap(),
        None,
    )
    .await;
    assert_eq!(removed.status(), 204);
    assert_error(world.push(&phone, &[]).await, 401, "unauthorized").await;
    let refused = prove(&world, &alice.address, 7, &key).await;
    assert_error(refused, 401, "wrong_device").await;
    // The password lets it in as anybody's device, but not its key.
    let device = device_named(7, "phone");
    let entered = world.log_in_as(&alice.address, PASSWORD, device).await;
    let phone = with_token(&alice, entered.unwrap().token);
    assert!(works(&world, &phone).await);
    let refused = prove(&world, &alice.address, 7, &key).await;
    assert_error(refused, 401, "wrong_device").await;
    assert!(works(&world, &alice).await);
}

#[tokio::test]
async fn a_device_that_was_logged_out_proves_the_password_before_its_key_counts_again() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (alice, key, list) = alice(&world).await;
    let own = keys(alice.account, ROOT_KEY);
    let phone_key = DeviceKey::generate(&mut OsRng);
    let both = list.with(listed(7, &phone_key)).unwrap().unwrap();
    let put_both = put(&world, &alice, &both.sign(&own, &mut OsRng).unwrap(), None).await;
    assert_eq!(put_both.status(), 204);
    let phone = log_in(&world, &alice, 7, &phone_key).await;
    let id = ReplicaId::new([9; 16]);
    let url = format!("{}/api/v1/devices/{id}", world.url);
    let log_out = world.http.delete(url).bearer_auth(phone.token.as_str());
    assert_eq!(log_out.send().await.unwrap().status(), 204);
    assert_error(world.push(&alice, &[]).await, 401, "unauthorized").await;
    let refused = prove(&world, &alice.address, 9, &key).await;
    assert_error(refused, 401, "wrong_device").await;
    // It is in the list as before, and the password brings its key back.
    assert_eq!(shown(&world, &phone).await.unwrap().list(), &both);
    let entered = world.log_in_as(&alice.address, PASSWORD, device()).await;
    assert!(works(&world, &with_token(&alice, entered.unwrap().token)).await);
    let again = log_in(&world, &alice, 9, &key).await;
    assert!(works(&world, &again).await);
}
