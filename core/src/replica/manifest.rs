//! What this device knows of the documents at the provider, held against what all devices state.
//!
//! Rows of this device alone, which the provider never has: what its log told last of each document
//! ([`Table::Told`]), the last statement of each device, and the sums of both. Rules, each exact for
//! an honest provider, whatever is lost, repeated or late:
//!
//! 1. at the log's end the sum of what it told is the sum of what the devices state;
//! 2. a document or a statement never goes back, and follows the one before it;
//! 3. what a statement says that it has seen of others, and which was there before it, is told too;
//! 4. what had arrived at the provider before the log was heard to its end was told there, to this
//!    device and to others;
//! 5. what this device knew to be stored when it asked is told in the answer;
//! 6. once a device that knows a key epoch has heard the log to its end, nothing new comes under
//!    older keys: the provider takes none since the epoch began, and only a removed device makes them.
//!    Such a thing is told of and not taken, and the device does not begin anew for it.
//!
//! Invariant: the sums change in the batch that changes the rows. What the contents of a first sync
//! that left them out would add is not known; such a device compares the other collections.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::directory::{decode_versioned, encode_versioned};
use super::document::statement_doc_id;
use super::{Replica, ReplicaError};
use crate::id::{DocId, Generation, ReplicaId, Revision, Timestamp};
use crate::manifest::{Digests, ManifestAlarm, SignedStatement};
use crate::seal::EnvelopeHash;
use crate::store::{Batch, KeyRange, Store, Table};

const STATE: &[u8] = b"manifest";
const STATEMENT_PREFIX: &[u8] = b"statement ";

/// What this device has heard and stated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestState {
    /// How often the account's devices have begun anew.
    pub(super) epoch: u32,
    /// How often this one has: answers to what it pushed before mean nothing any more.
    pub(super) turn: u32,
    /// What the log told.
    pub(super) heard: Digests,
    /// What the devices state, as the log told.
    pub(super) stated: Digests,
    /// Contents were left out.
    pub(super) lacks_contents: bool,
    /// Where the log was heard to its end last.
    pub(super) complete: Option<Generation>,
    /// Whether nothing was heard since.
    pub(super) at_end: bool,
    pub(super) own: OwnStatement,
    /// A statement that the provider has and the log has not told yet: nothing is pushed before.
    pub(super) behind: Option<(DocId, Revision)>,
    /// The log is being heard from its beginning again.
    pub(super) returning: Option<Return>,
    /// The difference between log and statements is to be stated as this device's.
    pub(super) repairs: bool,
    /// The statement of this device that does so; until it is heard, the sums differ.
    pub(super) repaired: Option<u64>,
    /// What the user is to be told.
    pub(super) alarm: Option<ManifestAlarm>,
    /// When this device has begun anew, the last times.
    pub(super) begun: Vec<Timestamp>,
}

/// Why the log is heard again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Return {
    /// This device has found it out.
    First,
    /// Another device has.
    Joining,
}

/// This device's last statement that the provider has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OwnStatement {
    /// Its counter; never less than one that was given out and confirmed.
    pub(super) counter: u64,
    /// The counter of the one that is there: less, after the provider has lost some.
    pub(super) stored: u64,
    /// Its document there.
    pub(super) base: Option<(Revision, EnvelopeHash)>,
    /// Its own hash.
    pub(super) hash: [u8; 32],
    pub(super) added: Digests,
    /// Where the provider had it at the latest.
    pub(super) arrived: Option<(u64, Generation)>,
}

/// The last statement of a device, as the log told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StatementRow {
    pub(super) revision: Revision,
    pub(super) envelope: EnvelopeHash,
    /// Where the log had been heard to its end when it was known.
    pub(super) by: Option<Generation>,
    #[serde(with = "serde_bytes")]
    pub(super) octets: Vec<u8>,
}

impl StatementRow {
    /// What is kept was read before.
    pub(super) fn signed(&self) -> Result<SignedStatement, ReplicaError> {
        SignedStatement::parse(&self.octets).map_err(|_| ReplicaError::Row(Table::Meta.name()))
    }
}

pub(super) type Statements = BTreeMap<ReplicaId, (StatementRow, SignedStatement)>;

