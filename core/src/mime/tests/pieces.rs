//! A message that comes in pieces: the same result however it is cut, and little in memory.

use proptest::prelude::*;

use super::mail_like;
use crate::mime::{
    Defect, LeafSink, MAX_DELIMITER_OCTETS, MAX_GAP_OCTETS, MAX_SKELETON_OCTETS, Splitter, join,
    split,
};

/// Keeps the leaves and checks that they come as promised.
#[derive(Default)]
struct Checked {
    leaves: Vec<Vec<u8>>,
    open: bool,
}

impl LeafSink for Checked {
    fn octets(&mut self, leaf: usize, octets: &[u8]) {
        assert!(!octets.is_empty());
        if !self.open {
            self.leaves.push(Vec::new());
            self.open = true;
        }
        assert_eq!(leaf, self.leaves.len() - 1);
        self.leaves[leaf].extend_from_slice(octets);
    }

    fn end(&mut self, leaf: usize) {
        if !self.open {
            self.leaves.push(Vec::new());
        }
        self.open = false;
        assert_eq!(leaf, self.leaves.len() - 1);
    }
}

/// Feeds the pieces and compares with the whole.
pub(super) fn check_pieces<'a>(raw: &[u8], pieces: impl Iterator<Item = &'a [u8]>, how: &str) {
    let mut sink = Checked::default();
    let mut splitter = Splitter::new();
    for piece in pieces {
        splitter.feed(piece, &mut sink);
    }
    let message = splitter.finish(&mut sink);
    assert!(!sink.open);
    let whole = split(raw);
    assert!(whole.leaves == sink.leaves, "other leaves in {how}");
    assert!(
        whole.skeleton == message.skeleton,
        "another skeleton in {how}"
    );
    assert!(
        whole.structure == message.structure,
        "another structure in {how}: {:?} and {:?}",
        whole.structure,
        message.structure
    );
    let joined = join(&message.structure, &message.skeleton, &sink.leaves).unwrap();
    assert!(joined == raw, "{how} does not join to itself");
}

/// Cuts at every octet, into pairs, into odd pieces.
pub(super) fn check_small_pieces(raw: &[u8], name: &str) {
    for size in [1, 2, 7, 61] {
        check_pieces(raw, raw.chunks(size), &format!("{name} by {size}"));
    }
}

#[test]
fn delimiters_are_cut_anywhere() {
    let messages = [
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nA: b\r\n\r\nx\r\n\r\n--b\r\n\r\n--\r\n-\r\n--bb\r\n--b --\r\n--b  \t \r\n\r\n\r\n--b--\r\nepilogue\r",
        "Content-Type: multipart/mixed; boundary=b\n\n--b--\n--b\n\nx\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b--\r\n--b\r\n\r\nx\r\r\n",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--i--\n--o\n\n\n--o--",
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i--\n--o\nContent-Type: message/rfc822\n--o--\n",
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n--i--\r\n\r\n--o--\r\n",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\r\n\r--b\r\n\r\ny\r",
        "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/digest; boundary=b\r\n\r\n--b",
        "",
        "\r",
        "\n",
        "\r\n",
        "-",
        "--",
    ];
    for raw in messages {
        for end in 0..=raw.len() {
            check_small_pieces(&raw.as_bytes()[..end], raw);
        }
        for at in 0..raw.len() {
            let (a, b) = raw.as_bytes().split_at(at);
            check_pieces(raw.as_bytes(), [a, b].into_iter(), raw);
        }
    }
}

