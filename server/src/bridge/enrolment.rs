//! How an account comes to this device: unlock what is here, log in, or sign up.
//!
//! ```text
//! unlock.json here? -- yes --> open it with the password (offline) --> replica
//!        no --> log_in (OPAQUE; the provider's wrap opens with the export key) --> unlock.json
//!        no account yet --> sign_up (key pair, sealed, handed over with the sign-up) --> unlock.json
//! ```
//!
//! Invariant: killed at any point, the next attempt succeeds with the same password: the provider
//! creates an account with all that it needs or not at all, and files here are written whole.
//! The provider gets nothing that opens mail.

use std::fs;
use std::io;
use std::path::PathBuf;

use letterlock_core::account::ReplicaError;
use letterlock_core::account::{Account, KeyError};
use letterlock_core::auth::wire::{
    Device, LogInFinish, LogInStart, SignUpFinish, SignUpStart, Token,
};
use letterlock_core::auth::{
    ClientLogIn, ClientSignUp, LocalWrap, LocalWrapError, LogInError, RootKeyWrap, SignUpError,
    WrapError, WrapKind, unwrap_root_key, wrap_root_key,
};
use letterlock_core::id::{AccountId, Address, Timestamp};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{Batch, Store, StoreError, Table};
use letterlock_core::sync::wire::DocumentsRequest;
use rand::RngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::accounts::{BridgeAccount, LocalAccount};
use super::app_passwords::{AppPasswords, AppPasswordsError};
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
    /// The account's own password.
    pub password: Zeroizing<String>,
    /// Folder of this account alone.
    pub folder: PathBuf,
    /// Its provider.
    pub provider: ProviderClient,
    /// For the user's list of devices.
    pub device_name: String,
}

struct Opened {
    account: LocalAccount,
    store: SqliteStore,
}

impl Enrolment {
    /// Unlocks the account that is on this device; `None` if it is not. The provider is asked
    /// whether it still knows this device, and logged in to if it does not; one that is away is
    /// no reason not to unlock.
    pub async fn unlock(&self, now: Timestamp) -> Result<Option<BridgeAccount>, EnrolError> {
        let Some(unlock) = Unlock::read(&self.folder)? else {
            return Ok(None);
        };
        let id = unlock.account_id().ok_or(EnrolError::UnknownForm)?;
        let opened = unlock.wrap.open(&self.password, id)?;
        let root = RootKey::from_octets(*opened.root_key);
        let local = self.open(id, opened.epoch, &root, now).await?;
        let known = read_token(&local.store).await?;
        let proved = match &known {
            None => Some(self.prove(&local.account).await?),
            Some(token) if self.is_unknown(token).await => {
                let proved = self.prove(&local.account).await;
                proved
                    .inspect_err(|error| tracing::warn!(%error, "this device is logged out"))
                    .ok()
            }
            Some(_) => None,
        };
        if let Some((_, _, token)) = &proved {
            write_token(&local.store, token).await?;
        }
        let token = proved.map(|(_, _, token)| token).or(known);
        let token = token.ok_or(EnrolError::UnknownForm)?;
        Ok(Some(self.finished(local, token)))
    }

