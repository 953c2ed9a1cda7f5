//! Legacy display elements (RFC 9788 4.5.3, 4.11): protected fields that a sender repeats in the
//! text for programs that know nothing of header protection. They are taken out of what is shown,
//! since their fields stand where fields belong.
//!
//! Only of what was inside encryption: elsewhere the marks mean nothing, and whoever could set them
//! could hide the beginning of a letter. Only what is not signed apart: a `multipart/signed` stays to
//! the octet. They are not written: who reads PGP/MIME with a hidden subject today reads
//! `protected-headers`, and would see the subject twice.

use std::borrow::Cow;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use crate::mime::{Part, decode_transfer, header, split};

/// What the `class` of an HTML element says (RFC 9788 4.5.3.3).
const CLASS: &[u8] = b"header-protection-legacy-display";
/// Deepest nesting of parts that is looked into.
const MAX_DEPTH: usize = 16;
/// Most elements taken out of one message.
const MAX_ELEMENTS: usize = 64;

/// A range of the entity, and what stands there instead.
type Edit = (Range<usize>, Vec<u8>);

/// An entity without its legacy display elements.
pub(super) fn removed(entity: &[u8]) -> Cow<'_, [u8]> {
    let structure = split(entity).structure;
    let mut edits = Vec::new();
    collect(entity, &structure.root, MAX_DEPTH, &mut edits);
    if edits.is_empty() {
        return Cow::Borrowed(entity);
    }
    let mut out = Vec::with_capacity(entity.len());
    let mut at = 0;
    for (range, instead) in edits {
        out.extend_from_slice(entity.get(at..range.start).unwrap_or_default());
        out.extend_from_slice(&instead);
        at = range.end;
    }
    out.extend_from_slice(entity.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

/// Ascending and disjoint: parts come in the order in which they stand.
fn collect(entity: &[u8], part: &Part, depth: usize, edits: &mut Vec<Edit>) {
    if depth == 0 || edits.len() >= MAX_ELEMENTS {
        return;
    }
    if part.media_type == "multipart" {
        if part.is("multipart", "signed") || part.is("multipart", "encrypted") {
            return;
        }
        let mut children = part.children();
        if let Some((range, rest)) = of_the_draft(part) {
            edits.push((range, Vec::new()));
            children = rest;
        }
        for child in children {
            collect(entity, child, depth.saturating_sub(1), edits);
        }
        return;
    }
    let marked = part
        .parameter("hp-legacy-display")
        .is_some_and(|value| value.trim() == "1");
    if !marked || part.is_attachment() || part.leaf().is_none() {
        return;
    }
    let body = part.body.of(entity);
    let text = decode_transfer(part.encoding.as_deref(), body);
    let element = if part.is("text", "plain") {
        plain(&text)
    } else if part.is("text", "html") {
        html(&text)
    } else {
        None
    };
    let Some(element) = element else {
        return;
    };
    if text == body {
        let start = part.body.range().start;
        let range = start.saturating_add(element.start)..start.saturating_add(element.end);
        edits.push((range, Vec::new()));
    } else {
        let mut kept = text.get(..element.start).unwrap_or_default().to_vec();
        kept.extend_from_slice(text.get(element.end..).unwrap_or_default());
        edits.push(encoded_anew(entity, part, &kept));
    }
}

/// The older draft's element: a part of its own before the text.
fn of_the_draft(part: &Part) -> Option<(Range<usize>, &[Part])> {
    if !part.is("multipart", "mixed") {
        return None;
    }
    let (first, rest) = part.children().split_first()?;
    let marked = first
        .parameter("protected-headers")
        .is_some_and(|version| version.trim().eq_ignore_ascii_case("v1"));
    let is_text = first.is("text", "rfc822-headers") || first.is("text", "plain");
    // The delimiter before it stays and opens the next one.
    let next = rest.first()?.header.range().start;
    (marked && is_text).then(|| (first.header.range().start..next, rest))
}

/// Up to and with the first blank line (RFC 9788 4.5.3.2).
fn plain(text: &[u8]) -> Option<Range<usize>> {
    let mut end: usize = 0;
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        end = end.saturating_add(line.len());
        if line.trim_ascii().is_empty() {
            return Some(0..end);
        }
    }
    None
}

/// The first `div` of the class, with its end (RFC 9788 4.5.3.3).
fn html(text: &[u8]) -> Option<Range<usize>> {
    let lower = text.to_ascii_lowercase();
    let start = memmem::find_iter(&lower, b"<div").find(|at| {
        let tag = lower.get(*at..).unwrap_or_default();
        let tag = tag.split(|octet| *octet == b'>').next().unwrap_or_default();
        memmem::find(tag, b"class").is_some() && memmem::find(tag, CLASS).is_some()
    })?;
    let mut depth: usize = 0;
    let mut at = start;
    loop {
        let rest = lower.get(at..)?;
        let opens = memmem::find(rest, b"<div");
        let closes = memmem::find(rest, b"</div")?;
        if opens.is_some_and(|opens| opens < closes) {
            depth = depth.saturating_add(1);
            at = at.saturating_add(opens?).saturating_add(b"<div".len());
            continue;
        }
        at = at.saturating_add(closes);
        let end = memchr::memchr(b'>', lower.get(at..)?)?;
        at = at.saturating_add(end).saturating_add(1);
        depth = depth.saturating_sub(1);
        if depth == 0 {
            return Some(start..at);
        }
    }
}

