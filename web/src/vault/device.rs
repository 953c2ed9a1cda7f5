//! What this device knows of its accounts before one is open: enough to unlock without a network.
//!
//! In a database of its own: for each account the root key wrapped under the password
//! ([`LocalWrap`]), and for each open tab the root key wrapped under the tab's secret, which
//! lives in the tab's session storage and nowhere else. So a reload of the same tab needs no
//! password, a new tab asks for it, and whoever copies the database has neither.
//!
//! Invariant: no key and no token is stored here in the clear.

use letterlock_core::auth::wire::Token;
use letterlock_core::auth::{LocalWrap, RootKeyWrap, WrapKind, unwrap_root_key, wrap_root_key};
use letterlock_core::id::{AccountId, Address, ReplicaId};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{Batch, SealedStore, Store, StoreError, Table};
use rand::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};

use crate::protocol::Secret;

/// The database's name.
pub const DATABASE: &str = "letterlock-device";
/// Octets of a tab's secret: sixteen name its wrap, the rest open it.
pub const TAB_SECRET_OCTETS: usize = 48;
const TAB_NAME_OCTETS: usize = 16;
const LAST: &[u8] = b"last";

/// An account that has been opened on this device.
#[derive(Clone, Serialize, Deserialize)]
pub struct Known {
    /// Its address.
    pub address: Address,
    /// Its id.
    pub account: AccountId,
    /// The name that this device has at the provider.
    pub device: ReplicaId,
    /// The root key under the password.
    pub wrap: LocalWrap,
}

/// What a tab left for its reload.
#[derive(Serialize, Deserialize)]
struct Tab {
    address: Address,
    #[serde(with = "serde_bytes")]
    wrap: Vec<u8>,
}

/// An account's root key, just unwrapped.
pub struct Opened {
    /// The root key.
    pub root: RootKey,
    /// How often it has been changed.
    pub epoch: u32,
}

impl Opened {
    /// The account's keys.
    pub fn keys(&self, account: AccountId) -> AccountKeys {
        AccountKeys::derive(account, self.epoch, &self.root)
    }
}

/// The account of this address, if this device knows it.
pub async fn known<S: Store>(store: &S, address: &Address) -> Result<Option<Known>, StoreError> {
    let row = store.get(Table::Meta, &account_key(address)).await?;
    Ok(row.and_then(|row| decode(&row)))
}

/// The address that was opened last.
pub async fn last_address<S: Store>(store: &S) -> Result<Option<Address>, StoreError> {
    let row = store.get(Table::Meta, LAST).await?;
    Ok(row.and_then(|row| decode(&row)))
}

/// Remembers an account.
pub async fn remember<S: Store>(store: &S, known: &Known) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(Table::Meta, account_key(&known.address), encode(known));
    batch.put(Table::Meta, LAST, encode(&known.address));
    store.commit(batch).await
}

/// Lets the tab with this secret open the account again after a reload.
pub async fn remember_tab<S: Store>(
    store: &S,
    secret: &Secret,
    known: &Known,
    opened: &Opened,
    rng: &mut (impl CryptoRng + RngCore),
) -> Result<(), StoreError> {
    let Some((name, material)) = tab(secret) else {
        return Ok(());
    };
    let (account, epoch) = (known.account, opened.epoch);
    // A tab's material is random: it can be taken for no password's, so the kind is shared.
    let wrap = wrap_root_key(
        &material,
        account,
        epoch,
        WrapKind::Local,
        opened.root.octets(),
        rng,
    );
    let row = Tab {
        address: known.address.clone(),
        wrap: wrap.as_bytes().to_vec(),
    };
    let mut batch = Batch::new();
    batch.put(Table::Meta, name, encode(&row));
    store.commit(batch).await
}

/// What the tab with this secret had open.
pub async fn resume_tab<S: Store>(
    store: &S,
    secret: &Secret,
) -> Result<Option<(Known, Opened)>, StoreError> {
    let Some((name, material)) = tab(secret) else {
        return Ok(None);
    };
    let row = store.get(Table::Meta, &name).await?;
    let Some(row) = row.and_then(|row| decode::<Tab>(&row)) else {
        return Ok(None);
    };
    let Some(known) = known(store, &row.address).await? else {
        return Ok(None);
    };
    let wrap = RootKeyWrap::from_octets(&row.wrap).ok();
    let unwrapped = wrap
        .and_then(|wrap| unwrap_root_key(&material, known.account, WrapKind::Local, &wrap).ok());
    Ok(unwrapped.map(|unwrapped| {
        let root = RootKey::from_octets(*unwrapped.root_key);
        (
            known,
            Opened {
                root,
                epoch: unwrapped.epoch,
            },
        )
    }))
}

/// Locks the tab with this secret.
pub async fn forget_tab<S: Store>(store: &S, secret: &Secret) -> Result<(), StoreError> {
    let Some((name, _)) = tab(secret) else {
        return Ok(());
    };
    let mut batch = Batch::new();
    batch.delete(Table::Meta, name);
    store.commit(batch).await
}

/// Forgets an account.
pub async fn forget<S: Store>(store: &S, known: &Known) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.delete(Table::Meta, account_key(&known.address));
    batch.delete(Table::Meta, token_key(known.account));
    batch.delete(Table::Meta, LAST);
    store.commit(batch).await
}

/// The account's token, sealed under its keys.
pub async fn token<S: Store>(store: S, keys: &AccountKeys) -> Option<Token> {
    let sealed = SealedStore::new(store, keys.store_key());
    let row = sealed
        .get(Table::Meta, &token_key(keys.account()))
        .await
        .ok()
        .flatten()?;
    String::from_utf8(row).ok().map(Token::new)
}

