//! Messages whose signer's certificate was not known when they came: a queue of this device, which
//! took them in, until it is.
//!
//! Invariant: at most [`MAX_UNJUDGED`]; beyond, the one is given up that came first. A message comes
//! into the queue in the batch that places it.

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::directory::{decode_versioned, encode_versioned};
use super::{Replica, ReplicaError};
use crate::id::{Address, MessageHash, Timestamp};
use crate::openpgp::Issuer;
use crate::store::{KeyRange, Store, Table};

/// Most messages that wait.
pub(super) const MAX_UNJUDGED: usize = 256;
/// Most issuers that are kept of one message.
const MAX_ISSUERS: usize = 4;

const PREFIX: &[u8] = b"unjudged ";

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unjudged {
    /// Its author.
    pub(crate) author: Address,
    /// As it is shown.
    pub(crate) message: MessageHash,
    /// Whom its signatures name.
    pub(crate) issuers: Vec<Issuer>,
    /// When it was taken in.
    pub(crate) taken_in_at: Timestamp,
}

impl Unjudged {
    /// In the order in which they came.
    fn key(&self) -> Vec<u8> {
        let millis = self.taken_in_at.as_millis().to_be_bytes();
        [PREFIX, &millis, self.message.as_bytes()].concat()
    }
}

impl<S: Store> Replica<S> {
    /// All that wait, the first that came first.
    pub(crate) async fn unjudged(&self) -> Result<Vec<Unjudged>, ReplicaError> {
        let rows = KeyRange::prefix(PREFIX).limit(MAX_UNJUDGED);
        let rows = self.store.scan(Table::Meta, rows).await?;
        rows.iter().map(|(_, row)| decode_versioned(row)).collect()
    }

    /// One waits no more.
    pub(crate) async fn settle_unjudged(
        &self,
        settled: &Unjudged,
        now: Timestamp,
    ) -> Result<(), ReplicaError> {
        let mut change = self.begin(now).await;
        change.batch.delete(Table::Meta, settled.key());
        change.commit().await
    }
}

impl<S: Store> Change<'_, S> {
    /// Lets a message wait.
    pub(super) async fn note_unjudged(
        &mut self,
        author: &Address,
        issuers: &[Issuer],
        message: MessageHash,
    ) -> Result<(), ReplicaError> {
        let rows = KeyRange::prefix(PREFIX);
        let waiting = self.replica.store.scan(Table::Meta, rows).await?;
        let surplus = waiting.len().saturating_add(1).saturating_sub(MAX_UNJUDGED);
        for (key, _) in waiting.into_iter().take(surplus) {
            self.batch.delete(Table::Meta, key);
        }
        let row = Unjudged {
            author: author.canonical(),
            message,
            issuers: issuers.iter().take(MAX_ISSUERS).copied().collect(),
            taken_in_at: self.now,
        };
        let octets = encode_versioned(&row);
        self.batch.put(Table::Meta, row.key(), octets);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, device};
    use super::*;

    #[test]
    fn golden_row_and_a_newer_one_is_refused() {
        let row = Unjudged {
            author: Address::new("b@x.org").unwrap(),
            message: MessageHash::new([5; 32]),
            issuers: vec![Issuer::KeyId([7; 8])],
            taken_in_at: Timestamp::from_millis(3),
        };
        let octets = encode_versioned(&row);
        let expected = [
            b"\x01\x07b@x.org".as_slice(),
            &[5; 32],
            &[1, 1, 7, 7, 7, 7, 7, 7, 7, 7, 6],
        ]
        .concat();
        assert_eq!(octets, expected);
        assert_eq!(decode_versioned::<Unjudged>(&octets).unwrap(), row);
        let newer = [&[2], &octets[1..]].concat();
        let error = decode_versioned::<Unjudged>(&newer).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }

    #[tokio::test]
    async fn the_first_that_came_is_given_up_when_too_many_wait() {
        let replica = device(1).await;
        let bob = Address::new("bob@x.org").unwrap();
        let most = i64::try_from(MAX_UNJUDGED).unwrap();
        for n in 0..most + 3 {
            let now = Timestamp::from_millis(NOW.as_millis() + n);
            let mut change = replica.begin(now).await;
            let octets = blake3::hash(&n.to_be_bytes());
            let message = MessageHash::new(*octets.as_bytes());
            let issuers = [Issuer::KeyId([0; 8]); MAX_ISSUERS + 3];
            change.note_unjudged(&bob, &issuers, message).await.unwrap();
            change.commit().await.unwrap();
        }
        let waiting = replica.unjudged().await.unwrap();
        assert_eq!(waiting.len(), MAX_UNJUDGED);
        assert_eq!(waiting[0].taken_in_at.as_millis(), NOW.as_millis() + 3);
        assert_eq!(waiting[0].issuers.len(), MAX_ISSUERS);
        replica.settle_unjudged(&waiting[0], NOW).await.unwrap();
        assert_eq!(replica.unjudged().await.unwrap(), waiting[1..]);
    }
}
