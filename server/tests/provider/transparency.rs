//! Key transparency against the real provider with a misbehaving layer in front: real devices, each
//! behind a relay that answers questions to the key directory as the test says.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use letterlock_core::id::{Address, MailboxName};
use letterlock_core::keys::transparency::answer::{
    ANSWER_VERSION, ChangesAnswer, EntryAnswer, HeadAnswer, LookupAnswer,
};
use letterlock_core::keys::transparency::memory::MemoryDirectory;
use letterlock_core::keys::transparency::{Alarm, Finding, Witness};
use letterlock_core::sync::wire;
use letterlock_server::bridge::accounts::BridgeAccount;
use letterlock_server::bridge::enrolment::Enrolment;
use letterlock_server::bridge::provider_client::ProviderClient;
use letterlock_server::bridge::{outgoing, sync_loop};
use letterlock_server::clock;
use letterlock_server::shutdown::{GRACE, Shutdown};
use reqwest::StatusCode;
use zeroize::Zeroizing;

use super::backend;
use super::world::{NOW, World, address};

/// What is waited for at most.
const PATIENCE: Duration = Duration::from_mins(1);

/// A relay before the provider.
struct Layer {
    http: reqwest::Client,
    url: String,
    /// Where everything goes, and where questions to the directory go.
    targets: Mutex<(String, String)>,
    /// Answers them itself instead.
    lies: Mutex<Option<Lie>>,
    shutdown: Shutdown,
}

type Lie = Arc<dyn Fn(&str, &[(String, u64)]) -> Vec<u8> + Send + Sync>;

impl Layer {
    async fn start(target: &str) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let layer = Arc::new(Self {
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            url: format!("http://{}", listener.local_addr().unwrap()),
            targets: Mutex::new((target.to_owned(), target.to_owned())),
            lies: Mutex::default(),
            shutdown: Shutdown::new(),
        });
        let app = axum::Router::new()
            .fallback(relay)
            .with_state(Arc::clone(&layer))
            .layer(axum::extract::DefaultBodyLimit::disable());
        let token = layer.shutdown.token.clone();
        layer.shutdown.spawn(async move {
            let end = async move { token.cancelled().await };
            let served = axum::serve(listener, app).with_graceful_shutdown(end);
            served.await.unwrap();
        });
        layer
    }

    fn to(&self, all: &str, directory: &str) {
        *self.targets.lock().unwrap() = (all.to_owned(), directory.to_owned());
    }

    /// A directory that the test has in its hands answers from now on.
    fn lie(&self, directory: &Arc<Mutex<MemoryDirectory>>) {
        let directory = Arc::clone(directory);
        *self.lies.lock().unwrap() = Some(Arc::new(move |path, query| {
            answer(&mut directory.lock().unwrap(), path, query)
        }));
    }
}

