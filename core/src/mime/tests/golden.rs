//! What is known about the project's own letters, and about specimens of broken and hostile mail,
//! compared with files under `golden/`.
//!
//! `LETTERLOCK_GOLDEN=write cargo test -p letterlock-core golden` writes them anew: read the
//! difference before it is committed, mail that is stored keeps the structure that it was given.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::round_trip;
use crate::mime::text::{body_to_show, decode_text};
use crate::mime::{Content, EnvelopeAddress, EnvelopeData, Part, Structure, Summary};

/// Folders with messages, from the top of the project.
const FOLDERS: [&str; 2] = ["server/src/demo/letters", "fuzz/corpus/mail"];
/// How many messages there are at least.
const LEAST_MESSAGES: usize = 60;
/// Longest text shown, in characters.
const SHOWN_CHARS: usize = 400;

#[test]
fn structures_are_as_they_were() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = manifest.join("src/mime/tests/golden");
    let write = std::env::var_os("LETTERLOCK_GOLDEN").is_some_and(|value| value == "write");
    let mut names = BTreeSet::new();
    let mut changed = Vec::new();
    for message in messages(manifest) {
        let raw = std::fs::read(&message).unwrap();
        let name = format!("{}.txt", message.file_stem().unwrap().to_string_lossy());
        let file = golden.join(&name);
        let now = describe(&raw);
        if write {
            std::fs::write(&file, &now).unwrap();
        }
        if std::fs::read_to_string(&file).unwrap_or_default() != now {
            println!("--- {name}\n{now}");
            changed.push(name.clone());
        }
        assert!(names.insert(name), "{} twice", message.display());
    }
    assert!(
        names.len() >= LEAST_MESSAGES,
        "only {} messages",
        names.len()
    );
    assert!(
        changed.is_empty(),
        "other structures than golden: {changed:?}"
    );
    for entry in std::fs::read_dir(&golden).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(names.contains(&name), "golden/{name} is of no message");
    }
}

fn messages(manifest: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for entry in std::fs::read_dir(manifest.join("..").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "eml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn describe(raw: &[u8]) -> String {
    let structure = round_trip(raw);
    let mut out = format!("size {} lines {}\n", structure.size, structure.lines);
    writeln!(out, "defects {:?}", structure.defects).unwrap();
    describe_summary(&structure.summary, &mut out);
    out.push_str("envelope\n");
    describe_envelope(&structure.envelope, 1, &mut out);
    describe_part(&structure.root, "message", 0, &mut out);
    let leaves = structure.leaves.iter();
    let leaves: Vec<_> = leaves.map(|l| format!("{}..{}", l.start, l.end)).collect();
    writeln!(out, "leaves {}", leaves.join(" ")).unwrap();
    describe_texts(&structure, raw, &mut out);
    out
}

fn describe_summary(summary: &Summary, out: &mut String) {
    writeln!(out, "summary").unwrap();
    writeln!(out, "  subject {:?}", summary.subject).unwrap();
    for (what, people) in [("from", &summary.from), ("to", &summary.to)] {
        for mailbox in people {
            writeln!(out, "  {what} {:?} {:?}", mailbox.name, mailbox.address).unwrap();
        }
    }
    if let Some(date) = summary.date {
        writeln!(out, "  date {}", date.as_secs()).unwrap();
    }
    writeln!(out, "  preview {:?}", summary.preview).unwrap();
    writeln!(out, "  attachment {}", summary.has_attachment).unwrap();
    let ids = [
        ("message-id", summary.message_id.as_slice()),
        ("in-reply-to", &summary.in_reply_to),
        ("references", &summary.references),
    ];
    for (what, ids) in ids {
        if !ids.is_empty() {
            writeln!(out, "  {what} {ids:?}").unwrap();
        }
    }
}

fn describe_envelope(envelope: &EnvelopeData, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let values = [
        ("date", &envelope.date),
        ("subject", &envelope.subject),
        ("in-reply-to", &envelope.in_reply_to),
        ("message-id", &envelope.message_id),
    ];
    for (what, value) in values {
        if let Some(value) = value {
            writeln!(out, "{indent}{what} {}", escaped(value)).unwrap();
        }
    }
    let lists = [
        ("from", &envelope.from),
        ("sender", &envelope.sender),
        ("reply-to", &envelope.reply_to),
        ("to", &envelope.to),
        ("cc", &envelope.cc),
        ("bcc", &envelope.bcc),
    ];
    for (what, list) in lists {
        for address in list {
            writeln!(out, "{indent}{what} {}", describe_address(address)).unwrap();
        }
    }
}

/// As ENVELOPE shows it: name, source route, mailbox, host.
fn describe_address(address: &EnvelopeAddress) -> String {
    [&address.name, &address.adl, &address.mailbox, &address.host]
        .map(|value| value.as_deref().map_or("NIL".to_owned(), escaped))
        .join(" ")
}

fn escaped(octets: &[u8]) -> String {
    format!("\"{}\"", octets.escape_ascii())
}

fn describe_part(part: &Part, name: &str, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth.min(6));
    let (header, body) = (part.header, part.body);
    writeln!(
        out,
        "{indent}{name} {}/{} header {}..{} body {}..{} lines {}{}",
        part.media_type,
        part.subtype,
        header.start,
        header.end,
        body.start,
        body.end,
        part.lines,
        part.leaf()
            .map(|l| format!(" leaf {l}"))
            .unwrap_or_default(),
    )
    .unwrap();
    for (name, value) in &part.parameters {
        writeln!(out, "{indent}  ;{name}={value:?}").unwrap();
    }
    let fields = [
        ("encoding", &part.encoding),
        ("id", &part.content_id),
        ("description", &part.description),
        ("location", &part.location),
        ("md5", &part.md5),
    ];
    for (what, value) in fields {
        if let Some(value) = value {
            writeln!(out, "{indent}  {what} {value:?}").unwrap();
        }
    }
    if let Some((kind, parameters)) = &part.disposition {
        writeln!(out, "{indent}  disposition {kind} {parameters:?}").unwrap();
    }
    if !part.language.is_empty() {
        writeln!(out, "{indent}  language {:?}", part.language).unwrap();
    }
    let path = name.trim_start_matches("message");
    match &part.content {
        Content::Multipart(parts) => {
            for (number, part) in (1..).zip(parts) {
                let name = format!("{path}.{number}");
                describe_part(part, name.trim_start_matches('.'), depth + 1, out);
            }
        }
        Content::Message { envelope, part } => {
            describe_envelope(envelope, depth.min(6) + 2, out);
            describe_part(part, &format!("message{path}"), depth + 1, out);
        }
        Content::Leaf(_) => {}
    }
}

fn describe_texts(structure: &Structure, raw: &[u8], out: &mut String) {
    let body = body_to_show(structure);
    for (what, shown) in [("text", &body.text), ("html", &body.html)] {
        for shown in shown {
            let part = structure.part(&shown.path).unwrap();
            let (text, defects) = decode_text(part, part.body.of(raw));
            let text: String = text.chars().take(SHOWN_CHARS).collect();
            writeln!(out, "{what} {:?} {text:?} {defects:?}", shown.path).unwrap();
        }
    }
    for a in &body.attachments {
        let (name, id) = (a.file_name.as_deref(), a.content_id.as_deref());
        writeln!(
            out,
            "attachment {:?} {name:?} {} size {} id {id:?} inline {}",
            a.path, a.media_type, a.size, a.inline
        )
        .unwrap();
    }
}
