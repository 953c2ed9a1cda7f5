//! What a device says to the provider about its account: password, recovery phrase, end.
//!
//! ```text
//! log_in          OPAQUE -> token, root key; the list of devices -> the keys of later epochs
//! change_password proof of the old one -> OPRF for the new -> record, wrap (both replaced at once)
//! prove_phrase    challenge, signature -> root key, OPRF -> finish_recovery: record, wrap, token
//! set_phrase      proof of the password -> verifier, wrap
//! delete          proof of the password
//! ```
//!
//! Invariant: nothing is written on this device here; passwords, phrases and the root key stay in
//! memory. A call that fails has changed nothing, or all that it should.

use letterlock_core::account::DevicesError;
use letterlock_core::auth::wire::{
    AccountDelete, AccountDeleted, Device, LogInFinish, LogInStart, Octets, OtherDevices,
    PasswordFinish, PasswordProof, PasswordStart, Recovery, RecoveryProve, RecoverySet,
    RecoveryStart, Token,
};
use letterlock_core::auth::{
    ClientLogIn, ClientSignUp, ExportKey, LoggedIn, RecoveryPhrase, RootKeyWrap, SignedDeviceList,
    Ways, WrapKind, devices, unwrap_root_key, wrap_root_key,
};
use letterlock_core::id::{AccountId, Address};
use letterlock_core::seal::{AccountKeys, RootKey};
use rand::rngs::OsRng;

use super::enrolment::EnrolError;
use super::provider_client::{ProviderClient, ProviderError};

/// Whose account at which provider, and which device asks.
#[derive(Clone)]
pub struct Credentials {
    /// The address.
    pub address: Address,
    /// Its provider.
    pub provider: ProviderClient,
    /// The device.
    pub device: Device,
}

/// What a log-in brings.
pub struct Entered {
    /// The account.
    pub account: AccountId,
    /// Counts the changes of the root key.
    pub epoch: u32,
    /// The root key.
    pub root: RootKey,
    /// For calls to the provider.
    pub token: Token,
    /// What opens the keys of later epochs.
    pub ways: Ways,
}

/// A recovery phrase that the provider has found right; the new password waits for its record.
pub struct Recovering {
    /// The account.
    pub account: AccountId,
    /// Counts the changes of the root key.
    pub epoch: u32,
    /// The root key.
    pub root: RootKey,
    /// What opens the keys of later epochs: the phrase; and the password that is to hold.
    pub ways: Ways,
    devices: Option<Octets>,
    change: Octets,
    record: Octets,
    export_key: ExportKey,
}

impl Credentials {
    /// Proves the password and logs the device in.
    pub async fn log_in(&self, password: &str) -> Result<Entered, EnrolError> {
        let (session, logged_in) = self.begin(password).await?;
        let finish = LogInFinish {
            session,
            finalization: logged_in.finalization.into(),
            device: self.device.clone(),
        };
        let finished = self.provider.finish_log_in(&finish).await?;
        let wrap = RootKeyWrap::from_octets(&finished.root_key_wrap.0)?;
        let material = logged_in.export_key.as_bytes();
        let unwrapped = unwrap_root_key(material, finished.account_id, WrapKind::Password, &wrap)?;
        Ok(Entered {
            account: finished.account_id,
            epoch: unwrapped.epoch,
            root: RootKey::from_octets(*unwrapped.root_key),
            token: finished.token,
            ways: Ways::password(logged_in.export_key.sealing_secret()),
        })
    }

    /// The account's keys, of all epochs, and the list of devices that says of which.
    pub async fn keys(
        &self,
        entered: &Entered,
    ) -> Result<(AccountKeys, Option<SignedDeviceList>), EnrolError> {
        let keys = AccountKeys::derive(entered.account, entered.epoch, &entered.root);
        let shown = self.provider.devices(&entered.token).await?.list;
        let list = open_list(&keys, shown.as_ref(), &entered.ways)?;
        Ok((keys, list))
    }

    /// Replaces the password. The root key stays, wrapped anew.
    pub async fn change_password(
        &self,
        entered: &Entered,
        old: &str,
        new: &str,
        others: OtherDevices,
    ) -> Result<(), EnrolError> {
        // Before anything is asked: a new password that cannot be is told first.
        let (client, request) = ClientSignUp::start(new, &mut OsRng)?;
        let start = PasswordStart {
            proof: self.prove(old).await?,
            request: request.into(),
        };
        let started = self.provider.start_password(&entered.token, &start).await?;
        let signed_up = client.finish(&self.address, &started.response.0, &mut OsRng)?;
        let key = (entered.account, entered.epoch, &entered.root);
        let (keys, list) = self.keys(entered).await?;
        let ways = Ways::password(signed_up.export_key.sealing_secret());
        let finish = PasswordFinish {
            devices: naming(list.as_ref(), &ways, &keys)?,
            change: started.change,
            record: signed_up.record.into(),
            root_key_wrap: wrap(&signed_up.export_key, key),
            device: self.device.clone(),
            others,
        };
        self.provider.finish_password(&finish).await?;
        Ok(())
    }

