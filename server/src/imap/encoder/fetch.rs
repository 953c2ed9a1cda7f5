//! FETCH responses (RFC 3501 7.4.2, 9 `message-data`, `msg-att`).

use letterlock_core::model::{Flag, FlagSet};

use super::strings::{write_astring, write_literal};
use super::{body_structure, envelope, put, write_nstring};
use crate::imap::command::{FetchItem, SectionLabel, SectionRequest, SectionText};
use crate::imap::date::write_date_time;
use crate::imap::object_id::email_id;
use crate::imap::response::{
    FetchData, FetchValue, MessageNumber, Recency, SectionOctets, ToldFlags,
};

/// `message-data = nz-number SP "FETCH" SP msg-att`, or `uniqueid SP "UIDFETCH" SP msg-att`
/// (RFC 9586). Where octets are to be put in that are read while they are written is noted in
/// `streams`.
pub(super) fn write(out: &mut Vec<u8>, data: &FetchData, streams: &mut Vec<usize>) {
    write_number(out, data.number);
    for (index, value) in data.values.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write_value(out, value);
        if let FetchValue::Stream(..) = value {
            streams.push(out.len());
        }
    }
    out.push(b')');
}

/// Responses that tell of changed flags, between them CRLF.
pub(super) fn write_told(out: &mut Vec<u8>, all: &[ToldFlags]) {
    for (index, told) in all.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\r\n");
        }
        write_number(out, told.number);
        let start = out.len();
        if let Some(uid) = told.uid {
            put(out, format_args!("UID {uid}"));
        }
        if let Some((flags, recency)) = &told.flags {
            separate(out, start);
            write_flags(out, flags, *recency);
        }
        if let Some(mod_seq) = told.mod_seq {
            separate(out, start);
            put(out, format_args!("MODSEQ ({mod_seq})"));
        }
        out.push(b')');
    }
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.push(b' ');
    }
}

fn write_number(out: &mut Vec<u8>, number: MessageNumber) {
    match number {
        MessageNumber::Sequence(number) => put(out, format_args!("* {number} FETCH (")),
        MessageNumber::Uid(uid) => put(out, format_args!("* {uid} UIDFETCH (")),
    }
}

/// What a value takes at first, in octets.
const USUAL_OCTETS: usize = 512;

/// A value as it goes out.
pub fn rendered(value: &FetchValue) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_OCTETS);
    write_value(&mut out, value);
    out
}

/// What an item is called whose value goes out the same way every time, whoever asks.
pub fn item_name(item: &FetchItem) -> Option<Vec<u8>> {
    match item {
        FetchItem::Envelope => Some(b"ENVELOPE".to_vec()),
        FetchItem::Body => Some(b"BODY".to_vec()),
        FetchItem::BodyStructure => Some(b"BODYSTRUCTURE".to_vec()),
        FetchItem::Preview(_) => Some(b"PREVIEW".to_vec()),
        FetchItem::Section(request) => {
            let is_header = matches!(
                request.text,
                SectionText::Header
                    | SectionText::HeaderFields(_)
                    | SectionText::HeaderFieldsNot(_)
            );
            if !is_header || !request.part.is_empty() || request.partial.is_some() {
                return None;
            }
            let mut name = Vec::new();
            write_section_name(&mut name, request);
            Some(name)
        }
        _ => None,
    }
}

fn write_flags(out: &mut Vec<u8>, flags: &FlagSet, recency: Recency) {
    let recent = (recency == Recency::Recent).then_some("\\Recent");
    let names = flags.iter().map(Flag::as_str).chain(recent);
    out.extend_from_slice(b"FLAGS (");
    for (index, name) in names.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}

