//! Splitting and joining whole messages: structure, sections, properties, time.

use proptest::prelude::*;

use super::header::{FieldSelection, select_fields};
use super::*;

mod corpora;
mod expected;
mod golden;
mod limits;
mod pieces;

/// Splits, joins, and checks what holds for every message.
pub(super) fn round_trip(raw: &[u8]) -> Structure {
    let message = split(raw);
    let joined = join(&message.structure, &message.skeleton, &message.leaves).unwrap();
    assert!(joined == raw, "join(split) differs");
    let structure = message.structure;
    assert_eq!(structure.size, raw.len() as u64);
    let mut at = 0;
    for span in &structure.leaves {
        assert!(at <= span.start && span.start <= span.end && span.end <= structure.size);
        at = span.end;
    }
    let assemble = |span: Span| -> Vec<u8> {
        let pieces = structure.pieces(span);
        pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Skeleton(range) => message.skeleton[range.clone()].iter().copied(),
                Piece::Leaf { index, range } => {
                    message.leaves[*index][range.clone()].iter().copied()
                }
            })
            .collect()
    };
    let mut to_do = vec![(Vec::new(), &structure.root)];
    let mut seen = 0;
    while let Some((path, part)) = to_do.pop() {
        assert_eq!(part.header.end, part.body.start);
        if let Some(leaf) = part.leaf() {
            assert_eq!(structure.leaves[leaf], part.body);
        }
        // Sections are what they say; a few suffice, this is quadratic in the leaves.
        seen += 1;
        if seen < 20 {
            assert!(assemble(part.body) == part.body.of(raw), "{path:?}");
            assert!(assemble(part.header) == part.header.of(raw), "{path:?}");
        }
        let inner: Vec<_> = match &part.content {
            Content::Multipart(parts) => parts
                .iter()
                .zip(1_u32..)
                .map(|(p, n)| ([&path[..], &[n]].concat(), p))
                .collect(),
            Content::Message { part, .. } => vec![(path, &**part)],
            Content::Leaf(_) => vec![],
        };
        to_do.extend(inner);
    }
    let header = structure.section(&[], SectionKind::Header).unwrap();
    let text = structure.section(&[], SectionKind::Text).unwrap();
    assert_eq!(
        (header.start, header.end, text.end),
        (0, text.start, structure.size)
    );
    let bytes = postcard::to_stdvec(&structure).unwrap();
    assert!(postcard::from_bytes::<Structure>(&bytes).unwrap() == structure);
    structure
}

/// RFC 9051 6.4.5.1, in small.
const NESTED: &str = "From: a@b\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\npreamble\r\n\
    --o\r\n\r\none\r\n\
    --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=oo\r\n\r\n\
    --oo\r\nContent-Type: text/plain\r\n\r\nplain\r\n\
    --oo \t\r\nContent-Type: text/html\r\n\r\n<b>html</b>\r\n\
    --oo--\r\ninner epilogue\r\n\
    --o\r\nContent-Type: message/rfc822\r\n\r\nSubject: second\r\n\r\nsimple\r\nbody\r\n\
    --o--\r\nepilogue\r\n";

fn section(raw: &str, path: &[u32], kind: SectionKind) -> Option<String> {
    let span = round_trip(raw.as_bytes()).section(path, kind)?;
    Some(String::from_utf8(span.of(raw.as_bytes()).to_vec()).unwrap())
}

