//! The settings: password, recovery phrase, devices, the end.
//!
//! Each section is a region of its own, so that what is typed in one stays when another changes.

use askama::Template;

use super::date;
use crate::model::settings::{Outcome, Settings};
use crate::model::{Clock, Mail};
use crate::protocol::{Ended, KeyState, KeysView, Section, TheirKey};

/// The sheet, without its sections.
#[derive(Template)]
#[template(path = "settings.html")]
pub(super) struct Sheet<'a> {
    open: bool,
    address: &'a str,
}

impl<'a> Sheet<'a> {
    pub(super) fn of(mail: &'a Mail) -> Self {
        Self {
            open: mail.settings.is_some(),
            address: &mail.address,
        }
    }
}

/// How much room the account takes.
#[derive(Template)]
#[template(path = "settings_room.html")]
pub(super) struct Room {
    text: String,
}

impl Room {
    pub(super) fn of(settings: &Settings) -> Self {
        let text = match &settings.account {
            None => "Asking the provider …".to_owned(),
            Some(account) => {
                let used = octets(account.used_octets);
                let taken = match account.quota_octets {
                    Some(quota) => format!("{used} of {}", octets(quota)),
                    None => used,
                };
                let kept = octets(account.kept_octets);
                let most = octets(account.kept_most_octets);
                format!(
                    "{taken} are taken at the provider. This browser keeps {kept} of what you have \
                     read, at most {most}; the rest is fetched when you open it."
                )
            }
        };
        Self { text }
    }
}

/// The form for a new password.
#[derive(Template)]
#[template(path = "settings_password.html")]
pub(super) struct Password {
    /// A form that did its work is another one, and empty.
    done: u32,
}

impl Password {
    pub(super) const fn of(settings: &Settings) -> Self {
        Self {
            done: settings.done,
        }
    }
}

/// The recovery phrase.
#[derive(Template)]
#[template(path = "settings_phrase.html")]
pub(super) struct Phrase<'a> {
    words: Vec<&'a str>,
    has_recovery: Option<bool>,
    done: u32,
}

impl<'a> Phrase<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        let phrase = settings.phrase.as_ref();
        Self {
            words: phrase.map_or_else(Vec::new, |phrase| phrase.0.split(' ').collect()),
            has_recovery: settings
                .account
                .as_ref()
                .map(|account| account.has_recovery),
            done: settings.done,
        }
    }
}

/// What others compare of us.
#[derive(Template)]
#[template(path = "settings_keys.html")]
pub(super) struct Keys<'a> {
    keys: Option<&'a KeysView>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        Self {
            keys: settings.keys.as_ref(),
        }
    }
}

/// All of the account's keys, and what can be done with each.
#[derive(Template)]
#[template(path = "settings_own_keys.html")]
pub(super) struct OwnKeys<'a> {
    keys: Vec<OwnKey<'a>>,
    done: u32,
}

struct OwnKey<'a> {
    fingerprint: &'a str,
    kind: &'static str,
    state: String,
    dates: String,
    in_use: bool,
    can_be_revoked: bool,
}

impl<'a> OwnKeys<'a> {
    pub(super) fn of(settings: &'a Settings, clock: Clock) -> Self {
        let keys = settings.keys.iter().flat_map(|keys| &keys.all);
        let keys = keys.map(|key| {
            let made = date::day(key.created_at_ms, clock);
            let end = key.expires_at_ms.map(|end| date::day(end, clock));
            OwnKey {
                fingerprint: &key.fingerprint,
                kind: if key.for_the_world {
                    "For everybody"
                } else {
                    "For users of your provider, and for its sealing of your mail"
                },
                state: match &key.state {
                    KeyState::InUse => "in use".to_owned(),
                    KeyState::Expired => "expired, and soon renewed".to_owned(),
                    KeyState::Retired => "opens old mail".to_owned(),
                    KeyState::Unusable(reason) => format!("{reason}; opens old mail"),
                },
                dates: match end {
                    Some(end) => format!("made {made}, ends {end} unless renewed"),
                    None => format!("made {made}, without an end"),
                },
                in_use: matches!(key.state, KeyState::InUse | KeyState::Expired),
                can_be_revoked: key.can_be_revoked,
            }
        });
        Self {
            keys: keys.collect(),
            done: settings.done,
        }
    }
}

/// The form for keys of elsewhere.
#[derive(Template)]
#[template(path = "settings_import.html")]
pub(super) struct Import {
    done: u32,
}

impl Import {
    pub(super) const fn of(settings: &Settings) -> Self {
        Self {
            done: settings.done,
        }
    }
}

/// With whom to compare.
#[derive(Template)]
#[template(path = "settings_compare.html")]
pub(super) struct Compare {
    done: u32,
}

impl Compare {
    pub(super) const fn of(settings: &Settings) -> Self {
        Self {
            done: settings.done,
        }
    }
}

/// What is compared of them.
#[derive(Template)]
#[template(path = "settings_theirs.html")]
pub(super) struct Theirs<'a> {
    theirs: Option<&'a TheirKey>,
}

impl<'a> Theirs<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        let keys = settings.keys.as_ref();
        Self {
            theirs: keys.and_then(|keys| keys.theirs.as_ref()),
        }
    }
}

/// The devices.
#[derive(Template)]
#[template(path = "settings_devices.html")]
pub(super) struct Devices<'a> {
    devices: Vec<Device<'a>>,
}

struct Device<'a> {
    id: &'a str,
    name: &'a str,
    seen: String,
    current: bool,
    stranger: bool,
}

impl<'a> Devices<'a> {
    pub(super) fn of(settings: &'a Settings, clock: Clock) -> Self {
        let devices = settings.account.iter().flat_map(|account| &account.devices);
        let devices = devices.map(|device| Device {
            id: &device.id,
            name: &device.name,
            seen: match device.last_seen_ms {
                Some(at) => format!("last seen {}", date::long(at, clock)),
                None => "logged out".to_owned(),
            },
            current: device.current,
            stranger: device.stranger,
        });
        Self {
            devices: devices.collect(),
        }
    }
}

/// A device that comes in.
#[derive(Template)]
#[template(path = "settings_add_device.html")]
pub(super) struct AddDevice<'a> {
    newcomer: Option<&'a str>,
    done: u32,
}

impl<'a> AddDevice<'a> {
    pub(super) fn of(settings: &'a Settings) -> Self {
        Self {
            newcomer: settings.newcomer.as_deref(),
            done: settings.done,
        }
    }
}

/// What came of something, and whether it is under way.
#[derive(Template)]
#[template(path = "settings_outcome.html")]
pub(super) struct Told<'a> {
    outcome: Option<&'a Outcome>,
    busy: bool,
}

impl<'a> Told<'a> {
    pub(super) fn of(settings: &'a Settings, section: Section) -> Self {
        Self {
            outcome: settings.outcome_in(section),
            busy: settings.busy == Some(section),
        }
    }
}

/// The account has ended.
#[derive(Template)]
#[template(path = "ended.html")]
pub(super) struct End<'a> {
    ended: &'a Ended,
    room: String,
}

impl<'a> End<'a> {
    pub(super) fn of(ended: &'a Ended) -> Self {
        Self {
            ended,
            room: octets(ended.octets),
        }
    }
}

fn octets(count: u64) -> String {
    let units = [("GB", 1_000_000_000_u64), ("MB", 1_000_000), ("kB", 1_000)];
    let found = units.iter().find(|(_, size)| count >= *size);
    match found {
        Some((unit, size)) => {
            let tenths = u128::from(count) * 10 / u128::from(*size);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{count} octets"),
    }
}