fn write_value(out: &mut Vec<u8>, value: &FetchValue) {
    match value {
        FetchValue::Rendered(rendered) => out.extend_from_slice(&rendered.0),
        FetchValue::Uid(uid) => put(out, format_args!("UID {uid}")),
        FetchValue::Flags(flags, recency) => write_flags(out, flags, *recency),
        FetchValue::ModSeq(mod_seq) => put(out, format_args!("MODSEQ ({mod_seq})")),
        FetchValue::InternalDate(instant) => {
            let written = write_date_time(*instant);
            put(out, format_args!("INTERNALDATE \"{written}\""));
        }
        FetchValue::Size(size) => put(out, format_args!("RFC822.SIZE {size}")),
        FetchValue::Envelope(message) => {
            put(out, "ENVELOPE ");
            envelope::write(out, &message.structure.envelope);
        }
        FetchValue::Body(message) => {
            put(out, "BODY ");
            body_structure::write(out, &message.structure.root, body_structure::Form::Basic);
        }
        FetchValue::BodyStructure(message) => {
            put(out, "BODYSTRUCTURE ");
            body_structure::write(out, &message.structure.root, body_structure::Form::Extended);
        }
        FetchValue::EmailId(message) => put(out, format_args!("EMAILID ({})", email_id(message))),
        FetchValue::ThreadId(id) => put(out, format_args!("THREADID ({id})")),
        FetchValue::SaveDate(instant) => {
            let written = write_date_time(*instant);
            put(out, format_args!("SAVEDATE \"{written}\""));
        }
        FetchValue::Preview(preview) => {
            put(out, "PREVIEW ");
            write_nstring(out, preview.as_deref().map(str::as_bytes));
        }
        FetchValue::Binary(request, octets) => {
            put(out, format_args!("BINARY[{}]", part_numbers(&request.part)));
            if let Some((origin, _)) = request.partial {
                put(out, format_args!("<{origin}>"));
            }
            out.push(b' ');
            write_binary(out, octets.as_ref());
        }
        FetchValue::BinarySize(part, size) => {
            put(
                out,
                format_args!("BINARY.SIZE[{}] {size}", part_numbers(part)),
            );
        }
        FetchValue::Section(request, octets) => {
            write_section_name(out, request);
            out.push(b' ');
            write_section(out, octets.as_ref());
        }
        FetchValue::Stream(request, _, span) => {
            write_section_name(out, request);
            let octets = span.end.saturating_sub(span.start);
            put(out, format_args!(" {{{octets}}}\r\n"));
        }
    }
}

fn part_numbers(part: &[u32]) -> String {
    let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
    numbers.join(".")
}

/// `nstring / literal8`: the latter tells that there are NULs (RFC 3516 4.3).
fn write_binary(out: &mut Vec<u8>, octets: Option<&SectionOctets>) {
    if octets.is_some_and(|octets| octets.0.contains(&0)) {
        out.push(b'~');
    }
    write_section(out, octets);
}

fn write_section(out: &mut Vec<u8>, octets: Option<&SectionOctets>) {
    match octets {
        None => put(out, "NIL"),
        Some(octets) if octets.0.is_empty() => put(out, "\"\""),
        // Bodies are always literals: they have line ends, and programs expect it.
        Some(octets) => write_literal(out, &octets.0),
    }
}

/// `"BODY" section ["<" number ">"]`; the origin alone is repeated (RFC 3501 7.4.2).
fn write_section_name(out: &mut Vec<u8>, request: &SectionRequest) {
    match request.label {
        SectionLabel::Rfc822 => return put(out, "RFC822"),
        SectionLabel::Rfc822Header => return put(out, "RFC822.HEADER"),
        SectionLabel::Rfc822Text => return put(out, "RFC822.TEXT"),
        SectionLabel::Body => put(out, "BODY["),
    }
    let mut words: Vec<String> = request.part.iter().map(u32::to_string).collect();
    let (word, fields) = match &request.text {
        SectionText::Whole => (None, None),
        SectionText::Header => (Some("HEADER"), None),
        SectionText::HeaderFields(fields) => (Some("HEADER.FIELDS"), Some(fields)),
        SectionText::HeaderFieldsNot(fields) => (Some("HEADER.FIELDS.NOT"), Some(fields)),
        SectionText::Text => (Some("TEXT"), None),
        SectionText::Mime => (Some("MIME"), None),
    };
    words.extend(word.map(str::to_owned));
    put(out, words.join("."));
    if let Some(fields) = fields {
        for (index, field) in fields.iter().enumerate() {
            put(out, if index == 0 { " (" } else { " " });
            write_astring(out, field.as_bytes());
        }
        put(out, ")");
    }
    put(out, "]");
    if let Some((origin, _)) = request.partial {
        put(out, format_args!("<{origin}>"));
    }
}
