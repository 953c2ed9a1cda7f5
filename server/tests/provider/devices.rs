//! A bridge's enrolment against the real provider.

use letterlock_core::sync::wire::DocumentsRequest;
use letterlock_server::bridge::enrolment::Enrolment;
use letterlock_server::bridge::provider_client::ProviderClient;
use zeroize::Zeroizing;

use super::world::{NOW, World, address};

#[tokio::test]
async fn a_device_whose_token_was_ended_logs_in_at_the_next_unlocking() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let enrolment = Enrolment {
        address: address("carol"),
        password: Zeroizing::new("correct horse".to_owned()),
        folder: dir.path().join("carol"),
        provider: ProviderClient::new(&world.url).unwrap(),
        device_name: "bridge".to_owned(),
        phrase: None,
        invite: None,
    };
    let account = enrolment.ensure(NOW).await.unwrap();
    let token = account.token().clone();
    drop(account);
    let again = enrolment.unlock(NOW).await.unwrap().unwrap();
    assert_eq!(
        again.token().as_str(),
        token.as_str(),
        "a valid token stays"
    );
    drop(again);
    let url = format!("{}/api/v1/sessions", world.url);
    let ended = world.http.delete(&url).bearer_auth(token.as_str()).send();
    assert_eq!(ended.await.unwrap().status(), 204);
    let account = enrolment.unlock(NOW).await.unwrap().unwrap();
    let nothing = DocumentsRequest { ids: Vec::new() };
    account
        .provider
        .documents(account.token(), &nothing)
        .await
        .unwrap();
    drop(account);
    drop(enrolment);
    world.stop().await;
}
