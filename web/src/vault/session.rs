//! An open account in the worker: how it is unlocked, and what belongs to it while it is open.
//!
//! ```text
//! LogIn  -> this device knows the account, has its token and the password fits: open, offline
//!        -> else OPAQUE with the provider (the password is not sent): open, remember
//! Resume -> the tab's secret opens what the tab left: open, offline
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use letterlock_core::account::{Account, Answers};
use letterlock_core::auth::enrolment::Comparing;
use letterlock_core::auth::wire::{Device, LogInFinish, LogInStart, Token};
use letterlock_core::auth::{
    ClientLogIn, LocalWrap, LogInError, RootKeyWrap, Ways, WrapKind, unwrap_root_key,
};
use letterlock_core::id::{Address, DocId, ReplicaId, Timestamp};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::{SealedStore, StoreError};
use rand::RngCore;
use rand::rngs::OsRng;

use super::bulk::BrowserCipher;
use super::device::{self, Known, Opened};
use super::devices;
use super::indexeddb_store::IndexedDbStore;
use super::mail;
use super::provider::{self, ProviderError};
use super::signal::Signal;
use crate::protocol::{Failure, Secret};

/// Where the browser keeps an account.
pub type BrowserStore = SealedStore<IndexedDbStore>;

/// An open account.
pub struct Session {
    /// Its mail and keys.
    pub account: Account<BrowserStore>,
    /// What this device knows of it.
    pub known: Known,
    /// The tab's secret, to forget it when the tab is locked.
    pub tab: Secret,
    /// What the directory has answered while this account is open.
    pub answers: RefCell<Answers>,
    /// Wakes the exchange with the provider.
    pub wake: Signal,
    /// A device that wants to come in, and shows words.
    pub sponsoring: RefCell<Option<Comparing>>,
    /// The exchange has come to rest: all but contents is here.
    pub rested: Signal,
    /// Octets of contents that were fetched since it was looked whether the budget holds.
    pub fetched: Cell<u64>,
    /// Contents that were asked for and that the provider does not have.
    pub gone: RefCell<BTreeSet<DocId>>,
    /// The exchange shall end.
    pub closed: Cell<bool>,
    token: RefCell<Option<Token>>,
}

/// What this moment is called by the browser's clock.
pub fn now() -> Timestamp {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "JavaScript times are whole and small"
    )]
    Timestamp::from_millis(js_sys::Date::now() as i64)
}

impl Session {
    /// The token, if this device is logged in.
    pub fn token(&self) -> Option<Token> {
        self.token.borrow().clone()
    }

    /// This device has logged in again.
    pub async fn set_token(&self, token: Token) {
        if let Ok(store) = IndexedDbStore::open(device::DATABASE).await {
            // What is not kept is asked for again.
            let kept = device::set_token(store, self.account.keys(), Some(&token));
            kept.await.ok();
        }
        self.token.replace(Some(token));
    }

    /// The provider does not take the token any more: the next log-in asks it again.
    pub async fn drop_token(&self) {
        self.token.replace(None);
        if let Ok(store) = IndexedDbStore::open(device::DATABASE).await {
            // What cannot be deleted is refused again, and dropped then.
            device::set_token(store, self.account.keys(), None)
                .await
                .ok();
        }
    }

    /// Locks the tab; with `forget` deletes what this device has of the account.
    pub async fn close(&self, forget: bool) -> Result<(), Failure> {
        self.closed.set(true);
        self.wake.set();
        self.rested.set();
        let store = device_store().await?;
        device::forget_tab(&store, &self.tab)
            .await
            .map_err(storage)?;
        if !forget {
            return Ok(());
        }
        if let Some(token) = self.token() {
            // A browser that forgets its key is no device any more.
            devices::unlist(self, self.known.device).await.ok();
            // The provider forgets it later by itself if it cannot be told now.
            provider::log_out(&token).await.ok();
        }
        device::forget(&store, &self.known).await.map_err(storage)?;
        let replica = IndexedDbStore::open(&database(&self.known))
            .await
            .map_err(storage)?;
        replica.clear().await.map_err(storage)
    }
}

/// The address that was open last on this device.
pub async fn last_address() -> Option<String> {
    let store = device_store().await.ok()?;
    let address = device::last_address(&store).await.ok().flatten()?;
    Some(address.as_str().to_owned())
}

