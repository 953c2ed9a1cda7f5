//! The commands of RFC 3501 9 `command-any`, `-auth`, `-nonauth`, `-select`, and extensions.
//!
//! FETCH and SEARCH have grammars of their own in `fetch.rs` and `search.rs`.

use letterlock_core::model::{AnnotationName, FlagChange, Role};

use super::Syntax;
use super::cursor::Cursor;
use super::{condstore, fetch, metadata, notify, search};
use crate::imap::command::{
    Access, Command, Echo, FetchItem, ListCommand, ListReport, ListSelection, Numbering, Secret,
    SelectParameters, SpecialUse, StatusItem, StoreCommand,
};
use crate::imap::set::{MessageSet, SequenceSet, UidSet};

type Parsed<T> = Result<T, Syntax>;

/// Most patterns in an extended LIST.
const MAX_PATTERNS: usize = 100;
/// Most fields in ID (RFC 2971 3.3).
const MAX_ID_FIELDS: usize = 30;

/// `command = tag SP (command-any / command-auth / ...) CRLF`, behind the tag
pub(super) fn command(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let name = cursor.word()?;
    let command = match name.as_str() {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "ID" => id(cursor)?,
        "ENABLE" => enable(cursor)?,
        "AUTHENTICATE" => authenticate(cursor)?,
        "LOGIN" => login(cursor)?,
        "SELECT" => select(cursor, Access::ReadWrite)?,
        "EXAMINE" => select(cursor, Access::ReadOnly)?,
        "CREATE" => create(cursor)?,
        "DELETE" => Command::Delete(mailbox(cursor)?),
        "RENAME" => Command::Rename {
            from: mailbox(cursor)?,
            to: mailbox(cursor)?,
        },
        "SUBSCRIBE" => Command::Subscribe(mailbox(cursor)?),
        "UNSUBSCRIBE" => Command::Unsubscribe(mailbox(cursor)?),
        "LIST" => Command::List(list(cursor)?),
        "LSUB" => {
            cursor.space()?;
            let reference = cursor.list_mailbox()?;
            cursor.space()?;
            Command::Lsub {
                reference,
                pattern: cursor.list_mailbox()?,
            }
        }
        "NAMESPACE" => Command::Namespace,
        "NOTIFY" => Command::Notify(notify::notify(cursor)?),
        "GETMETADATA" => metadata::get(cursor)?,
        "SETMETADATA" => metadata::set(cursor)?,
        "COMPRESS" => {
            cursor.space()?;
            if cursor.word()? != "DEFLATE" {
                return Err(Syntax::Bad("only DEFLATE is known"));
            }
            Command::Compress
        }
        "MYRIGHTS" => Command::MyRights(mailbox(cursor)?),
        "GETQUOTA" => {
            cursor.space()?;
            Command::GetQuota(cursor.astring()?)
        }
        "GETQUOTAROOT" => Command::GetQuotaRoot(mailbox(cursor)?),
        "STATUS" => status(cursor)?,
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "EXPUNGE" => Command::Expunge(None),
        "ESEARCH" => search::esearch(cursor)?,
        "CANCELUPDATE" => search::cancel_update(cursor)?,
        "UIDBATCHES" => uid_batches(cursor)?,
        "UID" => uid(cursor)?,
        name => by_number(cursor, name, Numbering::Sequence)?,
    };
    cursor.end()?;
    Ok(command)
}

/// `uidbatches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]`
fn uid_batches(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let size = cursor.nz_number()?;
    let mut batches = None;
    if !cursor.at_end() {
        cursor.space()?;
        let from = cursor.nz_number()?;
        cursor.expect(b':', "a range of batches is needed")?;
        batches = Some((from, cursor.nz_number()?));
    }
    Ok(Command::UidBatches { size, batches })
}

/// `uid = "UID" SP (copy / fetch / search / store / move / expunge)`
fn uid(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let name = cursor.word()?;
    if name == "EXPUNGE" {
        let uids = messages(cursor, Numbering::Uid)?;
        return Ok(Command::Expunge(Some(uids)));
    }
    by_number(cursor, &name, Numbering::Uid)
}

/// The commands whose UID form differs in the numbers alone.
fn by_number(cursor: &mut Cursor<'_>, name: &str, by: Numbering) -> Parsed<Command> {
    if name == "SEARCH" {
        return search::search(cursor, by).map(Command::Search);
    }
    if name == "SORT" {
        return search::sort(cursor, by).map(Command::Sort);
    }
    if name == "THREAD" {
        return search::thread(cursor, by).map(Command::Thread);
    }
    if !matches!(name, "FETCH" | "STORE" | "COPY" | "MOVE") {
        return Err(Syntax::Bad("command is not known"));
    }
    let messages = messages(cursor, by)?;
    match name {
        "FETCH" => {
            let mut items = fetch::items(cursor, by)?;
            let modifiers = condstore::fetch_modifiers(cursor, by)?;
            if modifiers.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
                // It is told unasked (RFC 7162 3.1.4.1).
                let uid = [FetchItem::Uid, FetchItem::ImpliedUid];
                let behind_uid = items.first().is_some_and(|first| uid.contains(first));
                let behind_uid = usize::from(behind_uid);
                items.insert(behind_uid, FetchItem::ModSeq);
            }
            Ok(Command::Fetch {
                messages,
                items,
                modifiers,
            })
        }
        "STORE" => store(cursor, messages),
        "COPY" => Ok(Command::Copy {
            messages,
            to: mailbox(cursor)?,
        }),
        _ => Ok(Command::Move {
            messages,
            to: mailbox(cursor)?,
        }),
    }
}

