//! What comes in to [`crate::app::update`] and what goes out of it.

mod join;
mod keys;

use std::collections::BTreeMap;

use crate::protocol::{Decrypt, Draft, Failure, Mark, News, Request, Response, Secret, Section};

use super::compose::Audience;
pub use join::JoinAction;
pub use keys::KeyAction;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// The page has been loaded.
    Started {
        /// Whether this is the page that needs no account.
        decrypt_page: bool,
        /// The tab's secret.
        tab: Secret,
    },
    /// The worker listens.
    WorkerReady,
    /// The worker has died; a new one is needed.
    WorkerDied,
    /// An answer.
    Answered {
        /// To what.
        asked: Asked,
        /// What came of it.
        result: Result<Response, Failure>,
    },
    /// News from the worker.
    News(News),
    /// The user did something.
    Acted(Action),
    /// The network came back.
    NetworkBack,
}

/// What an answer is about: the part of a [`Request`] that is needed to file its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// [`Request::Resume`]
    Resume,
    /// [`Request::LogIn`]
    LogIn,
    /// [`Request::Recover`]
    Recover,
    /// [`Request::Join`] of this attempt
    Join(u32),
    /// [`Request::Account`]
    Account,
    /// [`Request::Keys`]
    Keys,
    /// [`Request::Change`]
    Change(Section),
    /// [`Request::LogOut`]
    LogOut,
    /// [`Request::Mailboxes`]
    Mailboxes,
    /// [`Request::Messages`]
    Messages,
    /// [`Request::Message`] of this UID
    Message(u32),
    /// [`Request::Mark`]
    Mark,
    /// [`Request::Move`]
    Move,
    /// [`Request::Recipients`]
    Recipients,
    /// [`Request::Send`]
    Send,
    /// [`Request::Attachment`]
    Attachment,
    /// [`Request::Sync`]
    Sync,
    /// [`Request::Decrypt`]
    Decrypt,
}

impl From<&Request> for Asked {
    fn from(request: &Request) -> Self {
        match request {
            Request::Resume { .. } => Self::Resume,
            Request::LogIn { .. } => Self::LogIn,
            Request::Recover { .. } => Self::Recover,
            Request::Join(join) => Self::Join(join.attempt),
            Request::Account => Self::Account,
            Request::Keys { .. } => Self::Keys,
            Request::Change(change) => Self::Change(change.section()),
            Request::LogOut { .. } => Self::LogOut,
            Request::Mailboxes => Self::Mailboxes,
            Request::Messages { .. } => Self::Messages,
            Request::Message(place) => Self::Message(place.uid),
            Request::Mark { .. } => Self::Mark,
            Request::Move { .. } => Self::Move,
            Request::Recipients { .. } => Self::Recipients,
            Request::Send(_) => Self::Send,
            Request::Attachment { .. } => Self::Attachment,
            Request::Sync => Self::Sync,
            Request::Decrypt(_) => Self::Decrypt,
        }
    }
}

/// What the shell has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the worker.
    Ask(Request),
    /// Start the worker anew.
    RestartWorker,
    /// Put the keyboard's focus on the element of this id, once it is there.
    Focus(&'static str),
    /// Save what is at this address of the page as a file.
    Save {
        /// A `blob:` URL.
        url: String,
        /// The file's name.
        name: String,
    },
    /// Forget the tab's secret.
    ForgetTab,
    /// Load the page anew, from nothing: the surest way to forget.
    Reload,
}

/// What the user can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Submit the log-in form.
    LogIn {
        /// The address.
        address: String,
        /// The password.
        password: Secret,
    },
    /// Show the form for a lost password (`true`) or that for the log-in.
    ShowRecovery(bool),
    /// Submit the form for a lost password.
    Recover {
        /// The address.
        address: String,
        /// The words.
        phrase: Secret,
        /// The new password.
        password: Secret,
        /// The same, typed again.
        again: Secret,
    },
    /// Bring the account from one device to another.
    Join(JoinAction),
    /// Open the settings.
    Settings,
    /// Close them.
    CloseSettings,
    /// Submit the form for a new password.
    ChangePassword {
        /// The one that holds.
        old: Secret,
        /// The one that shall hold.
        new: Secret,
        /// The same, typed again.
        again: Secret,
        /// Whether other devices stay logged in.
        keep_devices: bool,
    },
    /// Show a new recovery phrase.
    DrawPhrase,
    /// Make the phrase that is shown hold.
    SetPhrase(Secret),
    /// Check a phrase.
    CheckPhrase(Secret),
    /// Do something with keys.
    Keys(KeyAction),
    /// Log a device out.
    RemoveDevice(String),
    /// End the account.
    DeleteAccount {
        /// What was typed to confirm it.
        address: String,
        /// The password.
        password: Secret,
    },
    /// Lock; with `true` also delete what is on this device.
    LogOut(Forget),
    /// List a mailbox.
    OpenMailbox(String),
    /// Open a message.
    OpenMessage(u32),
    /// Open the message below (1) or above (-1).
    Step(isize),
    /// One pane back, on a narrow screen; closes the sheet or the message.
    Back,
    /// Show the mailboxes, on a narrow screen.
    ShowMailboxes,
    /// List older messages too.
    Older,
    /// Turn a mark of the message in the reader, or of this row.
    Toggle(Mark, Option<u32>),
    /// Archive the message in the reader.
    Archive,
    /// Delete the message in the reader.
    Delete,
    /// Begin a message.
    Compose,
    /// Begin an answer to the message in the reader.
    Answer(Audience),
    /// The people named in the sheet have changed.
    Recipients(String),
    /// Send the message.
    Send(Draft),
    /// Throw the message away.
    Discard,
    /// Save an attachment.
    Save(u32),
    /// Ask for news.
    Sync,
    /// Submit the decrypt page.
    Decrypt(Decrypt),
    /// Empty the decrypt page.
    ClearDecrypt,
    /// Start the worker after it died too often.
    TryAgain,
    /// Put the toast away.
    Dismiss,
}

