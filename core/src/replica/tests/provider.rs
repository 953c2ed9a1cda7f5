//! A provider in memory, by the rules of the real one.

use std::sync::atomic::AtomicU32;

use super::*;

/// The rules of the provider, in memory: revisions follow each other, a push is all or nothing.
#[derive(Default)]
pub(super) struct Provider {
    pub(super) log: Mutex<Log>,
    /// Of the list of devices, less one.
    epoch: AtomicU32,
}

#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) generation: u64,
    pub(super) documents: BTreeMap<DocId, (u64, Vec<u8>)>,
    pub(super) incoming: BTreeMap<u64, IncomingId>,
    pub(super) removed: BTreeMap<u64, IncomingId>,
    /// All that ever came in.
    pub(super) received: Vec<(Generation, IncomingId)>,
    /// Every envelope that was ever stored.
    pub(super) history: Vec<Vec<u8>>,
}

impl Provider {
    pub(super) fn push(&self, request: &PushRequest) -> PushResponse {
        let answer = self.push_or_gap(request);
        answer.expect("a first revision is 1")
    }

    /// `None` if a document is not there that another follows.
    pub(super) fn push_or_gap(&self, request: &PushRequest) -> Option<PushResponse> {
        let mut log = self.log.lock().unwrap();
        let (mut current, mut gap) = (Vec::new(), false);
        for envelope in &request.documents {
            let header = Header::parse(envelope).unwrap();
            let stored = log.documents.get(&header.document);
            let expected = stored.map_or(1, |(_, s)| Header::parse(s).unwrap().revision.get() + 1);
            if let Some((_, stored)) = stored {
                if stored == envelope.as_ref() {
                    continue;
                }
                if header.revision.get() != expected {
                    current.push(ByteBuf::from(stored.clone()));
                }
            } else {
                gap |= header.revision.get() != 1;
            }
        }
        if !current.is_empty() {
            return Some(PushResponse::Conflict { current });
        }
        if gap {
            return None;
        }
        for envelope in &request.documents {
            let id = Header::parse(envelope).unwrap().document;
            if log
                .documents
                .get(&id)
                .is_none_or(|(_, stored)| stored != envelope.as_ref())
            {
                log.generation += 1;
                let entry = (log.generation, envelope.to_vec());
                log.documents.insert(id, entry);
                log.history.push(envelope.to_vec());
            }
        }
        for id in &request.remove_incoming {
            let found = log.incoming.iter().find(|(_, i)| *i == id).map(|(g, _)| *g);
            if let Some(generation) = found {
                log.incoming.remove(&generation);
                log.generation += 1;
                let generation = log.generation;
                log.removed.insert(generation, *id);
            }
        }
        Some(PushResponse::Accepted {
            generation: Generation(log.generation),
        })
    }

    /// As it is now.
    pub(super) fn log(&self) -> Log {
        self.log.lock().unwrap().clone()
    }

    /// Another one that has this.
    pub(super) fn of(log: Log) -> Self {
        Self {
            log: Mutex::new(log),
            epoch: AtomicU32::default(),
        }
    }

    /// A list of devices was put that begins the account's second key epoch.
    pub(super) fn begin_epoch(&self) {
        self.epoch.store(1, Ordering::Relaxed);
    }

    /// Whether something new in a push is sealed under keys that the account has given up.
    pub(super) fn refuses_keys(&self, request: &PushRequest) -> bool {
        let log = self.log.lock().unwrap();
        let epoch = self.epoch.load(Ordering::Relaxed);
        request.documents.iter().any(|envelope| {
            let header = Header::parse(envelope).unwrap();
            let stored = log.documents.get(&header.document);
            header.epoch <= epoch && stored.is_none_or(|(_, stored)| stored != envelope.as_ref())
        })
    }

    pub(super) fn pull(&self, request: &PullRequest) -> PullResponse {
        let log = self.log.lock().unwrap();
        let mut entries: Vec<(u64, Entry)> = Vec::new();
        for (generation, envelope) in log.documents.values() {
            let envelope = ByteBuf::from(envelope.clone());
            entries.push((*generation, Entry::Document { envelope }));
        }
        for (generation, id) in &log.incoming {
            let message = ByteBuf::from(LETTER.to_vec());
            let (id, received_at) = (*id, NOW);
            let entry = Entry::Incoming {
                id,
                generation: Generation(*generation),
                received_at,
                message,
            };
            entries.push((*generation, entry));
        }
        for (generation, id) in &log.removed {
            entries.push((*generation, Entry::IncomingRemoved { id: *id }));
        }
        entries.retain(|(generation, entry)| {
            *generation > request.since.0 && is_wanted(request, entry)
        });
        entries.sort_by_key(|(generation, _)| *generation);
        // Small answers, so that several are needed.
        let more = entries.len() > 7;
        entries.truncate(7);
        let last = entries.last().filter(|_| more);
        let until = last.map_or(log.generation, |(generation, _)| *generation);
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        PullResponse {
            entries,
            until: Generation(until),
            more,
        }
    }

    pub(super) fn receive(&self, id: u8) {
        let mut log = self.log.lock().unwrap();
        log.generation += 1;
        let generation = log.generation;
        let id = IncomingId::new([id; 16]);
        log.incoming.insert(generation, id);
        log.received.push((Generation(generation), id));
    }

    pub(super) fn received(&self) -> Vec<(Generation, IncomingId)> {
        self.log.lock().unwrap().received.clone()
    }
}

/// Whether a device wants to hear of it.
fn is_wanted(request: &PullRequest, entry: &Entry) -> bool {
    let Entry::Document { envelope } = entry else {
        return true;
    };
    let header = Header::parse(envelope).unwrap();
    let is_rewritten = header.revision.get() > 1;
    request.collections.is_empty()
        || request.collections.contains(&header.collection)
        || (is_rewritten && request.rewritten.contains(&header.collection))
}
