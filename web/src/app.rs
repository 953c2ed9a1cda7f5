//! The page's state machine: an event in, a changed [`Model`] and effects out.
//!
//! Pure: no browser, no clock, no waiting; the shell (`crate::page`) runs the effects and tells
//! their outcome as events. So everything that the page decides is tested natively.
//!
//! Invariant: an answer that comes too late (the user has gone elsewhere) changes nothing.

mod join;
mod mail;
mod settings;
#[cfg(test)]
mod tests;

use crate::model::event::{Action, Asked, Effect, Event, Forget};
use crate::model::{Decryption, LogIn, MAX_RESTARTS, Mail, Model, Screen};
use crate::protocol::{Changed, Failure, News, Request, Response, Secret, Section, SyncState};

/// Changes the state by an event; says what is to be done.
pub fn update(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Started { decrypt_page, tab } => {
            model.decrypt_page = decrypt_page;
            model.tab = tab;
            Vec::new()
        }
        Event::WorkerReady => worker_ready(model),
        Event::WorkerDied => worker_died(model),
        Event::Answered { asked, result } => answered(model, asked, result),
        Event::News(news) => heard(model, news),
        Event::Acted(action) => acted(model, action),
        Event::NetworkBack => match &model.screen {
            Screen::Mail(_) => vec![Effect::Ask(Request::Sync)],
            Screen::Starting
            | Screen::Stopped
            | Screen::LogIn(_)
            | Screen::Join(_)
            | Screen::Ended(_)
            | Screen::Decrypt(_) => Vec::new(),
        },
    }
}

fn worker_ready(model: &mut Model) -> Vec<Effect> {
    match &model.screen {
        Screen::Starting if model.decrypt_page => {
            model.screen = Screen::Decrypt(Decryption::default());
            vec![Effect::Focus("decrypt-message")]
        }
        Screen::Starting | Screen::Mail(_) => {
            vec![Effect::Ask(Request::Resume {
                tab: model.tab.clone(),
            })]
        }
        Screen::Stopped
        | Screen::LogIn(_)
        | Screen::Join(_)
        | Screen::Ended(_)
        | Screen::Decrypt(_) => Vec::new(),
    }
}

fn worker_died(model: &mut Model) -> Vec<Effect> {
    model.restarts += 1;
    if model.restarts > MAX_RESTARTS {
        model.screen = Screen::Stopped;
        return Vec::new();
    }
    vec![Effect::RestartWorker]
}

fn answered(model: &mut Model, asked: Asked, result: Result<Response, Failure>) -> Vec<Effect> {
    match (&mut model.screen, asked) {
        (
            Screen::Starting | Screen::LogIn(_) | Screen::Mail(_),
            Asked::Resume | Asked::LogIn | Asked::Recover,
        ) => unlocked(model, result),
        (Screen::Join(join), Asked::Join(attempt)) if join.attempt == attempt => match result {
            Ok(Response::Unlocked { .. }) => unlocked(model, result),
            result => join::answered(join, result),
        },
        (Screen::Decrypt(page), Asked::Decrypt) => {
            page.busy = false;
            page.outcome = Some(match result {
                Ok(Response::Decrypted(decrypted)) => Ok(decrypted),
                Ok(_) => Err(Failure::NotFound.to_string()),
                Err(failure) => Err(failure.to_string()),
            });
            vec![Effect::Focus("decrypt-result")]
        }
        (_, Asked::LogOut) => vec![Effect::ForgetTab, Effect::Reload],
        (Screen::Mail(_), _) if result == Err(Failure::Locked) => {
            model.screen = Screen::LogIn(LogIn::default());
            vec![Effect::Focus("login-address")]
        }
        (Screen::Mail(_), Asked::Change(Section::End)) if has_ended(&result) => {
            if let Ok(Response::Changed(Changed::Ended(ended))) = result {
                model.screen = Screen::Ended(ended);
            }
            vec![Effect::ForgetTab]
        }
        (Screen::Mail(mail), Asked::Account) => {
            settings::account(mail, result);
            Vec::new()
        }
        (Screen::Mail(mail), Asked::Keys) => {
            settings::keys_filed(mail, result);
            Vec::new()
        }
        (Screen::Mail(mail), Asked::Change(section)) => settings::changed(mail, section, result),
        (Screen::Mail(mail), asked) => {
            let (effects, toast) = mail::answered(mail, asked, result);
            if toast.is_some() {
                model.toast = toast;
            }
            effects
        }
        _ => Vec::new(),
    }
}

fn has_ended(result: &Result<Response, Failure>) -> bool {
    matches!(result, Ok(Response::Changed(Changed::Ended(_))))
}

