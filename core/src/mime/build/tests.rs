//! What is composed is read back as it was meant.

use proptest::prelude::*;

use super::*;
use crate::mime::text::{body_to_show, decode_attachment, decode_text};
use crate::mime::{Defect, decode_header, header, split};

fn person(name: &str, address: &str) -> Person {
    Person {
        name: name.to_owned(),
        address: Address::new(address).unwrap(),
    }
}

fn message(body: NewPart) -> NewMessage {
    let from = person("Alice", "alice@letterlock.example");
    NewMessage::new(
        from,
        Timestamp::from_secs(880_127_706),
        "1@letterlock.example",
        body,
    )
}

fn plain(text: &str) -> NewPart {
    NewPart::letter(text.to_owned(), None, vec![])
}

/// 7-bit, CRLF, lines of at most 998 octets.
fn assert_wire(raw: &[u8]) {
    assert!(raw.is_ascii() && !raw.contains(&0));
    for line in raw.split(|&o| o == b'\n').filter(|line| !line.is_empty()) {
        assert!(line.ends_with(b"\r") && line.len() <= 998);
        assert!(!line[..line.len() - 1].contains(&b'\r'));
    }
}

#[test]
fn a_letter_on_the_wire() {
    let mut message = message(plain("Hi\nBob"));
    message.to = vec![
        person("Bob, the \"builder\"", "bob@x.example"),
        person("", "\"a b\"@y.z"),
    ];
    message.subject = "Grüße".to_owned();
    message.references = vec!["a@b".to_owned(), "c@d".to_owned()];
    message.fields = vec![
        ("X-A".to_owned(), "b".to_owned()),
        ("bad name".to_owned(), "c".to_owned()),
    ];
    let raw = message.write([0; 16]);
    assert_wire(&raw);
    assert_eq!(
        String::from_utf8(raw).unwrap(),
        "Date: Fri, 21 Nov 1997 15:55:06 +0000\r\n\
         From: Alice <alice@letterlock.example>\r\n\
         To: \"Bob, the \\\"builder\\\"\" <bob@x.example>, \"a b\"@y.z\r\n\
         Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\
         Message-ID: <1@letterlock.example>\r\n\
         References: <a@b> <c@d>\r\n\
         X-A: b\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 7bit\r\n\r\n\
         Hi\r\nBob\r\n"
    );
}

#[test]
fn files_and_html_are_found_again() {
    let file = |name: &str, media_type: &str, id: Option<&str>, octets: &[u8]| NewPart::File {
        media_type: media_type.to_owned(),
        file_name: Some(name.to_owned()),
        content_id: id.map(str::to_owned),
        octets: octets.to_vec(),
    };
    let name = "Ein sehr langer Name für eine Datei, die angehängt wird \"\\.pdf";
    let body = NewPart::letter(
        "text".to_owned(),
        Some("<b>ü</b>".to_owned()),
        vec![
            file("pixel.png", "image/png", Some("p@x"), &[1; 100]),
            file(name, "application/pdf\r\nEvil: x", None, &[0, 255, 10]),
            file(
                "m.eml",
                "message/rfc822",
                None,
                b"Subject: inner\r\n\r\nx\r\n",
            ),
            file("n.eml", "message/rfc822", None, b"Subject: \xff\n\nx"),
        ],
    );
    let raw = message(body).write([7; 16]);
    assert_wire(&raw);
    let structure = split(&raw).structure;
    assert_eq!(structure.defects, []);
    let body = body_to_show(&structure);
    assert_eq!((body.text.len(), body.html.len()), (1, 1));
    let html = structure.part(&body.html[0].path).unwrap();
    assert_eq!(
        decode_text(html, html.body.of(&raw)),
        ("<b>ü</b>\n".to_owned(), vec![])
    );
    let found: Vec<_> = body
        .attachments
        .iter()
        .map(|a| {
            (
                a.file_name.as_deref().unwrap(),
                a.media_type.as_str(),
                a.inline,
            )
        })
        .collect();
    let expected = [
        ("pixel.png", "image/png", true),
        // Without what looks like a folder.
        ("pdf", "application/octet-stream", false),
        ("m.eml", "message/rfc822", false),
        ("n.eml", "application/octet-stream", false),
    ];
    assert_eq!(found, expected);
    let part = structure.part(&body.attachments[1].path).unwrap();
    assert_eq!(part.file_name().unwrap(), name);
    assert_eq!(decode_attachment(part, part.body.of(&raw)), [0, 255, 10]);
}

#[test]
fn a_report_is_written() {
    let lines = NewPart::Lines {
        media_type: "message/delivery-status".to_owned(),
        text: "Reporting-MTA: dns; x\n\nAction: failed\n".to_owned(),
    };
    let report = NewPart::Multipart {
        subtype: "report".to_owned(),
        parameters: vec![("report-type".to_owned(), "delivery-status".to_owned())],
        parts: vec![plain("It failed."), lines],
    };
    let raw = message(report).write([1; 16]);
    assert_wire(&raw);
    let structure = split(&raw).structure;
    assert_eq!(
        structure.root.parameter("report-type").unwrap(),
        "delivery-status"
    );
    let status = structure.part(&[2]).unwrap();
    assert_eq!(
        status.body.of(&raw),
        b"Reporting-MTA: dns; x\r\n\r\nAction: failed\r\n"
    );
}

fn normal(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

proptest! {
    #[test]
    fn no_value_leaves_its_place(
        subject in ".{0,300}",
        name in ".{0,80}",
        text in "(.|\r|\n|From |\\. ){0,200}",
        file_name in ".{1,80}",
        id in ".{0,20}",
    ) {
        // A byte order mark is no part of a text: decoding takes it off.
        let [subject, name, text, file_name] =
            [subject, name, text, file_name].map(|text| text.replace('\u{feff}', "x"));
        let file = NewPart::File {
            media_type: "a/b".to_owned(),
            file_name: Some(file_name.clone()),
            content_id: None,
            octets: text.clone().into_bytes(),
        };
        let mut message = message(NewPart::letter(text.clone(), None, vec![file]));
        message.subject.clone_from(&subject);
        message.to = vec![person(&name, "bob@x.example")];
        message.in_reply_to = vec![id];
        let raw = message.write([9; 16]);
        assert_wire(&raw);
        let structure = split(&raw).structure;
        prop_assert!(structure.defects.iter().all(|d| *d == Defect::BadCharset));
        let known = ["Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "MIME-Version",
            "Content-Type"];
        for field in header::fields(structure.root.header.of(&raw)) {
            prop_assert!(known.iter().any(|name| field.is(name)));
        }
        prop_assert_eq!(normal(&structure.summary.subject), normal(&subject));
        prop_assert_eq!(structure.envelope.to.len(), 1);
        prop_assert_eq!(&structure.summary.to[0].address, "bob@x.example");
        prop_assert_eq!(normal(&structure.summary.to[0].name), normal(&name));
        let part = structure.part(&[1]).unwrap();
        let (shown, defects) = decode_text(part, part.body.of(&raw));
        prop_assert_eq!(defects, vec![]);
        let meant = with_line_breaks(&text).replace("\r\n", "\n");
        prop_assert_eq!(shown.trim_end(), meant.trim_end());
        let part = structure.part(&[2]).unwrap();
        prop_assert_eq!(decode_attachment(part, part.body.of(&raw)), text.as_bytes());
        let meant: String =
            file_name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let meant = decode_header(meant.as_bytes());
        let found = part.file_name().unwrap_or_default();
        prop_assert_eq!(found.trim(), meant.trim());
    }
}
