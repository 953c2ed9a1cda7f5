//! The one place where a long message goes from its file into the account, piece by piece.
//!
//! Invariant: of a long message no more than one content and `READ_OCTETS` are in memory; the
//! message, its place and the position after it are written in one atomic step, so an import that
//! is killed in the middle of it begins it again and finds the contents that it had stored.

use std::io::{self, Read as _};

use letterlock_core::account::{Appended, Checkpoint, Replica, ReplicaError};

use letterlock_core::id::{MailboxId, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::store::Store;
use tokio_util::sync::CancellationToken;

use super::message::Large;
use crate::clock::Clock;

/// Octets read from the file at a time.
const READ_OCTETS: usize = 64 * 1024;

/// Why a long message was not stored.
#[derive(Debug, thiserror::Error)]
pub enum LargeError {
    /// The replica failed.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// It cannot be read (any more).
    #[error(transparent)]
    Read(#[from] io::Error),
    /// The import was told to stop; a long message is not waited for.
    #[error("interrupted")]
    Stopped,
}

/// Where a message goes, and how.
#[derive(Debug)]
pub struct Destination {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Flags and keywords.
    pub flags: FlagSet,
    /// INTERNALDATE.
    pub internal_date: Timestamp,
}

/// Stores long messages.
pub struct Storing<'a, S> {
    /// Where.
    pub replica: &'a Replica<S>,
    /// Longest message that is taken, in octets.
    pub limit: u64,
    /// Ends it early.
    pub stop: &'a CancellationToken,
    /// Tells the time.
    pub clock: &'a Clock,
}

impl<S: Store> Storing<'_, S> {
    /// Stores a long message and the position after it in one atomic step; where it is, and its
    /// length. `told` is told of octets as they are taken.
    pub async fn store(
        &self,
        large: &Large,
        into: Destination,
        checkpoint: Option<Checkpoint>,
        mut told: impl FnMut(u64),
    ) -> Result<(Appended, u64), LargeError> {
        let Destination {
            mailbox,
            flags,
            internal_date,
        } = into;
        let mut reader = large.reader()?;
        let now = self.clock.now();
        let mut appender = self.replica.appender(mailbox, flags, internal_date, now)?;
        let mut chunk = vec![0; READ_OCTETS];
        let mut length = 0_u64;
        loop {
            if self.stop.is_cancelled() {
                return Err(LargeError::Stopped);
            }
            let read = reader.read(&mut chunk)?;
            let octets = chunk.get(..read).unwrap_or_default();
            if octets.is_empty() {
                break;
            }
            let more = u64::try_from(read).unwrap_or(u64::MAX);
            length = length.saturating_add(more);
            // Line ends that were put in may have made it longer than it seemed.
            if length > self.limit {
                return Err(ReplicaError::MessageTooLarge.into());
            }
            appender.write(octets).await?;
            told(more);
        }
        let place = appender.finish(checkpoint, self.clock.now()).await?;
        Ok((place, length))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use letterlock_core::account::NewMessage;
    use letterlock_core::id::{AccountId, MailboxName, MessageHash};
    use letterlock_core::seal::{AccountKeys, RootKey};
    use letterlock_core::store::MemoryStore;
    use proptest::prelude::*;

    use super::*;
    use crate::transfer::mbox::{LineEnds, Quotes, Restore};
    use crate::transfer::message::Place;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    async fn replica() -> Replica<MemoryStore> {
        let root = RootKey::from_octets([2; 32]);
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        let store = MemoryStore::default();
        let replica = Replica::open(store, keys, [3; 32], NOW).await.unwrap();
        replica.create_default_mailboxes(NOW).await.unwrap();
        replica
    }

    fn inbox(replica: &Replica<MemoryStore>) -> MailboxId {
        replica.mailbox(&MailboxName::inbox()).unwrap().id
    }

    fn large(octets: &[u8], restore: Restore) -> Large {
        let mut file: File = tempfile::tempfile().unwrap();
        file.write_all(b"before").unwrap();
        file.write_all(octets).unwrap();
        file.write_all(b"after").unwrap();
        Large {
            place: Place::Temporary(file),
            start: 6,
            end: 6 + octets.len() as u64,
            restore,
            length: octets.len() as u64,
            head: Vec::new(),
        }
    }

    async fn store(
        replica: &Replica<MemoryStore>,
        large: &Large,
        limit: u64,
        stop: &CancellationToken,
    ) -> Result<u64, LargeError> {
        let storing = Storing {
            replica,
            limit,
            stop,
            clock: &Clock::from_fn(|| NOW),
        };
        let into = Destination {
            mailbox: inbox(replica),
            flags: FlagSet::new(),
            internal_date: NOW,
        };
        let checkpoint = Checkpoint {
            name: b"large".to_vec(),
            position: b"behind it".to_vec(),
        };
        let stored = storing.store(large, into, Some(checkpoint), |_| {}).await;
        stored.map(|(_, length)| length)
    }

    fn stored(replica: &Replica<MemoryStore>) -> Vec<(MessageHash, u64)> {
        let placements = replica.placements(inbox(replica)).into_iter();
        placements.map(|p| (p.message, p.size)).collect()
    }

    #[tokio::test]
    async fn what_is_given_up_or_too_long_leaves_nothing() {
        let replica = replica().await;
        let long = large(&b"line\n".repeat(200_000), Restore::default());
        let stop = CancellationToken::new();
        let error = store(&replica, &long, 999_999, &stop).await.unwrap_err();
        let too_large = matches!(error, LargeError::Replica(ReplicaError::MessageTooLarge));
        assert!(too_large, "{error}");
        let stopped = CancellationToken::new();
        stopped.cancel();
        let error = store(&replica, &long, 1_000_000, &stopped).await;
        assert!(matches!(error, Err(LargeError::Stopped)));
        assert!(stored(&replica).is_empty());
        assert_eq!(replica.checkpoint(b"large").await.unwrap(), None);
        let octets = store(&replica, &long, 1_000_000, &stop).await.unwrap();
        assert_eq!(octets, 1_000_000);
        assert_eq!(stored(&replica).len(), 1);
        let position = replica.checkpoint(b"large").await.unwrap();
        assert_eq!(position.as_deref(), Some(&b"behind it"[..]));
    }

    /// Text of an mbox or a Maildir, long enough for a few pieces of the reader if repeated.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "(>{0,3}From )?[a-z\r\0]{0,30}",
            Just("Content-Type: multipart/mixed; boundary=b".to_owned()),
            Just("--b".to_owned()),
            Just(String::new()),
        ];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("")];
        let lines = prop::collection::vec((line, end), 0..20);
        (lines, prop_oneof![2 => Just(1_usize), 1 => 1..400_usize]).prop_map(|(lines, times)| {
            let lines = lines.into_iter().map(|(line, end)| line + end);
            lines.collect::<String>().repeat(times).into_bytes()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_long_message_is_the_same_as_if_it_were_short(text in text()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for quotes in [Quotes::None, Quotes::First, Quotes::Every] {
                    for line_ends in [LineEnds::Kept, LineEnds::Shortened, LineEnds::Bare] {
                        let mut raw = Vec::new();
                        let mut restore = Restore::new(quotes, line_ends);
                        let large = large(&text, restore.clone());
                        restore.feed(&text, &mut raw);
                        restore.finish(&mut raw);
                        let replica = replica().await;
                        let stop = CancellationToken::new();
                        store(&replica, &large, u64::MAX, &stop).await.unwrap();
                        let short = NewMessage {
                            raw: &raw,
                            flags: FlagSet::new(),
                            internal_date: NOW,
                        };
                        let into = inbox(&replica);
                        replica.append_all(into, &[short], None, NOW).await.unwrap();
                        let [long, short] = stored(&replica)[..] else { panic!("not two") };
                        assert_eq!(long, short);
                        let message = replica.message(long.0).await.unwrap().unwrap();
                        assert!(replica.raw(&message).await.unwrap() == raw);
                        assert!(replica.check().await.unwrap().is_sound());
                    }
                }
            });
        }
    }
}
