//! Invite codes, for who keeps the provider: made, listed and taken back while it runs or not.
//!
//! A code is 80 random bits, shown once and kept as a hash; nobody tries 2^80 codes against limits
//! per peer. Invariant: nothing but the table of invites is touched, in transactions of their own,
//! so that the provider need not stop.

use std::path::Path;

use letterlock_core::auth::wire::Invite;
use letterlock_core::id::Timestamp;
use rand::RngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use super::db::{self, DbError, Records};

pub use super::db::Invited;

/// Random octets of a code.
const CODE_OCTETS: usize = 10;
/// Characters between two dashes.
const GROUP: usize = 4;
/// Letters and digits that are not mistaken for one another (no 0, 1, l, o).
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Makes a code; it is told this once.
pub async fn add(
    data_dir: &Path,
    records: &Records,
    invited: &Invited,
    now: Timestamp,
) -> Result<Invite, DbError> {
    let code = generate();
    let (hash, invited) = (hash(&code), invited.clone());
    db::once(data_dir, records, move |transaction| {
        db::invites::insert(transaction, &hash, &invited, now)
    })
    .await?;
    Ok(code)
}

/// What can still be used.
pub async fn list(
    data_dir: &Path,
    records: &Records,
    now: Timestamp,
) -> Result<Vec<Invited>, DbError> {
    db::once(data_dir, records, move |transaction| {
        db::invites::list(transaction, now)
    })
    .await
}

/// Takes back all codes of a name; how many there were.
pub async fn remove(data_dir: &Path, records: &Records, name: &str) -> Result<usize, DbError> {
    let name = name.to_owned();
    db::once(data_dir, records, move |transaction| {
        db::invites::remove(transaction, &name)
    })
    .await
}

/// What is kept of a code.
pub(super) fn hash(code: &Invite) -> db::invites::CodeHash {
    Sha256::digest(code.as_str().as_bytes()).into()
}

fn generate() -> Invite {
    let mut octets = [0; CODE_OCTETS];
    OsRng.fill_bytes(&mut octets);
    let mut text = String::new();
    // Five octets are eight characters of five bits each.
    for chunk in octets.chunks(5) {
        let bits = chunk
            .iter()
            .fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        for position in (0..8_u32).rev() {
            if text.len() % (GROUP + 1) == GROUP {
                text.push('-');
            }
            let shift = position.saturating_mul(5);
            let index = usize::try_from(bits >> shift & 31).unwrap_or(0);
            text.push(ALPHABET.get(index).map_or('a', |octet| char::from(*octet)));
        }
    }
    Invite::new(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn codes_are_made_listed_and_taken_back() {
        let records = &Records::Embedded;
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let missing = list(folder.path(), records, now).await;
        assert!(missing.is_err(), "there is no provider");
        drop(db::Db::open(folder.path(), records, &db::BlobPlace::Folder).unwrap());
        let invited = Invited {
            name: "the choir".to_owned(),
            uses_left: 3,
            expires_at: Timestamp::from_secs(1_800_000_100),
        };
        let code = add(folder.path(), records, &invited, now).await.unwrap();
        assert_eq!(code.as_str().len(), 19);
        assert_eq!(code.as_str().matches('-').count(), 3);
        assert_ne!(generate().as_str(), generate().as_str());
        assert_eq!(
            hash(&code),
            hash(&Invite::new(&format!(" {} ", code.as_str().to_uppercase())))
        );
        assert_eq!(list(folder.path(), records, now).await.unwrap(), [invited]);
        let later = Timestamp::from_secs(1_800_000_100);
        assert_eq!(list(folder.path(), records, later).await.unwrap(), []);
        assert_eq!(
            remove(folder.path(), records, "the choir").await.unwrap(),
            1
        );
        assert_eq!(list(folder.path(), records, now).await.unwrap(), []);
    }
}
