//! `letterlock account keys`: the account's own keys shown, revoked, replaced, taken out and
//! brought in.
//!
//! They are read from the provider and written there, sealed (`core::account::KeyChest`), so a
//! bridge that runs hears of it like every device. With the recovery phrase the account need not be
//! on this machine. Invariants: a key is pushed before its certificate is published; secret parts
//! go out only where a person names a file or asks for them on standard output.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use letterlock_core::account::{ChestError, KeyChest};
use letterlock_core::auth::wire::{OtherDevices, Publish, Token};
use letterlock_core::id::{Address, ReplicaId, Timestamp};
use letterlock_core::keys::own::{OwnKeyError, State, Use};
use letterlock_core::keys::{OwnKeys, Role};
use letterlock_core::openpgp::policy::limits::MAX_KEYRING_OCTETS;
use letterlock_core::openpgp::secret_certificate::{RevocationReason, SecretCertificateError};
use letterlock_core::openpgp::{Fingerprint, SecretCertificate};
use letterlock_core::sync::wire::PushResponse;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::arguments::{KeysArguments, KeysCommand, Reason};
use super::{AccountCommandError, Open, Place, data_dir, date, enrol, passwords};
use crate::bridge::credentials::{Credentials, Entered};
use crate::bridge::enrolment::EnrolError;
use crate::bridge::provider_client::{ProviderClient, ProviderError};
use crate::clock;
use crate::transfer::password::Passwords;

/// Fewest digits that name a key.
const MIN_DIGITS: usize = 8;

