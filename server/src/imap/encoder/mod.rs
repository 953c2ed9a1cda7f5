//! From responses to octets (RFC 3501 7, 9 `response`), and the one place where an error of the
//! store becomes words for a client.
//!
//! Invariant: what is written is one well-formed response; text from mail or from errors cannot
//! end a line. Strings are quoted when they can be and literals otherwise; octets above 127 are
//! in a literal, because IMAP4rev1 knows them nowhere else, but for mailbox names in a connection
//! that has enabled UTF-8.
//! Rejected: `format!` into one string per response; bodies would be copied twice.

mod body_structure;
mod envelope;
mod esearch;
mod fetch;
mod metadata;
mod strings;
mod thread;

use std::collections::BTreeSet;
use std::fmt::Display;

use letterlock_core::id::{ModSeq, Uid};
use letterlock_core::model::{Flag, MAX_ANNOTATION_OCTETS};

use super::accounts::Room;
use super::command::Tag;
use super::object_id::mailbox_id;
use super::ops::OpError;
use super::response::{
    Advance, Attribute, Code, Condition, Earlier, ListItem, Reply, Response, Rights, StatusData,
    StatusValue,
};
use super::set::{write_set, write_spans};
use super::utf7::Names;
pub use fetch::{item_name, rendered};
use strings::{write_mailbox, write_quoted, write_string};

/// The system flags, in the order of RFC 3501 2.3.2; `\Recent` is not settable.
const SYSTEM_FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// The rights as letters (RFC 4314 2.1; `c` and `d` are the older names of `k`, `x`, `t` and `e`).
const fn letters(rights: Rights) -> &'static str {
    match rights {
        Rights::Own => "lrswipkxtecd",
        Rights::Virtual => "lrswted",
    }
}

/// Writes one response with its line end. What comes back are the places in `out`, ascending, at
/// which the octets of each [`super::response::FetchValue::Stream`] belong.
#[must_use = "octets that are streamed must be put where they belong"]
pub fn encode(response: &Response, names: Names, out: &mut Vec<u8>) -> Vec<usize> {
    let mut streams = Vec::new();
    match response {
        Response::Continue(text) => put(out, format_args!("+ {text}")),
        Response::Tagged(tag, reply) => {
            put(out, format_args!("{} ", tag.as_str()));
            write_reply(out, reply);
        }
        Response::Untagged(reply) => {
            put(out, "* ");
            write_reply(out, reply);
        }
        Response::Capability(names) => put(out, format_args!("* CAPABILITY {names}")),
        Response::Enabled(names) => {
            put(out, "* ENABLED");
            for name in names {
                put(out, format_args!(" {name}"));
            }
        }
        Response::Id => {
            let version = env!("CARGO_PKG_VERSION");
            put(
                out,
                format_args!("* ID (\"name\" \"Letterlock\" \"version\" \"{version}\")"),
            );
        }
        Response::Namespace => put(out, "* NAMESPACE ((\"\" \"/\")) NIL NIL"),
        Response::List(item) => write_list_item(out, "LIST", item, names),
        Response::Lsub(item) => write_list_item(out, "LSUB", item, names),
        Response::MyRights(name, rights) => {
            put(out, "* MYRIGHTS ");
            write_mailbox(out, name.as_str(), names);
            put(out, format_args!(" {}", letters(*rights)));
        }
        Response::Quota(room) => write_quota(out, *room),
        Response::QuotaRoot(name) => {
            put(out, "* QUOTAROOT ");
            write_mailbox(out, name.as_str(), names);
            put(out, " \"\"");
        }
        Response::Status(status) => write_status(out, status, names),
        Response::Metadata(data) => metadata::write(out, data, names),
        Response::MetadataChanged(of, entries) => {
            metadata::write_changed(out, of.as_ref(), entries, names);
        }
        Response::Flags(keywords) => write_flags(out, keywords),
        Response::Exists(count) => put(out, format_args!("* {count} EXISTS")),
        Response::Recent(count) => put(out, format_args!("* {count} RECENT")),
        Response::Expunge(number) => put(out, format_args!("* {number} EXPUNGE")),
        Response::Search(numbers, mod_seq) => write_numbers(out, "SEARCH", numbers, *mod_seq),
        Response::Sort(numbers, mod_seq) => write_numbers(out, "SORT", numbers, *mod_seq),
        Response::Thread(rows) => thread::write(out, rows),
        Response::Esearch(data) => esearch::write(out, data, names),
        Response::UidBatches(tag, batches) => write_batches(out, tag, batches),
        Response::Fetch(data) => fetch::write(out, data, &mut streams),
        Response::ToldFlags(told) => fetch::write_told(out, told),
        Response::Vanished(earlier, uids) => {
            let earlier = match earlier {
                Earlier::Yes => "(EARLIER) ",
                Earlier::No => "",
            };
            put(
                out,
                format_args!("* VANISHED {earlier}{}", write_spans(uids)),
            );
        }
    }
    out.extend_from_slice(b"\r\n");
    streams
}

