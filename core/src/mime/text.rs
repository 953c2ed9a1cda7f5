//! What of a message people see: which parts are its text, what is attached, the text decoded
//! (RFC 2046 5.1, RFC 2387; the choice is that of RFC 8621 4.1.4, `textBody` and `htmlBody`).
//!
//! Invariant: the choice needs the structure alone, so only the leaves that are shown are read.
//! Rejected: showing every text part; alternatives would appear twice, attached texts unasked.

use core::fmt;

use memchr::{memchr, memmem};
use serde::{Deserialize, Serialize};

use super::body_structure::{Content, Part, Span, Structure};
use super::charset::decode_charset;
use super::defect::Defect;
use super::flowed::unflow;
use super::html::html_to_text;
use super::summary::PREVIEW_CHARS;
use super::transfer::{decode_transfer, decode_with_defect};

/// A part that is text to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPart {
    /// Part numbers, as [`Structure::part`] takes them.
    pub path: Vec<u32>,
    /// Which leaf it is.
    pub leaf: usize,
    /// Whether it is HTML; else it is plain text.
    pub html: bool,
}

/// Something in a message that is not its text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// Part numbers, as [`Structure::part`] takes them.
    pub path: Vec<u32>,
    /// Which leaf it is; `None` for a message.
    pub leaf: Option<usize>,
    /// Where its octets stand, encoded.
    pub span: Span,
    /// Decoded file name, without folders; what the sender says.
    pub file_name: Option<String>,
    /// Media type and subtype, `image/png`.
    pub media_type: String,
    /// Octets when decoded, about.
    pub size: u64,
    /// `Content-ID` without brackets, by which HTML refers to it (RFC 2392).
    pub content_id: Option<String>,
    /// Whether it belongs into the text: an image that HTML shows.
    pub inline: bool,
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What to show of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body {
    /// The parts to show as plain text, in order; HTML only where there is no plain text.
    pub text: Vec<ShownPart>,
    /// The parts to show as HTML, in order; plain text only where there is no HTML.
    pub html: Vec<ShownPart>,
    /// The rest.
    pub attachments: Vec<Attachment>,
}

/// Chooses what to show.
pub fn body_to_show(structure: &Structure) -> Body {
    let mut body = Body::default();
    let root = &structure.root;
    let within = Within {
        multipart: "mixed",
        alternative: false,
        text: true,
        html: true,
    };
    if let Content::Multipart(parts) = &root.content {
        let within = Within {
            multipart: &root.subtype,
            alternative: root.subtype == "alternative",
            ..within
        };
        walk(parts, &mut Vec::new(), within, &mut body);
    } else {
        walk(
            core::slice::from_ref(root),
            &mut Vec::new(),
            within,
            &mut body,
        );
    }
    body
}

/// Where a part stands.
#[derive(Clone, Copy)]
struct Within<'a> {
    /// Subtype of the multipart around it.
    multipart: &'a str,
    /// Whether any multipart around it is an alternative.
    alternative: bool,
    /// Whether it may be shown as text.
    text: bool,
    /// Whether it may be shown as HTML.
    html: bool,
}

/// RFC 8621 4.1.4 `parseStructure`; recursion is bounded by [`super::MAX_DEPTH`].
fn walk(parts: &[Part], path: &mut Vec<u32>, mut within: Within<'_>, body: &mut Body) {
    let (texts, htmls) = (body.text.len(), body.html.len());
    for (number, part) in (1_u32..).zip(parts) {
        path.push(number);
        if let Content::Multipart(children) = &part.content {
            let alternative = within.alternative || part.subtype == "alternative";
            let inner = Within {
                multipart: &part.subtype,
                alternative,
                ..within
            };
            walk(children, path, inner, body);
        } else if within.multipart == "signed" && part.subtype.ends_with("-signature") {
            // The signature is judged and shown as what it is, not as a file.
        } else {
            place(part, path, number == 1, &mut within, body);
        }
        path.pop();
    }
    if within.multipart == "alternative" && within.text && within.html {
        if body.text.len() == texts && body.html.len() != htmls {
            body.text.extend(body.html.iter().skip(htmls).cloned());
        } else if body.html.len() == htmls && body.text.len() != texts {
            body.html.extend(body.text.iter().skip(texts).cloned());
        }
    }
}

fn place(part: &Part, path: &[u32], first: bool, within: &mut Within<'_>, body: &mut Body) {
    let html = part.is("text", "html");
    let is_text = html || part.is("text", "plain");
    let in_flow = first || within.multipart != "related" && part.file_name().is_none();
    let leaf = part
        .leaf()
        .filter(|_| is_text && in_flow && !part.is_attachment());
    let Some(leaf) = leaf else {
        body.attachments
            .push(attachment(part, path, within.multipart));
        return;
    };
    let shown = ShownPart {
        path: path.to_vec(),
        leaf,
        html,
    };
    if within.multipart == "alternative" {
        if html {
            body.html.push(shown);
        } else {
            body.text.push(shown);
        }
        return;
    }
    if within.alternative {
        if html {
            within.text = false;
        } else {
            within.html = false;
        }
    }
    if within.text {
        body.text.push(shown.clone());
    }
    if within.html {
        body.html.push(shown);
    }
}

