//! What a part's header says about it: its `Content-*` fields (RFC 2045, RFC 2183, RFC 3282) and,
//! if it is a message, its envelope.
//!
//! Invariant: one pass over the fields, and what is kept of them is bounded for the message as a
//! whole ([`Context`]), so that a hostile header cannot grow in memory. A field that may occur
//! once counts when it first occurs. Rejected: the last one; filters and signers look at the
//! first.

use super::body_structure::Part;
use super::defect::{Defect, Defects};
use super::envelope::EnvelopeData;
use super::header::{Field, fields, unfold};
use super::parameters::{Parameterised, parse_parameterised, to_text};
use super::{MAX_ADDRESSES, MAX_BOUNDARY_OCTETS, MAX_TOTAL_PARAMETERS, MAX_VALUE_OCTETS};

/// Longest name of a field that means something here.
const MAX_KNOWN_NAME_OCTETS: usize = 32;
/// Most language tags of one part.
const MAX_LANGUAGES: usize = 100;

/// What may still be kept of a message, and what was wrong so far.
pub(super) struct Context {
    pub(super) defects: Defects,
    /// Addresses that may still be listed, over all envelopes.
    pub(super) addresses: usize,
    /// Parameters that may still be listed, over all parts.
    parameters: usize,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            defects: Defects::default(),
            addresses: MAX_ADDRESSES,
            parameters: MAX_TOTAL_PARAMETERS,
        }
    }
}

impl Context {
    /// A value without folding and outer white space, cut to its limit.
    pub(super) fn value(&mut self, field: &Field<'_>) -> Vec<u8> {
        // Folding takes at most half of a sensible value.
        let start = field.value.get(..MAX_VALUE_OCTETS.saturating_mul(2));
        let unfolded = unfold(start.unwrap_or(field.value));
        let trimmed = unfolded.trim_ascii();
        let cut = trimmed.get(..MAX_VALUE_OCTETS).unwrap_or(trimmed);
        if cut.len() < trimmed.len() || start.is_some_and(|start| start.len() < field.value.len()) {
            self.defects.add(Defect::LongValue);
        }
        cut.to_vec()
    }

    fn text(&mut self, field: &Field<'_>) -> String {
        to_text(&self.value(field))
    }

    fn parameterised(&mut self, field: &Field<'_>) -> Parameterised {
        let value = self.value(field);
        let mut parsed = parse_parameterised(&value);
        if parsed.parameters.len() > self.parameters {
            parsed.parameters.truncate(self.parameters);
            parsed.cut = true;
        }
        self.parameters = self.parameters.saturating_sub(parsed.parameters.len());
        if parsed.cut {
            self.defects.add(Defect::TooManyValues);
        }
        parsed
    }
}

/// How a part's body is to be read.
pub(super) enum Kind {
    /// Parts separated by this boundary.
    Multipart(Vec<u8>),
    /// A message.
    Message,
    /// As it is.
    Leaf,
}

/// Fills in what the header says, and the envelope if one is wanted; decides the kind.
pub(super) fn describe(
    part: &mut Part,
    header: &[u8],
    in_digest: bool,
    mut envelope: Option<&mut EnvelopeData>,
    context: &mut Context,
) -> Kind {
    let mut content_type = None;
    let mut from_lines = 0_usize;
    let mut lower = [0; MAX_KNOWN_NAME_OCTETS];
    for field in fields(header) {
        check_octets(&field, context);
        if field.name.is_empty() {
            let mbox = field.range.start == 0 && field.raw.starts_with(b"From ");
            context.defects.add(if mbox && from_lines == 0 {
                Defect::MboxFromLine
            } else {
                Defect::HeaderLineWithoutColon
            });
            from_lines = from_lines.saturating_add(1);
            continue;
        }
        let Some(name) = lower.get_mut(..field.name.len()) else {
            continue;
        };
        name.copy_from_slice(field.name);
        name.make_ascii_lowercase();
        let name: &[u8] = name;
        if name == b"content-type" {
            if content_type.is_none() {
                content_type = Some(context.parameterised(&field));
            } else {
                context.defects.add(Defect::RepeatedField);
            }
        } else if name.starts_with(b"content-") {
            content_field(part, name, &field, context);
        } else if let Some(envelope) = envelope.as_deref_mut() {
            envelope.take(name, &field, context);
        }
    }
    if let Some(envelope) = envelope {
        envelope.apply_defaults();
    }
    let kind = set_type(part, content_type, in_digest, context);
    check_encoding(part, kind, context)
}