/// What a failed operation is called on the wire (RFC 5530). The unknown is a `SERVERBUG`.
pub fn status_for(error: &OpError) -> Reply {
    match error {
        OpError::NoSuchMailbox => Reply::no("There is no such mailbox").with(Code::NonExistent),
        OpError::NoDestination => Reply::no("There is no such mailbox").with(Code::TryCreate),
        OpError::MailboxExists => Reply::no("A mailbox has this name").with(Code::AlreadyExists),
        OpError::SpecialUse => {
            Reply::no("No mailbox can be made for this special use").with(Code::UseAttr)
        }
        OpError::Cannot(reason) => Reply::no(reason).with(Code::Cannot),
        OpError::TooBig => Reply::no("The message is too large").with(Code::TooBig),
        OpError::AnnotationTooLong => {
            Reply::no("The value is too long").with(Code::MetadataMaxSize(MAX_ANNOTATION_OCTETS))
        }
        OpError::TooManyAnnotations => {
            Reply::no("There are too many annotations").with(Code::MetadataTooMany)
        }
        OpError::Empty => Reply::no("An empty message takes the APPEND back"),
        OpError::OverQuota => {
            Reply::no("There is no room for it at the provider").with(Code::OverQuota)
        }
        OpError::TooMany(what) => Reply::no(what).with(Code::Limit),
        OpError::BadUrl(url) => {
            Reply::no("The URL names no message here").with(Code::BadUrl(url.clone()))
        }
        OpError::NoSuchMessage => Reply::no("There is no such message").with(Code::NonExistent),
        OpError::TooManyFlags => {
            Reply::no("A message cannot carry so many flags").with(Code::Limit)
        }
        OpError::Busy => Reply::no("The mailbox is busy, try again").with(Code::Unavailable),
        OpError::NotHere | OpError::StillToCome => {
            Reply::no("A part of the message is not on this device yet").with(Code::Unavailable)
        }
        OpError::UnknownEncoding => {
            Reply::no("The part has a transfer encoding that is not known").with(Code::UnknownCte)
        }
        OpError::Full => Reply::no("The disk is full").with(Code::Unavailable),
        OpError::Interrupted | OpError::Replica(_) => {
            Reply::no("Something failed inside the server").with(Code::ServerBug)
        }
    }
}

/// Appends text.
/// STORAGE is counted in units of 1024 octets (RFC 9208 5.1): used ones are rounded up, so that a
/// little is not nothing.
fn write_quota(out: &mut Vec<u8>, room: Option<Room>) {
    let Some(room) = room else {
        return put(out, "* QUOTA \"\" ()");
    };
    let used = room.used_octets.div_ceil(1024);
    let limit = room.quota_octets / 1024;
    put(out, format_args!("* QUOTA \"\" (STORAGE {used} {limit})"));
}

fn put(out: &mut Vec<u8>, text: impl Display) {
    use std::io::Write as _;
    // Writing to memory does not fail.
    let _infallible = write!(out, "{text}");
}

/// `resp-cond-state = ("OK" / "NO" / "BAD") SP resp-text`
fn write_reply(out: &mut Vec<u8>, reply: &Reply) {
    put(
        out,
        match reply.condition {
            Condition::Ok => "OK ",
            Condition::No => "NO ",
            Condition::Bad => "BAD ",
            Condition::Bye => "BYE ",
        },
    );
    if let Some(code) = &reply.code {
        put(out, "[");
        write_code(out, code);
        put(out, "] ");
    }
    // Texts may come from elsewhere (how to unlock an account); none may end the line.
    out.extend(reply.text.bytes().map(|octet| {
        if octet.is_ascii_control() {
            b' '
        } else {
            octet
        }
    }));
}