async fn relay(State(layer): State<Arc<Layer>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if path == "/api/v1/news" {
        // The answers that are lied in are those to questions.
        return StatusCode::NOT_FOUND.into_response();
    }
    let (all, directory) = layer.targets.lock().unwrap().clone();
    let asked = path.strip_prefix("/api/v1/directory/");
    if let Some(asked) = asked
        && let Some(lie) = layer.lies.lock().unwrap().clone()
    {
        let query = parts.uri.query().unwrap_or_default().split('&');
        let query: Vec<(String, u64)> = query
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, number)| (name.to_owned(), number.parse().unwrap()))
            .collect();
        return lie(asked, &query).into_response();
    }
    let target = if asked.is_some() { directory } else { all };
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let uri = parts.uri.path_and_query().unwrap();
    let mut forwarded = layer.http.request(parts.method, format!("{target}{uri}"));
    for name in ["authorization", "content-type"] {
        if let Some(value) = parts.headers.get(name) {
            forwarded = forwarded.header(name, value);
        }
    }
    match forwarded.body(body).send().await {
        Ok(answer) => {
            let status = answer.status();
            (status, answer.bytes().await.unwrap_or_default()).into_response()
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn answer(directory: &mut MemoryDirectory, path: &str, query: &[(String, u64)]) -> Vec<u8> {
    let number = |wanted: &str| {
        let found = query.iter().find(|(name, _)| name == wanted);
        found.map_or(0, |(_, number)| *number)
    };
    let seen = number("seen");
    match path.split_once('/') {
        Some((_, who)) => {
            let who = Address::new(&who.replace("%40", "@")).unwrap();
            wire::encode::<LookupAnswer>(&directory.lookup(&who, seen))
        }
        None if path == "head" => wire::encode::<HeadAnswer>(&directory.head(seen, number("also"))),
        None if path == "changes" => {
            wire::encode::<ChangesAnswer>(&directory.changes(number("from"), seen))
        }
        None => wire::encode(&EntryAnswer {
            version: ANSWER_VERSION,
            certificates: directory.entry_at(number("position")),
        }),
    }
}

/// A device with its loops.
struct Running {
    device: Arc<BridgeAccount>,
    shutdown: Shutdown,
}

async fn enrol(dir: &Path, layer: &Layer, local: &str, device: &str) -> Arc<BridgeAccount> {
    let enrolment = Enrolment {
        address: address(local),
        password: Zeroizing::new("correct horse".to_owned()),
        folder: dir.join(format!("{local}-{device}")),
        provider: ProviderClient::new(&layer.url).unwrap(),
        device_name: device.to_owned(),
        phrase: None,
        invite: None,
    };
    Arc::new(enrolment.ensure(NOW).await.unwrap())
}

fn run(device: &Arc<BridgeAccount>) -> Running {
    let shutdown = Shutdown::new();
    sync_loop::start(device, &shutdown);
    outgoing::start(device, &shutdown);
    Running {
        device: Arc::clone(device),
        shutdown,
    }
}

impl Running {
    async fn alarm(&self) -> Alarm {
        let mut alarm = self.device.directory_alarm();
        let raised = tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_some));
        raised.await.expect("an alarm").unwrap().clone().unwrap()
    }

    async fn no_alarm(&self) {
        let mut alarm = self.device.directory_alarm();
        let over = tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_none));
        over.await.expect("no alarm").unwrap();
    }

    /// Waits until so many messages are in INBOX; their texts.
    async fn inbox(&self, count: usize) -> Vec<String> {
        let account = &self.device.account;
        wait(|| async {
            let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
            account.placements(inbox.id).len() >= count
        })
        .await;
        let inbox = account.mailbox(&MailboxName::inbox()).unwrap();
        let mut texts = Vec::new();
        for placement in account.placements(inbox.id) {
            let message = account.message(placement.message).await.unwrap().unwrap();
            let octets = account.raw(&message).await.unwrap();
            texts.push(String::from_utf8_lossy(&octets).into_owned());
        }
        texts
    }

    /// Waits until the device has followed so many changes.
    async fn followed(&self, count: u64) {
        let account = &self.device.account;
        wait(|| async {
            let state = account.directory_state().await.unwrap();
            state.follower.is_some_and(|seen| seen.followed() >= count)
        })
        .await;
    }

    async fn stop(self) {
        assert!(self.shutdown.finish(GRACE).await, "a loop does not end");
    }
}

