//! METADATA responses (RFC 5464 4.4).

use letterlock_core::id::MailboxName;
use letterlock_core::model::AnnotationName;

use super::strings::{write_astring, write_mailbox, write_string};
use super::{put, write_nstring};
use crate::imap::response::MetadataData;
use crate::imap::utf7::{self, Names};

/// `"METADATA" SP mailbox SP "(" entry SP value *(SP entry SP value) ")"`
pub(super) fn write(out: &mut Vec<u8>, data: &MetadataData, names: Names) {
    write_owner(out, data.of.as_ref(), names);
    for (index, (name, value)) in data.values.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"(" } else { b" " });
        write_astring(out, name.as_str().as_bytes());
        out.push(b' ');
        match value {
            // `literal8`: NUL stands nowhere else (RFC 3516 7).
            Some(value) if value.0.contains(&0) => {
                put(out, format_args!("~{{{}}}\r\n", value.0.len()));
                out.extend_from_slice(&value.0);
            }
            Some(value) => write_nstring(out, Some(&value.0)),
            None => write_nstring(out, None),
        }
    }
    put(out, ")");
}

/// `"METADATA" SP mailbox SP entry *(SP entry)`
pub(super) fn write_changed(
    out: &mut Vec<u8>,
    of: Option<&MailboxName>,
    entries: &[AnnotationName],
    names: Names,
) {
    write_owner(out, of, names);
    for (index, name) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write_astring(out, name.as_str().as_bytes());
    }
}

/// The name is quoted even if it is an atom: some programs know no other form here.
fn write_owner(out: &mut Vec<u8>, of: Option<&MailboxName>, names: Names) {
    put(out, "* METADATA ");
    match (of, names) {
        (None, _) => put(out, "\"\""),
        (Some(name), Names::Utf8) if !name.as_str().is_ascii() => {
            write_mailbox(out, name.as_str(), names);
        }
        (Some(name), Names::Utf8) => write_string(out, name.as_str().as_bytes()),
        (Some(name), Names::Utf7) => write_string(out, utf7::encode(name.as_str()).as_bytes()),
    }
    out.push(b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::command::Octets;

    fn name(text: &str) -> AnnotationName {
        AnnotationName::new(text).unwrap()
    }

    #[test]
    fn values_take_the_form_they_need() {
        let values = [
            ("/private/a", Some(&b"plain"[..])),
            ("/private/b c", Some(b"two\r\nlines")),
            ("/private/d", Some(b"nul\0")),
            ("/private/e", None),
        ];
        let value = |(text, value): &(&str, Option<&[u8]>)| {
            (name(text), value.map(|octets| Octets(octets.to_vec())))
        };
        let data = MetadataData {
            of: Some(MailboxName::new("Entwürfe").unwrap()),
            values: values.iter().map(value).collect(),
        };
        let mut out = Vec::new();
        write(&mut out, &data, Names::Utf7);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "* METADATA \"Entw&APw-rfe\" (/private/a \"plain\" \"/private/b c\" \
             {10}\r\ntwo\r\nlines /private/d ~{4}\r\nnul\0 /private/e NIL)"
        );
    }

    #[test]
    fn changes_are_names_alone() {
        for (of, names, expected) in [
            (None, Names::Utf7, "\"\""),
            (Some("INBOX"), Names::Utf8, "\"INBOX\""),
            (Some("ü"), Names::Utf8, "\"ü\""),
        ] {
            let of = of.map(|of| MailboxName::new(of).unwrap());
            let mut out = Vec::new();
            let entries = [name("/shared/comment"), name("/private/comment")];
            write_changed(&mut out, of.as_ref(), &entries, names);
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("* METADATA {expected} /shared/comment /private/comment")
            );
        }
    }
}
