//! The calls about devices: the account's signed list of them, and log-ins by their own keys.

use letterlock_core::auth::wire::{
    ChallengeProve, ChallengeProved, ChallengeStart, ChallengeStarted, DevicesPut, DevicesShown,
    Token,
};
use letterlock_core::id::ReplicaId;
use reqwest::Method;

use super::{ProviderClient, ProviderError, call, json};

/// The code of a refusal: another device has put a list meanwhile.
const LIST_CHANGED: &str = "list_changed";

/// What came of a list that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is the account's.
    Done,
    /// Another device was first: build on its list.
    Changed,
}

impl ProviderClient {
    /// The account's list of devices, as the provider has it.
    pub async fn devices(&self, token: &Token) -> Result<DevicesShown, ProviderError> {
        let request = self.request(Method::GET, &["devices"])?;
        json(&call(request.bearer_auth(token.as_str())).await?)
    }

    /// Replaces it.
    pub async fn put_devices(
        &self,
        token: &Token,
        body: &DevicesPut,
    ) -> Result<Put, ProviderError> {
        let request = self.json_request(Method::PUT, &["devices"], body)?;
        match call(request.bearer_auth(token.as_str())).await {
            Ok(_) => Ok(Put::Done),
            Err(ProviderError::Refused { code, .. }) if code == LIST_CHANGED => Ok(Put::Changed),
            Err(error) => Err(error),
        }
    }

    /// Logs a device out.
    pub async fn remove_device(
        &self,
        token: &Token,
        device: ReplicaId,
    ) -> Result<(), ProviderError> {
        let request = self.request(Method::DELETE, &["devices", &device.to_string()])?;
        call(request.bearer_auth(token.as_str())).await.map(drop)
    }

    /// Asks for a challenge for a device's key.
    pub async fn start_challenge(
        &self,
        body: &ChallengeStart,
    ) -> Result<ChallengeStarted, ProviderError> {
        self.post_json(&["sessions", "challenge"], body).await
    }

    /// Proves a device's key.
    pub async fn prove_challenge(
        &self,
        body: &ChallengeProve,
    ) -> Result<ChallengeProved, ProviderError> {
        self.post_json(&["sessions", "prove"], body).await
    }
}
