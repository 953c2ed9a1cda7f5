//! SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2, RFC 9051 6.3.2), with CONDSTORE and QRESYNC
//! (RFC 7162).

use std::collections::BTreeSet;

use super::notify::Arrivals;
use super::selected::Selected;
use super::{Running, Session, State};
use letterlock_core::id::MailboxName;

use crate::imap::capability::Extension;
use crate::imap::command::{Access, MailboxArgument, Numbering, SelectParameters, Tag};
use crate::imap::ops::{Op, OpError, Resynced, SelectOp, SelectedMailbox};
use crate::imap::response::{Code, Earlier, ListItem, Reply, Response};
use crate::imap::view::{Release, View};

impl Session {
    pub(super) fn select(
        &mut self,
        tag: Tag,
        mailbox: MailboxArgument,
        access: Access,
        parameters: SelectParameters,
    ) {
        if let Some(resync) = &parameters.resync {
            if !self.enabled.has(Extension::Qresync) {
                return self.bad(Some(tag), Reply::bad("QRESYNC needs ENABLE QRESYNC"));
            }
            if resync.matches.is_some() && self.enabled.has(Extension::UidOnly) {
                return self.uid_required(tag);
            }
        }
        // Whatever comes of it, the old mailbox is not selected (RFC 3501 6.3.1).
        if let State::Selected(_) = std::mem::replace(&mut self.state, State::Authenticated) {
            let reply = Reply::ok("The mailbox before is closed").with(Code::Closed);
            self.send(Response::Untagged(reply));
        }
        if parameters.condstore {
            self.know_condstore();
        }
        if let Some(name) = self.existing(&tag, mailbox) {
            let op = SelectOp {
                name,
                access,
                resync: parameters.resync,
            };
            self.run(Op::Select(Box::new(op)), Running::Select(tag, access));
        }
    }

    /// The responses to SELECT (RFC 3501 6.3.1).
    pub(super) fn selected(&mut self, tag: Tag, access: Access, mut mailbox: SelectedMailbox) {
        let rev2 = self.enabled.has(Extension::Imap4rev2);
        if rev2 {
            mailbox.snapshot.forget_recent();
        }
        let mut view = View::default();
        view.merge(&mailbox.snapshot);
        view.release(Release::All);
        self.send(Response::Flags(mailbox.keywords.clone()));
        self.send(Response::Exists(view.len()));
        if !rev2 {
            self.send(Response::Recent(view.recent()));
        }
        // The second revision has it no more (RFC 9051 E 11), and it is a sequence number.
        let unseen = mailbox
            .unseen
            .filter(|_| !rev2 && !self.enabled.has(Extension::UidOnly));
        if let Some(slot) = unseen.and_then(|uid| view.find(uid)) {
            self.notice("First message that is not seen", Code::Unseen(slot.number));
        }
        let (flags, mode, text) = match access {
            Access::ReadWrite => {
                let flags = Code::PermanentFlags(mailbox.keywords.clone());
                (flags, Code::ReadWrite, "SELECT done")
            }
            Access::ReadOnly => (Code::NoPermanentFlags, Code::ReadOnly, "EXAMINE done"),
        };
        self.notice("Flags that stay", flags);
        self.notice("Next UID", Code::UidNext(mailbox.uid_next));
        self.notice("UIDs are valid", Code::UidValidity(mailbox.uid_validity));
        self.notice("Its id", Code::MailboxId(mailbox.id));
        let highest = mailbox.snapshot.roster.highest_mod_seq();
        self.notice("Last change", Code::HighestModSeq(highest));
        if rev2 {
            // RFC 9051 6.3.2.
            self.send(Response::List(ListItem {
                attributes: Vec::new(),
                name: mailbox.name.to_string(),
                child_info: Vec::new(),
                old_name: None,
            }));
        }
        self.state = State::Selected(Box::new(Selected {
            mailbox: mailbox.id,
            uid_validity: mailbox.uid_validity,
            access,
            arrivals: Arrivals::of(&view),
            view,
            keywords: mailbox.keywords,
            saved: BTreeSet::new(),
            followed: Vec::new(),
            behind: false,
        }));
        if let Some(resynced) = mailbox.resynced {
            self.resynced(resynced);
        }
        if mailbox.behind {
            let text = "Mail is still coming in for the first time, what is here is shown";
            self.notice(text, Code::InProgress(None));
        }
        self.tagged(tag, Reply::ok(text).with(mode));
    }

    /// What has changed since the client looked last: first what is gone, so that the numbers of
    /// the others are right (RFC 7162 3.2.5.1, 3.2.6).
    fn resynced(&mut self, resynced: Resynced) {
        if !resynced.vanished.is_empty() {
            self.send(Response::Vanished(Earlier::Yes, resynced.vanished));
        }
        let State::Selected(selected) = &self.state else {
            return;
        };
        let slots = resynced.changed.into_iter().filter_map(|changed| {
            let slot = selected.view.find(changed.uid)?;
            Some((slot, Some(changed.flags)))
        });
        let told = slots.collect();
        self.tell_all_flags(told, Numbering::Uid);
    }

    /// The name of a mailbox that should exist, or `None` after a refusal.
    pub(super) fn existing(&mut self, tag: &Tag, mailbox: MailboxArgument) -> Option<MailboxName> {
        match mailbox {
            MailboxArgument::Name(name) => Some(name),
            MailboxArgument::Impossible => {
                let reply = crate::imap::encoder::status_for(&OpError::NoSuchMailbox);
                self.finish(tag.clone(), reply, Release::HoldExpunges);
                None
            }
        }
    }

    /// The name of a mailbox that could exist, or `None` after a refusal.
    pub(super) fn possible(&mut self, tag: &Tag, mailbox: MailboxArgument) -> Option<MailboxName> {
        match mailbox {
            MailboxArgument::Name(name) => Some(name),
            MailboxArgument::Impossible => {
                let error = OpError::Cannot("No mailbox can have this name");
                let reply = crate::imap::encoder::status_for(&error);
                self.finish(tag.clone(), reply, Release::HoldExpunges);
                None
            }
        }
    }

    /// `* OK [code] text`
    fn notice(&mut self, text: &'static str, code: Code) {
        self.send(Response::Untagged(Reply::ok(text).with(code)));
    }
}
