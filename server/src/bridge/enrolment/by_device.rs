//! What needs no password: an account that another device hands over, and a log-in by this device's
//! own key.

use letterlock_core::account::begin_enrolled;
use letterlock_core::auth::enrolment::Enrolled;
use letterlock_core::auth::wire::Token;
use letterlock_core::id::Timestamp;

use super::{BridgeAccount, EnrolError, Enrolment, Opened, ProviderError, devices, write_token};

impl Enrolment {
    /// Brings an account to this device that another one has handed over: this device's key logs
    /// in. The password of this enrolment opens the account here, and the provider is not asked
    /// about it.
    pub async fn enrol(
        &self,
        enrolled: &Enrolled,
        now: Timestamp,
    ) -> Result<BridgeAccount, EnrolError> {
        self.discard_unfinished()?;
        let key = (enrolled.account, enrolled.epoch, &enrolled.root);
        let keys = enrolled.keys();
        let store = self.open_store(&keys).await?;
        begin_enrolled(&store, enrolled.device.id, &enrolled.key).await?;
        let local = self.open_in(store, keys, now).await?;
        let token = devices::log_in_by_key(&self.provider, &local.account, now).await?;
        let token = token.ok_or(ProviderError::Unauthorized)?;
        let shown = self.provider.devices(&token).await?.list;
        let shown = shown.as_ref().map(|list| list.0.as_slice());
        Box::pin(local.account.enrolled(shown, enrolled, now)).await?;
        self.keep(local, key, token).await
    }

    /// The token that is kept, or the one of a log-in by this device's key if it has ended.
    pub(super) async fn renewed(
        &self,
        local: &Opened,
        known: Option<Token>,
        now: Timestamp,
    ) -> Result<Option<Token>, EnrolError> {
        let Some(token) = known else {
            return Ok(None);
        };
        if !self.is_unknown(&token).await {
            return Ok(Some(token));
        }
        match devices::log_in_by_key(&self.provider, &local.account, now).await {
            Ok(Some(token)) => {
                write_token(&local.store, &token).await?;
                Ok(Some(token))
            }
            // Then the password is asked for.
            Ok(None) | Err(_) => Ok(Some(token)),
        }
    }
}
