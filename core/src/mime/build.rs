//! Composes messages (RFC 5322 3.6, RFC 2045, RFC 2046, RFC 2183): what the webmail sends, and
//! delivery status notifications.
//!
//! Invariant: the result is 7-bit with CRLF, fit to be signed (RFC 3156 3), and no value that the
//! caller gives can become a field or a part of its own. Pure: date, message id and the
//! randomness of boundaries are arguments. Rejected: a template of text; header injection begins
//! with one forgotten escape.

use core::fmt;

use crate::id::{Address, Timestamp};

use super::date::format_date;
use super::encode::{
    FieldWriter, base64_lines, is_field_name, is_plain, is_token, message_id, quoted_printable,
    with_line_breaks,
};

/// Most recent references written (RFC 5322 3.6.4 sets no limit; servers limit headers).
const MAX_REFERENCES: usize = 100;
/// Longest line without its line break (RFC 5322 2.1.1).
const MAX_LINE: usize = 998;

/// Someone with an address that was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Display name; empty if there is none.
    pub name: String,
    /// Where mail for them goes.
    pub address: Address,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person").finish_non_exhaustive()
    }
}

/// A message to be written. Empty lists and strings become no field.
#[derive(Clone)]
pub struct NewMessage {
    /// When it was written.
    pub date: Timestamp,
    /// Who wrote it.
    pub from: Vec<Person>,
    /// Where answers go, if elsewhere.
    pub reply_to: Vec<Person>,
    /// `To`
    pub to: Vec<Person>,
    /// `Cc`
    pub cc: Vec<Person>,
    /// `Bcc`; leave empty for what is sent, fill in for a draft.
    pub bcc: Vec<Person>,
    /// Any text.
    pub subject: String,
    /// Without brackets.
    pub message_id: String,
    /// Without brackets.
    pub in_reply_to: Vec<String>,
    /// Without brackets, oldest first.
    pub references: Vec<String>,
    /// Other fields with free text. What is no field name is left out.
    pub fields: Vec<(String, String)>,
    /// The content.
    pub body: NewPart,
}

impl fmt::Debug for NewMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMessage").finish_non_exhaustive()
    }
}

/// A MIME entity to be written.
#[derive(Clone)]
pub enum NewPart {
    /// `text/<subtype>` in UTF-8; encoded as it needs.
    Text {
        /// `plain` or `html`.
        subtype: String,
        /// Any text; line ends become CRLF.
        text: String,
    },
    /// Octets in base64. A `message/rfc822` that is plain ASCII stands as it is, any other becomes
    /// `application/octet-stream`, because messages must not be encoded (RFC 2046 5.2.1).
    File {
        /// `type/subtype`; if it is none, `application/octet-stream`.
        media_type: String,
        /// Name to save it under.
        file_name: Option<String>,
        /// For `cid:` references from HTML, without brackets; makes it inline (RFC 2392).
        content_id: Option<String>,
        /// The octets.
        octets: Vec<u8>,
    },
    /// A part in ASCII with lines of at most 998 octets that stands as it is, such as
    /// `message/delivery-status` (RFC 3464 2.1). What is not ASCII becomes `?`.
    Lines {
        /// `type/subtype`
        media_type: String,
        /// Line ends become CRLF.
        text: String,
    },
    /// Parts together.
    Multipart {
        /// `mixed`, `alternative`, `related`, `report`, ...
        subtype: String,
        /// Parameters besides the boundary, such as `report-type`.
        parameters: Vec<(String, String)>,
        /// The parts, in order.
        parts: Vec<NewPart>,
    },
}

impl fmt::Debug for NewPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "NewPart::Text",
            Self::File { .. } => "NewPart::File",
            Self::Lines { .. } => "NewPart::Lines",
            Self::Multipart { .. } => "NewPart::Multipart",
        })
    }
}

