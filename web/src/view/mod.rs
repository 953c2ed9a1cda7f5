//! Model to HTML: one askama template per region of the page.
//!
//! A screen is a layout with regions in it; [`page`] gives the HTML of all of them and the shell
//! writes those that have changed. Fields that the user types in are in regions that do not
//! change while they are typed in. Askama escapes everything; mail HTML appears only inside the
//! `srcdoc` attribute of a sandboxed frame.
//!
//! Invariant: no decisions here and no string built by hand from mail.

pub mod date;
pub mod protection;

mod compose;
mod decrypt;
mod gate;
mod join;
mod list;
mod reader;
mod settings;
mod sidebar;
#[cfg(test)]
mod tests;

use askama::Template;

use crate::model::{Clock, Mail, Model, Screen, Settings};
use crate::protocol::Section;

/// Everything that is on the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The window's title.
    pub title: String,
    /// Which pane a narrow screen shows; `data-pane` of the body.
    pub pane: &'static str,
    /// Regions, outer before inner.
    pub regions: Vec<Region>,
}

/// A part of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct Region {
    /// The id of the element whose content it is.
    pub id: &'static str,
    /// The content.
    pub html: String,
}

/// The element that holds everything; when it changes, all that is inside is new.
pub const ROOT: &str = "app";

/// What the page shall show.
pub fn page(model: &Model) -> Page {
    let mut regions = Vec::new();
    let (title, pane) = match &model.screen {
        Screen::Starting => {
            regions.push(region(ROOT, &gate::Starting));
            ("Letterlock".to_owned(), "gate")
        }
        Screen::Stopped => {
            regions.push(region(ROOT, &gate::Stopped));
            ("Letterlock has stopped".to_owned(), "gate")
        }
        Screen::Ended(ended) => {
            regions.push(region(ROOT, &settings::End::of(ended)));
            ("The account has ended · Letterlock".to_owned(), "gate")
        }
        Screen::LogIn(form) if form.recovering => {
            let address = &form.address;
            regions.push(region(ROOT, &gate::RecoverForm { address }));
            regions.push(region("login-status", &gate::LogInStatus { form }));
            ("A new password · Letterlock".to_owned(), "gate")
        }
        Screen::LogIn(form) => {
            // The address is the one first filled in: what the user types in the form stays.
            regions.push(region(
                ROOT,
                &gate::LogInForm {
                    address: &form.address,
                },
            ));
            regions.push(region("login-status", &gate::LogInStatus { form }));
            ("Log in · Letterlock".to_owned(), "gate")
        }
        Screen::Join(join) => {
            regions.push(region(ROOT, &join::Frame));
            let stage = &join.stage;
            regions.push(region("join-stage", &join::StageOf { stage }));
            regions.push(region("join-status", &join::Status { join }));
            ("Another device · Letterlock".to_owned(), "gate")
        }
        Screen::Decrypt(page) => {
            regions.push(region(ROOT, &decrypt::Form));
            regions.push(region("decrypt-outcome", &decrypt::Outcome::of(page)));
            ("Open a message · Letterlock".to_owned(), "decrypt")
        }
        Screen::Mail(mail) => {
            mail_regions(&mut regions, mail, model);
            (mail_title(mail), mail.pane.as_str())
        }
    };
    Page {
        title,
        pane,
        regions,
    }
}

fn mail_regions(regions: &mut Vec<Region>, mail: &Mail, model: &Model) {
    regions.push(region(ROOT, &Layout));
    regions.push(region("banner", &Banner::of(mail)));
    regions.push(region("sidebar", &sidebar::Sidebar::of(mail)));
    regions.push(region("list", &list::List::of(mail, model.clock)));
    regions.push(region("reader-head", &reader::Head::of(mail, model.clock)));
    regions.push(region("reader-body", &reader::Content::of(mail)));
    regions.push(region("compose", &compose::Sheet::of(mail)));
    if let Some(compose) = &mail.compose {
        regions.push(region("compose-status", &compose::Status { compose }));
    }
    regions.push(region("settings", &settings::Sheet::of(mail)));
    if let Some(open) = &mail.settings {
        settings_regions(regions, open, model.clock);
    }
    regions.push(region(
        "toast",
        &Toast {
            text: model.toast.as_deref(),
        },
    ));
}

fn settings_regions(regions: &mut Vec<Region>, open: &Settings, clock: Clock) {
    regions.push(region("settings-room", &settings::Room::of(open)));
    regions.push(region("settings-password", &settings::Password::of(open)));
    regions.push(region("settings-phrase", &settings::Phrase::of(open)));
    regions.push(region("settings-keys", &settings::Keys::of(open)));
    regions.push(region("settings-compare", &settings::Compare::of(open)));
    regions.push(region("settings-theirs", &settings::Theirs::of(open)));
    let own_keys = settings::OwnKeys::of(open, clock);
    regions.push(region("settings-own-keys", &own_keys));
    regions.push(region("settings-import", &settings::Import::of(open)));
    let devices = settings::Devices::of(open, clock);
    regions.push(region("settings-devices", &devices));
    regions.push(region(
        "settings-add-device",
        &settings::AddDevice::of(open),
    ));
    for (id, section) in [
        ("settings-password-told", Section::Password),
        ("settings-phrase-told", Section::Phrase),
        ("settings-keys-told", Section::Keys),
        ("settings-devices-told", Section::Devices),
        ("settings-end-told", Section::End),
    ] {
        regions.push(region(id, &settings::Told::of(open, section)));
    }
}

fn mail_title(mail: &Mail) -> String {
    let Some(mailbox) = mail.current_mailbox() else {
        return "Letterlock".to_owned();
    };
    let name = sidebar::title(mailbox);
    match mailbox.unread {
        0 => format!("{name} · Letterlock"),
        unread => format!("({unread}) {name} · Letterlock"),
    }
}

fn region(id: &'static str, template: &impl Template) -> Region {
    let html = template
        .render()
        .expect("writing to a string does not fail");
    Region { id, html }
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Layout;

/// The line above everything, when something is to be said about the network.
#[derive(Template)]
#[template(path = "banner.html")]
struct Banner {
    offline: bool,
    failure: String,
}

impl Banner {
    fn of(mail: &Mail) -> Self {
        use crate::protocol::SyncState;
        let (offline, failure) = match &mail.sync {
            SyncState::Offline => (true, String::new()),
            SyncState::Failed(text) => (false, text.clone()),
            SyncState::Unknown | SyncState::Working { .. } | SyncState::Current => {
                (false, String::new())
            }
        };
        Self { offline, failure }
    }
}

#[derive(Template)]
#[template(path = "toast.html")]
struct Toast<'a> {
    text: Option<&'a str>,
}