/// `SP sequence-set`, which may be `$` (RFC 5182 3)
fn messages(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<MessageSet> {
    cursor.space()?;
    if cursor.eat(b'$') {
        return Ok(MessageSet::Saved(by));
    }
    let ranges = cursor.ranges()?;
    Ok(match by {
        Numbering::Sequence => MessageSet::Sequence(SequenceSet(ranges)),
        Numbering::Uid => MessageSet::Uid(UidSet(ranges)),
    })
}

fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<crate::imap::command::MailboxArgument> {
    cursor.space()?;
    cursor.mailbox()
}

/// `create = "CREATE" SP mailbox [create-params]`; `"USE" SP "(" [use-attr *(SP use-attr)] ")"`
/// (RFC 4466 2.2, RFC 6154 6)
fn create(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = mailbox(cursor)?;
    let mut use_for = SpecialUse::None;
    if cursor.eat(b' ') && !cursor.at_end() {
        let uses = cursor.list(|cursor| {
            if cursor.word()? != "USE" {
                return Err(Syntax::Bad("CREATE knows no other parameter than USE"));
            }
            cursor.space()?;
            cursor.list(|cursor| {
                cursor.expect(b'\\', "a special use begins with \\")?;
                cursor.atom().map(|name| format!("\\{name}"))
            })
        })?;
        let role = |name: &String| {
            Role::of_attribute(name).map_or(SpecialUse::Unsupported, SpecialUse::Role)
        };
        use_for = match uses.concat().as_slice() {
            [] => SpecialUse::None,
            [name] => role(name),
            _ => SpecialUse::Unsupported,
        };
    }
    Ok(Command::Create { mailbox, use_for })
}

/// `id = "ID" SP ("(" [string SP nstring *(SP string SP nstring)] ")" / nil)` (RFC 2971 4)
fn id(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        let fields = cursor.list(|cursor| {
            cursor.string()?;
            cursor.space()?;
            cursor.nstring()
        })?;
        if fields.len() > MAX_ID_FIELDS {
            return Err(Syntax::Bad("too many fields"));
        }
    } else if cursor.nstring()?.is_some() {
        return Err(Syntax::Bad("a list or NIL is needed"));
    }
    Ok(Command::Id)
}

/// `enable = "ENABLE" 1*(SP capability)` (RFC 5161 4)
fn enable(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mut names = vec![cursor.word()?];
    while cursor.eat(b' ') {
        names.push(cursor.word()?);
    }
    Ok(Command::Enable(names))
}

/// `authenticate = "AUTHENTICATE" SP auth-type [SP (base64 / "=")]` (RFC 4959 7)
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mechanism = cursor.word()?;
    let initial = if cursor.eat(b' ') {
        let octets =
            cursor.take_while(|octet| octet.is_ascii_alphanumeric() || b"+/=".contains(&octet));
        if octets.is_empty() {
            return Err(Syntax::Bad("an initial response is needed"));
        }
        Some(Secret::new(octets.to_vec()))
    } else {
        None
    };
    Ok(Command::Authenticate { mechanism, initial })
}

/// `login = "LOGIN" SP userid SP password`
fn login(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let user = Secret::new(cursor.astring()?);
    cursor.space()?;
    let password = Secret::new(cursor.astring()?);
    Ok(Command::Login { user, password })
}

