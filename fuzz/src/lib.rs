//! What the fuzz targets check: one function each, which takes any octets and panics at a finding.
//!
//! The same functions are run over the committed corpora by `core/tests/fuzz_corpora.rs`, so that
//! what was found once is looked for in every test run. Only the public interface is used.
//!
//! A new target is a function here, a program in `fuzz_targets/` with its `[[bin]]` in
//! `Cargo.toml`, a folder in `corpus/`, a line in `xtask/src/fuzz.rs`, and a test in
//! `core/tests/fuzz_corpora.rs`.

pub mod openpgp;

use letterlock_core::id::Timestamp;
use letterlock_core::mime::address::{parse_addresses, parse_mailboxes, parse_message_ids};
use letterlock_core::mime::header::{self, FieldSelection};
use letterlock_core::mime::text::{body_to_show, decode_attachment, decode_text, preview};
use letterlock_core::mime::{
    Content, LeafSink, Part, Piece, SectionKind, Span, Split, Splitter, Structure, decode_binary,
    decode_extended, decode_header, file_names, format_date, html_to_text, join, parse_date,
    parse_parameterised, searchable_pieces, split, strip_status_fields,
};
use letterlock_core::search::Query;

/// Most addresses and ids asked for.
const LIMIT: usize = 100;
/// Longest preview, in characters (RFC 8970 3).
const PREVIEW_CHARS: usize = 200;

/// Whatever a person types is a query, and reads the same when it is written out.
pub fn search_query(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let query = Query::parse(&text);
    let shown = query.to_string();
    assert!(
        Query::parse(&shown) == query,
        "written out it is another query"
    );
    for note in query.notes() {
        assert!(!note.to_string().is_empty(), "a note without words");
    }
}

/// A message joins to itself, and comes out the same however it is cut into pieces.
pub fn mime_split_join(octets: &[u8]) {
    let whole = split(octets);
    let joined = join(&whole.structure, &whole.skeleton, &whole.leaves);
    assert!(joined.as_deref() == Ok(octets), "does not join to itself");
    if octets.len() <= 4096 {
        check_pieces(octets, &whole, octets.chunks(1));
    }
    check_pieces(octets, &whole, odd_pieces(octets).into_iter());
    let stripped = strip_status_fields(octets);
    assert!(stripped.len() <= octets.len());
}

fn check_pieces<'a>(octets: &[u8], whole: &Split<'_>, pieces: impl Iterator<Item = &'a [u8]>) {
    let mut sink = Leaves::default();
    let mut splitter = Splitter::new();
    for piece in pieces {
        splitter.feed(piece, &mut sink);
    }
    let message = splitter.finish(&mut sink);
    assert!(!sink.open, "a leaf has not ended");
    assert!(message.structure == whole.structure, "another structure");
    assert!(message.skeleton == whole.skeleton, "another skeleton");
    assert!(sink.leaves == whole.leaves, "other leaves");
    let joined = join(&message.structure, &message.skeleton, &sink.leaves);
    assert!(joined.as_deref() == Ok(octets), "pieces do not join");
}

