//! From a recipient's address to the account and its certificates.
//!
//! `local+detail@domain` (RFC 5233) is the account `local`, letters in any case.

use letterlock_core::id::{AccountId, Address};

use crate::provider::Provider;
use crate::provider::db::{DbError, Transaction, TxError, accounts, keys, places};

/// An account that mail can be delivered to.
#[derive(Debug, Clone)]
pub(crate) struct Recipient {
    pub(crate) account: AccountId,
    /// Binary, one after the other; `None` only if somebody removed them from the database.
    pub(crate) certificates: Option<Vec<u8>>,
    /// Octets that the account has stored; 0 where there is no quota.
    pub(crate) octets: u64,
}

impl Provider {
    /// The accounts of local addresses, in the order asked; `None` where there is no account.
    pub(crate) async fn resolve(
        &self,
        addresses: Vec<Address>,
    ) -> Result<Vec<Option<Recipient>>, DbError> {
        let local: Vec<_> = addresses
            .into_iter()
            .map(|address| self.is_local(address.domain()).then_some(address))
            .collect();
        let found: Result<Vec<_>, DbError> = self
            .db
            .read(move |transaction, _| {
                local
                    .iter()
                    .map(|address| match address {
                        Some(address) => find(transaction, address),
                        None => Ok(None),
                    })
                    .collect()
            })
            .await;
        let mut found: Vec<Option<Recipient>> = found?;
        if self.config.quota_octets.is_some() {
            for recipient in found.iter_mut().flatten() {
                let account = recipient.account;
                let octets = self.db.read_account(account, move |transaction, _| {
                    accounts::octets(transaction, account)
                });
                recipient.octets = octets.await?;
            }
        }
        Ok(found)
    }
}

fn find(transaction: &Transaction<'_>, address: &Address) -> Result<Option<Recipient>, TxError> {
    let mut account = places::find(transaction, address)?;
    if let (None, Some(base)) = (account, without_detail(address)) {
        account = places::find(transaction, &base)?;
    }
    let Some(account) = account else {
        return Ok(None);
    };
    let certificates = keys::certificates(transaction, account)?;
    Ok(Some(Recipient {
        account,
        certificates,
        octets: 0,
    }))
}

fn without_detail(address: &Address) -> Option<Address> {
    let (base, _) = address.local_part().split_once('+')?;
    Address::new(&format!("{base}@{}", address.domain())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_is_cut_at_the_first_plus() {
        let cut = |text: &str| without_detail(&Address::new(text).unwrap());
        let base = Address::new("alice@x.example").ok();
        assert_eq!(cut("alice+a+b@x.example"), base);
        assert_eq!(cut("alice@x.example"), None);
        assert_eq!(cut("+a@x.example"), None);
    }
}