    /// Proves the recovery phrase for a new password, which does not hold yet.
    pub async fn prove_phrase(
        &self,
        phrase: &RecoveryPhrase,
        new: &str,
    ) -> Result<Recovering, EnrolError> {
        let (client, request) = ClientSignUp::start(new, &mut OsRng)?;
        let start = RecoveryStart {
            address: self.address.clone(),
        };
        let started = self.provider.start_recovery(&start).await?;
        let prove = RecoveryProve {
            session: started.session,
            signature: phrase.prove(&self.address, &started.challenge.0).into(),
            request: request.into(),
        };
        let proved = self.provider.prove_recovery(&prove).await;
        let proved = proved.map_err(|error| match error {
            ProviderError::Refused { code, .. } if code == "wrong_phrase" => {
                EnrolError::WrongPhrase
            }
            other => other.into(),
        })?;
        let sealed = RootKeyWrap::from_octets(&proved.root_key_wrap.0)?;
        let unwrapped = phrase.unwrap_key(proved.account_id, &sealed)?;
        let signed_up = client.finish(&self.address, &proved.response.0, &mut OsRng)?;
        let mut ways = Ways::password(signed_up.export_key.sealing_secret());
        ways.phrase = Some(phrase.sealing_secret());
        Ok(Recovering {
            ways,
            devices: proved.devices,
            account: proved.account_id,
            epoch: unwrapped.epoch,
            root: RootKey::from_octets(*unwrapped.root_key),
            change: proved.change,
            record: signed_up.record.into(),
            export_key: signed_up.export_key,
        })
    }

    /// Sets the new password that the phrase was proved for, and logs the device in.
    pub async fn finish_recovery(
        &self,
        recovering: &Recovering,
        others: OtherDevices,
    ) -> Result<Token, EnrolError> {
        let key = (recovering.account, recovering.epoch, &recovering.root);
        let keys = AccountKeys::derive(key.0, key.1, key.2);
        let list = open_list(&keys, recovering.devices.as_ref(), &recovering.ways)?;
        let finish = PasswordFinish {
            devices: naming(list.as_ref(), &recovering.ways, &keys)?,
            change: recovering.change.clone(),
            record: recovering.record.clone(),
            root_key_wrap: wrap(&recovering.export_key, key),
            device: self.device.clone(),
            others,
        };
        let finished = self.provider.finish_password(&finish).await?;
        Ok(finished.token.ok_or(ProviderError::Malformed)?)
    }

    /// Makes `phrase` the account's recovery phrase.
    pub async fn set_phrase(
        &self,
        entered: &Entered,
        password: &str,
        phrase: &RecoveryPhrase,
    ) -> Result<(), EnrolError> {
        let (keys, list) = self.keys(entered).await?;
        let ways = Ways {
            phrase: Some(phrase.sealing_secret()),
            ..entered.ways.clone()
        };
        let set = RecoverySet {
            devices: naming(list.as_ref(), &ways, &keys)?,
            proof: self.prove(password).await?,
            recovery: recovery(phrase, entered.account, entered.epoch, &entered.root),
        };
        Ok(self.provider.set_recovery(&entered.token, &set).await?)
    }

    /// Ends the account.
    pub async fn delete(
        &self,
        entered: &Entered,
        password: &str,
    ) -> Result<AccountDeleted, EnrolError> {
        let delete = AccountDelete {
            proof: self.prove(password).await?,
        };
        let deleted = self.provider.delete_account(&entered.token, &delete);
        Ok(deleted.await?)
    }

    pub(super) async fn prove(&self, password: &str) -> Result<PasswordProof, EnrolError> {
        let (session, logged_in) = self.begin(password).await?;
        Ok(PasswordProof {
            session,
            finalization: logged_in.finalization.into(),
        })
    }

    async fn begin(&self, password: &str) -> Result<(Octets, LoggedIn), EnrolError> {
        let (client, request) = ClientLogIn::start(password, &mut OsRng)?;
        let start = LogInStart {
            address: self.address.clone(),
            request: request.into(),
        };
        let answer = self.provider.start_log_in(&start).await?;
        let logged_in = client.finish(&self.address, &answer.response.0, &mut OsRng)?;
        Ok((answer.session, logged_in))
    }
}

/// Reads the account's list of devices; the keys of its epochs are added to those that are known.
fn open_list(
    keys: &AccountKeys,
    shown: Option<&Octets>,
    ways: &Ways,
) -> Result<Option<SignedDeviceList>, EnrolError> {
    let shown = shown.map(|list| list.0.as_slice());
    Ok(devices::open_epochs(keys, shown, ways).map_err(DevicesError::from)?)
}

/// The list after this one that names these ways in, if it does not.
fn naming(
    list: Option<&SignedDeviceList>,
    ways: &Ways,
    keys: &AccountKeys,
) -> Result<Option<Octets>, EnrolError> {
    let next = list.and_then(|list| list.list().with_ways(ways));
    let signed = next.map(|next| next.sign(keys, &mut OsRng)).transpose();
    let signed = signed.map_err(DevicesError::from)?;
    Ok(signed.map(|list| list.octets().to_vec().into()))
}

/// What the provider keeps of a phrase.
pub(super) fn recovery(
    phrase: &RecoveryPhrase,
    account: AccountId,
    epoch: u32,
    root: &RootKey,
) -> Recovery {
    let wrap = phrase.wrap(account, epoch, root.octets(), &mut OsRng);
    Recovery {
        verifier: phrase.verifier().to_vec().into(),
        root_key_wrap: wrap.as_bytes().to_vec().into(),
    }
}

/// The root key under a password's export key.
pub(super) fn wrap(
    export_key: &ExportKey,
    (account, epoch, root): (AccountId, u32, &RootKey),
) -> Octets {
    let material = export_key.as_bytes();
    let kind = WrapKind::Password;
    let wrap = wrap_root_key(material, account, epoch, kind, root.octets(), &mut OsRng);
    wrap.as_bytes().to_vec().into()
}
