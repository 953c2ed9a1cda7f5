//! `letterlock contact`: whose keys this account knows, how well, and comparing them with their
//! owners.
//!
//! Invariant: a key is marked as compared only by what somebody typed or scanned of it, never by
//! a plain yes: who answers without looking has compared nothing. Like all that writes into a
//! replica it has the data directory for itself, so the bridge must not run; the next sync tells
//! the other devices.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use letterlock_core::account::{CompareError, KeyError, ReplicaError};
use letterlock_core::id::Address;
use letterlock_core::keys::Level;
use letterlock_core::keys::verification::{Identity, draw, read_fingerprint};

use crate::bridge::accounts::LocalAccount;
use crate::clock;
use crate::transfer::arguments::AccountArguments;
use crate::transfer::command::{TransferError, open_account};
use crate::transfer::password::Passwords;

/// What is to be done.
#[derive(Debug, Clone, Subcommand)]
pub enum ContactCommand {
    /// Show what others compare of this account: fingerprint, words, and a code to scan.
    Me(ContactArguments),
    /// List everybody whose key is known, and how well.
    List(ContactArguments),
    /// Show what is compared with somebody: their words and this account's.
    Show {
        /// Their address.
        address: Address,
        /// Whose contact.
        #[command(flatten)]
        arguments: ContactArguments,
    },
    /// Mark somebody's key as compared, by what they read aloud or showed.
    Verify {
        /// Their address.
        address: Address,
        /// What they told.
        #[command(flatten)]
        told: Told,
        /// Whose contact.
        #[command(flatten)]
        arguments: ContactArguments,
    },
}

/// What somebody told of their key.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Told {
    /// The fingerprint, or what a scanned code says (`OPENPGP4FPR:…`).
    #[arg(long, value_name = "TEXT")]
    pub fingerprint: Option<String>,
    /// The six words that they read from their screen.
    #[arg(long, value_name = "WORDS")]
    pub words: Option<String>,
}

/// Whose contacts.
#[derive(Debug, Clone, Args)]
pub struct ContactArguments {
    /// Whose.
    #[command(flatten)]
    pub account: AccountArguments,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ContactCommandError {
    /// The account does not open.
    #[error(transparent)]
    Account(#[from] TransferError),
    /// The account's keys or its store.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See there.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// Nobody's certificate is known for this address.
    #[error("no key of {0} is known: write to them once, or let them write to you")]
    Unknown(Address),
    /// See there.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// Neither a fingerprint nor a code.
    #[error("this is no fingerprint: 40 or 64 digits of 0-9 and A-F, or a code's OPENPGP4FPR:…")]
    NoFingerprint,
    /// What they told is of another key.
    #[error(
        "these are NOT of the key that is known for {0}. Somebody may stand between the two of \
         you: do not send them anything secret before you know why. Nothing was changed."
    )]
    Differs(Address),
    /// Nobody reads what is printed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Runs one of the commands.
pub async fn run(command: ContactCommand, out: &mut impl Write) -> Result<(), ContactCommandError> {
    let (ContactCommand::Me(arguments)
    | ContactCommand::List(arguments)
    | ContactCommand::Show { arguments, .. }
    | ContactCommand::Verify { arguments, .. }) = &command;
    let mut passwords = Passwords {
        account_file: arguments.account.password_file.clone(),
        source_file: None,
    };
    let opened = open_account(&arguments.account, &mut passwords).await?;
    perform(&opened.account, &command, out).await
}

async fn perform(
    account: &LocalAccount,
    command: &ContactCommand,
    out: &mut impl Write,
) -> Result<(), ContactCommandError> {
    match command {
        ContactCommand::Me(_) => {
            for identity in account.own_identities(clock::now()).await? {
                tell(out, &identity)?;
                for line in draw(&identity.code()).map_or_else(Vec::new, |code| code.lines) {
                    writeln!(out, "{line}")?;
                }
            }
        }
        ContactCommand::List(_) => {
            for contact in account.contacts().await? {
                let fingerprint = contact.parse_certificate().map_or_else(
                    || "damaged".to_owned(),
                    |known| known.fingerprint().to_string(),
                );
                let level = level_name(contact.level);
                writeln!(out, "{}\t{level}\t{fingerprint}", contact.address)?;
            }
        }
        ContactCommand::Show { address, .. } => {
            let comparison = account.comparison(address, clock::now()).await?;
            let comparison =
                comparison.ok_or_else(|| ContactCommandError::Unknown(address.clone()))?;
            tell(out, &comparison.theirs)?;
            writeln!(out, "  {}", level_name(comparison.level))?;
            for identity in &comparison.ours {
                tell(out, identity)?;
            }
            writeln!(
                out,
                "Let {address} read their words to you, by telephone or face to face, not by mail; \
                 read yours to them. Then: letterlock contact verify {address} --words \"…\""
            )?;
        }
        ContactCommand::Verify { address, told, .. } => verify(account, address, told, out).await?,
    }
    Ok(out.flush()?)
}

async fn verify(
    account: &LocalAccount,
    address: &Address,
    told: &Told,
    out: &mut impl Write,
) -> Result<(), ContactCommandError> {
    let comparison = account.comparison(address, clock::now()).await?;
    let theirs = comparison
        .ok_or_else(|| ContactCommandError::Unknown(address.clone()))?
        .theirs;
    let same = match (&told.fingerprint, &told.words) {
        (Some(text), _) => {
            let read = read_fingerprint(text).ok_or(ContactCommandError::NoFingerprint)?;
            read == theirs.fingerprint
        }
        (None, words) => words.as_ref().is_some_and(|words| theirs.has_words(words)),
    };
    if !same {
        return Err(ContactCommandError::Differs(address.clone()));
    }
    account
        .mark_compared(address, &theirs.fingerprint, clock::now())
        .await?;
    writeln!(
        out,
        "They match: the key of {address} is marked as compared."
    )?;
    Ok(())
}

fn tell(out: &mut impl Write, identity: &Identity) -> io::Result<()> {
    writeln!(out, "{}", identity.address)?;
    writeln!(out, "  {}", identity.words().join(" "))?;
    writeln!(out, "  {}", identity.grouped())
}

/// A level in the words of these commands.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::WeakChain => "not compared",
        Level::ProviderTrust => "not compared; their provider says so",
        Level::ProviderEndorsement => "not compared; their provider has signed it",
        Level::ThirdPartyEndorsement => "not compared; somebody whom you trust has signed it",
        Level::ThirdPartyConsensus => "not compared; several sources agree",
        Level::HistoricallyAuditing => "not compared; its history was audited",
        Level::KnownKey => "signed by their key before",
        Level::Fingerprint => "compared",
    }
}

