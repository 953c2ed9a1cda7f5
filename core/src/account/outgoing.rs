//! Protecting what goes out: decide, sign, encrypt.

use super::{Account, Answers, KeyError};
use crate::id::{Address, OutboxId, Timestamp};
use crate::mime::address::parse_message_ids;
use crate::mime::header;
use crate::mime::{self, EnvelopeAddress};
use crate::openpgp::pgp_mime::{self, Sender};
use crate::openpgp::protection::Cipher;
use crate::openpgp::{Certificate, Encryption, Protection, SecretCertificate, SignatureStatus};
use crate::replica::{OutboxEntry, ReplicaError};
use crate::sending::{self, Decision};
use crate::store::Store;
use crate::sync::wire::{MAX_FORWARD_PATHS, Submission};
use rand::RngCore;
use serde_bytes::ByteBuf;

/// Most messages looked up of those that a mail says it answers.
const MAX_ANSWERED: usize = 64;

/// Why a mail is not accepted for sending.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// The sender is not the account's address.
    #[error("mail from this account is sent as its own address only")]
    WrongSender,
    /// No recipient, or more than [`MAX_FORWARD_PATHS`].
    #[error("a mail has 1 to {MAX_FORWARD_PATHS} recipients")]
    Recipients,
}

/// What is to be done with a mail of the outbox.
#[derive(Debug)]
pub enum Prepared {
    /// Hand these to the provider, then call [`Account::file_sent`].
    Ready(Ready),
    /// Look these addresses up and call again with the answers.
    NeedsCertificates(Vec<Address>),
    /// It must not leave in the clear, and these recipients have no certificate.
    Refused {
        /// Who has none.
        missing: Vec<Address>,
        /// Why it must not.
        because: MustEncrypt,
    },
    /// It could not be signed or encrypted.
    Failed(pgp_mime::ComposeError),
}

/// Why a mail must not leave in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustEncrypt {
    /// The account sends encrypted mail only.
    Policy,
    /// It answers a mail that came, or was sent, encrypted: it quotes it, and has its subject
    /// (RFC 9787 5.4, RFC 9788 6.1).
    Answer,
}

/// A mail, protected.
#[derive(Debug)]
pub struct Ready {
    /// One for each group of recipients; handing one over twice changes nothing.
    pub submissions: Vec<Submission>,
    /// How it is protected.
    pub protection: Protection,
}

impl<S: Store> Account<S> {
    /// Accepts a mail for sending, durably. Date and Message-ID are added if they are missing
    /// (RFC 6409 8).
    pub async fn submit(
        &self,
        reverse_path: &Address,
        forward_paths: Vec<Address>,
        message: &[u8],
        now: Timestamp,
    ) -> Result<OutboxId, SubmitError> {
        if reverse_path.canonical() != self.address.canonical() {
            return Err(SubmitError::WrongSender);
        }
        if forward_paths.is_empty() || forward_paths.len() > MAX_FORWARD_PATHS {
            return Err(SubmitError::Recipients);
        }
        let message = self.complete(message, now);
        Ok(self
            .outbox_put(self.address.clone(), forward_paths, message, now)
            .await?)
    }