/// Stores the account's token sealed, or deletes it.
pub async fn set_token<S: Store>(
    store: S,
    keys: &AccountKeys,
    token: Option<&Token>,
) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    let key = token_key(keys.account());
    match token {
        Some(token) => batch.put(Table::Meta, key, token.as_str().as_bytes().to_vec()),
        None => batch.delete(Table::Meta, key),
    }
    SealedStore::new(store, keys.store_key())
        .commit(batch)
        .await
}

/// How often an incoming message has been tried; counts this time. A message at which the worker
/// dies is left alone after a few tries, or the mail behind it would never come in.
pub async fn count_attempt<S: Store>(store: &S, id: &[u8]) -> Result<u8, StoreError> {
    let key = [b"attempt ", id].concat();
    let before = store.get(Table::Meta, &key).await?;
    let count = before
        .and_then(|row| row.first().copied())
        .unwrap_or(0)
        .saturating_add(1);
    let mut batch = Batch::new();
    batch.put(Table::Meta, key, vec![count]);
    store.commit(batch).await?;
    Ok(count)
}

/// The message was taken in: nothing is counted any more.
pub async fn clear_attempts<S: Store>(store: &S, id: &[u8]) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.delete(Table::Meta, [b"attempt ", id].concat());
    store.commit(batch).await
}

fn account_key(address: &Address) -> Vec<u8> {
    [b"account ", address.canonical().as_str().as_bytes()].concat()
}

fn token_key(account: AccountId) -> Vec<u8> {
    [b"token ", &account.as_bytes()[..]].concat()
}

fn tab(secret: &Secret) -> Option<(Vec<u8>, zeroize::Zeroizing<Vec<u8>>)> {
    let digits = secret.0.as_bytes();
    if digits.len() != 2 * TAB_SECRET_OCTETS {
        return None;
    }
    let octet = |pair: &[u8]| {
        core::str::from_utf8(pair)
            .ok()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
    };
    let octets: Option<Vec<u8>> = digits.chunks(2).map(octet).collect();
    let octets = zeroize::Zeroizing::new(octets?);
    let (name, material) = octets.split_at_checked(TAB_NAME_OCTETS)?;
    Some((
        [b"tab ", name].concat(),
        zeroize::Zeroizing::new(material.to_vec()),
    ))
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    letterlock_core::sync::wire::encode(value)
}

/// A row of another version is as good as none: the user logs in again.
fn decode<T: serde::de::DeserializeOwned>(row: &[u8]) -> Option<T> {
    letterlock_core::sync::wire::decode(row).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use letterlock_core::store::MemoryStore;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    fn alice(rng: &mut ChaCha20Rng) -> (Known, Opened) {
        let opened = Opened {
            root: RootKey::generate(rng),
            epoch: 3,
        };
        let account = AccountId::new([1; 16]);
        let known = Known {
            address: Address::new("Alice@letterlock.example").unwrap(),
            account,
            device: ReplicaId::new([2; 16]),
            wrap: LocalWrap::seal("pw", account, 3, opened.root.octets(), rng).unwrap(),
        };
        (known, opened)
    }

    #[test]
    fn a_reload_opens_and_another_tab_does_not() {
        block_on(async {
            let mut rng = ChaCha20Rng::seed_from_u64(1);
            let store = MemoryStore::new();
            let (known_alice, opened) = alice(&mut rng);
            remember(&store, &known_alice).await.unwrap();
            let secret = Secret("0a".repeat(TAB_SECRET_OCTETS));
            remember_tab(&store, &secret, &known_alice, &opened, &mut rng)
                .await
                .unwrap();
            let (found, again) = resume_tab(&store, &secret).await.unwrap().unwrap();
            assert_eq!(found.account, known_alice.account);
            assert_eq!(
                (again.root.octets(), again.epoch),
                (opened.root.octets(), 3)
            );
            let same_name = format!("{}{}", "0a".repeat(16), "0b".repeat(32));
            for wrong in [
                "0b".repeat(TAB_SECRET_OCTETS),
                same_name,
                "0a".to_owned(),
                "zz".repeat(48),
            ] {
                assert!(resume_tab(&store, &Secret(wrong)).await.unwrap().is_none());
            }
            let last = last_address(&store).await.unwrap();
            assert_eq!(
                last.as_ref().map(Address::as_str),
                Some("Alice@letterlock.example")
            );
            let other_case = Address::new("ALICE@letterlock.example").unwrap();
            let by_name = known(&store, &other_case).await.unwrap().unwrap();
            let unwrapped = by_name.wrap.open("pw", by_name.account).unwrap();
            assert_eq!(&*unwrapped.root_key, opened.root.octets());
            forget_tab(&store, &secret).await.unwrap();
            assert!(resume_tab(&store, &secret).await.unwrap().is_none());
            forget(&store, &known_alice).await.unwrap();
            assert!(known(&store, &known_alice.address).await.unwrap().is_none());
        });
    }

    #[test]
    fn attempts_are_counted() {
        block_on(async {
            let store = MemoryStore::new();
            assert_eq!(count_attempt(&store, b"x").await.unwrap(), 1);
            assert_eq!(count_attempt(&store, b"x").await.unwrap(), 2);
            clear_attempts(&store, b"x").await.unwrap();
            assert_eq!(count_attempt(&store, b"x").await.unwrap(), 1);
        });
    }
}
