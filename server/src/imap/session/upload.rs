//! APPEND and REPLACE, part by part (RFC 3501 6.3.11, RFC 3502, RFC 4469, RFC 8508).
//!
//! Invariant: a client that asks is refused before it sends a message that would not be taken:
//! the mailbox and the size are checked first (RFC 7888 5). Whatever is refused, the decoder
//! drops the rest of the command and nothing of it is seen.

use letterlock_core::account::MAX_APPEND_OCTETS;

use super::{Action, Level, Running, Session, State};
use crate::imap::capability::Extension;
use crate::imap::command::{Access, AppendCommand, Numbering, Tag, UploadPart, Waits};
use crate::imap::encoder::status_for;
use crate::imap::ops::{Begin, OpError, Outcome, UploadStep};
use crate::imap::response::{Code, Reply, Response};
use crate::imap::set::MessageSet;
use crate::imap::view::{Release, Slot};

/// An APPEND under way.
#[derive(Debug)]
pub(super) struct Uploading {
    tag: Tag,
    /// REPLACE, and which message.
    replaced: Option<Slot>,
    /// The command has ended; the messages are being stored.
    ended: bool,
}

impl Session {
    /// The beginning: is the mailbox there, and the message that is replaced?
    pub(super) fn begin_upload(&mut self, tag: Tag, command: AppendCommand) {
        let level = match command.replaces {
            Some(_) => Level::Reader,
            None => Level::User,
        };
        if let Some(wrong) = self.out_of_place(level) {
            return self.bad(Some(tag), Reply::bad(wrong));
        }
        let by = command.replaces.as_ref().map(MessageSet::numbering);
        if by == Some(Numbering::Sequence) && self.enabled.has(Extension::UidOnly) {
            return self.uid_required(tag);
        }
        self.bad_commands = 0;
        let old = match command.replaces {
            None => None,
            Some(set) => match self.replaced(&tag, &set) {
                Some(slot) => Some(slot),
                None => return,
            },
        };
        let Some(name) = self.possible(&tag, command.mailbox) else {
            return;
        };
        let replaces = match (&self.state, old) {
            (State::Selected(selected), Some(slot)) => Some((selected.mailbox, slot.uid)),
            _ => None,
        };
        let uploading = Uploading {
            tag,
            replaced: old,
            ended: false,
        };
        self.upload(UploadStep::Begin(Begin { name, replaces }), uploading);
    }

    /// The message that REPLACE names, or `None` after a refusal.
    fn replaced(&mut self, tag: &Tag, set: &MessageSet) -> Option<Slot> {
        let State::Selected(selected) = &self.state else {
            return None;
        };
        let found = selected.view.resolve(set);
        if selected.access == Access::ReadOnly {
            let reply = Reply::no("The mailbox is open for reading alone");
            self.finish(tag.clone(), reply, Release::HoldExpunges);
            return None;
        }
        match found.as_deref() {
            Ok([slot]) => Some(*slot),
            Ok(_) => {
                let reply = status_for(&OpError::NoSuchMessage);
                self.finish(tag.clone(), reply, Release::HoldExpunges);
                None
            }
            Err(_) => {
                let reply = Reply::bad("A sequence number is not in use");
                self.bad(Some(tag.clone()), reply);
                None
            }
        }
    }

    /// The next part.
    pub(super) fn handle_upload(&mut self, part: UploadPart) {
        let mut uploading = match std::mem::take(&mut self.running) {
            Running::Upload(uploading) => uploading,
            // After a refusal the decoder is not let on.
            running => {
                self.running = running;
                return;
            }
        };
        let step = match part {
            UploadPart::Literal { octets, waits } => {
                return self.announced(uploading, octets, waits);
            }
            // What it says of the message goes for all messages here: any octets are taken.
            UploadPart::Utf8 if self.enabled.has(Extension::Utf8Accept) => {
                self.running = Running::Upload(uploading);
                return;
            }
            UploadPart::Utf8 => {
                let reply = Reply::bad("UTF8=ACCEPT is not enabled");
                return self.bad(Some(uploading.tag), reply);
            }
            UploadPart::Message { flags, date } => UploadStep::Message { flags, date },
            UploadPart::Octets(octets) => UploadStep::Octets(octets),
            UploadPart::Url(url) => UploadStep::Url {
                url,
                selected: match &self.state {
                    State::Selected(selected) => Some(selected.mailbox),
                    _ => None,
                },
            },
            UploadPart::MessageEnd => UploadStep::MessageEnd,
            UploadPart::End => {
                uploading.ended = true;
                UploadStep::End
            }
        };
        self.upload(step, uploading);
    }

    /// A literal is announced: the client is asked for it, or told why it need not send it.
    fn announced(&mut self, uploading: Uploading, octets: u64, waits: Waits) {
        if octets > MAX_APPEND_OCTETS {
            let reply = status_for(&OpError::TooBig);
            return self.finish(uploading.tag, reply, Release::All);
        }
        if waits == Waits::Yes {
            self.send(Response::Continue("Ready for the literal".into()));
        }
        self.running = Running::Upload(uploading);
    }

    fn upload(&mut self, step: UploadStep, uploading: Uploading) {
        self.running = Running::Upload(uploading);
        self.actions.push_back(Action::Upload(step));
    }

    /// Whether octets of an APPEND may come.
    pub(super) fn uploads(&self) -> bool {
        matches!(&self.running, Running::Upload(uploading) if !uploading.ended)
    }

    /// A step was done; the last one has stored the messages.
    pub(super) fn uploaded(&mut self, uploading: Uploading, outcome: Outcome) {
        let Outcome::Appended(validity, uids) = outcome else {
            self.running = Running::Upload(uploading);
            return;
        };
        self.note_own(validity, uids.iter().copied());
        let code = Code::AppendUid(validity, uids);
        if uploading.replaced.is_some() {
            // Before the EXPUNGE, in a response of its own (RFC 8508 4.3).
            let reply = Reply::ok("The replacement is there").with(code);
            self.send(Response::Untagged(reply));
            return self.finish(uploading.tag, Reply::ok("REPLACE done"), Release::All);
        }
        let reply = Reply::ok("APPEND done").with(code);
        self.finish(uploading.tag, reply, Release::All);
    }

    /// A step failed, and the command with it.
    pub(super) fn upload_failed(&mut self, uploading: Uploading, reply: Reply) {
        self.finish(uploading.tag, reply, Release::All);
    }
}
