//! What a client wants to be told of without asking (RFC 5465).
//!
//! Invariant: a [`NotifySet`] that exists obeys the RFC's rules of which events go together.

use std::sync::Arc;

use letterlock_core::id::{HIERARCHY_SEPARATOR, MailboxName};

use super::command::{FetchItem, MailboxArgument};

/// Most event groups in one NOTIFY.
pub const MAX_GROUPS: usize = 100;
/// Most mailbox names in one NOTIFY.
pub const MAX_NAMES: usize = 1000;

/// The arguments of NOTIFY (RFC 5465 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyCommand {
    /// `NONE`
    None,
    /// `SET`
    Set {
        /// Whether a STATUS of each mailbox is wanted first.
        first: StatusFirst,
        /// What is wanted.
        events: NotifySet,
    },
    /// `SET` with an event that is not supported; it is refused with the names of those that are.
    Unsupported,
}

/// `status-indicator`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFirst {
    /// `STATUS`
    Yes,
    /// The client knows.
    No,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifySet {
    /// Of the selected mailbox; nothing if the client names neither specifier.
    pub selected: SelectedEvents,
    /// Of others.
    pub groups: Vec<EventGroup>,
}

/// What is to be told of the selected mailbox (RFC 5465 6.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelectedEvents {
    /// `MessageNew` with `MessageExpunge`, and when; none: neither.
    pub messages: Option<When>,
    /// What is fetched of each new message.
    pub fetch: Arc<[FetchItem]>,
    /// `FlagChange`
    pub flags: bool,
}

/// When an EXPUNGE is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// `SELECTED`: at once.
    Now,
    /// `SELECTED-DELAYED`: when a command lets it.
    Delayed,
}

/// What is to be told of some mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Which.
    pub filter: Filter,
    /// What.
    pub events: Events,
}

/// Which mailboxes (RFC 5465 6.2 to 6.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Those into which mail is delivered.
    Inboxes,
    /// All.
    Personal,
    /// Those that are subscribed to, at any time.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<MailboxArgument>),
    /// These.
    Mailboxes(Vec<MailboxArgument>),
}

impl Filter {
    /// Whether a mailbox is meant.
    pub fn matches(&self, name: &MailboxName, subscribed: bool) -> bool {
        let is = |argument: &MailboxArgument| *argument == MailboxArgument::Name(name.clone());
        match self {
            Self::Inboxes => name.is_inbox(),
            Self::Personal => true,
            Self::Subscribed => subscribed,
            Self::Mailboxes(names) => names.iter().any(is),
            Self::Subtree(names) => names.iter().any(|argument| match argument {
                MailboxArgument::Name(top) => {
                    let rest = name.as_str().strip_prefix(top.as_str());
                    rest.is_some_and(|rest| {
                        rest.is_empty() || rest.starts_with(HIERARCHY_SEPARATOR)
                    })
                }
                MailboxArgument::Impossible => false,
            }),
        }
    }
}

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "events that the RFC lets come in any mixture"
)]
pub struct Events {
    /// `MessageNew` with `MessageExpunge`.
    pub messages: bool,
    /// `FlagChange`.
    pub flags: bool,
    /// `MailboxName`.
    pub names: bool,
    /// `SubscriptionChange`.
    pub subscriptions: bool,
    /// `MailboxMetadataChange`.
    pub metadata: bool,
    /// `ServerMetadataChange`, whatever the mailboxes of its group.
    pub server_metadata: bool,
}

impl Events {
    /// What any of the groups that mean this mailbox wants.
    pub fn of(groups: &[EventGroup], name: &MailboxName, subscribed: bool) -> Self {
        let meant = groups
            .iter()
            .filter(|group| group.filter.matches(name, subscribed));
        meant.fold(Self::default(), |all, group| Self {
            messages: all.messages | group.events.messages,
            flags: all.flags | group.events.flags,
            names: all.names | group.events.names,
            subscriptions: all.subscriptions | group.events.subscriptions,
            metadata: all.metadata | group.events.metadata,
            server_metadata: all.server_metadata | group.events.server_metadata,
        })
    }

    /// Whether any of it is about more than messages.
    pub fn is_about_mailboxes(self) -> bool {
        self.names || self.subscriptions || self.metadata || self.server_metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_mean_what_they_say() {
        let name = |text: &str| MailboxName::new(text).unwrap();
        let argument = |text| MailboxArgument::Name(name(text));
        let subtree = Filter::Subtree(vec![argument("Lists"), MailboxArgument::Impossible]);
        for (filter, mailbox, subscribed, expected) in [
            (&Filter::Inboxes, "INBOX", false, true),
            (&Filter::Inboxes, "INBOX/x", true, false),
            (&Filter::Personal, "x", false, true),
            (&Filter::Subscribed, "x", true, true),
            (&Filter::Subscribed, "x", false, false),
            (&subtree, "Lists", false, true),
            (&subtree, "Lists/a/b", false, true),
            (&subtree, "Listsa", false, false),
            (
                &Filter::Mailboxes(vec![argument("misc")]),
                "misc",
                false,
                true,
            ),
            (
                &Filter::Mailboxes(vec![argument("misc")]),
                "misc/x",
                false,
                false,
            ),
        ] {
            assert_eq!(
                filter.matches(&name(mailbox), subscribed),
                expected,
                "{mailbox}"
            );
        }
    }
}
