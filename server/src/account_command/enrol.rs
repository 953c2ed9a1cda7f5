//! How an account comes to this device by a command: made, logged in to, or recovered.
//!
//! An account that is here already (its bridge may run) only gets its `unlock.json` written anew.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use letterlock_core::auth::RecoveryPhrase;
use letterlock_core::auth::wire::{Device, Invite, OtherDevices};
use letterlock_core::id::Address;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::arguments::EnrolArguments;
use super::{
    AccountCommandError, DEVICE_NAME, Open, Place, data_dir, date, random_device, tell_phrase,
};
use crate::bridge::accounts::{BridgeAccount, SyncStatus};
use crate::bridge::credentials::Credentials;
use crate::bridge::enrolment::{EnrolError, Enrolment};
use crate::bridge::lock::DataDir;
use crate::bridge::offline::account_folder;
use crate::bridge::provider_client::ProviderClient;
use crate::bridge::sync_loop;
use crate::bridge::unlock::Unlock;
use crate::clock;
use crate::shutdown::GRACE;
use crate::transfer::command::watch_signals;
use crate::transfer::password::Passwords;

/// Makes an account.
pub(super) async fn create(
    arguments: &EnrolArguments,
    invite: Option<String>,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let data_dir = data_dir(arguments.data_dir.as_deref())?;
    let folder = account_folder(&data_dir, &arguments.address);
    let _lock = DataDir::lock(&data_dir)?;
    if Unlock::read(&folder)?.is_some() {
        return Err(AccountCommandError::Here(arguments.address.clone()));
    }
    let file = arguments.password_file.as_deref();
    let password = Passwords::default().new_account(&arguments.address, file)?;
    let phrase = RecoveryPhrase::generate(&mut OsRng);
    let enrolment = Enrolment {
        phrase: Some(phrase.clone()),
        invite: invite.as_deref().map(Invite::new),
        ..enrolment(arguments, &data_dir, password)?
    };
    tell_phrase(out, &phrase)?;
    let account = Box::pin(enrolment.sign_up(clock::now())).await;
    if account.is_err() {
        writeln!(
            out,
            "The account was NOT made; the phrase is worth nothing."
        )?;
    }
    account?;
    writeln!(out, "{} is yours.", arguments.address)?;
    Ok(())
}

/// Brings an account here, or its new password.
pub(super) async fn log_in(
    arguments: &EnrolArguments,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let mut passwords = Passwords {
        account_file: arguments.password_file.clone(),
        source_file: None,
    };
    let data_dir = data_dir(arguments.data_dir.as_deref())?;
    if let Some(place) = kept(arguments, &data_dir)? {
        let password = passwords.account(&arguments.address)?;
        let open = Open::with(place, password).await?;
        open.end().await;
        let entered = &open.entered;
        if open.place.unlock.account_id() != Some(entered.account) {
            return Err(EnrolError::OtherAccount.into());
        }
        let password = &open.password;
        open.place
            .keep_password(password, entered.account, entered.epoch, &entered.root)?;
        writeln!(out, "This device knows the password.")?;
        return Ok(());
    }
    let _lock = DataDir::lock(&data_dir)?;
    let password = passwords.account(&arguments.address)?;
    let enrolment = enrolment(arguments, &data_dir, password)?;
    let account = Box::pin(enrolment.log_in(clock::now())).await?;
    Box::pin(fetch(account, out)).await
}

