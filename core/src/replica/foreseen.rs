//! Rows that a change is going to ask for, read together before it does.
//!
//! A first sync takes in thousands of messages, and each asks for a handful of rows; in a browser every
//! question by itself is a transaction of IndexedDB. Invariant: what is foreseen is what the store has
//! as long as the change is being made, because whoever makes one has the writer's lock and its commit
//! fails if another program has written. Contents are not foreseen: they are the bulk.

use std::collections::{BTreeMap, BTreeSet};

use super::ReplicaError;
use super::change::Change;
use super::document::Document;
use super::references::Referred;
use crate::id::DocId;
use crate::store::{Key, Store, Table};

/// By table and key.
pub(super) type Foreseen = BTreeMap<Table, BTreeMap<Key, Option<Vec<u8>>>>;

impl<S: Store> Change<'_, S> {
    /// A row as the store has it.
    pub(super) async fn row(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, ReplicaError> {
        let foreseen = self.foreseen.get(&table);
        match foreseen.and_then(|rows| rows.get(key)) {
            Some(row) => Ok(row.clone()),
            None => Ok(self.replica.store.get(table, key).await?),
        }
    }

    /// Reads what taking in these documents asks for.
    pub(super) async fn foresee<'d>(
        &mut self,
        documents: impl Iterator<Item = &'d Document>,
    ) -> Result<(), ReplicaError> {
        let (mut pages, mut messages) = (BTreeSet::new(), BTreeSet::new());
        let mut referred = BTreeSet::new();
        for document in documents {
            match document {
                Document::Page(page) => {
                    pages.insert(page.id);
                }
                Document::Message(message) => {
                    messages.insert(document.doc_id(&self.replica.keys));
                    referred.extend(self.replica.referred(message));
                }
                _ => {}
            }
        }
        self.read_pages(pages).await?;
        // One by one is as good for a few.
        if messages.len() < 2 {
            return Ok(());
        }
        let ids = referred.iter().map(|one| self.replica.doc_id_of(*one));
        let ids: BTreeSet<DocId> = ids.collect();
        let all = ids.union(&messages).map(|id| id.as_bytes().to_vec());
        let all: Vec<Key> = all.collect();
        let garbage = referred.into_iter().map(Referred::garbage_key);
        let messages = messages.iter().map(|id| id.as_bytes().to_vec());
        let wanted = [
            (Table::Documents, messages.collect()),
            (Table::References, all.clone()),
            (Table::Awaited, all),
            (Table::Garbage, garbage.collect::<Vec<Key>>()),
        ];
        for (table, keys) in wanted {
            let rows = self.replica.store.get_many(table, keys.clone()).await?;
            let foreseen = self.foreseen.entry(table).or_default();
            foreseen.extend(keys.into_iter().zip(rows));
        }
        Ok(())
    }
}
