//! What the store answered, and what the client is told of it.

use letterlock_core::id::UidValidity;

use super::selected::{gone, release_after};
use super::{Running, Session, State};
use crate::imap::capability::Extension;
use crate::imap::command::{Numbering, Tag};
use crate::imap::encoder::status_for;
use crate::imap::ops::{Fetched, ListedMailbox, OpError, Outcome, Refreshed, Stored, Tells};
use crate::imap::response::{Code, FetchValue, ListItem, Reply, Response};
use crate::imap::view::{Release, Slot};
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
            (Running::FinishGone(tag, reply), Outcome::Refreshed(refreshed)) => {
                if self.take_news(refreshed, Release::All) {
                    let reply = self.with_mod_seq(reply);
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
            (Running::Vanished(tag, fetching), Outcome::Vanished(spans)) => {
                self.vanished(spans);
                self.fetch_step(tag, fetching);
            }
            (Running::Store(tag, by), Outcome::Stored(stored)) => self.stored(tag, by, stored),
            (Running::Copy(tag), Outcome::Copied(validity, pairs)) => {
                self.note_own(validity, pairs.iter().map(|(_, to)| *to));
                let reply = copied(Reply::ok("COPY done"), validity, pairs);
                self.finish(tag, reply, Release::All);
            }
            (Running::Move(tag), Outcome::Copied(validity, pairs)) => {
                let reply = Reply::ok("MOVE done");
                if pairs.is_empty() {
                    return self.finish(tag, reply, Release::All);
                }
                // The code comes before the EXPUNGEs, in a response of its own (RFC 6851 4.3).
                let moved = copied(Reply::ok("Moved"), validity, pairs);
                self.send(Response::Untagged(moved));
                self.finish_gone(tag, reply);
            }
            (Running::Expunge(tag), Outcome::Expunged(any, cut)) => {
                self.cut_at(cut);
                let reply = Reply::ok("EXPUNGE done");
                if any {
                    self.finish_gone(tag, reply);
                } else {
                    self.finish(tag, reply, Release::All);
                }
            }
            (running, outcome) => self.handle_other_success(running, outcome),
        }
    }

    /// The same, of commands about mailboxes, searches and APPEND, and of wake-ups.
    fn handle_other_success(&mut self, running: Running, outcome: Outcome) {
        match (running, outcome) {
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
            (Running::Quota(tag, text), Outcome::Room(room)) => {
                self.send(Response::Quota(room));
                self.finish(tag, Reply::ok(text), Release::All);
            }
            (Running::MyRights(tag, name), Outcome::Rights(rights)) => {
                self.send(Response::MyRights(name, rights));
                self.finish(tag, Reply::ok("MYRIGHTS done"), Release::All);
            }
            (Running::BeginNotify(tag, done), outcome) => self.notify_begun(tag, done, outcome),
            (Running::GetMetadata(tag), Outcome::Metadata(data, longest)) => {
                self.got_metadata(tag, data, longest);
            }
            (Running::SetMetadata(tag), Outcome::MetadataSet(mod_seq)) => {
                self.did_set_metadata(tag, mod_seq);
            }
            (Running::Wake(before, stage), outcome) => self.woken(before, stage, outcome),
            (Running::Upload(uploading), outcome) => self.uploaded(uploading, outcome),
            (Running::Search(tag, searching), Outcome::Found(hits)) => {
                self.found(tag, &searching, &hits);
            }
            (Running::SearchMany(tag, searching), Outcome::FoundMany(found)) => {
                self.found_many(tag, &searching, found);
            }
            (Running::Thread(tag, by, release), Outcome::Threaded(rows)) => {
                self.threaded(by, &rows);
                self.finish(tag, Reply::ok("THREAD done"), release);
            }
            (Running::Create(tag), Outcome::Created(id)) => {
                let reply = Reply::ok("CREATE done").with(Code::MailboxId(id));
                self.finish(tag, reply, Release::All);
            }
            (Running::Simple(tag, text), Outcome::Done) => {
                self.finish(tag, Reply::ok(text), Release::All);
            }
            (Running::Close(tag), Outcome::Expunged(..)) => {
                self.state = State::Authenticated;
                self.tagged(tag, Reply::ok("CLOSE done"));
            }
            // The shell brings the outcome of the operation that was asked for.
            (running, _) => self.running = running,
        }
    }

    fn handle_failure(&mut self, running: Running, error: &OpError) {
        if matches!(error, OpError::StillToCome) {
            return self.close("A part of the message is still to come, ask again later");
        }
        let reply = status_for(error);
        match running {
            // News are no part of the command: it has succeeded or failed before.
            Running::Finish(tag, reply, _) | Running::FinishGone(tag, reply) => {
                self.tagged(tag, reply);
            }
            // News nobody asked for.
            Running::Wake(before, _) => self.running = *before,
            Running::Idle(_)
            | Running::Nothing
            | Running::Sasl(..)
            | Running::ScramSalt(..)
            | Running::ScramProof(_)
            | Running::Login(_) => {
                self.running = running;
            }
            Running::Fetch(tag, fetching) | Running::Vanished(tag, fetching) => {
                self.finish(tag, reply, release_after(fetching.by));
            }
            Running::Search(tag, searching) | Running::SearchMany(tag, searching) => {
                if searching.returns.is_some_and(|returns| returns.save) {
                    self.forget_saved();
                }
                self.finish(tag, reply, searching.release);
            }
            Running::Upload(uploading) => self.upload_failed(uploading, reply),
            Running::Thread(tag, _, release) => self.finish(tag, reply, release),
            Running::Store(tag, by) => self.finish(tag, reply, release_after(by)),
            Running::Close(tag)
            | Running::Select(tag, _)
            | Running::List(tag)
            | Running::Lsub(tag)
            | Running::Status(tag)
            | Running::MyRights(tag, _)
            | Running::Quota(tag, _)
            | Running::Copy(tag)
            | Running::Move(tag)
            | Running::Expunge(tag)
            | Running::Create(tag)
            | Running::GetMetadata(tag)
            | Running::SetMetadata(tag)
            | Running::BeginNotify(tag, _)
            | Running::Simple(tag, _) => self.finish(tag, reply, Release::All),
        }
    }

    /// Tells what is new; `false` if the mailbox is gone and the connection with it
    /// (RFC 2180 3.3: there is no response that takes a mailbox away from a client).
    pub(super) fn take_news(&mut self, refreshed: Refreshed, release: Release) -> bool {
        let State::Selected(selected) = &mut self.state else {
            return true;
        };
        let rev2 = self.enabled.has(Extension::Imap4rev2);
        let (notices, moved) = match refreshed {
            Refreshed::Same => (Vec::new(), Vec::new()),
            Refreshed::News(mut news) => {
                if rev2 {
                    news.snapshot.forget_recent();
                }
                let notices = selected.view.merge(&news.snapshot);
                let followed = news.followed.as_ref();
                let moved = followed.map(|one| selected.moved(&one.changed, &one.found));
                (notices, moved.unwrap_or_default())
            }
            Refreshed::Gone => {
                self.close("The selected mailbox was deleted");
                return false;
            }
        };
        self.tell(notices);
        // Numbers of what has gone from a result count until it is expunged, those of what has
        // come once it exists (RFC 5267 4.3.3, 4.3.4).
        self.tell_gone(&moved);
        if let State::Selected(selected) = &mut self.state {
            let notices = selected.view.release(release);
            self.tell(notices);
        }
        self.tell_come(&moved);
        self.tell_how_far();
        true
    }

    /// Ends a command that took messages out of the mailbox.
    fn finish_gone(&mut self, tag: Tag, reply: Reply) {
        match self.refresh_op() {
            Some(op) => self.run(op, Running::FinishGone(tag, reply)),
            None => self.tagged(tag, reply),
        }
    }

    /// The mod-sequence of what was expunged, for clients that keep it (RFC 7162 3.2.7).
    fn with_mod_seq(&self, reply: Reply) -> Reply {
        match &self.state {
            State::Selected(selected) if self.enabled.has(Extension::Qresync) => {
                let told = selected.view.told_up_to();
                match told {
                    Some(told) => reply.with(Code::HighestModSeq(told)),
                    None => reply,
                }
            }
            _ => reply,
        }
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
            if let Some((name, rights)) = listed.my_rights {
                self.send(Response::MyRights(name, rights));
            }
            if let Some(status) = listed.status {
                self.send(Response::Status(status));
            }
            if let Some(metadata) = listed.metadata {
                self.send(Response::Metadata(metadata));
            }
        }
        self.finish(tag, Reply::ok(done), Release::All);
    }

    pub(super) fn fetched(&mut self, fetched: Fetched) {
        for message in fetched.messages {
            if let Some(mod_seq) = message.told {
                let is_mod_seq = |value: &FetchValue| matches!(value, FetchValue::ModSeq(_));
                // A client that keeps mod-sequences has to have this one too, or its conditional
                // STORE would fail for nothing: what was not told here is at the end.
                let whole = self.tells() == Tells::Flags || message.values.iter().any(is_mod_seq);
                if whole && let State::Selected(selected) = &mut self.state {
                    selected.view.tell(message.slot.uid, mod_seq);
                }
                for value in &message.values {
                    if let FetchValue::Flags(flags, _) = value {
                        self.tell_keywords(flags);
                    }
                }
            }
            self.send_fetch(message.slot, message.values);
        }
    }

    fn stored(&mut self, tag: Tag, by: Numbering, stored: Stored) {
        let State::Selected(selected) = &mut self.state else {
            return;
        };
        let view = &mut selected.view;
        let changed = stored.told.iter();
        view.tell_all(changed.map(|changed| (changed.uid, changed.mod_seq)));
        view.tell_all(stored.silent.iter().copied());
        let uids = stored.told.iter().map(|changed| changed.uid);
        let slots: Vec<Slot> = view.find_all(uids).collect();
        let mut told = Vec::with_capacity(slots.len());
        let mut changed = stored.told.into_iter();
        for slot in slots {
            let flags = changed.find(|changed| changed.uid == slot.uid);
            told.extend(flags.map(|changed| (slot, Some(changed.flags))));
        }
        // Even of a silent change the mod-sequence is told (RFC 7162 3.1.3).
        if self.enabled.has(Extension::Condstore) {
            let silent = stored.silent.iter().map(|(uid, _)| *uid);
            told.extend(view.find_all(silent).map(|slot| (slot, None)));
        }
        let number = |uid: Uid| match by {
            Numbering::Uid => Some(uid.get()),
            Numbering::Sequence => view.find(uid).map(|slot| slot.number.get()),
        };
        let modified: Vec<u32> = stored.modified.into_iter().filter_map(number).collect();
        told.sort_unstable_by_key(|(slot, _)| slot.number);
        self.tell_all_flags(told, by);
        let reply = if stored.gone {
            gone(by)
        } else {
            Reply::ok("STORE done")
        };
        let reply = if modified.is_empty() {
            reply
        } else {
            reply.with(Code::Modified(modified))
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
