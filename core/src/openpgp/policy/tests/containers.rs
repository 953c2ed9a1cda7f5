//! Checks of containers: what is refused before a key is tried.

use super::super::container::{Container, Refused, inspect, inspect_under};

/// A packet with a new-format header and a one- or five-octet length.
fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc0 | tag, 255];
    out.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn seipd_v2(aead: u8, chunk_octet: u8) -> Vec<u8> {
    let mut body = vec![2, 9, aead, chunk_octet];
    body.extend_from_slice(&[0; 64]);
    [packet(1, &[6; 20]), packet(18, &body)].concat()
}

#[test]
fn check_28_session_keys_are_counted() {
    let seipd = packet(18, &[1, 0, 0]);
    let with = |tag, count: usize| [packet(tag, &[3; 10]).repeat(count), seipd.clone()].concat();
    assert_eq!(
        inspect(&with(1, 100)),
        Ok(Container {
            aead_cipher: None,
            has_recipient: true,
            has_password: false
        })
    );
    assert_eq!(inspect(&with(1, 101)), Err(Refused::TooManySessionKeys));
    assert_eq!(inspect(&with(3, 9)), Err(Refused::TooManySessionKeys));
    assert!(inspect(&with(3, 8)).unwrap().has_password);
}

#[test]
fn check_30_containers_without_integrity_are_refused() {
    for tag in [9, 20] {
        let message = [packet(1, &[3; 10]), packet(tag, &[1, 2, 3])].concat();
        assert_eq!(inspect(&message), Err(Refused::NoIntegrity));
    }
    assert_eq!(inspect(&packet(18, &[3, 0, 0])), Err(Refused::Version));
    assert_eq!(
        inspect(&packet(11, b"b\0\0\0\0\0hi")),
        Err(Refused::NotEncrypted)
    );
}

#[test]
fn large_ocb_chunks_are_refused_where_they_cannot_be_opened() {
    let limit = Some(512 * 1024);
    assert_eq!(
        inspect_under(&seipd_v2(2, 14), limit),
        Err(Refused::ChunkTooLarge {
            octets: 1 << 20,
            limit: 512 * 1024
        })
    );
    let message = Refused::ChunkTooLarge {
        octets: 1 << 20,
        limit: 512 * 1024,
    }
    .to_string();
    assert!(
        message.contains("524288") && message.contains("bridge"),
        "{message}"
    );
    assert!(inspect_under(&seipd_v2(2, 13), limit).is_ok());
    assert!(
        inspect_under(&seipd_v2(3, 16), limit).is_ok(),
        "GCM has no such limit"
    );
    assert!(inspect_under(&seipd_v2(2, 255), None).is_ok());
}

#[test]
fn legacy_and_partial_packet_headers_are_read() {
    let legacy = [
        vec![0x84, 3, 1, 2, 3],
        vec![0xcb_u8 & 0x80 | (18 << 2 & 0x3c)],
    ]
    .concat();
    // Tag 18 does not fit a legacy header: whatever stands there is no container.
    assert!(inspect(&legacy).is_err());
    let partial = [vec![0x84, 3, 1, 2, 3], vec![0xd2, 0xe9, 1], vec![0; 600]].concat();
    assert!(inspect(&partial).unwrap().has_recipient);
}

#[test]
fn no_octets_make_it_panic() {
    let whole = seipd_v2(2, 6);
    for length in 0..whole.len() {
        let _ = inspect(&whole[..length]);
    }
    for first in 0..=255 {
        for second in 0..=255 {
            let _ = inspect(&[first, second, 0xff, 0xff, 0xff, 0xff]);
        }
    }
}
