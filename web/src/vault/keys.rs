//! The account's keys, and what people compare to know each other's, made for showing; and what is
//! done with them.
//!
//! Invariant: a secret key leaves locked by a passphrase, or not at all.

use letterlock_core::account::{CompareError, KeyError};
use letterlock_core::id::Address;
use letterlock_core::keys::own::{Overview, State, Use};
use letterlock_core::keys::verification::{Identity, draw, grouped, read_fingerprint};
use letterlock_core::keys::{Level, Role};
use letterlock_core::openpgp::secret_certificate::RevocationReason;

use super::serve::blob_url;
use super::session::{Session, now};
use crate::protocol::{
    Changed, Failure, KeyReason, KeyRow, KeyState, KeyView, KeysView, Secret, TheirKey,
};

/// Our keys, and that of the correspondent with this address.
pub async fn view(session: &Session, with: Option<&str>) -> Result<KeysView, Failure> {
    let account = &session.account;
    let own = account
        .own_identities(now())
        .await
        .map_err(|error| failed(&error))?;
    let keys = account.own_keys().await.map_err(|error| failed(&error))?;
    let all = keys.overview(account.address(), now());
    let mut view = KeysView {
        all: all.iter().map(row).collect(),
        own: own.iter().map(key).collect(),
        theirs: None,
    };
    if let Some(with) = with {
        let address = address(with)?;
        let compared = account.comparison(&address, now()).await;
        let comparison = compared
            .map_err(|error| failed(&error))?
            .ok_or_else(unknown)?;
        view.theirs = Some(TheirKey {
            key: key(&comparison.theirs),
            compared: comparison.level == Level::Fingerprint,
        });
    }
    Ok(view)
}

/// The user has compared this fingerprint with its owner.
pub async fn mark(session: &Session, whose: &str, fingerprint: &str) -> Result<(), Failure> {
    let address = address(whose)?;
    let fingerprint = read_fingerprint(fingerprint).ok_or(Failure::NotFound)?;
    let marked = session.account.mark_compared(&address, &fingerprint, now());
    match marked.await {
        Ok(()) => {
            session.wake.set();
            Ok(())
        }
        Err(CompareError::Unknown) => Err(unknown()),
        Err(CompareError::Differs) => Err(Failure::Refused(
            "Their key has changed since it was shown. Show their words again.".to_owned(),
        )),
        Err(CompareError::Key(error)) => Err(failed(&error)),
    }
}

/// Revokes a key of the account.
pub async fn replace(
    session: &Session,
    fingerprint: &str,
    reason: KeyReason,
    explanation: &str,
) -> Result<Changed, Failure> {
    let key = read_fingerprint(fingerprint).ok_or(Failure::NotFound)?;
    let reason = match reason {
        KeyReason::Superseded => RevocationReason::Superseded,
        KeyReason::Compromised => RevocationReason::Compromised,
        KeyReason::Retired => RevocationReason::Retired,
        KeyReason::Unspecified => RevocationReason::Unspecified,
    };
    let why = (reason, explanation.trim());
    let replaced = session.account.replace_key(key, why, now()).await;
    replaced.map_err(|error| failed(&error))?;
    session.wake.set();
    Ok(Changed::KeyReplaced)
}

/// A secret key, locked, as a file that the page saves.
pub async fn export(
    session: &Session,
    fingerprint: &str,
    passphrase: &Secret,
) -> Result<Changed, Failure> {
    let key = read_fingerprint(fingerprint).ok_or(Failure::NotFound)?;
    let armored = session.account.export_key(key, &passphrase.0).await;
    let armored = armored.map_err(|error| failed(&error))?;
    let url = blob_url(armored.as_bytes(), "application/pgp-keys");
    Ok(Changed::KeyExported {
        url: url.map_err(|_| Failure::NotFound)?,
        name: format!("{key}.asc"),
    })
}

/// Takes secret keys of elsewhere into the account.
pub async fn import(
    session: &Session,
    text: &Secret,
    passphrase: &Secret,
    take_into_use: bool,
) -> Result<Changed, Failure> {
    let wanted = if take_into_use {
        Use::InUse
    } else {
        Use::IfNewest
    };
    let account = &session.account;
    let imported = account.import_keys(text.0.as_bytes(), &passphrase.0, wanted, now());
    let imported = imported.await.map_err(|error| failed(&error))?;
    session.wake.set();
    Ok(Changed::KeysImported(imported.len()))
}

fn row(key: &Overview) -> KeyRow {
    KeyRow {
        fingerprint: grouped(&key.fingerprint),
        for_the_world: key.role == Role::World,
        state: match key.state {
            State::InUse => KeyState::InUse,
            State::Expired => KeyState::Expired,
            State::Retired => KeyState::Retired,
            State::Unusable(reason) => KeyState::Unusable(reason.to_string()),
        },
        can_be_revoked: key.state.can_be_revoked(),
        created_at_ms: key.created_at.as_millis(),
        expires_at_ms: key.expires_at.map(|end| end.as_millis()),
    }
}

fn key(identity: &Identity) -> KeyView {
    let code = draw(&identity.code());
    KeyView {
        address: identity.address.as_str().to_owned(),
        words: identity.words().join(" "),
        fingerprint: identity.grouped(),
        code_side: code.as_ref().map_or(0, |code| code.side),
        code_path: code.map(|code| code.path).unwrap_or_default(),
    }
}

fn address(text: &str) -> Result<Address, Failure> {
    Address::new(text.trim()).map_err(|_| Failure::Refused("This is not an address.".to_owned()))
}

fn unknown() -> Failure {
    Failure::Refused(
        "No key of theirs is known yet. Write to them once, or let them write to you.".to_owned(),
    )
}

fn failed(error: &KeyError) -> Failure {
    if matches!(error, KeyError::NotHere) {
        let text = "Your keys are still on their way to this device.";
        return Failure::Refused(text.to_owned());
    }
    Failure::Refused(format!("It was not done: {error}."))
}
