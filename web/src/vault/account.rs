//! The account itself: its password, recovery phrase, devices and end, and how a lost password is
//! repaired.
//!
//! Invariant: passwords, phrases and the root key stay in the worker; what goes out is what
//! OPAQUE and the phrase's signature say.

use core::fmt::Display;

use letterlock_core::auth::devices::open_epochs;
use letterlock_core::auth::wire::{
    AccountDelete, Device, LogInStart, Octets, OtherDevices, PasswordFinish, PasswordProof,
    PasswordStart, Recovery, RecoveryProve, RecoverySet, RecoveryStart, Token,
};
use letterlock_core::auth::{
    ClientLogIn, ClientSignUp, ExportKey, LocalWrap, PhraseError, RecoveryPhrase, RootKeyWrap,
    SignUpError, SignedUp, Unwrapped, Ways, WrapKind, wrap_root_key,
};
use letterlock_core::id::{AccountId, Address, ReplicaId};
use letterlock_core::seal::{AccountKeys, RootKey};
use rand::rngs::OsRng;

use super::device::{self, Known, Opened};
use super::devices;
use super::enrolment;
use super::fetching;
use super::keys;
use super::mail;
use super::provider::{self, ProviderError};
use super::session::{self, DEVICE_NAME, Entered, Session, opaque, random, storage};
use crate::protocol::{AccountView, Change, Changed, Ended, Failure, Secret};

/// The account as the provider knows it.
pub async fn view(session: &Session) -> Result<AccountView, Failure> {
    let state = provider::account(&token(session)?).await.map_err(refused)?;
    let kept = session.account.kept_octets().await;
    Ok(AccountView {
        used_octets: state.used_octets,
        kept_octets: kept.map_err(mail::failed)?,
        kept_most_octets: fetching::BUDGET_OCTETS,
        quota_octets: state.quota_octets,
        has_recovery: state.has_recovery,
        devices: devices::rows(session, &state.devices).await,
    })
}

/// Does something with the account.
pub async fn change(session: &Session, change: Change) -> Result<Changed, Failure> {
    match change {
        Change::Password {
            old,
            new,
            keep_devices,
        } => {
            let others = if keep_devices {
                OtherDevices::Stay
            } else {
                OtherDevices::LogOut
            };
            change_password(session, &old, &new, others).await?;
            Ok(Changed::Password)
        }
        Change::DrawPhrase => {
            let phrase = RecoveryPhrase::generate(&mut OsRng);
            Ok(Changed::Phrase(Secret(phrase.words().to_string())))
        }
        Change::SetPhrase { phrase, password } => {
            set_phrase(session, &phrase, &password).await?;
            Ok(Changed::PhraseSet)
        }
        Change::CheckPhrase { phrase } => {
            let phrase = read(&phrase)?;
            // The password that is asked for never comes to hold: nobody finishes the recovery.
            let unset = Secret("not set".to_owned());
            let proved = prove_phrase(&session.known.address, &phrase, &unset).await?;
            if proved.account != session.known.account {
                return Err(wrong_phrase());
            }
            Ok(Changed::PhraseRight)
        }
        Change::Compared {
            address,
            fingerprint,
        } => {
            keys::mark(session, &address, &fingerprint).await?;
            Ok(Changed::Compared)
        }
        Change::ReplaceKey {
            fingerprint,
            reason,
            explanation,
        } => keys::replace(session, &fingerprint, reason, &explanation).await,
        Change::ExportKey {
            fingerprint,
            passphrase,
        } => keys::export(session, &fingerprint, &passphrase).await,
        Change::ImportKeys {
            text,
            passphrase,
            take_into_use,
        } => keys::import(session, &text, &passphrase, take_into_use).await,
        Change::AddDevice { code } => enrolment::greet(session, &code).await,
        Change::AdmitDevice { words } => enrolment::admit(session, &words).await,
        Change::RefuseDevice => enrolment::refuse(session).await,
        Change::RemoveDevice { id } => {
            let id: ReplicaId = id.parse().map_err(|_| Failure::NotFound)?;
            devices::remove(session, id).await?;
            Ok(Changed::Device)
        }
        Change::Delete { password } => delete(session, &password).await.map(Changed::Ended),
    }
}

async fn change_password(
    session: &Session,
    old: &Secret,
    new: &Secret,
    others: OtherDevices,
) -> Result<(), Failure> {
    let token = token(session)?;
    let known = &session.known;
    let (client, request) = ClientSignUp::start(&new.0, &mut OsRng).map_err(sign_up)?;
    let start = PasswordStart {
        proof: prove(known, &token, old).await?,
        request: request.into(),
    };
    let started = provider::start_password(&token, &start)
        .await
        .map_err(refused)?;
    let signed_up = client
        .finish(&known.address, &started.response.0, &mut OsRng)
        .map_err(sign_up)?;
    let root = first_root(session)?;
    let ways = Ways::password(signed_up.export_key.sealing_secret());
    let named = devices::naming(session, &ways).await?;
    let mut finish = finish(
        started.change,
        signed_up,
        known.device,
        known.account,
        &root,
        others,
    );
    finish.devices = named;
    provider::finish_password(&finish).await.map_err(refused)?;
    keep_password(known, new, &root).await
}

