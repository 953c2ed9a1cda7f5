//! A device comes to an account by another device of it, with the real provider between them.

use std::path::Path;
use std::sync::{Arc, Mutex};

use letterlock_core::auth::enrolment::{Comparing, Enrolled, Newcomer, Opened, Step};
use letterlock_core::auth::wire::{Device, Octets, RendezvousShown};
use letterlock_core::auth::{EnrolmentCode, EnrolmentError, RecoveryPhrase};
use letterlock_server::bridge::accounts::BridgeAccount;
use letterlock_server::bridge::credentials::{Credentials, Entered};
use letterlock_server::bridge::enrolment::{EnrolError, Enrolment};
use letterlock_server::bridge::provider_client::ProviderClient;
use letterlock_server::bridge::rendezvous;
use letterlock_server::clock;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::epochs::{append, enrolment, has, pull, push, remove};
use super::layer::Layer;
use super::world::{NOW, World};

const PASSWORD: &str = "correct horse";
const OF_THE_DEVICE: &str = "of this device alone";

/// A device that is in, as a command asks for it.
struct Sponsoring {
    credentials: Credentials,
    entered: Entered,
}

impl Sponsoring {
    async fn of(device: &BridgeAccount, url: &str) -> Self {
        let credentials = Credentials {
            address: device.account.address().clone(),
            provider: ProviderClient::new(url).unwrap(),
            device: Device {
                id: device.account.id(),
                name: "letterlock account".to_owned(),
            },
        };
        let entered = credentials.log_in(PASSWORD).await.unwrap();
        Self {
            credentials,
            entered,
        }
    }

    async fn greet(&self, code: &str) -> Result<Comparing, EnrolError> {
        let code = EnrolmentCode::parse(code).unwrap();
        let (provider, token) = (&self.credentials.provider, &self.entered.token);
        rendezvous::greet(provider, token, code, &self.credentials.address).await
    }

    async fn admit(&self, comparing: &mut Comparing, words: &str) -> Result<(), EnrolError> {
        let agreed = comparing.compare(words, clock::now())?;
        Box::pin(rendezvous::admit(&self.credentials, &self.entered, &agreed)).await
    }
}

/// Both sides up to the words.
async fn meet(
    sponsor: &Sponsoring,
    url: &str,
) -> (Result<Opened, EnrolError>, Result<Comparing, EnrolError>) {
    let newcomer = Newcomer::start("a new machine", clock::now(), &mut OsRng);
    let code = newcomer.code().text();
    let provider = ProviderClient::new(url).unwrap();
    tokio::join!(
        rendezvous::opened(&provider, newcomer),
        sponsor.greet(&code)
    )
}

fn of_the_device(dir: &Path, world: &World, name: &str) -> Enrolment {
    Enrolment {
        password: Zeroizing::new(OF_THE_DEVICE.to_owned()),
        ..enrolment(dir, world, name)
    }
}

