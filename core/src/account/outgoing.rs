//! Protecting what goes out: decide, sign, encrypt.

use super::recipients::{Recipient, Wanted};
use super::{Account, Answers, KeyError};
use crate::id::{Address, OutboxId, Timestamp};
use crate::keys::{Contact, published};
use crate::mime::address::parse_message_ids;
use crate::mime::header;
use crate::mime::{self, EnvelopeAddress};
use crate::openpgp::pgp_mime::{self, Everybody, Sender};
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

/// Recipients of one message.
struct Group<'a> {
    paths: Vec<Address>,
    to: Vec<&'a Recipient>,
    /// Fields inside the encryption.
    told: String,
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

    /// Signs a mail of the outbox and encrypts it, as the account's policy says.
    pub async fn prepare(
        &self,
        entry: &OutboxEntry,
        answers: &Answers,
        now: Timestamp,
    ) -> Result<Prepared, KeyError> {
        let keys = self.own_keys().await?;
        let key = keys.signer(&self.address, now).ok_or(KeyError::NotHere)?;
        let paths = &entry.forward_paths;
        let found = match self.encrypt_to(paths, answers, Wanted::Both, now).await? {
            Ok(found) => found,
            Err(unknown) => return Ok(Prepared::NeedsCertificates(unknown)),
        };
        for address in paths {
            if let Some(contact) = self.learn_from_answer(address, answers, now).await? {
                self.store_contact(contact, now).await?;
            }
        }
        let recipient = |address: &Address| {
            let found = found.iter().find(|(known, _)| known == address);
            found.and_then(|(_, recipient)| recipient.as_ref())
        };
        let visible = visible_recipients(&entry.message);
        let decision = sending::decide(self.sending_policy(), paths, &visible, |address| {
            recipient(address).is_some()
        });
        if let Decision::SignOnly { missing } = &decision
            && self.answers_encrypted(&entry.message).await?
        {
            let (missing, because) = (missing.clone(), MustEncrypt::Answer);
            return Ok(Prepared::Refused { missing, because });
        }
        let sender = Sender {
            key,
            address: &self.address,
            now,
        };
        let protected = match decision {
            Decision::Refuse { missing } => {
                let because = MustEncrypt::Policy;
                return Ok(Prepared::Refused { missing, because });
            }
            Decision::SignOnly { .. } => self
                .with_rng(|rng| pgp_mime::sign(&entry.message, &sender, rng))
                .map(|signed| (vec![submission(entry, paths.clone(), signed)], None)),
            Decision::Encrypt(groups) => {
                for (address, recipient) in &found {
                    if let Some(recipient) = recipient {
                        self.note_encrypted_to(address, recipient, now).await?;
                    }
                }
                let own = self.own_recipient(now).await?.ok_or(KeyError::NotHere)?;
                let head = self.head_for(paths).await?;
                let groups = groups.into_iter().map(|paths| {
                    let to = paths.iter().filter_map(recipient).collect();
                    // Who is not at home here has nothing to compare it with.
                    let at_home = paths.iter().any(|address| self.is_at_home(address));
                    let head = head.as_deref().filter(|_| at_home);
                    let told = head.map(pgp_mime::head_field).unwrap_or_default();
                    Group { paths, to, told }
                });
                self.encrypt(entry, groups.collect(), &own, &sender)
                    .await
                    .map(|(submissions, to_us)| (submissions, Some(to_us)))
            }
        };
        Ok(match protected {
            Ok((submissions, to_us)) => Prepared::Ready(Ready {
                submissions,
                protection: self.own_protection(key, to_us),
            }),
            Err(error) => Prepared::Failed(error),
        })
    }

    /// Encrypts a mail to each group, and says how the weakest of them is encrypted to us.
    async fn encrypt(
        &self,
        entry: &OutboxEntry,
        groups: Vec<Group<'_>>,
        own: &Recipient,
        sender: &Sender<'_>,
    ) -> Result<(Vec<Submission>, Encryption), pgp_mime::ComposeError> {
        let mut to_us = own.version6().unwrap_or(&own.certificate);
        let mut submissions = Vec::with_capacity(groups.len());
        for Group { paths, to, told } in groups {
            // Ciphers that every recipient can read, and we.
            let all6 = to.iter().map(|recipient| recipient.version6().cloned());
            let all6 = all6.collect::<Option<Vec<Certificate>>>();
            let to4 = || to.iter().map(|recipient| recipient.certificate.clone());
            let (certificates, ours) = match (all6, own.version6()) {
                (Some(all6), Some(ours)) => (all6, ours),
                _ => (to4().collect(), &own.certificate),
            };
            if ours == &own.certificate {
                to_us = ours;
            }
            let everybody = Everybody {
                recipients: &certificates,
                own: ours,
                gossip: &to4().collect::<Vec<_>>(),
                told: &told,
            };
            let (message, bulk) = (&entry.message, self.bulk());
            let mut rng = self.own_rng();
            let sealed =
                pgp_mime::sign_and_encrypt_to(message, &everybody, sender, &mut rng, bulk).await?;
            submissions.push(submission(entry, paths, sealed));
        }
        let cipher = if published::is_version6(to_us) {
            Cipher::Aes256Aead
        } else {
            Cipher::Aes256
        };
        let fingerprint = to_us.fingerprint();
        let encryption = Encryption::ToUs {
            fingerprint,
            cipher,
        };
        Ok((submissions, encryption))
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

    /// Marks a contact's certificate as one that something was encrypted to.
    async fn note_encrypted_to(
        &self,
        address: &Address,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let Some(contact) = self.contact(address).await? else {
            return Ok(());
        };
        let known = contact.parse_certificate().map(|known| known.fingerprint());
        if contact.encrypted_to || known != Some(recipient.certificate.fingerprint()) {
            return Ok(());
        }
        let used = Contact {
            encrypted_to: true,
            ..contact
        };
        self.store_contact(used, now).await
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

    fn own_protection(&self, key: &SecretCertificate, to_us: Option<Encryption>) -> Protection {
        Protection {
            encryption: to_us.unwrap_or(Encryption::None),
            signature: SignatureStatus::Valid {
                fingerprint: key.fingerprint(),
                address: self.address.clone(),
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
