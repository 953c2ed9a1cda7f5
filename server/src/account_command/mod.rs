//! `letterlock account`: what a person does with an account as such, from the command line.
//!
//! Commands about an account that is here speak to its provider and write at most `unlock.json`,
//! whole; so they work while its bridge runs. Only what makes or removes a replica needs the data
//! directory for itself. Invariant: passwords and phrases come from files, a prompt or standard
//! input; a phrase is printed once, before it holds, so that none holds that nobody has seen.

pub mod arguments;
mod add_device;
mod devices;
mod enrol;
mod error;
mod join;
pub mod keys;

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};
use std::path::{Path, PathBuf};

use letterlock_core::auth::wire::{AccountState, Device, OtherDevices};
use letterlock_core::auth::{LocalWrap, RecoveryPhrase};
use letterlock_core::id::{AccountId, Address, ReplicaId, Timestamp};
use letterlock_core::mime::format_date;
use letterlock_core::seal::RootKey;
use rand::RngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::bridge::app_password_command::{self, WhoseArguments};
use crate::bridge::credentials::{Credentials, Entered};
use crate::bridge::enrolment::EnrolError;
use crate::bridge::lock::DataDir;
use crate::bridge::offline::remove_account;
use crate::bridge::provider_client::ProviderClient;
use crate::bridge::unlock::Unlock;
use crate::demo::{default_data_dir, note_password};
use crate::transfer::password::Passwords;
use crate::transfer::progress::octets;
use arguments::{AccountCommand, KeptArguments};

pub use error::AccountCommandError;

/// What these commands are called in the account's list while they run.
const DEVICE_NAME: &str = "letterlock account";
/// Longest line that is read, in octets.
const MAX_LINE_OCTETS: u64 = 4096;
/// Words of a recovery phrase in a line.
const WORDS_IN_A_ROW: usize = 6;

/// Runs one of the commands.
pub async fn run(command: AccountCommand, out: &mut impl Write) -> Result<(), AccountCommandError> {
    match command {
        AccountCommand::Create { enrol, invite } => enrol::create(&enrol, invite, out).await?,
        AccountCommand::LogIn { enrol } => enrol::log_in(&enrol, out).await?,
        AccountCommand::Recover {
            enrol,
            phrase_file,
            keep_devices,
        } => {
            let others = others(keep_devices);
            enrol::recover(&enrol, phrase_file.as_deref(), others, out).await?;
        }
        AccountCommand::Status { whose } => {
            let open = Open::start(&whose).await?;
            let state = open.provider().account(&open.entered.token).await;
            let shown = devices::shown(&open).await;
            open.end().await;
            tell_state(out, &open, &state?)?;
            devices::tell(out, &open, &shown?)?;
        }
        AccountCommand::Devices { whose } => {
            let open = Open::start(&whose).await?;
            let shown = devices::shown(&open).await;
            open.end().await;
            devices::tell(out, &open, &shown?)?;
        }
        AccountCommand::Password {
            whose,
            new_password_file,
            keep_devices,
        } => {
            let others = others(keep_devices);
            change_password(&whose, new_password_file.as_deref(), others, out).await?;
        }
        AccountCommand::NewPhrase { whose } => new_phrase(&whose, out).await?,
        AccountCommand::CheckPhrase { whose, phrase_file } => {
            check_phrase(&whose, phrase_file.as_deref(), out).await?;
        }
        AccountCommand::AddDevice { whose, code_file } => {
            Box::pin(add_device::run(&whose, code_file.as_deref(), out)).await?;
        }
        AccountCommand::Join {
            provider,
            data_dir,
            password_file,
            device_name,
        } => {
            let arguments = join::Arguments {
                provider: &provider,
                data_dir: data_dir.as_deref(),
                password_file: password_file.as_deref(),
                device_name: &device_name,
            };
            Box::pin(join::run(&arguments, out)).await?;
        }
        AccountCommand::RemoveDevice { device, whose } => {
            let open = Open::start(&whose).await?;
            let removed = devices::remove(&open, &device).await;
            open.end().await;
            tell_device_removed(out, &removed?)?;
        }
        AccountCommand::Keys { command } => Box::pin(keys::run(&command, out)).await?,
        AccountCommand::Delete { whose, yes } => delete(&whose, yes, out).await?,
        AccountCommand::Forget { whose, yes } => forget(&whose, yes, out)?,
    }
    Ok(out.flush()?)
}

fn others(keep: bool) -> OtherDevices {
    if keep {
        OtherDevices::Stay
    } else {
        OtherDevices::LogOut
    }
}

/// An account that is here, logged in at its provider for one command.
struct Open {
    place: Place,
    password: Zeroizing<String>,
    entered: Entered,
}

/// An account that is here, and how to ask its provider.
struct Place {
    data_dir: PathBuf,
    folder: PathBuf,
    unlock: Unlock,
    credentials: Credentials,
}

