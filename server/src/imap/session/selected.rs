//! The selected state (RFC 3501 6.4): commands about messages, and what ends every command.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use letterlock_core::id::{MailboxId, Uid};
use letterlock_core::model::{Flag, FlagSet};

use super::{Running, Session, State};
use crate::imap::command::{
    Access, Command, FetchItem, MailboxArgument, Numbering, SearchCommand, StoreCommand, Tag,
};
use crate::imap::ops::{CopyOp, FetchOp, Op, StoreOp};
use crate::imap::response::{FetchData, FetchValue, Recency, Reply, Response};
use crate::imap::set::MessageSet;
use crate::imap::view::{Notice, Release, Slot, View};

/// Messages that one step of FETCH asks the store for; after each step the client can be waited
/// for, so that a slow reader makes nothing pile up.
const FETCH_STEP: usize = 100;

/// What is known of the selected mailbox.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) mailbox: MailboxId,
    pub(super) access: Access,
    pub(super) view: View,
    /// Keywords that a FLAGS response has named.
    pub(super) keywords: BTreeSet<Flag>,
}

/// A FETCH under way.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) queue: VecDeque<Slot>,
    pub(super) items: Arc<[FetchItem]>,
    pub(super) by: Numbering,
    /// Some messages were expunged by somebody else.
    pub(super) gone: bool,
    /// The words for the first message that could not be read.
    pub(super) failed: Option<Reply>,
}

/// Which notices may end a command: EXPUNGE must not come in answer to FETCH, STORE and SEARCH,
/// but may in answer to their UID forms, which are other commands (RFC 3501 7.4.1).
pub(super) fn release_after(by: Numbering) -> Release {
    match by {
        Numbering::Sequence => Release::HoldExpunges,
        Numbering::Uid => Release::All,
    }
}

fn numbering_of(messages: &MessageSet) -> Numbering {
    match messages {
        MessageSet::Sequence(_) => Numbering::Sequence,
        MessageSet::Uid(_) => Numbering::Uid,
    }
}

impl Session {
    /// Commands about messages.
    pub(super) fn start_on_messages(&mut self, tag: Tag, command: Command) {
        let State::Selected(selected) = &self.state else {
            return;
        };
        let (mailbox, access) = (selected.mailbox, selected.access);
        match command {
            Command::Unselect => {
                self.state = State::Authenticated;
                self.tagged(tag, Reply::ok("UNSELECT done"));
            }
            Command::Close if access == Access::ReadOnly => {
                self.state = State::Authenticated;
                self.tagged(tag, Reply::ok("CLOSE done"));
            }
            Command::Close => self.run(Op::Expunge(mailbox, None), Running::Close(tag)),
            Command::Search(command) => self.search(tag, command),
            Command::Fetch { messages, items } => self.fetch(tag, &messages, items),
            Command::Copy { messages, to } => self.copy(tag, &messages, to),
            _ if access == Access::ReadOnly => {
                let reply = Reply::no("The mailbox is open for reading alone");
                self.finish(tag, reply, Release::HoldExpunges);
            }
            Command::Store(command) => self.store(tag, command),
            Command::Move { messages, to } => self.move_messages(tag, &messages, to),
            Command::Expunge(set) => {
                let uids = set.and_then(|set| self.uids(&MessageSet::Uid(set)));
                self.run(
                    Op::Expunge(mailbox, uids),
                    Running::Simple(tag, "EXPUNGE done"),
                );
            }
            _ => self.bad(Some(tag), Reply::bad("command is not known")),
        }
    }

