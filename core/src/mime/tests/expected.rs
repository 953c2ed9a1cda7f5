//! What another parser makes of the same messages: the corpus of the `mail-parser` crate, where it
//! stands beside the project, has the expected parse of each message in JSON beside it.
//!
//! Every difference has a class, and must be in [`KNOWN`] with the reason for which ours is right;
//! what is in [`KNOWN`] and does not differ any more fails too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::corpora::{corpora, files};
use crate::id::Timestamp;
use crate::mime::text::body_to_show;
use crate::mime::{
    Content, EnvelopeData, Part, Structure, days_from_civil, decode_charset, decode_header,
    decode_transfer, parse_date, split,
};

mod known;

/// How many messages the folder has at least; each is parsed with both kinds of line ends.
const LEAST_MESSAGES: usize = 100;

/// What agreed, and what did not, by class.
#[derive(Default)]
struct Comparison {
    file: String,
    agreed: BTreeMap<&'static str, usize>,
    differed: BTreeMap<(&'static str, String), Vec<String>>,
}

impl Comparison {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers compute both in place"
    )]
    fn check<T: PartialEq + std::fmt::Debug>(&mut self, class: &'static str, ours: T, theirs: T) {
        if ours == theirs {
            *self.agreed.entry(class).or_default() += 1;
        } else {
            let cut = |value: &T| format!("{value:?}").chars().take(200).collect::<String>();
            let detail = format!("ours {} theirs {}", cut(&ours), cut(&theirs));
            let key = (class, self.file.clone());
            self.differed.entry(key).or_default().push(detail);
        }
    }
}

#[test]
fn another_parser_agrees() {
    let Some(corpora) = corpora() else { return };
    let folder = corpora.join("mail-parser");
    let mut comparison = Comparison::default();
    let mut messages = 0;
    for file in files(&folder) {
        if file.extension().is_none_or(|e| e != "eml") {
            continue;
        }
        let raw = std::fs::read(&file).unwrap();
        let name = file.strip_prefix(&folder).unwrap().with_extension("");
        for (suffix, raw) in [
            ("json", without_returns(&raw)),
            ("crlf.json", with_returns(&raw)),
        ] {
            let expected = std::fs::read(file.with_extension(suffix)).unwrap();
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            comparison.file = name.to_string_lossy().into_owned();
            compare(&raw, &expected, &mut comparison);
            messages += 1;
        }
    }
    println!("{messages} parses; agreed: {:?}", comparison.agreed);
    assert!(messages >= 2 * LEAST_MESSAGES, "only {messages} parses");
    judge(&comparison);
}

/// Every difference is known, and every known one is there.
fn judge(comparison: &Comparison) {
    let mut counts = BTreeMap::<_, usize>::new();
    let mut known = BTreeSet::new();
    for entry in known::KNOWN {
        assert!(!entry.reason.is_empty());
        for file in entry.files {
            for class in entry.classes {
                assert!(
                    known.insert((*class, (*file).to_owned())),
                    "{class} {file} twice"
                );
            }
        }
    }
    let mut unexpected = 0;
    for (key, details) in &comparison.differed {
        *counts.entry(key.0).or_default() += details.len();
        if !known.contains(key) {
            unexpected += 1;
            println!("{} differs in {}: {details:#?}", key.0, key.1);
        }
    }
    println!("differed, for reasons that are known: {counts:?}");
    let found = |key: &&(&'static str, String)| !comparison.differed.contains_key(*key);
    let gone: Vec<_> = known.iter().filter(found).collect();
    assert!(gone.is_empty(), "no longer differ: {gone:?}");
    assert_eq!(unexpected, 0, "differences without a reason");
}

fn without_returns(raw: &[u8]) -> Vec<u8> {
    raw.iter().copied().filter(|o| *o != b'\r').collect()
}

fn with_returns(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &octet in raw {
        if octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(octet);
    }
    out
}

fn compare(raw: &[u8], expected: &Value, comparison: &mut Comparison) {
    let structure = split(raw).structure;
    compare_message(
        &structure.root,
        &structure.envelope,
        raw,
        expected,
        comparison,
    );
    compare_choice(&structure, expected, comparison);
}

/// One message, and those in it.
fn compare_message(
    root: &Part,
    envelope: &EnvelopeData,
    raw: &[u8],
    expected: &Value,
    comparison: &mut Comparison,
) {
    let theirs = expected["parts"].as_array().unwrap();
    let mut ours = Vec::new();
    flatten(root, &[], &mut ours);
    let shape = |kinds: Vec<String>| kinds.join(" ");
    let our_shape = shape(ours.iter().map(|(_, part)| our_kind(part)).collect());
    let their_shape = shape(theirs.iter().map(their_kind).collect());
    let same = our_shape == their_shape;
    comparison.check("tree", our_shape, their_shape);
    compare_fields(envelope, &theirs[0], comparison);
    if !same {
        return;
    }
    for ((_, ours), theirs) in ours.iter().zip(theirs) {
        compare_part(ours, theirs, raw, comparison);
        if let (Content::Message { envelope, part }, Some(inner)) =
            (&ours.content, theirs["body"].get("Message"))
        {
            compare_message(part, envelope, raw, inner, comparison);
        }
    }
}

/// The parts of one message in order, with their paths.
fn flatten<'a>(part: &'a Part, path: &[u32], out: &mut Vec<(Vec<u32>, &'a Part)>) {
    out.push((path.to_owned(), part));
    if let Content::Multipart(parts) = &part.content {
        for (number, part) in (1..).zip(parts) {
            flatten(part, &[path, &[number]].concat(), out);
        }
    }
}

fn our_kind(part: &Part) -> String {
    match &part.content {
        Content::Multipart(parts) => format!("multipart{}", parts.len()),
        Content::Message { .. } => "message".to_owned(),
        Content::Leaf(_) => "leaf".to_owned(),
    }
}

fn their_kind(part: &Value) -> String {
    let body = &part["body"];
    if let Some(parts) = body.get("Multipart") {
        format!("multipart{}", parts.as_array().unwrap().len())
    } else if body.get("Message").is_some() {
        "message".to_owned()
    } else {
        "leaf".to_owned()
    }
}

fn their_header<'a>(part: &'a Value, name: &str) -> Option<&'a Value> {
    let headers = part["headers"].as_array()?;
    let found = headers.iter().find(|header| header["name"] == name)?;
    Some(&found["value"])
}

