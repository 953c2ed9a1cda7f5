//! The selected state (RFC 3501 6.4): commands about messages, and what ends every command.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use letterlock_core::id::{MailboxId, Uid, UidValidity};
use letterlock_core::model::{Flag, FlagSet};

use super::follow::Followed;
use super::notify::Arrivals;
use super::search::release_after_search;
use super::{Running, Session, State};
use crate::imap::capability::Extension;
use crate::imap::command::{
    Access, Command, FetchItem, FetchModifiers, MailboxArgument, Numbering, SearchKey,
    StoreCommand, Tag,
};
use crate::imap::ops::{Among, CopyOp, FetchOp, Op, StoreOp, Tells};
use crate::imap::response::{
    Code, Earlier, FetchData, FetchValue, MessageNumber, Recency, Reply, Response, ToldFlags,
};
use crate::imap::set::{MessageSet, spans_of};
use crate::imap::view::{Notice, OutOfRange, Release, Slot, View};

/// Messages that one step of FETCH asks the store for; after each step the client can be waited
/// for, so that a slow reader makes nothing pile up.
const FETCH_STEP: usize = 256;

/// What is known of the selected mailbox.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) mailbox: MailboxId,
    pub(super) uid_validity: UidValidity,
    pub(super) access: Access,
    pub(super) view: View,
    pub(super) arrivals: Arrivals,
    /// Keywords that a FLAGS response has named.
    pub(super) keywords: BTreeSet<Flag>,
    /// What `$` stands for (RFC 5182); UIDs are never given out twice.
    pub(super) saved: BTreeSet<Uid>,
    /// Searches whose results are followed.
    pub(super) followed: Vec<Followed>,
    /// Whether the client was told a mod-sequence below what is told already, because an EXPUNGE
    /// was held back.
    pub(super) behind: bool,
}

impl Selected {
    /// The messages that a command names.
    fn resolve(&self, messages: &MessageSet) -> Result<Vec<Slot>, OutOfRange> {
        match messages {
            MessageSet::Saved(_) => {
                let saved = self.saved.iter();
                Ok(saved.filter_map(|uid| self.view.find(*uid)).collect())
            }
            MessageSet::Sequence(_) | MessageSet::Uid(_) => self.view.resolve(messages),
        }
    }
}

/// A FETCH under way.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) queue: VecDeque<Slot>,
    pub(super) items: Arc<[FetchItem]>,
    pub(super) changed_since: Option<u64>,
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

/// Whether a command has sequence numbers in it, or would answer with them.
fn counts_in_numbers(command: &Command) -> bool {
    let in_search =
        |by, keys: &[SearchKey]| release_after_search(by, keys) == Release::HoldExpunges;
    match command {
        Command::Fetch { messages, .. }
        | Command::Copy { messages, .. }
        | Command::Move { messages, .. } => messages.numbering() == Numbering::Sequence,
        Command::Store(store) => store.messages.numbering() == Numbering::Sequence,
        Command::Search(search) => in_search(search.by, &search.keys),
        Command::Sort(sort) => in_search(sort.search.by, &sort.search.keys),
        Command::Thread(thread) => in_search(thread.by, &thread.keys),
        _ => false,
    }
}

