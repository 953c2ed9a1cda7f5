//! Mail for somebody who has no room left, and for others in the same transaction.

use std::fs;

use crate::imap::Imap;
use crate::talk::{Fate, Reply, Talk};
use crate::tools::argument;
use crate::world::World;

/// What each account may store, in octets.
const QUOTA: usize = 2_000_000;
/// Most letters until somebody has no room.
const MANY: usize = 40;

/// A letter of so many octets.
fn letter(subject: &str, octets: usize) -> Vec<u8> {
    let mut text = format!("Subject: {subject}\r\n\r\n").into_bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while text.len() < octets {
        for _ in 0..9 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.extend(state.to_be_bytes().map(|octet| b'0' + octet % 64));
        }
        text.extend(b"\r\n");
    }
    text
}

fn deliver(world: &World, to: &[&str], message: &[u8]) -> Vec<Reply> {
    let mut talk = Talk::lmtp(&world.ready().lmtp).expect("connect");
    match talk.deliver("carol@elsewhere.example", to, message) {
        Ok(Fate::Answered(replies)) => replies,
        other => panic!("{other:?}"),
    }
}

#[test]
fn mail_for_a_full_account_waits_and_others_get_theirs() {
    let mut world = World::prepare();
    let config = world.scratch("config").join("letterlock.toml");
    fs::write(&config, format!("[provider]\nquota_octets = {QUOTA}\n")).expect("write");
    world.spawn_with(&["--config", argument(&config)]);
    world.wait_until_ready();
    let (alice, bob) = (world.alice().clone(), world.bob().clone());
    let both = [alice.address.as_str(), bob.address.as_str()];
    let mut accepted = 0;
    let told = (0..MANY).find_map(|number| {
        let message = letter(&format!("number {number:02}"), QUOTA / 8);
        let alone = deliver(&world, &both[..1], &message);
        if alone[0].accepted() {
            accepted += 1;
            return None;
        }
        // Taking mail in can make room once more.
        let replies = deliver(&world, &both, &letter("to both", QUOTA / 8));
        assert!(replies[1].accepted(), "{replies:?}");
        if replies[0].accepted() {
            accepted += 1;
            return None;
        }
        Some(replies[0].clone())
    });
    // RFC 3463 4.2: the sender tries again.
    let told = told.expect("somebody has no room");
    assert_eq!(
        (told.code, told.text.contains("4.2.2")),
        (452, true),
        "{told:?}"
    );
    assert!(accepted > 2);
    Imap::inbox(&world, &bob).wait_for("to both");
    // What was accepted is there.
    let mut imap = Imap::inbox(&world, &alice);
    imap.wait_for("number 02");
    // What can never have room is refused for good, for everybody.
    for reply in deliver(&world, &both, &letter("too large", QUOTA + QUOTA / 8)) {
        assert_eq!(
            (reply.code, reply.text.contains("5.2.2")),
            (552, true),
            "{reply:?}"
        );
    }
}