/// Sets a new password by the phrase.
pub(super) async fn recover(
    arguments: &EnrolArguments,
    phrase_file: Option<&Path>,
    others: OtherDevices,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let mut passwords = Passwords::default();
    let data_dir = data_dir(arguments.data_dir.as_deref())?;
    let address = &arguments.address;
    let file = arguments.password_file.as_deref();
    if let Some(place) = kept(arguments, &data_dir)? {
        let phrase = passwords.phrase(address, phrase_file)?;
        let password = passwords.new_account(address, file)?;
        let credentials = &place.credentials;
        let recovering = credentials.prove_phrase(&phrase, &password).await?;
        if place.unlock.account_id() != Some(recovering.account) {
            return Err(EnrolError::OtherAccount.into());
        }
        let token = credentials.finish_recovery(&recovering, others).await?;
        let (account, epoch) = (recovering.account, recovering.epoch);
        place.keep_password(&password, account, epoch, &recovering.root)?;
        // The bridge has a token of its own, as the same device.
        credentials.provider.log_out(&token).await?;
        writeln!(out, "The new password holds.")?;
        return Ok(());
    }
    let _lock = DataDir::lock(&data_dir)?;
    let phrase = passwords.phrase(address, phrase_file)?;
    let password = passwords.new_account(address, file)?;
    let enrolment = enrolment(arguments, &data_dir, password)?;
    let recovered = enrolment.recover(&phrase, others, clock::now());
    let account = Box::pin(recovered).await?;
    writeln!(out, "The new password holds.")?;
    Box::pin(fetch(account, out)).await
}

fn kept(arguments: &EnrolArguments, data_dir: &Path) -> Result<Option<Place>, AccountCommandError> {
    place(&arguments.address, arguments.provider.as_deref(), data_dir)
}

/// The account, if it is here.
pub(super) fn place(
    address: &Address,
    provider: Option<&str>,
    data_dir: &Path,
) -> Result<Option<Place>, AccountCommandError> {
    let folder = account_folder(data_dir, address);
    if Unlock::read(&folder)?.is_none() {
        return Ok(None);
    }
    let (data_dir, address) = (data_dir.to_owned(), address.clone());
    Place::at(data_dir, folder, address, provider).map(Some)
}

/// How an account that is not here asks its provider.
pub(super) fn credentials(
    address: &Address,
    provider: Option<&str>,
) -> Result<Credentials, AccountCommandError> {
    let provider = ProviderClient::new(provider.ok_or(AccountCommandError::NoProvider)?)?;
    Ok(Credentials {
        address: address.clone(),
        provider,
        device: Device {
            id: random_device(),
            name: DEVICE_NAME.to_owned(),
        },
    })
}

fn enrolment(
    arguments: &EnrolArguments,
    data_dir: &Path,
    password: Zeroizing<String>,
) -> Result<Enrolment, AccountCommandError> {
    let provider = arguments.provider.as_deref();
    Ok(Enrolment {
        address: arguments.address.clone(),
        password,
        folder: account_folder(data_dir, &arguments.address),
        provider: ProviderClient::new(provider.ok_or(AccountCommandError::NoProvider)?)?,
        device_name: arguments.device_name.clone(),
        phrase: None,
        invite: None,
    })
}

/// Brings the account's mail here, all of it, and ends.
pub(super) async fn fetch(
    account: BridgeAccount,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let shutdown = watch_signals()?;
    let account = Arc::new(account);
    let mut behind = account.behind();
    let mut status = account.status();
    sync_loop::start(&account, &shutdown);
    let here = async {
        // An error says that the loops ended.
        behind.wait_for(|behind| !behind).await.is_ok()
    };
    let logged_out = async {
        let ended = status.wait_for(|status| *status == SyncStatus::LoggedOut);
        ended.await.is_ok()
    };
    let outcome = tokio::select! {
        () = shutdown.token.cancelled() => Err(AccountCommandError::Interrupted),
        true = logged_out => Err(AccountCommandError::LoggedOut),
        _ = here => Ok(()),
    };
    shutdown.finish(GRACE).await;
    outcome?;
    let messages = account.account.usage().messages;
    writeln!(
        out,
        "{} is on this device, with {messages} messages.",
        account.account.address()
    )?;
    // A device that knows nothing yet cannot tell an old state from the newest; its user may.
    if let Ok(Some(at)) = account.account.last_stated().await {
        let at = date(at);
        writeln!(
            out,
            "Your other devices have last stored something on {at}."
        )?;
    }
    Ok(())
}
