//! What a person is shown as their devices: the signed list, and beside it what only the provider
//! can say, when each was heard of last and who else is logged in.

use super::DeviceList;
use crate::auth::wire::DeviceState;
use crate::id::{ReplicaId, Timestamp};

/// What a device is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In the signed list, and logged in.
    Listed,
    /// In the signed list; the provider has no log-in of it.
    LoggedOut,
    /// Logged in by the provider's word, and not in the list: none of the account's.
    Stranger,
}

/// A device, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownDevice {
    /// Its replica.
    pub id: ReplicaId,
    /// From the list; of a stranger, the provider's word.
    pub name: String,
    /// When it came into the list.
    pub added_at: Option<Timestamp>,
    /// When the provider heard of it last.
    pub last_seen: Option<Timestamp>,
    /// Whether it is the one that asks.
    pub current: bool,
    /// What it is worth.
    pub standing: Standing,
}

/// All devices: those of the list, the one seen last first, then strangers. Without a list nobody
/// can say who is one: then all are listed by the provider's word.
pub fn shown(list: Option<&DeviceList>, told: &[DeviceState]) -> Vec<ShownDevice> {
    let by_id = |id: ReplicaId| told.iter().find(|device| device.id == id);
    let listed = list.into_iter().flat_map(DeviceList::devices);
    let mut devices: Vec<ShownDevice> = listed
        .map(|device| {
            let told = by_id(device.id);
            ShownDevice {
                id: device.id,
                name: device.name.clone(),
                added_at: Some(device.added_at),
                last_seen: told.map(|told| told.last_seen),
                current: told.is_some_and(|told| told.current),
                standing: told.map_or(Standing::LoggedOut, |_| Standing::Listed),
            }
        })
        .collect();
    devices.sort_by_key(|device| core::cmp::Reverse(device.last_seen));
    let is_listed = |id: ReplicaId| list.is_some_and(|list| list.find(id).is_some());
    let others = told.iter().filter(|device| !is_listed(device.id));
    devices.extend(others.map(|device| ShownDevice {
        id: device.id,
        name: device.name.clone(),
        added_at: None,
        last_seen: Some(device.last_seen),
        current: device.current,
        standing: match list {
            Some(_) => Standing::Stranger,
            None => Standing::Listed,
        },
    }));
    devices
}