async fn handed_over(url: &str, opened: Opened) -> Result<Enrolled, EnrolError> {
    let provider = ProviderClient::new(url).unwrap();
    rendezvous::handed_over(&provider, opened.confirm()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_comes_by_another_one_and_never_has_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let with_phrase = Enrolment {
        phrase: Some(RecoveryPhrase::generate(&mut OsRng)),
        ..enrolment(dir.path(), &world, "first")
    };
    let first = with_phrase.ensure(NOW).await.unwrap();
    let gone = enrolment(dir.path(), &world, "gone")
        .log_in(NOW)
        .await
        .unwrap();
    append(&first, "from before").await;
    push(&first).await;
    // The account is in its second key epoch, and the newcomer gets both.
    remove(&first, &gone).await;
    append(&first, "from after").await;
    push(&first).await;
    let sponsor = Sponsoring::of(&first, &world.url).await;
    let (opened, comparing) = meet(&sponsor, &world.url).await;
    let (opened, mut comparing) = (opened.unwrap(), comparing.unwrap());
    assert_eq!(comparing.device_name(), "a new machine");
    let admitted = sponsor.admit(&mut comparing, &opened.words()).await;
    admitted.unwrap();
    let enrolled = handed_over(&world.url, opened).await.unwrap();
    let here = of_the_device(dir.path(), &world, "second");
    let second = here.enrol(&enrolled, NOW).await.unwrap();
    pull(&second).await;
    assert!(has(&second, "from before").await && has(&second, "from after").await);
    // It writes like any other.
    append(&second, "from the second").await;
    push(&second).await;
    pull(&first).await;
    assert!(has(&first, "from the second").await);
    // A token that has ended is renewed by its key, and its own password opens it.
    let ended = second.token();
    second.provider.log_out(&ended).await.unwrap();
    drop(second);
    let second = here.unlock(NOW).await.unwrap().unwrap();
    assert_ne!(second.token().as_str(), ended.as_str());
    append(&second, "and again").await;
    push(&second).await;
    drop(second);
    // The account's password opens it too, from when it is typed there.
    let with_password = enrolment(dir.path(), &world, "second");
    let second = with_password.unlock(NOW).await.unwrap().unwrap();
    assert!(has(&second, "and again").await);
    drop((
        first,
        gone,
        second,
        sponsor,
        with_phrase,
        here,
        with_password,
    ));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_words_bring_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let first = enrolment(dir.path(), &world, "first")
        .ensure(NOW)
        .await
        .unwrap();
    let sponsor = Sponsoring::of(&first, &world.url).await;
    let (opened, comparing) = meet(&sponsor, &world.url).await;
    let mut comparing = comparing.unwrap();
    for _ in 0..3 {
        let refused = sponsor.admit(&mut comparing, "zoo zoo zoo").await;
        assert!(matches!(refused, Err(EnrolError::Enrolment(_))));
    }
    let (provider, token) = (&sponsor.credentials.provider, &sponsor.entered.token);
    rendezvous::refuse(provider, token, &comparing)
        .await
        .unwrap();
    let told = handed_over(&world.url, opened.unwrap()).await.err();
    let refused = EnrolmentError::Refused;
    assert!(matches!(told, Some(EnrolError::Enrolment(error)) if error == refused));
    let shown = first.provider.devices(&first.token()).await.unwrap().list;
    let listed = letterlock_core::auth::SignedDeviceList::parse(&shown.unwrap().0).unwrap();
    assert_eq!(listed.list().devices().len(), 1);
    drop((first, sponsor));
    world.stop().await;
}

/// What the provider answers instead of what one of the two has left.
fn rewritten(asked: &str, answer: Vec<u8>, change: impl Fn(&mut RendezvousShown)) -> Vec<u8> {
    if !asked.starts_with("GET /api/v1/rendezvous/") {
        return answer;
    }
    let mut shown: RendezvousShown = serde_json::from_slice(&answer).unwrap();
    change(&mut shown);
    serde_json::to_vec(&shown).unwrap()
}

/// From now on a message is another: one that was kept, or its own with a bit altered.
fn spoil(layer: &Layer, step: Step, kept: Option<RendezvousShown>) {
    let pick = move |shown: &RendezvousShown| match step {
        Step::Hello => shown.hello.clone(),
        Step::Opening => shown.opening.clone(),
        Step::Handover => shown.handover.clone(),
    };
    layer.lie(move |asked, answer| {
        rewritten(asked, answer, |shown| {
            let Some(Octets(mut altered)) = pick(shown) else {
                return;
            };
            altered[1000] ^= 1;
            let spoilt = kept.as_ref().map_or(Some(altered.into()), pick);
            match step {
                Step::Hello => shown.hello = spoilt,
                Step::Opening => shown.opening = spoilt,
                Step::Handover => shown.handover = spoilt,
            }
        })
    });
}

/// Why an enrolment ends on the side that is told this message.
async fn end_of(sponsor: &Sponsoring, url: &str, step: Step) -> Option<EnrolError> {
    let newcomer = Newcomer::start("a new machine", clock::now(), &mut OsRng);
    let code = newcomer.code().text();
    let provider = ProviderClient::new(url).unwrap();
    let comes = rendezvous::opened(&provider, newcomer);
    if step == Step::Hello {
        return tokio::select! {
            opened = comes => opened.err(),
            _ = sponsor.greet(&code) => panic!("nobody has answered"),
        };
    }
    let (opened, comparing) = tokio::join!(comes, sponsor.greet(&code));
    if step == Step::Opening {
        return comparing.err();
    }
    let (opened, mut comparing) = (opened.unwrap(), comparing.unwrap());
    let admitted = sponsor.admit(&mut comparing, &opened.words()).await;
    admitted.unwrap();
    handed_over(url, opened).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_a_provider_between_two_devices_brings_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let first = enrolment(dir.path(), &world, "first")
        .ensure(NOW)
        .await
        .unwrap();
    let layer = Layer::start(&world.url).await;
    let sponsor = Sponsoring::of(&first, &layer.url).await;
    // It keeps the messages of an enrolment that goes well.
    let kept = Arc::new(Mutex::new(RendezvousShown::default()));
    let keep = Arc::clone(&kept);
    layer.lie(move |asked, answer| {
        rewritten(asked, answer, |shown| {
            if shown.opening.is_some() {
                *keep.lock().unwrap() = shown.clone();
            }
        })
    });
    let (opened, comparing) = meet(&sponsor, &layer.url).await;
    let (opened, mut comparing) = (opened.unwrap(), comparing.unwrap());
    sponsor
        .admit(&mut comparing, &opened.words())
        .await
        .unwrap();
    handed_over(&layer.url, opened).await.unwrap();
    let kept = kept.lock().unwrap().clone();
    assert!(kept.hello.is_some() && kept.handover.is_some());
    for step in [Step::Hello, Step::Opening, Step::Handover] {
        for kept in [None, Some(kept.clone())] {
            spoil(&layer, step, kept);
            let error = end_of(&sponsor, &layer.url, step).await;
            let foreign = EnrolmentError::Foreign;
            assert!(
                matches!(error, Some(EnrolError::Enrolment(error)) if error == foreign),
                "{step:?}: {error:?}"
            );
        }
    }
    layer.tell_the_truth();
    drop((first, sponsor));
    layer.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_19_a_newcomer_is_shown_an_old_list() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let first = enrolment(dir.path(), &world, "first")
        .ensure(NOW)
        .await
        .unwrap();
    let old = super::epochs::shown(&first).await;
    let layer = Layer::start(&world.url).await;
    let sponsor = Sponsoring::of(&first, &world.url).await;
    let (opened, comparing) = meet(&sponsor, &world.url).await;
    let (opened, mut comparing) = (opened.unwrap(), comparing.unwrap());
    sponsor
        .admit(&mut comparing, &opened.words())
        .await
        .unwrap();
    let enrolled = handed_over(&layer.url, opened).await.unwrap();
    layer.lie(move |asked, answer| {
        if asked == "GET /api/v1/devices" {
            let list = Some(old.clone().into());
            let shown = letterlock_core::auth::wire::DevicesShown { list };
            return serde_json::to_vec(&shown).unwrap();
        }
        answer
    });
    let here = Enrolment {
        provider: ProviderClient::new(&layer.url).unwrap(),
        ..of_the_device(dir.path(), &world, "second")
    };
    let refused = here.enrol(&enrolled, NOW).await.err().unwrap();
    assert!(
        refused.to_string().contains("does not show the list"),
        "{refused}"
    );
    // Nothing is kept that would open, and the truth is taken.
    assert!(here.unlock(NOW).await.unwrap().is_none());
    layer.tell_the_truth();
    here.enrol(&enrolled, NOW).await.unwrap();
    drop((first, sponsor, here));
    layer.stop().await;
    world.stop().await;
}
