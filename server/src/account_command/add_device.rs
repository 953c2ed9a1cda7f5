//! A device of the account brings another one in: by the code that it shows, and words.
//!
//! Invariant: nothing but the address leaves this device before its user has typed the words that
//! the new one shows (`letterlock_core::auth::enrolment`).

use std::io::Write;
use std::path::Path;

use letterlock_core::auth::enrolment::{Agreed, Comparing};
use letterlock_core::auth::{EnrolmentCode, EnrolmentError};

use super::arguments::KeptArguments;
use super::{AccountCommandError, Open, ask_line};
use crate::bridge::enrolment::EnrolError;
use crate::bridge::rendezvous;
use crate::clock;
use crate::transfer::password::Passwords;

/// Asks for the code and the words, and brings the device in.
pub(super) async fn run(
    whose: &KeptArguments,
    code_file: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let open = Open::start(whose).await?;
    let done = Box::pin(add(&open, code_file, out)).await;
    open.end().await;
    let name = done?;
    writeln!(out, "“{name}” is a device of the account now.")?;
    Ok(())
}

async fn add(
    open: &Open,
    code_file: Option<&Path>,
    out: &mut impl Write,
) -> Result<String, AccountCommandError> {
    let code = match code_file {
        Some(path) => Passwords::from_file(path, "the code")?.to_string(),
        None => ask_line("The code that the new device shows: ")?,
    };
    let code = EnrolmentCode::parse(&code).map_err(EnrolError::from)?;
    let (credentials, token) = (&open.place.credentials, &open.entered.token);
    let provider = open.provider();
    let address = &credentials.address;
    let mut comparing = rendezvous::greet(provider, token, code, address).await?;
    let name = comparing.device_name().to_owned();
    writeln!(
        out,
        "“{name}” wants to become a device of {address}, with all of its mail and keys.\n\
         It shows three words. Go on only if you have it before you."
    )?;
    out.flush()?;
    match compare(&mut comparing, out) {
        Ok(agreed) => {
            Box::pin(rendezvous::admit(credentials, &open.entered, &agreed)).await?;
            Ok(name)
        }
        Err(error) => {
            if let Err(error) = rendezvous::refuse(provider, token, &comparing).await {
                tracing::warn!(%error, "the other device was not told");
            }
            Err(error)
        }
    }
}

/// Asks until the words are right, or too often wrong.
fn compare(comparing: &mut Comparing, out: &mut impl Write) -> Result<Agreed, AccountCommandError> {
    loop {
        let typed = ask_line("The three words: ")?;
        if typed.trim().is_empty() {
            return Err(AccountCommandError::NotConfirmed);
        }
        match comparing.compare(&typed, clock::now()) {
            Ok(agreed) => return Ok(agreed),
            Err(error @ EnrolmentError::WrongWords) => {
                writeln!(out, "No: {error}.")?;
                out.flush()?;
            }
            Err(error) => return Err(EnrolError::from(error).into()),
        }
    }
}
