//! Values with parameters: `Content-Type`, `Content-Disposition` (RFC 2045 5.1, RFC 2183 2), with
//! continuations and charsets (RFC 2231).
//!
//! Invariant: never fails, at most [`MAX_PARAMETERS`] parameters. What programs get wrong is
//! read as they mean it: spaces in values without quotes, missing semicolons, comments.
//! Rejected: decoding charsets here; IMAP shows them encoded (RFC 2231 6), people see them
//! decoded by [`decode_extended`].

use std::collections::BTreeMap;

use super::charset::decode_charset;
use super::header::unfold;

/// Most parameters of one value that are looked at.
pub(super) const MAX_PARAMETERS: usize = 100;
/// Longest parameter value kept, in octets.
pub(super) const MAX_PARAMETER_OCTETS: usize = 16 * 1024;

/// A value and its parameters.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parameterised {
    /// What stands before the first semicolon, in lower case, without comments and white space.
    pub value: String,
    /// Names in lower case; continuations joined; encoded ones have a name that ends in `*`.
    pub parameters: Vec<(String, String)>,
    /// Whether something was left out because of a limit.
    pub cut: bool,
}

impl core::fmt::Debug for Parameterised {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parameterised")
            .field("parameters", &self.parameters.len())
            .finish_non_exhaustive()
    }
}

/// Parses the raw value of a field.
pub fn parse_parameterised(value: &[u8]) -> Parameterised {
    let unfolded = unfold(value);
    let mut scan = Scan {
        octets: &unfolded,
        at: 0,
    };
    let mut head = Vec::new();
    loop {
        scan.skip_space();
        match scan.peek() {
            None | Some(b';') => break,
            // A semicolon is missing: `text/plain charset=utf-8`.
            Some(_) if !head.is_empty() && scan.at_parameter() => break,
            Some(_) => {
                let token = scan.take_while(|o| !is_space(o) && !b";(".contains(&o));
                head.extend_from_slice(token);
            }
        }
    }
    let mut out = Parameterised {
        value: to_text(&head).to_lowercase(),
        ..Parameterised::default()
    };
    let mut pieces = Vec::new();
    while let Some((name, value)) = scan.parameter() {
        if pieces.len() >= MAX_PARAMETERS {
            out.cut = true;
            break;
        }
        pieces.push((to_text(name).to_lowercase(), value));
    }
    out.parameters = join_continuations(pieces);
    for (_, value) in &mut out.parameters {
        if value.len() > MAX_PARAMETER_OCTETS {
            value.truncate(value.floor_char_boundary(MAX_PARAMETER_OCTETS));
            out.cut = true;
        }
    }
    out
}

/// UTF-8 if it is, else octet by octet as in ISO 8859-1, which loses nothing.
pub(super) fn to_text(octets: &[u8]) -> String {
    core::str::from_utf8(octets).map_or_else(
        |_| octets.iter().copied().map(char::from).collect(),
        str::to_owned,
    )
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

struct Scan<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    fn bump(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&o| !wanted(o)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
        rest.get(..length).unwrap_or_default()
    }

    /// White space and comments, which may nest (RFC 5322 3.2.2).
    fn skip_space(&mut self) {
        let mut depth = 0_usize;
        while let Some(octet) = self.peek() {
            match octet {
                b'(' => depth = depth.saturating_add(1),
                b')' if depth > 0 => depth = depth.saturating_sub(1),
                b'\\' if depth > 0 => self.bump(),
                _ if depth > 0 || is_space(octet) => {}
                _ => break,
            }
            self.bump();
        }
    }

    /// Whether `name=` follows.
    fn at_parameter(&self) -> bool {
        let rest = self.octets.get(self.at..).unwrap_or_default();
        let name = rest.iter().take(64).position(|&o| !is_name(o));
        name.is_some_and(|length| length > 0 && rest.get(length) == Some(&b'='))
    }

    /// The next `name=value`; what is none is skipped.
    fn parameter(&mut self) -> Option<(&'a [u8], Vec<u8>)> {
        loop {
            self.skip_space();
            self.take_while(|o| o == b';' || is_space(o));
            self.skip_space();
            self.peek()?;
            if self.peek() == Some(b';') {
                continue;
            }
            let name = self.take_while(is_name);
            self.skip_space();
            if self.peek() == Some(b'=') && !name.is_empty() {
                self.bump();
                self.skip_space();
                return Some((name, self.value()));
            }
            // Not a parameter: on to the next semicolon, at least one octet.
            self.bump();
            self.take_while(|o| o != b';');
        }
    }

    fn value(&mut self) -> Vec<u8> {
        if self.peek() != Some(b'"') {
            return self
                .take_while(|o| !b";(".contains(&o))
                .trim_ascii()
                .to_vec();
        }
        self.bump();
        let mut out = Vec::new();
        while let Some(octet) = self.peek() {
            self.bump();
            match octet {
                b'"' => break,
                b'\\' => {
                    // Windows programs write paths without doubling the backslash; only what
                    // needs quoting is taken as quoted.
                    if !matches!(self.peek(), Some(b'"' | b'\\')) {
                        out.push(b'\\');
                    } else if let Some(quoted) = self.peek() {
                        out.push(quoted);
                        self.bump();
                    }
                }
                _ => out.push(octet),
            }
        }
        out
    }
}

fn is_name(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet) || octet >= 0x80
}

/// One piece of a value that is spread over several parameters.
struct Continuation {
    encoded: bool,
    value: Vec<u8>,
}