#[test]
fn sections_are_addressed() {
    use SectionKind::{Content, Header, Mime, Text};
    let check = |path: &[u32], kind, expected: Option<&str>| {
        assert_eq!(
            section(NESTED, path, kind).as_deref(),
            expected,
            "{path:?} {kind:?}"
        );
    };
    check(&[], Content, Some(NESTED));
    check(&[], Mime, None);
    check(&[1], Content, Some("one"));
    check(&[1], Mime, Some("\r\n"));
    check(&[1], Header, None);
    check(&[1, 1], Content, None);
    check(&[2], Mime, Some("Content-Type: message/rfc822\r\n\r\n"));
    check(&[2, 1], Content, Some("plain"));
    check(&[2, 2], Content, Some("<b>html</b>"));
    check(&[2, 2], Mime, Some("Content-Type: text/html\r\n\r\n"));
    check(&[3], Header, Some("Subject: second\r\n\r\n"));
    check(&[3], Text, Some("simple\r\nbody"));
    check(&[3], Content, Some("Subject: second\r\n\r\nsimple\r\nbody"));
    check(&[3, 1], Content, Some("simple\r\nbody"));
    check(&[3, 2], Content, None);
    check(&[4], Content, None);
    check(&[0], Content, None);
    assert!(
        section(NESTED, &[2], Text)
            .unwrap()
            .ends_with("--oo--\r\ninner epilogue")
    );
}

#[test]
fn a_message_that_is_no_multipart_has_part_1() {
    use SectionKind::{Content, Header, Mime};
    let raw = "Subject: x\n\nbody\n";
    assert_eq!(section(raw, &[1], Content).as_deref(), Some("body\n"));
    assert_eq!(section(raw, &[1], Mime).as_deref(), Some("Subject: x\n\n"));
    assert_eq!(section(raw, &[2], Content), None);
    let raw = "Content-Type: message/rfc822\n\nSubject: in\n\nbody\n";
    assert_eq!(
        section(raw, &[1], Header).as_deref(),
        Some("Subject: in\n\n")
    );
    assert_eq!(section(raw, &[1, 1], Content).as_deref(), Some("body\n"));
}

#[test]
fn the_structure_says_what_it_has() {
    let structure = round_trip(NESTED.as_bytes());
    assert_eq!(structure.defects, [Defect::BadDate]);
    let part = structure.part(&[3]).unwrap();
    assert_eq!(part.lines, 3);
    let Content::Message { envelope, .. } = &part.content else {
        panic!("no message")
    };
    assert_eq!(envelope.subject.as_deref(), Some(&b"second"[..]));
    assert_eq!(structure.leaves.len(), 4);
    assert_eq!(structure.summary.preview, "one");
    assert!(structure.summary.has_attachment);
    assert!(!format!("{structure:?}").contains("second"));
}

fn defects(raw: &str) -> Vec<Defect> {
    let defects = round_trip(raw.as_bytes()).defects.into_iter();
    defects
        .filter(|d| !matches!(d, Defect::BadDate | Defect::MissingFrom))
        .collect()
}

#[test]
fn odd_messages_are_data_with_defects() {
    let check = |raw: &str, expected: &[Defect]| assert_eq!(defects(raw), expected, "{raw}");
    check(
        "Content-Type: multipart/mixed\r\n\r\n--x\r\n",
        &[Defect::MissingBoundary],
    );
    check(
        "Content-Type: multipart/mixed; boundary=x\r\n\r\nno\r\n",
        &[Defect::NoParts, Defect::UnterminatedMultipart],
    );
    check(
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
        &[Defect::NoParts],
    );
    check(
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nA",
        &[Defect::UnterminatedMultipart],
    );
    check(
        "junk\r\nA: b\n\n\0",
        &[
            Defect::HeaderLineWithoutColon,
            Defect::BareLineFeed,
            Defect::NulOctet,
        ],
    );
    check("From a@b Sat\r\nA: b\r\n\r\n", &[Defect::MboxFromLine]);
    check("A: b", &[Defect::MissingBlankLine]);
    check("Content-Type: text\r\n\r\n", &[Defect::BadContentType]);
    check(
        "Content-Transfer-Encoding: base64\r\n\r\nA*==\r\n",
        &[Defect::BadBase64],
    );
    check(
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: Base64\r\n\r\nQQ==",
        &[Defect::EncodedMessage],
    );
}