/// Why a command about keys did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum KeysCommandError {
    /// None or several have these digits.
    #[error("no key or more than one begins or ends with {0}: `letterlock account keys list`")]
    WhichKey(String),
    /// The file to bring in has no secret key, or is too large.
    #[error("{0} has no secret key that can be read: {1}")]
    NoKey(PathBuf, SecretCertificateError),
    /// A file cannot be read or written.
    #[error("{path}: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is longer than a keyring may be.
    #[error("{0} is longer than {MAX_KEYRING_OCTETS} octets")]
    TooLarge(PathBuf),
    /// A secret key leaves in the clear only if that is said.
    #[error("a secret key needs --passphrase-file FILE, or --no-passphrase")]
    NoPassphrase,
    /// See there.
    #[error(transparent)]
    Chest(#[from] ChestError),
    /// See there.
    #[error(transparent)]
    Own(#[from] OwnKeyError),
    /// See there.
    #[error(transparent)]
    Secret(#[from] SecretCertificateError),
}

/// Runs one of the commands.
pub(super) async fn run(
    command: &KeysCommand,
    out: &mut impl Write,
) -> Result<(), AccountCommandError> {
    let keys = Box::pin(Keys::open(command.whose())).await?;
    Box::pin(keys.carry_out(command, out)).await
}

/// The account's keys, and how to write them.
struct Keys {
    address: Address,
    provider: ProviderClient,
    token: Token,
    chest: KeyChest,
}

/// Who has proven to own an account.
struct Proven {
    credentials: Credentials,
    entered: Entered,
}

impl Keys {
    async fn open(whose: &KeysArguments) -> Result<Self, AccountCommandError> {
        let proven = match &whose.phrase_file {
            None => by_password(whose).await?,
            Some(phrase) => Box::pin(by_phrase(whose, phrase)).await?,
        };
        let (keys, _) = proven.credentials.keys(&proven.entered).await?;
        let token = proven.entered.token;
        let device: ReplicaId = proven.credentials.device.id;
        let mut chest = KeyChest::new(keys, device);
        let provider = proven.credentials.provider;
        let mut read = async || -> Result<(), AccountCommandError> {
            while let Some(pull) = chest.next_pull() {
                let answer = provider.pull(&token, &pull).await?;
                chest.take(answer).map_err(KeysCommandError::from)?;
            }
            Ok(())
        };
        if let Err(error) = read().await {
            end(&provider, &token).await;
            return Err(error);
        }
        Ok(Self {
            address: proven.credentials.address,
            provider,
            token,
            chest,
        })
    }

    async fn carry_out(
        mut self,
        command: &KeysCommand,
        out: &mut impl Write,
    ) -> Result<(), AccountCommandError> {
        let done = Box::pin(self.work(command, out)).await;
        end(&self.provider, &self.token).await;
        done
    }

    async fn work(
        &mut self,
        command: &KeysCommand,
        out: &mut impl Write,
    ) -> Result<(), AccountCommandError> {
        let now = clock::now();
        let own = self.chest.own_keys().map_err(ChestError::from);
        let own = own.map_err(KeysCommandError::from)?.clone();
        match command {
            KeysCommand::List { .. } => Ok(list(out, &own, &self.address, now)?),
            KeysCommand::Export {
                key,
                secret,
                passphrase_file,
                no_passphrase,
                output,
                ..
            } => {
                let chosen = match key {
                    Some(digits) => vec![find(&own, digits)?],
                    None => own.all_in_use(&self.address, now).collect(),
                };
                let lock = Lock::read(*secret, passphrase_file.as_deref(), *no_passphrase)?;
                let text = armored(&chosen, &lock)?;
                Ok(write_out(out, output.as_deref(), &text)?)
            }
            KeysCommand::Revoke {
                key,
                reason,
                explanation,
                ..
            } => {
                let key = find(&own, key)?.fingerprint();
                let why = (reason.as_core(), explanation.as_str());
                self.replace(out, &own, &[key], why, now).await
            }
            KeysCommand::Rotate { key, .. } => {
                let keys = match key {
                    Some(digits) => vec![find(&own, digits)?.fingerprint()],
                    None => fingerprints_in_use(&own, &self.address, now),
                };
                let why = (RevocationReason::Superseded, "");
                self.replace(out, &own, &keys, why, now).await
            }
            KeysCommand::Import {
                file,
                passphrase_file,
                take_into_use,
                ..
            } => {
                let brought = read_keys(file, passphrase_file.as_deref())?;
                let wanted = if *take_into_use {
                    Use::InUse
                } else {
                    Use::IfNewest
                };
                self.import(out, &own, &brought, wanted, now).await
            }
        }
    }

    async fn replace(
        &mut self,
        out: &mut impl Write,
        own: &OwnKeys,
        old: &[Fingerprint],
        why: (RevocationReason, &str),
        now: Timestamp,
    ) -> Result<(), AccountCommandError> {
        let made = own.replace_all(old, why, &self.address, now, &mut OsRng);
        let made = made.map_err(KeysCommandError::from)?;
        let next = self.store(own, made, now).await?;
        for key in old {
            writeln!(out, "{key} is revoked.")?;
        }
        tell_in_use(out, own, &next, &self.address, now)
    }

    async fn import(
        &mut self,
        out: &mut impl Write,
        own: &OwnKeys,
        brought: &[SecretCertificate],
        wanted: Use,
        now: Timestamp,
    ) -> Result<(), AccountCommandError> {
        let made = own.import_all(brought, wanted, &self.address, now, &mut OsRng);
        let made = made.map_err(KeysCommandError::from)?;
        let next = self.store(own, made, now).await?;
        for key in brought {
            let fingerprint = key.fingerprint();
            writeln!(out, "{fingerprint} is one of the account's keys.")?;
        }
        tell_in_use(out, own, &next, &self.address, now)
    }

    /// Pushes what was made, then tells the directory; all keys there are then.
    async fn store(
        &mut self,
        own: &OwnKeys,
        made: Vec<SecretCertificate>,
        now: Timestamp,
    ) -> Result<OwnKeys, AccountCommandError> {
        let next = OwnKeys::gather(own.iter().chain(&made).cloned());
        let push = self.chest.add(made, now, &mut OsRng);
        let push = push.map_err(KeysCommandError::from)?;
        match self.provider.push(&self.token, &push).await? {
            PushResponse::Accepted { .. } => {}
            // Another device is at it: the person looks again.
            PushResponse::Conflict { .. } => return Err(ProviderError::Busy { wait: None }.into()),
        }
        let published = next.published(&self.address, now);
        let certificates = published.iter();
        let publish = Publish {
            certificates: certificates
                .map(|certificate| certificate.to_bytes().into())
                .collect(),
        };
        self.provider.publish(&self.token, &publish).await?;
        Ok(next)
    }
}

async fn end(provider: &ProviderClient, token: &Token) {
    if let Err(error) = provider.log_out(token).await {
        tracing::warn!(%error, "the log-in of this command was not ended");
    }
}

async fn by_password(whose: &KeysArguments) -> Result<Proven, AccountCommandError> {
    let Open { place, entered, .. } = Open::start(&whose.kept).await?;
    Ok(Proven {
        credentials: place.credentials,
        entered,
    })
}

/// The phrase sets a new password, as always, and that logs in.
async fn by_phrase(whose: &KeysArguments, file: &Path) -> Result<Proven, AccountCommandError> {
    let data_dir = data_dir(whose.kept.whose.data_dir.as_deref())?;
    let here = match &whose.recover {
        None => Some(Place::find(&whose.kept)?),
        Some(address) => enrol::place(address, whose.kept.provider.as_deref(), &data_dir)?,
    };
    let credentials = match (&here, &whose.recover) {
        (Some(place), _) => &place.credentials,
        (None, Some(address)) => &enrol::credentials(address, whose.kept.provider.as_deref())?,
        (None, None) => return Err(AccountCommandError::NoProvider),
    };
    let mut from = passwords(&whose.kept);
    let phrase = from.phrase(&credentials.address, Some(file))?;
    let new = whose.new_password_file.as_deref();
    let password = from.new_account(&credentials.address, new)?;
    let recovering = credentials.prove_phrase(&phrase, &password).await?;
    let other = |place: &Place| place.unlock.account_id() != Some(recovering.account);
    if here.as_ref().is_some_and(other) {
        return Err(EnrolError::OtherAccount.into());
    }
    let token = credentials
        .finish_recovery(&recovering, OtherDevices::Stay)
        .await?;
    let (account, epoch) = (recovering.account, recovering.epoch);
    if let Some(place) = &here {
        place.keep_password(&password, account, epoch, &recovering.root)?;
    }
    Ok(Proven {
        credentials: credentials.clone(),
        entered: Entered {
            account,
            epoch,
            root: recovering.root,
            token,
            ways: recovering.ways,
        },
    })
}

fn fingerprints_in_use(own: &OwnKeys, address: &Address, now: Timestamp) -> Vec<Fingerprint> {
    let keys = own.all_in_use(address, now);
    keys.map(SecretCertificate::fingerprint).collect()
}

/// The one key whose fingerprint begins or ends with these digits.
fn find<'a>(own: &'a OwnKeys, digits: &str) -> Result<&'a SecretCertificate, KeysCommandError> {
    let wanted: String = digits.split_whitespace().collect();
    let wanted = wanted.to_ascii_uppercase();
    let is_meant = |key: &&SecretCertificate| {
        let fingerprint = key.fingerprint().to_string();
        fingerprint.starts_with(&wanted) || fingerprint.ends_with(&wanted)
    };
    let mut meant = own.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(key), None) if wanted.len() >= MIN_DIGITS => Ok(key),
        _ => Err(KeysCommandError::WhichKey(digits.to_owned())),
    }
}

