//! News are pushed: to bridges and to who listens as a browser does, through proxies that cut or
//! collect them, and to nobody whose token has ended.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::id::{Generation, Timestamp};
use letterlock_core::model::{Flag, FlagChange, FlagSet};
use letterlock_core::sync::news::{End, MAX_STREAMS, NEWS_OCTETS, Reader};
use letterlock_core::sync::wire::{Entry, News};
use letterlock_server::bridge::accounts::{BridgeAccount, SyncStatus};
use letterlock_server::bridge::enrolment::Enrolment;
use letterlock_server::bridge::provider_client::ProviderClient;
use letterlock_server::bridge::provider_client::news::{NewsError, NewsStream};
use letterlock_server::bridge::sync_loop;
use letterlock_server::shutdown::{GRACE, Shutdown};
use zeroize::Zeroizing;

use super::proxy::{Manner, Proxy};
use super::world::{NOW, User, World, address, assert_error, device_named, envelope};

const PATIENCE: Duration = Duration::from_secs(45);

/// A bridge's account whose loops run.
struct Running {
    device: Arc<BridgeAccount>,
    shutdown: Shutdown,
}

impl Running {
    async fn start(dir: &Path, url: &str, name: &str) -> Self {
        let enrolment = Enrolment {
            address: address("alice"),
            password: Zeroizing::new("correct horse".to_owned()),
            folder: dir.join(name),
            provider: ProviderClient::new(url).unwrap(),
            device_name: name.to_owned(),
            phrase: None,
            invite: None,
        };
        let device = Arc::new(enrolment.ensure(NOW).await.unwrap());
        let shutdown = Shutdown::new();
        sync_loop::start(&device, &shutdown);
        let mut status = device.status();
        let current = status.wait_for(|status| *status == SyncStatus::Current);
        let current = tokio::time::timeout(PATIENCE, current).await;
        assert!(current.is_ok_and(|status| status.is_ok()));
        Self { device, shutdown }
    }

    /// Marks the only letter or takes the mark off.
    async fn flag(&self, how: FlagChange, at: i64) {
        let account = &self.device.account;
        let inbox = account.inbox();
        let uids = [inbox.messages()[0].uid];
        let (flag, now) = (FlagSet::from_iter([Flag::Flagged]), NOW.as_secs() + at);
        let now = Timestamp::from_secs(now);
        let stored = inbox.store_flags(&uids, how, &flag, now);
        stored.await.unwrap();
    }

    fn is_flagged(&self) -> Option<bool> {
        let inbox = self.device.account.inbox();
        let letter = inbox.messages().first()?.uid;
        let placement = inbox.placement(letter)?;
        Some(placement.flags.contains(&Flag::Flagged))
    }

