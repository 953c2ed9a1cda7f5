//! What this device pushes: what waits, and what it states of it.
//!
//! Every push that has documents ends with this device's statement, so the provider stores both or
//! neither, and two pushes of one device follow each other by their statements' revisions: one that
//! arrives late, after another has taken its place, is refused. Invariant: what a statement adds is
//! what its push adds. A device that cannot know this (the provider has a statement of its own that
//! it has not heard of, or the log is being heard again) pushes nothing until it has heard the log.

use rand::{CryptoRng, RngCore};
use serde_bytes::ByteBuf;

use super::change::Change;
use super::document::{Document, statement_doc_id};
use super::manifest::{Anew, ManifestState, OwnStatement, Statements, own_statement_id, put_state};
use super::remote::PendingPush;
use super::{Replica, ReplicaError};
use crate::auth::DeviceKey;
use crate::id::{DocId, Generation, ReplicaId, Revision, Timestamp};
use crate::manifest::{
    Digests, MAX_SEEN, ManifestAlarm, Part, Seen, SignedStatement, Statement, fingerprint,
};
use crate::seal::{self, AccountKeys, Collection, EnvelopeHash, Header, OpenError, Place};
use crate::store::Store;
use crate::sync::wire::MAX_BATCH_DOCUMENTS;

/// A statement on its way to the provider.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    own: OwnStatement,
    /// What it follows.
    base: Option<(Revision, EnvelopeHash)>,
    repairs: bool,
}

impl<S: Store> Replica<S> {
    /// What waits to be pushed, with what this device states of it; `None` if nothing waits, or if
    /// the log must be heard first.
    pub async fn pending_push(&self) -> Result<Option<PendingPush>, ReplicaError> {
        let state = self.manifest_state().await?.unwrap_or_default();
        if must_hear(&state) || (state.lacks_contents && self.is_unsure().await?) {
            return Ok(None);
        }
        let mut push = if state.repairs {
            PendingPush::default()
        } else {
            self.waiting().await?
        };
        push.turn = state.turn;
        if push.request.documents.is_empty() && !state.repairs {
            return Ok((!push.is_empty()).then_some(push));
        }
        self.stated(push).await
    }

    /// Adds this device's statement to a push.
    async fn stated(&self, mut push: PendingPush) -> Result<Option<PendingPush>, ReplicaError> {
        let mut change = self.begin(self.last_now()).await;
        let state = self.manifest_state().await?.unwrap_or_default();
        let statements = self.statements().await?;
        let told = statements.get(&self.id).map(|(row, _)| row.revision);
        let is_heard = state.at_end && told == state.own.base.map(|(revision, _)| revision);
        let is_unsure = state.lacks_contents && self.is_unsure().await?;
        let is_late = push.turn != state.turn || is_unsure || (state.repairs && !is_heard);
        if must_hear(&state) || is_late {
            return Ok(None);
        }
        let mut added = state.own.added;
        if state.repairs {
            added.add(&difference(&state));
            for (device, (row, signed)) in &statements {
                if *device != self.id && push.request.documents.len() < MAX_BATCH_DOCUMENTS - 1 {
                    let follows = Some((row.revision, row.envelope));
                    let again = change.seal_statement(*device, signed.clone(), follows)?;
                    push.request.documents.push(ByteBuf::from(again));
                }
            }
        } else {
            for envelope in &push.request.documents {
                count(&self.keys, &mut added, envelope)?;
            }
        }
        let key = change.device_key().await?;
        let signed = self.next_statement(&state, added, &statements).sign(&key);
        let base = state.own.base;
        let (counter, hash) = (signed.statement().counter, signed.hash());
        let envelope = change.seal_statement(self.id, signed, base)?;
        let revision = Header::parse(&envelope).map_err(OpenError::from)?;
        push.stated = Some(Stated {
            own: OwnStatement {
                counter,
                stored: counter,
                base: Some((revision.revision, seal::hash(&envelope))),
                hash,
                added,
                arrived: None,
            },
            base,
            repairs: state.repairs,
        });
        push.request.documents.push(ByteBuf::from(envelope));
        change.commit().await?;
        Ok(Some(push))
    }

