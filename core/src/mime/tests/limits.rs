//! Hostile sizes: linear in time, bounded in depth and number.

use std::fmt::Write as _;

use super::round_trip;
use crate::mime::{Content, Defect, MAX_DEPTH, MAX_PARTS, Structure, split};

/// Splits within the time that a build without optimisation needs for the size, several times over.
#[expect(clippy::disallowed_methods, reason = "the test is about time")]
fn quick(what: &str, raw: &[u8]) -> Structure {
    let start = std::time::Instant::now();
    let structure = split(raw).structure;
    let took = start.elapsed();
    println!("{what}: {} octets in {took:?}", raw.len());
    assert!(took.as_secs() < 5, "{what} took {took:?}");
    structure
}

#[test]
fn long_headers() {
    let long = format!("Subject: {}\r\nFrom: a@b\r\n\r\nx", "y".repeat(10_000_000));
    let structure = quick("one long field", long.as_bytes());
    assert!(structure.defects.contains(&Defect::LongValue));
    assert_eq!(structure.envelope.from.len(), 1);
    let folded = format!("To: {}\r\n\r\nx", "a@b,\r\n ".repeat(300_000));
    let structure = quick("many addresses", folded.as_bytes());
    assert!(
        structure.defects.contains(&Defect::LongValue) || structure.envelope.to.len() <= 10_000
    );
    quick("many fields", "A: b\n".repeat(300_000).as_bytes());
    quick("many lines without colon", "x\n".repeat(500_000).as_bytes());
    quick(
        "many encoded words",
        format!("Subject: {}\n\n", "=?a?q?x ".repeat(100_000)).as_bytes(),
    );
    quick(
        "many comments",
        format!("From: {}\n\n", "(".repeat(1_000_000)).as_bytes(),
    );
}

#[test]
fn long_bodies() {
    quick("one long line", &b"--------".repeat(600_000));
    let mut raw = b"Content-Type: multipart/mixed; boundary=b\n\n".to_vec();
    raw.extend(b"--\n--b \t  x\n--bb--\n".repeat(200_000));
    let structure = quick("lines like delimiters", &raw);
    assert_eq!(structure.leaves.len(), 1);
    let mut raw = b"Content-Type: multipart/mixed; boundary=b\n\n".to_vec();
    raw.extend(b"preamble\n".repeat(20_000));
    raw.extend(b"--b\n\nx\n--b--\n");
    raw.extend(b"epilogue\n".repeat(20_000));
    let structure = round_trip(&raw);
    assert_eq!(structure.leaves.len(), 3);
    assert_eq!(
        structure.part(&[1]).and_then(crate::mime::Part::leaf),
        Some(1)
    );
    assert!(split(&raw).skeleton.len() < 200);
}

#[test]
fn deep_nesting() {
    let mut raw = String::new();
    for level in 0..300 {
        let _ = write!(
            raw,
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"
        );
    }
    raw.push_str("\nx\n");
    // Lines that have to be looked up under all the boundaries.
    raw.push_str(&"--b\n".repeat(100_000));
    let structure = quick("deep multiparts", raw.as_bytes());
    assert!(structure.defects.contains(&Defect::TooDeep));
    let path = vec![1; MAX_DEPTH - 1];
    let part = structure.part(&path).unwrap();
    assert!(part.is("application", "octet-stream"));
    assert!(structure.part(&[&path[..], &[1]].concat()).is_none());
    round_trip(raw.as_bytes());
    let raw = "Content-Type: message/rfc822\n\n".repeat(100_000);
    let structure = quick("deep messages", raw.as_bytes());
    assert!(structure.defects.contains(&Defect::TooDeep));
    assert_eq!(structure.leaves.len(), 1);
    round_trip(raw.as_bytes());
}

#[test]
fn many_parts() {
    let part = "--b\nContent-Type: text/plain; charset=utf-8\n\nx\n";
    let mut raw = "Content-Type: multipart/mixed; boundary=b\n\n".to_owned();
    raw.push_str(&part.repeat(MAX_PARTS + 500));
    raw.push_str("--b--\n");
    let structure = quick("many parts", raw.as_bytes());
    assert!(structure.defects.contains(&Defect::TooManyParts));
    let Content::Multipart(parts) = &structure.root.content else {
        panic!("no multipart")
    };
    assert_eq!(parts.len(), MAX_PARTS);
    let rest = parts.last().unwrap();
    assert!(rest.is("application", "octet-stream"));
    assert_eq!(rest.body.end, structure.size);
    assert_eq!(rest.lines, 501 * 4 - 1 + 1);
    round_trip(raw.as_bytes());
    // Each of them a message with an address list of its own.
    let part = format!("--b\n\nTo: {}\n\n", "a,".repeat(50));
    let raw = format!(
        "Content-Type: multipart/digest; boundary=b\n\n{}",
        part.repeat(6_000)
    );
    let structure = quick("many messages", raw.as_bytes());
    assert!(structure.defects.contains(&Defect::TooManyParts));
    assert!(structure.defects.contains(&Defect::TooManyValues));
}