fn unlocked(model: &mut Model, result: Result<Response, Failure>) -> Vec<Effect> {
    match result {
        Ok(Response::Unlocked { address }) => {
            match &model.screen {
                // The worker was started again: what is on the screen stays.
                Screen::Mail(mail) if mail.address == address => {}
                Screen::Mail(_)
                | Screen::Starting
                | Screen::Stopped
                | Screen::LogIn(_)
                | Screen::Join(_)
                | Screen::Ended(_)
                | Screen::Decrypt(_) => {
                    model.screen = Screen::Mail(Box::new(Mail::new(address)));
                }
            }
            vec![Effect::Ask(Request::Mailboxes), Effect::Ask(Request::Sync)]
        }
        Ok(Response::Locked { last_address }) => {
            let address = last_address.unwrap_or_default();
            let focus = if address.is_empty() {
                "login-address"
            } else {
                "login-password"
            };
            model.screen = Screen::LogIn(LogIn {
                address,
                ..LogIn::default()
            });
            vec![Effect::Focus(focus)]
        }
        Ok(_) => Vec::new(),
        Err(failure) => {
            let (address, recovering) = match &model.screen {
                Screen::LogIn(form) => (form.address.clone(), form.recovering),
                Screen::Mail(mail) => (mail.address.clone(), false),
                Screen::Starting
                | Screen::Stopped
                | Screen::Join(_)
                | Screen::Ended(_)
                | Screen::Decrypt(_) => (String::new(), false),
            };
            let error = Some(failure.to_string());
            model.screen = Screen::LogIn(LogIn {
                recovering,
                address,
                busy: false,
                error,
            });
            vec![Effect::Focus("login-password")]
        }
    }
}

fn heard(model: &mut Model, news: News) -> Vec<Effect> {
    let Screen::Mail(mail) = &mut model.screen else {
        return Vec::new();
    };
    match news {
        News::Sync(state) => {
            mail.sync = state;
            let mut effects = settings::look_again(mail);
            if mail.sync == SyncState::Current {
                effects.extend(mail::came_back(mail));
            }
            effects
        }
        News::Changed => {
            let mut effects = mail::refresh(mail);
            effects.extend(settings::look_again(mail));
            effects
        }
    }
}

fn acted(model: &mut Model, action: Action) -> Vec<Effect> {
    match (&mut model.screen, action) {
        (_, Action::Dismiss) => {
            model.toast = None;
            Vec::new()
        }
        (_, Action::LogOut(forget)) => {
            let forget = forget == Forget::Everything;
            vec![Effect::Ask(Request::LogOut { forget })]
        }
        (Screen::LogIn(form), Action::Join(_)) if form.busy => Vec::new(),
        (Screen::LogIn(_) | Screen::Join(_), Action::Join(action)) => join::acted(model, action),
        (Screen::Stopped | Screen::Ended(_), Action::TryAgain)
        | (Screen::Decrypt(_), Action::ClearDecrypt) => {
            vec![Effect::Reload]
        }
        (Screen::LogIn(form), Action::LogIn { address, password }) if !form.busy => {
            if address.is_empty() || password.0.is_empty() {
                form.error = Some("Please enter your address and your password.".to_owned());
                return Vec::new();
            }
            form.busy = true;
            form.error = None;
            let tab = model.tab.clone();
            vec![Effect::Ask(Request::LogIn {
                address,
                password,
                tab,
            })]
        }
        (Screen::LogIn(form), Action::ShowRecovery(recovering)) if !form.busy => {
            form.recovering = recovering;
            form.error = None;
            Vec::new()
        }
        (Screen::LogIn(form), Action::Recover { .. }) if form.busy => Vec::new(),
        (Screen::LogIn(form), action @ Action::Recover { .. }) => recover(form, action, &model.tab),
        (Screen::Decrypt(page), Action::Decrypt(decrypt)) if !page.busy => {
            page.busy = true;
            page.outcome = None;
            vec![Effect::Ask(Request::Decrypt(Box::new(decrypt)))]
        }
        (Screen::Mail(mail), action) => {
            model.toast = None;
            if action == Action::Sync {
                mail.sync = SyncState::Working { taken_in: 0 };
            }
            mail::acted(mail, action, model.clock)
        }
        _ => Vec::new(),
    }
}

fn recover(form: &mut LogIn, action: Action, tab: &Secret) -> Vec<Effect> {
    let Action::Recover {
        address,
        phrase,
        password,
        again,
    } = action
    else {
        return Vec::new();
    };
    form.error = if address.is_empty() || phrase.0.trim().is_empty() {
        Some("Please enter your address and the 24 words of your recovery phrase.".to_owned())
    } else {
        settings::check_new("new password", &password.0, &again.0)
    };
    if form.error.is_some() {
        return Vec::new();
    }
    form.busy = true;
    vec![Effect::Ask(Request::Recover {
        address,
        phrase,
        password,
        tab: tab.clone(),
    })]
}