async fn wait<F: Future<Output = bool>>(done: impl Fn() -> F) {
    let poll = async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect("in time");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Two providers of one past that go on apart: a log of its own for each.
async fn split(world: World, dir: &Path) -> (World, World) {
    world.stop().await;
    copy(&dir.join("provider"), &dir.join("other"));
    backend::copy(&dir.join("provider"), &dir.join("other"));
    let shown_to_one = World::start(&dir.join("provider")).await;
    let shown_to_other = World::start(&dir.join("other")).await;
    shown_to_one.sign_up("dave").await;
    shown_to_other.sign_up("mallory").await;
    (shown_to_one, shown_to_other)
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_14_another_device_that_is_shown_another_head_finds_out_at_its_next_sync() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let layer = Layer::start(&world.url).await;
    let first = enrol(dir.path(), &layer, "alice", "first").await;
    let second = enrol(dir.path(), &layer, "alice", "second").await;
    let (one, other) = split(world, dir.path()).await;
    layer.to(&one.url, &one.url);
    let first = run(&first);
    // Its head has reached the provider, sealed.
    wait(|| async {
        let account = &first.device.account;
        let told = !account.directory_document().await.unwrap().heads.is_empty();
        told && !account.has_pending().await.unwrap()
    })
    .await;
    assert!(first.device.directory_alarm().borrow().is_none());
    first.stop().await;
    layer.to(&one.url, &other.url);
    let second = run(&second);
    let alarm = second.alarm().await;
    let size = 2;
    let witness = Witness::Device;
    assert_eq!(alarm.finding, Finding::SplitView { witness, size });
    let told = second.inbox(1).await;
    assert!(told[0].contains("another of your devices"), "{told:?}");
    assert!(told[0].contains("Compare fingerprints"), "{told:?}");
    second.stop().await;
    one.stop().await;
    other.stop().await;
    assert!(layer.shutdown.finish(GRACE).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_14_a_correspondent_who_is_shown_another_head_is_heard_of_with_their_next_letter() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let (to_alice, to_bob) = (
        Layer::start(&world.url).await,
        Layer::start(&world.url).await,
    );
    let alice = enrol(dir.path(), &to_alice, "alice", "bridge").await;
    let bob = enrol(dir.path(), &to_bob, "bob", "bridge").await;
    let (one, other) = split(world, dir.path()).await;
    to_bob.to(&one.url, &one.url);
    to_alice.to(&one.url, &other.url);
    let (alice, bob) = (run(&alice), run(&bob));
    for running in [&alice, &bob] {
        running.followed(3).await;
        running.no_alarm().await;
    }
    let letter = b"To: alice@letterlock.example\r\nFrom: bob@letterlock.example\r\n\
        Subject: a plan\r\n\r\nMeet me.\r\n";
    let account = &bob.device.account;
    let to = vec![address("alice")];
    account
        .submit(&address("bob"), to, letter, clock::now())
        .await
        .unwrap();
    bob.device.submitted.notify_one();
    let alarm = alice.alarm().await;
    let witness = Witness::Correspondent(address("bob"));
    assert_eq!(alarm.finding, Finding::SplitView { witness, size: 3 });
    // The letter came all the same, opened, and nothing of the field is shown.
    let inbox = alice.inbox(2).await;
    assert!(
        inbox.iter().any(|text| text.contains("Meet me.")),
        "{inbox:?}"
    );
    assert!(
        inbox
            .iter()
            .any(|text| text.contains("bob@letterlock.example") && text.contains("Warning"))
    );
    assert!(
        !inbox
            .iter()
            .any(|text| text.contains("Letterlock-Directory-Head"))
    );
    // While it lasts, a key that is not known yet is not taken from there, and the letter waits.
    let account = &alice.device.account;
    let to = vec![address("dave")];
    account
        .submit(&address("alice"), to, letter, clock::now())
        .await
        .unwrap();
    alice.device.submitted.notify_one();
    wait(|| async {
        let waiting = account.outbox().await.unwrap();
        waiting.first().is_some_and(|mail| mail.problem.is_some())
    })
    .await;
    for running in [alice, bob] {
        running.stop().await;
    }
    one.stop().await;
    other.stop().await;
    assert!(to_alice.shutdown.finish(GRACE).await && to_bob.shutdown.finish(GRACE).await);
}

/// A directory in the test's hands that has what the provider has.
async fn copied(world: &World, people: &[&str]) -> MemoryDirectory {
    let mut directory = MemoryDirectory::new("letterlock.example", 7);
    for local in people {
        let url = format!("{}/api/v1/keys/{}", world.url, address(local));
        let octets = world.http.get(url).send().await.unwrap().bytes().await;
        directory.publish(&address(local), &[&octets.unwrap()]);
    }
    directory
}

/// What a device of Alice's finds after the directory was changed like this.
async fn finds(change: impl FnOnce(&mut MemoryDirectory), other: &[u8]) -> Finding {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(&dir.path().join("provider")).await;
    let layer = Layer::start(&world.url).await;
    let alice = enrol(dir.path(), &layer, "alice", "bridge").await;
    let mut honest = copied(&world, &["alice"]).await;
    honest.publish(&address("carol"), &[other]);
    let directory = Arc::new(Mutex::new(honest));
    layer.lie(&directory);
    let alice = run(&alice);
    alice.followed(2).await;
    alice.no_alarm().await;
    change(&mut directory.lock().unwrap());
    // News, so that the device syncs at once.
    world
        .deliver(&address("alice"), b"Subject: x\r\n\r\nx\r\n")
        .await;
    let alarm = alice.alarm().await;
    let inbox = alice.inbox(2).await;
    assert!(inbox.iter().any(|text| text.contains("Subject: x")));
    assert!(inbox.iter().any(|text| text.contains("Warning")));
    alice.stop().await;
    world.stop().await;
    assert!(layer.shutdown.finish(GRACE).await);
    alarm.finding
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_14_an_own_entry_that_no_device_made_is_found_even_when_it_is_gone_again() {
    let mut real = None;
    let change = |directory: &mut MemoryDirectory| {
        real = directory.entry_at(0).first().map(|octets| octets.to_vec());
        directory.publish(&address("alice"), &[b"the provider's own"]);
        directory.publish(&address("alice"), &[&real.clone().unwrap()]);
    };
    let found = finds(change, b"carol's").await;
    let version = Some(2);
    let address = address("alice");
    assert_eq!(found, Finding::OwnEntry { address, version });
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_14_an_own_entry_that_was_taken_out_is_found() {
    let change = |directory: &mut MemoryDirectory| directory.publish(&address("alice"), &[]);
    let found = finds(change, b"carol's").await;
    let version = Some(2);
    let address = address("alice");
    assert_eq!(found, Finding::OwnEntry { address, version });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_set_back_is_found() {
    let change = |directory: &mut MemoryDirectory| {
        let certificate = directory.entry_at(0).remove(0);
        *directory = MemoryDirectory::new("letterlock.example", 7);
        directory.publish(&address("alice"), &[&certificate]);
    };
    let found = finds(change, b"carol's").await;
    assert_eq!(found, Finding::RolledBack { seen: 2, shown: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_that_was_rewritten_and_a_key_that_was_changed_are_found() {
    let change = |directory: &mut MemoryDirectory| {
        let certificate = directory.entry_at(0).remove(0);
        *directory = MemoryDirectory::new("letterlock.example", 7);
        directory.publish(&address("carol"), &[b"another"]);
        directory.publish(&address("alice"), &[&certificate]);
    };
    let found = finds(change, b"carol's").await;
    assert_eq!(found, Finding::NotExtended { seen: 2 });
    let change = |directory: &mut MemoryDirectory| {
        *directory = MemoryDirectory::new("letterlock.example", 8);
        for n in 0..3 {
            directory.publish(&address("alice"), &[&[n]]);
        }
    };
    assert_eq!(finds(change, b"carol's").await, Finding::OtherDirectory);
}

#[tokio::test]
async fn the_api_proves_what_the_provider_has_and_limits_its_answers() {
    use letterlock_core::keys::transparency::{Follower, answer};
    let dir = tempfile::tempdir().unwrap();
    let world = World::start(dir.path()).await;
    let alice = world.sign_up("alice").await;
    let get = async |path: &str| {
        let url = format!("{}/api/v1/directory/{path}", world.url);
        let response = world.http.get(url).send().await.unwrap();
        (response.status(), response.bytes().await.unwrap())
    };
    let (_, octets) = get("lookup/Alice+x@letterlock.example").await;
    let first = answer::decode(&octets).unwrap();
    let (mut device, entry) = Follower::begin(&alice.address, &first).unwrap();
    assert_eq!(entry.certificates, [alice.secret.certificate().to_bytes()]);
    world.sign_up("bob").await;
    let (_, octets) = get("changes?from=1&seen=1").await;
    let own = device.label(&alice.address);
    device
        .follow(&answer::decode(&octets).unwrap(), &own)
        .unwrap();
    assert_eq!(device.followed(), 2);
    let (_, octets) = get("lookup/nobody@letterlock.example?seen=2").await;
    let nobody = device.lookup(&address("nobody"), &answer::decode(&octets).unwrap());
    assert_eq!(nobody.unwrap().value, None);
    for (path, expected) in [
        ("head?seen=18446744073709551615&also=9", StatusCode::OK),
        ("changes?from=18446744073709551615", StatusCode::OK),
        ("entry?position=0", StatusCode::OK),
        ("entry?position=2", StatusCode::NOT_FOUND),
        ("head?seen=-1", StatusCode::BAD_REQUEST),
        ("lookup/x", StatusCode::BAD_REQUEST),
    ] {
        let (status, octets) = get(path).await;
        assert_eq!(status, expected, "{path}");
        assert!(octets.len() < 10_000);
    }
    // The key outlives a restart, and the log goes on.
    world.stop().await;
    let world = World::start(dir.path()).await;
    world.sign_up("carol").await;
    let url = format!("{}/api/v1/directory/changes?from=2&seen=2", world.url);
    let octets = world.http.get(url).send().await.unwrap().bytes().await;
    device
        .follow(&answer::decode(&octets.unwrap()).unwrap(), &own)
        .unwrap();
    assert_eq!(device.seen(), 3);
    world.stop().await;
}
