//! BODY and BODYSTRUCTURE (RFC 3501 7.4.2, 9 `body`).
//!
//! Invariant: the recursion is as deep as the structure, whose depth the MIME parser bounds.

use letterlock_core::mime::{Content, Part};

use super::strings::write_string;
use super::{envelope, put, write_nstring};

/// With extension data, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `BODY`
    Basic,
    /// `BODYSTRUCTURE`
    Extended,
}

/// `body = "(" (body-type-1part / body-type-mpart) ")"`
pub(super) fn write(out: &mut Vec<u8>, part: &Part, form: Form) {
    put(out, "(");
    match &part.content {
        Content::Multipart(parts) => {
            for part in parts {
                write(out, part, form);
            }
            put(out, " ");
            write_upper(out, &part.subtype);
            if form == Form::Extended {
                put(out, " ");
                write_parameters(out, &part.parameters);
                write_extension(out, part);
            }
        }
        Content::Message { .. } | Content::Leaf(_) => {
            write_single(out, part, form);
            if form == Form::Extended {
                put(out, " ");
                write_nstring(out, part.md5.as_deref().map(str::as_bytes));
                write_extension(out, part);
            }
        }
    }
    put(out, ")");
}

/// `body-type-1part = (body-type-basic / body-type-msg / body-type-text)`
fn write_single(out: &mut Vec<u8>, part: &Part, form: Form) {
    write_upper(out, &part.media_type);
    put(out, " ");
    write_upper(out, &part.subtype);
    put(out, " ");
    write_parameters(out, &part.parameters);
    put(out, " ");
    write_nstring(out, part.content_id.as_deref().map(str::as_bytes));
    put(out, " ");
    write_nstring(out, part.description.as_deref().map(str::as_bytes));
    put(out, " ");
    write_upper(out, part.encoding.as_deref().unwrap_or("7bit"));
    put(out, format_args!(" {}", part.body.len()));
    match &part.content {
        // `body-type-msg = media-message SP body-fields SP envelope SP body SP body-fld-lines`
        Content::Message {
            envelope: data,
            part: inner,
        } => {
            put(out, " ");
            envelope::write(out, data);
            put(out, " ");
            write(out, inner, form);
            put(out, format_args!(" {}", part.lines));
        }
        // `body-type-text = media-text SP body-fields SP body-fld-lines`
        Content::Leaf(_) if part.media_type == "text" => {
            put(out, format_args!(" {}", part.lines));
        }
        Content::Leaf(_) | Content::Multipart(_) => {}
    }
}

/// `[SP body-fld-dsp [SP body-fld-lang [SP body-fld-loc]]]`
fn write_extension(out: &mut Vec<u8>, part: &Part) {
    match &part.disposition {
        Some((kind, parameters)) => {
            put(out, " (");
            write_upper(out, kind);
            put(out, " ");
            write_parameters(out, parameters);
            put(out, ")");
        }
        None => put(out, " NIL"),
    }
    match part.language.as_slice() {
        [] => put(out, " NIL"),
        tags => {
            for (index, tag) in tags.iter().enumerate() {
                put(out, if index == 0 { " (" } else { " " });
                write_string(out, tag.as_bytes());
            }
            put(out, ")");
        }
    }
    put(out, " ");
    write_nstring(out, part.location.as_deref().map(str::as_bytes));
}

/// `body-fld-param = "(" string SP string *(SP string SP string) ")" / nil`
fn write_parameters(out: &mut Vec<u8>, parameters: &[(String, String)]) {
    if parameters.is_empty() {
        return put(out, "NIL");
    }
    for (index, (name, value)) in parameters.iter().enumerate() {
        put(out, if index == 0 { "(" } else { " " });
        write_upper(out, name);
        put(out, " ");
        write_string(out, value.as_bytes());
    }
    put(out, ")");
}

/// Names whose case says nothing go in upper case, as the RFC's examples have them: old programs
/// compare them so.
fn write_upper(out: &mut Vec<u8>, name: &str) {
    write_string(out, name.to_ascii_uppercase().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::mime::split;

    #[test]
    fn a_plain_message() {
        let raw = b"Content-Type: text/plain; charset=us-ascii\r\n\r\none\r\ntwo\r\n";
        assert_eq!(
            written(raw, Form::Basic),
            "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 10 2)"
        );
    }

    #[test]
    fn a_multipart_with_an_attachment() {
        let raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhi\r\n--x\r\n\
            Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\
            Content-ID: <1@x>\r\nContent-Disposition: attachment; filename=a.png\r\n\r\nAAAA\r\n\
            --x--\r\n";
        let image = "(\"IMAGE\" \"PNG\" (\"NAME\" \"a.png\") \"<1@x>\" NIL \"BASE64\" 4";
        let basic = written(raw, Form::Basic);
        assert!(basic.ends_with(&format!("{image}) \"MIXED\")")), "{basic}");
        let extended = written(raw, Form::Extended);
        let tail = format!(
            "{image} NIL (\"ATTACHMENT\" (\"FILENAME\" \"a.png\")) NIL NIL) \
            \"MIXED\" (\"BOUNDARY\" \"x\") NIL NIL NIL)"
        );
        assert!(extended.ends_with(&tail), "{extended}");
    }

    #[test]
    fn a_message_in_a_message() {
        let raw = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n";
        let text = written(raw, Form::Basic);
        assert!(
            text.starts_with("(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 21 (NIL \"in\" "),
            "{text}"
        );
        assert!(text.ends_with("NIL NIL \"7BIT\" 6 1) 3)"), "{text}");
    }

    fn written(raw: &[u8], form: Form) -> String {
        let mut out = Vec::new();
        write(&mut out, &split(raw).structure.root, form);
        String::from_utf8(out).unwrap()
    }
}
