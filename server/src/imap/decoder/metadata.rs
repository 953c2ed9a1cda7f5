//! The grammar of GETMETADATA and SETMETADATA (RFC 5464 5), and of LIST's METADATA (RFC 9590 5).

use letterlock_core::model::AnnotationName;

use super::Syntax;
use super::cursor::Cursor;
use crate::imap::command::{Command, Depth, GetMetadata, Octets, SetMetadata, WantedMetadata};

type Parsed<T> = Result<T, Syntax>;

/// Most names in one command.
const MAX_ENTRIES: usize = 1000;

/// `getmetadata-options`
#[derive(Default)]
struct Options {
    max_size: Option<u32>,
    depth: Depth,
}

/// `getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries`, behind the name.
/// The RFC's examples, and programs that follow them, have the options behind the mailbox.
pub(super) fn get(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut given = Options::default();
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        given = options(cursor)?;
        cursor.space()?;
    }
    let of = cursor.mailbox_or_server()?;
    cursor.space()?;
    if cursor.at_options() {
        given = options(cursor)?;
        cursor.space()?;
    }
    let entries = if cursor.peek() == Some(b'(') {
        entries(cursor)?
    } else {
        vec![entry(cursor)?]
    };
    let wanted = WantedMetadata {
        entries,
        max_size: given.max_size,
        depth: given.depth,
    };
    Ok(Command::GetMetadata(GetMetadata { of, wanted }))
}

/// `getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"`
fn options(cursor: &mut Cursor<'_>) -> Parsed<Options> {
    let mut options = Options::default();
    cursor.expect(b'(', "options are needed")?;
    loop {
        let option = cursor.word()?;
        cursor.space()?;
        match option.as_str() {
            "MAXSIZE" => options.max_size = Some(cursor.number()?),
            "DEPTH" => {
                options.depth = match cursor.word()?.as_str() {
                    "0" => Depth::Zero,
                    "1" => Depth::One,
                    "INFINITY" => Depth::Infinity,
                    _ => return Err(Syntax::Bad("DEPTH is 0, 1 or infinity")),
                };
            }
            _ => return Err(Syntax::Bad("option is not known")),
        }
        if cursor.eat(b')') {
            return Ok(options);
        }
        cursor.space()?;
    }
}

/// `setmetadata = "SETMETADATA" SP mailbox SP entry-values`, behind the name
pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let of = cursor.mailbox_or_server()?;
    cursor.space()?;
    let entries = cursor.list(|cursor| {
        let name = entry(cursor)?;
        cursor.space()?;
        Ok((name, value(cursor)?.map(Octets)))
    })?;
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(Syntax::Bad("1 to 1000 annotations are needed"));
    }
    Ok(Command::SetMetadata(SetMetadata { of, entries }))
}

/// `"(" entry *(SP entry) ")"`
pub(super) fn entries(cursor: &mut Cursor<'_>) -> Parsed<Vec<AnnotationName>> {
    let entries = cursor.list(entry)?;
    if entries.is_empty() || entries.len() > MAX_ENTRIES {
        return Err(Syntax::Bad("1 to 1000 names of annotations are needed"));
    }
    Ok(entries)
}

/// `entry = astring`: a path that begins with `/private` or `/shared`
fn entry(cursor: &mut Cursor<'_>) -> Parsed<AnnotationName> {
    let name = cursor.astring()?;
    let name = std::str::from_utf8(&name).ok();
    let name = name.and_then(|name| AnnotationName::new(name).ok());
    name.ok_or(Syntax::Bad("no annotation can have this name"))
}

/// `value = nstring / literal8`
fn value(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<u8>>> {
    if cursor.eat_before(b'~', b'{') {
        return cursor.literal().map(Some);
    }
    cursor.nstring()
}