    /// Which of these recipients have a usable certificate. `Err` names those to be looked up
    /// first.
    pub async fn recipients(
        &self,
        addresses: &[Address],
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Result<Vec<(Address, Option<Certificate>)>, Vec<Address>>, KeyError> {
        let mut found = Vec::new();
        let mut unknown = Vec::new();
        for address in addresses {
            match self
                .certificate_to_encrypt_to(address, answers, now)
                .await?
            {
                None => unknown.push(address.clone()),
                Some(known) => {
                    let usable = known.filter(|c| c.usable_for_encryption(now).is_ok());
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

    /// Signs a mail of the outbox and encrypts it, as the account's policy says.
    pub async fn prepare(
        &self,
        entry: &OutboxEntry,
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Prepared, KeyError> {
        let keys = self.own_keys().await?;
        let key = keys.first().ok_or(KeyError::NotHere)?;
        let found = match self.recipients(&entry.forward_paths, answers, now).await? {
            Ok(found) => found,
            Err(unknown) => return Ok(Prepared::NeedsCertificates(unknown)),
        };
        for address in &entry.forward_paths {
            if let Some(contact) = self.learn_from_answer(address, answers, now).await? {
                self.store_contact(contact, now).await?;
            }
        }
        let certificate = |address: &Address| {
            let found = found.iter().find(|(known, _)| known == address);
            found.and_then(|(_, certificate)| certificate.clone())
        };
        let visible = visible_recipients(&entry.message);
        let decision = sending::decide(
            self.sending_policy(),
            &entry.forward_paths,
            &visible,
            |address| certificate(address).is_some(),
        );
        if let Decision::SignOnly { missing } = &decision
            && self.answers_encrypted(&entry.message).await?
        {
            let (missing, because) = (missing.clone(), MustEncrypt::Answer);
            return Ok(Prepared::Refused { missing, because });
        }
        Ok(self.protect(entry, key, decision, certificate, now))
    }

    /// Carries out what was decided.
    fn protect(
        &self,
        entry: &OutboxEntry,
        key: &SecretCertificate,
        decision: Decision,
        certificate: impl Fn(&Address) -> Option<Certificate>,
        now: Timestamp,
    ) -> Prepared {
        let sender = Sender {
            key,
            address: &self.address,
            now,
        };
        let (submissions, encrypted): (Result<Vec<_>, _>, _) = match decision {
            Decision::Refuse { missing } => {
                let because = MustEncrypt::Policy;
                return Prepared::Refused { missing, because };
            }
            Decision::SignOnly { .. } => {
                let signed = self.with_rng(|rng| pgp_mime::sign(&entry.message, &sender, rng));
                let to_all = |signed| vec![submission(entry, entry.forward_paths.clone(), signed)];
                (signed.map(to_all), false)
            }
            Decision::Encrypt(groups) => {
                let encrypted = groups.into_iter().map(|group| {
                    let to: Vec<Certificate> = group.iter().filter_map(&certificate).collect();
                    let sealed = self.with_rng(|rng| {
                        pgp_mime::sign_and_encrypt(&entry.message, &to, &sender, rng)
                    })?;
                    Ok(submission(entry, group, sealed))
                });
                (encrypted.collect(), true)
            }
        };
        match submissions {
            Ok(submissions) => {
                let protection = self.own_protection(key, encrypted);
                Prepared::Ready(Ready {
                    submissions,
                    protection,
                })
            }
            Err(error) => Prepared::Failed(error),
        }
    }

    /// Files a mail that the provider has taken: into the Sent mailbox and out of the outbox,
    /// one atomic step.
    pub async fn file_sent(
        &self,
        entry: &OutboxEntry,
        protection: Protection,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let sent = self.mailbox_for(crate::model::Role::Sent);
        let sent = sent.ok_or(ReplicaError::NoSuchMailbox)?.id;
        let rendered = [protection.header_fields().as_bytes(), &entry.message].concat();
        self.outbox_sent(entry, sent, protection, &rendered, now)
            .await
    }

    /// Whether a mail answers one that was encrypted to us: what it names as answered, and the
    /// last of what it refers to, for programs that name nothing else.
    async fn answers_encrypted(&self, message: &[u8]) -> Result<bool, ReplicaError> {
        let top = message
            .get(..header::header_end(message))
            .unwrap_or(message);
        let ids = |name| {
            let field = header::find(top, name);
            field.map_or_else(Vec::new, |field| {
                parse_message_ids(field.value, MAX_ANSWERED)
            })
        };
        let answered = ids("In-Reply-To").into_iter();
        for id in answered.chain(ids("References").pop()) {
            for hash in self.with_message_id(&id).await? {
                let known = self.message(hash).await?;
                if known.is_some_and(|known| known.protection.encryption != Encryption::None) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn own_protection(&self, key: &SecretCertificate, encrypted: bool) -> Protection {
        let fingerprint = key.fingerprint();
        let encryption = if encrypted {
            Encryption::ToUs {
                fingerprint,
                cipher: Cipher::Aes256,
            }
        } else {
            Encryption::None
        };
        let address = self.address.clone();
        Protection {
            encryption,
            signature: SignatureStatus::Valid {
                fingerprint,
                address,
            },
        }
    }

    fn complete(&self, message: &[u8], now: Timestamp) -> Vec<u8> {
        let end = header::header_end(message);
        let head = message.get(..end).unwrap_or(message);
        let mut added = String::new();
        if header::find(head, "Date").is_none() {
            added = format!("Date: {}\r\n", mime::format_date(now));
        }
        if header::find(head, "Message-ID").is_none() {
            let mut octets = [0; 16];
            self.with_rng(|rng| rng.fill_bytes(&mut octets));
            let unique = OutboxId::new(octets);
            let domain = self.address.domain();
            added = format!("{added}Message-ID: <{unique}@{domain}>\r\n");
        }
        [added.as_bytes(), message].concat()
    }
}

/// A submission whose id follows from the mail and its recipients: the same at every attempt.
fn submission(entry: &OutboxEntry, forward_paths: Vec<Address>, message: Vec<u8>) -> Submission {
    let mut sorted: Vec<&str> = forward_paths.iter().map(Address::as_str).collect();
    sorted.sort_unstable();
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(
        "letterlock submission id",
        entry.id.as_bytes(),
    ));
    hasher.update(sorted.join("\n").as_bytes());
    let mut octets = [0; 16];
    hasher.finalize_xof().fill(&mut octets);
    Submission {
        id: OutboxId::new(octets),
        reverse_path: entry.reverse_path.clone(),
        forward_paths,
        message: ByteBuf::from(message),
    }
}

fn visible_recipients(message: &[u8]) -> Vec<Address> {
    let envelope = mime::split(message).structure.envelope;
    let named = envelope.to.iter().chain(&envelope.cc);
    named
        .filter_map(EnvelopeAddress::to_mailbox)
        .filter_map(|mailbox| Address::new(&mailbox.address).ok())
        .collect()
}
