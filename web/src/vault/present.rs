//! Messages as the page shows them: rows of the list, and a message opened.
//!
//! Pure: what has to be read is named first ([`wanted`]), read by the caller, and shown then; so
//! only the parts that are looked at are fetched, and all of this is tested natively.

use letterlock_core::mime::text::{Attachment, body_to_show, decode_text};
use letterlock_core::mime::{Mailbox, Span, Structure, html_to_text};
use letterlock_core::openpgp::{Encryption, Protection, SignatureStatus};

use crate::html::{self, InlineImage};
use crate::protocol::{self, AttachmentView, Body};

/// Most octets of text that one message shows; what is longer is cut and said to be.
pub const MAX_TEXT_OCTETS: usize = 2 * 1024 * 1024;

/// Octets of a message by where they stand.
pub type Pieces = Vec<(Span, Vec<u8>)>;

/// What has to be read to show a message's text: its text parts and the images in them.
pub fn wanted(structure: &Structure) -> Vec<Span> {
    let body = body_to_show(structure);
    let texts = body.html.iter().chain(&body.text);
    let mut spans: Vec<Span> = texts
        .filter_map(|shown| structure.leaves.get(shown.leaf))
        .copied()
        .collect();
    if body.html.iter().any(|shown| shown.html) {
        let images = body
            .attachments
            .iter()
            .filter(|attachment| is_inline_image(attachment));
        spans.extend(images.map(|attachment| attachment.span));
    }
    spans.sort_unstable();
    spans.dedup();
    spans
}

/// The attachments that are listed, in order: images that the text shows are not among them.
pub fn attachments(structure: &Structure) -> Vec<Attachment> {
    let body = body_to_show(structure);
    let html = body.html.iter().any(|shown| shown.html);
    let shown = |attachment: &Attachment| html && is_inline_image(attachment);
    body.attachments
        .into_iter()
        .filter(|attachment| !shown(attachment))
        .collect()
}

/// An attachment for the list.
pub fn attachment_view(index: usize, attachment: &Attachment) -> AttachmentView {
    AttachmentView {
        name: attachment_name(index, attachment),
        media_type: attachment.media_type.clone(),
        size: attachment.size,
    }
}

/// The file name of an attachment; one is made up for it if it has none.
pub fn attachment_name(index: usize, attachment: &Attachment) -> String {
    if let Some(name) = &attachment.file_name {
        return name.clone();
    }
    let number = index.saturating_add(1);
    match attachment.media_type.as_str() {
        "message/rfc822" | "message/global" => format!("message-{number}.eml"),
        "text/plain" => format!("attachment-{number}.txt"),
        "application/pdf" => format!("attachment-{number}.pdf"),
        "image/png" => format!("image-{number}.png"),
        "image/jpeg" => format!("image-{number}.jpg"),
        _ => format!("attachment-{number}"),
    }
}

/// The text of a message, and what was found wrong while decoding it.
pub fn body(structure: &Structure, pieces: &Pieces) -> (Body, Vec<String>) {
    let shown = body_to_show(structure);
    let mut defects = Vec::new();
    let mut decode = |path: &[u32], leaf: usize| {
        let (Some(part), Some(span)) = (structure.part(path), structure.leaves.get(leaf)) else {
            return String::new();
        };
        let (text, found) = decode_text(part, piece(pieces, *span));
        defects.extend(found.iter().map(ToString::to_string));
        cut(text)
    };
    let html_parts: Vec<(bool, String)> = shown
        .html
        .iter()
        .map(|part| (part.html, decode(&part.path, part.leaf)))
        .collect();
    if !html_parts.iter().any(|(html, _)| *html) {
        let texts: Vec<String> = html_parts.into_iter().map(|(_, text)| text).collect();
        return (Body::Text(texts.join("\n")), unique(defects));
    }
    let texts: Vec<String> = shown
        .text
        .iter()
        .map(|part| (part.html, decode(&part.path, part.leaf)))
        .map(|(html, text)| if html { html_to_text(&text) } else { text })
        .collect();
    let document: String = html_parts
        .iter()
        .map(|(html, text)| as_html(*html, text))
        .collect();
    let clean = html::sanitize(&document, images(structure, pieces, &shown.attachments));
    let body = Body::Html {
        document: clean.document,
        blocked: clean.blocked,
        text: texts.join("\n"),
    };
    (body, unique(defects))
}

/// Protection as the page shows it.
pub fn protection(protection: &Protection) -> protocol::Protection {
    use protocol::Signature;
    let encryption = match protection.encryption {
        Encryption::None => protocol::Encryption::None,
        Encryption::ToUs { .. } => protocol::Encryption::Decrypted,
        Encryption::Undecryptable { .. } => protocol::Encryption::Unopened,
        Encryption::Repaired { .. } => protocol::Encryption::Repaired,
    };
    let signature = match &protection.signature {
        SignatureStatus::None => Signature::None,
        SignatureStatus::Valid { address, .. } => Signature::Good {
            signer: address.as_str().to_owned(),
        },
        SignatureStatus::WrongSender {
            fingerprint,
            address,
        } => {
            let address = address.as_ref().map(|address| address.as_str().to_owned());
            Signature::Foreign {
                signer: address.unwrap_or_else(|| fingerprint.to_string()),
            }
        }
        // An expired or weak signature proves no more than one by a key that nobody knows.
        SignatureStatus::Expired { fingerprint } | SignatureStatus::Weak { fingerprint } => {
            Signature::UnknownKey {
                key: fingerprint.to_string(),
            }
        }
        SignatureStatus::UnknownKey { issuer } => {
            let key = issuer.as_ref().map(ToString::to_string);
            Signature::UnknownKey {
                key: key.unwrap_or_default(),
            }
        }
        SignatureStatus::Bad { .. } => Signature::Bad,
    };
    protocol::Protection {
        encryption,
        signature,
    }
}