fn write_code(out: &mut Vec<u8>, code: &Code) {
    match code {
        Code::AlreadyExists => put(out, "ALREADYEXISTS"),
        Code::AuthenticationFailed => put(out, "AUTHENTICATIONFAILED"),
        Code::BadCharset => put(out, "BADCHARSET (US-ASCII UTF-8)"),
        Code::Cannot => put(out, "CANNOT"),
        Code::Capability(names) => put(out, format_args!("CAPABILITY {names}")),
        Code::Closed => put(out, "CLOSED"),
        Code::ExpungeIssued => put(out, "EXPUNGEISSUED"),
        Code::HighestModSeq(mod_seq) => put(out, format_args!("HIGHESTMODSEQ {mod_seq}")),
        Code::ClientBug => put(out, "CLIENTBUG"),
        Code::InProgress(advance) => write_advance(out, advance.as_ref()),
        Code::Limit => put(out, "LIMIT"),
        Code::OverQuota => put(out, "OVERQUOTA"),
        Code::MailboxId(id) => put(out, format_args!("MAILBOXID ({})", mailbox_id(*id))),
        Code::Modified(numbers) => {
            let numbers = write_set(numbers.iter().copied());
            put(out, format_args!("MODIFIED {numbers}"));
        }
        Code::MetadataLongEntries(size) => put(out, format_args!("METADATA LONGENTRIES {size}")),
        Code::MetadataMaxSize(octets) => put(out, format_args!("METADATA MAXSIZE {octets}")),
        Code::MetadataTooMany => put(out, "METADATA TOOMANY"),
        Code::NonExistent => put(out, "NONEXISTENT"),
        Code::NoUpdate(tag) => {
            put(out, "NOUPDATE ");
            write_quoted(out, tag.as_str().as_bytes());
        }
        Code::PermanentFlags(keywords) => {
            put(out, format_args!("PERMANENTFLAGS ({SYSTEM_FLAGS}"));
            write_keywords(out, keywords);
            put(out, " \\*)");
        }
        Code::NoPermanentFlags => put(out, "PERMANENTFLAGS ()"),
        Code::BadEvent => put(
            out,
            "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
             MailboxMetadataChange ServerMetadataChange)",
        ),
        Code::NotificationOverflow => put(out, "NOTIFICATIONOVERFLOW"),
        Code::CompressionActive => put(out, "COMPRESSIONACTIVE"),
        Code::PrivacyRequired => put(out, "PRIVACYREQUIRED"),
        Code::ReadOnly => put(out, "READ-ONLY"),
        Code::ReadWrite => put(out, "READ-WRITE"),
        Code::ServerBug => put(out, "SERVERBUG"),
        Code::TooBig => put(out, "TOOBIG"),
        Code::TryCreate => put(out, "TRYCREATE"),
        Code::UidNext(uid) => put(out, format_args!("UIDNEXT {uid}")),
        Code::UidValidity(validity) => put(out, format_args!("UIDVALIDITY {validity}")),
        Code::Unavailable => put(out, "UNAVAILABLE"),
        Code::UseAttr => put(out, "USEATTR"),
        Code::MessageLimit(limit, lowest) => write_limit(out, *limit, *lowest),
        Code::UidRequired => put(out, "UIDREQUIRED"),
        Code::TooFew => put(out, "TOOFEW"),
        Code::UnknownCte => put(out, "UNKNOWN-CTE"),
        Code::Unseen(number) => put(out, format_args!("UNSEEN {number}")),
        Code::AppendUid(validity, uids) => {
            let uids = write_set(uids.iter().map(|uid| uid.get()));
            put(out, format_args!("APPENDUID {validity} {uids}"));
        }
        Code::BadUrl(url) => {
            put(out, "BADURL ");
            // `url-resp-text` (RFC 4469 5): what could end the code or the line is left out.
            let fits = |octet: &u8| !octet.is_ascii_control() && *octet != b']';
            out.extend(url.iter().copied().filter(fits));
        }
        Code::CopyUid(validity, pairs) => {
            let from = write_set(pairs.iter().map(|(from, _)| from.get()));
            let to = write_set(pairs.iter().map(|(_, to)| to.get()));
            put(out, format_args!("COPYUID {validity} {from} {to}"));
        }
    }
}

/// `"FLAGS" SP flag-list`
fn write_flags(out: &mut Vec<u8>, keywords: &BTreeSet<Flag>) {
    put(out, format_args!("* FLAGS ({SYSTEM_FLAGS}"));
    write_keywords(out, keywords);
    put(out, ")");
}

fn write_keywords(out: &mut Vec<u8>, keywords: &BTreeSet<Flag>) {
    let keywords = keywords
        .iter()
        .filter(|flag| matches!(flag, Flag::Keyword(_)));
    keywords.for_each(|keyword| put(out, format_args!(" {}", keyword.as_str())));
}