async fn set_phrase(session: &Session, phrase: &Secret, password: &Secret) -> Result<(), Failure> {
    let phrase = read(phrase)?;
    let token = token(session)?;
    let known = &session.known;
    let proof = prove(known, &token, password).await?;
    let root = first_root(session)?;
    let wrap = phrase.wrap(known.account, root.epoch, root.root.octets(), &mut OsRng);
    let recovery = Recovery {
        verifier: phrase.verifier().to_vec().into(),
        root_key_wrap: wrap.as_bytes().to_vec().into(),
    };
    let ways = Ways {
        password: None,
        phrase: Some(phrase.sealing_secret()),
    };
    let set = RecoverySet {
        proof,
        recovery,
        devices: devices::naming(session, &ways).await?,
    };
    provider::set_recovery(&token, &set).await.map_err(refused)
}

async fn delete(session: &Session, password: &Secret) -> Result<Ended, Failure> {
    let token = token(session)?;
    let proof = prove(&session.known, &token, password).await?;
    let deleted = provider::delete_account(&token, &AccountDelete { proof })
        .await
        .map_err(refused)?;
    // The account has ended, whatever this browser says about its own copy.
    session.close(true).await.ok();
    Ok(Ended {
        address: session.known.address.as_str().to_owned(),
        documents: deleted.documents,
        incoming: deleted.incoming,
        queued: deleted.queued,
        devices: deleted.devices,
        octets: deleted.octets,
    })
}

/// Sets a new password by the phrase; what the log-in that comes with it brings.
pub async fn recover(
    address: &Address,
    phrase: &Secret,
    password: &Secret,
) -> Result<Entered, Failure> {
    let phrase = read(phrase)?;
    let proved = prove_phrase(address, &phrase, password).await?;
    let store = session::device_store().await?;
    let known = device::known(&store, address).await.map_err(storage)?;
    let known = known.filter(|known| known.account == proved.account);
    let device = known.map_or_else(|| ReplicaId::new(random()), |known| known.device);
    let (account, root) = (proved.account, proved.opened);
    let others = OtherDevices::LogOut;
    let mut ways = Ways::password(proved.signed_up.export_key.sealing_secret());
    ways.phrase = Some(phrase.sealing_secret());
    let named = named(&root.keys(account), proved.devices.as_ref(), &ways)?;
    let mut finish = finish(
        proved.change,
        proved.signed_up,
        device,
        account,
        &root,
        others,
    );
    finish.devices = named;
    let finished = provider::finish_password(&finish).await.map_err(refused)?;
    let token = finished.token.ok_or_else(nonsense)?;
    let wrap = seal(password, account, &root)?;
    Ok(Entered {
        known: Known {
            address: address.clone(),
            account,
            device,
            wrap,
        },
        opened: root,
        token,
        ways,
    })
}

/// The list of devices that names a recovered account's new password.
fn named(
    keys: &AccountKeys,
    shown: Option<&Octets>,
    ways: &Ways,
) -> Result<Option<Octets>, Failure> {
    let shown = shown.map(|list| list.0.as_slice());
    let failed = |error: &dyn Display| Failure::Refused(format!("It was not done: {error}."));
    let list = open_epochs(keys, shown, ways).map_err(|error| failed(&error))?;
    let next = list.and_then(|list| list.list().with_ways(ways));
    let next = next.map(|next| next.sign(keys, &mut OsRng)).transpose();
    let next = next.map_err(|error| failed(&error))?;
    Ok(next.map(|list| list.octets().to_vec().into()))
}

struct ProvedPhrase {
    account: AccountId,
    opened: Opened,
    change: Octets,
    signed_up: SignedUp,
    devices: Option<Octets>,
}

async fn prove_phrase(
    address: &Address,
    phrase: &RecoveryPhrase,
    password: &Secret,
) -> Result<ProvedPhrase, Failure> {
    let (client, request) = ClientSignUp::start(&password.0, &mut OsRng).map_err(sign_up)?;
    let start = RecoveryStart {
        address: address.clone(),
    };
    let started = provider::start_recovery(&start).await.map_err(refused)?;
    let prove = RecoveryProve {
        session: started.session,
        signature: phrase.prove(address, &started.challenge.0).into(),
        request: request.into(),
    };
    let proved = provider::prove_recovery(&prove).await;
    let proved = proved.map_err(|error| match error {
        ProviderError::Unauthorized => wrong_phrase(),
        error => refused(error),
    })?;
    let account = proved.account_id;
    let wrap = RootKeyWrap::from_octets(&proved.root_key_wrap.0).map_err(|_| broken())?;
    let unwrapped = phrase.unwrap_key(account, &wrap).map_err(|_| broken())?;
    let signed_up = client
        .finish(address, &proved.response.0, &mut OsRng)
        .map_err(sign_up)?;
    Ok(ProvedPhrase {
        account,
        opened: opened(&unwrapped),
        change: proved.change,
        signed_up,
        devices: proved.devices,
    })
}

