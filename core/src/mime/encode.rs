//! Writes header fields and bodies so that they arrive as they were sent: 7-bit, folded, encoded
//! (RFC 5322 2.2.3, RFC 2047, RFC 2231, RFC 2045 6).
//!
//! Invariant: no value can end its field: control characters are taken out or encoded, and no line
//! is longer than 998 octets. Rejected: 8-bit headers (RFC 6532); not every server takes them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::Address;

/// Column after which fields are folded (RFC 5322 2.1.1).
const FOLD_COLUMN: usize = 76;
/// Longest word written as it is; longer ones are encoded, which cuts them.
const MAX_PLAIN_WORD: usize = 400;
/// Octets of text in one encoded word: in base64, with its frame, 75 characters (RFC 2047 2).
const ENCODED_WORD_OCTETS: usize = 42;
/// Octets of a file name in one parameter, before it is percent-encoded (RFC 2231 3).
const PARAMETER_OCTETS: usize = 20;
/// Longest line of quoted-printable (RFC 2045 6.7).
const QUOTED_LINE: usize = 76;

/// A field that is being written.
pub(super) struct FieldWriter<'a> {
    out: &'a mut Vec<u8>,
    column: usize,
}

impl<'a> FieldWriter<'a> {
    /// Begins a field. `name` must be one: see [`is_field_name`].
    pub(super) fn new(out: &'a mut Vec<u8>, name: &str) -> Self {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        Self {
            out,
            column: name.len().saturating_add(1),
        }
    }

    /// A token after white space, on a new line if it does not fit.
    pub(super) fn word(&mut self, token: &str) {
        let fits = self.column.saturating_add(token.len()) < FOLD_COLUMN;
        let first = self.out.ends_with(b":");
        if fits || first {
            self.out.push(b' ');
        } else {
            self.out.extend_from_slice(b"\r\n ");
            self.column = 0;
        }
        self.attach(token);
    }

    /// A token without white space before it.
    pub(super) fn attach(&mut self, token: &str) {
        self.out.extend_from_slice(token.as_bytes());
        self.column = self.column.saturating_add(token.len()).saturating_add(1);
    }

    /// Free text (RFC 5322 2.2.1, RFC 2047 5 (1)).
    pub(super) fn text(&mut self, text: &str) {
        let text = without_controls(text);
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut rest = words.as_slice();
        while let Some((word, after)) = rest.split_first() {
            if !needs_encoding(word) {
                self.word(word);
                rest = after;
                continue;
            }
            // The space between two encoded words must be inside one (RFC 2047 6.2).
            let run = rest.iter().take_while(|word| needs_encoding(word)).count();
            let (run, after) = rest.split_at_checked(run).unwrap_or((rest, &[]));
            self.encoded_words(&run.join(" "));
            rest = after;
        }
    }

    fn encoded_words(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let cut = rest.floor_char_boundary(ENCODED_WORD_OCTETS);
            let (chunk, after) = rest.split_at_checked(cut).unwrap_or((rest, ""));
            self.word(&format!("=?utf-8?B?{}?=", STANDARD.encode(chunk)));
            rest = after;
        }
    }

    /// `name <address>` (RFC 5322 3.4), the name quoted or encoded as needed.
    pub(super) fn mailbox(&mut self, name: &str, address: &Address) {
        let address = address_text(address);
        let name = without_controls(name);
        let name = name.trim();
        if name.is_empty() {
            return self.word(&address);
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || " !#$%&'*+-/=^_`{|}~".contains(c);
        if !name.is_ascii() || name.split_whitespace().any(needs_encoding) {
            self.encoded_words(name);
        } else if name.chars().all(plain) {
            name.split_whitespace().for_each(|word| self.word(word));
        } else {
            self.word(&quoted(name));
        }
        self.word(&format!("<{address}>"));
    }

    /// `; name="value"`, or in pieces with charset (RFC 2231), on a line of its own.
    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        let value = without_controls(value);
        if value.is_ascii() && value.len() <= FOLD_COLUMN {
            self.out.extend_from_slice(b";\r\n ");
            self.out
                .extend_from_slice(format!("{name}={}", quoted(&value)).as_bytes());
            return;
        }
        let mut rest = value.as_str();
        let mut number = 0_u32;
        while !rest.is_empty() {
            let cut = rest.floor_char_boundary(PARAMETER_OCTETS);
            let (chunk, after) = rest.split_at_checked(cut).unwrap_or((rest, ""));
            let charset = if number == 0 { "utf-8''" } else { "" };
            let piece = format!(";\r\n {name}*{number}*={charset}{}", percent_encoded(chunk));
            self.out.extend_from_slice(piece.as_bytes());
            number = number.saturating_add(1);
            rest = after;
        }
    }

    /// Ends the field.
    pub(super) fn end(self) {
        self.out.extend_from_slice(b"\r\n");
    }
}

