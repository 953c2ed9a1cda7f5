//! Parts without their content transfer encoding, as IMAP's BINARY gives them (RFC 3516,
//! RFC 9051 6.4.5.2).
//!
//! Invariant: an encoding that is not known is an error here, as RFC 3516 4.3 wants; elsewhere
//! such a part is shown as it stands. Rejected: leaving the decision to callers; one of them would
//! forget that a multipart has no encoding.

use super::body_structure::{Content, Part};
use super::defect::Defect;
use super::transfer::decode_with_defect;

/// Why a part cannot be given without its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// Nobody knows how to undo the encoding: `NO [UNKNOWN-CTE]`.
    #[error("the content transfer encoding is not known")]
    UnknownEncoding,
}

/// The octets of a part's body without its encoding; `wire` is [`Part::body`] as it stands.
/// A multipart or message has none (RFC 2045 6.4) and is given as it stands.
pub fn decode_binary(part: &Part, wire: &[u8]) -> Result<Vec<u8>, BinaryError> {
    if !matches!(part.content, Content::Leaf(_)) {
        return Ok(wire.to_vec());
    }
    match decode_with_defect(part.encoding.as_deref(), wire) {
        (_, Some(Defect::UnknownEncoding)) => Err(BinaryError::UnknownEncoding),
        (octets, _) => Ok(octets.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::split;

    fn check(encoding: &str, body: &[u8], expected: Result<&[u8], BinaryError>) {
        let mut raw = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n").into_bytes();
        raw.extend_from_slice(body);
        let structure = split(&raw).structure;
        let given = decode_binary(&structure.root, body);
        assert_eq!(given.as_deref(), expected.as_deref(), "{encoding}");
    }

    #[test]
    fn encodings_are_undone_or_refused() {
        check("base64", b"AP8=\r\n", Ok(b"\0\xff"));
        check("BASE64 (as ever)", b"AP8=", Ok(b"\0\xff"));
        check("Quoted-Printable", b"=00=FF=\r\n", Ok(b"\0\xff"));
        check("8bit", b"\0\xff\r\n", Ok(b"\0\xff\r\n"));
        check("binary", b"\0\n", Ok(b"\0\n"));
        check("x-uuencode", b"begin 644 a\n#0V%T\n`\nend\n", Ok(b"Cat"));
        check("", b"x", Ok(b"x"));
        check("base65", b"AP8=", Err(BinaryError::UnknownEncoding));
    }

    #[test]
    fn what_has_parts_has_no_encoding() {
        let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\
            Content-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n";
        let root = split(raw).structure.root;
        let body = root.body.of(raw);
        assert_eq!(decode_binary(&root, body).as_deref(), Ok(body));
    }
}
