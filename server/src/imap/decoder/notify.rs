//! The grammar of NOTIFY (RFC 5465 8).

use super::Syntax;
use super::cursor::Cursor;
use super::fetch;
use crate::imap::command::{FetchItem, MailboxArgument};
use crate::imap::notify::{
    EventGroup, Events, Filter, MAX_GROUPS, MAX_NAMES, NotifyCommand, NotifySet, SelectedEvents,
    StatusFirst, When,
};

type Parsed<T> = Result<T, Syntax>;

/// `notify = "NOTIFY" SP (notify-set / notify-none)`, behind the name
pub(super) fn notify(cursor: &mut Cursor<'_>) -> Parsed<NotifyCommand> {
    cursor.space()?;
    match cursor.word()?.as_str() {
        "NONE" => return Ok(NotifyCommand::None),
        "SET" => {}
        _ => return Err(Syntax::Bad("NOTIFY is followed by SET or NONE")),
    }
    cursor.space()?;
    let mut first = StatusFirst::No;
    if cursor.peek() != Some(b'(') {
        if cursor.word()? != "STATUS" {
            return Err(Syntax::Bad("STATUS or event groups are needed"));
        }
        first = StatusFirst::Yes;
        cursor.space()?;
    }
    let mut groups = Vec::new();
    let mut supported = true;
    loop {
        let group = group(cursor)?;
        supported &= group.list.supported;
        groups.push(group);
        if groups.len() > MAX_GROUPS {
            return Err(Syntax::Bad("too many event groups"));
        }
        if cursor.at_end() {
            break;
        }
        cursor.space()?;
    }
    let events = set(groups)?;
    if !supported {
        return Ok(NotifyCommand::Unsupported);
    }
    Ok(NotifyCommand::Set { first, events })
}

/// `filter-mailboxes`
enum Which {
    Selected(When),
    Others(Filter),
}

struct Group {
    which: Which,
    list: EventList,
}

/// `events`
#[derive(Default)]
struct EventList {
    new: bool,
    expunge: bool,
    events: Events,
    fetch: Vec<FetchItem>,
    supported: bool,
}

/// `event-group = "(" filter-mailboxes SP events ")"`
fn group(cursor: &mut Cursor<'_>) -> Parsed<Group> {
    cursor.expect(b'(', "an event group is needed")?;
    let which = match cursor.word()?.as_str() {
        "SELECTED" => Which::Selected(When::Now),
        "SELECTED-DELAYED" => Which::Selected(When::Delayed),
        "INBOXES" => Which::Others(Filter::Inboxes),
        "PERSONAL" => Which::Others(Filter::Personal),
        "SUBSCRIBED" => Which::Others(Filter::Subscribed),
        "SUBTREE" => Which::Others(Filter::Subtree(mailboxes(cursor)?)),
        "MAILBOXES" => Which::Others(Filter::Mailboxes(mailboxes(cursor)?)),
        _ => return Err(Syntax::Bad("mailbox filter is not known")),
    };
    cursor.space()?;
    let list = events(cursor)?;
    cursor.expect(b')', "the event group does not end")?;
    Ok(Group { which, list })
}

/// `SP one-or-more-mailbox`
fn mailboxes(cursor: &mut Cursor<'_>) -> Parsed<Vec<MailboxArgument>> {
    cursor.space()?;
    let names = if cursor.peek() == Some(b'(') {
        cursor.list(Cursor::mailbox)?
    } else {
        vec![cursor.mailbox()?]
    };
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(Syntax::Bad("1 to 1000 mailboxes are needed"));
    }
    Ok(names)
}

/// `events = ( "(" event *(SP event) ")" ) / "NONE"`
fn events(cursor: &mut Cursor<'_>) -> Parsed<EventList> {
    let mut list = EventList {
        supported: true,
        ..EventList::default()
    };
    if !cursor.eat(b'(') {
        return match cursor.word()?.as_str() {
            "NONE" => Ok(list),
            _ => Err(Syntax::Bad("events or NONE are needed")),
        };
    }
    loop {
        let event = cursor.word()?;
        if event == "MESSAGENEW" {
            list.new = true;
            if cursor.at_list() {
                cursor.space()?;
                list.fetch = fetch::attributes(cursor)?;
            }
        } else {
            match event.as_str() {
                "MESSAGEEXPUNGE" => list.expunge = true,
                "FLAGCHANGE" => list.events.flags = true,
                "MAILBOXNAME" => list.events.names = true,
                "SUBSCRIPTIONCHANGE" => list.events.subscriptions = true,
                "MAILBOXMETADATACHANGE" => list.events.metadata = true,
                "SERVERMETADATACHANGE" => list.events.server_metadata = true,
                // Annotations of messages are not kept here.
                _ => list.supported = false,
            }
        }
        if cursor.eat(b')') {
            break;
        }
        cursor.space()?;
    }
    if list.new != list.expunge || (list.events.flags && !list.new) {
        return Err(Syntax::Bad(
            "MessageNew, MessageExpunge come together, FlagChange with both",
        ));
    }
    list.events.messages = list.new;
    Ok(list)
}

fn set(groups: Vec<Group>) -> Parsed<NotifySet> {
    let mut selected = None;
    let mut others = Vec::new();
    for Group { which, list } in groups {
        match which {
            Which::Selected(_) if list.events.is_about_mailboxes() => {
                return Err(Syntax::Bad(
                    "of the selected mailbox only messages are told",
                ));
            }
            Which::Selected(_) if selected.is_some() => {
                return Err(Syntax::Bad("the selected mailbox is named once"));
            }
            Which::Selected(when) => {
                selected = Some(SelectedEvents {
                    messages: list.new.then_some(when),
                    fetch: list.fetch.into(),
                    flags: list.events.flags,
                });
            }
            Which::Others(_) if !list.fetch.is_empty() => {
                return Err(Syntax::Bad(
                    "only of the selected mailbox messages are fetched",
                ));
            }
            Which::Others(filter) => others.push(EventGroup {
                filter,
                events: list.events,
            }),
        }
    }
    Ok(NotifySet {
        selected: selected.unwrap_or_default(),
        groups: others,
    })
}
