//! Taking in what the provider has, and giving it what waits here.
//!
//! Every document has a revision at the provider, and a write must follow it. When two devices
//! have written, the second is told what the first wrote, merges, and writes the revision after
//! that. Replaying any answer changes nothing.

use serde_bytes::ByteBuf;

use super::change::Change;
use super::document::{Document, MailboxDocument, is_removable};
use super::documents::{
    Base, PENDING_KEY, PENDING_REMOVAL, class, removable_classes, table_of_class,
};
use super::incoming::incoming_key;
use super::pages::incoming_placement;
use super::stating::Stated;
use super::{IncomingMessage, Replica, ReplicaError, decode_row, encode_row};
use crate::id::{Address, DocId, Generation, IncomingId, MailboxName, Revision, Timestamp};
use crate::keys::Contact;
use crate::model::AnnotationOwner;
use crate::seal::{self, Collection, EnvelopeHash, Header};
use crate::store::{Durability, KeyRange, Store, Table};
use crate::sync::wire::{BATCH_OCTETS, MAX_BATCH_DOCUMENTS, PushRequest};

/// A batch on its way to the provider.
#[derive(Debug, Clone, Default)]
pub struct PendingPush {
    /// What to send.
    pub request: PushRequest,
    pub(super) sent: Vec<Sent>,
    /// What this device states with it.
    pub(super) stated: Option<Stated>,
    /// How often this device had begun anew.
    pub(super) turn: u32,
}

impl PendingPush {
    pub(super) const fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) key: Vec<u8>,
    pub(super) document: Option<SentDocument>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct SentDocument {
    pub(super) collection: Collection,
    pub(super) id: DocId,
    revision: Revision,
    hash: EnvelopeHash,
}