    async fn until_flagged(&self, flagged: bool) {
        let mut changes = self.device.account.subscribe();
        let seen = async {
            while self.is_flagged() != Some(flagged) {
                changes.changed().await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.expect("the flag is heard of");
    }

    async fn stop(self) {
        assert!(self.shutdown.finish(GRACE).await, "a loop does not end");
    }
}

/// Two bridges that have a letter, the second behind a proxy.
async fn pair(dir: &Path, world: &World, proxy: &Proxy) -> (Running, Running) {
    let first = Running::start(dir, &world.url, "first").await;
    let inbox = first.device.account.inbox().id();
    let letter = b"Subject: a letter\r\n\r\nHello.\r\n";
    let appended = first
        .device
        .account
        .append(inbox, letter, FlagSet::new(), NOW, NOW);
    appended.await.unwrap();
    let second = Running::start(dir, &proxy.url, "second").await;
    second.until_flagged(false).await;
    (first, second)
}

/// Waits until a device behind a proxy listens.
async fn listens(proxy: &Proxy, times: usize) {
    let listens = async {
        while proxy.asked("news") < times {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let listens = tokio::time::timeout(PATIENCE, listens).await;
    listens.expect("it listens");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_bridges_and_a_browser_hear_of_flags_without_asking() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let proxy = Proxy::start(&world.url, Manner::Passes).await;
    let (first, second) = pair(dir.path(), &world, &proxy).await;
    listens(&proxy, 1).await;
    // A browser: HTTP/1.1 and a stream that is read as it comes.
    let since = second.device.account.pulled();
    let url = format!("{}/api/v1/news", world.url);
    let request = world
        .http
        .get(url)
        .bearer_auth(second.device.token().as_str());
    let request = request.header("Last-Event-ID", since.0);
    let mut browser = request.send().await.unwrap();
    assert_eq!(browser.headers()["content-type"], "text/event-stream");
    let asked = proxy.asked("pull");
    let began = tokio::time::Instant::now();
    for round in 0..4 {
        let (how, flagged) = if round % 2 == 0 {
            (FlagChange::Add, true)
        } else {
            (FlagChange::Remove, false)
        };
        first.flag(how, round).await;
        second.until_flagged(flagged).await;
    }
    // It asks some seconds after news and not for each.
    let (took, asked) = (began.elapsed().as_secs(), proxy.asked("pull") - asked);
    assert!(
        asked as u64 <= 1 + took / 5,
        "{asked} questions in {took} s"
    );
    let mut reader = Reader::default();
    let mut heard = Vec::new();
    while heard.is_empty() {
        let chunk = tokio::time::timeout(PATIENCE, browser.chunk()).await;
        heard = reader.push(&chunk.unwrap().unwrap().unwrap()).unwrap();
    }
    assert_eq!(heard[0].since, since);
    assert!(matches!(
        heard[0].changes.entries[0],
        Entry::Document { .. }
    ));
    drop(browser);
    first.stop().await;
    second.stop().await;
    proxy.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let proxy = Proxy::start(&world.url, Manner::Passes).await;
    let (first, second) = pair(dir.path(), &world, &proxy).await;
    listens(&proxy, 1).await;
    // In the middle of an event.
    proxy.set(Manner::Halves);
    first.flag(FlagChange::Add, 1).await;
    second.until_flagged(true).await;
    assert_eq!(proxy.manner(), Manner::Passes, "half of it came");
    // Before it.
    listens(&proxy, 2).await;
    proxy.cut();
    first.flag(FlagChange::Remove, 2).await;
    second.until_flagged(false).await;
    listens(&proxy, 3).await;
    first.flag(FlagChange::Add, 3).await;
    second.until_flagged(true).await;
    assert_eq!(*second.device.status().borrow(), SyncStatus::Current);
    first.stop().await;
    second.stop().await;
    proxy.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_collects_a_device_asks() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let proxy = Proxy::start(&world.url, Manner::Collects).await;
    let (first, second) = pair(dir.path(), &world, &proxy).await;
    listens(&proxy, 1).await;
    for (at, how, flagged) in [(1, FlagChange::Add, true), (2, FlagChange::Remove, false)] {
        first.flag(how, at).await;
        second.until_flagged(flagged).await;
    }
    assert_eq!(proxy.asked("news"), 1, "it does not insist");
    assert_eq!(*second.device.status().borrow(), SyncStatus::Current);
    first.stop().await;
    second.stop().await;
    proxy.stop().await;
    world.stop().await;
}

async fn listen(world: &World, user: &User, since: u64) -> NewsStream {
    let client = ProviderClient::new(&world.url).unwrap();
    client.news(&user.token, Generation(since)).await.unwrap()
}

async fn next(stream: &mut NewsStream) -> Result<News, End> {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await;
    next.expect("something happens")
}

#[tokio::test]
async fn what_is_long_is_left_to_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let since = world.pull(&alice, 0, 0).await.until;
    let mut stream = listen(&world, &alice, since.0).await;
    let small = envelope(alice.account, 1, 1, b"small");
    let long = envelope(alice.account, 2, 1, &vec![b'x'; NEWS_OCTETS]);
    let pushed = world.push(&alice, &[small, long.clone()]).await;
    assert_eq!(pushed.status(), 200);
    let news = next(&mut stream).await.unwrap();
    assert_eq!((news.since, news.changes.entries.len()), (since, 1));
    assert!(news.changes.more);
    let rest = world.pull(&alice, news.changes.until.0, 0).await;
    assert!(matches!(&rest.entries[..], [Entry::Document { envelope }] if *envelope == long));
    // It goes on behind that.
    let pushed = world
        .push(&alice, &[envelope(alice.account, 3, 1, b"x")])
        .await;
    assert_eq!(pushed.status(), 200);
    let news = next(&mut stream).await.unwrap();
    assert_eq!((news.since, news.changes.more), (rest.until, false));
    let long = envelope(alice.account, 4, 1, &vec![b'x'; NEWS_OCTETS]);
    assert_eq!(world.push(&alice, &[long]).await.status(), 200);
    let before = news.changes.until;
    let news = next(&mut stream).await.unwrap();
    assert_eq!((news.since, news.changes.until), (before, before));
    assert!(news.changes.entries.is_empty() && news.changes.more);
    drop(stream);
    world.stop().await;
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_of_many_the_newest_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let log_in = world.log_in_as(
        &alice.address,
        super::world::PASSWORD,
        device_named(7, "phone"),
    );
    let phone = User {
        token: log_in.await.unwrap().token,
        secret: alice.secret.clone(),
        address: alice.address.clone(),
        account: alice.account,
    };
    let since = world.pull(&alice, 0, 0).await.until.0;
    let mut stays = listen(&world, &alice, since).await;
    let mut ends = listen(&world, &phone, since).await;
    let id = device_named(7, "").id;
    let url = format!("{}/api/v1/devices/{id}", world.url);
    let removed = world.http.delete(url).bearer_auth(alice.token.as_str());
    assert_eq!(removed.send().await.unwrap().status(), 204);
    assert_eq!(next(&mut ends).await, Err(End::Cut));
    let refused = ProviderClient::new(&world.url).unwrap();
    let refused = refused.news(&phone.token, Generation(0)).await.unwrap_err();
    assert!(matches!(refused, NewsError::Provider(error) if !error.is_temporary()));
    // Nonsense is refused.
    let url = format!("{}/api/v1/news", world.url);
    let nonsense = world.http.get(url).bearer_auth(alice.token.as_str());
    let nonsense = nonsense.header("Last-Event-ID", "x").send().await.unwrap();
    assert_error(nonsense, 400, "malformed").await;
    let mut more = Vec::new();
    for _ in 0..MAX_STREAMS {
        more.push(listen(&world, &alice, since).await);
    }
    assert_eq!(next(&mut stays).await, Err(End::Cut), "the oldest");
    let news = envelope(alice.account, 1, 1, b"news");
    assert_eq!(world.push(&alice, &[news]).await.status(), 200);
    for stream in &mut more {
        assert_eq!(next(stream).await.unwrap().since.0, since);
    }
    // A provider that ends says so.
    world.provider.close();
    assert_eq!(next(&mut more[0]).await, Err(End::Cut));
    drop(more);
    world.stop().await;
}
