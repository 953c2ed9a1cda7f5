//! What is shown before the mail: loading, the log-in, and the end.

use askama::Template;

use crate::model::LogIn;

/// The worker is being loaded.
#[derive(Template)]
#[template(path = "starting.html")]
pub(super) struct Starting;

/// The worker has died too often.
#[derive(Template)]
#[template(path = "stopped.html")]
pub(super) struct Stopped;

/// Address and password.
#[derive(Template)]
#[template(path = "login.html")]
pub(super) struct LogInForm<'a> {
    pub(super) address: &'a str,
}

/// Address, recovery phrase, new password.
#[derive(Template)]
#[template(path = "recover.html")]
pub(super) struct RecoverForm<'a> {
    pub(super) address: &'a str,
}

/// The button and what went wrong.
#[derive(Template)]
#[template(path = "login_status.html")]
pub(super) struct LogInStatus<'a> {
    pub(super) form: &'a LogIn,
}
