//! The account's devices, as this browser tells the provider of them: it puts itself into the
//! signed list, logs in by its own key, and holds the provider to what the list says.
//!
//! Invariant: this browser is put into the list only with the password in hand; what the provider
//! shows that the account's key has not signed is used for nothing.

use letterlock_core::account::DevicesError;
use letterlock_core::auth::devices::{self, Standing};
use letterlock_core::auth::wire::{
    ChallengeProve, ChallengeStart, Device, DeviceState, DevicesPut, Octets, PasswordProof,
};
use letterlock_core::auth::{DeviceAlarm, DeviceListError, SignedDeviceList, Way, Ways};
use letterlock_core::id::{ReplicaId, Timestamp};

use super::account::{prove, refused};
use super::exchange::{ExchangeError, token};
use super::mail;
use super::provider::{self, ProviderError, Put};
use super::session::{self, DEVICE_NAME, Session, now};
use crate::protocol::{DeviceRow, Failure, Secret};

/// How often a list is built anew because another device was first.
pub(super) const MAX_CONFLICTS: usize = 8;
/// How often the provider's words about devices are judged, in milliseconds.
const CHECK_EVERY_MS: i64 = 5 * 60 * 1000;

/// Puts this browser into the account's list after a log-in. `ways`: the provider has taken the
/// password just now; else only one that never was in the list joins it, or that cannot begin the
/// account's newest key epoch by itself. A browser that is not in the list works all the same, and
/// the next log-in tries again.
pub async fn join(session: &Session, password: &Secret, ways: Option<Ways>) {
    let ways = match ways {
        Some(ways) => Some(ways),
        None => prove_if_needed(session, password).await,
    };
    if let Some(ways) = ways {
        try_join(session, password, &ways).await.ok();
    }
}

async fn prove_if_needed(session: &Session, password: &Secret) -> Option<Ways> {
    let account = &session.account;
    let token = token(session).ok()?;
    let is_joined = account.devices_state().await.ok()?.joined;
    let shown = provider::devices(&token).await.ok()?.list;
    if is_joined
        && !account
            .lacks_keys(octets(shown.as_ref()), now())
            .await
            .ok()?
    {
        return None;
    }
    let entered = session::prove_again(&session.known, password).await.ok()?;
    session.set_token(entered.token).await;
    Some(entered.ways)
}

async fn try_join(session: &Session, password: &Secret, ways: &Ways) -> Result<(), Failure> {
    let account = &session.account;
    let device = Device {
        id: session.known.device,
        name: DEVICE_NAME.to_owned(),
    };
    for _ in 0..MAX_CONFLICTS {
        let token = token(session).map_err(refused)?;
        let shown = provider::devices(&token).await.map_err(refused)?.list;
        let next = account.join_devices(octets(shown.as_ref()), &device, ways, now());
        let Some(next) = next.await.map_err(not_judged)? else {
            return Ok(());
        };
        // The first list names the account's key, which the provider does not know yet.
        let proof = match shown {
            None => Some(prove(&session.known, &token, password).await?),
            Some(_) => None,
        };
        let put = put(&next, proof);
        if provider::put_devices(&token, &put).await.map_err(refused)? == Put::Done {
            let kept = account.keep_device_list(&next, now()).await;
            return kept.map_err(mail::failed);
        }
    }
    Err(busy())
}