/// Opens what this tab had open before it was loaded again.
pub async fn resume(tab: Secret) -> Result<Option<Session>, Failure> {
    let store = device_store().await?;
    let Some((known, opened)) = device::resume_tab(&store, &tab).await.map_err(storage)? else {
        return Ok(None);
    };
    open(known, &opened, tab, None).await.map(Some)
}

/// Opens an account by its password.
pub async fn log_in(address: &str, password: &Secret, tab: Secret) -> Result<Session, Failure> {
    let (session, ways) = open_or_ask(address, password, tab).await?;
    devices::join(&session, password, ways).await;
    Ok(session)
}

/// The open account, and what opens its later keys if the provider was asked for it.
async fn open_or_ask(
    address: &str,
    password: &Secret,
    tab: Secret,
) -> Result<(Session, Option<Ways>), Failure> {
    let address = Address::new(address)
        .map_err(|_| Failure::Refused(format!("“{address}” is no mail address.")))?;
    let store = device_store().await?;
    let known = device::known(&store, &address).await.map_err(storage)?;
    if let Some(known) = &known
        && let Some(opened) = unlock(known, password)
    {
        let keys = opened.keys(known.account);
        if device::token(device_store().await?, &keys).await.is_some() {
            keep(&store, known, &opened, &tab).await?;
            let session = open(known.clone(), &opened, tab, None).await?;
            return Ok((session, None));
        }
        // The provider has ended this device's log-in. Without a network the mail that is here
        // can still be read.
        match ask_provider(&address, password, Some(known.device)).await {
            Err(Failure::Offline) => {
                keep(&store, known, &opened, &tab).await?;
                let session = open(known.clone(), &opened, tab, None).await?;
                return Ok((session, None));
            }
            // The password of this browser need not be the account's.
            Err(Failure::WrongPassword) => {
                return Err(Failure::Refused(
                    "The provider has logged this browser out. Log in with your account’s \
                     password, or let another device of yours bring the account here again."
                        .to_owned(),
                ));
            }
            result => return entered(&store, result?, tab).await,
        }
    }
    let result = ask_provider(&address, password, known.as_ref().map(|known| known.device)).await;
    match result {
        // The password does not fit what is here, and nobody else can be asked.
        Err(Failure::Offline) if known.is_some() => Err(Failure::WrongPassword),
        result => entered(&store, result?, tab).await,
    }
}

/// Opens an account whose password is lost, by its recovery phrase and with a new password.
pub async fn recover(
    address: &str,
    phrase: &Secret,
    password: &Secret,
    tab: Secret,
) -> Result<Session, Failure> {
    let address = Address::new(address)
        .map_err(|_| Failure::Refused(format!("“{address}” is no mail address.")))?;
    let recovered = super::account::recover(&address, phrase, password).await?;
    let (session, ways) = entered(&device_store().await?, recovered, tab).await?;
    devices::join(&session, password, ways).await;
    Ok(session)
}

/// `None` if the password does not fit what is here; it may have been changed on another device,
/// and then the provider knows.
fn unlock(known: &Known, password: &Secret) -> Option<Opened> {
    let unwrapped = known.wrap.open(&password.0, known.account).ok()?;
    let root = RootKey::from_octets(*unwrapped.root_key);
    Some(Opened {
        root,
        epoch: unwrapped.epoch,
    })
}

/// What a log-in brings.
pub struct Entered {
    /// For the next time.
    pub known: Known,
    /// The root key.
    pub opened: Opened,
    /// For the provider.
    pub token: Token,
    /// What opens the account's later keys.
    pub ways: Ways,
}

/// What this device calls itself.
pub const DEVICE_NAME: &str = "Webmail";

/// Proves the password to the provider once more.
pub(super) async fn prove_again(known: &Known, password: &Secret) -> Result<Entered, Failure> {
    ask_provider(&known.address, password, Some(known.device)).await
}