/// People as they are written: `Bob <bob@letterlock.example>, carol@example.org`.
pub fn people(mailboxes: &[Mailbox]) -> String {
    let written: Vec<String> = mailboxes.iter().map(person).collect();
    written.join(", ")
}

fn person(mailbox: &Mailbox) -> String {
    if mailbox.name.is_empty() {
        return mailbox.address.clone();
    }
    let special = |c: char| "()<>[]:;@\\,\"".contains(c);
    if mailbox.name.contains(special) {
        let escaped = mailbox.name.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{escaped}\" <{}>", mailbox.address);
    }
    format!("{} <{}>", mailbox.name, mailbox.address)
}

/// The name of the first of these people, for the list.
pub fn first_name(mailboxes: &[Mailbox]) -> String {
    let Some(first) = mailboxes.first() else {
        return String::new();
    };
    let name = if first.name.is_empty() {
        &first.address
    } else {
        &first.name
    };
    match mailboxes.len() {
        1 => name.clone(),
        more => format!("{name} and {} more", more - 1),
    }
}

fn is_inline_image(attachment: &Attachment) -> bool {
    attachment.inline
        && attachment.content_id.is_some()
        && html::IMAGE_TYPES.contains(&attachment.media_type.as_str())
}

fn images(structure: &Structure, pieces: &Pieces, all: &[Attachment]) -> Vec<InlineImage> {
    let image = |attachment: &Attachment| {
        let part = structure.part(&attachment.path)?;
        let wire = piece(pieces, attachment.span);
        Some(InlineImage {
            content_id: attachment.content_id.clone()?,
            media_type: attachment.media_type.clone(),
            octets: letterlock_core::mime::text::decode_attachment(part, wire),
        })
    };
    all.iter()
        .filter(|attachment| is_inline_image(attachment))
        .filter_map(image)
        .collect()
}

fn piece(pieces: &Pieces, span: Span) -> &[u8] {
    let found = pieces.iter().find(|(at, _)| *at == span);
    found
        .map(|(_, octets)| octets.as_slice())
        .unwrap_or_default()
}

fn as_html(html: bool, text: &str) -> String {
    if html {
        return text.to_owned();
    }
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    format!("<pre style=\"white-space:pre-wrap\">{escaped}</pre>")
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TEXT_OCTETS {
        let mut end = MAX_TEXT_OCTETS;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n\n[The rest of this text is too long to be shown here.]\n");
    }
    text
}

fn unique(mut defects: Vec<String>) -> Vec<String> {
    defects.sort_unstable();
    defects.dedup();
    defects
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::mime::split;

    fn shown(raw: &[u8]) -> (Body, Vec<String>) {
        let message = split(raw);
        let pieces = wanted(&message.structure)
            .into_iter()
            .map(|span| (span, span.of(raw).to_vec()))
            .collect();
        body(&message.structure, &pieces)
    }

    #[test]
    fn plain_text_is_shown_decoded() {
        let raw = b"Subject: x\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nCaf=E9 <b>\r\n";
        assert_eq!(
            shown(raw),
            (Body::Text("Café <b>\n".to_owned()), Vec::new())
        );
    }

    #[test]
    fn html_is_shown_with_its_images_and_a_text_to_quote() {
        let raw = b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\n\
            Content-Type: text/html\r\n\r\n<p>Hi <img src=\"cid:i@x\"><script>1</script></p>\r\n\
            --b\r\nContent-Type: image/png\r\nContent-ID: <i@x>\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nUE5H\r\n--b--\r\n";
        let (
            Body::Html {
                document,
                blocked,
                text,
            },
            _,
        ) = shown(raw)
        else {
            panic!("this is HTML");
        };
        assert!(
            document.contains("data:image/png;base64,UE5H"),
            "{document}"
        );
        assert!(!document.contains("<script"));
        assert_eq!((blocked, text.trim()), (0, "Hi"));
        assert!(
            attachments(&split(raw).structure).is_empty(),
            "the image is in the text"
        );
    }

    #[test]
    fn attachments_get_a_name() {
        let raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n\
            Content-Type: application/pdf\r\nContent-Disposition: attachment\r\n\r\n%PDF\r\n--b\r\n\
            Content-Type: image/png; name=\"../../etc/x.png\"\r\n\
            Content-Disposition: attachment\r\n\r\nPNG\r\n--b--\r\n";
        let listed = attachments(&split(raw).structure);
        let names: Vec<String> = listed
            .iter()
            .enumerate()
            .map(|(n, one)| attachment_name(n, one))
            .collect();
        assert_eq!(names, ["attachment-1.pdf", "x.png"]);
    }

    #[test]
    fn people_are_written_so_that_they_can_be_read_again() {
        let mailbox = |name: &str| Mailbox {
            name: name.to_owned(),
            address: "bob@letterlock.example".to_owned(),
        };
        let written = people(&[mailbox("Bob"), mailbox("Weaver, Bob"), mailbox("")]);
        assert_eq!(
            written,
            "Bob <bob@letterlock.example>, \"Weaver, Bob\" <bob@letterlock.example>, \
             bob@letterlock.example"
        );
        let read = letterlock_core::mime::address::parse_mailboxes(written.as_bytes(), 9);
        assert_eq!(read, [mailbox("Bob"), mailbox("Weaver, Bob"), mailbox("")]);
    }
}
