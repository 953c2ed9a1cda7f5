//! Devices and a provider with a bad network between them: what is sent is lost, comes late, twice
//! and in another order; devices stop and start. Both conversations of [`engine`] as the bridge and
//! the browser hold them, an exchange that takes too long begun again.
//!
//! A history that fails says its seed; `LETTERLOCK_SEEDS=SEED` plays it alone, `FROM..TO` several.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// How many histories each run of the tests plays.
const HISTORIES: u64 = 2000;
/// How long one is; the network's time has no unit.
const MOMENTS: u64 = 20;
/// How long the way of a request or an answer may be.
const SLOWEST: u64 = 6;
/// After so long a device begins an exchange again.
const TIMEOUT: u64 = 5;

/// What is on its way.
enum Packet {
    Pull(PullRequest),
    Pulled(PullResponse),
    Push(PushRequest),
    /// `None`: a document is not there that another follows.
    Pushed(Option<PushResponse>),
    OldKeys,
}

/// From or to which device, and in which of its exchanges.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Exchange {
    device: usize,
    number: u64,
}

struct Network {
    rng: ChaCha20Rng,
    moment: u64,
    sent: u64,
    /// By when they arrive.
    packets: BTreeMap<(u64, u64), (Exchange, Packet)>,
}

impl Network {
    /// Lost once in six, twice once in six, late always.
    fn send(&mut self, exchange: Exchange, packet: impl Fn() -> Packet) {
        let times = match self.rng.gen_range(0..6) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..times {
            let arrives = self.moment + self.rng.gen_range(0..SLOWEST);
            self.sent += 1;
            let packet = (exchange, packet());
            self.packets.insert((arrives, self.sent), packet);
        }
    }

    fn arrived(&mut self) -> Option<(Exchange, Packet)> {
        let first = self.packets.first_entry()?;
        (first.key().0 <= self.moment).then(|| first.remove())
    }
}

/// One device and what it waits for.
struct Host {
    replica: Replica<MemoryStore>,
    seed: u8,
    exchanges: u64,
    pull: Option<(u64, Generation, u64)>,
    push: Option<(u64, PendingPush, u64)>,
}

impl Host {
    async fn new(seed: u8) -> Self {
        Self {
            replica: device(seed).await.with_page_placements(3),
            seed,
            exchanges: 0,
            pull: None,
            push: None,
        }
    }

    /// Stops at once and starts again.
    async fn restarted(self, now: Timestamp) -> Self {
        let root = RootKey::from_octets([1; 32]);
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
        let is_lazy = self.replica.is_lazy();
        let opened = Replica::open(self.replica.store, keys, [self.seed; 32], now).await;
        let replica = opened.unwrap().with_page_placements(3);
        if is_lazy {
            replica.fetch_lazily();
        }
        Self {
            replica,
            pull: None,
            push: None,
            ..self
        }
    }

    /// Begins what is not under way, or has been for too long.
    async fn ask(&mut self, device: usize, network: &mut Network) {
        let moment = network.moment;
        if self.pull.is_none_or(|(_, _, until)| until < moment) {
            self.exchanges += 1;
            let request = engine::pull_request(&self.replica, extent(&self.replica), 0)
                .await
                .unwrap();
            self.pull = Some((self.exchanges, request.since, moment + TIMEOUT));
            let number = self.exchanges;
            network.send(Exchange { device, number }, || {
                Packet::Pull(request.clone())
            });
        }
        if self
            .push
            .as_ref()
            .is_none_or(|(_, _, until)| *until < moment)
        {
            self.push = None;
            let Some(push) = engine::next_push(&self.replica).await.unwrap() else {
                return;
            };
            self.exchanges += 1;
            let number = self.exchanges;
            network.send(Exchange { device, number }, || {
                Packet::Push(push.request.clone())
            });
            self.push = Some((number, push, moment + TIMEOUT));
        }
    }