    /// Brings an account that exists at the provider to this device.
    pub async fn log_in(&self, now: Timestamp) -> Result<BridgeAccount, EnrolError> {
        // The replica, and with it the device's id, needs the account's keys; so the password is
        // proved twice, the first time for a device that is forgotten.
        let (id, unwrapped, _) = self.prove_as(random_device(&self.device_name)).await?;
        let root = RootKey::from_octets(*unwrapped.root_key);
        let local = self.open(id, unwrapped.epoch, &root, now).await?;
        let (_, _, token) = self.prove(&local.account).await?;
        self.keep(local, id, unwrapped.epoch, &root, token).await
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
        };
        let answer = self.provider.start_sign_up(&start).await?;
        let signed_up = client.finish(&self.address, &answer.response.0, &mut OsRng)?;
        let local = self.open(id, FIRST_EPOCH, &root, now).await?;
        let certificate = local.account.create_key(now).await?;
        let pending = local.account.pending_push().await?;
        let documents = pending.iter().flat_map(|push| &push.request.documents);
        let material = signed_up.export_key.as_bytes();
        let password = WrapKind::Password;
        let wrap = wrap_root_key(
            material,
            id,
            FIRST_EPOCH,
            password,
            root.octets(),
            &mut OsRng,
        );
        let finish = SignUpFinish {
            address: self.address.clone(),
            account_id: id,
            record: signed_up.record.into(),
            root_key_wrap: wrap.as_bytes().to_vec().into(),
            certificate: certificate.to_bytes().into(),
            documents: documents.map(|document| document.to_vec().into()).collect(),
            device: self.device(&local.account),
        };
        let finished = self.provider.finish_sign_up(&finish).await?;
        if let Some(push) = &pending {
            local.account.pushed(push, now).await?;
        }
        self.keep(local, id, FIRST_EPOCH, &root, finished.token)
            .await
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

    fn device(&self, account: &LocalAccount) -> Device {
        Device {
            id: account.id(),
            name: self.device_name.clone(),
        }
    }

    async fn prove(
        &self,
        account: &LocalAccount,
    ) -> Result<(AccountId, letterlock_core::auth::Unwrapped, Token), EnrolError> {
        self.prove_as(self.device(account)).await
    }

    async fn prove_as(
        &self,
        device: Device,
    ) -> Result<(AccountId, letterlock_core::auth::Unwrapped, Token), EnrolError> {
        let (client, request) = ClientLogIn::start(&self.password, &mut OsRng)?;
        let start = LogInStart {
            address: self.address.clone(),
            request: request.into(),
        };
        let answer = self.provider.start_log_in(&start).await?;
        let logged_in = client.finish(&self.address, &answer.response.0, &mut OsRng)?;
        let finish = LogInFinish {
            session: answer.session,
            finalization: logged_in.finalization.into(),
            device,
        };
        let finished = self.provider.finish_log_in(&finish).await?;
        let wrap = RootKeyWrap::from_octets(&finished.root_key_wrap.0)?;
        let material = logged_in.export_key.as_bytes();
        let unwrapped = unwrap_root_key(material, finished.account_id, WrapKind::Password, &wrap)?;
        Ok((finished.account_id, unwrapped, finished.token))
    }

    async fn open(
        &self,
        id: AccountId,
        epoch: u32,
        root: &RootKey,
        now: Timestamp,
    ) -> Result<Opened, EnrolError> {
        create_private_dir(&self.folder).map_err(|cause| self.folder_error(cause))?;
        let keys = AccountKeys::derive(id, epoch, root);
        let path = self.folder.join(REPLICA_FILE);
        let key = Zeroizing::new(*keys.store_key());
        let store = tokio::task::spawn_blocking(move || SqliteStore::open(&path, &key))
            .await
            .map_err(|_| self.folder_error(io::Error::other("interrupted")))??;
        let address = self.address.clone();
        let account = Account::open(store.clone(), address, keys, random(), now).await?;
        Ok(Opened { account, store })
    }

    async fn keep(
        &self,
        local: Opened,
        id: AccountId,
        epoch: u32,
        root: &RootKey,
        token: Token,
    ) -> Result<BridgeAccount, EnrolError> {
        write_token(&local.store, &token).await?;
        let wrap = LocalWrap::seal(&self.password, id, epoch, root.octets(), &mut OsRng)?;
        let unlock = Unlock::new(self.address.clone(), id, wrap);
        unlock.write(&self.folder)?;
        Ok(self.finished(local, token))
    }

    fn finished(&self, local: Opened, token: Token) -> BridgeAccount {
        let app_passwords = AppPasswords::open(&self.folder);
        BridgeAccount::new(local.account, self.provider.clone(), token, app_passwords)
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

async fn write_token(store: &SqliteStore, token: &Token) -> Result<(), StoreError> {
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
