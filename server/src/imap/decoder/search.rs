//! The grammar of SEARCH (RFC 3501 6.4.4, 9 `search`, `search-key`).

use encoding_rs::{Encoding, UTF_8};
use letterlock_core::model::{Flag, Keyword};

use super::Syntax;
use super::cursor::Cursor;
use crate::imap::command::{Numbering, SearchCommand, SearchKey};
use crate::imap::set::{SequenceSet, UidSet};

type Parsed<T> = Result<T, Syntax>;

/// Deepest nesting of NOT, OR and parentheses.
const MAX_DEPTH: usize = 32;
/// Most keys in one SEARCH, nested ones included.
const MAX_KEYS: usize = 2000;

/// What one SEARCH carries from key to key.
struct Context {
    charset: &'static Encoding,
    keys: usize,
    depth: usize,
}

/// `search = "SEARCH" [SP "CHARSET" SP astring] 1*(SP search-key)`
pub(super) fn search(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<SearchCommand> {
    cursor.space()?;
    let mut context = Context {
        charset: UTF_8,
        keys: 0,
        depth: 0,
    };
    let mut keys = Vec::new();
    let first = peek_word(cursor)?;
    match first {
        Start::Word(word) if word == "CHARSET" => {
            cursor.space()?;
            let label = cursor.astring()?;
            context.charset = Encoding::for_label(&label).ok_or(Syntax::BadCharset)?;
            // Encodings that only stand for "cannot be read" in a browser know no text.
            if context.charset == encoding_rs::REPLACEMENT {
                return Err(Syntax::BadCharset);
            }
        }
        first => keys.push(key_after(cursor, &mut context, first)?),
    }
    while cursor.eat(b' ') {
        if cursor.peek().is_none() {
            break;
        }
        keys.push(key(cursor, &mut context)?);
    }
    if keys.is_empty() {
        return Err(Syntax::Bad("a search key is needed"));
    }
    Ok(SearchCommand { by, keys })
}

/// How a key begins.
enum Start {
    Word(String),
    Set,
    List,
}

fn peek_word(cursor: &mut Cursor<'_>) -> Parsed<Start> {
    match cursor.peek() {
        Some(b'(') => Ok(Start::List),
        Some(octet) if octet.is_ascii_digit() || octet == b'*' => Ok(Start::Set),
        _ => cursor.word().map(Start::Word),
    }
}

fn key(cursor: &mut Cursor<'_>, context: &mut Context) -> Parsed<SearchKey> {
    let start = peek_word(cursor)?;
    key_after(cursor, context, start)
}

fn key_after(cursor: &mut Cursor<'_>, context: &mut Context, start: Start) -> Parsed<SearchKey> {
    context.keys = context.keys.saturating_add(1);
    context.depth = context.depth.saturating_add(1);
    if context.keys > MAX_KEYS || context.depth > MAX_DEPTH {
        return Err(Syntax::Bad("search is too complex"));
    }
    let key = match start {
        Start::Set => SearchKey::Sequence(SequenceSet(cursor.ranges()?)),
        Start::List => list(cursor, context)?,
        Start::Word(word) => named(cursor, context, &word)?,
    };
    context.depth = context.depth.saturating_sub(1);
    Ok(key)
}

/// `"(" search-key *(SP search-key) ")"`
fn list(cursor: &mut Cursor<'_>, context: &mut Context) -> Parsed<SearchKey> {
    cursor.expect(b'(', "a list is needed")?;
    let mut keys = vec![key(cursor, context)?];
    while !cursor.eat(b')') {
        cursor.space()?;
        keys.push(key(cursor, context)?);
    }
    Ok(SearchKey::And(keys))
}

/// `search-key = "ALL" / "ANSWERED" / "BCC" SP astring / ...`
fn named(cursor: &mut Cursor<'_>, context: &mut Context, word: &str) -> Parsed<SearchKey> {
    let not = |key| SearchKey::Not(Box::new(key));
    Ok(match word {
        "ALL" => SearchKey::All,
        "ANSWERED" => SearchKey::Flag(Flag::Answered),
        "DELETED" => SearchKey::Flag(Flag::Deleted),
        "DRAFT" => SearchKey::Flag(Flag::Draft),
        "FLAGGED" => SearchKey::Flag(Flag::Flagged),
        "SEEN" => SearchKey::Flag(Flag::Seen),
        "UNANSWERED" => not(SearchKey::Flag(Flag::Answered)),
        "UNDELETED" => not(SearchKey::Flag(Flag::Deleted)),
        "UNDRAFT" => not(SearchKey::Flag(Flag::Draft)),
        "UNFLAGGED" => not(SearchKey::Flag(Flag::Flagged)),
        "UNSEEN" => not(SearchKey::Flag(Flag::Seen)),
        "RECENT" => SearchKey::Recent,
        "OLD" => not(SearchKey::Recent),
        "NEW" => SearchKey::And(vec![SearchKey::Recent, not(SearchKey::Flag(Flag::Seen))]),
        "KEYWORD" => SearchKey::Flag(keyword(cursor)?),
        "UNKEYWORD" => not(SearchKey::Flag(keyword(cursor)?)),
        "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" => dated(cursor, word)?,
        "LARGER" => SearchKey::Larger(size(cursor)?),
        "SMALLER" => SearchKey::Smaller(size(cursor)?),
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => SearchKey::Header {
            name: word.to_owned(),
            text: text(cursor, context)?,
        },
        "HEADER" => {
            cursor.space()?;
            let name = String::from_utf8(cursor.astring()?);
            let name = name.map_err(|_| Syntax::Bad("a field name is ASCII"))?;
            SearchKey::Header {
                name,
                text: text(cursor, context)?,
            }
        }
        "BODY" => SearchKey::Body(text(cursor, context)?),
        "TEXT" => SearchKey::Text(text(cursor, context)?),
        "UID" => {
            cursor.space()?;
            SearchKey::Uid(UidSet(cursor.ranges()?))
        }
        "NOT" => {
            cursor.space()?;
            not(key(cursor, context)?)
        }
        "OR" => {
            cursor.space()?;
            let left = key(cursor, context)?;
            cursor.space()?;
            SearchKey::Or(Box::new(left), Box::new(key(cursor, context)?))
        }
        _ => return Err(Syntax::Bad("search key is not known")),
    })
}

fn keyword(cursor: &mut Cursor<'_>) -> Parsed<Flag> {
    cursor.space()?;
    let keyword = Keyword::new(cursor.atom()?);
    keyword
        .map(Flag::Keyword)
        .map_err(|_| Syntax::Bad("a keyword is needed"))
}

fn dated(cursor: &mut Cursor<'_>, word: &str) -> Parsed<SearchKey> {
    cursor.space()?;
    let date = cursor.date()?;
    Ok(match word {
        "BEFORE" => SearchKey::Before(date),
        "ON" => SearchKey::On(date),
        "SINCE" => SearchKey::Since(date),
        "SENTBEFORE" => SearchKey::SentBefore(date),
        "SENTON" => SearchKey::SentOn(date),
        _ => SearchKey::SentSince(date),
    })
}

fn size(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    cursor.number64()
}

/// `SP astring`, in the charset of the command
fn text(cursor: &mut Cursor<'_>, context: &Context) -> Parsed<String> {
    cursor.space()?;
    let octets = cursor.astring()?;
    let text = context
        .charset
        .decode_without_bom_handling_and_without_replacement(&octets);
    text.map(std::borrow::Cow::into_owned)
        .ok_or(Syntax::Bad("text is not in its charset"))
}