/// Octets above 127 are allowed in a header as UTF-8 (RFC 6532 3.2).
fn check_octets(field: &Field<'_>, context: &mut Context) {
    if !field.raw.is_ascii() && core::str::from_utf8(field.raw).is_err() {
        context.defects.add(Defect::EightBitHeader);
    }
}

fn content_field(part: &mut Part, name: &[u8], field: &Field<'_>, context: &mut Context) {
    let target = match name {
        b"content-id" => &mut part.content_id,
        b"content-description" => &mut part.description,
        b"content-location" => &mut part.location,
        b"content-md5" => &mut part.md5,
        b"content-transfer-encoding" => {
            if part.encoding.is_none() {
                let value = context.parameterised(field).value;
                part.encoding = (!value.is_empty()).then_some(value);
            }
            return;
        }
        b"content-disposition" => {
            if part.disposition.is_none() {
                let parsed = context.parameterised(field);
                // A value without kind is an attachment (RFC 2183 2.8).
                let kind = Some(parsed.value).filter(|kind| !kind.is_empty());
                let kind = kind.unwrap_or_else(|| "attachment".to_owned());
                part.disposition = Some((kind, parsed.parameters));
            }
            return;
        }
        b"content-language" => {
            if part.language.is_empty() {
                let value = context.text(field);
                let tags = value
                    .split(',')
                    .map(str::trim)
                    .filter(|tag| !tag.is_empty());
                part.language = tags.take(MAX_LANGUAGES).map(str::to_owned).collect();
            }
            return;
        }
        _ => return,
    };
    if target.is_none() {
        *target = Some(context.text(field));
    }
}

/// Sets media type, subtype and parameters (RFC 2045 5.2 for what is absent or wrong).
fn set_type(
    part: &mut Part,
    content_type: Option<Parameterised>,
    in_digest: bool,
    context: &mut Context,
) -> Kind {
    let Some(parsed) = content_type else {
        if in_digest {
            close_as(part, "message", "rfc822");
            return Kind::Message;
        }
        close_as(part, "text", "plain");
        return Kind::Leaf;
    };
    let tokens = parsed
        .value
        .split_once('/')
        .filter(|(t, s)| is_token(t) && is_token(s));
    let Some((media_type, subtype)) = tokens else {
        context.defects.add(Defect::BadContentType);
        close_as(part, "text", "plain");
        return Kind::Leaf;
    };
    close_as(part, media_type, subtype);
    part.parameters = parsed.parameters;
    match (media_type, subtype) {
        ("multipart", _) => {
            let boundary = part.parameters.iter().find(|(name, _)| name == "boundary");
            let boundary = boundary.map(|(_, value)| value.trim_end().as_bytes().to_vec());
            let usable = boundary.filter(|b| !b.is_empty() && b.len() <= MAX_BOUNDARY_OCTETS);
            if let Some(boundary) = usable {
                return Kind::Multipart(boundary);
            }
            context.defects.add(Defect::MissingBoundary);
            close_as(part, "text", "plain");
            Kind::Leaf
        }
        ("message", "rfc822" | "global") => Kind::Message,
        _ => Kind::Leaf,
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|o| o.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&o))
}

/// Composite parts must not be encoded (RFC 2045 6.4): an encoded multipart is read as if it were
/// not, because its delimiters are there to see; an encoded message stays closed.
fn check_encoding(part: &mut Part, kind: Kind, context: &mut Context) -> Kind {
    let encoding = part.encoding.as_deref().unwrap_or("7bit");
    let known = ["7bit", "8bit", "binary", "base64", "quoted-printable"];
    let uuencode = ["x-uuencode", "x-uue", "uuencode"];
    if !known.contains(&encoding) && !uuencode.contains(&encoding) {
        context.defects.add(Defect::UnknownEncoding);
    }
    let encoded = matches!(encoding, "base64" | "quoted-printable");
    match kind {
        Kind::Multipart(_) if encoded => {
            context.defects.add(Defect::EncodedMultipart);
            kind
        }
        Kind::Message if encoded => {
            context.defects.add(Defect::EncodedMessage);
            close_as(part, "application", "octet-stream");
            Kind::Leaf
        }
        _ => kind,
    }
}

/// Gives a part a type without parameters.
pub(super) fn close_as(part: &mut Part, media_type: &str, subtype: &str) {
    media_type.clone_into(&mut part.media_type);
    subtype.clone_into(&mut part.subtype);
    part.parameters.clear();
}
