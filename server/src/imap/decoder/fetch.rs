//! The grammar of FETCH (RFC 3501 6.4.5, 9 `fetch`, `section`; RFC 3516; RFC 7162; RFC 8474;
//! RFC 8514; RFC 8970).

use super::Syntax;
use super::cursor::Cursor;
use crate::imap::command::{
    BinaryRequest, FetchItem, Numbering, Patience, SectionLabel, SectionRequest, SectionText,
    SetsSeen,
};

type Parsed<T> = Result<T, Syntax>;

/// Most items in one FETCH.
const MAX_ITEMS: usize = 256;
/// Deepest part number.
const MAX_PART_DEPTH: usize = 128;
/// Most field names in one section.
const MAX_FIELDS: usize = 1000;

/// `SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")`; UID FETCH
/// brings the UID unasked, and first: programs look for it there (RFC 3501 6.4.8).
pub(super) fn items(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<Vec<FetchItem>> {
    cursor.space()?;
    let mut items = if cursor.peek() == Some(b'(') {
        cursor
            .list(|cursor| attribute(cursor, Macro::Refused))?
            .into_iter()
            .flatten()
            .collect()
    } else {
        attribute(cursor, Macro::Taken)?
    };
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Syntax::Bad("1 to 256 items are needed"));
    }
    if items.contains(&FetchItem::Uid) {
        items.retain(|item| *item != FetchItem::Uid);
        items.insert(0, FetchItem::Uid);
    } else if by == Numbering::Uid {
        items.insert(0, FetchItem::ImpliedUid);
    }
    Ok(items)
}

/// `"(" fetch-att *(SP fetch-att) ")"` of NOTIFY (RFC 5465 8).
pub(super) fn attributes(cursor: &mut Cursor<'_>) -> Parsed<Vec<FetchItem>> {
    let items = cursor.list(|cursor| attribute(cursor, Macro::Refused))?;
    let items: Vec<FetchItem> = items.into_iter().flatten().collect();
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Syntax::Bad("1 to 256 items are needed"));
    }
    Ok(items)
}

/// Whether a macro may stand here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Macro {
    Taken,
    Refused,
}

/// `fetch-att = "ENVELOPE" / "FLAGS" / ... / "BODY" section ["<" number "." nz-number ">"]`
fn attribute(cursor: &mut Cursor<'_>, macros: Macro) -> Parsed<Vec<FetchItem>> {
    let name = cursor.take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'.');
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    if macros == Macro::Taken {
        match name.as_str() {
            "FAST" => return Ok(items),
            "ALL" => {
                items.push(FetchItem::Envelope);
                return Ok(items);
            }
            "FULL" => {
                items.extend([FetchItem::Envelope, FetchItem::Body]);
                return Ok(items);
            }
            _ => {}
        }
    }
    let item = match name.as_str() {
        "UID" => FetchItem::Uid,
        "FLAGS" => FetchItem::Flags,
        "INTERNALDATE" => FetchItem::InternalDate,
        "MODSEQ" => FetchItem::ModSeq,
        "RFC822.SIZE" => FetchItem::Size,
        "ENVELOPE" => FetchItem::Envelope,
        "BODYSTRUCTURE" => FetchItem::BodyStructure,
        "RFC822" => old(SectionLabel::Rfc822, SectionText::Whole, SetsSeen::Yes),
        "RFC822.HEADER" => old(
            SectionLabel::Rfc822Header,
            SectionText::Header,
            SetsSeen::No,
        ),
        "RFC822.TEXT" => old(SectionLabel::Rfc822Text, SectionText::Text, SetsSeen::Yes),
        "BODY" if cursor.peek() != Some(b'[') => FetchItem::Body,
        "BODY" => section(cursor, SetsSeen::Yes)?,
        "BODY.PEEK" => section(cursor, SetsSeen::No)?,
        "EMAILID" => FetchItem::EmailId,
        "THREADID" => FetchItem::ThreadId,
        "SAVEDATE" => FetchItem::SaveDate,
        "PREVIEW" => FetchItem::Preview(preview(cursor)?),
        "BINARY" => FetchItem::Binary(binary(cursor, SetsSeen::Yes)?),
        "BINARY.PEEK" => FetchItem::Binary(binary(cursor, SetsSeen::No)?),
        "BINARY.SIZE" => FetchItem::BinarySize(section_binary(cursor)?),
        _ => return Err(Syntax::Bad("fetch item is not known")),
    };
    Ok(vec![item])
}