/// OPAQUE with the provider (RFC 9807 6).
async fn ask_provider(
    address: &Address,
    password: &Secret,
    device: Option<ReplicaId>,
) -> Result<Entered, Failure> {
    let (state, request) = ClientLogIn::start(&password.0, &mut OsRng).map_err(opaque)?;
    let start = LogInStart {
        address: address.clone(),
        request: request.into(),
    };
    let started = provider::log_in_start(&start).await.map_err(refused)?;
    let logged_in = state
        .finish(address, &started.response.0, &mut OsRng)
        .map_err(opaque)?;
    let device = device.unwrap_or_else(|| ReplicaId::new(random()));
    let finish = LogInFinish {
        session: started.session,
        finalization: logged_in.finalization.into(),
        device: Device {
            id: device,
            name: DEVICE_NAME.to_owned(),
        },
    };
    let finished = provider::log_in_finish(&finish).await.map_err(refused)?;
    let account = finished.account_id;
    let broken = || Failure::Refused("The account’s key does not open.".to_owned());
    let wrap = RootKeyWrap::from_octets(&finished.root_key_wrap.0).map_err(|_| broken())?;
    let material = logged_in.export_key.as_bytes();
    let unwrapped =
        unwrap_root_key(material, account, WrapKind::Password, &wrap).map_err(|_| broken())?;
    let opened = Opened {
        root: RootKey::from_octets(*unwrapped.root_key),
        epoch: unwrapped.epoch,
    };
    let wrap = LocalWrap::seal(
        &password.0,
        account,
        opened.epoch,
        opened.root.octets(),
        &mut OsRng,
    )
    .map_err(|_| broken())?;
    let known = Known {
        address: address.clone(),
        account,
        device,
        wrap,
    };
    Ok(Entered {
        known,
        opened,
        token: finished.token,
        ways: Ways::password(logged_in.export_key.sealing_secret()),
    })
}

async fn entered(
    store: &IndexedDbStore,
    entered: Entered,
    tab: Secret,
) -> Result<(Session, Option<Ways>), Failure> {
    keep(store, &entered.known, &entered.opened, &tab).await?;
    let session = open(entered.known, &entered.opened, tab, Some(entered.token)).await?;
    Ok((session, Some(entered.ways)))
}

pub(super) async fn keep(
    store: &IndexedDbStore,
    known: &Known,
    opened: &Opened,
    tab: &Secret,
) -> Result<(), Failure> {
    device::remember(store, known).await.map_err(storage)?;
    device::remember_tab(store, tab, known, opened, &mut OsRng)
        .await
        .map_err(storage)
}

pub(super) async fn open(
    known: Known,
    opened: &Opened,
    tab: Secret,
    token: Option<Token>,
) -> Result<Session, Failure> {
    let keys: AccountKeys = opened.keys(known.account);
    let token = match token {
        Some(token) => {
            let store = device_store().await?;
            device::set_token(store, &keys, Some(&token))
                .await
                .map_err(storage)?;
            Some(token)
        }
        None => device::token(device_store().await?, &keys).await,
    };
    let store = IndexedDbStore::open(&database(&known))
        .await
        .map_err(storage)?;
    let store = SealedStore::new(store, keys.store_key());
    let address = known.address.clone();
    let account = Account::open(store, address, keys, random(), now())
        .await
        .map_err(mail::failed)?;
    account.fetch_lazily();
    if let Some(cipher) = BrowserCipher::boxed() {
        account.set_bulk_cipher(cipher);
    }
    Ok(Session {
        account,
        known,
        tab,
        answers: RefCell::default(),
        wake: Signal::default(),
        sponsoring: RefCell::default(),
        rested: Signal::default(),
        fetched: Cell::new(0),
        gone: RefCell::default(),
        closed: Cell::new(false),
        token: RefCell::new(token),
    })
}

pub(super) fn database(known: &Known) -> String {
    format!("letterlock-{}", known.account)
}

/// The database of what this device knows of its accounts.
pub async fn device_store() -> Result<IndexedDbStore, Failure> {
    IndexedDbStore::open(device::DATABASE)
        .await
        .map_err(storage)
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    OsRng.fill_bytes(&mut octets);
    octets
}

pub(super) fn storage(error: StoreError) -> Failure {
    Failure::Refused(match error {
        StoreError::Full { .. } => {
            "This browser has no room left for your mail. Free some space and try again.".to_owned()
        }
        error => format!("This browser’s storage failed: {error}."),
    })
}

pub(super) fn opaque(error: LogInError) -> Failure {
    match error {
        LogInError::WrongPassword => Failure::WrongPassword,
        LogInError::Malformed => Failure::Refused(ProviderError::Nonsense.to_string()),
    }
}

fn refused(error: ProviderError) -> Failure {
    match error {
        ProviderError::Unreachable => Failure::Offline,
        ProviderError::Unauthorized => Failure::WrongPassword,
        ProviderError::Refused { status: 429, .. } => Failure::Refused(
            "Too many attempts for now. Please wait a little and try again.".to_owned(),
        ),
        error => Failure::Refused(format!("Logging in failed: {error}.")),
    }
}