/// A log-in whose second half goes with another call. The provider tells a wrong password and an
/// ended token apart, so this asks for the token first.
pub(super) async fn prove(
    known: &Known,
    token: &Token,
    password: &Secret,
) -> Result<PasswordProof, Failure> {
    provider::account(token).await.map_err(refused)?;
    let (state, request) = ClientLogIn::start(&password.0, &mut OsRng).map_err(opaque)?;
    let start = LogInStart {
        address: known.address.clone(),
        request: request.into(),
    };
    let started = provider::log_in_start(&start).await.map_err(refused)?;
    let logged_in = state
        .finish(&known.address, &started.response.0, &mut OsRng)
        .map_err(opaque)?;
    Ok(PasswordProof {
        session: started.session,
        finalization: logged_in.finalization.into(),
    })
}

fn finish(
    change: Octets,
    signed_up: SignedUp,
    device: ReplicaId,
    account: AccountId,
    root: &Opened,
    others: OtherDevices,
) -> PasswordFinish {
    PasswordFinish {
        change,
        record: signed_up.record.into(),
        root_key_wrap: wrap(&signed_up.export_key, account, root).into(),
        device: Device {
            id: device,
            name: DEVICE_NAME.to_owned(),
        },
        others,
        devices: None,
    }
}

fn wrap(export_key: &ExportKey, account: AccountId, root: &Opened) -> Vec<u8> {
    let material = export_key.as_bytes();
    let kind = WrapKind::Password;
    let key = root.root.octets();
    let wrap = wrap_root_key(material, account, root.epoch, kind, key, &mut OsRng);
    wrap.as_bytes().to_vec()
}

/// The root key of the first epoch, which password and phrase wrap.
fn first_root(session: &Session) -> Result<Opened, Failure> {
    let keys = session.account.keys();
    let root = keys.roots().into_iter().next().ok_or_else(broken)?;
    Ok(Opened {
        root,
        epoch: keys.first_epoch(),
    })
}

async fn keep_password(known: &Known, password: &Secret, root: &Opened) -> Result<(), Failure> {
    let known = Known {
        wrap: seal(password, known.account, root)?,
        ..known.clone()
    };
    let store = session::device_store().await?;
    device::remember(&store, &known).await.map_err(storage)
}

fn seal(password: &Secret, account: AccountId, root: &Opened) -> Result<LocalWrap, Failure> {
    let key = root.root.octets();
    LocalWrap::seal(&password.0, account, root.epoch, key, &mut OsRng).map_err(|_| broken())
}

fn opened(unwrapped: &Unwrapped) -> Opened {
    Opened {
        root: RootKey::from_octets(*unwrapped.root_key),
        epoch: unwrapped.epoch,
    }
}

fn read(phrase: &Secret) -> Result<RecoveryPhrase, Failure> {
    RecoveryPhrase::parse(&phrase.0).map_err(|error| {
        Failure::Refused(match error {
            PhraseError::Length(words) => {
                format!("A recovery phrase has 24 words; these are {words}.")
            }
            PhraseError::UnknownWord(at) => {
                format!("Word {at} is not one of the words that phrases are made of.")
            }
            PhraseError::Checksum => {
                "One of the words is another, or two have changed places.".to_owned()
            }
        })
    })
}

fn token(session: &Session) -> Result<Token, Failure> {
    session.token().ok_or_else(logged_out)
}

fn logged_out() -> Failure {
    Failure::Refused(
        "The provider has logged this device out. Lock this tab, log in, and try again.".to_owned(),
    )
}

fn wrong_phrase() -> Failure {
    Failure::Refused("The address or the recovery phrase is wrong.".to_owned())
}

fn broken() -> Failure {
    Failure::Refused("The account’s key does not open.".to_owned())
}

fn nonsense() -> Failure {
    Failure::Refused(ProviderError::Nonsense.to_string())
}

fn sign_up(error: SignUpError) -> Failure {
    Failure::Refused(match error {
        SignUpError::Password => "The new password is empty or too long.".to_owned(),
        SignUpError::Malformed => ProviderError::Nonsense.to_string(),
    })
}

pub(super) fn refused(error: ProviderError) -> Failure {
    match error {
        ProviderError::Unreachable => Failure::Offline,
        ProviderError::Unauthorized => logged_out(),
        ProviderError::Refused { status: 429, .. } => Failure::Refused(
            "Too many attempts for now. Please wait a little and try again.".to_owned(),
        ),
        ProviderError::Refused { message, .. } => {
            Failure::Refused(format!("The provider refuses: {message}."))
        }
        error => Failure::Refused(format!("It was not done: {error}.")),
    }
}
