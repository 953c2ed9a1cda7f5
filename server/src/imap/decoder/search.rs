//! The grammar of SEARCH (RFC 3501 6.4.4, 9 `search`, `search-key`; RFC 4466 2.6; RFC 4731;
//! RFC 5032; RFC 5182; RFC 7162; RFC 8474; RFC 8514; RFC 9394), SORT and THREAD (RFC 5256;
//! RFC 5267; RFC 5957).

use encoding_rs::{Encoding, UTF_8};
use letterlock_core::model::{Flag, Keyword};

use super::Syntax;
use super::cursor::Cursor;
use super::message_limit::uids_beside;
use crate::imap::command::{
    Command, MailboxArgument, Numbering, PartialRange, SearchCommand, SearchKey, SearchReturn,
    SortCommand, SortCriterion, SortKey, Source, ThreadAlgorithm, ThreadCommand,
};
use crate::imap::set::{SequenceSet, UidSet};

type Parsed<T> = Result<T, Syntax>;

/// Deepest nesting of NOT, OR and parentheses.
const MAX_DEPTH: usize = 32;
/// Most keys in one SEARCH, nested ones included.
const MAX_KEYS: usize = 2000;

/// Most criteria in one SORT.
const MAX_CRITERIA: usize = 64;

/// What one SEARCH carries from key to key.
struct Context {
    charset: &'static Encoding,
    keys: usize,
    depth: usize,
}