impl Place {
    fn find(kept: &KeptArguments) -> Result<Self, AccountCommandError> {
        let data_dir = data_dir(kept.whose.data_dir.as_deref())?;
        let (address, folder) = app_password_command::find(&kept.whose, Some(&data_dir))?;
        Self::at(data_dir, folder, address, kept.provider.as_deref())
    }

    fn at(
        data_dir: PathBuf,
        folder: PathBuf,
        address: Address,
        provider: Option<&str>,
    ) -> Result<Self, AccountCommandError> {
        let unlock = Unlock::read(&folder)?;
        let unlock = unlock.ok_or_else(|| AccountCommandError::NotHere(address.clone()))?;
        let base = provider.or(unlock.provider.as_deref());
        let provider = ProviderClient::new(base.ok_or(AccountCommandError::NoProvider)?)?;
        // The same device as its bridge, so that logging out the others leaves that alone.
        let id = unlock.device().unwrap_or_else(random_device);
        let credentials = Credentials {
            address,
            provider,
            device: Device {
                id,
                name: DEVICE_NAME.to_owned(),
            },
        };
        Ok(Self {
            data_dir,
            folder,
            unlock,
            credentials,
        })
    }

    /// Writes down that the account opens with this password here.
    fn keep_password(
        &self,
        password: &str,
        account: AccountId,
        epoch: u32,
        root: &RootKey,
    ) -> Result<(), AccountCommandError> {
        let wrap = LocalWrap::seal(password, account, epoch, root.octets(), &mut OsRng)
            .map_err(EnrolError::from)?;
        self.unlock.clone().with_wrap(wrap).write(&self.folder)?;
        note_password(&self.data_dir, &self.credentials.address, password)?;
        Ok(())
    }
}

impl Open {
    async fn start(kept: &KeptArguments) -> Result<Self, AccountCommandError> {
        let place = Place::find(kept)?;
        let password = passwords(kept).account(&place.credentials.address)?;
        Self::with(place, password).await
    }

    async fn with(place: Place, password: Zeroizing<String>) -> Result<Self, AccountCommandError> {
        let entered = place.credentials.log_in(&password).await?;
        Ok(Self {
            place,
            password,
            entered,
        })
    }

    fn provider(&self) -> &ProviderClient {
        &self.place.credentials.provider
    }

    /// Ends the log-in that was made for the command.
    async fn end(&self) {
        if let Err(error) = self.provider().log_out(&self.entered.token).await {
            tracing::warn!(%error, "the log-in of this command was not ended");
        }
    }
}

fn passwords(kept: &KeptArguments) -> Passwords {
    Passwords {
        account_file: kept.password_file.clone(),
        source_file: None,
    }
}

fn data_dir(named: Option<&Path>) -> Result<PathBuf, AccountCommandError> {
    Ok(match named {
        Some(path) => path.to_owned(),
        None => default_data_dir()?,
    })
}

fn random_device() -> ReplicaId {
    let mut octets = [0; 16];
    OsRng.fill_bytes(&mut octets);
    ReplicaId::new(octets)
}

async fn change_password(
    kept: &KeptArguments,
    new_file: Option<&Path>,
    others: OtherDevices,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let place = Place::find(kept)?;
    let address = &place.credentials.address;
    let mut from = passwords(kept);
    let old = from.account(address)?;
    let new = from.new_account(address, new_file)?;
    let open = Open::with(place, old).await?;
    let credentials = &open.place.credentials;
    let changed = credentials.change_password(&open.entered, &open.password, &new, others);
    let changed = changed.await;
    open.end().await;
    changed?;
    let entered = &open.entered;
    open.place
        .keep_password(&new, entered.account, entered.epoch, &entered.root)?;
    writeln!(out, "The new password holds.")?;
    if others == OtherDevices::LogOut {
        writeln!(
            out,
            "Other devices are logged out. What they have already opens there with the old \
             password until you log in on them."
        )?;
    }
    Ok(())
}

async fn new_phrase(kept: &KeptArguments, out: &mut impl Write) -> Result<(), AccountCommandError> {
    let open = Open::start(kept).await?;
    let phrase = RecoveryPhrase::generate(&mut OsRng);
    tell_phrase(out, &phrase)?;
    let credentials = &open.place.credentials;
    let set = credentials.set_phrase(&open.entered, &open.password, &phrase);
    let set = set.await;
    open.end().await;
    if set.is_err() {
        writeln!(out, "This phrase does NOT hold; the old one still does.")?;
    }
    set?;
    writeln!(
        out,
        "It holds from now on; an older phrase is worth nothing."
    )?;
    Ok(())
}

async fn check_phrase(
    kept: &KeptArguments,
    file: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let place = Place::find(kept)?;
    let phrase = passwords(kept).phrase(&place.credentials.address, file)?;
    // The password that is asked for never comes to hold: nobody finishes the recovery.
    let proved = place.credentials.prove_phrase(&phrase, "not set").await?;
    if place.unlock.account_id() != Some(proved.account) {
        return Err(EnrolError::OtherAccount.into());
    }
    writeln!(out, "The phrase is right: it would repair this account.")?;
    Ok(())
}

