//! NOTIFY (RFC 5465): telling what nobody asked for, between commands and in IDLE.
//!
//! ```text
//! wake-up -> what happened elsewhere (Op::Watch) -> what happened here (Op::Refresh)
//!         -> the new messages, as the client wants to see them (Op::Fetch) -> back to waiting
//! ```
//!
//! Invariant: nothing of it comes between a command and its tagged response. Of the selected
//! mailbox every command tells at its end what is new, whatever NOTIFY says: its numbers must be
//! right.

use std::collections::BTreeSet;
use std::sync::Arc;

use letterlock_core::id::{MailboxId, Uid, UidValidity};

use super::selected::Fetching;
use super::{Running, Session, State};
use crate::imap::capability::Extension;
use crate::imap::command::{Numbering, Tag};
use crate::imap::notify::{NotifyCommand, SelectedEvents, When};
use crate::imap::ops::{Op, Outcome, Refreshed, Watch, WatchOp};
use crate::imap::response::{Code, Reply, Response};
use crate::imap::view::{Release, Slot, View};

/// What the client wants to be told of without asking.
#[derive(Debug, Default)]
pub(super) enum Notifying {
    /// It has never said: in IDLE, what is new in the selected mailbox.
    #[default]
    Unsaid,
    /// Nothing.
    Nothing,
    /// This.
    Watch(Box<Watch>),
}

/// What a wake-up waits for.
#[derive(Debug)]
pub(super) enum Stage {
    Elsewhere(SelectedEvents),
    Here(SelectedEvents),
    New(Fetching),
}

impl Session {
    /// NOTIFY (RFC 5465 3.1).
    pub(super) fn notify(&mut self, tag: Tag, command: NotifyCommand) {
        match command {
            NotifyCommand::None => {
                self.notifying = Notifying::Nothing;
                self.finish(tag, Reply::ok("NOTIFY done"), Release::All);
            }
            NotifyCommand::Unsupported => {
                let reply = Reply::no("Not all of these events are known").with(Code::BadEvent);
                self.finish(tag, reply, Release::All);
            }
            NotifyCommand::Set { first, events } => {
                let op = Op::Watch(WatchOp::Begin {
                    events: Arc::new(events),
                    first,
                    selected: self.selected_mailbox(),
                    mod_seqs: self.enabled.has(Extension::Condstore),
                    metadata_alone: false,
                });
                self.run(op, Running::BeginNotify(tag, "NOTIFY done"));
            }
        }
    }

    /// The answer to [`WatchOp::Begin`]. It ends like NOOP: what is new here comes before the
    /// tagged response.
    pub(super) fn notify_begun(&mut self, tag: Tag, done: &'static str, outcome: Outcome) {
        if let Outcome::Watched(Some(watch), responses) = outcome {
            self.notifying = Notifying::Watch(watch);
            for response in responses {
                self.send(response);
            }
        }
        self.finish(tag, Reply::ok(done), Release::All);
    }

    /// Whether the client has never said what it wants to be told of.
    pub(super) fn has_not_said(&self) -> bool {
        matches!(self.notifying, Notifying::Unsaid)
    }

    /// Something changed in the account. A command in progress learns of it at its end.
    pub(super) fn wake(&mut self) {
        let waits = matches!(self.running, Running::Idle(_) | Running::Nothing);
        match &mut self.notifying {
            Notifying::Unsaid if matches!(self.running, Running::Idle(_)) => self.refresh(),
            Notifying::Watch(watch) if waits && !matches!(self.state, State::Closed) => {
                let watch = watch.clone();
                let stage = Stage::Elsewhere(watch.events.selected.clone());
                let selected = self.selected_mailbox();
                let before = Box::new(std::mem::take(&mut self.running));
                let op = Op::Watch(WatchOp::Look { watch, selected });
                self.run(op, Running::Wake(before, stage));
            }
            Notifying::Unsaid | Notifying::Nothing | Notifying::Watch(_) => {}
        }
    }