/// What logging out leaves on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forget {
    /// The sealed mail stays, so that the next log-in is quick.
    Nothing,
    /// Everything goes.
    Everything,
}

/// A form's fields by name; a box that is not ticked is not there.
pub type Fields = BTreeMap<String, String>;

impl Action {
    /// Reads what an element of the page stands for: its `data-action`, its `data-argument` and
    /// the fields of its form. `None`: nothing is meant.
    pub fn parse(name: &str, argument: &str, fields: &Fields) -> Option<Self> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let secret = |name: &str| Secret(field(name));
        let uid = || argument.parse::<u32>().ok();
        Some(match name {
            "log-in" => Self::LogIn {
                address: field("address").trim().to_owned(),
                password: secret("password"),
            },
            "recover-form" => Self::ShowRecovery(true),
            "log-in-form" => Self::ShowRecovery(false),
            "recover" => Self::Recover {
                address: field("address").trim().to_owned(),
                phrase: secret("phrase"),
                password: secret("password"),
                again: secret("again"),
            },
            "settings" => Self::Settings,
            "close-settings" => Self::CloseSettings,
            "change-password" => Self::ChangePassword {
                old: secret("old"),
                new: secret("new"),
                again: secret("again"),
                keep_devices: fields.contains_key("keep"),
            },
            "draw-phrase" => Self::DrawPhrase,
            "set-phrase" => Self::SetPhrase(secret("password")),
            "check-phrase" => Self::CheckPhrase(secret("phrase")),
            "remove-device" => Self::RemoveDevice(argument.to_owned()),
            "delete-account" => Self::DeleteAccount {
                address: field("address"),
                password: secret("password"),
            },
            "log-out" => Self::LogOut(match argument {
                "forget" => Forget::Everything,
                _ => Forget::Nothing,
            }),
            "open-mailbox" => Self::OpenMailbox(argument.to_owned()),
            "open-message" => Self::OpenMessage(uid()?),
            "back" => Self::Back,
            "show-mailboxes" => Self::ShowMailboxes,
            "older" => Self::Older,
            "flag" => Self::Toggle(Mark::Flagged, uid()),
            "unread" => Self::Toggle(Mark::Seen, uid()),
            "archive" => Self::Archive,
            "delete" => Self::Delete,
            "compose" => Self::Compose,
            "reply" => Self::Answer(Audience::Writer),
            "reply-all" => Self::Answer(Audience::All),
            "recipients" => Self::Recipients(recipients(fields)),
            "send" => Self::Send(draft(fields)),
            "discard" => Self::Discard,
            "save" => Self::Save(uid()?),
            "sync" => Self::Sync,
            "decrypt" => Self::Decrypt(Decrypt {
                message: field("message"),
                key: Secret(field("key")),
                passphrase: Secret(field("passphrase")),
                sender: field("sender"),
            }),
            "clear-decrypt" => Self::ClearDecrypt,
            "try-again" => Self::TryAgain,
            "dismiss" => Self::Dismiss,
            _ => match JoinAction::parse(name, fields) {
                Some(action) => Self::Join(action),
                None => Self::Keys(KeyAction::parse(name, fields)?),
            },
        })
    }

    /// What a key means while no field has the focus.
    pub fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "j" => Self::Step(1),
            "k" => Self::Step(-1),
            "c" => Self::Compose,
            "r" => Self::Answer(Audience::Writer),
            "a" => Self::Answer(Audience::All),
            "e" => Self::Archive,
            "#" | "Delete" => Self::Delete,
            "u" => Self::Toggle(Mark::Seen, None),
            "s" => Self::Toggle(Mark::Flagged, None),
            "Escape" => Self::Back,
            _ => return None,
        })
    }
}

fn draft(fields: &Fields) -> Draft {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    Draft {
        to: field("to"),
        cc: field("cc"),
        bcc: field("bcc"),
        subject: field("subject"),
        body: field("body"),
        answers: None,
    }
}

fn recipients(fields: &Fields) -> String {
    let named = ["to", "cc", "bcc"]
        .iter()
        .filter_map(|name| fields.get(*name));
    let filled: Vec<&str> = named
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
        .collect();
    filled.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn elements_are_read() {
        let none = Fields::new();
        assert_eq!(
            Action::parse("open-message", "12", &none),
            Some(Action::OpenMessage(12))
        );
        assert_eq!(Action::parse("open-message", "x", &none), None);
        assert_eq!(Action::parse("no such thing", "", &none), None);
        assert_eq!(
            Action::parse("log-out", "forget", &none),
            Some(Action::LogOut(Forget::Everything))
        );
        let form = fields(&[("to", "a@b.example"), ("cc", " "), ("bcc", "c@d.example")]);
        assert_eq!(
            Action::parse("recipients", "", &form),
            Some(Action::Recipients("a@b.example, c@d.example".to_owned()))
        );
        let form = fields(&[
            ("address", " alice@letterlock.example "),
            ("password", " x "),
        ]);
        let Some(Action::LogIn { address, password }) = Action::parse("log-in", "", &form) else {
            panic!("a log-in was meant");
        };
        assert_eq!(
            (address.as_str(), password.0.as_str()),
            ("alice@letterlock.example", " x ")
        );
    }

    #[test]
    fn keys_are_read() {
        assert_eq!(Action::of_key("j"), Some(Action::Step(1)));
        assert_eq!(Action::of_key("q"), None);
    }
}
