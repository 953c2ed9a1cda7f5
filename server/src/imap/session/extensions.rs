//! Commands of small extensions about the account and its mailboxes: CREATE for a special use
//! (RFC 6154), rights (RFC 4314), quota (RFC 9208), compression (RFC 4978), NOTIFY (RFC 5465),
//! METADATA (RFC 5464).
//!
//! Invariant: they answer from what the session knows, or by one question to the store.

use super::{Action, Running, Session, State};
use crate::imap::command::{Command, MailboxArgument, SpecialUse, Tag};
use crate::imap::ops::{Op, OpError};
use crate::imap::response::{Advance, Code, Reply, Response};
use crate::imap::view::Release;

/// Fewest messages in a batch of UIDBATCHES: a client that wants less has no use for batches, and
/// 2000 ranges tell about a million messages.
const MIN_BATCH: u32 = 500;

impl Session {
    /// Ranges of UIDs with so many messages each, from the newest on, that leave out no UID.
    pub(super) fn uid_batches(&mut self, tag: Tag, size: u32, batches: Option<(u32, u32)>) {
        let (first, last) = batches.unwrap_or((1, u32::MAX));
        if first > last {
            let reply = Reply::bad("The range of batches is upside down").with(Code::ClientBug);
            return self.bad(Some(tag), reply);
        }
        if size < MIN_BATCH {
            let reply = Reply::no("A batch has 500 messages at least").with(Code::TooFew);
            return self.finish(tag, reply, Release::All);
        }
        if let State::Selected(selected) = &self.state {
            let view = &selected.view;
            let highest_below = |number: u32| view.at(number).map(|slot| slot.uid.get());
            let mut ranges = Vec::new();
            let mut number = view.len();
            for batch in 1..=last {
                let Some(high) = highest_below(number) else {
                    break;
                };
                number = number.saturating_sub(size);
                let low = highest_below(number).map_or(1, |next| next.saturating_add(1));
                if batch >= first {
                    ranges.push((high, low));
                }
            }
            self.send(Response::UidBatches(tag.clone(), ranges));
        }
        self.finish(tag, Reply::ok("UIDBATCHES done"), Release::All);
    }

    /// How far the running command is, for a client that has waited (RFC 9585).
    pub fn progress(&self, done: Option<(u32, Option<u32>)>) -> Option<Response> {
        let tag = self.running.tag()?.clone();
        let code = Code::InProgress(Some(Advance { tag, done }));
        Some(Response::Untagged(Reply::ok("Still at it").with(code)))
    }

    /// RFC 3501 6.3.3, RFC 6154 3.
    pub(super) fn create(&mut self, tag: Tag, mailbox: MailboxArgument, use_for: SpecialUse) {
        let Some(name) = self.possible(&tag, mailbox) else {
            return;
        };
        let role = match use_for {
            SpecialUse::None => None,
            SpecialUse::Role(role) => Some(role),
            SpecialUse::Unsupported => {
                let reply = crate::imap::encoder::status_for(&OpError::SpecialUse);
                return self.finish(tag, reply, Release::All);
            }
        };
        self.run(Op::Create(name, role), Running::Create(tag));
    }

    /// RFC 4314 3.5, RFC 4978 3, RFC 9208 4.1: one quota root, the account at its provider, and
    /// everybody may do all with his own.
    pub(super) fn start_on_rights(&mut self, tag: Tag, command: Command) {
        match command {
            Command::MyRights(mailbox) => {
                if let Some(name) = self.existing(&tag, mailbox) {
                    self.run(Op::Exists(name.clone()), Running::MyRights(tag, name));
                }
            }
            Command::Notify(command) => self.notify(tag, command),
            Command::GetMetadata(command) => self.get_metadata(tag, command),
            Command::SetMetadata(command) => self.set_metadata(tag, command),
            // A second time would compress what is compressed (RFC 4978 3).
            Command::Compress if self.compressed => {
                let reply = Reply::no("DEFLATE is active").with(Code::CompressionActive);
                self.finish(tag, reply, Release::All);
            }
            Command::Compress => {
                self.compressed = true;
                self.tagged(tag, Reply::ok("DEFLATE begins"));
                self.actions.push_back(Action::Compress);
            }
            Command::GetQuota(root) if root.is_empty() => {
                self.run(Op::Room, Running::Quota(tag, "GETQUOTA done"));
            }
            Command::GetQuota(_) => {
                let reply = Reply::no("There is no such quota root").with(Code::NonExistent);
                self.finish(tag, reply, Release::All);
            }
            // It may ask about a mailbox that does not exist (RFC 9208 4.1.2).
            Command::GetQuotaRoot(mailbox) => {
                if let Some(name) = self.possible(&tag, mailbox) {
                    self.send(Response::QuotaRoot(name));
                    self.run(Op::Room, Running::Quota(tag, "GETQUOTAROOT done"));
                }
            }
            Command::Esearch(sources, command) => self.search_many(tag, sources, command),
            command => self.start_on_messages(tag, command),
        }
    }
}
