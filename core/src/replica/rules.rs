//! Hearing the log by the rules of [`super::manifest`].

use std::collections::BTreeMap;

use super::directory::encode_versioned;
use super::epochs::put_settled;
use super::manifest::{
    Anew, Asked, ManifestState, Return, StatementRow, Statements, put_state, statement_key,
};
use super::unsure::put_unsure;
use super::{Replica, ReplicaError, decode_row, encode_row};
use crate::auth::SignedDeviceList;
use crate::id::{DocId, Generation, ReplicaId, Revision};
use crate::manifest::{
    Digests, Fingerprint, MAX_SEEN, ManifestAlarm, Part, Seen, SignedStatement, Statement,
    fingerprint,
};
use crate::seal::{AccountKeys, Collection, EnvelopeHash, Header};
use crate::store::{Batch, Store, Table};

type ToldRow = (Revision, Fingerprint);

impl<S: Store> Replica<S> {
    /// What is known, before some of the log is heard.
    pub(super) async fn hearing(
        &self,
        state: ManifestState,
        ids: &[DocId],
    ) -> Result<Hearing<'_>, ReplicaError> {
        let mut told = BTreeMap::new();
        if state.heard != Digests::default() {
            let keys = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
            let rows = self.store.get_many(Table::Told, keys).await?;
            for (id, row) in ids.iter().zip(rows) {
                if let Some(row) = row {
                    told.insert(*id, decode_row(Table::Told, &row)?);
                }
            }
        }
        let devices = self.devices_state().await?;
        let list = devices.list.as_deref();
        Ok(Hearing {
            keys: &self.keys,
            own: self.id,
            state,
            told,
            statements: self.statements().await?,
            list: list.and_then(|list| SignedDeviceList::parse(list).ok()),
            heard: Vec::new(),
            statements_heard: Vec::new(),
            settled: self.settled_epoch().await?,
            settles: None,
            late: None,
            alarm: None,
            joins: None,
            is_unsure: false,
        })
    }
}

/// Whether a document that the log tells of is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// It is.
    Yes,
    /// If nothing in it is new: it is under keys that the account has given up, and a device that has
    /// begun anew hears of all again.
    IfKnown,
    /// It is not.
    No,
}

/// Some of the log being heard.
pub(super) struct Hearing<'a> {
    keys: &'a AccountKeys,
    own: ReplicaId,
    pub(super) state: ManifestState,
    told: BTreeMap<DocId, ToldRow>,
    statements: Statements,
    list: Option<SignedDeviceList>,
    heard: Vec<DocId>,
    statements_heard: Vec<ReplicaId>,
    /// The key epoch in which all was heard before.
    settled: u32,
    /// That in which it is now.
    settles: Option<u32>,
    /// Something under keys that the account has given up. It is told of, and nothing else follows:
    /// what is here stays as it is.
    late: Option<Part>,
    /// The first that was found.
    alarm: Option<ManifestAlarm>,
    /// The epoch of a device that has begun anew.
    joins: Option<u32>,
    /// The provider has something of this device's that it did not know to be there. A device that
    /// does not hear of contents cannot tell which of them.
    is_unsure: bool,
}

