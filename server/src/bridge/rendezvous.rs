//! A device that is enrolled by another one, and one that enrols: what both say to the provider
//! (`letterlock_core::auth::enrolment` says what it means).
//!
//! ```text
//! newcomer: opened -> the user compares words -> handed_over -> Enrolment::enrol
//! sponsor:  greet  -> the user types words     -> admit, or refuse
//! ```

use std::time::Duration;

use letterlock_core::account::DevicesError;
use letterlock_core::auth::enrolment::{
    Agreed, Comparing, Confirmed, Enrolled, Newcomer, Opened, Sponsor,
};
use letterlock_core::auth::wire::{
    DevicesPut, Octets, RendezvousAnswer, RendezvousPut, RendezvousShown, SponsorStep, Token,
};
use letterlock_core::auth::{DeviceListError, EnrolmentCode, EnrolmentError};
use letterlock_core::id::{Address, RendezvousId};
use rand::rngs::OsRng;

use super::credentials::{Credentials, Entered};
use super::devices::MAX_CONFLICTS;
use super::enrolment::EnrolError;
use super::provider_client::devices::Put;
use super::provider_client::{ProviderClient, ProviderError};
use crate::clock;

/// How often the other device's message is asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long a user may take until the other device goes on.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long a newcomer that shows a code takes to answer, by itself.
const ANSWER_PATIENCE: Duration = Duration::from_mins(1);

/// Waits until another device has taken the code, and answers it.
pub async fn opened(provider: &ProviderClient, newcomer: Newcomer) -> Result<Opened, EnrolError> {
    let id = newcomer.code().rendezvous();
    let hello = wait(provider, id, PATIENCE, |shown| shown.hello).await?;
    let (opened, opening) = newcomer.handle_hello(&hello, clock::now(), &mut OsRng)?;
    let message = opening.into();
    provider
        .answer_rendezvous(id, &RendezvousAnswer { message })
        .await?;
    Ok(opened)
}

/// Waits for what the other device hands over.
pub async fn handed_over(
    provider: &ProviderClient,
    confirmed: Confirmed,
) -> Result<Enrolled, EnrolError> {
    let id = confirmed.code().rendezvous();
    let message = wait(provider, id, PATIENCE, |shown| shown.handover).await?;
    Ok(confirmed.handle_handover(&message, clock::now())?)
}

/// Greets the device that shows this code, and waits for its answer.
pub async fn greet(
    provider: &ProviderClient,
    token: &Token,
    code: EnrolmentCode,
    address: &Address,
) -> Result<Comparing, EnrolError> {
    let id = code.rendezvous();
    let (sponsor, hello) = Sponsor::start(code, address, clock::now(), &mut OsRng)?;
    leave(provider, token, id, (SponsorStep::Hello, hello)).await?;
    let opening = wait(provider, id, ANSWER_PATIENCE, |shown| shown.opening).await?;
    Ok(sponsor.handle_opening(&opening, clock::now())?)
}

/// Tells the other device that nothing comes.
pub async fn refuse(
    provider: &ProviderClient,
    token: &Token,
    comparing: &Comparing,
) -> Result<(), EnrolError> {
    let id = comparing.code().rendezvous();
    let message = comparing.refuse(&mut OsRng)?;
    leave(provider, token, id, (SponsorStep::Handover, message)).await
}

/// Puts the list of devices with the newcomer in it, and hands the account's keys over.
pub async fn admit(
    credentials: &Credentials,
    entered: &Entered,
    agreed: &Agreed,
) -> Result<(), EnrolError> {
    let (provider, token) = (&credentials.provider, &entered.token);
    for _ in 0..MAX_CONFLICTS {
        let (keys, list) = credentials.keys(entered).await?;
        let list = list.ok_or(DeviceListError::Missing);
        let mut list = list.map_err(DevicesError::from)?;
        let next = list.list().with(agreed.listed(clock::now()));
        if let Some(next) = next.map_err(DevicesError::from)? {
            list = next.sign(&keys, &mut OsRng).map_err(DevicesError::from)?;
            let put = DevicesPut {
                list: list.octets().to_vec().into(),
                proof: None,
            };
            if provider.put_devices(token, &put).await? != Put::Done {
                continue;
            }
        }
        let id = agreed.code().rendezvous();
        let message = agreed.hand_over(&keys, &list, &mut OsRng)?;
        return leave(provider, token, id, (SponsorStep::Handover, message)).await;
    }
    Err(ProviderError::Busy { wait: None }.into())
}

async fn leave(
    provider: &ProviderClient,
    token: &Token,
    id: RendezvousId,
    (step, message): (SponsorStep, Vec<u8>),
) -> Result<(), EnrolError> {
    let message = message.into();
    let put = RendezvousPut { step, message };
    Ok(provider.put_rendezvous(token, id, &put).await?)
}

/// Asks until the message is there. A provider that is away is asked again.
async fn wait(
    provider: &ProviderClient,
    id: RendezvousId,
    patience: Duration,
    pick: impl Fn(RendezvousShown) -> Option<Octets>,
) -> Result<Vec<u8>, EnrolError> {
    let asked = async {
        loop {
            match provider.rendezvous(id).await.map(&pick) {
                Ok(Some(message)) => return Ok(message.0),
                Err(error) if !error.is_temporary() => return Err(error.into()),
                Ok(None) | Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    };
    let expired = |_| Err(EnrolmentError::Expired.into());
    tokio::time::timeout(patience, asked)
        .await
        .unwrap_or_else(expired)
}
