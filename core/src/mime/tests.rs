//! Splitting and joining whole messages.

use super::*;

fn round_trip(raw: &[u8]) -> Structure {
    let message = split(raw);
    let joined = join(&message.structure, &message.skeleton, &message.leaves).unwrap();
    assert!(joined == raw, "join(split) differs");
    message.structure
}

#[test]
fn a_plain_message() {
    let structure = round_trip(b"From: a@b\r\nSubject: x\r\n\r\nbody\r\n");
    assert_eq!(structure.leaves.len(), 1);
    assert_eq!(structure.lines, 4);
}
