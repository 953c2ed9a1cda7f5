//! The settings' part of the state machine.
//!
//! Invariant: a recovery phrase is shown before it holds, and is forgotten by the page when it
//! does or when the settings are closed.

mod keys;

use crate::model::event::{Action, Effect, JoinAction};
use crate::model::mail::Mail;
use crate::model::settings::{Outcome, Settings};
use crate::protocol::{Change, Changed, Failure, Request, Response, Section};

pub(super) use self::keys::{filed as keys_filed, look_again};

/// Fewest characters of a password that is set here.
pub(super) const MIN_PASSWORD_CHARS: usize = 10;

/// What can be done while the settings are open.
pub(super) const fn takes(action: &Action) -> bool {
    matches!(
        action,
        Action::Back
            | Action::Sync
            | Action::CloseSettings
            | Action::ChangePassword { .. }
            | Action::DrawPhrase
            | Action::SetPhrase(_)
            | Action::CheckPhrase(_)
            | Action::Keys(_)
            | Action::Join(_)
            | Action::RemoveDevice(_)
            | Action::DeleteAccount { .. }
    )
}

/// What the user did in the settings, or to open them.
pub(super) fn acted(mail: &mut Mail, action: Action) -> Vec<Effect> {
    match action {
        Action::Settings if mail.settings.is_none() && mail.compose.is_none() => {
            mail.settings = Some(Settings::default());
            vec![
                Effect::Ask(Request::Account),
                Effect::Ask(Request::Keys { with: None }),
                Effect::Focus("settings"),
            ]
        }
        Action::CloseSettings => {
            mail.settings = None;
            Vec::new()
        }
        Action::ChangePassword {
            old,
            new,
            again,
            keep_devices,
        } => {
            let refused = check_new("new password", &new.0, &again.0);
            let change = Change::Password {
                old,
                new,
                keep_devices,
            };
            ask(mail, change, refused)
        }
        Action::DrawPhrase => ask(mail, Change::DrawPhrase, None),
        Action::SetPhrase(password) => {
            let phrase = mail
                .settings
                .as_ref()
                .and_then(|settings| settings.phrase.clone());
            let set = |phrase| ask(mail, Change::SetPhrase { phrase, password }, None);
            phrase.map(set).unwrap_or_default()
        }
        Action::CheckPhrase(phrase) => ask(mail, Change::CheckPhrase { phrase }, None),
        Action::Keys(action) => keys::acted(mail, action),
        Action::Join(action) => match action {
            JoinAction::Add(code) => {
                let empty = code.0.trim().is_empty();
                let refused = empty.then(|| "Please paste the code first.".to_owned());
                ask(mail, Change::AddDevice { code }, refused)
            }
            JoinAction::Admit(words) => ask(mail, Change::AdmitDevice { words }, None),
            JoinAction::Refuse => ask(mail, Change::RefuseDevice, None),
            JoinAction::Begin | JoinAction::End | JoinAction::Finish { .. } => Vec::new(),
        },
        Action::RemoveDevice(id) => ask(mail, Change::RemoveDevice { id }, None),
        Action::DeleteAccount { address, password } => {
            let same = address.trim().eq_ignore_ascii_case(&mail.address);
            let refused = (!same).then(|| "Please type the address as it stands above.".to_owned());
            ask(mail, Change::Delete { password }, refused)
        }
        _ => Vec::new(),
    }
}

/// Why a secret that was typed twice is not taken; `what` it is: "new password".
pub(super) fn check_new(what: &str, new: &str, again: &str) -> Option<String> {
    if new.chars().count() < MIN_PASSWORD_CHARS {
        Some(format!(
            "Please take at least ten characters for the {what}."
        ))
    } else if new != again {
        Some(format!("The two {what}s are not the same."))
    } else {
        None
    }
}

fn ask(mail: &mut Mail, change: Change, refused: Option<String>) -> Vec<Effect> {
    let Some(settings) = &mut mail.settings else {
        return Vec::new();
    };
    if settings.busy.is_some() {
        return Vec::new();
    }
    let section = change.section();
    settings.outcome = refused.map(|text| Outcome {
        section,
        failed: true,
        text,
    });
    if settings.outcome.is_some() {
        return Vec::new();
    }
    settings.busy = Some(section);
    vec![Effect::Ask(Request::Change(Box::new(change)))]
}

/// Files what came of a device that wants to come in: whether it went wrong, and what is told.
fn device_changed(settings: &mut Settings, changed: Changed) -> (bool, String) {
    match changed {
        Changed::DeviceAsks(name) => {
            let text = format!("“{name}” is there. Type the words that it shows.");
            settings.newcomer = Some(name);
            (false, text)
        }
        Changed::WrongWords { text, again } => {
            settings.newcomer = settings.newcomer.take().filter(|_| again);
            (true, text)
        }
        Changed::DeviceAdded => {
            let name = settings.newcomer.take().unwrap_or_default();
            (false, format!("“{name}” is one of your devices now."))
        }
        _ => {
            settings.newcomer = None;
            (false, "It stays outside.".to_owned())
        }
    }
}

/// Files the account's state.
pub(super) fn account(mail: &mut Mail, result: Result<Response, Failure>) {
    let Some(settings) = &mut mail.settings else {
        return;
    };
    match result {
        Ok(Response::Account(account)) => settings.account = Some(*account),
        Ok(_) => {}
        Err(failure) => {
            settings.outcome = Some(Outcome {
                section: Section::Devices,
                failed: true,
                text: failure.to_string(),
            });
        }
    }
}

/// Files what came of a change.
pub(super) fn changed(
    mail: &mut Mail,
    section: Section,
    result: Result<Response, Failure>,
) -> Vec<Effect> {
    let Some(settings) = &mut mail.settings else {
        return Vec::new();
    };
    settings.busy = None;
    let (failed, text) = match result {
        Ok(Response::Changed(changed)) => {
            settings.done = settings.done.wrapping_add(1);
            match changed {
                Changed::Password => (false, "The new password holds.".to_owned()),
                Changed::Phrase(words) => {
                    settings.phrase = Some(words);
                    return Vec::new();
                }
                Changed::PhraseSet => {
                    settings.phrase = None;
                    (
                        false,
                        "The phrase holds. Older ones are worth nothing.".to_owned(),
                    )
                }
                Changed::PhraseRight => {
                    let text = "This phrase is right: it would repair this account.";
                    (false, text.to_owned())
                }
                Changed::KeyExported { url, name } => {
                    return vec![Effect::Save { url, name }];
                }
                changed @ (Changed::Compared | Changed::KeyReplaced | Changed::KeysImported(_)) => {
                    return keys::changed(settings, &changed);
                }
                changed @ (Changed::DeviceAsks(_)
                | Changed::DeviceAdded
                | Changed::WrongWords { .. }
                | Changed::DeviceRefused) => device_changed(settings, changed),
                Changed::Device => (
                    false,
                    "It is none of your devices any more, and logged out.".to_owned(),
                ),
                // Another screen tells it.
                Changed::Ended(_) => return Vec::new(),
            }
        }
        Ok(_) => return Vec::new(),
        Err(Failure::WrongPassword) => (true, "The password is wrong.".to_owned()),
        Err(failure) => (true, failure.to_string()),
    };
    settings.outcome = Some(Outcome {
        section,
        failed,
        text,
    });
    if failed {
        Vec::new()
    } else {
        vec![Effect::Ask(Request::Account)]
    }
}
