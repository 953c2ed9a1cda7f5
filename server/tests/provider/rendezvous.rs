//! Where two devices leave each other messages, call by call.

use std::sync::atomic::Ordering;

use letterlock_core::auth::enrolment::{ENROLMENT_MS, MESSAGE_OCTETS};
use letterlock_core::auth::wire::{
    AccountDelete, Octets, RendezvousAnswer, RendezvousPut, RendezvousShown, SponsorStep,
};
use reqwest::Response;

use super::backend;
use super::world::{PASSWORD, User, World, assert_error, json};

/// Rendezvous of an account that the provider keeps at a time.
const MAX_OPEN: u8 = 8;

fn path(id: u8) -> String {
    format!("/api/v1/rendezvous/{}", format!("{id:02x}").repeat(16))
}

fn message(octet: u8) -> Octets {
    vec![octet; MESSAGE_OCTETS].into()
}

async fn put(world: &World, user: &User, id: u8, step: SponsorStep) -> Response {
    let message = message(match step {
        SponsorStep::Hello => 1,
        SponsorStep::Handover => 3,
    });
    let body = RendezvousPut { step, message };
    world.put_json(&path(id), &user.token, &body).await
}

async fn answer(world: &World, id: u8) -> Response {
    let message = message(2);
    world
        .post_json(&path(id), &RendezvousAnswer { message })
        .await
}

async fn shown(world: &World, id: u8) -> RendezvousShown {
    let url = format!("{}{}", world.url, path(id));
    let response = world.http.get(url).send().await.unwrap();
    assert_eq!(response.status(), 200);
    json(response).await
}

#[tokio::test]
async fn each_message_is_left_once_and_for_ten_minutes() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let (alice, bob) = (world.sign_up("alice").await, world.sign_up("bob").await);
    assert_eq!(shown(&world, 7).await, RendezvousShown::default());
    // Only who has an account begins one, and nobody else goes on with it.
    assert_error(answer(&world, 7).await, 404, "no_rendezvous").await;
    let late = put(&world, &alice, 7, SponsorStep::Handover).await;
    assert_error(late, 404, "no_rendezvous").await;
    let url = format!("{}{}", world.url, path(7));
    let nobody = world.http.put(&url).body("{}").send().await.unwrap();
    assert_error(nobody, 401, "unauthorized").await;
    for step in [SponsorStep::Hello, SponsorStep::Handover] {
        assert_eq!(put(&world, &alice, 7, step).await.status(), 204);
        let twice = put(&world, &alice, 7, step).await;
        assert_error(twice, 409, "already_left").await;
    }
    let foreign = put(&world, &bob, 7, SponsorStep::Hello).await;
    assert_error(foreign, 409, "already_left").await;
    let foreign = put(&world, &bob, 7, SponsorStep::Handover).await;
    assert_error(foreign, 404, "no_rendezvous").await;
    assert_eq!(answer(&world, 7).await.status(), 204);
    assert_error(answer(&world, 7).await, 409, "already_left").await;
    let all = RendezvousShown {
        hello: Some(message(1)),
        opening: Some(message(2)),
        handover: Some(message(3)),
    };
    assert_eq!(shown(&world, 7).await, all);
    assert_eq!(shown(&world, 8).await, RendezvousShown::default());
    world.clock.fetch_add(ENROLMENT_MS - 1, Ordering::SeqCst);
    assert_eq!(shown(&world, 7).await, all);
    world.clock.fetch_add(1, Ordering::SeqCst);
    assert_eq!(shown(&world, 7).await, RendezvousShown::default());
    world.stop().await;
}

#[tokio::test]
async fn attack_32_messages_have_one_size_and_an_account_some_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    for octets in [0, MESSAGE_OCTETS - 1, MESSAGE_OCTETS + 1] {
        let message: Octets = vec![0; octets].into();
        let body = RendezvousPut {
            step: SponsorStep::Hello,
            message: message.clone(),
        };
        let refused = world.put_json(&path(1), &alice.token, &body).await;
        assert_error(refused, 400, "malformed").await;
        let body = RendezvousAnswer { message };
        assert_error(world.post_json(&path(1), &body).await, 400, "malformed").await;
    }
    let body = RendezvousAnswer {
        message: message(2),
    };
    let id = "/api/v1/rendezvous/7";
    assert_error(world.post_json(id, &body).await, 400, "malformed").await;
    for id in 1..=MAX_OPEN {
        let left = put(&world, &alice, id, SponsorStep::Hello).await;
        assert_eq!(left.status(), 204);
    }
    let more = put(&world, &alice, 99, SponsorStep::Hello).await;
    assert_eq!(more.headers()["retry-after"], "600");
    assert_error(more, 429, "too_many_attempts").await;
    // Each of them can be ended, and when they are over there is room again.
    let last = put(&world, &alice, 1, SponsorStep::Handover).await;
    assert_eq!(last.status(), 204);
    world.clock.fetch_add(ENROLMENT_MS, Ordering::SeqCst);
    let more = put(&world, &alice, 99, SponsorStep::Hello).await;
    assert_eq!(more.status(), 204);
    let rows = "SELECT count(*) FROM rendezvous";
    assert_eq!(backend::number(dir.path(), rows), 1, "what is over is gone");
    // And so is what an account has that has ended.
    let proof = world.prove(&alice.address, PASSWORD).await.unwrap();
    let delete = AccountDelete { proof };
    let path = "/api/v1/account/delete";
    let deleted = world.post_with(path, &alice.token, &delete).await;
    assert_eq!(deleted.status(), 200);
    assert_eq!(backend::number(dir.path(), rows), 0);
    world.stop().await;
}
