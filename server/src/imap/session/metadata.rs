//! Annotations (RFC 5464): GETMETADATA, SETMETADATA, and what others have changed.
//!
//! Invariant: a client is told which annotations others have set if it has asked for that, by
//! ENABLE METADATA or by NOTIFY, and never of what it has set itself.

use std::sync::Arc;

use letterlock_core::id::{MailboxName, ModSeq};

use super::notify::Notifying;
use super::{Running, Session};
use crate::imap::command::{GetMetadata, MetadataOf, SetMetadata, Tag};
use crate::imap::notify::{EventGroup, Events, Filter, NotifySet, SelectedEvents, StatusFirst};
use crate::imap::ops::{MetadataOp, Op, WatchOp};
use crate::imap::response::{Code, MetadataData, Reply, Response};
use crate::imap::view::Release;

impl Session {
    pub(super) fn get_metadata(&mut self, tag: Tag, command: GetMetadata) {
        if let Some(of) = self.metadata_of(&tag, command.of) {
            let op = MetadataOp::Get(of, command.wanted);
            self.run(Op::Metadata(op), Running::GetMetadata(tag));
        }
    }

    pub(super) fn set_metadata(&mut self, tag: Tag, command: SetMetadata) {
        if let Some(of) = self.metadata_of(&tag, command.of) {
            let op = MetadataOp::Set(of, command.entries);
            self.run(Op::Metadata(op), Running::SetMetadata(tag));
        }
    }

    /// The mailbox that is meant, `Some(None)` for the server; `None` after a refusal.
    #[expect(clippy::option_option, reason = "a refusal, no mailbox and a mailbox")]
    fn metadata_of(&mut self, tag: &Tag, of: MetadataOf) -> Option<Option<MailboxName>> {
        match of {
            MetadataOf::Server => Some(None),
            MetadataOf::Mailbox(mailbox) => self.existing(tag, mailbox).map(Some),
        }
    }

    /// The answer to GETMETADATA; `longest` is the length of what was too long to be told.
    pub(super) fn got_metadata(&mut self, tag: Tag, data: MetadataData, longest: Option<usize>) {
        if !data.values.is_empty() {
            self.send(Response::Metadata(data));
        }
        let reply = Reply::ok("GETMETADATA done");
        let reply = match longest {
            Some(octets) => reply.with(Code::MetadataLongEntries(octets)),
            None => reply,
        };
        self.finish(tag, reply, Release::All);
    }

    /// SETMETADATA was done, with this mod-sequence if it changed anything.
    pub(super) fn did_set_metadata(&mut self, tag: Tag, mod_seq: Option<ModSeq>) {
        if let Notifying::Watch(watch) = &mut self.notifying {
            watch.own.extend(mod_seq);
        }
        self.finish(tag, Reply::ok("SETMETADATA done"), Release::All);
    }

    /// ENABLE METADATA: from here on the client is told what others change (RFC 5464 4.1), unless
    /// NOTIFY says or said otherwise.
    pub(super) fn watch_metadata(&mut self, tag: Tag) {
        let events = NotifySet {
            selected: SelectedEvents::default(),
            groups: vec![EventGroup {
                filter: Filter::Personal,
                events: Events {
                    metadata: true,
                    server_metadata: true,
                    ..Events::default()
                },
            }],
        };
        let op = Op::Watch(WatchOp::Begin {
            events: Arc::new(events),
            first: StatusFirst::No,
            selected: None,
            mod_seqs: false,
            metadata_alone: true,
        });
        self.run(op, Running::BeginNotify(tag, "ENABLE done"));
    }
}
