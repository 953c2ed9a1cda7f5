//! The calls by which two devices leave each other messages while one enrols the other.

use letterlock_core::auth::wire::{RendezvousAnswer, RendezvousPut, RendezvousShown, Token};
use letterlock_core::id::RendezvousId;
use reqwest::Method;

use super::{ProviderClient, ProviderError, call, json};

impl ProviderClient {
    /// What is there.
    pub async fn rendezvous(&self, id: RendezvousId) -> Result<RendezvousShown, ProviderError> {
        let request = self.request(Method::GET, &["rendezvous", &id.to_string()])?;
        json(&call(request).await?)
    }

    /// Leaves a message of the device that is in.
    pub async fn put_rendezvous(
        &self,
        token: &Token,
        id: RendezvousId,
        body: &RendezvousPut,
    ) -> Result<(), ProviderError> {
        let path = &["rendezvous", &*id.to_string()];
        let request = self.json_request(Method::PUT, path, body)?;
        call(request.bearer_auth(token.as_str())).await.map(drop)
    }

    /// Leaves the message of the device that comes.
    pub async fn answer_rendezvous(
        &self,
        id: RendezvousId,
        body: &RendezvousAnswer,
    ) -> Result<(), ProviderError> {
        let path = &["rendezvous", &*id.to_string()];
        call(self.json_request(Method::POST, path, body)?)
            .await
            .map(drop)
    }
}