impl<S: Store> Replica<S> {
    /// What is known; `None` before anything was, and in stores that older programs wrote.
    pub(super) async fn manifest_state(&self) -> Result<Option<ManifestState>, ReplicaError> {
        let row = self.store.get(Table::Meta, STATE).await?;
        row.map(|row| decode_versioned(&row)).transpose()
    }

    /// The last statements of all devices, as the log told.
    pub(super) async fn statements(&self) -> Result<Statements, ReplicaError> {
        let rows = KeyRange::prefix(STATEMENT_PREFIX);
        let rows = self.store.scan(Table::Meta, rows).await?;
        let mut all = Statements::new();
        for (_, row) in rows {
            let row: StatementRow = decode_versioned(&row)?;
            let signed = row.signed()?;
            all.insert(signed.statement().device, (row, signed));
        }
        Ok(all)
    }

    /// What the user is to be told, and of which beginning.
    pub async fn manifest_alarm(&self) -> Result<Option<(u32, ManifestAlarm)>, ReplicaError> {
        let state = self.manifest_state().await?.unwrap_or_default();
        Ok(state.alarm.map(|alarm| (state.epoch, alarm)))
    }

    /// The user was told.
    pub async fn manifest_alarm_told(&self, now: Timestamp) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        let mut state = self.manifest_state().await?.unwrap_or_default();
        state.alarm = None;
        put_state(&mut change.batch, &state);
        change.commit().await
    }

    /// When any other device has last stated what it has stored, by its clock; `None` if none has.
    pub async fn last_stated(&self) -> Result<Option<Timestamp>, ReplicaError> {
        let all = self.statements().await?;
        let others = all.values().map(|(_, signed)| signed.statement());
        let others = others.filter(|statement| statement.device != self.id);
        Ok(others.map(|statement| statement.at).max())
    }
}

pub(super) fn put_state(batch: &mut Batch, state: &ManifestState) {
    batch.put(Table::Meta, STATE, encode_versioned(state));
}

pub(super) fn statement_key(device: ReplicaId) -> Vec<u8> {
    [STATEMENT_PREFIX, device.as_bytes()].concat()
}

/// What follows from what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anew {
    /// Something is wrong with what the provider shows.
    Found(ManifestAlarm),
    /// Another device found something, and all begin anew in this epoch.
    Joined(u32),
    /// An older program has heard what came before.
    Upgraded,
}

/// What this device knew to be stored when it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) since: Generation,
    pub(super) lacks_contents: bool,
    pub(super) epoch: u32,
    pub(super) counter: u64,
    pub(super) behind: Option<(DocId, Revision)>,
    /// The newest key epoch that was known.
    pub(super) key_epoch: u32,
    /// The log was being heard from its beginning again.
    pub(super) returns: bool,
}

/// Where this device's own statement is.
pub(super) fn own_statement_id<S: Store>(replica: &Replica<S>) -> DocId {
    statement_doc_id(&replica.keys, replica.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_rows_and_a_newer_one_is_refused() {
        let row = StatementRow {
            revision: Revision::ONE,
            envelope: [7; 32],
            by: None,
            octets: vec![1, 2],
        };
        let octets = encode_versioned(&row);
        assert_eq!(octets, [&[1, 1][..], &[7; 32], &[0, 2, 1, 2]].concat());
        let state = ManifestState {
            epoch: 2,
            complete: Some(Generation(3)),
            returning: Some(Return::Joining),
            alarm: Some(ManifestAlarm::Lost),
            ..ManifestState::default()
        };
        let octets = encode_versioned(&state);
        let digests = [0; 5 * 5];
        let expected = [
            &[1, 2, 0][..],
            &digests,
            &digests,
            &[0, 1, 3, 0, 0, 0, 0],
            &[0; 32],
            &digests,
            &[0, 0, 1, 1, 0, 0, 1, 1, 0],
        ]
        .concat();
        assert_eq!(octets, expected);
        assert_eq!(decode_versioned::<ManifestState>(&octets).unwrap(), state);
        let newer = [&[2], &octets[1..]].concat();
        let error = decode_versioned::<ManifestState>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