impl<S: Store> Replica<S> {
    /// Takes in documents that were fetched by id, or that a conflict brought.
    pub async fn take_documents(
        &self,
        envelopes: Vec<ByteBuf>,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        let mut opened = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
            let document = self.open_document(header.document, &envelope)?;
            opened.push((header, document, envelope));
        }
        let documents = opened.iter().map(|(_, document, _)| document);
        change.foresee(documents).await?;
        for (header, document, envelope) in opened {
            change.take_envelope(&header, document, &envelope).await?;
        }
        change.place_arrivals().await?;
        change.settle_names();
        change.commit().await
    }

    /// What waits to be pushed, cut near [`BATCH_OCTETS`]; room is left for a statement.
    pub(super) async fn waiting(&self) -> Result<PendingPush, ReplicaError> {
        self.settle_flags().await?;
        let rows = KeyRange::all().limit(MAX_BATCH_DOCUMENTS - 1);
        let rows = self.store.scan(Table::Pending, rows).await?;
        let mut push = PendingPush::default();
        let mut octets = 0_usize;
        for (key, _) in rows {
            let (&class, id) = key.split_first().ok_or(ReplicaError::Row("pending"))?;
            if class == PENDING_REMOVAL {
                let id = IncomingId::try_from(id).map_err(|_| ReplicaError::Row("pending"))?;
                push.request.remove_incoming.push(id);
                push.sent.push(Sent {
                    key,
                    document: None,
                });
                continue;
            }
            let id = DocId::try_from(id).map_err(|_| ReplicaError::Row("pending"))?;
            let envelope = self.envelope(table_of_class(class), id).await?;
            // Collected since the rows were read.
            let Some(envelope) = envelope else { continue };
            octets = octets.saturating_add(envelope.len());
            if octets > BATCH_OCTETS && !push.sent.is_empty() {
                break;
            }
            let header = Header::parse(&envelope).map_err(seal::OpenError::from)?;
            let collection = self.keys.collection(header.collection);
            let document = Some(SentDocument {
                collection: collection.ok_or(seal::OpenError::Foreign(id))?,
                id,
                revision: header.revision,
                hash: seal::hash(&envelope),
            });
            push.sent.push(Sent { key, document });
            push.request.documents.push(ByteBuf::from(envelope));
        }
        Ok(push)
    }

    /// Whether a secret key waits to be pushed.
    pub async fn has_pending_key(&self) -> Result<bool, ReplicaError> {
        let rows = KeyRange::prefix(&[PENDING_KEY]).limit(1);
        Ok(!self.store.scan(Table::Pending, rows).await?.is_empty())
    }

    /// Whether anything waits to be pushed.
    pub async fn has_pending(&self) -> Result<bool, ReplicaError> {
        if self.has_flag_edits() {
            return Ok(true);
        }
        let rows = self
            .store
            .scan(Table::Pending, KeyRange::all().limit(1))
            .await?;
        Ok(!rows.is_empty())
    }

    /// The provider has stored the batch. If this is lost, it is pushed again, and found there.
    pub async fn pushed(&self, push: &PendingPush, now: Timestamp) -> Result<(), ReplicaError> {
        self.pushed_by(push, None, now).await
    }

    /// The same; by this generation the provider had it.
    pub(crate) async fn pushed_by(
        &self,
        push: &PendingPush,
        generation: Option<Generation>,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        if !self.is_of_now(push).await? {
            // What the provider has of it is heard with the log.
            change.note_counter(push).await?;
            return change.commit().await;
        }
        if let Some(stated) = &push.stated {
            change.confirm_statement(stated, generation).await?;
        }
        for Sent { key, document } in &push.sent {
            match document {
                Some(sent) => change.confirm(key, sent).await?,
                None => change.batch.delete(Table::Pending, key.clone()),
            }
        }
        change.batch.durability = Durability::Process;
        change.commit().await
    }

    /// The certificate of a correspondent, as the account knows it.
    pub async fn contact(&self, address: &Address) -> Result<Option<Contact>, ReplicaError> {
        let row = self
            .store
            .get(Table::Contacts, &contact_key(address))
            .await?;
        row.map(|row| decode_row(Table::Contacts, &row)).transpose()
    }

    /// All correspondents whose certificates are known.
    pub async fn contacts(&self) -> Result<Vec<Contact>, ReplicaError> {
        let rows = self.store.scan(Table::Contacts, KeyRange::all()).await?;
        rows.iter()
            .map(|(_, row)| decode_row(Table::Contacts, row))
            .collect()
    }

    /// Stores what was learnt about a correspondent.
    pub async fn store_contact(
        &self,
        contact: Contact,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        change.put_contact(&contact);
        change.write(&Document::Contact(Box::new(contact))).await?;
        change.commit().await
    }

    /// Stores a new secret key of the account.
    pub async fn store_key(&self, secret: &[u8], now: Timestamp) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        let key = super::document::KeyDocument {
            secret: secret.to_vec(),
        };
        let id = change.write(&Document::Key(key)).await?;
        change.note_key(id).await?;
        change.commit().await
    }

    /// The documents of the account's secret keys that have come to this device, in order.
    pub async fn secret_key_ids(&self) -> Result<Vec<DocId>, ReplicaError> {
        let rows = KeyRange::prefix(KEY_PREFIX);
        let rows = self.store.scan(Table::Meta, rows).await?;
        let ids = rows.into_iter().map(|(key, _)| {
            let id = key.get(KEY_PREFIX.len()..);
            id.and_then(|id| DocId::try_from(id).ok())
                .ok_or(ReplicaError::Row("meta"))
        });
        ids.collect()
    }

    /// What is in these.
    pub async fn secret_keys(
        &self,
        ids: &[DocId],
    ) -> Result<Vec<super::document::KeyDocument>, ReplicaError> {
        let mut keys = Vec::new();
        for &id in ids {
            if let Some(Document::Key(key)) = self.document(Collection::Keys, id).await? {
                keys.push(key);
            }
        }
        Ok(keys)
    }
}

/// How the provider came to speak of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// In an answer to a pull, which may be an old one.
    InTheLog,
    /// As what it has now.
    AsCurrent,
}

