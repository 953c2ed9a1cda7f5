//! What was read last of single messages: programs read one in parts, its structure, its text, an
//! attachment chunk by chunk, and each would open the same documents again.
//!
//! Messages and contents never change, so what is kept is never wrong; what leaves this device is
//! forgotten here too. Invariant: in memory alone, bounded by [`MOST_OCTETS`] and
//! [`MOST_MESSAGES`]. Rejected: keeping what whole mailboxes are read for; it would be gone before
//! it is asked for again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::Message;
use crate::id::DocId;

/// Most octets of contents: two of the longest.
const MOST_OCTETS: usize = 2 * 1024 * 1024;
/// Most messages, without their contents.
const MOST_MESSAGES: usize = 16;
/// Longest skeleton of a message that is kept, in octets.
const LONGEST_SKELETON: usize = 64 * 1024;

/// What was read last, the newest at the end.
#[derive(Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    messages: VecDeque<(DocId, Arc<Message>)>,
    contents: VecDeque<(DocId, Arc<Vec<u8>>)>,
    octets: usize,
}

impl Recent {
    pub(super) fn message(&self, id: DocId) -> Option<Arc<Message>> {
        let kept = self.kept();
        let found = kept.messages.iter().find(|(kept, _)| *kept == id)?;
        Some(Arc::clone(&found.1))
    }

    pub(super) fn content(&self, id: DocId) -> Option<Arc<Vec<u8>>> {
        let kept = self.kept();
        let found = kept.contents.iter().find(|(kept, _)| *kept == id)?;
        Some(Arc::clone(&found.1))
    }

    /// Keeps a message that was not kept.
    pub(super) fn keep_message(&self, id: DocId, message: &Arc<Message>) {
        if message.skeleton.len() > LONGEST_SKELETON {
            return;
        }
        let mut kept = self.kept();
        kept.messages.push_back((id, Arc::clone(message)));
        if kept.messages.len() > MOST_MESSAGES {
            kept.messages.pop_front();
        }
    }

    /// Keeps a content that was not kept.
    pub(super) fn keep_content(&self, id: DocId, content: &Arc<Vec<u8>>) {
        let mut kept = self.kept();
        kept.octets = kept.octets.saturating_add(content.len());
        kept.contents.push_back((id, Arc::clone(content)));
        while kept.octets > MOST_OCTETS || kept.contents.len() > MOST_MESSAGES {
            let Some((_, gone)) = kept.contents.pop_front() else {
                break;
            };
            kept.octets = kept.octets.saturating_sub(gone.len());
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes() {
        let recent = Recent::default();
        let id = |number: u8| DocId::new([number; 16]);
        for number in 0..100 {
            let content = Arc::new(vec![number; 300_000]);
            recent.keep_content(id(number), &content);
            assert_eq!(recent.content(id(number)), Some(content));
        }
        let kept = (0..100).filter(|number| recent.content(id(*number)).is_some());
        let most = u8::try_from(MOST_OCTETS / 300_000).unwrap();
        assert!(kept.eq(100 - most..100));
        for number in 100..200 {
            recent.keep_content(id(number), &Arc::new(Vec::new()));
        }
        assert_eq!(recent.kept().contents.len(), MOST_MESSAGES);
        recent.forget();
        assert_eq!(recent.content(id(199)), None);
    }
}