fn attachment(part: &Part, path: &[u32], multipart: &str) -> Attachment {
    let strip = |id: &String| {
        id.trim()
            .trim_start_matches('<')
            .trim_end_matches('>')
            .to_owned()
    };
    let picture = matches!(part.media_type.as_str(), "image" | "audio" | "video");
    let shown = part
        .disposition
        .as_ref()
        .is_some_and(|(kind, _)| kind == "inline");
    let related = multipart == "related" && part.content_id.is_some();
    let octets = part.body.len();
    let size = match part.encoding.as_deref() {
        Some("base64") => octets.saturating_sub(part.lines.saturating_mul(2)) / 4 * 3,
        _ => octets,
    };
    Attachment {
        path: path.to_vec(),
        leaf: part.leaf(),
        span: part.body,
        file_name: part
            .file_name()
            .map(|name| base_name(&name))
            .filter(|name| !name.is_empty()),
        media_type: format!("{}/{}", part.media_type, part.subtype),
        size,
        content_id: part.content_id.as_ref().map(strip),
        inline: related && !part.is_attachment() || picture && shown,
    }
}

/// A file name without folders: a name must not choose where a file is saved.
pub(super) fn base_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    name.trim().trim_start_matches('.').to_owned()
}

/// The text of a leaf part: transfer encoding and charset decoded, lines ended by line feeds,
/// flowed lines put together (RFC 3676); and what was wrong with it.
pub fn decode_text(part: &Part, wire: &[u8]) -> (String, Vec<Defect>) {
    let (text, defects) = decode(part, wire);
    let text = unflowed(part, text);
    (with_line_feeds(text), defects)
}

/// The same with lines as they stand.
pub(super) fn decode_lines(part: &Part, wire: &[u8]) -> String {
    decode(part, wire).0
}

fn decode(part: &Part, wire: &[u8]) -> (String, Vec<Defect>) {
    let (octets, encoding_defect) = decode_with_defect(part.encoding.as_deref(), wire);
    let charset = part.parameter("charset").unwrap_or_default();
    let (text, charset_defect) = decode_charset(&charset, &octets);
    let defects = encoding_defect.into_iter().chain(charset_defect);
    (text, defects.collect())
}

/// Ends lines by line feeds.
fn with_line_feeds(text: String) -> String {
    if memmem::find(text.as_bytes(), b"\r\n").is_none() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for line in lines(&text) {
        out.push_str(line.strip_suffix('\r').unwrap_or(line));
        out.push('\n');
    }
    if !text.ends_with('\n') {
        out.pop();
        // Half of a line break is none.
        out.extend(text.ends_with('\r').then_some('\r'));
    }
    out
}

/// Puts flowed lines together (RFC 3676).
fn unflowed(part: &Part, text: String) -> String {
    if part.is("text", "plain") && has_value(part, "format", "flowed") {
        unflow(&text, has_value(part, "delsp", "yes"))
    } else {
        text
    }
}

/// Whether a parameter of `Content-Type` has this value, without regard to ASCII case.
fn has_value(part: &Part, name: &str, value: &str) -> bool {
    part.parameter(name)
        .is_some_and(|given| given.trim().eq_ignore_ascii_case(value))
}

/// The octets of an attachment: transfer encoding decoded.
pub fn decode_attachment(part: &Part, wire: &[u8]) -> Vec<u8> {
    decode_transfer(part.encoding.as_deref(), wire)
}

/// The beginning of a text in [`PREVIEW_CHARS`] characters, computed from the beginning of its
/// octets, and what was wrong with the text.
pub(super) fn preview_text(part: &Part, start: &[u8]) -> (String, Vec<Defect>) {
    let (text, defects) = decode(part, start);
    // A text that was cut may end within a character or a group of digits.
    let defects = if (start.len() as u64) < part.body.len() {
        Vec::new()
    } else {
        defects
    };
    let text = if part.is("text", "html") {
        html_to_text(&text)
    } else {
        unflowed(part, text)
    };
    (preview(&text), defects)
}

/// The first characters of a text in one line (RFC 8970 3.1). Quoted lines are left out unless
/// there is nothing else.
pub fn preview(text: &str) -> String {
    let own = lines(text).filter(|line| !line.starts_with('>'));
    let shown = one_line(own);
    if shown.is_empty() {
        one_line(lines(text))
    } else {
        shown
    }
}

/// The first characters of lines, with one space where white space stood, without controls.
fn one_line<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::with_capacity(PREVIEW_CHARS.saturating_mul(2));
    let mut chars = 0_usize;
    let mut space = false;
    for line in lines {
        for c in line.chars() {
            if c.is_whitespace() {
                space = true;
            } else if c.is_ascii_graphic() || !c.is_control() {
                let needed = if space && !out.is_empty() { 2 } else { 1 };
                chars = chars.saturating_add(needed);
                if chars > PREVIEW_CHARS {
                    return out;
                }
                if needed == 2 {
                    out.push(' ');
                }
                out.push(c);
                space = false;
            }
        }
        space = true;
    }
    out
}

/// The lines of a text without their line breaks.
fn lines(mut text: &str) -> impl Iterator<Item = &str> {
    core::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let length = memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
        let line = text.get(..length)?;
        text = text.get(length.saturating_add(1)..).unwrap_or_default();
        Some(line)
    })
}

#[cfg(test)]
mod tests;
