//! From responses to octets (RFC 3501 7, 9 `response`), and the one place where an error of the
//! store becomes words for a client.
//!
//! Invariant: what is written is one well-formed response; text from mail or from errors cannot
//! end a line. Strings are quoted when they can be and literals otherwise; octets above 127 are
//! always in a literal, because IMAP4rev1 knows them nowhere else.
//! Rejected: `format!` into one string per response; bodies would be copied twice.

mod body_structure;
mod envelope;
mod strings;

use std::collections::BTreeSet;
use std::fmt::Display;

use letterlock_core::model::Flag;

use super::command::{SectionLabel, SectionRequest, SectionText};
use super::date::write_date_time;
use super::ops::OpError;
use super::response::{
    Attribute, Code, Condition, FetchData, FetchValue, ListItem, Recency, Reply, Response,
    StatusData,
};
use super::set::write_set;
use super::utf7;
use strings::{write_astring, write_literal, write_string};

/// The system flags, in the order of RFC 3501 2.3.2; `\Recent` is not settable.
const SYSTEM_FLAGS: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// What a user may do with a mailbox of his own: all but giving rights to others, which nobody can
/// (RFC 4314 2.1; `c` and `d` are the older names of `k`, `x`, `t` and `e`).
const RIGHTS: &str = "lrswipkxtecd";

/// Writes one response with its line end. What comes back are the places in `out`, ascending, at
/// which the octets of each [`FetchValue::Stream`] belong.
#[must_use = "octets that are streamed must be put where they belong"]
pub fn encode(response: &Response, out: &mut Vec<u8>) -> Vec<usize> {
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
        Response::List(item) => write_list_item(out, "LIST", item),
        Response::Lsub(item) => write_list_item(out, "LSUB", item),
        Response::MyRights(name) => {
            put(out, "* MYRIGHTS ");
            write_astring(out, utf7::encode(name.as_str()).as_bytes());
            put(out, format_args!(" {RIGHTS}"));
        }
        Response::Quota => put(out, "* QUOTA \"\" ()"),
        Response::QuotaRoot(name) => {
            put(out, "* QUOTAROOT ");
            write_astring(out, utf7::encode(name.as_str()).as_bytes());
            put(out, " \"\"");
        }
        Response::Status(status) => write_status(out, status),
        Response::Flags(keywords) => {
            put(out, format_args!("* FLAGS ({SYSTEM_FLAGS}"));
            write_keywords(out, keywords);
            put(out, ")");
        }
        Response::Exists(count) => put(out, format_args!("* {count} EXISTS")),
        Response::Recent(count) => put(out, format_args!("* {count} RECENT")),
        Response::Expunge(number) => put(out, format_args!("* {number} EXPUNGE")),
        Response::Search(numbers) => {
            put(out, "* SEARCH");
            for number in numbers {
                put(out, format_args!(" {number}"));
            }
        }
        Response::Fetch(data) => write_fetch(out, data, &mut streams),
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
        OpError::Empty => Reply::no("An empty message takes the APPEND back"),
        OpError::TooMany(what) => Reply::no(what).with(Code::Limit),
        OpError::BadUrl(url) => {
            Reply::no("The URL names no message here").with(Code::BadUrl(url.clone()))
        }
        OpError::NoSuchMessage => Reply::no("There is no such message").with(Code::NonExistent),
        OpError::TooManyFlags => {
            Reply::no("A message cannot carry so many flags").with(Code::Limit)
        }
        OpError::Busy => Reply::no("The mailbox is busy, try again").with(Code::Unavailable),
        OpError::NotHere => {
            Reply::no("A part of the message is not on this device yet").with(Code::Unavailable)
        }
        OpError::Full => Reply::no("The disk is full").with(Code::Unavailable),
        OpError::Replica(_) => {
            Reply::no("Something failed inside the server").with(Code::ServerBug)
        }
    }
}