/// Whether this may be the name of a field (RFC 5322 2.2).
pub(super) fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 70 && name.bytes().all(|o| o.is_ascii_graphic() && o != b':')
}

/// Whether this may be a media type or subtype (RFC 2045 5.1 `token`).
pub(super) fn is_token(text: &str) -> bool {
    let special = b"()<>@,;:\\\"/[]?=";
    !text.is_empty()
        && text.len() <= 70
        && text
            .bytes()
            .all(|o| o.is_ascii_graphic() && !special.contains(&o))
}

/// A message id in its brackets, without what would end it.
pub(super) fn message_id(id: &str) -> String {
    let bad = |c: &char| !c.is_ascii_graphic() || "<>".contains(*c);
    let id: String = id
        .chars()
        .filter(|c| !bad(c))
        .take(MAX_PLAIN_WORD)
        .collect();
    format!("<{id}>")
}

fn without_controls(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn needs_encoding(word: &str) -> bool {
    !word.is_ascii() || word.len() > MAX_PLAIN_WORD || word.contains("=?")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The address with its local part quoted anew, so that quotes in it cannot end it.
fn address_text(address: &Address) -> String {
    let local = address.local_part();
    let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return address.as_str().to_owned();
    };
    let mut plain = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    format!("{}@{}", quoted(&plain), address.domain())
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_mul(3));
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push('%');
            for digit in [octet >> 4, octet & 15] {
                out.extend(char::from_digit(u32::from(digit), 16).map(|d| d.to_ascii_uppercase()));
            }
        }
    }
    out
}

/// Text with CRLF at the end of each line (RFC 5322 2.3).
pub(super) fn with_line_breaks(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(text.len() / 32));
    for line in text.lines() {
        // A lone carriage return ends a line too, as in text of old systems.
        for line in line.split('\r') {
            out.push_str(line);
            out.push_str("\r\n");
        }
    }
    out
}

/// Whether text can stand as it is: ASCII, lines of at most 78 octets, nothing that servers on the
/// way change (RFC 3156 3): white space at the end of lines, `From ` at their beginning.
pub(super) fn is_plain(text: &str) -> bool {
    text.is_ascii()
        && text.split("\r\n").all(|line| {
            line.len() <= 78
                && !line.ends_with([' ', '\t'])
                && !line.starts_with("From ")
                && line.bytes().all(|o| o == b'\t' || !o.is_ascii_control())
        })
}

/// Base64 in lines of 76 characters (RFC 2045 6.8).
pub(super) fn base64_lines(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() / 3 * 4 + octets.len() / 28 + 4);
    for chunk in octets.chunks(57) {
        out.extend_from_slice(STANDARD.encode(chunk).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// Quoted-printable of text with CRLF (RFC 2045 6.7), safe to sign (RFC 3156 3).
pub(super) fn quoted_printable(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().saturating_add(text.len() / 4));
    let mut lines = text.split("\r\n").peekable();
    while let Some(line) = lines.next() {
        quoted_line(line.as_bytes(), &mut out);
        if lines.peek().is_some() {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn quoted_line(line: &[u8], out: &mut Vec<u8>) {
    let mut column = 0_usize;
    let from = line.starts_with(b"From ");
    for (at, &octet) in line.iter().enumerate() {
        let last = at.saturating_add(1) == line.len();
        let plain = match octet {
            b' ' | b'\t' => !last,
            b'=' => false,
            b'F' => !(from && at == 0),
            b'.' => at != 0,
            _ => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        if column.saturating_add(width) >= QUOTED_LINE {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
        }
        column = column.saturating_add(width);
    }
}
