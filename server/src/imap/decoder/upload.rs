//! The grammar of APPEND and REPLACE, in parts: what stands between two messages is read when it
//! is there, the messages pass through (RFC 3502, RFC 4466 2.4 `append-message`, RFC 4469 5,
//! RFC 6855 4, RFC 8508 5).
//!
//! ```text
//! head ─► message ─► (literal) ────────────► next ─► message, or the end
//!            ├─► CATENATE ( ─► TEXT (literal) ─► ) ┘
//!            │              └► URL ─────────────┘
//!            └─► UTF8 ( ─► (literal) ─► ) ─────────┘
//! ```
//!
//! Invariant: a literal is a message only where the grammar has one; a mailbox name or a URL in a
//! literal is an argument within the limits of all others. Rejected: telling them apart by their
//! place on the line, which a name in a literal would deceive.

use std::collections::VecDeque;

use letterlock_core::model::FlagSet;

use super::cursor::Cursor;
use super::{Frame, Syntax};
use crate::imap::command::{AppendCommand, Tag, UploadPart};
use crate::imap::date;
use crate::imap::set::{MessageSet, Range, SequenceSet, UidSet};
use crate::imap::utf7::Names;

type Parsed<T> = Result<T, Syntax>;

/// How far an APPEND was read.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    tag: Tag,
    /// REPLACE takes one message (RFC 8508 4.7).
    single: bool,
    at: At,
}

impl Upload {
    pub(super) fn tag(&self) -> &Tag {
        &self.tag
    }
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Message,
    /// Behind a message's literal.
    LiteralEnd,
    /// Behind the literal in `UTF8 (`.
    Utf8End,
    CatPart,
    /// Behind the literal in `CATENATE (UTF8 (`.
    CatUtf8End,
    CatNext,
    Next,
}

/// What a line was.
pub(super) enum Chunk {
    /// It announces an argument, which has to come first.
    Argument,
    /// Parts, up to a literal that belongs to a message.
    Parts(Vec<Frame>, Upload),
    /// Parts, up to the end of the command.
    End(Vec<Frame>),
}

/// Whether a line begins APPEND, REPLACE or UID REPLACE.
pub(super) fn begins(line: &[u8]) -> bool {
    let mut words = line.split(|octet| matches!(octet, b' ' | b'\r'));
    let is =
        |word: Option<&[u8]>, name: &[u8]| word.is_some_and(|word| word.eq_ignore_ascii_case(name));
    words.next();
    let first = words.next();
    is(first, b"APPEND")
        || is(first, b"REPLACE")
        || (is(first, b"UID") && is(words.next(), b"REPLACE"))
}

/// Reads what stands between two messages.
pub(super) fn chunk(
    upload: Option<&Upload>,
    text: &[u8],
    literals: VecDeque<Vec<u8>>,
    names: Names,
) -> Parsed<Chunk> {
    let mut cursor = Cursor::new(text, literals).with_names(names);
    let mut parts = Vec::new();
    match read(&mut cursor, upload, &mut parts) {
        Ok(Some(upload)) => Ok(Chunk::Parts(parts, upload)),
        Ok(None) => Ok(Chunk::End(parts)),
        Err(_) if cursor.is_starved() => Ok(Chunk::Argument),
        Err(cause) => Err(cause),
    }
}

fn read(
    cursor: &mut Cursor<'_>,
    upload: Option<&Upload>,
    parts: &mut Vec<Frame>,
) -> Parsed<Option<Upload>> {
    let mut upload = match upload {
        Some(upload) => upload.clone(),
        None => head(cursor, parts)?,
    };
    loop {
        upload.at = match upload.at {
            At::Message => {
                let at = message(cursor, parts)?;
                if at != At::CatPart {
                    return Ok(Some(Upload { at, ..upload }));
                }
                at
            }
            At::LiteralEnd => {
                parts.push(Frame::Upload(UploadPart::MessageEnd));
                At::Next
            }
            At::Utf8End => {
                cursor.expect(b')', "UTF8 (...) does not end")?;
                At::LiteralEnd
            }
            At::CatPart => {
                let at = cat_part(cursor, parts)?;
                if at != At::CatPart {
                    return Ok(Some(Upload { at, ..upload }));
                }
                At::CatNext
            }
            At::CatUtf8End => {
                cursor.expect(b')', "UTF8 (...) does not end")?;
                At::CatNext
            }
            At::CatNext if cursor.eat(b')') => At::LiteralEnd,
            At::CatNext => {
                cursor.space()?;
                At::CatPart
            }
            At::Next if cursor.at_end() => return Ok(None),
            At::Next if upload.single => return Err(Syntax::Bad("too many arguments")),
            At::Next => At::Message,
        };
    }
}

