//! Whole messages: letters with everything that mail has around its text, and real mail where a
//! folder with it stands beside the project.

use core::fmt::Write as _;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::letters::{Letter, Numbers, letter};

/// Real mail: mbox files of mailing lists, seen from the project's root.
pub const LISTS: &str = "../shared/corpora/lists";

/// Octets of a small picture, and of a large file.
const PICTURE_OCTETS: usize = 60_000;
const FILE_OCTETS: usize = 1_500_000;

/// A sort of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Text alone, as on mailing lists.
    Plain,
    /// Text and the same as HTML, quoted-printable.
    Alternative,
    /// HTML with a picture in it.
    Picture,
    /// A letter that forwards another.
    Forward,
    /// A large file in base64.
    File,
}

impl Sort {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Plain,
        Self::Alternative,
        Self::Picture,
        Self::Forward,
        Self::File,
    ];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain text",
            Self::Alternative => "text and HTML",
            Self::Picture => "HTML with a picture",
            Self::Forward => "a forwarded message",
            Self::File => "a file of 1.5 MB",
        }
    }
}

/// A letter as it comes by SMTP.
pub fn raw(letter: &Letter) -> Vec<u8> {
    let body = format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{}",
        letter.body
    );
    [header(letter), body].concat().into_bytes()
}

/// The message of a number and a sort.
pub fn message(sort: Sort, number: u32) -> Vec<u8> {
    let letter = letter(number);
    let text = || quoted_printable("plain", &letter.body);
    let html = || quoted_printable("html", &html(&letter));
    let body = match sort {
        Sort::Plain => return raw(&letter),
        Sort::Alternative => multipart("alternative", "alt", &[text(), html()]),
        Sort::Picture => {
            let picture = file("image/png", "inline", PICTURE_OCTETS, number);
            let related = multipart("related", "rel", &[html(), picture]);
            multipart("alternative", "alt", &[text(), related])
        }
        Sort::Forward => {
            let inner =
                String::from_utf8_lossy(&message(Sort::Alternative, number ^ 1)).into_owned();
            let forwarded = format!("Content-Type: message/rfc822\r\n\r\n{inner}");
            multipart("mixed", "mix", &[text(), forwarded])
        }
        Sort::File => {
            let file = file("application/pdf", "attachment", FILE_OCTETS, number);
            multipart("mixed", "mix", &[text(), file])
        }
    };
    [header(&letter), body].concat().into_bytes()
}

/// The messages of [`LISTS`], if they are there.
///
/// # Errors
/// Those of reading files.
pub fn lists() -> io::Result<Option<Vec<Vec<u8>>>> {
    let folder = Path::new(LISTS);
    if !folder.is_dir() {
        return Ok(None);
    }
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let mbox = std::fs::read(entry?.path())?;
        let mut message = Vec::new();
        for line in mbox.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b"From ") && !message.is_empty() {
                messages.push(std::mem::take(&mut message));
            } else if !line.starts_with(b"From ") {
                message.extend_from_slice(line);
            }
        }
        messages.push(message);
    }
    Ok(Some(messages))
}

fn header(letter: &Letter) -> String {
    format!(
        "Received: from mx.example (mx.example [192.0.2.1]) by mail.example with ESMTPS id {:x}\r\n\
         \tfor <alice@letterlock.example>; Tue, 5 May 2026 12:05:00 +0000\r\n\
         From: {}\r\nTo: {}\r\nSubject: {}\r\nMessage-ID: <{:x}@mail.example>\r\n\
         Date: Tue, 5 May 2026 12:05:00 +0000\r\nMIME-Version: 1.0\r\n",
        letter.number, letter.from, letter.to, letter.subject, letter.number
    )
}

fn html(letter: &Letter) -> String {
    let mut html = String::from("<!DOCTYPE html><html><body style=\"font-family: sans-serif\">");
    for line in letter.body.lines() {
        // Writing to memory does not fail.
        let _ = write!(html, "<p class=\"line\">{line}</p>\r\n");
    }
    html.push_str("</body></html>\r\n");
    html
}

fn multipart(subtype: &str, boundary: &str, parts: &[String]) -> String {
    let mut text = format!("Content-Type: multipart/{subtype}; boundary={boundary}\r\n\r\n");
    for part in parts {
        let _ = write!(text, "--{boundary}\r\n{part}\r\n");
    }
    let _ = write!(text, "--{boundary}--\r\n");
    text
}

fn quoted_printable(subtype: &str, body: &str) -> String {
    let mut text = format!(
        "Content-Type: text/{subtype}; charset=utf-8\r\n\
         Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    );
    for line in body.lines() {
        let mut width = 0;
        for octet in line.bytes() {
            if width > 70 {
                text.push_str("=\r\n");
                width = 0;
            }
            if octet == b'=' || !(b' '..=b'~').contains(&octet) {
                let _ = write!(text, "={octet:02X}");
                width += 3;
            } else {
                text.push(char::from(octet));
                width += 1;
            }
        }
        text.push_str("\r\n");
    }
    text
}

/// A part of octets that look like nothing, in base64.
fn file(media_type: &str, disposition: &str, octets: usize, number: u32) -> String {
    let mut numbers = Numbers::new(u64::from(number) + 5);
    let mut noise = Vec::with_capacity(octets + 8);
    while noise.len() < octets {
        noise.extend_from_slice(&numbers.number().to_be_bytes());
    }
    format!(
        "Content-Type: {media_type}; name=\"file-{number}\"\r\nContent-ID: <{number}@file>\r\n\
         Content-Disposition: {disposition}; filename=\"file-{number}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}",
        base64(&noise)
    )
}

/// Lines of 76 characters (RFC 2045 6.8).
pub(crate) fn base64(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 3 / 2);
    for line in octets.chunks(57) {
        STANDARD.encode_string(line, &mut text);
        text.push_str("\r\n");
    }
    text
}