#[test]
fn delimiters_at_the_edges() {
    let head = "Content-Type: multipart/mixed; boundary=b\n\n";
    let bodies = |body: &str| -> Vec<String> {
        let raw = format!("{head}{body}");
        let structure = round_trip(raw.as_bytes());
        let children = structure.root.children();
        let body = |p: &Part| String::from_utf8(p.body.of(raw.as_bytes()).to_vec()).unwrap();
        children.iter().map(body).collect()
    };
    assert_eq!(bodies("--b\n--b\n\n--b\n\n\n--b--"), ["", "", ""]);
    assert_eq!(bodies("--b\nA: b\n--b--\n"), [""]);
    assert_eq!(
        bodies("--b\r\n\r\nx\r\n\r\n--b\r\n\r\ny\r\n--bb\r\n--b--x\r\n--b--"),
        ["x\r\n", "y\r\n--bb\r\n--b--x"]
    );
    assert_eq!(bodies("x--b\n --b\n--b  \n\n1\n--b--\n--b\n\n2\n"), ["1"]);
    // A quoted boundary that looks like a closing delimiter, and one around it.
    let raw = "Content-Type: multipart/mixed; boundary=\"b--\"\n\n--b--\n\n1\n--b----\n";
    assert_eq!(round_trip(raw.as_bytes()).root.children().len(), 1);
}

#[test]
fn a_digest_has_messages() {
    let raw = "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: 1\n\nx\n--b--\n";
    let structure = round_trip(raw.as_bytes());
    assert!(matches!(
        structure.part(&[1]).unwrap().content,
        Content::Message { .. }
    ));
    assert_eq!(
        structure.part(&[1, 1]).unwrap().body.of(raw.as_bytes()),
        b"x"
    );
}

#[test]
fn join_refuses_what_does_not_fit() {
    let message = split(NESTED.as_bytes());
    let (s, skeleton, leaves) = (&message.structure, &message.skeleton, &message.leaves);
    assert_eq!(
        join(s, skeleton, &leaves[1..]),
        Err(JoinError::LeafCount {
            expected: 4,
            given: 3
        })
    );
    let mut wrong = leaves.clone();
    wrong.swap(0, 1);
    assert_eq!(
        join(s, skeleton, &wrong),
        Err(JoinError::LeafLength { index: 0 })
    );
    wrong[1] = b"";
    assert_eq!(
        join(s, skeleton, &wrong),
        Err(JoinError::LeafLength { index: 0 })
    );
    assert_eq!(
        join(s, &skeleton[1..], leaves),
        Err(JoinError::SkeletonLength)
    );
}

/// Fragments of which messages are made.
fn mail_like() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        " ",
        "--a",
        "--b",
        "--ab",
        "--a--",
        "--b--",
        "\r\n--a\r\n",
        "\n--b\n",
        "\r\n--a--\r\n",
        "\n\n",
        "\r\n\r\n",
        "Content-Type: multipart/mixed; boundary=a\r\n",
        "Content-Type: multipart/digest; boundary=\"b\"\n",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: multipart/alternative;\r\n boundary=ab\r\n",
        "Content-Type: text/html\n",
        "Content-Transfer-Encoding: base64\n",
        "From: a <b@c>, (x\r\n",
        "To: g:;,<@r:l@d>\n",
        "Subject: =?utf-8?q?=C3?= x\n",
        "Date: Fri, 21 Nov 1997 09:55:06 -0600\n",
        "text",
        "\0",
        "Letterlock-X: y\r\n",
        "Content-Disposition: attachment; filename*0*=utf-8''%C3\n",
        "<p>&amp;<script>",
        "é",
        "From ",
    ]);
    prop::collection::vec(fragment, 0..60).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn every_octet_string_joins_to_itself(raw in prop::collection::vec(any::<u8>(), 0..2000)) {
        round_trip(&raw);
    }

    #[test]
    fn everything_like_mail_joins_to_itself(raw in mail_like()) {
        let structure = round_trip(&raw);
        for shown in text::body_to_show(&structure).text {
            let part = structure.part(&shown.path).unwrap();
            text::decode_text(part, structure.leaves[shown.leaf].of(&raw));
        }
        let stripped = strip_status_fields(&raw).into_owned();
        prop_assert_eq!(&strip_status_fields(&stripped)[..], &stripped[..]);
        let header = structure.root.header.of(&raw);
        select_fields(header, FieldSelection::FieldsNot, &["subject"]);
    }
}