/// `uidbatches-response = "UIDBATCHES" search-correlator [SP uid-range *("," uid-range)]`
fn write_batches(out: &mut Vec<u8>, tag: &Tag, batches: &[(u32, u32)]) {
    put(out, "* UIDBATCHES (TAG ");
    write_quoted(out, tag.as_str().as_bytes());
    put(out, ")");
    for (index, (high, low)) in batches.iter().enumerate() {
        let before = if index == 0 { ' ' } else { ',' };
        // Always both ends, also of a single UID.
        put(out, format_args!("{before}{high}:{low}"));
    }
}

/// `"INPROGRESS" [SP "(" (quoted / nil) SP (nil SP nil / number SP (nil / nz-number)) ")"]`
/// (RFC 9585 6)
fn write_advance(out: &mut Vec<u8>, advance: Option<&Advance>) {
    put(out, "INPROGRESS");
    let Some(Advance { tag, done }) = advance else {
        return;
    };
    put(out, " (");
    write_quoted(out, tag.as_str().as_bytes());
    match done {
        Some((done, Some(goal))) => put(out, format_args!(" {done} {goal})")),
        Some((done, None)) => put(out, format_args!(" {done} NIL)")),
        None => put(out, " NIL NIL)"),
    }
}

/// `("SEARCH" / "SORT") *(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"]` (RFC 7162 7)
fn write_numbers(out: &mut Vec<u8>, kind: &str, numbers: &[u32], mod_seq: Option<ModSeq>) {
    put(out, format_args!("* {kind}"));
    for number in numbers {
        put(out, format_args!(" {number}"));
    }
    if let Some(mod_seq) = mod_seq {
        put(out, format_args!(" (MODSEQ {mod_seq})"));
    }
}

/// `mailbox-list = "(" [mbx-list-flags] ")" SP DQUOTE QUOTED-CHAR DQUOTE SP mailbox
/// [SP mbox-list-extended]` (RFC 5258 6)
fn write_list_item(out: &mut Vec<u8>, kind: &str, item: &ListItem, names: Names) {
    let attributes: Vec<&str> = item
        .attributes
        .iter()
        .map(|attribute| name_of(*attribute))
        .collect();
    put(
        out,
        format_args!("* {kind} ({}) \"/\" ", attributes.join(" ")),
    );
    write_mailbox(out, &item.name, names);
    if item.child_info.is_empty() && item.old_name.is_none() {
        return;
    }
    put(out, " (");
    if !item.child_info.is_empty() {
        put(out, "\"CHILDINFO\" (");
        for (index, option) in item.child_info.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            put(out, format_args!("{space}\"{option}\""));
        }
        put(out, ")");
    }
    if let Some(name) = &item.old_name {
        put(out, "\"OLDNAME\" (");
        write_mailbox(out, name.as_str(), names);
        put(out, ")");
    }
    put(out, ")");
}

/// `"MESSAGELIMIT" SP message-limit [SP uniqueid]`
fn write_limit(out: &mut Vec<u8>, limit: u32, lowest: Option<Uid>) {
    put(out, format_args!("MESSAGELIMIT {limit}"));
    if let Some(lowest) = lowest {
        put(out, format_args!(" {lowest}"));
    }
}

fn name_of(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::NoSelect => "\\Noselect",
        Attribute::NonExistent => "\\NonExistent",
        Attribute::HasChildren => "\\HasChildren",
        Attribute::HasNoChildren => "\\HasNoChildren",
        Attribute::Subscribed => "\\Subscribed",
        Attribute::NoInferiors => "\\Noinferiors",
        Attribute::Role(role) => role.attribute(),
        Attribute::Virtual(which) => which.attribute(),
    }
}

/// `"STATUS" SP mailbox SP "(" [status-att-list] ")"`
fn write_status(out: &mut Vec<u8>, status: &StatusData, names: Names) {
    put(out, "* STATUS ");
    write_mailbox(out, status.name.as_str(), names);
    for (index, (name, value)) in status.values.iter().enumerate() {
        let open = if index == 0 { " (" } else { " " };
        put(out, format_args!("{open}{name} "));
        match value {
            StatusValue::Number(number) => put(out, number),
            StatusValue::MailboxId(id) => put(out, format_args!("({})", mailbox_id(*id))),
        }
    }
    put(out, ")");
}

/// `nstring = string / nil`
fn write_nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => write_string(out, octets),
        None => put(out, "NIL"),
    }
}