impl Session {
    /// Commands about messages.
    pub(super) fn start_on_messages(&mut self, tag: Tag, command: Command) {
        let State::Selected(selected) = &self.state else {
            return;
        };
        let (mailbox, access) = (selected.mailbox, selected.access);
        if self.enabled.has(Extension::UidOnly) && counts_in_numbers(&command) {
            return self.uid_required(tag);
        }
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
            Command::UidBatches { size, batches } => self.uid_batches(tag, size, batches),
            Command::CancelUpdate(tags) => self.cancel_update(tag, &tags),
            Command::Sort(command) => self.sort(tag, command),
            Command::Thread(command) => self.thread(tag, command),
            Command::Fetch {
                messages,
                items,
                modifiers,
            } => self.fetch(tag, &messages, items, &modifiers),
            Command::Copy { messages, to } => self.copy(tag, &messages, to),
            _ if access == Access::ReadOnly => {
                let reply = Reply::no("The mailbox is open for reading alone");
                self.finish(tag, reply, Release::HoldExpunges);
            }
            Command::Store(command) => self.store(tag, command),
            Command::Move { messages, to } => self.move_messages(tag, &messages, to),
            Command::Expunge(set) => {
                let uids = set.and_then(|set| self.uids(&set));
                let most = self.message_limit;
                let only = uids.map(|uids| Among { uids, most });
                self.run(Op::Expunge(mailbox, only), Running::Expunge(tag));
            }
            _ => self.bad(Some(tag), Reply::bad("command is not known")),
        }
    }

    fn uids(&self, messages: &MessageSet) -> Option<BTreeSet<Uid>> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        let slots = selected.resolve(messages).ok()?;
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
        if let Ok(slots) = selected.resolve(messages) {
            return Some((selected.mailbox, selected.access, slots));
        }
        self.bad(
            Some(tag.clone()),
            Reply::bad("A sequence number is not in use"),
        );
        None
    }

    fn fetch(
        &mut self,
        tag: Tag,
        messages: &MessageSet,
        mut items: Vec<FetchItem>,
        modifiers: &FetchModifiers,
    ) {
        if self.enabled.has(Extension::UidOnly) {
            // Each response begins with it (RFC 9586 3.3).
            items.retain(|item| *item != FetchItem::ImpliedUid);
        }
        if modifiers.vanished && !self.enabled.has(Extension::Qresync) {
            return self.bad(Some(tag), Reply::bad("VANISHED needs ENABLE QRESYNC"));
        }
        let Some((mailbox, _, mut slots)) = self.resolve(&tag, messages) else {
            return;
        };
        if let Some(range) = modifiers.partial {
            let (from, to) = range.of(slots.len());
            slots = slots.get(from..to).unwrap_or_default().to_vec();
        }
        if items.contains(&FetchItem::ModSeq) {
            self.know_condstore();
        }
        let fetching = Fetching {
            queue: slots.into(),
            items: items.into(),
            changed_since: modifiers.changed_since,
            by: messages.numbering(),
            gone: false,
            failed: None,
        };
        match (messages, modifiers.changed_since) {
            (MessageSet::Uid(among), Some(since)) if modifiers.vanished => {
                let op = Op::Vanished {
                    mailbox,
                    since,
                    among: among.clone(),
                };
                self.run(op, Running::Vanished(tag, fetching));
            }
            _ => self.fetch_step(tag, fetching),
        }
    }

    /// Tells what has vanished before this session could count it; what it still counts is told
    /// at the end of the command (RFC 7162 3.2.10).
    pub(super) fn vanished(&mut self, spans: Vec<(u32, u32)>) {
        let State::Selected(selected) = &self.state else {
            return;
        };
        let counted = |uid: &u32| Uid::new(*uid).is_some_and(|uid| selected.view.has(uid));
        let spans = if selected.view.holds_back() {
            let uids = spans.into_iter().flat_map(|(from, to)| from..=to);
            spans_of(uids.filter(|uid| !counted(uid)))
        } else {
            spans
        };
        if !spans.is_empty() {
            self.send(Response::Vanished(Earlier::Yes, spans));
        }
    }

    /// Asks for the next messages, or ends the command.
    pub(super) fn fetch_step(&mut self, tag: Tag, fetching: Fetching) {
        if fetching.queue.is_empty() {
            let reply = match (fetching.failed, fetching.gone) {
                (Some(failed), _) => failed,
                (None, true) => gone(fetching.by),
                (None, false) => Reply::ok("FETCH done"),
            };
            return self.finish(tag, reply, release_after(fetching.by));
        }
        if let Some(op) = self.fetch_op(&fetching) {
            self.run(op, Running::Fetch(tag, fetching));
        }
    }

    /// The next messages of a FETCH.
    pub(super) fn fetch_op(&self, fetching: &Fetching) -> Option<Op> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        Some(Op::Fetch(FetchOp {
            mailbox: selected.mailbox,
            slots: fetching.queue.iter().take(FETCH_STEP).copied().collect(),
            items: Arc::clone(&fetching.items),
            changed_since: fetching.changed_since,
            tells: self.tells(),
            access: selected.access,
        }))
    }

    /// What is told of changes that nobody asked for.
    pub(super) fn tells(&self) -> Tells {
        match (
            self.enabled.has(Extension::Condstore),
            self.enabled.has(Extension::UidOnly),
        ) {
            (true, false) => Tells::ModSeq,
            (true, true) => Tells::ModSeqAlone,
            (false, _) => Tells::Flags,
        }
    }

    fn store(&mut self, tag: Tag, command: StoreCommand) {
        let by = command.messages.numbering();
        let Some((mailbox, _, slots)) = self.resolve(&tag, &command.messages) else {
            return;
        };
        let slots = self.within_limit(slots);
        if command.unchanged_since.is_some() {
            self.know_condstore();
        }
        let StoreCommand {
            unchanged_since,
            change,
            echo,
            flags,
            ..
        } = command;
        self.run(
            Op::Store(StoreOp {
                mailbox,
                slots,
                unchanged_since,
                change,
                echo,
                flags,
            }),
            Running::Store(tag, by),
        );
    }

    fn copy(&mut self, tag: Tag, messages: &MessageSet, to: MailboxArgument) {
        if let Some(op) = self.copy_op(&tag, messages, to)
            && !self.refuses(&tag, &op.slots)
        {
            self.run(Op::Copy(op), Running::Copy(tag));
        }
    }

    fn move_messages(&mut self, tag: Tag, messages: &MessageSet, to: MailboxArgument) {
        if let Some(mut op) = self.copy_op(&tag, messages, to) {
            op.slots = self.within_limit(op.slots);
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

    pub(super) fn refresh_op(&self) -> Option<Op> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        Some(Op::Refresh {
            mailbox: selected.mailbox,
            since: selected.view.mod_seq(),
            access: selected.access,
            followed: selected.followed_keys(),
        })
    }

    pub(super) fn tell(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            match notice {
                Notice::Expunged(slots) => self.tell_expunged(&slots),
                Notice::Exists { messages, recent } => {
                    self.send(Response::Exists(messages));
                    if !self.enabled.has(Extension::Imap4rev2) {
                        self.send(Response::Recent(recent));
                    }
                }
                Notice::Flags(slot, flags) => self.tell_flags(slot, flags, Numbering::Uid),
            }
        }
    }

    fn tell_expunged(&mut self, slots: &[Slot]) {
        if let State::Selected(selected) = &mut self.state {
            for slot in slots {
                selected.saved.remove(&slot.uid);
            }
        }
        if self.enabled.has(Extension::Qresync) || self.enabled.has(Extension::UidOnly) {
            let uids = slots.iter().rev().map(|slot| slot.uid.get());
            self.send(Response::Vanished(Earlier::No, spans_of(uids)));
        } else {
            for slot in slots {
                self.send(Response::Expunge(slot.number));
            }
        }
    }

    /// `* n FETCH (FLAGS ..)` of one message; see [`Self::tell_all_flags`].
    fn tell_flags(&mut self, slot: Slot, flags: FlagSet, by: Numbering) {
        self.tell_all_flags(vec![(slot, Some(Arc::new(flags)))], by);
    }

    /// `* n FETCH (FLAGS ..)` of each, with the UID where it is wanted or harmless, and the
    /// mod-sequence for clients that know it (RFC 7162 3.2.4). Without flags only that is told.
    pub(super) fn tell_all_flags(
        &mut self,
        changed: Vec<(Slot, Option<Arc<FlagSet>>)>,
        by: Numbering,
    ) {
        if changed.is_empty() {
            return;
        }
        let tells = self.tells();
        let rev2 = self.enabled.has(Extension::Imap4rev2);
        let unnamed = !self.enabled.has(Extension::UidOnly);
        let with_uid = unnamed && (by == Numbering::Uid || tells == Tells::ModSeq || rev2);
        let mut named: Option<Arc<FlagSet>> = None;
        let mut told = Vec::with_capacity(changed.len());
        for (slot, flags) in changed {
            if let Some(flags) = &flags
                && !named
                    .as_ref()
                    .is_some_and(|named| Arc::ptr_eq(named, flags))
            {
                self.tell_keywords(flags);
                named = Some(Arc::clone(flags));
            }
            told.push(ToldFlags {
                number: self.number_of(slot),
                uid: with_uid.then_some(slot.uid),
                flags: flags.map(|flags| (flags, Recency::of(slot.recent))),
                mod_seq: (tells != Tells::Flags).then_some(slot.mod_seq),
            });
        }
        self.send(Response::ToldFlags(told));
    }

    fn number_of(&self, slot: Slot) -> MessageNumber {
        if self.enabled.has(Extension::UidOnly) {
            MessageNumber::Uid(slot.uid)
        } else {
            MessageNumber::Sequence(slot.number)
        }
    }

    /// `* n FETCH`, or `* uid UIDFETCH` where numbers are not used.
    pub(super) fn send_fetch(&mut self, slot: Slot, values: Vec<FetchValue>) {
        let number = self.number_of(slot);
        self.send(Response::Fetch(FetchData { number, values }));
    }

    /// A command with sequence numbers, where they are not used (RFC 9586).
    pub(super) fn uid_required(&mut self, tag: Tag) {
        let reply = Reply::bad("Only UIDs are used here");
        self.bad(Some(tag), reply.with(Code::UidRequired));
    }

    /// Says up to where the client knows everything, while an EXPUNGE is held back and once it
    /// is not any more (RFC 7162 3.2, 6).
    pub(super) fn tell_how_far(&mut self) {
        let State::Selected(selected) = &mut self.state else {
            return;
        };
        let holds_back = selected.view.holds_back();
        let was_behind = std::mem::replace(&mut selected.behind, holds_back);
        let told = selected.view.told_up_to();
        if !(holds_back || was_behind) || !self.enabled.has(Extension::Condstore) {
            return;
        }
        if let Some(told) = told {
            let reply = Reply::ok("Everything is told up to here");
            let code = Code::HighestModSeq(told);
            self.send(Response::Untagged(reply.with(code)));
        }
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
    reply.with(Code::ExpungeIssued)
}