    /// Whether a push was made since this device began anew last.
    pub(super) async fn is_of_now(&self, push: &PendingPush) -> Result<bool, ReplicaError> {
        let state = self.manifest_state().await?.unwrap_or_default();
        Ok(state.turn == push.turn)
    }

    fn next_statement(
        &self,
        state: &ManifestState,
        added: Digests,
        statements: &Statements,
    ) -> Statement {
        let mut others: Vec<(Timestamp, Seen)> = statements
            .values()
            .map(|(_, signed)| (signed.statement().at, signed.seen()))
            .filter(|(_, seen)| seen.device != self.id)
            .collect();
        others.sort_unstable();
        let seen = others.into_iter().rev().take(MAX_SEEN);
        Statement {
            account: self.keys.account(),
            device: self.id,
            key: [0; 32],
            epoch: state.epoch,
            counter: state.own.counter.saturating_add(1),
            previous: state.own.hash,
            at: self.last_now(),
            arrived: state.own.arrived,
            heard: state.complete.unwrap_or_default(),
            added,
            seen: seen.map(|(_, seen)| seen).collect(),
        }
    }

    /// Takes in what the provider has of what this device wanted to push; what follows.
    pub(crate) async fn take_conflict(
        &self,
        push: &PendingPush,
        current: Vec<ByteBuf>,
        now: Timestamp,
    ) -> Result<Option<Anew>, ReplicaError> {
        if !self.is_of_now(push).await? {
            return Ok(None);
        }
        let own = own_statement_id(self);
        let mut follows = None;
        for envelope in &current {
            let header = Header::parse(envelope).map_err(OpenError::from)?;
            let base = push.stated.as_ref().and_then(|stated| stated.base);
            // What the push follows was there before it was asked.
            if header.document == own
                && base.is_some_and(|(known, hash)| {
                    header.revision < known
                        || (header.revision == known && seal::hash(envelope) != hash)
                })
            {
                follows = Some(Anew::Found(ManifestAlarm::Older(Part::Statements)));
            }
        }
        self.take_documents(current, now).await?;
        Ok(follows)
    }
}