    fn uids(&self, messages: &MessageSet) -> Option<BTreeSet<Uid>> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        let slots = selected.view.resolve(messages).ok()?;
        Some(slots.iter().map(|slot| slot.uid).collect())
    }

    /// The mailbox and the messages that a command names, or `None` after a refusal.
    fn resolve(
        &mut self,
        tag: &Tag,
        messages: &MessageSet,
    ) -> Option<(MailboxId, Access, Vec<Slot>)> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        if let Ok(slots) = selected.view.resolve(messages) {
            return Some((selected.mailbox, selected.access, slots));
        }
        self.bad(
            Some(tag.clone()),
            Reply::bad("A sequence number is not in use"),
        );
        None
    }

    fn fetch(&mut self, tag: Tag, messages: &MessageSet, items: Vec<FetchItem>) {
        let Some((_, _, slots)) = self.resolve(&tag, messages) else {
            return;
        };
        let by = numbering_of(messages);
        let fetching = Fetching {
            queue: slots.into(),
            items: items.into(),
            by,
            gone: false,
            failed: None,
        };
        self.fetch_step(tag, fetching);
    }

    /// Asks for the next messages, or ends the command.
    pub(super) fn fetch_step(&mut self, tag: Tag, fetching: Fetching) {
        let State::Selected(selected) = &self.state else {
            return;
        };
        if fetching.queue.is_empty() {
            let reply = match (fetching.failed, fetching.gone) {
                (Some(failed), _) => failed,
                (None, true) => gone(fetching.by),
                (None, false) => Reply::ok("FETCH done"),
            };
            return self.finish(tag, reply, release_after(fetching.by));
        }
        let op = FetchOp {
            mailbox: selected.mailbox,
            slots: fetching.queue.iter().take(FETCH_STEP).copied().collect(),
            items: Arc::clone(&fetching.items),
            access: selected.access,
        };
        self.run(Op::Fetch(op), Running::Fetch(tag, fetching));
    }

    fn search(&mut self, tag: Tag, command: SearchCommand) {
        let State::Selected(selected) = &self.state else {
            return;
        };
        let op = Op::Search {
            mailbox: selected.mailbox,
            slots: selected.view.slots().collect(),
            keys: command.keys,
        };
        self.run(op, Running::Search(tag, command.by));
    }

    fn store(&mut self, tag: Tag, command: StoreCommand) {
        let by = numbering_of(&command.messages);
        let Some((mailbox, _, slots)) = self.resolve(&tag, &command.messages) else {
            return;
        };
        let StoreCommand {
            change,
            echo,
            flags,
            ..
        } = command;
        self.run(
            Op::Store(StoreOp {
                mailbox,
                slots,
                change,
                echo,
                flags,
            }),
            Running::Store(tag, by),
        );
    }

    fn copy(&mut self, tag: Tag, messages: &MessageSet, to: MailboxArgument) {
        if let Some(op) = self.copy_op(&tag, messages, to) {
            self.run(Op::Copy(op), Running::Copy(tag));
        }
    }

    fn move_messages(&mut self, tag: Tag, messages: &MessageSet, to: MailboxArgument) {
        if let Some(op) = self.copy_op(&tag, messages, to) {
            self.run(Op::Move(op), Running::Move(tag));
        }
    }

    fn copy_op(&mut self, tag: &Tag, messages: &MessageSet, to: MailboxArgument) -> Option<CopyOp> {
        let (mailbox, _, slots) = self.resolve(tag, messages)?;
        let to = self.possible(tag, to)?;
        Some(CopyOp { mailbox, slots, to })
    }

    /// Ends a command: what others did is told first, then the tagged response.
    pub(super) fn finish(&mut self, tag: Tag, reply: Reply, release: Release) {
        match self.refresh_op() {
            Some(op) => self.run(op, Running::Finish(tag, reply, release)),
            None => self.tagged(tag, reply),
        }
    }

    /// Asks for news without ending anything.
    pub(super) fn refresh(&mut self) {
        if let Some(op) = self.refresh_op() {
            self.actions.push_back(super::Action::Run(op));
        }
    }

    fn refresh_op(&self) -> Option<Op> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        Some(Op::Refresh {
            mailbox: selected.mailbox,
            since: selected.view.mod_seq(),
            access: selected.access,
        })
    }

    pub(super) fn tell(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Expunge(number) => self.send(Response::Expunge(number)),
                Notice::Exists { messages, recent } => {
                    self.send(Response::Exists(messages));
                    self.send(Response::Recent(recent));
                }
                Notice::Flags(slot, flags) => self.tell_flags(slot, flags, Numbering::Uid),
            }
        }
    }

    /// `* n FETCH (FLAGS ..)`, with the UID where it is wanted or harmless.
    pub(super) fn tell_flags(&mut self, slot: Slot, flags: FlagSet, by: Numbering) {
        self.tell_keywords(&flags);
        let mut values = Vec::new();
        if by == Numbering::Uid {
            values.push(FetchValue::Uid(slot.uid));
        }
        values.push(FetchValue::Flags(flags, Recency::of(slot.recent)));
        self.send(Response::Fetch(FetchData {
            number: slot.number,
            values,
        }));
    }

    /// A keyword that no FLAGS response has named is named before it is used (RFC 3501 7.2.6).
    pub(super) fn tell_keywords(&mut self, flags: &FlagSet) {
        let State::Selected(selected) = &mut self.state else {
            return;
        };
        let keywords = flags.iter().filter(|flag| matches!(flag, Flag::Keyword(_)));
        let before = selected.keywords.len();
        selected.keywords.extend(keywords.cloned());
        if selected.keywords.len() > before {
            let response = Response::Flags(selected.keywords.clone());
            self.send(response);
        }
    }
}

/// The end of a command that named messages which somebody else has expunged (RFC 5530,
/// RFC 2180 4.1.2). For UIDs that is no failure (RFC 3501 6.4.8).
pub(super) fn gone(by: Numbering) -> Reply {
    let reply = match by {
        Numbering::Sequence => Reply::no("Some of the messages are gone"),
        Numbering::Uid => Reply::ok("Some of the messages are gone"),
    };
    reply.with(crate::imap::response::Code::ExpungeIssued)
}