    /// An answer to an exchange that is given up is not heard.
    async fn hear(&mut self, number: u64, packet: Packet, now: Timestamp) {
        match packet {
            Packet::Pulled(response) => {
                let Some((asked, since, _)) = self.pull.filter(|(asked, ..)| *asked == number)
                else {
                    return;
                };
                self.pull = None;
                let taken = engine::handle_pull(&self.replica, since, response, now).await;
                if let Err(error) = &taken
                    && error.is_later_epoch()
                {
                    return begin_epoch(&self.replica, now).await;
                }
                taken.unwrap_or_else(|error| panic!("pull {asked}: {error}"));
                take_all_in(&self.replica, now).await;
            }
            Packet::Pushed(response) => {
                let Some((_, push, _)) = self.push.take_if(|(asked, ..)| *asked == number) else {
                    return;
                };
                let handled = match response {
                    Some(answer) => engine::handle_push(&self.replica, &push, answer, now).await,
                    None => engine::handle_gap(&self.replica, &push, now).await,
                };
                if let Err(error) = &handled
                    && error.is_later_epoch()
                {
                    return begin_epoch(&self.replica, now).await;
                }
                handled.unwrap();
            }
            Packet::OldKeys => {
                let Some((_, push, _)) = self.push.take_if(|(asked, ..)| *asked == number) else {
                    return;
                };
                let again = engine::handle_old_keys(&self.replica, &push, now).await;
                if !again.unwrap() {
                    begin_epoch(&self.replica, now).await;
                    let again = engine::handle_old_keys(&self.replica, &push, now).await;
                    again.unwrap();
                }
            }
            Packet::Pull(_) | Packet::Push(_) => panic!("a device is no provider"),
        }
    }
}

/// The list of devices has brought the second key epoch.
async fn begin_epoch(replica: &Replica<MemoryStore>, now: Timestamp) {
    let root = RootKey::from_octets([2; 32]);
    replica.begin_epochs(vec![root], now).await.unwrap();
}

/// Those who were away until now hear of it at last; the provider goes on as before.
async fn all_hear(provider: &Provider, devices: &[Replica<MemoryStore>]) {
    provider.begin_epoch();
    for device in devices {
        begin_epoch(device, NOW).await;
    }
}

fn answer(provider: &Provider, network: &mut Network, exchange: Exchange, packet: &Packet) {
    match packet {
        Packet::Pull(request) => {
            let response = provider.pull(request);
            network.send(exchange, || Packet::Pulled(response.clone()));
        }
        Packet::Push(request) if provider.refuses_keys(request) => {
            network.send(exchange, || Packet::OldKeys);
        }
        Packet::Push(request) => {
            let response = provider.push_or_gap(request);
            network.send(exchange, || Packet::Pushed(response.clone()));
        }
        Packet::Pulled(_) | Packet::Pushed(_) | Packet::OldKeys => {
            panic!("the provider asks nobody")
        }
    }
}

/// What has arrived is answered and heard.
async fn deliver(provider: &Provider, network: &mut Network, hosts: &mut [Host], now: Timestamp) {
    while let Some((exchange, packet)) = network.arrived() {
        match packet {
            Packet::Pull(_) | Packet::Push(_) => answer(provider, network, exchange, &packet),
            answer => {
                let host = &mut hosts[exchange.device];
                host.hear(exchange.number, answer, now).await;
            }
        }
    }
}

/// What happens in a history, beside edits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Nothing,
    /// The provider goes back to a backup.
    Restore,
    /// A device is removed: one of the others begins a key epoch, and they hear of it.
    Epoch,
    /// The first device fetches contents when they are wanted, and lets them go; the provider goes
    /// back to a backup in every other history.
    Lazy,
}