/// A leaf with another text, in base64.
fn encoded_anew(entity: &[u8], part: &Part, text: &[u8]) -> Edit {
    let top = part.header.of(entity);
    let mut out = Vec::with_capacity(text.len().saturating_mul(2));
    for field in header::fields(top) {
        if !field.is("Content-Transfer-Encoding") {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
    let mut lines = STANDARD.encode(text).into_bytes();
    let lines = lines.chunks_mut(76).map(|line| line.to_vec());
    out.extend_from_slice(&lines.collect::<Vec<_>>().join(b"\r\n".as_slice()));
    (part.header.range().start..part.body.range().end, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entity: &str) -> String {
        String::from_utf8(removed(entity.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn a_marked_text_loses_its_first_lines() {
        let plain = "Content-Type: text/plain; hp-legacy-display=\"1\"; hp=\"cipher\"\r\n\r\n\
            Subject: Dinner plans\r\n\r\nLet's meet.\r\n\r\nAt eight.\r\n";
        assert!(shown(plain).ends_with("\"cipher\"\r\n\r\nLet's meet.\r\n\r\nAt eight.\r\n"));
        for untouched in [
            plain.replace("; hp-legacy-display=\"1\"", ""),
            plain.replace("\"1\"", "\"2\""),
            plain.replace("text/plain", "text/csv"),
            plain.replace(
                "Content-Type",
                "Content-Disposition: attachment\r\nContent-Type",
            ),
            "Content-Type: text/plain; hp-legacy-display=1\r\n\r\nno blank line".to_owned(),
        ] {
            assert_eq!(shown(&untouched), untouched);
        }
    }

    #[test]
    fn a_marked_html_loses_its_element_and_what_is_in_it() {
        let page = "Content-Type: text/html; hp-legacy-display=1\r\n\r\n\
            <html><body>\r\n<DIV Class='header-protection-legacy-display'><div><pre>Subject: x\
            </pre></div></DIV ><p>Let's <div class=y>meet</div></p></body></html>\r\n";
        assert!(
            shown(page).ends_with(
                "<html><body>\r\n<p>Let's <div class=y>meet</div></p></body></html>\r\n"
            )
        );
        let open = page
            .replace("</div></DIV >", "")
            .replace("</div></p>", "</p>");
        assert_eq!(shown(&open), open);
    }

    #[test]
    fn every_part_of_an_alternative_and_every_encoding() {
        let text = STANDARD.encode("Subject: x\n\nThe text.\n");
        let both = format!(
            "Content-Type: multipart/alternative; boundary=b; hp=cipher\r\n\r\n--b\r\n\
             Content-Type: text/plain; hp-legacy-display=1\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{text}\r\n--b\r\n\
             Content-Type: text/html; hp-legacy-display=1\r\n\
             Content-Transfer-Encoding: quoted-printable\r\n\r\n\
             <div class=3D\"header-protection-legacy-display\">=\r\nSubject: x</div>The page.\r\n\
             --b--\r\n"
        );
        let shown = shown(&both);
        assert!(shown.contains(&STANDARD.encode("The text.\n")), "{shown}");
        assert!(shown.contains(&STANDARD.encode("The page.")), "{shown}");
        assert!(
            !shown.contains("Subject: x") && !shown.contains("quoted"),
            "{shown}"
        );
        // A signed entity is not touched: its signature would not hold any more.
        let signed = both.replace("multipart/alternative", "multipart/signed");
        assert_eq!(removed(signed.as_bytes()), signed.as_bytes());
    }

    #[test]
    fn the_drafts_part_goes_as_a_whole() {
        let mixed = "Content-Type: multipart/mixed; boundary=b; protected-headers=v1\r\n\r\n\
            --b\r\nContent-Type: text/rfc822-headers; protected-headers=\"v1\"\r\n\
            Content-Disposition: inline\r\n\r\nSubject: x\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\nThe text.\r\n--b--\r\n";
        let expected = "Content-Type: multipart/mixed; boundary=b; protected-headers=v1\r\n\r\n\
            --b\r\nContent-Type: text/plain\r\n\r\nThe text.\r\n--b--\r\n";
        assert_eq!(shown(mixed), expected);
        let attached = mixed.replace("; protected-headers=\"v1\"", "");
        assert_eq!(shown(&attached), attached);
    }
}