#[test]
fn long_delimiters_and_gaps() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n";
    for (less, parts) in [(1, 1), (3, 1), (4, 2), (5, 2), (100, 2)] {
        let spaces = " ".repeat(MAX_DELIMITER_OCTETS - less);
        let raw = format!("{head}--b\n\nx\n--b{spaces}\n\ny\n--b--\n");
        check_small_pieces(raw.as_bytes(), "spaces");
        let structure = split(raw.as_bytes()).structure;
        assert_eq!(structure.root.children().len(), parts, "{less}");
    }
    for gap in [MAX_GAP_OCTETS - 1, MAX_GAP_OCTETS, MAX_GAP_OCTETS + 1] {
        let text = "g".repeat(gap);
        let raw = format!("{head}{text}\n--b\n\nx\n--b--\n{text}");
        check_pieces(raw.as_bytes(), raw.as_bytes().chunks(1000), "gaps");
        let leaves = split(raw.as_bytes()).leaves.len();
        assert_eq!(leaves, if gap > MAX_GAP_OCTETS { 3 } else { 1 }, "{gap}");
        let raw = format!("{head}{text}\n--b--\n{text}");
        check_pieces(raw.as_bytes(), raw.as_bytes().chunks(1000), "no parts");
        assert_eq!(split(raw.as_bytes()).leaves.len(), 1);
    }
}

#[test]
fn too_much_header_is_a_closed_part() {
    let field = format!("X-Long: {}\n", "x".repeat(1000));
    let many = field.repeat(MAX_SKELETON_OCTETS / field.len() + 2);
    let raw = format!("From: a@b\n{many}\nbody\n");
    let message = split(raw.as_bytes());
    assert!(message.structure.defects.contains(&Defect::TooMuchHeader));
    assert_eq!(message.skeleton.len(), MAX_SKELETON_OCTETS);
    assert_eq!(message.structure.envelope.from.len(), 1);
    assert!(message.structure.root.is("application", "octet-stream"));
    check_pieces(raw.as_bytes(), raw.as_bytes().chunks(1001), "header");
    // Headers of parts, and preambles that alone would not be too much.
    let head = "Content-Type: multipart/mixed; boundary=b\n\n";
    let inner = format!(
        "--b\nContent-Type: multipart/mixed; boundary=i\n\n{}\n--i\n\nx\n--i--\n",
        "p".repeat(60_000)
    );
    let raw = format!("{head}{}--b\n{field}\n", inner.repeat(400));
    let message = split(raw.as_bytes());
    assert!(message.skeleton.len() <= MAX_SKELETON_OCTETS);
    assert_eq!(message.structure.root.children().len(), 401);
    let raw = format!(
        "{head}{}",
        format!("--b\n{field}\n").repeat(MAX_SKELETON_OCTETS / 1000)
    );
    let message = split(raw.as_bytes());
    assert!(message.structure.defects.contains(&Defect::TooManyParts));
    let raw = format!("{head}{}", format!("--b\n{field}{field}\n").repeat(9_000));
    let message = split(raw.as_bytes());
    assert!(message.structure.defects.contains(&Defect::TooMuchHeader));
    assert!(message.skeleton.len() <= MAX_SKELETON_OCTETS + MAX_DELIMITER_OCTETS);
    check_pieces(
        raw.as_bytes(),
        raw.as_bytes().chunks(1001),
        "headers of parts",
    );
}

/// Counts the octets that come at once.
#[derive(Default)]
struct Largest {
    octets: usize,
    all: usize,
}

impl LeafSink for Largest {
    fn octets(&mut self, _: usize, octets: &[u8]) {
        self.octets = self.octets.max(octets.len());
        self.all += octets.len();
    }

    fn end(&mut self, _: usize) {}
}

#[test]
fn an_attachment_passes_through() {
    let mut sink = Largest::default();
    let mut splitter = Splitter::new();
    splitter.feed(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n", &mut sink);
    let line = [&[b'A'; 76][..], b"\r\n"].concat();
    let piece = line.repeat(100);
    for _ in 0..1000 {
        splitter.feed(&piece, &mut sink);
    }
    splitter.feed(b"--b--\r\n", &mut sink);
    let message = splitter.finish(&mut sink);
    assert_eq!(sink.all, 7_800_000 - 2);
    assert!(sink.octets <= piece.len() + line.len());
    assert!(message.skeleton.len() < 200);
    assert_eq!(message.structure.part(&[1]).unwrap().lines, 99_999);
}

proptest! {
    #[test]
    fn pieces_make_no_difference(
        raw in mail_like(),
        cuts in prop::collection::vec(0..200_usize, 1..40),
    ) {
        check_small_pieces(&raw, "proptest");
        let mut rest = &raw[..];
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        check_pieces(&raw, pieces.into_iter(), "proptest");
    }
}
