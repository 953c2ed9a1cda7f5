//! What the store answered, and what the client is told of it.

use letterlock_core::id::UidValidity;

use super::selected::{Selected, gone, release_after};
use super::{Running, Session, State};
use crate::imap::command::{Access, Numbering, Tag};
use crate::imap::encoder::status_for;
use crate::imap::ops::{
    Fetched, ListedMailbox, OpError, Outcome, Refreshed, SelectedMailbox, Stored,
};
use crate::imap::response::{Code, FetchData, ListItem, Reply, Response};
use crate::imap::view::{Release, View};
use letterlock_core::id::Uid;

impl Session {
    /// The outcome of an [`super::Action::Run`].
    pub fn handle_outcome(&mut self, outcome: Result<Outcome, OpError>) {
        let running = std::mem::take(&mut self.running);
        match outcome {
            Ok(outcome) => self.handle_success(running, outcome),
            Err(error) => self.handle_failure(running, &error),
        }
    }

    fn handle_success(&mut self, running: Running, outcome: Outcome) {
        match (running, outcome) {
            (Running::Finish(tag, reply, release), Outcome::Refreshed(refreshed)) => {
                if self.take_news(refreshed, release) {
                    self.tagged(tag, reply);
                }
            }
            (Running::Idle(tag), Outcome::Refreshed(refreshed)) => {
                if self.take_news(refreshed, Release::All) {
                    self.running = Running::Idle(tag);
                }
            }
            (Running::Select(tag, access), Outcome::Selected(mailbox)) => {
                self.selected(tag, access, *mailbox);
            }
            (Running::List(tag), Outcome::Listed(items)) => {
                self.listed(tag, items, Response::List, "LIST done");
            }
            (Running::Lsub(tag), Outcome::Listed(items)) => {
                self.listed(tag, items, Response::Lsub, "LSUB done");
            }
            (Running::Status(tag), Outcome::Status(status)) => {
                self.send(Response::Status(status));
                self.finish(tag, Reply::ok("STATUS done"), Release::All);
            }
            (Running::MyRights(tag, name), Outcome::Done) => {
                self.send(Response::MyRights(name));
                self.finish(tag, Reply::ok("MYRIGHTS done"), Release::All);
            }
            (Running::Upload(uploading), outcome) => self.uploaded(uploading, outcome),
            (Running::Fetch(tag, mut fetching), Outcome::Fetched(fetched)) => {
                fetching
                    .queue
                    .drain(..fetched.taken.clamp(1, fetching.queue.len().max(1)));
                fetching.gone |= fetched.gone;
                let failed = fetched.failed.as_ref().map(status_for);
                fetching.failed = fetching.failed.take().or(failed);
                self.fetched(fetched);
                self.fetch_step(tag, fetching);
            }
            (Running::Search(tag, by), Outcome::Found(slots)) => {
                let number = |slot: &crate::imap::view::Slot| match by {
                    Numbering::Sequence => slot.number.get(),
                    Numbering::Uid => slot.uid.get(),
                };
                self.send(Response::Search(slots.iter().map(number).collect()));
                self.finish(tag, Reply::ok("SEARCH done"), release_after(by));
            }
            (Running::Store(tag, by), Outcome::Stored(stored)) => self.stored(tag, by, stored),
            (Running::Copy(tag), Outcome::Copied(validity, pairs)) => {
                let reply = copied(Reply::ok("COPY done"), validity, pairs);
                self.finish(tag, reply, Release::All);
            }
            (Running::Move(tag), Outcome::Copied(validity, pairs)) => {
                // The code comes before the EXPUNGEs, in a response of its own (RFC 6851 4.3).
                if !pairs.is_empty() {
                    let reply = copied(Reply::ok("Moved"), validity, pairs);
                    self.send(Response::Untagged(reply));
                }
                self.finish(tag, Reply::ok("MOVE done"), Release::All);
            }
            (Running::Simple(tag, text), Outcome::Done) => {
                self.finish(tag, Reply::ok(text), Release::All);
            }
            (Running::Close(tag), Outcome::Done) => {
                self.state = State::Authenticated;
                self.tagged(tag, Reply::ok("CLOSE done"));
            }
            // The shell brings the outcome of the operation that was asked for.
            (running, _) => self.running = running,
        }
    }

    fn handle_failure(&mut self, running: Running, error: &OpError) {
        let reply = status_for(error);
        match running {
            // News are no part of the command: it has succeeded or failed before.
            Running::Finish(tag, reply, _) => self.tagged(tag, reply),
            Running::Idle(_)
            | Running::Nothing
            | Running::Sasl(..)
            | Running::ScramSalt(..)
            | Running::ScramProof(_)
            | Running::Login(_) => {
                self.running = running;
            }
            Running::Fetch(tag, fetching) => {
                self.finish(tag, reply, release_after(fetching.by));
            }
            Running::Search(tag, by) | Running::Store(tag, by) => {
                self.finish(tag, reply, release_after(by));
            }
            Running::Upload(uploading) => self.upload_failed(uploading, reply),
            Running::Close(tag)
            | Running::Select(tag, _)
            | Running::List(tag)
            | Running::Lsub(tag)
            | Running::Status(tag)
            | Running::MyRights(tag, _)
            | Running::Copy(tag)
            | Running::Move(tag)
            | Running::Simple(tag, _) => self.finish(tag, reply, Release::All),
        }
    }