/// `search = "SEARCH" [search-return-opts] SP search-program` (RFC 4466 2.6.1)
pub(super) fn search(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<SearchCommand> {
    cursor.space()?;
    let mut start = peek_word(cursor)?;
    let mut returns = None;
    if matches!(&start, Start::Word(word) if word == "RETURN") {
        returns = Some(returned(cursor)?);
        cursor.space()?;
        start = peek_word(cursor)?;
    }
    let saving = returns.as_ref().is_some_and(|returns| returns.save);
    let keys = program(cursor, start, saving)?;
    check_relevancy(asks_relevancy(returns.as_ref()), &keys)?;
    Ok(SearchCommand { by, returns, keys })
}

fn asks_relevancy(returns: Option<&SearchReturn>) -> bool {
    returns.is_some_and(|returns| returns.relevancy)
}

/// RELEVANCY "MUST NOT be used unless a FUZZY search key is also given" (RFC 6203 4).
fn check_relevancy(asked: bool, keys: &[SearchKey]) -> Parsed<()> {
    let is_fuzzy = |key: &SearchKey| matches!(key, SearchKey::Fuzzy(_));
    if asked && !keys.iter().any(|key| key.any(&is_fuzzy)) {
        return Err(Syntax::Bad("RELEVANCY needs FUZZY"));
    }
    Ok(())
}

/// `esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program`
/// (RFC 7377 4)
pub(super) fn esearch(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mut start = peek_word(cursor)?;
    let mut sources = Vec::new();
    if matches!(&start, Start::Word(word) if word == "IN") {
        cursor.space()?;
        sources = cursor.list(source)?;
        if sources.is_empty() {
            return Err(Syntax::Bad("a mailbox to search is needed"));
        }
        cursor.space()?;
        start = peek_word(cursor)?;
    }
    let mut returns = SearchReturn {
        all: true,
        ..SearchReturn::default()
    };
    if matches!(&start, Start::Word(word) if word == "RETURN") {
        returns = returned(cursor)?;
        cursor.space()?;
        start = peek_word(cursor)?;
    }
    let saving = returns.save;
    let keys = program(cursor, start, saving)?;
    check_relevancy(returns.relevancy, &keys)?;
    let search = SearchCommand {
        by: Numbering::Uid,
        returns: Some(returns),
        keys,
    };
    Ok(Command::Esearch(sources, search))
}

/// `filter-mailboxes = "selected" / "inboxes" / "personal" / "subscribed" /
/// ("subtree" / "subtree-one" / "mailboxes") SP one-or-more-mailbox` (RFC 5465 8)
fn source(cursor: &mut Cursor<'_>) -> Parsed<Source> {
    Ok(match cursor.word()?.as_str() {
        "SELECTED" => Source::Selected,
        "INBOXES" => Source::Inboxes,
        "PERSONAL" => Source::Personal,
        "SUBSCRIBED" => Source::Subscribed,
        "SUBTREE" => Source::Subtree(mailboxes(cursor)?),
        "SUBTREE-ONE" => Source::SubtreeOne(mailboxes(cursor)?),
        "MAILBOXES" => Source::Mailboxes(mailboxes(cursor)?),
        _ => {
            return Err(Syntax::Bad(
                "mailboxes to search are not known by this name",
            ));
        }
    })
}

/// `SP one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
fn mailboxes(cursor: &mut Cursor<'_>) -> Parsed<Vec<MailboxArgument>> {
    cursor.space()?;
    if cursor.peek() != Some(b'(') {
        return Ok(vec![cursor.mailbox()?]);
    }
    let mailboxes = cursor.list(Cursor::mailbox)?;
    if mailboxes.is_empty() {
        return Err(Syntax::Bad("a mailbox to search is needed"));
    }
    Ok(mailboxes)
}

/// `"CANCELUPDATE" 1*(SP quoted)` (RFC 5267 5)
pub(super) fn cancel_update(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut tags = Vec::new();
    while tags.is_empty() || cursor.peek() == Some(b' ') {
        cursor.space()?;
        let tag = String::from_utf8(cursor.string()?);
        tags.push(tag.map_err(|_| Syntax::Bad("a tag is ASCII"))?);
    }
    Ok(Command::CancelUpdate(tags))
}

/// `sort = "SORT" [search-return-opts] SP sort-criteria SP search-criteria` (RFC 5256 5, RFC 5267 5)
pub(super) fn sort(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<SortCommand> {
    cursor.space()?;
    let mut returns = None;
    if cursor.peek() != Some(b'(') {
        if cursor.word()? != "RETURN" {
            return Err(Syntax::Bad("sort criteria are needed"));
        }
        returns = Some(returned(cursor)?);
        cursor.space()?;
    }
    let criteria = cursor.list(sort_criterion)?;
    if criteria.is_empty() || criteria.len() > MAX_CRITERIA {
        return Err(Syntax::Bad("1 to 64 sort criteria are needed"));
    }
    let saving = returns.as_ref().is_some_and(|returns| returns.save);
    let keys = criteria_of_search(cursor, saving)?;
    let sorts = criteria.iter().any(|by| by.key == SortKey::Relevancy);
    check_relevancy(sorts || asks_relevancy(returns.as_ref()), &keys)?;
    let search = SearchCommand { by, returns, keys };
    Ok(SortCommand { search, criteria })
}

/// `sort-criterion = ["REVERSE" SP] sort-key`
fn sort_criterion(cursor: &mut Cursor<'_>) -> Parsed<SortCriterion> {
    let mut word = cursor.word()?;
    let reverse = word == "REVERSE";
    if reverse {
        cursor.space()?;
        word = cursor.word()?;
    }
    let key = match word.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "FROM" => SortKey::From,
        "RELEVANCY" => SortKey::Relevancy,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        _ => return Err(Syntax::Bad("sort criterion is not known")),
    };
    Ok(SortCriterion { key, reverse })
}

/// `thread = "THREAD" SP thread-alg SP search-criteria` (RFC 5256 5)
pub(super) fn thread(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<ThreadCommand> {
    cursor.space()?;
    let algorithm = match cursor.word()?.as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        _ => return Err(Syntax::Bad("thread algorithm is not known")),
    };
    let keys = criteria_of_search(cursor, false)?;
    Ok(ThreadCommand {
        by,
        algorithm,
        keys,
    })
}

/// `search-criteria = charset 1*(SP search-key)`, behind a space
fn criteria_of_search(cursor: &mut Cursor<'_>, saving: bool) -> Parsed<Vec<SearchKey>> {
    cursor.space()?;
    let charset = charset_of(&cursor.astring()?).ok_or(Syntax::BadCharset { saving })?;
    cursor.space()?;
    let start = peek_word(cursor)?;
    keys(cursor, start, charset)
}

/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`; programs that give
/// no charset and yet send octets above 127 mean UTF-8.
fn program(cursor: &mut Cursor<'_>, start: Start, saving: bool) -> Parsed<Vec<SearchKey>> {
    let mut charset = UTF_8;
    let start = match start {
        Start::Word(word) if word == "CHARSET" => {
            cursor.space()?;
            charset = charset_of(&cursor.astring()?).ok_or(Syntax::BadCharset { saving })?;
            cursor.space()?;
            peek_word(cursor)?
        }
        start => start,
    };
    keys(cursor, start, charset)
}

/// The encoding of a charset's name.
fn charset_of(label: &[u8]) -> Option<&'static Encoding> {
    // Encodings that only stand for "cannot be read" in a browser know no text.
    Encoding::for_label(label).filter(|charset| *charset != encoding_rs::REPLACEMENT)
}

/// `search-key *(SP search-key)`
fn keys(
    cursor: &mut Cursor<'_>,
    start: Start,
    charset: &'static Encoding,
) -> Parsed<Vec<SearchKey>> {
    let mut context = Context {
        charset,
        keys: 0,
        depth: 0,
    };
    let mut keys = vec![key_after(cursor, &mut context, start)?];
    while cursor.eat(b' ') {
        if cursor.peek().is_none() {
            break;
        }
        keys.push(key(cursor, &mut context)?);
    }
    Ok(keys)
}

/// `search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"`,
/// behind the word. An empty list asks for all (RFC 4731 3.1).
fn returned(cursor: &mut Cursor<'_>) -> Parsed<SearchReturn> {
    cursor.space()?;
    let options = cursor.list(return_option)?;
    let mut returns = SearchReturn {
        all: options.is_empty(),
        ..SearchReturn::default()
    };
    for option in options {
        match option {
            Return::Min => returns.min = true,
            Return::Max => returns.max = true,
            Return::All => returns.all = true,
            Return::Count => returns.count = true,
            Return::Save => returns.save = true,
            Return::Update => returns.update = true,
            Return::Relevancy => returns.relevancy = true,
            // A hint that what is asked will be asked again (RFC 5267 4.2).
            Return::Context => {}
            Return::Partial(_) if returns.partial.is_some() => {
                return Err(Syntax::Bad("PARTIAL stands twice"));
            }
            Return::Partial(range) => returns.partial = Some(range),
        }
    }
    if returns.all && returns.partial.is_some() {
        return Err(Syntax::Bad("ALL and PARTIAL do not go together"));
    }
    Ok(returns)
}

enum Return {
    Min,
    Max,
    All,
    Count,
    Save,
    Update,
    Relevancy,
    Context,
    Partial(PartialRange),
}

fn return_option(cursor: &mut Cursor<'_>) -> Parsed<Return> {
    Ok(match cursor.word()?.as_str() {
        "MIN" => Return::Min,
        "MAX" => Return::Max,
        "ALL" => Return::All,
        "COUNT" => Return::Count,
        "SAVE" => Return::Save,
        "UPDATE" => Return::Update,
        "RELEVANCY" => Return::Relevancy,
        "CONTEXT" => Return::Context,
        "PARTIAL" => {
            cursor.space()?;
            Return::Partial(cursor.partial_range()?)
        }
        _ => return Err(Syntax::Bad("return option is not known")),
    })
}

/// How a key begins.
enum Start {
    Word(String),
    Set,
    Saved,
    List,
}

fn peek_word(cursor: &mut Cursor<'_>) -> Parsed<Start> {
    match cursor.peek() {
        Some(b'(') => Ok(Start::List),
        Some(b'$') => Ok(Start::Saved),
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
        Start::Saved => {
            cursor.eat(b'$');
            SearchKey::Saved
        }
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
        // Every mailbox here knows when a message came into it.
        "ALL" | "SAVEDATESUPPORTED" => SearchKey::All,
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
        "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" | "SAVEDBEFORE"
        | "SAVEDON" | "SAVEDSINCE" => dated(cursor, word)?,
        "EMAILID" => SearchKey::EmailId(object_id(cursor)?),
        "THREADID" => SearchKey::ThreadId(object_id(cursor)?),
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
        "MODSEQ" => SearchKey::ModSeq(super::condstore::search_mod_seq(cursor)?),
        "OLDER" => SearchKey::Older(interval(cursor)?),
        "YOUNGER" => SearchKey::Younger(interval(cursor)?),
        "UID" => {
            cursor.space()?;
            if cursor.eat(b'$') {
                SearchKey::Saved
            } else {
                SearchKey::Uid(UidSet(cursor.ranges()?))
            }
        }
        "UIDAFTER" | "UIDBEFORE" => SearchKey::Uid(uids_beside(cursor, word)?),
        "NOT" => {
            cursor.space()?;
            not(key(cursor, context)?)
        }
        "FUZZY" => {
            cursor.space()?;
            SearchKey::Fuzzy(Box::new(key(cursor, context)?))
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
        "SAVEDBEFORE" => SearchKey::SavedBefore(date),
        "SAVEDON" => SearchKey::SavedOn(date),
        "SAVEDSINCE" => SearchKey::SavedSince(date),
        _ => SearchKey::SentSince(date),
    })
}

/// `SP objectid`, `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 7)
fn object_id(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.space()?;
    let id = cursor.atom()?;
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-');
    if id.len() > 255 || !id.bytes().all(fits) {
        return Err(Syntax::Bad("an object id is needed"));
    }
    Ok(id.to_owned())
}

/// `SP nz-number`, in seconds (RFC 5032 3)
fn interval(cursor: &mut Cursor<'_>) -> Parsed<u32> {
    cursor.space()?;
    cursor.nz_number()
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