impl Hearing<'_> {
    /// Hears of a document that is no statement.
    pub(super) fn document(
        &mut self,
        header: &Header,
        collection: Collection,
        hash: &EnvelopeHash,
    ) -> Taking {
        let is_old = header.epoch < self.settled;
        let taking = if is_old { Taking::IfKnown } else { Taking::Yes };
        if collection == Collection::Contents && self.state.lacks_contents {
            return taking;
        }
        let (id, part) = (header.document, Part::from(collection));
        let new = (header.revision, fingerprint(hash));
        if is_old && self.state.returning.is_none() && self.told.get(&id) != Some(&new) {
            self.late.get_or_insert(part);
            return Taking::No;
        }
        if let Some(known) = self.told.get(&id).copied() {
            if new.0 < known.0 {
                self.raise(ManifestAlarm::Older(part));
                return Taking::No;
            }
            if new.0 == known.0 {
                if new.1 != known.1 {
                    self.raise(ManifestAlarm::Rewritten(part));
                    return Taking::No;
                }
                return taking;
            }
            let follows = known.0.next() != Some(new.0) || fingerprint(&header.previous) == known.1;
            if !follows {
                self.raise(ManifestAlarm::Rewritten(part));
            }
            let heard = &mut self.state.heard;
            heard.remove_document(self.keys, collection, id, known);
        }
        let heard = &mut self.state.heard;
        heard.add_document(self.keys, collection, id, new);
        self.told.insert(id, new);
        self.heard.push(id);
        taking
    }

    /// Hears of a statement.
    pub(super) fn statement(
        &mut self,
        header: &Header,
        signed: SignedStatement,
        envelope: EnvelopeHash,
    ) {
        let statement = signed.statement();
        let device = statement.device;
        match self.judge(header, &signed, &envelope) {
            Ok(()) => {}
            Err(None) => return,
            Err(Some(ManifestAlarm::OldKeys(part))) => {
                self.late.get_or_insert(part);
                return;
            }
            Err(Some(alarm)) => return self.raise(alarm),
        }
        if statement.epoch > self.state.epoch {
            self.joins = self.joins.max(Some(statement.epoch));
        }
        if let Some((_, before)) = self.statements.get(&device) {
            let before = before.statement().added;
            self.state.stated.subtract(&before);
        }
        self.state.stated.add(&statement.added);
        if device == self.own {
            self.adopt(&signed, (header.revision, envelope));
        }
        let behind = self.state.behind;
        if behind.is_some_and(|(id, at)| id == header.document && at <= header.revision) {
            self.state.behind = None;
        }
        let row = StatementRow {
            revision: header.revision,
            envelope,
            by: None,
            octets: signed.octets().to_vec(),
        };
        self.statements.insert(device, (row, signed));
        self.statements_heard.push(device);
    }

    /// Whether a statement is one, and follows those before it; else what is wrong, if anything.
    fn judge(
        &self,
        header: &Header,
        signed: &SignedStatement,
        envelope: &EnvelopeHash,
    ) -> Result<(), Option<ManifestAlarm>> {
        let statement = signed.statement();
        let device = statement.device;
        let known = self.statements.get(&device);
        let listed = self.list.as_ref().and_then(|list| list.list().find(device));
        let key = match (known, listed) {
            (Some((_, known)), _) => Some(known.statement().key),
            (None, listed) => listed.map(|listed| listed.key),
        };
        let is_by = signed.is_signed() && key.is_none_or(|key| key == statement.key);
        if !is_by || statement.account != self.keys.account() {
            return Err(Some(ManifestAlarm::NotSigned(device)));
        }
        let counter = known.map_or(0, |(_, known)| known.statement().counter);
        if known
            .is_some_and(|(row, _)| header.revision == row.revision && *envelope == row.envelope)
        {
            return Err(None);
        }
        if header.epoch < self.settled && self.state.returning.is_none() {
            return Err(Some(ManifestAlarm::OldKeys(Part::Statements)));
        }
        if let Some((row, before)) = known {
            if header.revision < row.revision || statement.counter < counter {
                return Err(Some(ManifestAlarm::Older(Part::Statements)));
            }
            let is_other = header.revision == row.revision
                || (statement.counter == counter && signed != before)
                || (counter.checked_add(1) == Some(statement.counter)
                    && statement.previous != before.hash());
            if is_other {
                return Err(Some(ManifestAlarm::Rewritten(Part::Statements)));
            }
        }
        if let Some((arrived, at)) = statement.arrived
            && statement.epoch == self.state.epoch
            && self.state.complete.is_some_and(|complete| at <= complete)
            && counter < arrived
        {
            return Err(Some(ManifestAlarm::Forked(device)));
        }
        Ok(())
    }

    /// A statement of this device's own, which may have arrived without this device's knowing.
    fn adopt(&mut self, signed: &SignedStatement, base: (Revision, EnvelopeHash)) {
        let own = &mut self.state.own;
        let statement = signed.statement();
        if statement.counter < own.counter {
            return;
        }
        if statement.counter > own.counter {
            own.arrived = None;
            self.is_unsure = true;
        }
        (own.counter, own.hash) = (statement.counter, signed.hash());
        own.stored = statement.counter;
        (own.base, own.added) = (Some(base), statement.added);
    }

    /// The end of an answer.
    pub(super) fn finish(&mut self, more: bool, until: Generation, asked: Option<Asked>) {
        self.state.at_end = !more;
        if more {
            return;
        }
        self.state.complete = Some(until);
        self.settles = asked.map(|asked| asked.key_epoch);
        if let Some(why) = self.state.returning.take() {
            self.is_unsure = true;
            let told = self.statements.get(&self.own);
            let own = &mut self.state.own;
            own.base = told.map(|(row, _)| (row.revision, row.envelope));
            own.added = told.map_or_else(Digests::default, |(_, told)| told.statement().added);
            own.stored = told.map_or(0, |(_, told)| told.statement().counter);
            own.arrived = None;
            self.state.repairs = why == Return::First;
            self.state.repaired = None;
        }
        let told = self.statements.get(&self.own);
        let told = told.map_or(0, |(_, told)| told.statement().counter);
        if self.state.repaired.is_some_and(|counter| counter <= told) {
            self.state.repaired = None;
        }
        if let Some(asked) = asked.filter(|asked| asked.epoch == self.state.epoch) {
            let is_behind = asked.behind.is_some() && asked.behind == self.state.behind;
            if told < asked.counter || is_behind {
                self.raise(ManifestAlarm::Dropped);
            }
        }
        if let Some(alarm) = self.unseen().or_else(|| self.compare()) {
            self.raise(alarm);
        }
        for (device, (row, _)) in &mut self.statements {
            if row.by.is_none() {
                row.by = Some(until);
                self.statements_heard.push(*device);
            }
        }
    }

    /// Of what a statement has seen, what was not told here.
    fn unseen(&self) -> Option<ManifestAlarm> {
        if self.statements_heard.is_empty() {
            return None;
        }
        let all = self
            .statements
            .values()
            .map(|(_, signed)| signed.statement());
        let mine = all.filter(|statement| statement.epoch == self.state.epoch);
        let mut seen = mine.flat_map(|statement| &statement.seen);
        let missing = seen.find(|seen| {
            let told = self.statements.get(&seen.device);
            told.is_none_or(|(_, told)| is_missing(&told.seen(), seen))
        });
        if let Some(seen) = missing {
            return Some(ManifestAlarm::Forked(seen.device));
        }
        let mut all = self
            .statements
            .values()
            .map(|(_, signed)| signed.statement());
        all.find_map(|statement| self.unseen_by(statement))
    }

    /// What was told here and was not told to a device that had heard as much of the log.
    fn unseen_by(&self, statement: &Statement) -> Option<ManifestAlarm> {
        if statement.epoch != self.state.epoch {
            return None;
        }
        let is_cut = statement.seen.len() >= MAX_SEEN;
        let known = self.statements.values();
        let known = known.filter(|(row, _)| row.by.is_some_and(|by| by <= statement.heard));
        let mut known = known.map(|(_, known)| known.seen());
        let is_unseen = |known: &Seen| {
            let mut seen = statement.seen.iter();
            let seen = seen.find(|seen| seen.device == known.device);
            known.device != statement.device && seen.map_or(!is_cut, |seen| is_missing(seen, known))
        };
        let unseen = known.find(is_unseen)?;
        Some(ManifestAlarm::Forked(unseen.device))
    }

    fn compare(&self) -> Option<ManifestAlarm> {
        if self.state.repairs || self.state.repaired.is_some() {
            return None;
        }
        let (heard, stated) = (&self.state.heard, &self.state.stated);
        let mut compared = Collection::ALL
            .into_iter()
            .filter(|collection| *collection != Collection::Contents || !self.state.lacks_contents);
        let other = compared.find(|one| heard.get(*one) != stated.get(*one))?;
        Some(ManifestAlarm::Incomplete {
            part: other.into(),
            stored: stated.get(other).count(),
            shown: heard.get(other).count(),
        })
    }

    fn raise(&mut self, alarm: ManifestAlarm) {
        self.alarm.get_or_insert(alarm);
    }

    /// Puts what has changed into the batch; what follows.
    pub(super) fn write(
        mut self,
        before: Option<&ManifestState>,
        batch: &mut Batch,
    ) -> Option<Anew> {
        if self.is_unsure && self.state.lacks_contents {
            put_unsure(batch);
        }
        if let Some(part) = self.late {
            self.state.alarm.get_or_insert(ManifestAlarm::OldKeys(part));
        }
        for id in &self.heard {
            if let Some(told) = self.told.get(id) {
                batch.put(Table::Told, *id.as_bytes(), encode_row(told));
            }
        }
        for device in &self.statements_heard {
            if let Some((row, _)) = self.statements.get(device) {
                batch.put(Table::Meta, statement_key(*device), encode_versioned(row));
            }
        }
        if before != Some(&self.state) {
            put_state(batch, &self.state);
        }
        if let Some(epoch) = self.settles.filter(|epoch| *epoch > self.settled) {
            put_settled(batch, epoch);
        }
        // What others have found out already explains what is found here.
        let joined = self.joins.map(Anew::Joined);
        joined.or_else(|| self.alarm.map(Anew::Found))
    }
}

/// Whether what was told of a device is less than what another has seen, or something else.
fn is_missing(told: &Seen, seen: &Seen) -> bool {
    told.counter < seen.counter
        || (told.counter == seen.counter && told.fingerprint != seen.fingerprint)
}