fn list(
    out: &mut impl Write,
    own: &OwnKeys,
    address: &Address,
    now: Timestamp,
) -> std::io::Result<()> {
    for key in own.overview(address, now) {
        let state = match key.state {
            State::InUse => "in use".to_owned(),
            State::Retired => "opens old mail".to_owned(),
            State::Expired => "expired; it is renewed by the next device".to_owned(),
            State::Unusable(reason) => format!("{reason}; opens old mail"),
        };
        let kind = match key.role {
            Role::World => "for the world",
            Role::Sealing => "for this provider's users and for sealing",
        };
        writeln!(out, "{}", key.fingerprint)?;
        writeln!(out, "  {kind}; {state}")?;
        let end = key.expires_at.map_or("never".to_owned(), date);
        let made = date(key.created_at);
        writeln!(out, "  made {made}, ends {end}")?;
    }
    Ok(())
}

/// Says which keys came into use.
fn tell_in_use(
    out: &mut impl Write,
    before: &OwnKeys,
    after: &OwnKeys,
    address: &Address,
    now: Timestamp,
) -> Result<(), AccountCommandError> {
    let were = fingerprints_in_use(before, address, now);
    for key in fingerprints_in_use(after, address, now) {
        if !were.contains(&key) {
            writeln!(out, "{key} is in use from now on.")?;
        }
    }
    Ok(())
}

