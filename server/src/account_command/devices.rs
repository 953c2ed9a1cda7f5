//! The account's devices on the command line: listed, and taken out of the list, which begins a new
//! key epoch.
//!
//! The list is judged by the account's key alone: which one was seen last is known to the bridge,
//! which holds the provider to it and may run meanwhile.

use std::io::{self, Write};

use letterlock_core::account::DevicesError;
use letterlock_core::auth::devices::{self, ShownDevice, Standing};
use letterlock_core::auth::wire::{DeviceState, DevicesPut};
use letterlock_core::auth::{DeviceListError, SignedDeviceList, Way};
use letterlock_core::id::ReplicaId;
use rand::rngs::OsRng;

use super::{AccountCommandError, Open, date};
use crate::bridge::devices::MAX_CONFLICTS;
use crate::bridge::enrolment::EnrolError;
use crate::bridge::provider_client::ProviderError;
use crate::bridge::provider_client::devices::Put;
use crate::clock;

/// All devices, and the list that says which are the account's; `None` if it has none yet.
pub(super) struct Shown {
    devices: Vec<ShownDevice>,
    list: Option<SignedDeviceList>,
}

/// Asks the provider for both.
pub(super) async fn shown(open: &Open) -> Result<Shown, AccountCommandError> {
    let told = told(open).await?;
    let list = list(open).await?;
    let devices = devices::shown(list.as_ref().map(SignedDeviceList::list), &told);
    Ok(Shown { devices, list })
}

/// Prints them.
pub(super) fn tell(out: &mut impl Write, open: &Open, shown: &Shown) -> io::Result<()> {
    match &shown.list {
        Some(list) => writeln!(
            out,
            "  devices   list {}, signed by the account's key",
            list.list().number()
        )?,
        None => writeln!(out, "  devices   not signed yet: start the bridge once")?,
    }
    for device in &shown.devices {
        let this = open.place.unlock.device() == Some(device.id);
        let mark = if this { " (this device)" } else { "" };
        let id = device.id.to_string();
        let id = id.get(..8).unwrap_or(&id);
        let seen = match device.last_seen {
            Some(at) => format!("last seen {}", date(at)),
            None => "logged out".to_owned(),
        };
        let standing = match device.standing {
            Standing::Listed | Standing::LoggedOut => "",
            Standing::Stranger => "  NOT in the account's list: is it yours?",
        };
        writeln!(out, "    {id}  {seen}  {}{mark}{standing}", device.name)?;
    }
    Ok(())
}

/// Takes a device out of the list and logs it out; its name.
pub(super) async fn remove(open: &Open, wanted: &str) -> Result<String, AccountCommandError> {
    let all = shown(open).await?.devices;
    let is_meant = |device: &&ShownDevice| {
        device.name == wanted || (wanted.len() >= 4 && device.id.to_string().starts_with(wanted))
    };
    let mut meant = all.iter().filter(is_meant);
    let (Some(device), None) = (meant.next(), meant.next()) else {
        return Err(AccountCommandError::WhichDevice);
    };
    if open.place.credentials.device.id == device.id {
        return Err(AccountCommandError::ThisDevice);
    }
    unlist(open, device.id).await?;
    let token = &open.entered.token;
    match open.provider().remove_device(token, device.id).await {
        // With the list it was logged out.
        Err(ProviderError::Refused { status: 404, .. }) | Ok(()) => Ok(device.name.clone()),
        Err(error) => Err(error.into()),
    }
}

/// Begins a new key epoch without the device. The password is named in the list if it is not yet:
/// it was proved for this command.
async fn unlist(open: &Open, device: ReplicaId) -> Result<(), AccountCommandError> {
    let token = &open.entered.token;
    let has_phrase = open.provider().account(token).await?.has_recovery;
    for _ in 0..MAX_CONFLICTS {
        let (keys, list) = open.place.credentials.keys(&open.entered).await?;
        let Some(list) = list.map(|list| list.list().clone().naming(&open.entered.ways)) else {
            return Ok(());
        };
        let by = (open.place.credentials.device.id, clock::now());
        let removal = list.removing(device, by, has_phrase, &keys, &mut OsRng);
        let Some(removal) = removal.map_err(refused)? else {
            return Ok(());
        };
        let put = DevicesPut {
            list: removal.list.octets().to_vec().into(),
            proof: None,
        };
        if open.provider().put_devices(token, &put).await? == Put::Done {
            return Ok(());
        }
    }
    Err(ProviderError::Busy { wait: None }.into())
}

fn refused(error: DeviceListError) -> AccountCommandError {
    match error {
        DeviceListError::NoWay(Way::Phrase) => AccountCommandError::OldPhrase,
        error => EnrolError::from(DevicesError::from(error)).into(),
    }
}

async fn told(open: &Open) -> Result<Vec<DeviceState>, AccountCommandError> {
    let state = open.provider().account(&open.entered.token).await?;
    Ok(state.devices)
}

async fn list(open: &Open) -> Result<Option<SignedDeviceList>, AccountCommandError> {
    let (_, list) = open.place.credentials.keys(&open.entered).await?;
    Ok(list)
}