/// One history: edits on all devices while the network does its worst, then quiet. How often the
/// devices began anew.
async fn play(seed: u64, event: Event) -> u32 {
    let provider = Provider::default();
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut network = Network {
        rng: ChaCha20Rng::seed_from_u64(!seed),
        moment: 0,
        sent: 0,
        packets: BTreeMap::new(),
    };
    let mut hosts = Vec::new();
    for device in 0..rng.gen_range(2..=4_u8) {
        hosts.push(Host::new(device + 1).await);
    }
    if event == Event::Lazy {
        hosts[0].replica.fetch_lazily();
    }
    let restores = event == Event::Restore || (event == Event::Lazy && seed % 2 == 1);
    let mut received = 0;
    let mut backup = Log::default();
    let mut given = 0;
    let (one, other) = (rng.gen_range(0..MOMENTS), rng.gen_range(0..MOMENTS));
    for moment in 0..MOMENTS {
        network.moment = moment;
        if moment == one.min(other) {
            backup = provider.log();
        }
        if event == Event::Epoch && moment == one {
            provider.begin_epoch();
            begin_epoch(&hosts[0].replica, NOW).await;
        }
        if restores && moment == one.max(other) {
            given = provider.log().generation;
            *provider.log.lock().unwrap() = backup.clone();
        }
        let now = at(rng.gen_range(0..50));
        let device = rng.gen_range(0..hosts.len());
        edit(&hosts[device].replica, &mut rng, moment, now).await;
        annotations::edit(&hosts[device].replica, &mut rng, now).await;
        if rng.gen_ratio(1, 6) {
            received += 1;
            provider.receive(received);
        }
        // What only a provider had that goes back to a backup is gone.
        if event == Event::Lazy && !restores && rng.gen_ratio(1, 4) {
            hosts[0].replica.let_go(0, now).await.unwrap();
        }
        if rng.gen_ratio(1, 20) {
            let stopped = hosts.remove(device);
            hosts.insert(device, stopped.restarted(now).await);
        }
        for (device, host) in hosts.iter_mut().enumerate() {
            lazily::make_sure(&host.replica, &provider).await;
            host.ask(device, &mut network).await;
        }
        deliver(&provider, &mut network, &mut hosts, now).await;
    }
    let devices: Vec<_> = hosts.into_iter().map(|host| host.replica).collect();
    // Mail under a number that was given before is heard if somebody finds the restore out.
    let is_heard = |at: Generation| at.0 > given || at.0 <= backup.generation;
    let mut log = provider.log();
    log.received.retain(|(at, _)| is_heard(*at));
    let provider = Provider::of(log);
    if event == Event::Epoch {
        all_hear(&provider, &devices).await;
    }
    assert_converge(&devices, &provider, seed).await;
    epoch(&devices).await
}

fn wanted() -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("LETTERLOCK_SEEDS") else {
        return 0..HISTORIES;
    };
    let (from, to) = text.split_once("..").unwrap_or((&text, ""));
    let from = from.parse().unwrap();
    from..to.parse().unwrap_or(from + 1)
}

/// Says which history was played when a thread ends by a panic.
struct Played(u64);

impl Drop for Played {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this history again: LETTERLOCK_SEEDS={}", self.0);
        }
    }
}

/// How many histories there were, and in how many the devices began anew once, and more often.
fn play_all(event: Event) -> (u64, u64, u64) {
    let seeds = wanted();
    let (once, oftener) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mine = seeds.clone().filter(move |seed| seed % threads == thread);
            let (once, oftener) = (&once, &oftener);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let runtime = runtime.unwrap();
                for seed in mine {
                    let _played = Played(seed);
                    match runtime.block_on(play(seed, event)) {
                        0 => 0,
                        1 => once.fetch_add(1, Ordering::Relaxed),
                        _ => oftener.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
    });
    let count = seeds.end - seeds.start;
    (count, once.into_inner(), oftener.into_inner())
}

#[test]
fn every_history_over_a_bad_network_ends_equal() {
    let (_, once, oftener) = play_all(Event::Nothing);
    assert_eq!((once, oftener), (0, 0), "what is honest is never warned of");
}

#[test]
fn every_history_with_a_new_key_epoch_ends_equal() {
    let (_, once, oftener) = play_all(Event::Epoch);
    assert_eq!((once, oftener), (0, 0), "what is honest is never warned of");
}

#[test]
fn every_history_with_a_restored_backup_ends_equal() {
    let (count, once, oftener) = play_all(Event::Restore);
    // A device that has never stated anything may push what follows nothing after the others began
    // anew: then they do so twice.
    assert!(
        once + oftener >= count / 2,
        "{once} and {oftener} of {count}"
    );
    assert!(oftener <= count / 200 + 1, "{oftener} of {count}");
}

#[test]
fn every_history_with_a_device_that_lets_contents_go_ends_equal() {
    let (count, once, oftener) = play_all(Event::Lazy);
    // Half of them restore a backup.
    assert!(
        once + oftener <= count / 2 + 1,
        "{once} and {oftener} of {count}"
    );
}