/// Rows of the Meta table that name the documents of secret keys.
const KEY_PREFIX: &[u8] = b"key ";

impl<S: Store> Change<'_, S> {
    pub(super) fn put_contact(&mut self, contact: &Contact) {
        self.batch.put(
            Table::Contacts,
            contact_key(&contact.address),
            encode_row(contact),
        );
    }

    #[expect(
        clippy::unused_async,
        reason = "writes like every other step of a change"
    )]
    async fn note_key(&mut self, id: DocId) -> Result<(), ReplicaError> {
        self.batch.put(
            Table::Meta,
            [KEY_PREFIX, id.as_bytes()].concat(),
            Vec::new(),
        );
        Ok(())
    }

    /// The provider has stored what was sent of this document.
    async fn confirm(&mut self, key: &[u8], sent: &SentDocument) -> Result<(), ReplicaError> {
        let SentDocument {
            collection,
            id,
            revision,
            hash,
        } = *sent;
        let Some(current) = self.envelope(collection, id).await? else {
            // Collected here while it was on its way. It comes back with the log, with nothing
            // that refers to it, and is collected again, at the provider too.
            self.batch.delete(Table::Pending, key);
            return Ok(());
        };
        if seal::hash(&current) == hash {
            let removal = removable_classes(collection).map(|[_, removal]| removal);
            if removal.is_some() && removal == key.first().copied() {
                self.forget(collection, id);
            } else {
                self.batch.delete(Table::Pending, key);
            }
            return Ok(());
        }
        let document = self.replica.open_document(id, &current)?;
        // Changed here while the batch was on its way, unless a pull has settled it.
        if let Some(Base(base)) = self.pending(class(&document), id).await?
            && base.is_none_or(|(known, _)| known < revision)
        {
            self.write_over(id, &document, Base(Some((revision, hash))))?;
        }
        Ok(())
    }

    /// Takes in one envelope of what the provider has now.
    async fn take_envelope(
        &mut self,
        header: &Header,
        document: Document,
        envelope: &[u8],
    ) -> Result<(), ReplicaError> {
        if matches!(document, Document::Statement(_)) {
            return self.note_statement(header).await;
        }
        let collection = document.collection();
        if self.is_late(header, collection, envelope).await? {
            return self.write_over_late(header, collection, envelope).await;
        }
        let told = Told::AsCurrent;
        self.take_opened(header, document, envelope, told).await
    }

    /// Takes in one document of the provider's.
    pub(super) async fn take_opened(
        &mut self,
        header: &Header,
        document: Document,
        envelope: &[u8],
        told: Told,
    ) -> Result<(), ReplicaError> {
        let (id, collection) = (header.document, document.collection());
        if is_removable(collection) {
            return self.take_removable(header, document, envelope, told).await;
        }
        self.saw(document.latest_stamp());
        let document = match document {
            Document::Page(page) => return self.take_page(header, page, envelope, told).await,
            document => document,
        };
        let Some(stored) = self.envelope(collection, id).await? else {
            self.settle(&document, id, envelope);
            return self.adopt(document).await;
        };
        if stored == envelope {
            self.settle(&document, id, envelope);
            return Ok(());
        }
        let Some(Base(base)) = self.pending(class(&document), id).await? else {
            let ours = Header::parse(&stored).map_err(seal::OpenError::from)?;
            // An older or equal revision is a replay of what was seen before.
            if header.revision > ours.revision {
                self.settle(&document, id, envelope);
                self.adopt(document).await?;
            }
            return Ok(());
        };
        // What the provider says it has now is what must be followed, even if it had more before.
        if told == Told::InTheLog && base.is_some_and(|(known, _)| known >= header.revision) {
            return Ok(());
        }
        let mut merged = self.replica.open_document(id, &stored)?;
        merged.merge(document.clone());
        if merged == document || !is_mergeable(&document) {
            self.settle(&document, id, envelope);
            return self.adopt(document).await;
        }
        let base = Base(Some((header.revision, seal::hash(envelope))));
        self.write_over(id, &merged, base)?;
        self.adopt(merged).await
    }

    /// Makes the rows say what the document says.
    async fn adopt(&mut self, document: Document) -> Result<(), ReplicaError> {
        match document {
            Document::Mailbox(mailbox) => self.adopt_mailbox(mailbox).await,
            Document::Annotations(noted) => self.adopt_annotations(&noted),
            Document::Contact(contact) => {
                self.put_contact(&contact);
                Ok(())
            }
            Document::Key(_) => {
                let id = document.doc_id(&self.replica.keys);
                self.note_key(id).await
            }
            // The first is read where it is wanted; `take_page` and `take_removable` take the others in.
            Document::Directory(_)
            | Document::Statement(_)
            | Document::Page(_)
            | Document::Message(_)
            | Document::Content(_)
            | Document::Removed(_) => Ok(()),
        }
    }

    async fn adopt_mailbox(&mut self, document: MailboxDocument) -> Result<(), ReplicaError> {
        let id = document.id;
        let gone = document.deleted;
        match self.mailbox(id) {
            None => {
                let row = self.new_mailbox(document)?;
                self.put_mailbox(row);
            }
            Some(mut row) => {
                row.document = document;
                self.put_mailbox(row);
            }
        }
        if gone {
            self.drop_annotations(AnnotationOwner::Mailbox(id));
        }
        if gone && id != self.inbox() {
            // What others put there while it was being deleted is not lost.
            for uid in self.uids(id) {
                self.move_placement(id, uid, self.inbox()).await?;
            }
        }
        Ok(())
    }

    pub(super) fn inbox(&self) -> crate::id::MailboxId {
        self.replica.keys.mailbox_id(MailboxName::inbox().as_str())
    }

    pub(super) async fn queue_incoming(
        &mut self,
        incoming: &IncomingMessage,
    ) -> Result<(), ReplicaError> {
        let keys = &self.replica.keys;
        let placement = incoming_placement(keys, incoming.id, incoming.generation);
        if self.is_known(placement).await? {
            // Taken in, and the provider has forgotten it or has not been told yet.
            let removal = [&[PENDING_REMOVAL], &incoming.id.as_bytes()[..]].concat();
            self.batch.put(Table::Pending, removal, Vec::new());
        } else {
            let key = incoming_key(incoming.generation);
            self.batch.put(Table::Incoming, key, encode_row(incoming));
        }
        Ok(())
    }

    pub(super) async fn forget_incoming(&mut self, id: IncomingId) -> Result<(), ReplicaError> {
        for (key, row) in self
            .replica
            .store
            .scan(Table::Incoming, KeyRange::all())
            .await?
        {
            let incoming: IncomingMessage = decode_row(Table::Incoming, &row)?;
            if incoming.id == id {
                self.batch.delete(Table::Incoming, key);
            }
        }
        // It may have come earlier in this same answer.
        self.batch.ops.retain(|op| !is_incoming(op, id));
        Ok(())
    }
}

fn is_incoming(op: &crate::store::Op, id: IncomingId) -> bool {
    let crate::store::Op::Put(Table::Incoming, _, row) = op else {
        return false;
    };
    decode_row::<IncomingMessage>(Table::Incoming, row).is_ok_and(|incoming| incoming.id == id)
}

const fn is_mergeable(document: &Document) -> bool {
    match document {
        Document::Mailbox(_)
        | Document::Page(_)
        | Document::Annotations(_)
        | Document::Contact(_)
        | Document::Directory(_) => true,
        Document::Key(_)
        | Document::Message(_)
        | Document::Content(_)
        | Document::Statement(_)
        | Document::Removed(_) => false,
    }
}

fn contact_key(address: &Address) -> Vec<u8> {
    address.canonical().as_str().as_bytes().to_vec()
}