#[cfg(test)]
mod tests {
    use letterlock_core::account::Account;
    use letterlock_core::id::{AccountId, Timestamp};
    use letterlock_core::keys::{Decision, Offer, keyring};
    use letterlock_core::openpgp::SecretCertificate;
    use letterlock_core::seal::{AccountKeys, RootKey};
    use rand::rngs::OsRng;

    use super::*;
    use crate::bridge::sqlite_store::SqliteStore;

    fn arguments() -> ContactArguments {
        ContactArguments {
            account: AccountArguments {
                account: None,
                data_dir: None,
                password_file: None,
            },
        }
    }

    async fn said(account: &LocalAccount, command: ContactCommand) -> Result<String, String> {
        let mut out = Vec::new();
        let done = Box::pin(perform(account, &command, &mut out)).await;
        done.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn verify_by(fingerprint: Option<&str>, words: Option<&str>) -> ContactCommand {
        ContactCommand::Verify {
            address: Address::new("bob@letterlock.example").unwrap(),
            told: Told {
                fingerprint: fingerprint.map(str::to_owned),
                words: words.map(str::to_owned),
            },
            arguments: arguments(),
        }
    }

    async fn alice(folder: &std::path::Path, now: Timestamp) -> LocalAccount {
        let alice = Address::new("alice@letterlock.example").unwrap();
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([1; 32]));
        let path = folder.join("replica.sqlite");
        let store = SqliteStore::open(&path, keys.store_key()).unwrap();
        let account = Account::open(store, alice, keys, [1; 32], now)
            .await
            .unwrap();
        account.create_keys(now).await.unwrap();
        account
    }

    #[tokio::test]
    async fn a_key_is_marked_by_what_was_told_of_it_and_by_nothing_else() {
        let now = Timestamp::from_secs(1_800_000_000);
        let folder = tempfile::tempdir().unwrap();
        let account = alice(folder.path(), now).await;
        let bob = Address::new("bob@letterlock.example").unwrap();
        let show = ContactCommand::Show {
            address: bob.clone(),
            arguments: arguments(),
        };
        let unknown = said(&account, show.clone()).await.unwrap_err();
        assert!(unknown.contains("no key of bob@"), "{unknown}");

        let theirs = SecretCertificate::generate(&bob, None, now, &mut OsRng).unwrap();
        let identity = Identity {
            address: bob.clone(),
            fingerprint: theirs.fingerprint(),
        };
        let offer = Offer {
            address: bob.clone(),
            certificate: theirs.certificate().clone(),
            level: Level::WeakChain,
            seen_at: now,
            prefers_encryption: false,
        };
        let Decision::Store(contact) = keyring::consider(None, &offer, now) else {
            panic!("nobody was known");
        };
        account.store_contact(*contact, now).await.unwrap();

        let me = said(&account, ContactCommand::Me(arguments()))
            .await
            .unwrap();
        assert!(
            me.starts_with("alice@letterlock.example\n") && me.contains('█'),
            "{me}"
        );
        let shown = said(&account, show).await.unwrap();
        assert!(shown.contains(&identity.words().join(" ")) && shown.contains("not compared"));
        for (wrong, why) in [
            (
                verify_by(
                    None,
                    Some("abandon abandon abandon abandon abandon abandon"),
                ),
                "NOT of the key",
            ),
            (verify_by(Some(&"A".repeat(40)), None), "NOT of the key"),
            (verify_by(Some("yes"), None), "no fingerprint"),
        ] {
            let refused = said(&account, wrong).await.unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        let list = ContactCommand::List(arguments());
        assert!(
            said(&account, list.clone())
                .await
                .unwrap()
                .contains("\tnot compared\t")
        );
        let words = identity.words().join(" ");
        for right in [
            verify_by(None, Some(&words)),
            verify_by(Some(&identity.code()), None),
        ] {
            assert!(said(&account, right).await.unwrap().contains("They match"));
        }
        assert!(said(&account, list).await.unwrap().contains("\tcompared\t"));
    }
}