    /// Tells what is new; `false` if the mailbox is gone and the connection with it
    /// (RFC 2180 3.3: there is no response that takes a mailbox away from a client).
    fn take_news(&mut self, refreshed: Refreshed, release: Release) -> bool {
        let State::Selected(selected) = &mut self.state else {
            return true;
        };
        let mut notices = match refreshed {
            Refreshed::Same => Vec::new(),
            Refreshed::Snapshot(snapshot) => selected.view.merge(&snapshot),
            Refreshed::Gone => {
                self.close("The selected mailbox was deleted");
                return false;
            }
        };
        notices.extend(selected.view.release(release));
        self.tell(notices);
        true
    }

    /// The responses to SELECT (RFC 3501 6.3.1).
    fn selected(&mut self, tag: Tag, access: Access, mailbox: SelectedMailbox) {
        let mut view = View::default();
        view.merge(&mailbox.snapshot);
        view.release(Release::All);
        self.send(Response::Flags(mailbox.keywords.clone()));
        self.send(Response::Exists(view.len()));
        self.send(Response::Recent(view.recent()));
        if let Some(slot) = mailbox.unseen.and_then(|uid| view.find(uid)) {
            let reply = Reply::ok("First message that is not seen");
            self.send(Response::Untagged(reply.with(Code::Unseen(slot.number))));
        }
        let (flags, mode, text) = match access {
            Access::ReadWrite => {
                let flags = Code::PermanentFlags(mailbox.keywords.clone());
                (flags, Code::ReadWrite, "SELECT done")
            }
            Access::ReadOnly => (Code::NoPermanentFlags, Code::ReadOnly, "EXAMINE done"),
        };
        self.send(Response::Untagged(Reply::ok("Flags that stay").with(flags)));
        let next = Code::UidNext(mailbox.uid_next);
        self.send(Response::Untagged(Reply::ok("Next UID").with(next)));
        let validity = Code::UidValidity(mailbox.uid_validity);
        self.send(Response::Untagged(
            Reply::ok("UIDs are valid").with(validity),
        ));
        self.state = State::Selected(Box::new(Selected {
            mailbox: mailbox.id,
            access,
            view,
            keywords: mailbox.keywords,
        }));
        self.tagged(tag, Reply::ok(text).with(mode));
    }

    fn listed(
        &mut self,
        tag: Tag,
        items: Vec<ListedMailbox>,
        response: fn(ListItem) -> Response,
        done: &'static str,
    ) {
        for listed in items {
            self.send(response(listed.item));
            if let Some(name) = listed.my_rights {
                self.send(Response::MyRights(name));
            }
            if let Some(status) = listed.status {
                self.send(Response::Status(status));
            }
        }
        self.finish(tag, Reply::ok(done), Release::All);
    }

    fn fetched(&mut self, fetched: Fetched) {
        for message in fetched.messages {
            if let Some(mod_seq) = message.told {
                if let State::Selected(selected) = &mut self.state {
                    selected.view.tell(message.slot.uid, mod_seq);
                }
                for value in &message.values {
                    if let crate::imap::response::FetchValue::Flags(flags, _) = value {
                        self.tell_keywords(flags);
                    }
                }
            }
            let data = FetchData {
                number: message.slot.number,
                values: message.values,
            };
            self.send(Response::Fetch(data));
        }
    }

    fn stored(&mut self, tag: Tag, by: Numbering, stored: Stored) {
        let State::Selected(selected) = &mut self.state else {
            return;
        };
        for (uid, mod_seq) in stored.silent {
            selected.view.tell(uid, mod_seq);
        }
        let mut told = Vec::new();
        for changed in stored.told {
            selected.view.tell(changed.uid, changed.mod_seq);
            told.extend(
                selected
                    .view
                    .find(changed.uid)
                    .map(|slot| (slot, changed.flags)),
            );
        }
        for (slot, flags) in told {
            self.tell_flags(slot, flags, by);
        }
        let reply = if stored.gone {
            gone(by)
        } else {
            Reply::ok("STORE done")
        };
        self.finish(tag, reply, release_after(by));
    }
}

/// COPYUID, unless nothing was copied: its sets cannot be empty (RFC 4315 3).
fn copied(reply: Reply, validity: UidValidity, pairs: Vec<(Uid, Uid)>) -> Reply {
    if pairs.is_empty() {
        reply
    } else {
        reply.with(Code::CopyUid(validity, pairs))
    }
}