/// `select = "SELECT" SP mailbox [select-params]`
fn select(cursor: &mut Cursor<'_>, access: Access) -> Parsed<Command> {
    let mailbox = mailbox(cursor)?;
    let parameters = if cursor.eat(b' ') && cursor.peek() == Some(b'(') {
        condstore::select_parameters(cursor)?
    } else {
        SelectParameters::default()
    };
    Ok(Command::Select {
        mailbox,
        access,
        parameters,
    })
}

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`
/// (RFC 5258 6)
fn list(cursor: &mut Cursor<'_>) -> Parsed<ListCommand> {
    cursor.space()?;
    let mut extended = false;
    let mut select = ListSelection::default();
    if cursor.peek() == Some(b'(') {
        extended = true;
        select = selection(cursor)?;
        cursor.space()?;
    }
    let reference = cursor.list_mailbox()?;
    cursor.space()?;
    let patterns = if cursor.peek() == Some(b'(') {
        extended = true;
        cursor.list(Cursor::list_mailbox)?
    } else {
        vec![cursor.list_mailbox()?]
    };
    if patterns.is_empty() || patterns.len() > MAX_PATTERNS {
        return Err(Syntax::Bad("1 to 100 patterns are needed"));
    }
    // The basic form tells children and special use unasked (RFC 3348 4, RFC 6154 2).
    let mut report = ListReport {
        children: true,
        special_use: true,
        ..ListReport::default()
    };
    if extended {
        report = ListReport::default();
    }
    if cursor.eat(b' ') {
        if cursor.word()? != "RETURN" {
            return Err(Syntax::Bad("RETURN is needed here"));
        }
        cursor.space()?;
        report = returned(cursor)?;
    }
    report.subscribed |= select.subscribed;
    report.special_use |= select.special_use;
    Ok(ListCommand {
        reference,
        patterns,
        select,
        report,
    })
}

/// `list-select-opts = "(" [list-select-base-opt ...] ")"` (RFC 5258 6)
fn selection(cursor: &mut Cursor<'_>) -> Parsed<ListSelection> {
    let mut select = ListSelection::default();
    for word in cursor.list(Cursor::word)? {
        match word.as_str() {
            "SUBSCRIBED" => select.subscribed = true,
            "REMOTE" => select.remote = true,
            "RECURSIVEMATCH" => select.recursive_match = true,
            "SPECIAL-USE" => select.special_use = true,
            _ => return Err(Syntax::Bad("selection option is not known")),
        }
    }
    if select.recursive_match && !(select.subscribed || select.special_use) {
        return Err(Syntax::Bad("RECURSIVEMATCH does not stand alone"));
    }
    Ok(select)
}

/// `list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"` (RFC 5258 6)
fn returned(cursor: &mut Cursor<'_>) -> Parsed<ListReport> {
    enum Option {
        Subscribed,
        Children,
        SpecialUse,
        MyRights,
        Status(Vec<StatusItem>),
        Metadata(Vec<AnnotationName>),
    }
    let options = cursor.list(|cursor| match cursor.word()?.as_str() {
        "SUBSCRIBED" => Ok(Option::Subscribed),
        "CHILDREN" => Ok(Option::Children),
        "SPECIAL-USE" => Ok(Option::SpecialUse),
        "MYRIGHTS" => Ok(Option::MyRights),
        "STATUS" => {
            cursor.space()?;
            status_items(cursor).map(Option::Status)
        }
        "METADATA" => {
            cursor.space()?;
            metadata::entries(cursor).map(Option::Metadata)
        }
        _ => Err(Syntax::Bad("return option is not known")),
    })?;
    let mut report = ListReport::default();
    for option in options {
        match option {
            Option::Subscribed => report.subscribed = true,
            Option::Children => report.children = true,
            Option::SpecialUse => report.special_use = true,
            Option::MyRights => report.my_rights = true,
            Option::Status(items) => report.status = items,
            Option::Metadata(entries) => report.metadata = entries,
        }
    }
    Ok(report)
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
fn status(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = mailbox(cursor)?;
    cursor.space()?;
    Ok(Command::Status {
        mailbox,
        items: status_items(cursor)?,
    })
}

fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    let items = cursor.list(|cursor| match cursor.word()?.as_str() {
        "MESSAGES" => Ok(StatusItem::Messages),
        "RECENT" => Ok(StatusItem::Recent),
        "UIDNEXT" => Ok(StatusItem::UidNext),
        "UIDVALIDITY" => Ok(StatusItem::UidValidity),
        "UNSEEN" => Ok(StatusItem::Unseen),
        "APPENDLIMIT" => Ok(StatusItem::AppendLimit),
        "DELETED-STORAGE" => Ok(StatusItem::DeletedStorage),
        "HIGHESTMODSEQ" => Ok(StatusItem::HighestModSeq),
        "MAILBOXID" => Ok(StatusItem::MailboxId),
        "SIZE" => Ok(StatusItem::Size),
        "DELETED" => Ok(StatusItem::Deleted),
        _ => Err(Syntax::Bad("status item is not known")),
    })?;
    if items.is_empty() {
        return Err(Syntax::Bad("a status item is needed"));
    }
    Ok(items)
}

/// `store = "STORE" SP sequence-set [store-modifiers] SP store-att-flags`
fn store(cursor: &mut Cursor<'_>, messages: MessageSet) -> Parsed<Command> {
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.peek() == Some(b'(') {
        unchanged_since = Some(condstore::store_modifiers(cursor)?);
        cursor.space()?;
    }
    let change = match cursor.peek() {
        Some(b'+') => FlagChange::Add,
        Some(b'-') => FlagChange::Remove,
        _ => FlagChange::Replace,
    };
    if change != FlagChange::Replace {
        cursor.take_while(|octet| matches!(octet, b'+' | b'-'));
    }
    let echo = match cursor.word()?.as_str() {
        "FLAGS" => Echo::Flags,
        "FLAGS.SILENT" => Echo::Silent,
        _ => return Err(Syntax::Bad("FLAGS or FLAGS.SILENT is needed")),
    };
    cursor.space()?;
    let flags = if cursor.peek() == Some(b'(') {
        cursor.flag_list()?
    } else {
        cursor.bare_flags()?
    };
    Ok(Command::Store(StoreCommand {
        messages,
        unchanged_since,
        change,
        echo,
        flags,
    }))
}
