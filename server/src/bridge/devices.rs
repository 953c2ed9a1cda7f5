//! The account's devices, as the bridge tells its provider of them: it puts itself into the signed
//! list, logs in by its own key, and holds the provider to what the list says.
//!
//! Invariant: a device is put into the list only with the password in hand; what the provider shows
//! that the account's key has not signed is used for nothing (`letterlock_core::auth::devices`).

use letterlock_core::account::DevicesError;
use letterlock_core::auth::wire::{
    ChallengeProve, ChallengeStart, DeviceState, DevicesPut, Octets, Token,
};
use letterlock_core::auth::{DeviceAlarm, Ways};
use letterlock_core::id::Timestamp;

use super::accounts::{BridgeAccount, LocalAccount};
use super::credentials::Credentials;
use super::enrolment::EnrolError;
use super::provider_client::devices::Put;
use super::provider_client::{CONNECT_TIMEOUT, ProviderClient, ProviderError};
use super::sync_loop::ExchangeError;

/// How often a list is built anew because another device was first.
pub(crate) const MAX_CONFLICTS: usize = 8;

/// Puts this device into the account's list, unless it is there, and what its user has just proved.
pub(super) async fn join(
    account: &LocalAccount,
    credentials: &Credentials,
    token: &Token,
    (password, ways): (&str, &Ways),
    now: Timestamp,
) -> Result<(), EnrolError> {
    for _ in 0..MAX_CONFLICTS {
        let shown = credentials.provider.devices(token).await?.list;
        let octets = shown.as_ref().map(|list| list.0.as_slice());
        let next = account.join_devices(octets, &credentials.device, ways, now);
        let Some(next) = Box::pin(next).await? else {
            return Ok(());
        };
        // The first list names the account's key, which the provider does not know yet.
        let proof = match shown {
            None => Some(credentials.prove(password).await?),
            Some(_) => None,
        };
        let put = DevicesPut {
            list: next.octets().to_vec().into(),
            proof,
        };
        if credentials.provider.put_devices(token, &put).await? == Put::Done {
            return Ok(account.keep_device_list(&next, now).await?);
        }
    }
    Err(ProviderError::Busy { wait: None }.into())
}

/// Logs in by this device's key. Whether the provider took it; if not, only the password helps.
pub(super) async fn log_in_again(
    account: &BridgeAccount,
    now: Timestamp,
) -> Result<bool, EnrolError> {
    let token = log_in_by_key(&account.provider, &account.account, now).await?;
    let Some(token) = token else {
        return Ok(false);
    };
    account.set_token(token).await?;
    Ok(true)
}

/// The token of a log-in by this device's key; `None` if the provider does not take it.
pub(super) async fn log_in_by_key(
    provider: &ProviderClient,
    account: &LocalAccount,
    now: Timestamp,
) -> Result<Option<Token>, EnrolError> {
    let (address, device) = (account.address(), account.id());
    let key = account.device_key(now).await?;
    let start = ChallengeStart {
        address: address.clone(),
        device,
    };
    let started = provider.start_challenge(&start).await?;
    let signature = key.prove(address, device, &started.challenge.0);
    let prove = ChallengeProve {
        session: started.session,
        signature: signature.into(),
    };
    match provider.prove_challenge(&prove).await {
        Ok(proved) => Ok(Some(proved.token)),
        Err(ProviderError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Judges what the provider shows as the account's devices, and gives back a list that it has lost.
/// `told` is whom it says to be logged in.
pub async fn check(
    account: &BridgeAccount,
    told: &[DeviceState],
    now: Timestamp,
) -> Result<Option<DeviceAlarm>, DevicesCheckError> {
    let shown = account.provider.devices(&account.token()).await?.list;
    let octets = shown.as_ref().map(|list: &Octets| list.0.as_slice());
    let checked = Box::pin(account.account.check_devices(octets, told, now)).await?;
    if let Some(lost) = &checked.offer {
        let put = DevicesPut {
            list: lost.octets().to_vec().into(),
            proof: None,
        };
        account.provider.put_devices(&account.token(), &put).await?;
    }
    account.set_device_alarm(checked.alarm.clone());
    Ok(checked.alarm)
}

/// Whether the account has key epochs that only its user can begin here. A provider that is away is
/// asked again later.
pub(super) async fn lacks_keys(
    account: &LocalAccount,
    provider: &ProviderClient,
    token: &Token,
    now: Timestamp,
) -> Result<bool, EnrolError> {
    let asked = tokio::time::timeout(CONNECT_TIMEOUT, provider.devices(token));
    let Ok(Ok(shown)) = asked.await else {
        return Ok(false);
    };
    let octets = shown.list.as_ref().map(|list| list.0.as_slice());
    Ok(Box::pin(account.lacks_keys(octets, now)).await?)
}

/// The list of devices, because something is sealed under keys that this device does not have yet.
pub(super) async fn fetch_keys(
    account: &BridgeAccount,
    now: Timestamp,
) -> Result<(), ExchangeError> {
    let told = account.provider.account(&account.token()).await?.devices;
    match check(account, &told, now).await {
        Ok(_) => Ok(()),
        Err(DevicesCheckError::Provider(error)) => Err(error.into()),
        Err(DevicesCheckError::Devices(error)) => {
            tracing::warn!(%error, "the account's newest keys are not on this device");
            Ok(())
        }
    }
}

/// Why the provider's words about devices were not judged.
#[derive(Debug, thiserror::Error)]
pub enum DevicesCheckError {
    /// It did not answer, or not so.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The list cannot be judged here.
    #[error(transparent)]
    Devices(#[from] DevicesError),
}