/// Appends text.
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
        Code::ExpungeIssued => put(out, "EXPUNGEISSUED"),
        Code::Limit => put(out, "LIMIT"),
        Code::NonExistent => put(out, "NONEXISTENT"),
        Code::PermanentFlags(keywords) => {
            put(out, format_args!("PERMANENTFLAGS ({SYSTEM_FLAGS}"));
            write_keywords(out, keywords);
            put(out, " \\*)");
        }
        Code::NoPermanentFlags => put(out, "PERMANENTFLAGS ()"),
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

fn write_keywords(out: &mut Vec<u8>, keywords: &BTreeSet<Flag>) {
    let keywords = keywords
        .iter()
        .filter(|flag| matches!(flag, Flag::Keyword(_)));
    keywords.for_each(|keyword| put(out, format_args!(" {}", keyword.as_str())));
}

/// `mailbox-list = "(" [mbx-list-flags] ")" SP DQUOTE QUOTED-CHAR DQUOTE SP mailbox
/// [SP mbox-list-extended]` (RFC 5258 6)
fn write_list_item(out: &mut Vec<u8>, kind: &str, item: &ListItem) {
    let attributes: Vec<&str> = item
        .attributes
        .iter()
        .map(|attribute| name_of(*attribute))
        .collect();
    put(
        out,
        format_args!("* {kind} ({}) \"/\" ", attributes.join(" ")),
    );
    write_astring(out, utf7::encode(&item.name).as_bytes());
    if !item.child_info.is_empty() {
        put(out, " (\"CHILDINFO\" (");
        for (index, option) in item.child_info.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            put(out, format_args!("{space}\"{option}\""));
        }
        put(out, "))");
    }
}

fn name_of(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::NoSelect => "\\Noselect",
        Attribute::NonExistent => "\\NonExistent",
        Attribute::HasChildren => "\\HasChildren",
        Attribute::HasNoChildren => "\\HasNoChildren",
        Attribute::Subscribed => "\\Subscribed",
        Attribute::Role(role) => role.attribute(),
    }
}

/// `"STATUS" SP mailbox SP "(" [status-att-list] ")"`
fn write_status(out: &mut Vec<u8>, status: &StatusData) {
    put(out, "* STATUS ");
    write_astring(out, utf7::encode(status.name.as_str()).as_bytes());
    for (index, (name, value)) in status.values.iter().enumerate() {
        let open = if index == 0 { " (" } else { " " };
        put(out, format_args!("{open}{name} {value}"));
    }
    put(out, ")");
}

/// `message-data = nz-number SP "FETCH" SP msg-att`
fn write_fetch(out: &mut Vec<u8>, data: &FetchData, streams: &mut Vec<usize>) {
    put(out, format_args!("* {} FETCH (", data.number));
    for (index, value) in data.values.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        match value {
            FetchValue::Uid(uid) => put(out, format_args!("UID {uid}")),
            FetchValue::Flags(flags, recency) => {
                let mut names: Vec<&str> = flags.iter().map(Flag::as_str).collect();
                if *recency == Recency::Recent {
                    names.push("\\Recent");
                }
                put(out, format_args!("FLAGS ({})", names.join(" ")));
            }
            FetchValue::InternalDate(instant) => {
                put(
                    out,
                    format_args!("INTERNALDATE \"{}\"", write_date_time(*instant)),
                );
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
            FetchValue::Section(request, octets) => {
                write_section_name(out, request);
                out.push(b' ');
                match octets {
                    None => put(out, "NIL"),
                    Some(octets) if octets.0.is_empty() => put(out, "\"\""),
                    // Bodies are always literals: they have line ends, and programs expect it.
                    Some(octets) => write_literal(out, &octets.0),
                }
            }
            FetchValue::Stream(request, _, span) => {
                write_section_name(out, request);
                let octets = span.end.saturating_sub(span.start);
                put(out, format_args!(" {{{octets}}}\r\n"));
                streams.push(out.len());
            }
        }
    }
    out.push(b')');
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

/// `nstring = string / nil`
fn write_nstring(out: &mut Vec<u8>, octets: Option<&[u8]>) {
    match octets {
        Some(octets) => write_string(out, octets),
        None => put(out, "NIL"),
    }
}
