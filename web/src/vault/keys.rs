//! What people compare to know each other's keys, made for showing.

use letterlock_core::account::{CompareError, KeyError};
use letterlock_core::id::Address;
use letterlock_core::keys::Level;
use letterlock_core::keys::verification::{Identity, draw, read_fingerprint};

use super::session::{Session, now};
use crate::protocol::{Failure, KeyView, KeysView, TheirKey};

/// Our keys, and that of the correspondent with this address.
pub async fn view(session: &Session, with: Option<&str>) -> Result<KeysView, Failure> {
    let account = &session.account;
    let own = account
        .own_identities()
        .await
        .map_err(|error| failed(&error))?;
    let mut view = KeysView {
        own: own.iter().map(key).collect(),
        theirs: None,
    };
    if let Some(with) = with {
        let address = address(with)?;
        let compared = account.comparison(&address).await;
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
    Failure::Refused(format!("It was not done: {error}."))
}
