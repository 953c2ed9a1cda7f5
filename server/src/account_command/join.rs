//! An account comes to this device by another device of it, without its password.

use std::io::{self, Write};
use std::path::Path;

use letterlock_core::auth::enrolment::{EnrolmentCode, Newcomer, Opened};
use letterlock_core::keys::verification::draw;
use rand::rngs::OsRng;

use super::{AccountCommandError, ask_line, data_dir, enrol};
use crate::bridge::enrolment::Enrolment;
use crate::bridge::lock::DataDir;
use crate::bridge::offline::account_folder;
use crate::bridge::provider_client::ProviderClient;
use crate::bridge::rendezvous;
use crate::bridge::unlock::Unlock;
use crate::clock;
use crate::transfer::password::Passwords;

/// Where the account is to come from, and to.
pub(super) struct Arguments<'a> {
    pub(super) provider: &'a str,
    pub(super) data_dir: Option<&'a Path>,
    pub(super) password_file: Option<&'a Path>,
    pub(super) device_name: &'a str,
}

/// Shows the code, then the words, and takes the account.
pub(super) async fn run(
    arguments: &Arguments<'_>,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let data_dir = data_dir(arguments.data_dir)?;
    let _lock = DataDir::lock(&data_dir)?;
    let provider = ProviderClient::new(arguments.provider)?;
    let newcomer = Newcomer::start(arguments.device_name, clock::now(), &mut OsRng);
    tell_code(out, newcomer.code())?;
    let opened = rendezvous::opened(&provider, newcomer).await?;
    let address = opened.address().clone();
    let folder = account_folder(&data_dir, &address);
    if Unlock::read(&folder)?.is_some() {
        return Err(AccountCommandError::Here(address));
    }
    tell_words(out, &opened)?;
    let answer = ask_line("Has the other device taken them? Then type yes: ")?;
    if !answer.trim().eq_ignore_ascii_case("yes") {
        return Err(AccountCommandError::NotJoined);
    }
    let confirmed = opened.confirm();
    writeln!(
        out,
        "Choose the password that opens the account on this device. It need not be the account's."
    )?;
    out.flush()?;
    let password = Passwords::default().new_account(&address, arguments.password_file)?;
    let enrolled = rendezvous::handed_over(&provider, confirmed).await?;
    let enrolment = Enrolment {
        address,
        password,
        folder,
        provider,
        device_name: arguments.device_name.to_owned(),
        phrase: None,
        invite: None,
    };
    let account = Box::pin(enrolment.enrol(&enrolled, clock::now())).await?;
    Box::pin(enrol::fetch(account, out)).await
}

fn tell_code(out: &mut impl Write, code: &EnrolmentCode) -> io::Result<()> {
    let text = code.text();
    for line in draw(&text).into_iter().flat_map(|code| code.lines) {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "\n{}\n\nOn a device that has the account: scan or paste this code (webmail: Settings, \
         Devices; letterlock account add-device). It is good for ten minutes. Show it to nobody \
         else.\n",
        *text
    )?;
    out.flush()
}

fn tell_words(out: &mut impl Write, opened: &Opened) -> io::Result<()> {
    writeln!(
        out,
        "Another device offers the account {}. Type these words there:\n\n    {}\n\n\
         If it says that they are wrong, somebody is between the two: do not go on.",
        opened.address(),
        opened.words()
    )?;
    out.flush()
}