/// `"APPEND" SP mailbox`, `["UID" SP] "REPLACE" SP seq-number SP mailbox`
fn head(cursor: &mut Cursor<'_>, parts: &mut Vec<Frame>) -> Parsed<Upload> {
    let tag = cursor.tag()?;
    let mut word = cursor.word()?;
    let by_uid = word == "UID";
    if by_uid {
        cursor.space()?;
        word = cursor.word()?;
    }
    cursor.space()?;
    let single = word == "REPLACE";
    let replaces = if single {
        let number = cursor.bound()?;
        let range = vec![Range {
            from: number,
            to: number,
        }];
        cursor.space()?;
        Some(if by_uid {
            MessageSet::Uid(UidSet(range))
        } else {
            MessageSet::Sequence(SequenceSet(range))
        })
    } else {
        None
    };
    let mailbox = cursor.mailbox()?;
    let command = AppendCommand { mailbox, replaces };
    parts.push(Frame::Append(tag.clone(), command));
    Ok(Upload {
        tag,
        single,
        at: At::Message,
    })
}

/// `append-message = [SP flag-list] [SP date-time] SP append-data`
fn message(cursor: &mut Cursor<'_>, parts: &mut Vec<Frame>) -> Parsed<At> {
    cursor.space()?;
    let mut flags = FlagSet::new();
    if cursor.peek() == Some(b'(') {
        flags = cursor.flag_list()?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        let text = cursor.string()?;
        let text = std::str::from_utf8(&text).ok();
        let parsed = text.and_then(date::parse_date_time);
        date = Some(parsed.ok_or(Syntax::Bad("the date-time is not well formed"))?);
        cursor.space()?;
    }
    parts.push(Frame::Upload(UploadPart::Message { flags, date }));
    if cursor.at_announcement() {
        return Ok(At::LiteralEnd);
    }
    if !cursor
        .peek()
        .is_some_and(|octet| octet.is_ascii_alphabetic())
    {
        return Err(Syntax::Bad("a message is needed"));
    }
    match cursor.word()?.as_str() {
        "CATENATE" => {
            cursor.space()?;
            cursor.expect(b'(', "a list of parts is needed")?;
            Ok(At::CatPart)
        }
        "UTF8" => {
            cursor.space()?;
            utf8(cursor, parts)?;
            Ok(At::Utf8End)
        }
        _ => Err(Syntax::Bad("a message is needed")),
    }
}

/// `"(" literal8`, of `utf8-literal = "UTF8" SP "(" literal8 ")"` (RFC 6855 4)
fn utf8(cursor: &mut Cursor<'_>, parts: &mut Vec<Frame>) -> Parsed<()> {
    cursor.expect(b'(', "UTF8 has a literal in parentheses")?;
    if cursor.peek() != Some(b'~') || !cursor.at_announcement() {
        return Err(Syntax::Bad("UTF8 takes a literal8"));
    }
    parts.push(Frame::Upload(UploadPart::Utf8));
    Ok(())
}

/// `cat-part = "TEXT" SP literal / "URL" SP astring / "UTF8" SP "(" literal8 ")"`
fn cat_part(cursor: &mut Cursor<'_>, parts: &mut Vec<Frame>) -> Parsed<At> {
    let word = cursor.word()?;
    cursor.space()?;
    match word.as_str() {
        "TEXT" if cursor.at_announcement() => Ok(At::CatNext),
        "URL" => {
            let url = cursor.astring()?;
            parts.push(Frame::Upload(UploadPart::Url(url)));
            Ok(At::CatPart)
        }
        "UTF8" => {
            utf8(cursor, parts)?;
            Ok(At::CatUtf8End)
        }
        _ => Err(Syntax::Bad("TEXT with a literal or URL is needed")),
    }
}