/// Takes a device out of the list, which begins a new key epoch, and logs it out.
pub async fn remove(session: &Session, id: ReplicaId) -> Result<(), Failure> {
    begin_without(session, id).await?;
    let token = token(session).map_err(refused)?;
    match provider::remove_device(&token, id).await {
        // With the list it was logged out.
        Err(ProviderError::Refused { status: 404, .. }) | Ok(()) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

async fn begin_without(session: &Session, id: ReplicaId) -> Result<(), Failure> {
    let account = &session.account;
    for _ in 0..MAX_CONFLICTS {
        let token = token(session).map_err(refused)?;
        let has_phrase = provider::account(&token)
            .await
            .map_err(refused)?
            .has_recovery;
        let shown = provider::devices(&token).await.map_err(refused)?.list;
        let removal = account.remove_device(octets(shown.as_ref()), id, has_phrase, now());
        let Some(removal) = removal.await.map_err(not_judged)? else {
            return Ok(());
        };
        let put = put(&removal.list, None);
        if provider::put_devices(&token, &put).await.map_err(refused)? == Put::Done {
            let begun = account.device_removed(removal, now()).await;
            return begun.map_err(mail::failed);
        }
    }
    Err(busy())
}

/// The list of devices that names a new password or phrase, to go with it; `None` without a list.
pub async fn naming(session: &Session, ways: &Ways) -> Result<Option<Octets>, Failure> {
    let token = token(session).map_err(refused)?;
    let shown = provider::devices(&token).await.map_err(refused)?.list;
    let next = session
        .account
        .name_ways(octets(shown.as_ref()), ways, now());
    let next = next.await.map_err(not_judged)?;
    Ok(next.map(|next| next.octets().to_vec().into()))
}

/// Takes a device that leaves by itself out of the list.
pub async fn unlist(session: &Session, id: ReplicaId) -> Result<(), Failure> {
    let account = &session.account;
    for _ in 0..MAX_CONFLICTS {
        let token = token(session).map_err(refused)?;
        let shown = provider::devices(&token).await.map_err(refused)?.list;
        let next = account.leave_devices(octets(shown.as_ref()), id, now());
        let Some(next) = next.await.map_err(not_judged)? else {
            return Ok(());
        };
        let put = put(&next, None);
        if provider::put_devices(&token, &put).await.map_err(refused)? == Put::Done {
            let kept = account.keep_device_list(&next, now()).await;
            return kept.map_err(mail::failed);
        }
    }
    Err(busy())
}

/// All devices, as they are shown: by the last list that was in order.
pub async fn rows(session: &Session, told: &[DeviceState]) -> Vec<DeviceRow> {
    // What is wrong with the provider's list is told by the check.
    check_now(session, told).await.ok();
    let list = session.account.device_list().await.ok().flatten();
    let all = devices::shown(list.as_ref(), told).into_iter();
    all.map(|device| DeviceRow {
        id: device.id.to_string(),
        name: device.name,
        last_seen_ms: device.last_seen.map(Timestamp::as_millis),
        current: device.id == session.known.device,
        stranger: device.standing == Standing::Stranger,
    })
    .collect()
}

/// Judges now and then what the provider says of the account's devices; what is false.
pub async fn check(
    session: &Session,
    last: &mut Option<Timestamp>,
) -> Result<Option<DeviceAlarm>, ExchangeError> {
    let now = now();
    let is_due =
        last.is_none_or(|last| now.as_millis().saturating_sub(last.as_millis()) >= CHECK_EVERY_MS);
    if !is_due {
        return Ok(None);
    }
    let told = provider::account(&token(session)?).await?.devices;
    let alarm = check_now(session, &told).await?;
    // While there is an alarm, every pull asks whether it lasts.
    *last = alarm.is_none().then_some(now);
    Ok(alarm)
}

async fn check_now(
    session: &Session,
    told: &[DeviceState],
) -> Result<Option<DeviceAlarm>, ExchangeError> {
    let token = token(session)?;
    let shown = provider::devices(&token).await?.list;
    let checked = session
        .account
        .check_devices(octets(shown.as_ref()), told, now())
        .await?;
    if let Some(lost) = &checked.offer {
        provider::put_devices(&token, &put(lost, None)).await?;
    }
    Ok(checked.alarm)
}

/// Fetches the list of devices, because something is sealed under keys that are not here yet.
pub async fn fetch_keys(session: &Session) -> Result<(), ExchangeError> {
    let told = provider::account(&token(session)?).await?.devices;
    check_now(session, &told).await.map(drop)
}

/// Logs in by this browser's key. Whether the provider took it; if not, only the password helps.
pub async fn log_in_again(session: &Session) -> Result<bool, ExchangeError> {
    let account = &session.account;
    let (address, device) = (account.address(), session.known.device);
    let key = account.device_key(now()).await?;
    let start = ChallengeStart {
        address: address.clone(),
        device,
    };
    let started = provider::start_challenge(&start).await?;
    let signature = key.prove(address, device, &started.challenge.0);
    let prove = ChallengeProve {
        session: started.session,
        signature: signature.into(),
    };
    match provider::prove_challenge(&prove).await {
        Ok(proved) => {
            session.set_token(proved.token).await;
            Ok(true)
        }
        Err(ProviderError::Unauthorized | ProviderError::Refused { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn octets(shown: Option<&Octets>) -> Option<&[u8]> {
    shown.map(|list| list.0.as_slice())
}

pub(super) fn put(list: &SignedDeviceList, proof: Option<PasswordProof>) -> DevicesPut {
    DevicesPut {
        list: list.octets().to_vec().into(),
        proof,
    }
}

pub(super) fn not_judged(error: DevicesError) -> Failure {
    match error {
        DevicesError::Replica(error) => mail::failed(error),
        DevicesError::List(DeviceListError::NoWay(Way::Password)) => Failure::Refused(
            "Lock this tab and log in with your password first: new keys have to be sealed to it."
                .to_owned(),
        ),
        DevicesError::List(DeviceListError::NoWay(Way::Phrase)) => Failure::Refused(
            "Make a new recovery phrase first: the one that you have would not open what is stored \
             after the removal."
                .to_owned(),
        ),
        error => Failure::Refused(format!("It was not done: {error}.")),
    }
}

pub(super) fn busy() -> Failure {
    Failure::Refused("Other devices are changing the list right now. Please try again.".to_owned())
}
