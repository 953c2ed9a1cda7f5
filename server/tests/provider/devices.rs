//! A bridge's enrolment against the real provider.

use letterlock_core::auth::wire::{Device, OtherDevices};
use letterlock_core::sync::wire::DocumentsRequest;
use letterlock_server::bridge::credentials::Credentials;
use letterlock_server::bridge::enrolment::{EnrolError, Enrolment};
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
    let token = account.token();
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
        .documents(&account.token(), &nothing)
        .await
        .unwrap();
    drop(account);
    drop(enrolment);
    world.stop().await;
}

#[tokio::test]
async fn attack_38_a_device_killed_while_the_password_changes_opens_with_the_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let old = Enrolment {
        address: address("carol"),
        password: Zeroizing::new("correct horse".to_owned()),
        folder: dir.path().join("carol"),
        provider: ProviderClient::new(&world.url).unwrap(),
        device_name: "bridge".to_owned(),
        phrase: None,
        invite: None,
    };
    let device = Device {
        id: old.ensure(NOW).await.unwrap().account.id(),
        name: "bridge".to_owned(),
    };
    let credentials = Credentials {
        address: old.address.clone(),
        provider: old.provider.clone(),
        device,
    };
    let entered = credentials.log_in("correct horse").await.unwrap();
    let new = "a new one";
    let changed = credentials.change_password(&entered, "correct horse", new, OtherDevices::LogOut);
    changed.await.unwrap();
    // Killed here: `unlock.json` is still the old password's. The provider takes the new one.
    let with_new = Enrolment {
        password: Zeroizing::new(new.to_owned()),
        ..old.clone()
    };
    let account = with_new.unlock(NOW).await.unwrap().unwrap();
    let nothing = DocumentsRequest { ids: Vec::new() };
    let token = account.token();
    let known = account.provider.documents(&token, &nothing);
    known.await.unwrap();
    drop(account);
    // From then on it opens without the provider, and the old one opens nothing.
    let refused = old.unlock(NOW).await.err();
    assert!(matches!(refused, Some(EnrolError::WrongPassword)));
    drop((old, credentials, entered));
    world.stop().await;
    assert!(with_new.unlock(NOW).await.unwrap().is_some());
    let wrong = Enrolment {
        password: Zeroizing::new("neither".to_owned()),
        ..with_new.clone()
    };
    let refused = wrong.unlock(NOW).await.err();
    assert!(matches!(refused, Some(EnrolError::WrongPassword)));
}