impl NewPart {
    /// What a person writes: text, perhaps the same as HTML, perhaps files. Files with a
    /// `content_id` stand with the HTML (RFC 2387).
    pub fn letter(text: String, html: Option<String>, files: Vec<NewPart>) -> Self {
        let is_inline = |part: &Self| {
            matches!(
                part,
                Self::File {
                    content_id: Some(_),
                    ..
                }
            )
        };
        let (inline, files): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|part| html.is_some() && is_inline(part));
        let plain = Self::Text {
            subtype: "plain".to_owned(),
            text,
        };
        let mut body = plain;
        if let Some(html) = html {
            let mut rich = Self::Text {
                subtype: "html".to_owned(),
                text: html,
            };
            if !inline.is_empty() {
                rich = Self::multipart("related", core::iter::once(rich).chain(inline).collect());
            }
            body = Self::multipart("alternative", vec![body, rich]);
        }
        if files.is_empty() {
            return body;
        }
        Self::multipart("mixed", core::iter::once(body).chain(files).collect())
    }

    /// A multipart without parameters of its own.
    pub fn multipart(subtype: &str, parts: Vec<NewPart>) -> Self {
        Self::Multipart {
            subtype: subtype.to_owned(),
            parameters: Vec::new(),
            parts,
        }
    }

    /// Writes the entity: its `Content-*` fields, an empty line, its body. This is what PGP/MIME
    /// signs or encrypts. `randomness` makes the boundaries; use it for one message only.
    pub fn write(&self, randomness: [u8; 16]) -> Vec<u8> {
        let mut out = Vec::new();
        write_part(
            self,
            &mut Boundaries {
                randomness,
                next: 0,
            },
            &mut out,
        );
        out
    }
}

impl NewMessage {
    /// A message from someone, otherwise empty.
    pub fn new(from: Person, date: Timestamp, message_id: &str, body: NewPart) -> Self {
        Self {
            date,
            from: vec![from],
            reply_to: Vec::new(),
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: String::new(),
            message_id: message_id.to_owned(),
            in_reply_to: Vec::new(),
            references: Vec::new(),
            fields: Vec::new(),
            body,
        }
    }

    /// Writes the message to wire octets.
    pub fn write(&self, randomness: [u8; 16]) -> Vec<u8> {
        let mut out = self.write_header();
        out.extend_from_slice(&self.body.write(randomness));
        out
    }

    /// Writes the fields that are not about the body, `MIME-Version` among them, without the empty
    /// line: an entity made elsewhere may follow.
    pub fn write_header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut date = FieldWriter::new(&mut out, "Date");
        date.word(&format_date(self.date));
        date.end();
        for (name, people) in [
            ("From", &self.from),
            ("Reply-To", &self.reply_to),
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Bcc", &self.bcc),
        ] {
            write_people(name, people, &mut out);
        }
        write_text("Subject", &self.subject, &mut out);
        write_ids(
            "Message-ID",
            core::slice::from_ref(&self.message_id),
            &mut out,
        );
        write_ids("In-Reply-To", &self.in_reply_to, &mut out);
        write_ids("References", &self.references, &mut out);
        for (name, value) in self.fields.iter().filter(|(name, _)| is_field_name(name)) {
            write_text(name, value, &mut out);
        }
        write_text("MIME-Version", "1.0", &mut out);
        out
    }
}

fn write_people(name: &str, people: &[Person], out: &mut Vec<u8>) {
    if people.is_empty() {
        return;
    }
    let mut field = FieldWriter::new(out, name);
    for (at, person) in people.iter().enumerate() {
        if at > 0 {
            field.attach(",");
        }
        field.mailbox(&person.name, &person.address);
    }
    field.end();
}

fn write_text(name: &str, text: &str, out: &mut Vec<u8>) {
    if text.trim().is_empty() {
        return;
    }
    let mut field = FieldWriter::new(out, name);
    field.text(text);
    field.end();
}

fn write_ids(name: &str, ids: &[String], out: &mut Vec<u8>) {
    let recent = ids
        .get(ids.len().saturating_sub(MAX_REFERENCES)..)
        .unwrap_or_default();
    let ids: Vec<_> = recent
        .iter()
        .map(|id| message_id(id))
        .filter(|id| id != "<>")
        .collect();
    if ids.is_empty() {
        return;
    }
    let mut field = FieldWriter::new(out, name);
    for id in &ids {
        field.word(id);
    }
    field.end();
}

struct Boundaries {
    randomness: [u8; 16],
    next: u32,
}

