//! Messages that are too long to be in memory, through every format and back.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::transfer::message::MAX_IN_MEMORY_OCTETS;

/// Longer than what an import has in memory, with lines that an mbox must quote.
fn long() -> Vec<u8> {
    let mut raw = b"Subject: long\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nFrom me\r\n--b\r\n\
        Content-Type: application/octet-stream\r\n\r\n"
        .to_vec();
    let mut number = 0_u64;
    // Every seventh line gets shorter when it is unquoted.
    while raw.len() <= MAX_IN_MEMORY_OCTETS + MAX_IN_MEMORY_OCTETS / 100 {
        number += 1;
        let line = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let start = if number.is_multiple_of(7) {
            ">From "
        } else {
            ""
        };
        raw.extend_from_slice(format!("{start}{line:x} {:x}\r\n", line.rotate_left(17)).as_bytes());
    }
    raw.extend_from_slice(b"--b--\r\n");
    raw
}

#[tokio::test]
async fn a_long_message_goes_through_every_format() {
    let original = replica().await;
    let into = original.mailbox(&name("INBOX")).unwrap().id;
    let flags = flag_set(&["\\Seen", "Work"]);
    let short = b"Subject: short\r\n\r\nFrom me\r\n";
    for (raw, millis) in [(&short[..], 1), (&long(), 23), (short, 456)] {
        let date = Timestamp::from_millis(1_600_000_000_000 + millis);
        original
            .append(into, raw, flags.clone(), date, now())
            .await
            .unwrap();
    }
    // Hashes of octets under the same keys are equal if the octets are.
    let seen = |replica: &Memory| {
        let into = replica.mailbox(&name("INBOX")).unwrap().id;
        let placements = replica.placements(into).into_iter();
        let seen = placements.map(|p| (p.message, p.size, p.flags, p.internal_date));
        seen.collect::<Vec<_>>()
    };
    let expected = seen(&original);
    for format in [Format::Mbox, Format::Eml] {
        let target = tempfile::tempdir().unwrap();
        export(&original, target.path(), format, false)
            .await
            .unwrap();
        let other = replica().await;
        let read = import(&other, target.path(), import::Options::default())
            .await
            .unwrap();
        assert_eq!(read.messages, 3, "{format:?}: {}", read.notes);
        assert_eq!(seen(&other), expected, "{format:?}");
    }
}

#[tokio::test]
async fn an_import_that_is_stopped_within_a_long_message_begins_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mbox");
    let separator = b"From a@b Fri Nov 21 09:55:06 1997\n";
    let long = long();
    let text = [&separator[..], b"A: 1\n\n\n", separator, &long, b"\n"].concat();
    fs::write(&path, text).unwrap();
    let replica = replica().await;
    let mut source = Source::Local(local::units(&path, Wanted::default()).unwrap());
    let units = source.units().await.unwrap();
    let mut progress = Progress::start(Total::Unknown, now());
    let stop = CancellationToken::new();
    // The clock is read as the message goes on its way: a signal in the middle of it.
    let (read, signal) = (AtomicUsize::new(0), stop.clone());
    let clock = Clock::from_fn(move || {
        if read.fetch_add(1, Ordering::Relaxed) > 40 {
            signal.cancel();
        }
        now()
    });
    let options = import::Options::default();
    let importer = Importer::new(&replica, options, &mut progress, stop, clock);
    let summary = importer.run(&mut source, &units).await.unwrap();
    assert!(summary.stopped);
    assert_eq!(summary.messages, 1);
    let rest = import(&replica, &path, import::Options::default())
        .await
        .unwrap();
    assert_eq!(rest.messages, 1);
    let stored = replica.mailbox(&name("x")).unwrap();
    assert_eq!(stored.messages, 2);
    // Mboxrd, by its content: quoted lines are unquoted.
    let quoted = long.windows(6).filter(|octets| octets == b">From ").count();
    let expected = b"A: 1\n\n".len() + long.len() - quoted;
    assert_eq!(stored.size, expected as u64);
    assert!(replica.check().await.unwrap().is_sound());
}