fn compare_fields(envelope: &EnvelopeData, theirs: &Value, comparison: &mut Comparison) {
    let subject = envelope.subject.as_deref().map(decode_header);
    let expected = their_header(theirs, "subject").and_then(|v| v.get("Text"));
    let expected = expected.and_then(Value::as_str).map(str::to_owned);
    comparison.check("subject", subject.filter(|s| !s.is_empty()), expected);
    let from = envelope
        .from
        .iter()
        .filter_map(crate::mime::EnvelopeAddress::to_mailbox);
    let from: Vec<_> = from.map(|m| (m.name, m.address)).collect();
    comparison.check("from", from, their_from(theirs));
    let date = envelope.date.as_deref().and_then(parse_date);
    let expected = their_header(theirs, "date").and_then(their_date);
    comparison.check("date", date.map(Timestamp::as_secs), expected);
}

fn their_from(theirs: &Value) -> Vec<(String, String)> {
    let list = their_header(theirs, "from").and_then(|v| v["Address"]["List"].as_array());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let people = list.into_iter().flatten();
    people
        .map(|one| (text(&one["name"]), text(&one["address"])))
        .collect()
}

fn their_date(value: &Value) -> Option<i64> {
    let date = value.get("DateTime")?;
    let number = |name: &str| date[name].as_i64();
    let days = days_from_civil(number("year")?, number("month")?, number("day")?);
    let seconds = number("hour")? * 3600 + number("minute")? * 60 + number("second")?;
    let zone = number("tz_hour")? * 3600 + number("tz_minute")? * 60;
    let sign = if date["tz_before_gmt"].as_bool()? {
        1
    } else {
        -1
    };
    Some(days * 86_400 + seconds + sign * zone)
}

fn compare_part(ours: &Part, theirs: &Value, raw: &[u8], comparison: &mut Comparison) {
    if let Some(value) = their_header(theirs, "content_type").and_then(|v| v.get("ContentType")) {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_lowercase();
        let theirs = (text("c_type"), text("c_subtype"));
        comparison.check(
            "type",
            (ours.media_type.clone(), ours.subtype.clone()),
            theirs,
        );
    }
    let encoding =
        their_header(theirs, "content_transfer_encoding").and_then(|v| v["Text"].as_str());
    comparison.check(
        "encoding",
        ours.encoding.clone(),
        encoding.map(str::to_lowercase),
    );
    let offset = |name: &str| theirs[name].as_u64().unwrap();
    comparison.check("header", ours.header.start, offset("offset_header"));
    comparison.check("body", ours.body.start, offset("offset_body"));
    comparison.check("end", ours.body.end, offset("offset_end"));
    let text = theirs["body"]
        .get("Text")
        .or_else(|| theirs["body"].get("Html"));
    if let (Some(text), Content::Leaf(_)) = (text, &ours.content) {
        let octets = decode_transfer(ours.encoding.as_deref(), ours.body.of(raw));
        let charset = ours.parameter("charset").unwrap_or_default();
        let decoded = decode_charset(&charset, &octets).0.replace("\r\n", "\n");
        let text = text.as_str().unwrap().replace("\r\n", "\n");
        comparison.check("text", decoded, text);
    }
}

/// Which parts are the text, and which are attached, as places in the list of parts.
fn compare_choice(structure: &Structure, expected: &Value, comparison: &mut Comparison) {
    let theirs = expected["parts"].as_array().unwrap();
    let mut ours = Vec::new();
    flatten(&structure.root, &[], &mut ours);
    if ours.len() != theirs.len() {
        return;
    }
    if let [(path, _)] = &mut ours[..] {
        path.push(1);
    }
    let place = |path: &[u32]| ours.iter().position(|(other, _)| other == path).unwrap() as u64;
    let list = |name: &str| -> Vec<u64> {
        let list = expected[name].as_array().unwrap();
        list.iter().map(|at| at.as_u64().unwrap()).collect()
    };
    // They list pictures among the texts too.
    let is_text = |at: &u64| {
        let body = &theirs[usize::try_from(*at).unwrap()]["body"];
        body.get("Text").is_some() || body.get("Html").is_some()
    };
    let texts = |name: &str| list(name).into_iter().filter(is_text).collect::<Vec<_>>();
    let body = body_to_show(structure);
    let shown = |parts: &[crate::mime::text::ShownPart]| -> Vec<u64> {
        parts.iter().map(|part| place(&part.path)).collect()
    };
    comparison.check("text_body", shown(&body.text), texts("text_body"));
    comparison.check("html_body", shown(&body.html), texts("html_body"));
    let attached: Vec<_> = body.attachments.iter().map(|a| place(&a.path)).collect();
    let mut expected = list("attachments");
    expected.sort_unstable();
    comparison.check("attachments", attached, expected);
}