/// The statement of a device that is made for one push and never used again, to go with these
/// documents: for who has no replica.
pub(crate) fn state_once(
    keys: &AccountKeys,
    documents: &[ByteBuf],
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<Vec<u8>, OpenError> {
    let mut added = Digests::default();
    for envelope in documents {
        count(keys, &mut added, envelope)?;
    }
    let mut device = [0; 16];
    rng.fill_bytes(&mut device);
    let device = ReplicaId::new(device);
    let statement = Statement {
        account: keys.account(),
        device,
        key: [0; 32],
        epoch: 0,
        counter: 1,
        previous: [0; 32],
        at: now,
        arrived: None,
        heard: Generation::default(),
        added,
        seen: Vec::new(),
    };
    let document = statement_doc_id(keys, device);
    let place = Place {
        collection: Collection::Contacts,
        document,
        revision: Revision::ONE,
        previous: [0; 32],
        replica: device,
    };
    let payload = statement_payload(statement.sign(&DeviceKey::generate(rng)));
    seal::seal(keys, place, &payload, rng).map_err(|_| OpenError::Forged(document))
}

/// A statement is never too long.
fn statement_payload(signed: SignedStatement) -> Vec<u8> {
    let payload = Document::Statement(Box::new(signed)).encode();
    payload.unwrap_or_default()
}

/// What a document that is pushed adds, less what it replaces.
fn count(keys: &AccountKeys, added: &mut Digests, envelope: &[u8]) -> Result<(), OpenError> {
    let header = Header::parse(envelope)?;
    let id = header.document;
    let collection = keys.collection(header.collection);
    let collection = collection.ok_or(OpenError::Foreign(id))?;
    let new = (header.revision, fingerprint(&seal::hash(envelope)));
    added.add_document(keys, collection, id, new);
    let before = header.revision.get().checked_sub(1).and_then(Revision::new);
    if let Some(before) = before {
        let old = (before, fingerprint(&header.previous));
        added.remove_document(keys, collection, id, old);
    }
    Ok(())
}

/// Whether nothing can be pushed before the log was heard.
const fn must_hear(state: &ManifestState) -> bool {
    state.behind.is_some() || state.returning.is_some()
}

/// What the log told and nobody states.
fn difference(state: &ManifestState) -> Digests {
    let mut difference = state.heard;
    difference.subtract(&state.stated);
    if state.lacks_contents {
        return difference.without(Collection::Contents);
    }
    difference
}

impl<S: Store> Change<'_, S> {
    /// Seals a statement to follow what the provider has.
    fn seal_statement(
        &mut self,
        device: ReplicaId,
        signed: SignedStatement,
        base: Option<(Revision, EnvelopeHash)>,
    ) -> Result<Vec<u8>, ReplicaError> {
        let (revision, previous) = match base {
            None => (Revision::ONE, [0; 32]),
            Some((revision, hash)) => (revision.next().ok_or(ReplicaError::Exhausted)?, hash),
        };
        let place = Place {
            collection: Collection::Contacts,
            document: statement_doc_id(&self.replica.keys, device),
            revision,
            previous,
            replica: self.replica.id,
        };
        let payload = statement_payload(signed);
        let keys = &self.replica.keys;
        Ok(seal::seal(keys, place, &payload, &mut *self.rng)?)
    }

    /// This device's key, made if it has none.
    async fn device_key(&mut self) -> Result<DeviceKey, ReplicaError> {
        if let Some(key) = self.replica.stored_device_key().await? {
            return Ok(key);
        }
        let key = DeviceKey::generate(&mut *self.rng);
        self.put_device_key(&key);
        Ok(key)
    }

    /// The provider has a statement with what was pushed.
    pub(super) async fn confirm_statement(
        &mut self,
        stated: &Stated,
        at: Option<Generation>,
    ) -> Result<(), ReplicaError> {
        let mut state = self.replica.manifest_state().await?.unwrap_or_default();
        let counter = stated.own.counter;
        let follows = stated.base.map(|(revision, _)| revision);
        let known = state.own.base.map(|(revision, _)| revision);
        if known == follows {
            state.own = stated.own.clone();
            if stated.repairs {
                state.repairs = false;
                state.repaired = Some(counter);
            }
        }
        if state.own.counter == counter {
            state.own.arrived = at.map(|at| (counter, at));
        }
        put_state(&mut self.batch, &state);
        Ok(())
    }

    /// A statement was given out, whether the provider still has it or not.
    pub(super) async fn note_counter(&mut self, push: &PendingPush) -> Result<(), ReplicaError> {
        let mut state = self.replica.manifest_state().await?.unwrap_or_default();
        if let Some(stated) = &push.stated
            && stated.own.counter > state.own.counter
        {
            (state.own.counter, state.own.hash) = (stated.own.counter, stated.own.hash);
            put_state(&mut self.batch, &state);
        }
        Ok(())
    }

    /// The provider has a statement that the log may not have told yet.
    pub(super) async fn note_statement(&mut self, header: &Header) -> Result<(), ReplicaError> {
        let id: DocId = header.document;
        let mut state = self.replica.manifest_state().await?.unwrap_or_default();
        let statements = self.replica.statements().await?;
        let told = statements.iter().find(|(device, _)| {
            let about = statement_doc_id(&self.replica.keys, **device);
            about == id
        });
        let is_told = told.is_some_and(|(_, (row, _))| row.revision >= header.revision);
        let is_own = id == own_statement_id(self.replica);
        let known = state.own.base.filter(|_| is_own);
        let is_known = known.is_some_and(|(revision, _)| revision >= header.revision);
        if !is_told && !is_known {
            state.behind = Some((id, header.revision));
            put_state(&mut self.batch, &state);
        }
        Ok(())
    }
}
