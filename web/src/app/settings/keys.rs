//! The keys' part of the settings: what the account has, what people compare, what is done.

use super::{ask, check_new};
use crate::model::event::{Effect, KeyAction};
use crate::model::mail::Mail;
use crate::model::settings::{Outcome, Settings};
use crate::protocol::{Change, Changed, Failure, Request, Response, Section};

/// What the user did with keys.
pub(super) fn acted(mail: &mut Mail, action: KeyAction) -> Vec<Effect> {
    match action {
        KeyAction::Compare(address) => compare(mail, address),
        KeyAction::Match => keys_match(mail),
        KeyAction::Replace {
            fingerprint,
            reason,
            explanation,
        } => {
            let change = Change::ReplaceKey {
                fingerprint,
                reason,
                explanation,
            };
            ask(mail, change, None)
        }
        KeyAction::Export {
            fingerprint,
            passphrase,
            again,
        } => {
            let refused = check_new("passphrase", &passphrase.0, &again.0);
            let change = Change::ExportKey {
                fingerprint,
                passphrase,
            };
            ask(mail, change, refused)
        }
        KeyAction::Import {
            text,
            passphrase,
            take_into_use,
        } => {
            let empty = text.0.trim().is_empty();
            let refused = empty.then(|| "Please paste the key, or drop its file here.".to_owned());
            let change = Change::ImportKeys {
                text,
                passphrase,
                take_into_use,
            };
            ask(mail, change, refused)
        }
    }
}

/// What a change of keys brought.
pub(super) fn changed(settings: &mut Settings, changed: &Changed) -> Vec<Effect> {
    let (text, with) = match changed {
        Changed::Compared => {
            if let Some(keys) = &mut settings.keys
                && let Some(theirs) = &mut keys.theirs
            {
                theirs.compared = true;
            }
            let text = "It is marked: from now on you are told if another key comes.";
            (text.to_owned(), None)
        }
        Changed::KeyReplaced => {
            let text = "It is revoked. Whoever asks for your key gets the one in use.";
            (text.to_owned(), Some(Request::Keys { with: None }))
        }
        Changed::KeysImported(count) => {
            let text = match count {
                1 => "The key is one of yours.".to_owned(),
                count => format!("{count} keys are yours."),
            };
            (text, Some(Request::Keys { with: None }))
        }
        _ => return Vec::new(),
    };
    settings.outcome = Some(Outcome {
        section: Section::Keys,
        failed: false,
        text,
    });
    let more = with.map(Effect::Ask);
    [Effect::Ask(Request::Account)]
        .into_iter()
        .chain(more)
        .collect()
}

fn compare(mail: &mut Mail, address: String) -> Vec<Effect> {
    let Some(settings) = &mut mail.settings else {
        return Vec::new();
    };
    if settings.busy.is_some() || address.is_empty() {
        return Vec::new();
    }
    settings.outcome = None;
    settings.busy = Some(Section::Keys);
    let with = Some(address);
    vec![Effect::Ask(Request::Keys { with })]
}

/// Only what is on the screen can match.
fn keys_match(mail: &mut Mail) -> Vec<Effect> {
    let settings = mail.settings.as_ref();
    let keys = settings.and_then(|settings| settings.keys.as_ref());
    let shown = keys.and_then(|keys| keys.theirs.as_ref());
    let change = shown.map(|theirs| Change::Compared {
        address: theirs.key.address.clone(),
        fingerprint: theirs.key.fingerprint.clone(),
    });
    change
        .map(|change| ask(mail, change, None))
        .unwrap_or_default()
}

/// Asks for the keys again that had not come to this device when the settings were opened.
pub(crate) fn look_again(mail: &Mail) -> Vec<Effect> {
    let settings = mail.settings.as_ref();
    let missing = settings.is_some_and(|open| open.keys.is_none() && open.busy.is_none());
    let ask = Effect::Ask(Request::Keys { with: None });
    missing.then_some(ask).into_iter().collect()
}

/// Files the account's keys, and what is compared.
pub(crate) fn filed(mail: &mut Mail, result: Result<Response, Failure>) {
    let Some(settings) = &mut mail.settings else {
        return;
    };
    if settings.busy == Some(Section::Keys) {
        settings.busy = None;
    }
    match result {
        Ok(Response::Keys(keys)) => {
            if settings.keys.is_none() {
                settings.outcome = None;
            }
            settings.keys = Some(*keys);
        }
        Ok(_) => {}
        Err(failure) => {
            // What was shown before is of somebody else.
            if let Some(keys) = &mut settings.keys {
                keys.theirs = None;
            }
            settings.outcome = Some(Outcome {
                section: Section::Keys,
                failed: true,
                text: failure.to_string(),
            });
        }
    }
}
