//! What a mail is encrypted to: for each recipient one certificate that every sender can use, and,
//! for users of the same provider, one of version 6 for mail that all of its recipients can read.
//!
//! Invariant: one message is encrypted to certificates of one kind. A container of version 2 is
//! for those alone who all say that they read it (RFC 9580 13.7), so one recipient without
//! version 6 brings the whole message to version 4.

use super::{Account, Answers, KeyError};
use crate::id::{Address, Timestamp};
use crate::keys::{Contact, Decision, Role, keyring, published};
use crate::openpgp::Certificate;
use crate::store::Store;

/// What can be encrypted to for one recipient.
#[derive(Debug, Clone)]
pub(super) struct Recipient {
    /// What everybody can use.
    pub(super) certificate: Certificate,
    /// What is preferred if all have one.
    pub(super) companion: Option<Certificate>,
}

impl Recipient {
    /// The certificate of version 6, if there is one.
    pub(super) fn version6(&self) -> Option<&Certificate> {
        let alone = published::is_version6(&self.certificate).then_some(&self.certificate);
        self.companion.as_ref().or(alone)
    }
}

/// Whom to ask for what is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Any certificate will do.
    Any,
    /// Our provider shall be asked for the second one of its own users.
    Both,
}

impl<S: Store> Account<S> {
    /// Which of these recipients have a usable certificate. `Err` names those to be looked up
    /// first.
    pub async fn recipients(
        &self,
        addresses: &[Address],
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Result<Vec<(Address, Option<Certificate>)>, Vec<Address>>, KeyError> {
        let found = self
            .encrypt_to(addresses, answers, Wanted::Any, now)
            .await?;
        Ok(found.map(|found| {
            let found = found.into_iter();
            found
                .map(|(address, known)| (address, known.map(|known| known.certificate)))
                .collect()
        }))
    }

    /// The same with all that can be encrypted to.
    pub(super) async fn encrypt_to(
        &self,
        addresses: &[Address],
        answers: &Answers,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Result<Vec<(Address, Option<Recipient>)>, Vec<Address>>, KeyError> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for address in addresses {
            match self.recipient(address, answers, wanted, now).await? {
                None => unknown.push(address.clone()),
                Some(known) => {
                    let usable = known.filter(|known| is_usable(&known.certificate, now));
                    found.push((address.clone(), usable));
                }
            }
        }
        Ok(if unknown.is_empty() {
            Ok(found)
        } else {
            Err(unknown)
        })
    }

    /// Our own certificates in use, as those of a recipient.
    pub(super) async fn own_recipient(
        &self,
        now: Timestamp,
    ) -> Result<Option<Recipient>, KeyError> {
        let keys = self.own_keys().await?;
        let of = |role| {
            let key = keys.in_use(role, &self.address, now)?;
            Some(key.certificate().clone()).filter(|certificate| is_usable(certificate, now))
        };
        let companion = of(Role::Sealing);
        let certificate = of(Role::World).or_else(|| companion.clone());
        Ok(certificate.map(|certificate| Recipient {
            certificate,
            companion,
        }))
    }

    /// The certificate to encrypt to: the one that is known while it can be used and is not stale,
    /// else what was looked up, as far as the rules of replacement let it take that one's place.
    /// `None`: it has not been looked up yet.
    async fn recipient(
        &self,
        address: &Address,
        answers: &Answers,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<Option<Option<Recipient>>, KeyError> {
        if address.canonical() == self.address.canonical() {
            return self.own_recipient(now).await.map(Some);
        }
        let contact = self.contact(address).await?;
        let answer = answers.get(&address.canonical());
        let offered = answer.and_then(Option::as_ref);
        let companion = offered.and_then(|found| found.companion.as_ref());
        let known = contact
            .clone()
            .and_then(|contact| pair(contact, companion, now));
        let mut is_stale = false;
        if let (Some(contact), Wanted::Both) = (&contact, wanted) {
            is_stale = self.is_stale(contact).await?;
        }
        if let Some(known) = known.as_ref().filter(|_| !is_stale) {
            let at_home = address.domain().eq_ignore_ascii_case(self.address.domain());
            let may_have_more = wanted == Wanted::Both && at_home && known.version6().is_none();
            return Ok((answer.is_some() || !may_have_more).then(|| Some(known.clone())));
        }
        if answer.is_none() {
            return Ok(None);
        }
        let found = offered.and_then(|found| {
            let offer = found.offer(address, now);
            match keyring::consider(contact.as_ref(), &offer, now) {
                Decision::Store(contact) => pair(*contact, companion, now),
                Decision::Keep(_) => None,
            }
        });
        // What is stale is better than nothing.
        Ok(Some(found.or(known)))
    }
}

/// What a contact can be encrypted to, with a companion that was looked up; `None` if its
/// certificate cannot be used now.
fn pair(contact: Contact, companion: Option<&Certificate>, now: Timestamp) -> Option<Recipient> {
    let contact = contact.with_companion(companion, now);
    let usable = |certificate: &Certificate| is_usable(certificate, now);
    Some(Recipient {
        certificate: contact.parse_certificate().filter(usable)?,
        companion: contact.parse_companion().filter(usable),
    })
}

fn is_usable(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.usable_for_encryption(now).is_ok()
}
