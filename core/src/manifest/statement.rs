//! What one device states, signed by its key.
//!
//! ```text
//! statement = version 1 | account 16 | device 16 | public key 32 | epoch u32 | counter u64
//!             | previous 32 | at i64 (milliseconds) | arrived counter u64 | arrived generation u64
//!             | heard generation u64 | collection x 5 | count u8 | seen ...
//! collection = count i64 | sum u64 x 4          keys, mail, messages, contents, contacts
//! seen       = device 16 | counter u64 | fingerprint 16
//! signed     = statement | Ed25519 signature 64 over label | statement             (RFC 8032)
//! ```
//!
//! Integers are big-endian; "previous" is BLAKE3 of the device's signed statement before. It is kept
//! as a sealed document, so the provider learns nothing of it. The signature is by the key that
//! the account's list of devices names, where it names the device ([`crate::auth::devices`]).

use super::digest::{Digests, Fingerprint, fingerprint};
use crate::auth::DeviceKey;
use crate::auth::device::{DEVICE_KEY_OCTETS, has_signed};
use crate::id::{AccountId, Generation, ReplicaId, Timestamp};

/// The version of statements that this program writes, and the only one that it reads.
pub const STATEMENT_VERSION: u8 = 1;
/// Most other devices whose statements are named: those that stated last.
pub const MAX_SEEN: usize = 8;
const LABEL: &[u8] = b"letterlock/manifest/1/statement\0";
const SIGNATURE_OCTETS: usize = 64;

/// What one device states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Of which account.
    pub account: AccountId,
    /// By which device.
    pub device: ReplicaId,
    /// From [`DeviceKey::public_key`].
    pub key: [u8; DEVICE_KEY_OCTETS],
    /// How often the account's devices have begun anew with the provider, as this one knows.
    pub epoch: u32,
    /// Counts the device's statements, from 1.
    pub counter: u64,
    /// BLAKE3 of the one before; zero for the first.
    pub previous: [u8; 32],
    /// When, by its own clock.
    pub at: Timestamp,
    /// An earlier statement, by its counter, and a generation at which the provider had it.
    pub arrived: Option<(u64, Generation)>,
    /// Where it has heard the log to its end, last; the first generation for never.
    pub heard: Generation,
    /// What all pushes of the device have added to the account's documents.
    pub added: Digests,
    /// What it has heard of others, there or later; at most [`MAX_SEEN`].
    pub seen: Vec<Seen>,
}

/// A statement of another device that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Whose.
    pub device: ReplicaId,
    /// Which.
    pub counter: u64,
    /// Of its signed form.
    pub fingerprint: Fingerprint,
}

/// A statement as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    statement: Statement,
    octets: Vec<u8>,
}

/// Why octets are no statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Of a version that this program does not know.
    #[error("a statement of a device has version {0}, which this program does not know: update it")]
    Newer(u8),
    /// Not of the form.
    #[error("a statement of a device does not read")]
    Malformed,
}

impl Statement {
    /// Signs it; the key is the one that it names.
    pub fn sign(mut self, key: &DeviceKey) -> SignedStatement {
        self.key = key.public_key();
        self.seen.truncate(MAX_SEEN);
        let mut octets = self.to_octets();
        let signature = key.sign(&[LABEL, &octets].concat());
        octets.extend_from_slice(&signature);
        SignedStatement {
            statement: self,
            octets,
        }
    }

    fn to_octets(&self) -> Vec<u8> {
        let (arrived, generation) = self.arrived.unwrap_or_default();
        let mut octets = [
            &[STATEMENT_VERSION][..],
            self.account.as_bytes(),
            self.device.as_bytes(),
            &self.key,
            &self.epoch.to_be_bytes(),
            &self.counter.to_be_bytes(),
            &self.previous,
            &self.at.as_millis().to_be_bytes(),
            &arrived.to_be_bytes(),
            &generation.0.to_be_bytes(),
            &self.heard.0.to_be_bytes(),
            &self.added.to_octets(),
            &[u8::try_from(self.seen.len()).unwrap_or(u8::MAX)],
        ]
        .concat();
        for seen in &self.seen {
            octets.extend_from_slice(seen.device.as_bytes());
            octets.extend_from_slice(&seen.counter.to_be_bytes());
            octets.extend_from_slice(&seen.fingerprint);
        }
        octets
    }
}

impl SignedStatement {
    /// Reads a statement; who has signed it is asked apart ([`Self::is_signed`]).
    pub fn parse(octets: &[u8]) -> Result<Self, StatementError> {
        match octets.first() {
            Some(&STATEMENT_VERSION) => {}
            Some(&version) => return Err(StatementError::Newer(version)),
            None => return Err(StatementError::Malformed),
        }
        let statement = read(octets).ok_or(StatementError::Malformed)?;
        Ok(Self {
            statement,
            octets: octets.to_vec(),
        })
    }

