//! How an account comes to this device: unlock what is here, log in, or sign up.
//!
//! ```text
//! unlock.json here? -- yes --> open it with the password (offline) --> replica
//!                              another password, and the provider takes it --> log_in
//!        no --> log_in (OPAQUE; the provider's wrap opens with the export key) --> unlock.json
//!        no account yet --> sign_up (key pairs, sealed, handed over with the sign-up) --> unlock.json
//! the password is lost --> recover (the phrase proves itself; a new password) --> unlock.json
//! another device has handed the account over --> enrol (this device's key logs in) --> unlock.json
//! ```
//!
//! Invariant: killed at any point, the next attempt succeeds with the same password: the provider
//! creates an account with all that it needs or not at all, and files here are written whole.
//! The provider gets nothing that opens mail.

mod by_device;

use std::fs;
use std::io;
use std::path::PathBuf;

use letterlock_core::account::ReplicaError;
use letterlock_core::account::{Account, DevicesError, KeyError};
use letterlock_core::auth::wire::{Device, Invite, OtherDevices, SignUpFinish, SignUpStart, Token};
use letterlock_core::auth::{
    ClientSignUp, EnrolmentError, LocalWrap, LocalWrapError, LogInError, RecoveryPhrase,
    SignUpError, Ways, WrapError,
};
use letterlock_core::id::{AccountId, Address, Timestamp};
use letterlock_core::portable::TwoProcessors;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{Batch, Store, StoreError, Table};
use letterlock_core::sync::wire::DocumentsRequest;
use rand::RngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::accounts::{BridgeAccount, LocalAccount};
use super::app_passwords::{AppPasswords, AppPasswordsError};
use super::credentials::{Credentials, Entered, recovery, wrap};
use super::devices;
use super::lock::create_private_dir;
use super::provider_client::{CONNECT_TIMEOUT, ProviderClient, ProviderError};
use super::sqlite_store::{OpenStoreError, SqliteStore};
use super::unlock::{Unlock, UnlockFileError};

/// Name of the replica's file in an account's folder.
pub const REPLICA_FILE: &str = "replica.db";
/// Where the device's token lies in the replica's store.
const TOKEN_KEY: &[u8] = b"bridge/token";
/// The first root key of an account.
const FIRST_EPOCH: u32 = 1;

