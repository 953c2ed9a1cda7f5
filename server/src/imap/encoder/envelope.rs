//! ENVELOPE (RFC 3501 7.4.2, 9 `envelope`).

use letterlock_core::mime::{EnvelopeAddress, EnvelopeData};

use super::{put, write_nstring};

/// `envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP
/// env-cc SP env-bcc SP env-in-reply-to SP env-message-id ")"`
pub(super) fn write(out: &mut Vec<u8>, envelope: &EnvelopeData) {
    put(out, "(");
    write_nstring(out, envelope.date.as_deref());
    put(out, " ");
    write_nstring(out, envelope.subject.as_deref());
    for addresses in [
        &envelope.from,
        &envelope.sender,
        &envelope.reply_to,
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ] {
        put(out, " ");
        write_addresses(out, addresses);
    }
    put(out, " ");
    write_nstring(out, envelope.in_reply_to.as_deref());
    put(out, " ");
    write_nstring(out, envelope.message_id.as_deref());
    put(out, ")");
}

/// `env-from = "(" 1*address ")" / nil`
fn write_addresses(out: &mut Vec<u8>, addresses: &[EnvelopeAddress]) {
    if addresses.is_empty() {
        return put(out, "NIL");
    }
    put(out, "(");
    for address in addresses {
        for (index, field) in [&address.name, &address.adl, &address.mailbox, &address.host]
            .into_iter()
            .enumerate()
        {
            put(out, if index == 0 { "(" } else { " " });
            write_nstring(out, field.as_deref());
        }
        put(out, ")");
    }
    put(out, ")");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_of_the_rfc() {
        // RFC 3501 8, the message of the sample session.
        let header = b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
            From: Terry Gray <gray@cac.washington.edu>\r\n\
            Subject: IMAP4rev1 WG mtg summary and minutes\r\n\
            To: imap@cac.washington.edu\r\n\
            cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
            Message-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n";
        let expected = "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \
            \"IMAP4rev1 WG mtg summary and minutes\" \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
            ((NIL NIL \"imap\" \"cac.washington.edu\")) \
            ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")\
            (\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
            \"<B27397-0100000@cac.washington.edu>\")";
        assert_eq!(written(header), expected);
    }

    #[test]
    fn a_message_without_fields_has_an_envelope_of_nils() {
        assert_eq!(
            written(b"\r\n"),
            "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn octets_above_127_go_in_a_literal() {
        let text = written("Subject: ü\r\n\r\n".as_bytes());
        assert!(text.starts_with("(NIL {2}\r\nü NIL"), "{text}");
    }

    fn written(header: &[u8]) -> String {
        let mut out = Vec::new();
        write(&mut out, &EnvelopeData::of(header));
        String::from_utf8(out).unwrap()
    }
}