async fn delete(
    kept: &KeptArguments,
    yes: bool,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let place = Place::find(kept)?;
    let address = place.credentials.address.clone();
    let password = passwords(kept).account(&address)?;
    confirm(
        yes,
        &address,
        "ends the account and removes all of its mail",
    )?;
    let open = Open::with(place, password).await?;
    let deleted = open.place.credentials.delete(&open.entered, &open.password);
    let deleted = deleted.await?;
    writeln!(
        out,
        "The account {address} has ended. The provider has removed"
    )?;
    writeln!(
        out,
        "  {} sealed documents and {} messages that no device had taken in, {}",
        deleted.documents,
        deleted.incoming,
        octets(deleted.octets)
    )?;
    writeln!(out, "  {} messages that waited to be sent", deleted.queued)?;
    writeln!(out, "  the log-ins of {} devices", deleted.devices)?;
    writeln!(
        out,
        "  its key in the directories, its password and its recovery phrase"
    )?;
    let until = format_date(deleted.reserved_until);
    writeln!(out, "Nobody gets the address before {until}.")?;
    let place = open.place;
    match DataDir::lock(&place.data_dir) {
        Ok(_lock) => tell_removed(out, remove_account(&place.folder)?)?,
        Err(_) => writeln!(
            out,
            "What is on this device is in use: stop the program that uses it, then run \
             letterlock account forget --account {address}"
        )?,
    }
    Ok(())
}

fn forget(
    whose: &WhoseArguments,
    yes: bool,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let data_dir = data_dir(whose.data_dir.as_deref())?;
    let (address, folder) = app_password_command::find(whose, Some(&data_dir))?;
    confirm(yes, &address, "removes its mail and keys from this device")?;
    let _lock = DataDir::lock(&data_dir)?;
    Ok(tell_removed(out, remove_account(&folder)?)?)
}

/// A person types the address; a program says `--yes`.
fn confirm(yes: bool, address: &Address, what: &str) -> Result<(), AccountCommandError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(AccountCommandError::NotConfirmed);
    }
    let mut prompt = io::stderr();
    write!(prompt, "This {what}. Type {address} to go on: ")?;
    prompt.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    if line.trim().eq_ignore_ascii_case(address.as_str()) {
        Ok(())
    } else {
        Err(AccountCommandError::NotConfirmed)
    }
}

fn tell_device_removed(out: &mut impl Write, name: &str) -> io::Result<()> {
    writeln!(
        out,
        "“{name}” is none of the account's devices any more, and logged out. What is stored from \
         here on is sealed under new keys.\nIf it was stolen, change the password (letterlock \
         account password) and the OpenPGP keys (letterlock account keys rotate): it knows these."
    )
}

/// A line that a person types, or of standard input; empty at its end.
fn ask_line(prompt: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        let mut to = io::stderr();
        write!(to, "{prompt}")?;
        to.flush()?;
    }
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(MAX_LINE_OCTETS)
        .read_line(&mut line)?;
    Ok(line)
}

fn tell_removed(out: &mut impl Write, size: u64) -> io::Result<()> {
    writeln!(
        out,
        "Removed from this device: mail and keys, {}.",
        octets(size)
    )
}

/// Prints a phrase, numbered, a few words in a line.
fn tell_phrase(out: &mut impl Write, phrase: &RecoveryPhrase) -> io::Result<()> {
    writeln!(
        out,
        "The recovery phrase. Write it down; it is not shown again.\n"
    )?;
    let text = phrase.words();
    let words: Vec<&str> = text.split(' ').collect();
    for (row, words) in words.chunks(WORDS_IN_A_ROW).enumerate() {
        for (column, word) in words.iter().enumerate() {
            let number = row
                .saturating_mul(WORDS_IN_A_ROW)
                .saturating_add(column)
                .saturating_add(1);
            write!(out, "  {number:>2} {word:<9}")?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "\nWhoever has it and the address has the account. It repairs a lost password:\n  \
         letterlock account recover ADDRESS --provider URL\n"
    )?;
    out.flush()
}

fn tell_state(out: &mut impl Write, open: &Open, state: &AccountState) -> io::Result<()> {
    let used = octets(state.used_octets);
    let room = match state.quota_octets {
        Some(quota) => format!("{used} of {}", octets(quota)),
        None => format!("{used}, without a limit"),
    };
    let recovery = if state.has_recovery {
        "a recovery phrase is set"
    } else {
        "none is set: letterlock account new-phrase"
    };
    let credentials = &open.place.credentials;
    writeln!(
        out,
        "{} at {}",
        credentials.address,
        credentials.provider.base()
    )?;
    writeln!(out, "  since     {}", date(state.created_at))?;
    writeln!(out, "  room      {room}")?;
    writeln!(out, "  recovery  {recovery}")?;
    Ok(())
}

fn date(at: Timestamp) -> String {
    format_date(at)
}

#[cfg(test)]
mod epoch_tests;
#[cfg(test)]
mod keys_tests;
#[cfg(test)]
mod tests;