    /// What is stated.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// As it was signed.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// BLAKE3 of its octets, for the next one.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(&self.octets).as_bytes()
    }

    /// As others name it.
    pub fn seen(&self) -> Seen {
        Seen {
            device: self.statement.device,
            counter: self.statement.counter,
            fingerprint: fingerprint(&self.hash()),
        }
    }

    /// Whether the key that it names has signed it.
    pub fn is_signed(&self) -> bool {
        let cut = self.octets.len().saturating_sub(SIGNATURE_OCTETS);
        let (content, signature) = self.octets.split_at(cut);
        has_signed(&self.statement.key, &[LABEL, content].concat(), signature)
    }
}

fn read(octets: &[u8]) -> Option<Statement> {
    let (_version, rest) = octets.split_first()?;
    let (account, rest) = rest.split_first_chunk()?;
    let (device, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (previous, rest) = rest.split_first_chunk()?;
    let (at, rest) = rest.split_first_chunk()?;
    let (arrived, rest) = rest.split_first_chunk()?;
    let (generation, rest) = rest.split_first_chunk()?;
    let (heard, rest) = rest.split_first_chunk()?;
    let (added, rest) = Digests::read(rest)?;
    let (count, mut rest) = rest.split_first()?;
    let mut seen = Vec::new();
    for _ in 0..*count {
        let (device, after) = rest.split_first_chunk()?;
        let (counter, after) = after.split_first_chunk()?;
        let (print, after) = after.split_first_chunk()?;
        seen.push(Seen {
            device: ReplicaId::new(*device),
            counter: u64::from_be_bytes(*counter),
            fingerprint: *print,
        });
        rest = after;
    }
    let (counter, arrived) = (u64::from_be_bytes(*counter), u64::from_be_bytes(*arrived));
    let fits = counter > 0 && seen.len() <= MAX_SEEN && rest.len() == SIGNATURE_OCTETS;
    let generation = Generation(u64::from_be_bytes(*generation));
    fits.then(|| Statement {
        account: AccountId::new(*account),
        device: ReplicaId::new(*device),
        key: *key,
        epoch: u32::from_be_bytes(*epoch),
        counter,
        previous: *previous,
        at: Timestamp::from_millis(i64::from_be_bytes(*at)),
        arrived: (arrived > 0).then_some((arrived, generation)),
        heard: Generation(u64::from_be_bytes(*heard)),
        added,
        seen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DocId, Revision};
    use crate::seal::{AccountKeys, Collection, RootKey};

    fn statement(others: u8) -> Statement {
        let root = RootKey::from_octets([1; 32]);
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        let mut added = Digests::default();
        let at = (Revision::ONE, [9; 16]);
        added.add_document(&keys, Collection::Mail, DocId::new([7; 16]), at);
        let seen = |device| Seen {
            device: ReplicaId::new([device; 16]),
            counter: 5,
            fingerprint: [6; 16],
        };
        Statement {
            account: keys.account(),
            device: ReplicaId::new([2; 16]),
            key: [0; 32],
            epoch: 3,
            counter: 4,
            previous: [5; 32],
            at: Timestamp::from_secs(7),
            arrived: Some((3, Generation(70))),
            heard: Generation(75),
            added,
            seen: (10..10 + others).map(seen).collect(),
        }
    }

    fn key() -> DeviceKey {
        DeviceKey::from_octets([3; 32])
    }

    #[test]
    fn a_statement_comes_back_and_every_flipped_octet_is_noticed() {
        let signed = statement(2).sign(&key());
        let back = SignedStatement::parse(signed.octets()).unwrap();
        assert_eq!(back, signed);
        assert!(back.is_signed());
        for at in 0..signed.octets().len() {
            let mut altered = signed.octets().to_vec();
            altered[at] ^= 1;
            let read = SignedStatement::parse(&altered);
            assert!(read.is_err() || !read.unwrap().is_signed(), "octet {at}");
        }
        for length in 0..signed.octets().len() {
            assert!(SignedStatement::parse(&signed.octets()[..length]).is_err());
        }
        // A signature of another kind by the same key is none of these.
        let mut other = signed.octets().to_vec();
        let cut = other.len() - SIGNATURE_OCTETS;
        let signature = key().sign(&other[..cut]);
        other[cut..].copy_from_slice(&signature);
        assert!(!SignedStatement::parse(&other).unwrap().is_signed());
    }

    #[test]
    fn the_form_stands_and_a_newer_one_is_refused() {
        let signed = statement(1).sign(&key());
        let hex = format!("{:02x?}", &signed.hash()[..8]);
        assert_eq!(hex, "[9c, f4, bf, c1, e0, 26, f1, 34]");
        let newer = [&[2], &signed.octets()[1..]].concat();
        let error = SignedStatement::parse(&newer).unwrap_err();
        assert_eq!(error, StatementError::Newer(2));
        assert!(error.to_string().contains("update it"), "{error}");
    }

    #[test]
    fn a_statement_is_less_than_a_kilobyte_sealed() {
        let longest = statement(20).sign(&key());
        assert_eq!(longest.statement().seen.len(), MAX_SEEN);
        assert_eq!(longest.octets().len(), 406 + 40 * MAX_SEEN);
        assert_eq!(SignedStatement::parse(longest.octets()).unwrap(), longest);
        assert_eq!(statement(1).sign(&key()).octets().len(), 446);
    }
}