/// Joins `name*0`, `name*1*`, ... (RFC 2231 3); keeps the order of first appearance.
fn join_continuations(pieces: Vec<(String, Vec<u8>)>) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut continued: BTreeMap<String, BTreeMap<u32, Continuation>> = BTreeMap::new();
    for (name, value) in pieces {
        let Some((base, number, encoded)) = continuation(&name) else {
            if !out.iter().any(|(n, _)| *n == name) {
                out.push((name, to_text(&value)));
            }
            continue;
        };
        continued
            .entry(base.to_owned())
            .or_default()
            .entry(number)
            .or_insert(Continuation { encoded, value });
    }
    for (base, parts) in continued {
        let encoded = parts.values().any(|part| part.encoded);
        let mut value = Vec::new();
        for (expected, (number, part)) in (0..).zip(parts) {
            if number != expected {
                break;
            }
            if encoded && !part.encoded {
                percent_encode(&part.value, &mut value);
            } else {
                value.extend_from_slice(&part.value);
            }
        }
        let name = if encoded { format!("{base}*") } else { base };
        if !out.iter().any(|(n, _)| *n == name) {
            out.push((name, to_text(&value)));
        }
    }
    out
}

/// `title*1*` is piece 1 of `title`, encoded. `title*` alone is no continuation.
fn continuation(name: &str) -> Option<(&str, u32, bool)> {
    let (name, encoded) = name
        .strip_suffix('*')
        .map_or((name, false), |name| (name, true));
    let (base, number) = name.rsplit_once('*')?;
    let is_number = number.bytes().all(|octet| octet.is_ascii_digit());
    if base.is_empty() || !is_number {
        return None;
    }
    Some((base, number.parse().ok()?, encoded))
}

fn percent_encode(value: &[u8], out: &mut Vec<u8>) {
    for &octet in value {
        if is_name(octet) && octet < 0x80 && octet != b'%' && octet != b'\'' && octet != b'*' {
            out.push(octet);
        } else {
            out.extend_from_slice(format!("%{octet:02X}").as_bytes());
        }
    }
}

/// Decodes `charset'language'text` (RFC 2231 4); what has no charset is taken as UTF-8.
pub fn decode_extended(value: &str) -> String {
    let mut split = value.splitn(3, '\'');
    let (charset, text) = match (split.next(), split.next(), split.next()) {
        (Some(charset), Some(_), Some(text)) => (charset, text),
        _ => ("utf-8", value),
    };
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let hex = after
            .get(..2)
            .and_then(|digits| core::str::from_utf8(digits).ok());
        let decoded = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match decoded {
            Some(decoded) if octet == b'%' => {
                octets.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                octets.push(octet);
                rest = after;
            }
        }
    }
    decode_charset(charset, &octets).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, head: &str, parameters: &[(&str, &str)]) {
        let parsed = parse_parameterised(value.as_bytes());
        assert_eq!(parsed.value, head, "{value}");
        let given: Vec<_> = parsed
            .parameters
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(given, parameters, "{value}");
    }

    #[test]
    fn values_are_read_as_they_are_meant() {
        check(
            " TEXT/Plain; charset=us-ascii (Plain text)",
            "text/plain",
            &[("charset", "us-ascii")],
        );
        check(
            "text/plain; Charset=\"UTF-8\"",
            "text/plain",
            &[("charset", "UTF-8")],
        );
        check(
            "text/plain charset=utf-8",
            "text/plain",
            &[("charset", "utf-8")],
        );
        check(
            "a/b; name=my file.txt; x=1;",
            "a/b",
            &[("name", "my file.txt"), ("x", "1")],
        );
        check("a/b;;; = ; x", "a/b", &[]);
        check("a/b; n=\"q\\\"x\\\\y\"", "a/b", &[("n", "q\"x\\y")]);
        check("a/b; n=\"C:\\temp", "a/b", &[("n", "C:\\temp")]);
        check("", "", &[]);
        check(
            "multipart/mixed;\r\n boundary=\"a b\"",
            "multipart/mixed",
            &[("boundary", "a b")],
        );
    }

    #[test]
    fn continuations_are_joined() {
        // RFC 2231 4.1.
        check(
            "application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20;\
             title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"",
            "application/x-stuff",
            &[(
                "title*",
                "us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!",
            )],
        );
        check(
            "m/x; URL*0=\"ftp://\"; URL*1=\"cs\"",
            "m/x",
            &[("url", "ftp://cs")],
        );
        check("m/x; a*1=x; a*0=y; a*3=z", "m/x", &[("a", "yx")]);
        check(
            "m/x; *0=a; *=b; x*+1=c",
            "m/x",
            &[("*0", "a"), ("*", "b"), ("x*+1", "c")],
        );
    }

    #[test]
    fn extended_values_are_decoded() {
        assert_eq!(decode_extended("utf-8'de'gr%C3%BC%C3%9Fe"), "grüße");
        assert_eq!(decode_extended("iso-8859-1''%A3%20rates"), "£ rates");
        assert_eq!(decode_extended("100%"), "100%");
    }

    #[test]
    fn limits_hold() {
        let many = format!("a/b{}", "; x=1".repeat(5000));
        assert!(parse_parameterised(many.as_bytes()).cut);
        let long = format!("a/b; x={}", "y".repeat(MAX_PARAMETER_OCTETS * 2));
        let parsed = parse_parameterised(long.as_bytes());
        assert!(parsed.cut);
        assert_eq!(parsed.parameters[0].1.len(), MAX_PARAMETER_OCTETS);
    }
}