/// `[SP "(" preview-mod *(SP preview-mod) ")"]` (RFC 8970 6)
fn preview(cursor: &mut Cursor<'_>) -> Parsed<Patience> {
    // In a list another item may follow the space; none begins with a parenthesis.
    if !cursor.eat_before(b' ', b'(') {
        return Ok(Patience::Any);
    }
    let modifiers = cursor.list(Cursor::word)?;
    if modifiers.is_empty() || modifiers.iter().any(|modifier| modifier != "LAZY") {
        return Err(Syntax::Bad("preview modifier is not known"));
    }
    Ok(Patience::Lazy)
}

/// `section-binary [partial]` (RFC 3516 7)
fn binary(cursor: &mut Cursor<'_>, seen: SetsSeen) -> Parsed<BinaryRequest> {
    Ok(BinaryRequest {
        part: section_binary(cursor)?,
        partial: partial(cursor)?,
        seen,
    })
}

/// `section-binary = "[" [section-part] "]"`
fn section_binary(cursor: &mut Cursor<'_>) -> Parsed<Vec<u32>> {
    cursor.expect(b'[', "a section is needed")?;
    let mut part = Vec::new();
    while cursor.peek() != Some(b']') {
        if !part.is_empty() {
            cursor.expect(b'.', "a part is numbers with dots between them")?;
        }
        part.push(cursor.nz_number()?);
        if part.len() > MAX_PART_DEPTH {
            return Err(Syntax::Bad("part is too deep"));
        }
    }
    cursor.expect(b']', "the section does not end")?;
    Ok(part)
}

fn old(label: SectionLabel, text: SectionText, seen: SetsSeen) -> FetchItem {
    FetchItem::Section(SectionRequest {
        label,
        part: Vec::new(),
        text,
        partial: None,
        seen,
    })
}

/// `section = "[" [section-spec] "]"`, then the partial
fn section(cursor: &mut Cursor<'_>, seen: SetsSeen) -> Parsed<FetchItem> {
    cursor.expect(b'[', "a section is needed")?;
    let mut part = Vec::new();
    let mut ended = false;
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        part.push(cursor.nz_number()?);
        if part.len() > MAX_PART_DEPTH {
            return Err(Syntax::Bad("part is too deep"));
        }
        if !cursor.eat(b'.') {
            ended = true;
            break;
        }
    }
    let text = if ended || (part.is_empty() && cursor.peek() == Some(b']')) {
        SectionText::Whole
    } else {
        section_text(cursor, &part)?
    };
    cursor.expect(b']', "the section does not end")?;
    let partial = partial(cursor)?;
    let label = SectionLabel::Body;
    Ok(FetchItem::Section(SectionRequest {
        label,
        part,
        text,
        partial,
        seen,
    }))
}

/// `section-text = section-msgtext / "MIME"`
fn section_text(cursor: &mut Cursor<'_>, part: &[u32]) -> Parsed<SectionText> {
    let name = cursor.take_while(|octet| octet.is_ascii_alphabetic() || octet == b'.');
    match name.to_ascii_uppercase().as_slice() {
        b"HEADER" => Ok(SectionText::Header),
        b"HEADER.FIELDS" => fields(cursor).map(SectionText::HeaderFields),
        b"HEADER.FIELDS.NOT" => fields(cursor).map(SectionText::HeaderFieldsNot),
        b"TEXT" => Ok(SectionText::Text),
        b"MIME" if !part.is_empty() => Ok(SectionText::Mime),
        _ => Err(Syntax::Bad("section is not known")),
    }
}

/// `header-list = "(" header-fld-name *(SP header-fld-name) ")"`
fn fields(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    let names = cursor.list(|cursor| {
        let name = String::from_utf8(cursor.astring()?);
        name.map_err(|_| Syntax::Bad("a field name is ASCII"))
    })?;
    if names.is_empty() || names.len() > MAX_FIELDS {
        return Err(Syntax::Bad("1 to 1000 field names are needed"));
    }
    Ok(names)
}

/// `["<" number "." nz-number ">"]`
fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<(u32, u32)>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let first = cursor.number()?;
    cursor.expect(b'.', "a partial is <first.count>")?;
    let count = cursor.nz_number()?;
    cursor.expect(b'>', "a partial is <first.count>")?;
    Ok(Some((first, count)))
}

/// Reads a section as it stands in an IMAP URL (RFC 5092 11 `isection`): without brackets, as
/// with `BODY.PEEK`.
pub(in crate::imap) fn section_of_url(text: &str) -> Option<SectionRequest> {
    let text = format!("[{text}]");
    let mut cursor = Cursor::new(text.as_bytes(), std::collections::VecDeque::new());
    match section(&mut cursor, SetsSeen::No) {
        Ok(FetchItem::Section(request)) if cursor.at_end() => Some(request),
        _ => None,
    }
}