impl Boundaries {
    /// `=_` occurs neither in base64 nor in quoted-printable (RFC 2045 6.7).
    fn next(&mut self) -> String {
        let number = self.next;
        self.next = number.saturating_add(1);
        let random = u128::from_be_bytes(self.randomness);
        format!("=_{random:032x}_{number}")
    }
}

/// Writes an entity. Recursion follows what the caller built.
fn write_part(part: &NewPart, boundaries: &mut Boundaries, out: &mut Vec<u8>) {
    match part {
        NewPart::Text { subtype, text } => write_text_part(subtype, text, out),
        NewPart::File {
            media_type,
            file_name,
            content_id,
            octets,
        } => {
            write_file(
                media_type,
                file_name.as_deref(),
                content_id.as_deref(),
                octets,
                out,
            );
        }
        NewPart::Lines { media_type, text } => {
            content_type(media_type, out).end();
            out.extend_from_slice(b"\r\n");
            let text = with_line_breaks(text);
            out.extend(
                text.chars()
                    .map(|c| u8::try_from(c).ok().filter(u8::is_ascii).unwrap_or(b'?')),
            );
        }
        NewPart::Multipart {
            subtype,
            parameters,
            parts,
        } => {
            let boundary = boundaries.next();
            let mut field = content_type(&format!("multipart/{subtype}"), out);
            for (name, value) in parameters.iter().filter(|(name, _)| is_token(name)) {
                field.parameter(name, value);
            }
            field.parameter("boundary", &boundary);
            field.end();
            for part in parts {
                out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
                write_part(part, boundaries, out);
            }
            out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        }
    }
}

/// Begins `Content-Type`; what is no media type becomes `application/octet-stream`.
fn content_type<'a>(media_type: &str, out: &'a mut Vec<u8>) -> FieldWriter<'a> {
    let valid = media_type
        .split_once('/')
        .is_some_and(|(t, s)| is_token(t) && is_token(s));
    let mut field = FieldWriter::new(out, "Content-Type");
    field.word(if valid {
        media_type
    } else {
        "application/octet-stream"
    });
    field
}

fn write_text_part(subtype: &str, text: &str, out: &mut Vec<u8>) {
    let text = with_line_breaks(text);
    let mut field = content_type(&format!("text/{subtype}"), out);
    field.attach("; charset=utf-8");
    field.end();
    let other = text.bytes().filter(|o| !o.is_ascii()).count();
    if is_plain(&text) {
        out.extend_from_slice(b"Content-Transfer-Encoding: 7bit\r\n\r\n");
        out.extend_from_slice(text.as_bytes());
    } else if other > text.len() / 4 {
        out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
        out.extend_from_slice(&base64_lines(text.as_bytes()));
    } else {
        out.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        out.extend_from_slice(&quoted_printable(&text));
    }
}

fn write_file(
    media_type: &str,
    file_name: Option<&str>,
    content_id: Option<&str>,
    octets: &[u8],
    out: &mut Vec<u8>,
) {
    let kind = media_type.to_ascii_lowercase();
    let composite = kind.starts_with("message/") || kind.starts_with("multipart/");
    let open = kind == "message/rfc822" && core::str::from_utf8(octets).is_ok_and(is_plain_message);
    let media_type = if composite && !open {
        "application/octet-stream"
    } else {
        media_type
    };
    content_type(media_type, out).end();
    let inline = content_id.is_some();
    let mut field = FieldWriter::new(out, "Content-Disposition");
    field.word(if inline { "inline" } else { "attachment" });
    if let Some(name) = file_name.filter(|name| !name.is_empty()) {
        field.parameter("filename", name);
    }
    field.end();
    if let Some(id) = content_id {
        write_ids("Content-ID", &[id.to_owned()], out);
    }
    if open {
        out.extend_from_slice(b"Content-Transfer-Encoding: 7bit\r\n\r\n");
        out.extend_from_slice(octets);
    } else {
        out.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
        out.extend_from_slice(&base64_lines(octets));
    }
}

/// Whether a message can stand in another as it is: 7-bit, and lines that servers let pass.
fn is_plain_message(text: &str) -> bool {
    let fits = |line: &str| {
        line.len() <= MAX_LINE && line.bytes().all(|o| o == b'\t' || !o.is_ascii_control())
    };
    text.is_ascii() && text.split("\r\n").all(fits)
}

#[cfg(test)]
mod tests;