/// Cuts into pieces of 1 to 64 octets, which depend on nothing but the octets.
fn odd_pieces(octets: &[u8]) -> Vec<&[u8]> {
    let mut state = octets.len() as u64 | 1;
    let mut rest = octets;
    let mut pieces = Vec::new();
    while let Some(first) = rest.first() {
        // Knuth's generator; the upper bits are the good ones.
        state = state
            .wrapping_add(u64::from(*first))
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let length = usize::try_from(state >> 58).unwrap_or(0).saturating_add(1);
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// Keeps the leaves and checks that they come in order.
#[derive(Default)]
struct Leaves {
    leaves: Vec<Vec<u8>>,
    open: bool,
}

impl Leaves {
    fn open(&mut self, leaf: usize) {
        if !self.open {
            self.leaves.push(Vec::new());
            self.open = true;
        }
        assert!(leaf.saturating_add(1) == self.leaves.len(), "out of order");
    }
}

impl LeafSink for Leaves {
    fn octets(&mut self, leaf: usize, octets: &[u8]) {
        assert!(!octets.is_empty(), "no octets");
        self.open(leaf);
        if let Some(leaf) = self.leaves.last_mut() {
            leaf.extend_from_slice(octets);
        }
    }

    fn end(&mut self, leaf: usize) {
        self.open(leaf);
        self.open = false;
    }
}

/// The structure says what stands where, and all that is computed from it keeps its limits.
pub fn mime_structure(octets: &[u8]) {
    let message = split(octets);
    let structure = &message.structure;
    check_spans(structure);
    let stored = postcard::to_stdvec(structure).unwrap_or_default();
    let loaded = postcard::from_bytes::<Structure>(&stored);
    assert!(loaded.as_ref() == Ok(structure), "does not come back");
    let mut sections = 0_usize;
    let mut to_do = vec![(Vec::new(), &structure.root)];
    while let Some((path, part)) = to_do.pop() {
        check_part(octets, structure, part);
        // Putting sections together is quadratic in the leaves: some suffice.
        sections = sections.saturating_add(1);
        if sections < 20 {
            check_sections(octets, &message, &path);
        }
        match &part.content {
            Content::Multipart(parts) => to_do.extend(
                (1_u32..)
                    .zip(parts)
                    .map(|(number, part)| ([&path[..], &[number]].concat(), part)),
            ),
            Content::Message { part, .. } => to_do.push((path, part)),
            Content::Leaf(_) => {}
        }
    }
    check_texts(octets, &message);
}

fn check_spans(structure: &Structure) {
    let mut at = 0;
    for span in &structure.leaves {
        assert!(at <= span.start && span.start <= span.end, "leaves overlap");
        at = span.end;
    }
    assert!(at <= structure.size, "a leaf beyond the end");
}

fn check_part(octets: &[u8], structure: &Structure, part: &Part) {
    assert!(part.header.start <= part.header.end);
    assert!(part.header.end == part.body.start, "a gap in a part");
    assert!(part.body.start <= part.body.end && part.body.end <= structure.size);
    let body = part.body.of(octets);
    let lines = body.split(|octet| *octet == b'\n').count();
    assert!(
        part.lines.saturating_add(1) == lines as u64,
        "lines are counted wrongly"
    );
    if let Some(leaf) = part.leaf() {
        assert!(structure.leaves.get(leaf) == Some(&part.body), "no leaf");
        let decoded = decode_attachment(part, body);
        assert!(decoded.len() <= body.len(), "decoding makes it longer");
        if let Ok(binary) = decode_binary(part, body) {
            assert!(binary == decoded, "BINARY differs");
        }
        decode_text(part, body);
    }
    for child in part.children() {
        assert!(part.body.start <= child.header.start && child.body.end <= part.body.end);
    }
}

fn check_sections(octets: &[u8], message: &Split<'_>, path: &[u32]) {
    use SectionKind::{Content, Header, Mime, Text};
    for kind in [Content, Header, Text, Mime] {
        let Some(span) = message.structure.section(path, kind) else {
            continue;
        };
        assert!(read(message, span) == span.of(octets), "a section differs");
    }
}

/// Reads octets from where they are kept.
fn read(message: &Split<'_>, span: Span) -> Vec<u8> {
    let mut read = Vec::new();
    for piece in message.structure.pieces(span) {
        let octets = match piece {
            Piece::Skeleton(range) => message.skeleton.get(range),
            Piece::Leaf { index, range } => {
                message.leaves.get(index).and_then(|leaf| leaf.get(range))
            }
        };
        read.extend_from_slice(octets.unwrap_or_default());
    }
    read
}

fn check_texts(octets: &[u8], message: &Split<'_>) {
    let structure = &message.structure;
    assert!(structure.summary.preview.chars().count() <= PREVIEW_CHARS);
    let body = body_to_show(structure);
    for shown in body.text.iter().chain(&body.html) {
        let (Some(part), Some(span)) = (
            structure.part(&shown.path),
            structure.leaves.get(shown.leaf),
        ) else {
            unreachable!("a part is shown that is not there");
        };
        let (text, _) = decode_text(part, span.of(octets));
        assert!(preview(&html_to_text(&text)).chars().count() <= PREVIEW_CHARS);
    }
    for attachment in &body.attachments {
        let name = attachment.file_name.as_deref().unwrap_or("name");
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0', '\n']));
    }
    for piece in searchable_pieces(structure) {
        // Every octet may become a replacement character, and every line of a header may lack
        // its end; nothing makes a text much longer than that.
        let wire = piece.span().of(octets);
        assert!(piece.decoded(wire).len() <= wire.len().saturating_mul(4).saturating_add(4));
    }
    for name in file_names(structure) {
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0', '\n']));
    }
}

/// Whatever stands in a header is decoded for people without line breaks, and fields are cut
/// without losing an octet.
pub fn header_decoding(octets: &[u8]) {
    let text = decode_header(octets);
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\t'),
        "control characters"
    );
    check_parameters(octets);
    check_addresses(octets);
    check_fields(octets);
    if let Some(date) = parse_date(octets) {
        let again = parse_date(format_date(date).as_bytes());
        // Years beyond four digits are not written as they are read.
        let in_range =
            date >= Timestamp::from_secs(0) && date < Timestamp::from_secs(253_402_300_800);
        assert!(!in_range || again == Some(date), "another date");
    }
}

fn check_parameters(octets: &[u8]) {
    let parsed = parse_parameterised(octets);
    assert!(parsed.parameters.len() <= LIMIT);
    for (name, value) in &parsed.parameters {
        assert!(!name.is_empty());
        decode_extended(value);
    }
}

fn check_addresses(octets: &[u8]) {
    let parsed = parse_addresses(octets, LIMIT);
    // The marks of groups may be two more.
    assert!(parsed.addresses.len() <= LIMIT.saturating_add(2));
    for mailbox in parse_mailboxes(octets, LIMIT) {
        assert!(
            !mailbox.name.contains(['\r', '\n']),
            "a line break in a name"
        );
    }
    for id in parse_message_ids(octets, LIMIT) {
        assert!(!id.is_empty());
    }
}

fn check_fields(octets: &[u8]) {
    let end = header::header_end(octets);
    let mut at = 0;
    for field in header::fields(octets) {
        assert!(field.range.start == at, "a gap between fields");
        assert!(octets.get(field.range.clone()) == Some(field.raw));
        assert!(!header::unfold(field.value).contains(&b'\n'));
        at = field.range.end;
    }
    assert!(at <= end && end <= octets.len());
    let all = header::select_fields(octets, FieldSelection::FieldsNot, &[]);
    let start = octets.get(..at).unwrap_or_default();
    assert!(all.starts_with(start), "a field is lost");
    assert!(header::remove_fields(octets, &[]) == octets);
}
