//! The page's state: everything that decides what is on the screen.
//!
//! Changed by [`crate::app::update`] alone, shown by [`crate::view`]. Plain values, no handles.

pub mod compose;
pub mod event;
pub mod join;
pub mod mail;
pub mod settings;

use crate::protocol::{Decrypted, Ended, Secret};

pub use compose::Compose;
pub use event::{Action, Asked, Effect, Event};
pub use join::Join;
pub use mail::{Mail, Pane, Reader};
pub use settings::Settings;

/// How often the worker may die in a session before the page stops starting it again by itself.
pub const MAX_RESTARTS: u32 = 5;

/// The page.
#[derive(Debug, Default)]
pub struct Model {
    /// What is shown.
    pub screen: Screen,
    /// Time and place, for dates.
    pub clock: Clock,
    /// The tab's secret, by which a reload unlocks.
    pub tab: Secret,
    /// Whether this is the page that needs no account.
    pub decrypt_page: bool,
    /// How often another device was to bring an account here.
    pub joins: u32,
    /// How often the worker has been started again.
    pub restarts: u32,
    /// A short message at the bottom.
    pub toast: Option<String>,
}

/// What the shell knows of time and place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    /// Now, milliseconds since 1970 in UTC.
    pub now_ms: i64,
    /// What to add to UTC for local time, in minutes.
    pub offset_minutes: i32,
}

/// What is shown.
#[derive(Debug, Default)]
pub enum Screen {
    /// The worker is being loaded.
    #[default]
    Starting,
    /// The worker has died too often.
    Stopped,
    /// Address and password are asked for.
    LogIn(LogIn),
    /// Another device is to bring the account here.
    Join(Join),
    /// The account has ended.
    Ended(Ended),
    /// The mail.
    Mail(Box<Mail>),
    /// The page that needs no account.
    Decrypt(Decryption),
}

/// The log-in form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogIn {
    /// Whether a phrase is asked for, and a new password.
    pub recovering: bool,
    /// Filled in.
    pub address: String,
    /// The form waits for the worker.
    pub busy: bool,
    /// Why the last try failed.
    pub error: Option<String>,
}

/// The decrypt page.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decryption {
    /// The form waits for the worker.
    pub busy: bool,
    /// What came of it.
    pub outcome: Option<Result<Box<Decrypted>, String>>,
}
