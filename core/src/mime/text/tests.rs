//! Which parts are shown, which are attached.

use std::fmt::Write as _;

use super::*;
use crate::mime::split;

/// Builds a message from a tree like `mixed(plain html attached)`.
fn message(tree: &str) -> Vec<u8> {
    let mut raw = String::new();
    let mut open: Vec<usize> = Vec::new();
    let words = tree.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = words.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        if let (Some(boundary), false) = (open.last(), ["(", ")"].contains(word)) {
            write!(raw, "\n--b{boundary}\n").unwrap();
        }
        match *word {
            "(" => {}
            ")" => write!(raw, "\n--b{}--\n", open.pop().unwrap()).unwrap(),
            "plain" | "html" => write!(raw, "Content-Type: text/{word}\n\n{word}").unwrap(),
            "file" => raw.push_str("Content-Disposition: attachment; filename=\"a/b.txt\"\n\nx"),
            "picture" => raw.push_str("Content-Type: image/png\nContent-ID: <p@x>\n\nx"),
            "signature" => raw.push_str("Content-Type: application/pgp-signature\n\nx"),
            "message" => raw.push_str("Content-Type: message/rfc822\n\nS: x\n\ninner"),
            multipart => {
                write!(
                    raw,
                    "Content-Type: multipart/{multipart}; boundary=b{at}\n\n"
                )
                .unwrap();
                open.push(at);
            }
        }
    }
    raw.into_bytes()
}

fn check(tree: &str, text: &[&str], html: &[&str], attachments: &[&str]) {
    let raw = message(tree);
    let structure = split(&raw).structure;
    let body = body_to_show(&structure);
    let path = |path: &[u32]| {
        path.iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(".")
    };
    let shown = |parts: &[ShownPart]| {
        parts
            .iter()
            .map(|part| path(&part.path))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(&body.text), text, "text of {tree}");
    assert_eq!(shown(&body.html), html, "html of {tree}");
    let attached: Vec<_> = body
        .attachments
        .iter()
        .map(|a| format!("{}{}", path(&a.path), if a.inline { "i" } else { "" }))
        .collect();
    assert_eq!(attached, attachments, "attachments of {tree}");
}

#[test]
fn mail_programs_trees_are_understood() {
    check("plain", &["1"], &["1"], &[]);
    check("html", &["1"], &["1"], &[]);
    check("file", &[], &[], &["1"]);
    check("message", &[], &[], &["1"]);
    check("alternative(plain html)", &["1"], &["2"], &[]);
    check(
        "alternative(plain related(html picture))",
        &["1"],
        &["2.1"],
        &["2.2i"],
    );
    check(
        "related(alternative(plain html) picture)",
        &["1.1"],
        &["1.2"],
        &["2i"],
    );
    check(
        "mixed(alternative(plain html) file plain)",
        &["1.1", "3"],
        &["1.2", "3"],
        &["2"],
    );
    check("mixed(plain message)", &["1"], &["1"], &["2"]);
    check(
        "signed(mixed(plain file) signature)",
        &["1.1"],
        &["1.1"],
        &["1.2"],
    );
    check("alternative(html)", &["1"], &["1"], &[]);
}

#[test]
fn names_choose_no_folder() {
    let raw = message("file");
    let body = body_to_show(&split(&raw).structure);
    assert_eq!(body.attachments[0].file_name.as_deref(), Some("b.txt"));
    assert_eq!(base_name("..\\..\\.profile\n"), "profile");
    assert_eq!(base_name(".."), "");
}

#[test]
fn previews_are_one_line_of_own_words() {
    assert_eq!(preview("> quoted\n\nHello\r\n  there\n"), "Hello there");
    assert_eq!(preview("> only\n> quoted"), "> only > quoted");
    assert_eq!(preview(&"word ".repeat(100)).chars().count(), 199);
    assert_eq!(preview(&"ü".repeat(500)).chars().count(), PREVIEW_CHARS);
    let raw = b"Content-Type: text/html; charset=iso-8859-1\n\n<style>x</style><p>Gr\xfc\xdfe</p>";
    assert_eq!(split(raw).structure.summary.preview, "Grüße");
}

#[test]
fn flowed_text_is_put_together() {
    let check = |content_type: &str, expected: &str, preview: &str| {
        let raw = format!(
            "Content-Type: {content_type}\r\n\r\nA long \r\nline.\r\n> quo \r\n> ted\r\n-- \r\nAda\r\n"
        );
        let message = split(raw.as_bytes());
        let (text, _) = decode_text(&message.structure.root, message.leaves[0]);
        assert_eq!(text, expected, "{content_type}");
        assert_eq!(message.structure.summary.preview, preview, "{content_type}");
    };
    check(
        "text/plain; format=flowed",
        "A long line.\n> quo ted\n-- \nAda\n",
        "A long line. -- Ada",
    );
    check(
        "text/plain; FORMAT=\"Flowed\"; delsp=YES",
        "A longline.\n> quoted\n-- \nAda\n",
        "A longline. -- Ada",
    );
    check(
        "text/plain; format=fixed",
        "A long \nline.\n> quo \n> ted\n-- \nAda\n",
        "A long line. -- Ada",
    );
}

#[test]
fn lines_end_in_line_feeds() {
    for (given, expected) in [
        ("a\r\nb", "a\nb"),
        ("a\r\n\r\n", "a\n\n"),
        ("a\r\r\nb\rc\nd\r", "a\r\nb\rc\nd\r"),
        ("\r", "\r"),
        ("", ""),
    ] {
        assert_eq!(with_line_feeds(given.to_owned()), expected, "{given:?}");
        assert_eq!(given.replace("\r\n", "\n"), expected, "{given:?}");
    }
}