    /// A step of a wake-up was done.
    pub(super) fn woken(&mut self, before: Box<Running>, stage: Stage, outcome: Outcome) {
        match (stage, outcome) {
            (Stage::Elsewhere(events), Outcome::Watched(watch, responses)) => {
                for response in responses {
                    self.send(response);
                }
                if let Some(watch) = watch {
                    let alone = watch.metadata_alone;
                    self.notifying = Notifying::Watch(watch);
                    if alone {
                        self.idle_on(*before);
                    } else {
                        self.look_here(before, events);
                    }
                } else {
                    self.notifying = Notifying::Nothing;
                    let reply = Reply::ok("Too much has happened, no more is told");
                    let reply = reply.with(Code::NotificationOverflow);
                    self.send(Response::Untagged(reply));
                    self.running = *before;
                }
            }
            (Stage::Here(events), Outcome::Refreshed(refreshed)) => {
                self.looked_here(before, &events, refreshed);
            }
            (Stage::New(mut fetching), Outcome::Fetched(fetched)) => {
                let taken = fetched.taken.clamp(1, fetching.queue.len().max(1));
                fetching.queue.drain(..taken);
                self.fetched(fetched);
                self.show_new(before, fetching);
            }
            // The shell brings the outcome of the operation that was asked for.
            _ => self.running = *before,
        }
    }

    /// Goes on with IDLE of a client that has not said NOTIFY: it is told what is new here.
    fn idle_on(&mut self, before: Running) {
        self.running = before;
        if matches!(self.running, Running::Idle(_)) {
            self.refresh();
        }
    }

    fn look_here(&mut self, before: Box<Running>, events: SelectedEvents) {
        let wanted = events.messages.is_some();
        match self.refresh_op().filter(|_| wanted) {
            Some(op) => self.run(op, Running::Wake(before, Stage::Here(events))),
            None => self.running = *before,
        }
    }

    fn looked_here(
        &mut self,
        before: Box<Running>,
        events: &SelectedEvents,
        mut refreshed: Refreshed,
    ) {
        if let Refreshed::News(news) = &mut refreshed
            && !events.flags
        {
            news.snapshot.tells_flags = false;
            // What is not told leaves the results of followed searches as they are.
            if let Some(followed) = &mut news.followed {
                followed.changed.clear();
            }
        }
        let release = match events.messages {
            Some(When::Now) => Release::All,
            Some(When::Delayed) | None => Release::HoldExpunges,
        };
        if !self.take_news(refreshed, release) {
            return;
        }
        let fetching = Fetching {
            queue: self.unseen_arrivals().into(),
            items: Arc::clone(&events.fetch),
            changed_since: None,
            by: Numbering::Sequence,
            gone: false,
            failed: None,
        };
        self.show_new(before, fetching);
    }

    fn show_new(&mut self, before: Box<Running>, fetching: Fetching) {
        match self.fetch_op(&fetching) {
            Some(op) if !fetching.items.is_empty() && !fetching.queue.is_empty() => {
                self.run(op, Running::Wake(before, Stage::New(fetching)));
            }
            _ => self.running = *before,
        }
    }

    /// Messages that came since the last wake-up by others than this client.
    fn unseen_arrivals(&mut self) -> Vec<Slot> {
        let State::Selected(selected) = &mut self.state else {
            return Vec::new();
        };
        let from = selected.arrivals.up_to;
        let own = std::mem::take(&mut selected.arrivals.own);
        let new: Vec<Slot> = selected
            .view
            .slots()
            .filter(|slot| Some(slot.uid) > from && !own.contains(&slot.uid))
            .collect();
        let last = selected.view.at(selected.view.len());
        selected.arrivals.up_to = last.map(|slot| slot.uid).max(from);
        new
    }

    /// Notes what this client itself has put into a mailbox: that is no news to it.
    pub(super) fn note_own(&mut self, validity: UidValidity, uids: impl Iterator<Item = Uid>) {
        // No two mailboxes of an account have one UIDVALIDITY.
        if let State::Selected(selected) = &mut self.state
            && selected.uid_validity == validity
            && matches!(&self.notifying, Notifying::Watch(watch) if !watch.metadata_alone)
        {
            selected.arrivals.own.extend(uids);
        }
    }

    fn selected_mailbox(&self) -> Option<MailboxId> {
        match &self.state {
            State::Selected(selected) => Some(selected.mailbox),
            State::NotAuthenticated | State::Authenticated | State::Closed => None,
        }
    }
}

/// Which messages of the selected mailbox were shown when they came.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// All up to here.
    up_to: Option<Uid>,
    /// These, because the client put them there itself.
    own: BTreeSet<Uid>,
}

impl Arrivals {
    /// Those of a mailbox that is selected with these messages.
    pub(super) fn of(view: &View) -> Self {
        Self {
            up_to: view.at(view.len()).map(|slot| slot.uid),
            own: BTreeSet::new(),
        }
    }
}
