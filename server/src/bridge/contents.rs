//! Contents of which this device does not know whether its push of them has arrived.

use letterlock_core::sync::filling::Filling;

use super::accounts::BridgeAccount;
use super::sync_loop::ExchangeError;
use crate::clock;

/// Asks for them before anything is pushed: a push without an answer is stated once.
pub(super) async fn know(account: &BridgeAccount) -> Result<(), ExchangeError> {
    let replica = &account.account;
    let Some(contents) = replica.unsure_contents().await? else {
        return Ok(());
    };
    let mut filling = Filling::of(contents);
    while let Some(request) = filling.next_request(replica).await? {
        let token = account.token();
        let response = account.provider.documents(&token, &request).await?;
        filling
            .handle_documents(replica, response, clock::now())
            .await?;
    }
    Ok(replica.contents_are_known(clock::now()).await?)
}