/// How keys leave.
enum Lock {
    /// Certificates alone.
    Public,
    /// Secret keys, locked.
    Passphrase(Zeroizing<String>),
    /// Secret keys, in the clear.
    None,
}

impl Lock {
    fn read(secret: bool, file: Option<&Path>, none: bool) -> Result<Self, AccountCommandError> {
        match (secret, file, none) {
            (false, ..) => Ok(Self::Public),
            (true, Some(file), _) => {
                let passphrase = Passwords::from_file(file, "the key")?;
                Ok(Self::Passphrase(passphrase))
            }
            (true, None, true) => Ok(Self::None),
            (true, None, false) => Err(KeysCommandError::NoPassphrase.into()),
        }
    }
}

fn armored(
    keys: &[&SecretCertificate],
    lock: &Lock,
) -> Result<Zeroizing<String>, KeysCommandError> {
    let mut text = Zeroizing::new(String::new());
    for key in keys {
        let block = match lock {
            Lock::Public => Zeroizing::new(key.certificate().to_armor()),
            Lock::Passphrase(passphrase) => key.to_armor(Some(passphrase), &mut OsRng)?,
            Lock::None => key.to_armor(None, &mut OsRng)?,
        };
        text.push_str(&block);
    }
    Ok(text)
}

/// To a new file that only its owner reads, or to standard output.
fn write_out(
    out: &mut impl Write,
    file: Option<&Path>,
    text: &str,
) -> Result<(), KeysCommandError> {
    let failed = |cause| KeysCommandError::File {
        path: file.map_or_else(|| "standard output".into(), Path::to_owned),
        cause,
    };
    match file {
        None => out.write_all(text.as_bytes()).map_err(failed),
        Some(path) => {
            let mut options = fs::OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(0o600).open(path);
            let mut opened = opened.map_err(failed)?;
            opened.write_all(text.as_bytes()).map_err(failed)?;
            opened.sync_all().map_err(failed)?;
            writeln!(out, "Written to {}.", path.display()).map_err(failed)
        }
    }
}

/// The secret keys of a file: of one block or of several, binary or armored.
fn read_keys(
    file: &Path,
    passphrase_file: Option<&Path>,
) -> Result<Vec<SecretCertificate>, AccountCommandError> {
    let octets = fs::read(file).map_err(|cause| KeysCommandError::File {
        path: file.to_owned(),
        cause,
    })?;
    let octets = Zeroizing::new(octets);
    if octets.len() > MAX_KEYRING_OCTETS {
        return Err(KeysCommandError::TooLarge(file.to_owned()).into());
    }
    let passphrase = passphrase_file.map(|file| Passwords::from_file(file, "the key"));
    let passphrase = passphrase.transpose()?;
    let passphrases: Vec<&str> = passphrase.iter().map(|text| text.as_str()).collect();
    let keys = SecretCertificate::parse_export(&octets, &passphrases);
    Ok(keys.map_err(|error| KeysCommandError::NoKey(file.to_owned(), error))?)
}

impl Reason {
    const fn as_core(self) -> RevocationReason {
        match self {
            Self::Unspecified => RevocationReason::Unspecified,
            Self::Superseded => RevocationReason::Superseded,
            Self::Compromised => RevocationReason::Compromised,
            Self::Retired => RevocationReason::Retired,
        }
    }
}
