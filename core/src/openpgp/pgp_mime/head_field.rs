//! The header field by which correspondents tell each other which head of their provider's key
//! directory they were shown ([`crate::keys::transparency`]).
//!
//! ```text
//! Letterlock-Directory-Head: base64 of the signed head
//! ```
//!
//! It stands inside the encryption alone, where the provider cannot change or see it, and is shown
//! to nobody: like all `Letterlock-` fields it is removed from what is rendered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::keys::transparency::head::MAX_HEAD_OCTETS;
use crate::mime::header;

const NAME: &str = "Letterlock-Directory-Head";
/// Longest value that is read: the base64 of a longest head, folded, with room.
const MAX_VALUE_OCTETS: usize = MAX_HEAD_OCTETS * 2;

/// The field, with its CRLF.
pub fn head_field(head: &[u8]) -> String {
    let mut field = format!("{NAME}:");
    for line in STANDARD.encode(head).as_bytes().chunks(72) {
        field.push_str("\r\n ");
        field.extend(line.iter().map(|octet| char::from(*octet)));
    }
    field.push_str("\r\n");
    field
}

/// The head in the header of what was inside the encryption; `None` if there is none, or several.
pub fn read_head_field(inner: &[u8]) -> Option<Vec<u8>> {
    let mut fields = header::fields(inner).filter(|field| field.is(NAME));
    let field = fields.next()?;
    if fields.next().is_some() || field.value.len() > MAX_VALUE_OCTETS {
        return None;
    }
    let value: Vec<u8> = field
        .value
        .iter()
        .copied()
        .filter(|octet| !octet.is_ascii_whitespace())
        .collect();
    STANDARD.decode(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_field() {
        let head: Vec<u8> = (0..100).collect();
        let field = head_field(&head);
        assert!(field.starts_with("Letterlock-Directory-Head:\r\n AAECAwQFBgcICQoL"));
        assert!(field.lines().all(|line| line.len() <= 78));
        let inner = format!("Subject: x\r\n{field}From: a@b.example\r\n\r\n");
        assert_eq!(read_head_field(inner.as_bytes()), Some(head));
        let twice = format!("{field}{inner}");
        assert_eq!(read_head_field(twice.as_bytes()), None);
        assert_eq!(read_head_field(b"Subject: x\r\n\r\n"), None);
        let long = format!("{NAME}: {}\r\n\r\n", "A".repeat(2 * MAX_VALUE_OCTETS));
        assert_eq!(read_head_field(long.as_bytes()), None);
        assert_eq!(
            read_head_field(b"Letterlock-Directory-Head: ?\r\n\r\n"),
            None
        );
    }
}
