//! What a client has turned on (RFC 5161), and what follows from it.

use super::{Session, State};
use crate::imap::capability::{self, Extension};
use crate::imap::command::Tag;
use crate::imap::response::{Code, Reply, Response};
use crate::imap::utf7::Names;
use crate::imap::view::Release;

impl Session {
    /// How mailbox names are written.
    pub fn names(&self) -> Names {
        let utf8 = [Extension::Imap4rev2, Extension::Utf8Accept];
        if utf8
            .into_iter()
            .any(|extension| self.enabled.has(extension))
        {
            Names::Utf8
        } else {
            Names::Utf7
        }
    }

    pub(super) fn capabilities(&self) -> String {
        let logged_in = !matches!(self.state, State::NotAuthenticated);
        capability::announced(logged_in, self.security)
    }

    /// RFC 5161 3.1. It is let pass in a selected mailbox too (RFC 9051 6.3.1).
    pub(super) fn enable(&mut self, tag: Tag, names: &[String]) {
        let found = capability::enabled_by_names(names);
        let names = found.iter().map(|(name, _)| *name).collect();
        self.send(Response::Enabled(names));
        let mut watches = false;
        for (_, extension) in found {
            if extension == Extension::Qresync || extension == Extension::Condstore {
                self.know_condstore();
            }
            let was_off = self.enabled.turn_on(extension);
            watches |= was_off && extension == Extension::Metadata && self.has_not_said();
        }
        if watches {
            return self.watch_metadata(tag);
        }
        self.finish(tag, Reply::ok("ENABLE done"), Release::All);
    }

    /// The client has shown that it knows CONDSTORE: from here on it is told mod-sequences, and
    /// first, how far it knows the selected mailbox (RFC 7162 3.1).
    pub(super) fn know_condstore(&mut self) {
        if !self.enabled.turn_on(Extension::Condstore) {
            return;
        }
        if let State::Selected(selected) = &self.state
            && let Some(told) = selected.view.told_up_to()
        {
            let reply = Reply::ok("Mod-sequences are told");
            let code = Code::HighestModSeq(told);
            self.send(Response::Untagged(reply.with(code)));
        }
    }
}
