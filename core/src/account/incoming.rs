//! Taking in what the MX sealed: open, judge, split, store.

use std::borrow::Cow;

use super::heard::says_more;
use super::{Account, Answers, KeyError};
use crate::id::{Address, MessageHash, Timestamp};
use crate::keys::transparency::SignedHead;
use crate::keys::{Contact, Decision, Offer, Source, attached, autocrypt, keyring, silence};
use crate::mime::{header, strip_status_fields};
use crate::openpgp::decrypt::{self, Limits};
use crate::openpgp::pgp_mime::{Opened, Pending};
use crate::openpgp::{Certificate, SignatureStatus, pgp_mime};
use crate::replica::directory::HeardHead;
use crate::replica::{Arrived, IncomingMessage, ReplicaError};
use crate::store::Store;

/// What became of an incoming message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenIn {
    /// It is in INBOX; `None` if another device had put it there before.
    Done(Option<MessageHash>),
    /// It is signed, and the signer's certificate may be in a directory: look this address up
    /// and call again with the answer.
    NeedsCertificate(Address),
    /// It does not open. It is kept, here and at the provider, with the reason.
    Kept(String),
}

impl<S: Store> Account<S> {
    /// Opens an incoming message, judges its signatures, splits it into documents, stores them
    /// sealed and forgets the incoming form: the last three in one atomic step.
    pub async fn take_in(
        &self,
        incoming: &IncomingMessage,
        answers: &Answers,
        now: Timestamp,
    ) -> Result<TakenIn, KeyError> {
        let keys = self.own_keys().await?;
        let limits = Limits::default();
        let opened = decrypt::message_with(&incoming.message, &keys, &limits, self.bulk()).await;
        let raw = match opened {
            Ok(decrypted) => decrypted.plaintext,
            Err(error) => return self.keep(incoming, error.to_string(), now).await,
        };
        let raw: &[u8] = raw.as_ref();
        let stripped = strip_status_fields(raw);
        let pending = pgp_mime::open_with(&stripped, &keys, &limits, self.bulk()).await;
        let author = pending.from_address().cloned();
        let signed = !pending.signatures().is_empty();
        let mut contact = match &author {
            Some(author) => self.learn_from_mail(raw, &pending, author, now).await?,
            None => None,
        };
        let header = raw.get(..header::header_end(raw)).unwrap_or(raw);
        if let Some(author) = &author {
            self.hear_of_pointer(header, author, now).await?;
        }
        self.learn_from_gossip(&pending, now).await?;
        let mut certificates: Vec<Certificate> = contact
            .iter()
            .flat_map(|contact| [contact.parse_certificate(), contact.parse_companion()])
            .flatten()
            .collect();
        if let Some(author) = author.filter(|_| signed) {
            match self.certificates_of(&author, answers).await? {
                Some(known) => {
                    certificates.extend(known);
                    let answered = answers.contains_key(&author.canonical());
                    if !answered && self.may_have_another(&author, &pending, &certificates) {
                        return Ok(TakenIn::NeedsCertificate(author));
                    }
                    let learnt = self.learn_from_answer(&author, answers, now).await?;
                    let successor = learnt.as_ref().and_then(Contact::parse_certificate);
                    certificates.extend(successor);
                    contact = learnt.or(contact);
                }
                None if certificates.is_empty() => return Ok(TakenIn::NeedsCertificate(author)),
                None => {}
            }
        }
        let opened = pending.judge(&certificates, now);
        self.hear_of_directory(&pending, &opened, now).await?;
        let sent_at = silence::effective_date(header, incoming.received_at);
        let (author, signature) = (pending.from_address(), &opened.protection.signature);
        let contact = self
            .hear_of_key(contact, author, signature, sent_at, now)
            .await?;
        let rendered = strip_below(&opened);
        let unjudged = author.filter(|_| signature.is_by_unknown_key());
        let arrived = Arrived {
            rendered: &rendered,
            received: (*rendered != *raw).then_some(raw),
            protection: opened.protection.clone(),
            contact,
            unjudged: unjudged.map(|author| (author.clone(), pending.signatures().issuers())),
        };
        match self.replica.take_in(incoming, arrived, now).await {
            Ok(message) => Ok(TakenIn::Done(message)),
            // It would be so at every attempt, and those behind it wait.
            Err(error @ ReplicaError::MessageTooLarge) => {
                self.keep(incoming, error.to_string(), now).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a user of our own provider has signed with a key that is not known here: a
    /// successor, of which our provider's directory knows. Of others it knows nothing.
    fn may_have_another(
        &self,
        author: &Address,
        pending: &Pending<'_>,
        known: &[Certificate],
    ) -> bool {
        let issuers = pending.signatures().issuers();
        let own = self.address();
        let at_home = author.domain().eq_ignore_ascii_case(own.domain());
        let is_known = |issuer| known.iter().any(|certificate| certificate.has_key(issuer));
        at_home
            && author.canonical() != own.canonical()
            && !issuers.is_empty()
            && !issuers.iter().any(is_known)
    }

    async fn keep(
        &self,
        incoming: &IncomingMessage,
        problem: String,
        now: Timestamp,
    ) -> Result<TakenIn, KeyError> {
        self.replica
            .note_problem(incoming.clone(), problem.clone(), now)
            .await?;
        Ok(TakenIn::Kept(problem))
    }

    /// What a mail brings of its author's certificate, if it changes what is known: its `Autocrypt`
    /// field, else its attachments.
    async fn learn_from_mail(
        &self,
        raw: &[u8],
        pending: &Pending<'_>,
        author: &Address,
        now: Timestamp,
    ) -> Result<Option<Contact>, ReplicaError> {
        let offer = |certificate, source: Source, prefers_encryption| Offer {
            address: author.canonical(),
            certificate,
            level: source.level(),
            seen_at: now,
            prefers_encryption,
        };
        let header = raw.get(..header::header_end(raw)).unwrap_or(raw);
        if let Some(found) = autocrypt::read(header, author) {
            let prefers = found.prefers_encryption;
            let offer = offer(found.certificate, Source::Autocrypt, prefers);
            return self.consider(&offer, None, now).await;
        }
        for certificate in attached::read(pending.entity(), author, now) {
            let offer = offer(certificate, Source::Attachment, false);
            let learnt = self.consider(&offer, None, now).await?;
            if learnt.is_some() {
                return Ok(learnt);
            }
        }
        Ok(None)
    }

    /// What an encrypted mail tells of its other recipients. It makes nobody's key another: it
    /// helps out where none is known, and what is known it may add to.
    async fn learn_from_gossip(
        &self,
        pending: &Pending<'_>,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        if !pending.was_encrypted() {
            return Ok(());
        }
        let entity = pending.entity();
        let inner = entity.get(..header::header_end(entity)).unwrap_or(entity);
        for (address, certificate) in autocrypt::read_gossip(inner, &pending.recipients()) {
            let known = self.contact(&address).await?;
            let other = known
                .and_then(|contact| contact.parse_certificate())
                .is_some_and(|known| known.fingerprint() != certificate.fingerprint());
            if other {
                continue;
            }
            let offer = Offer {
                address,
                certificate,
                level: Source::Gossip.level(),
                seen_at: now,
                prefers_encryption: false,
            };
            if let Some(contact) = self.consider(&offer, None, now).await? {
                self.replica.store_contact(contact, now).await?;
            }
        }
        Ok(())
    }

    /// Which head of our provider's directory the author of an encrypted mail was shown: it is
    /// compared with ours at the next sync.
    async fn hear_of_directory(
        &self,
        pending: &Pending<'_>,
        opened: &Opened,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let Some(from) = pending.from_address().filter(|_| pending.was_encrypted()) else {
            return Ok(());
        };
        let entity = pending.entity();
        let inner = entity.get(..header::header_end(entity)).unwrap_or(entity);
        let Some(head) = pgp_mime::read_head_field(inner) else {
            return Ok(());
        };
        // What is not signed by the key that it names, nobody has to compare.
        if SignedHead::parse(&head).is_err() {
            return Ok(());
        }
        let signature = &opened.protection.signature;
        let told = HeardHead {
            from: from.canonical(),
            head,
            is_vouched_for: matches!(signature, SignatureStatus::Valid { .. }),
        };
        self.hear_of_head(&told, now).await
    }

    /// What a directory's answer tells, if it changes what is known.
    pub(super) async fn learn_from_answer(
        &self,
        address: &Address,
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Option<Contact>, ReplicaError> {
        let Some(Some(found)) = answers.get(&address.canonical()) else {
            return Ok(None);
        };
        let companion = found.companion.as_ref();
        self.consider(&found.offer(address, now), companion, now)
            .await
    }

    async fn consider(
        &self,
        offer: &Offer,
        companion: Option<&Certificate>,
        now: Timestamp,
    ) -> Result<Option<Contact>, ReplicaError> {
        if offer.address == self.address().canonical() {
            return Ok(None);
        }
        let existing = self.contact(&offer.address).await?;
        Ok(match keyring::consider(existing.as_ref(), offer, now) {
            Decision::Store(contact) => {
                let contact = contact.with_companion(companion, now);
                says_more(existing.as_ref(), &contact).then_some(contact)
            }
            Decision::Keep(_) => None,
        })
    }
}

/// Removes status fields that were inside the encryption, at every level, below our own.
pub(super) fn strip_below(opened: &Opened) -> Cow<'_, [u8]> {
    let ours = opened.protection.header_fields();
    let Some(rest) = opened.rendered.strip_prefix(ours.as_bytes()) else {
        return strip_status_fields(&opened.rendered);
    };
    match strip_status_fields(rest) {
        Cow::Borrowed(_) => Cow::Borrowed(&opened.rendered),
        Cow::Owned(rest) => Cow::Owned([ours.as_bytes(), &rest].concat()),
    }
}