/// Why an account did not come to this device.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The password is wrong, or there is no such account.
    #[error("the address or the password is wrong")]
    WrongPassword,
    /// The recovery phrase is wrong, or there is no such account, or it has none.
    #[error("the address or the recovery phrase is wrong")]
    WrongPhrase,
    /// What is here belongs to an account that is not the one at the provider.
    #[error(
        "the provider has another account of this address: \
         remove the old one from this device first (letterlock account forget)"
    )]
    OtherAccount,
    /// The password is empty or too long.
    #[error(transparent)]
    SignUp(#[from] SignUpError),
    /// What is kept on disk is of an unknown form.
    #[error("the stored key of this account has an unknown form")]
    UnknownForm,
    /// See there.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// See there.
    #[error(transparent)]
    UnlockFile(#[from] UnlockFileError),
    /// See there.
    #[error(transparent)]
    AppPasswords(#[from] AppPasswordsError),
    /// See there.
    #[error(transparent)]
    Store(#[from] OpenStoreError),
    /// See there.
    #[error(transparent)]
    Replica(#[from] ReplicaError),
    /// See there.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// See there.
    #[error(transparent)]
    Devices(#[from] DevicesError),
    /// Another device was to bring the account here.
    #[error(transparent)]
    Enrolment(#[from] EnrolmentError),
    /// The account's folder cannot be used.
    #[error("{path}: {cause}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl From<StoreError> for EnrolError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<LocalWrapError> for EnrolError {
    fn from(error: LocalWrapError) -> Self {
        match error {
            LocalWrapError::WrongPassword => Self::WrongPassword,
            LocalWrapError::Form => Self::UnknownForm,
        }
    }
}

impl From<LogInError> for EnrolError {
    fn from(error: LogInError) -> Self {
        match error {
            LogInError::WrongPassword => Self::WrongPassword,
            LogInError::Malformed => Self::Provider(ProviderError::Malformed),
        }
    }
}

impl From<WrapError> for EnrolError {
    fn from(_: WrapError) -> Self {
        Self::UnknownForm
    }
}

/// Who, and where it is kept and synced.
#[derive(Clone)]
pub struct Enrolment {
    /// The address.
    pub address: Address,
    /// The account's own password; of a device that another one has enrolled, what opens the account
    /// on this device.
    pub password: Zeroizing<String>,
    /// Folder of this account alone.
    pub folder: PathBuf,
    /// Its provider.
    pub provider: ProviderClient,
    /// For the user's list of devices.
    pub device_name: String,
    /// What repairs a lost password of an account that is made here.
    pub phrase: Option<RecoveryPhrase>,
    /// For a provider that takes invited people only.
    pub invite: Option<Invite>,
}

struct Opened {
    account: LocalAccount,
    store: SqliteStore,
}

impl Enrolment {
    /// Unlocks the account that is on this device; `None` if it is not. The provider is asked
    /// whether it still knows this device, and logged in to if it does not; one that is away is
    /// no reason not to unlock. A password that does not open what is here may be newer than that:
    /// the provider knows.
    pub async fn unlock(&self, now: Timestamp) -> Result<Option<BridgeAccount>, EnrolError> {
        let Some(unlock) = Unlock::read(&self.folder)? else {
            return Ok(None);
        };
        let id = unlock.account_id().ok_or(EnrolError::UnknownForm)?;
        let opened = match unlock.wrap.open(&self.password, id) {
            Err(LocalWrapError::WrongPassword) => {
                return match Box::pin(self.log_in(now)).await {
                    Err(EnrolError::Provider(error)) if error.is_temporary() => {
                        Err(EnrolError::WrongPassword)
                    }
                    other => other.map(Some),
                };
            }
            other => other?,
        };
        let root = RootKey::from_octets(*opened.root_key);
        let local = self.open(id, opened.epoch, &root, now).await?;
        let known = read_token(&local.store).await?;
        let known = self.renewed(&local, known, now).await?;
        let credentials = self.credentials(self.device(&local.account));
        let entered = match &known {
            None => Some(credentials.log_in(&self.password).await?),
            Some(token) if self.is_unknown(token).await => {
                let entered = credentials.log_in(&self.password).await;
                entered
                    .inspect_err(|error| tracing::warn!(%error, "this device is logged out"))
                    .ok()
            }
            Some(_) => None,
        };
        if let Some(entered) = &entered {
            write_token(&local.store, &entered.token).await?;
        }
        let entered = match (entered, &known) {
            (None, Some(token)) => self.prove_if_needed(&local, token, now).await?,
            (entered, _) => entered,
        };
        let token = entered.as_ref().map(|entered| &entered.token);
        let token = token.or(known.as_ref()).cloned();
        let token = token.ok_or(EnrolError::UnknownForm)?;
        // One that was removed comes back only when the provider has taken the password again.
        if let Some(entered) = &entered {
            self.join(&local, &token, &entered.ways, now).await;
        }
        let (provider, device) = (self.provider.base(), local.account.id());
        if unlock.provider.as_deref() != Some(provider) || unlock.device() != Some(device) {
            unlock.synced(provider, device).write(&self.folder)?;
        }
        Ok(Some(self.finished(local, token)))
    }

    /// Brings an account that exists at the provider to this device.
    pub async fn log_in(&self, now: Timestamp) -> Result<BridgeAccount, EnrolError> {
        // The replica, and with it the device's id, needs the account's keys; so the password is
        // proved twice, the first time for a device that is forgotten.
        let first = self.credentials(random_device(&self.device_name));
        let entered = first.log_in(&self.password).await?;
        self.check_same(entered.account)?;
        let (id, epoch) = (entered.account, entered.epoch);
        let local = self.open(id, epoch, &entered.root, now).await?;
        let credentials = self.credentials(self.device(&local.account));
        let token = credentials.log_in(&self.password).await?.token;
        let ways = &entered.ways;
        if let Err(error) = self.provider.log_out(&entered.token).await {
            tracing::warn!(%error, "a log-in that is not used stays in the list of devices");
        }
        self.join(&local, &token, ways, now).await;
        self.keep(local, (id, epoch, &entered.root), token).await
    }

    /// Brings an account to this device whose password is lost: the phrase sets the one of this
    /// enrolment.
    pub async fn recover(
        &self,
        phrase: &RecoveryPhrase,
        others: OtherDevices,
        now: Timestamp,
    ) -> Result<BridgeAccount, EnrolError> {
        let first = self.credentials(random_device(&self.device_name));
        let recovering = first.prove_phrase(phrase, &self.password).await?;
        self.check_same(recovering.account)?;
        let key = (recovering.account, recovering.epoch, &recovering.root);
        let local = self.open(key.0, key.1, key.2, now).await?;
        let credentials = self.credentials(self.device(&local.account));
        let token = credentials.finish_recovery(&recovering, others).await?;
        self.join(&local, &token, &recovering.ways, now).await;
        self.keep(local, key, token).await
    }

    /// Makes a new account.
    pub async fn sign_up(&self, now: Timestamp) -> Result<BridgeAccount, EnrolError> {
        self.discard_unfinished()?;
        let id = AccountId::new(random());
        let root = RootKey::generate(&mut OsRng);
        let (client, request) = ClientSignUp::start(&self.password, &mut OsRng)?;
        let start = SignUpStart {
            address: self.address.clone(),
            request: request.into(),
            invite: self.invite.clone(),
        };
        let answer = self.provider.start_sign_up(&start).await?;
        let signed_up = client.finish(&self.address, &answer.response.0, &mut OsRng)?;
        let local = self.open(id, FIRST_EPOCH, &root, now).await?;
        let mut certificates = local.account.create_keys(now).await?.into_iter();
        let first = certificates.next().ok_or(KeyError::NotHere)?;
        let more = certificates.map(|certificate| certificate.to_bytes().into());
        let pending = local.account.pending_push().await?;
        let documents = pending.iter().flat_map(|push| &push.request.documents);
        let key = (id, FIRST_EPOCH, &root);
        let phrase = self.phrase.as_ref();
        let device = self.device(&local.account);
        let ways = Ways {
            password: Some(signed_up.export_key.sealing_secret()),
            phrase: phrase.map(RecoveryPhrase::sealing_secret),
        };
        let devices = local.account.first_devices(&device, &ways, now).await?;
        let finish = SignUpFinish {
            address: self.address.clone(),
            account_id: id,
            record: signed_up.record.into(),
            root_key_wrap: wrap(&signed_up.export_key, key),
            certificate: first.to_bytes().into(),
            more_certificates: more.collect(),
            documents: documents.map(|document| document.to_vec().into()).collect(),
            device,
            devices: Some(devices.octets().to_vec().into()),
            recovery: phrase.map(|phrase| recovery(phrase, id, FIRST_EPOCH, &root)),
            invite: self.invite.clone(),
        };
        let finished = self.provider.finish_sign_up(&finish).await?;
        if let Some(push) = &pending {
            local.account.pushed(push, now).await?;
        }
        local.account.keep_device_list(&devices, now).await?;
        self.keep(local, key, finished.token).await
    }

    /// Unlocks, logs in or signs up: whichever comes first.
    pub async fn ensure(&self, now: Timestamp) -> Result<BridgeAccount, EnrolError> {
        if let Some(account) = Box::pin(self.unlock(now)).await? {
            return Ok(account);
        }
        match Box::pin(self.log_in(now)).await {
            Err(EnrolError::WrongPassword) => Box::pin(self.sign_up(now)).await,
            other => other,
        }
    }

    /// Whether the provider says that it does not know this token: it was ended, or the
    /// provider's storage was set back to before it.
    async fn is_unknown(&self, token: &Token) -> bool {
        let nothing = DocumentsRequest { ids: Vec::new() };
        let call = self.provider.documents(token, &nothing);
        let answer = tokio::time::timeout(CONNECT_TIMEOUT, call).await;
        matches!(answer, Ok(Err(ProviderError::Unauthorized)))
    }

    /// Proves the password to the provider again where this device never was in the list of devices,
    /// or cannot begin the account's newest key epoch by itself.
    async fn prove_if_needed(
        &self,
        local: &Opened,
        token: &Token,
        now: Timestamp,
    ) -> Result<Option<Entered>, EnrolError> {
        let account = &local.account;
        if account.devices_state().await?.joined
            && !devices::lacks_keys(account, &self.provider, token, now).await?
        {
            return Ok(None);
        }
        let credentials = self.credentials(self.device(account));
        let entered = credentials.log_in(&self.password).await;
        let told = |error: &EnrolError| tracing::warn!(%error, "the password was not proved");
        let entered = entered.inspect_err(told).ok();
        if let Some(entered) = &entered {
            write_token(&local.store, &entered.token).await?;
        }
        Ok(entered)
    }

    /// Puts this device into the account's list. One that is not there works all the same, and is
    /// told of on the others; the next unlocking tries again.
    async fn join(&self, local: &Opened, token: &Token, ways: &Ways, now: Timestamp) {
        let credentials = self.credentials(self.device(&local.account));
        let proved = (self.password.as_str(), ways);
        let joined = devices::join(&local.account, &credentials, token, proved, now);
        if let Err(error) = Box::pin(joined).await {
            tracing::warn!(%error, "this device is not in the account's list of devices yet");
        }
    }

    fn device(&self, account: &LocalAccount) -> Device {
        Device {
            id: account.id(),
            name: self.device_name.clone(),
        }
    }

    fn credentials(&self, device: Device) -> Credentials {
        Credentials {
            address: self.address.clone(),
            provider: self.provider.clone(),
            device,
        }
    }

    /// What is here must be of the account that the provider has.
    fn check_same(&self, account: AccountId) -> Result<(), EnrolError> {
        match Unlock::read(&self.folder)? {
            Some(unlock) if unlock.account_id() != Some(account) => Err(EnrolError::OtherAccount),
            _ => Ok(()),
        }
    }

    async fn open(
        &self,
        id: AccountId,
        epoch: u32,
        root: &RootKey,
        now: Timestamp,
    ) -> Result<Opened, EnrolError> {
        let keys = AccountKeys::derive(id, epoch, root);
        let store = self.open_store(&keys).await?;
        self.open_in(store, keys, now).await
    }

    async fn open_in(
        &self,
        store: SqliteStore,
        keys: AccountKeys,
        now: Timestamp,
    ) -> Result<Opened, EnrolError> {
        let address = self.address.clone();
        let account = Account::open(store.clone(), address, keys, random(), now).await?;
        account.set_bulk_cipher(Box::new(TwoProcessors));
        Ok(Opened { account, store })
    }

    async fn open_store(&self, keys: &AccountKeys) -> Result<SqliteStore, EnrolError> {
        create_private_dir(&self.folder).map_err(|cause| self.folder_error(cause))?;
        let path = self.folder.join(REPLICA_FILE);
        let key = Zeroizing::new(*keys.store_key());
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &key));
        let opened = opened.await;
        Ok(opened.map_err(|_| self.folder_error(io::Error::other("interrupted")))??)
    }

    async fn keep(
        &self,
        local: Opened,
        (id, epoch, root): (AccountId, u32, &RootKey),
        token: Token,
    ) -> Result<BridgeAccount, EnrolError> {
        write_token(&local.store, &token).await?;
        let wrap = LocalWrap::seal(&self.password, id, epoch, root.octets(), &mut OsRng)?;
        let unlock = Unlock::new(self.address.clone(), id, wrap)
            .synced(self.provider.base(), local.account.id());
        unlock.write(&self.folder)?;
        Ok(self.finished(local, token))
    }

    fn finished(&self, local: Opened, token: Token) -> BridgeAccount {
        let app_passwords = AppPasswords::open(&self.folder);
        BridgeAccount::new(local.account, self.provider.clone(), token, app_passwords)
            .keeping_tokens(local.store)
    }

    /// A replica without `unlock.json` was left by a sign-up that did not end; its keys are gone
    /// and nothing in it was ever accepted.
    fn discard_unfinished(&self) -> Result<(), EnrolError> {
        for path in SqliteStore::files(&self.folder.join(REPLICA_FILE)) {
            match fs::remove_file(path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(self.folder_error(cause)),
            }
        }
        Ok(())
    }

    fn folder_error(&self, cause: io::Error) -> EnrolError {
        EnrolError::Folder {
            path: self.folder.clone(),
            cause,
        }
    }
}

async fn read_token(store: &SqliteStore) -> Result<Option<Token>, StoreError> {
    let octets = store.get(Table::Meta, TOKEN_KEY).await?;
    Ok(octets
        .and_then(|octets| String::from_utf8(octets).ok())
        .map(Token::new))
}

pub(super) async fn write_token(store: &SqliteStore, token: &Token) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    batch.put(Table::Meta, TOKEN_KEY, token.as_str());
    store.commit(batch).await
}

fn random_device(name: &str) -> Device {
    Device {
        id: letterlock_core::id::ReplicaId::new(random()),
        name: name.to_owned(),
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    OsRng.fill_bytes(&mut octets);
    octets
}
