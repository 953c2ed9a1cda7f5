//! The replica against a simulated provider: merging, replays, convergence.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde_bytes::ByteBuf;

use super::pages::incoming_placement;
use super::view::Placed;
use super::*;
use crate::id::{AccountId, IncomingId};
use crate::model::{Flag, FlagChange, FlagSet, VirtualMailbox};
use crate::openpgp::Protection;
use crate::seal::{Collection, Header, RootKey};
use crate::store::MemoryStore;
use crate::sync::engine::{self, Extent};
use crate::sync::wire::{Entry, PullRequest, PullResponse, PushRequest, PushResponse};

mod annotations;
mod appending;
mod attacks;
mod changes;
mod collecting;
mod contents;
mod disasters;
mod epochs;
mod filling;
mod flag_edits;
mod lazily;
mod lies;
mod network;
mod pages;
mod provider;
mod virtual_mailboxes;
mod writers;

use provider::{Log, Provider};
use writers::Shared;

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const LETTER: &[u8] = b"From: a@x.example\r\nSubject: hello\r\n\r\nDear B,\r\nbye\r\n";

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_700_000_000 + secs)
}

pub(super) async fn device(seed: u8) -> Replica<MemoryStore> {
    let root = RootKey::from_octets([1; 32]);
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let replica = Replica::open(MemoryStore::new(), keys, [seed; 32], NOW)
        .await
        .unwrap();
    replica.create_default_mailboxes(NOW).await.unwrap();
    replica
}

fn inbox(replica: &Replica<MemoryStore>) -> MailboxStatus {
    replica.mailbox(&MailboxName::inbox()).unwrap()
}

/// Octets that cannot be deflated much, without line ends.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    let mut source = blake3::Hasher::new();
    source.update(&seed.to_be_bytes());
    source.finalize_xof().fill(&mut octets);
    for octet in &mut octets {
        *octet = b'.' + (*octet & 63);
    }
    octets
}

fn flags(list: &[Flag]) -> FlagSet {
    list.iter().cloned().collect()
}

/// What a device asks for.
async fn asked(device: &Replica<MemoryStore>) -> PullRequest {
    engine::pull_request(device, extent(device), 0)
        .await
        .unwrap()
}

fn extent(device: &Replica<MemoryStore>) -> Extent {
    if device.is_lazy() {
        Extent::WithoutContents
    } else {
        Extent::Everything
    }
}

/// One exchange of a device; `lossy` may lose an answer or give one twice.
async fn exchange(
    device: &Replica<MemoryStore>,
    provider: &Provider,
    lossy: &mut Option<ChaCha20Rng>,
) {
    let mut lose = || lossy.as_mut().is_some_and(|rng| rng.gen_ratio(1, 4));
    loop {
        let request = asked(device).await;
        let response = provider.pull(&request);
        if lose() {
            return;
        }
        let again = response.clone();
        let next = engine::handle_pull(device, request.since, response, NOW).await;
        let next = next.unwrap();
        if lose() {
            engine::handle_pull(device, request.since, again, NOW)
                .await
                .unwrap();
        }
        if next == engine::Next::Idle {
            break;
        }
    }
    take_all_in(device, NOW).await;
    lazily::make_sure(device, provider).await;
    while let Some(push) = device.pending_push().await.unwrap() {
        if provider.refuses_keys(&push.request) {
            let again = engine::handle_old_keys(device, &push, NOW).await;
            assert!(again.unwrap(), "the device knows the newest keys");
            continue;
        }
        let response = provider.push_or_gap(&push.request);
        if lose() {
            return;
        }
        match response {
            Some(response) => {
                let handled = engine::handle_push(device, &push, response, NOW).await;
                handled.unwrap();
            }
            None => return engine::handle_gap(device, &push, NOW).await.unwrap(),
        }
    }
}

async fn take_all_in(device: &Replica<MemoryStore>, now: Timestamp) {
    for incoming in device.incoming(100).await.unwrap() {
        let taken = Arrived {
            rendered: &incoming.message,
            received: None,
            protection: Protection::NONE,
            contact: None,
            unjudged: None,
        };
        device.take_in(&incoming, taken, now).await.unwrap();
    }
}

/// Where every message is and with which flags, without what is local.
fn truth(device: &Replica<MemoryStore>) -> Vec<(String, Vec<(crate::id::PlacementId, FlagSet)>)> {
    let content = |mailbox: &MailboxStatus| {
        let mut all: Vec<_> = device
            .placements(mailbox.id)
            .into_iter()
            .map(|p| (p.id, p.flags))
            .collect();
        all.sort();
        all
    };
    device
        .mailboxes()
        .iter()
        .map(|m| (m.name.to_string(), content(m)))
        .collect()
}

#[tokio::test]
async fn appended_messages_come_back_as_they_were() {
    let replica = device(1).await;
    let inbox = inbox(&replica);
    let seen = flags(&[Flag::Seen]);
    let appended = replica
        .append(inbox.id, LETTER, seen.clone(), at(-5), NOW)
        .await
        .unwrap();
    assert_eq!(
        (appended.uid, appended.uid_validity),
        (Uid::ONE, inbox.uid_validity)
    );
    let placement = replica.placement(inbox.id, appended.uid).unwrap();
    assert_eq!((&placement.flags, placement.internal_date), (&seen, at(-5)));
    let message = replica.message(placement.message).await.unwrap().unwrap();
    assert_eq!(replica.raw(&message).await.unwrap(), LETTER);
    // The same message again is a second message in the mailbox, and no second document: both
    // stand in one page.
    let before = replica
        .store
        .scan(Table::Documents, KeyRange::all())
        .await
        .unwrap()
        .len();
    let again = replica
        .append(inbox.id, LETTER, seen, at(-5), NOW)
        .await
        .unwrap();
    assert_eq!(again.uid.get(), 2);
    let after = replica
        .store
        .scan(Table::Documents, KeyRange::all())
        .await
        .unwrap()
        .len();
    assert_eq!(after, before);
}

use crate::store::KeyRange;

#[tokio::test]
async fn what_a_replica_holds_survives_reopening() {
    let root = RootKey::from_octets([1; 32]);
    let keys = || AccountKeys::derive(AccountId::new([1; 16]), 1, &root);
    let replica = device(1).await;
    let id = inbox(&replica).id;
    let uid = replica
        .append(id, LETTER, FlagSet::new(), NOW, NOW)
        .await
        .unwrap()
        .uid;
    let set = flags(&[Flag::Flagged]);
    replica
        .store_flags(id, &[uid], FlagChange::Add, &set, at(1))
        .await
        .unwrap();
    let (before, mod_seq) = (truth(&replica), replica.mod_seq());
    let reopened = Replica::open(replica.store, keys(), [2; 32], at(9))
        .await
        .unwrap();
    assert_eq!(truth(&reopened), before);
    assert_eq!(reopened.mod_seq(), mod_seq);
    assert_eq!(inbox(&reopened).uid_next.get(), 2);
}

#[tokio::test]
async fn flags_moves_and_expunges_reach_other_devices() {
    let provider = Provider::default();
    let (a, b) = (device(1).await, device(2).await);
    provider.receive(9);
    exchange(&a, &provider, &mut None).await;
    exchange(&b, &provider, &mut None).await;
    assert_eq!(inbox(&b).messages, 1);
    let id = inbox(&a).id;
    let (seen, flagged) = (flags(&[Flag::Seen]), flags(&[Flag::Flagged]));
    a.store_flags(id, &[Uid::ONE], FlagChange::Add, &seen, at(1))
        .await
        .unwrap();
    b.store_flags(id, &[Uid::ONE], FlagChange::Add, &flagged, at(2))
        .await
        .unwrap();
    let archive = a.mailbox(&MailboxName::new("Archive").unwrap()).unwrap().id;
    a.move_messages(id, &[Uid::ONE], archive, at(3))
        .await
        .unwrap();
    for device in [&a, &b, &a] {
        exchange(device, &provider, &mut None).await;
    }
    assert_eq!(truth(&a), truth(&b));
    let moved = b.placements(archive);
    assert_eq!(
        moved.first().unwrap().flags,
        flags(&[Flag::Seen, Flag::Flagged])
    );
    b.expunge(archive, &[moved[0].uid], at(4)).await.unwrap();
    a.store_flags(archive, &[Uid::ONE], FlagChange::Remove, &seen, at(5))
        .await
        .unwrap();
    for device in [&b, &a, &b] {
        exchange(device, &provider, &mut None).await;
    }
    assert_eq!(truth(&a), truth(&b));
    assert_eq!(a.placements(archive), []);
}

#[tokio::test]
async fn a_message_in_a_deleted_mailbox_is_rescued() {
    let provider = Provider::default();
    let (a, b) = (device(1).await, device(2).await);
    let name = MailboxName::new("Work/2026").unwrap();
    a.create_mailbox(&name, at(1)).await.unwrap();
    exchange(&a, &provider, &mut None).await;
    exchange(&b, &provider, &mut None).await;
    let work = b.mailbox(&name).unwrap().id;
    a.delete_mailbox(&name, at(2)).await.unwrap();
    b.append(work, LETTER, FlagSet::new(), NOW, at(2))
        .await
        .unwrap();
    for device in [&a, &b, &a, &b] {
        exchange(device, &provider, &mut None).await;
    }
    assert_eq!(truth(&a), truth(&b));
    assert_eq!(inbox(&a).messages, 1);
}

/// Three devices, an unreliable link, random edits: all end equal and nothing is lost.
async fn converge(seed: u64) {
    let provider = Provider::default();
    let small = async |seed| device(seed).await.with_page_placements(3);
    let devices = [small(1).await, small(2).await, small(3).await];
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut lossy = Some(ChaCha20Rng::seed_from_u64(seed ^ 0xff));
    let mut received = 0;
    // One has virtual mailboxes all the time, one from some time on, one never.
    let both = VirtualMailbox::ALL;
    devices[0].set_virtual_mailboxes(&both, NOW).await.unwrap();
    let mut shown = BTreeMap::new();
    for step in 0..60 {
        if step == seed % 60 {
            devices[1].set_virtual_mailboxes(&both, NOW).await.unwrap();
        }
        virtual_mailboxes::assert_stable(&devices[0], &mut shown);
        virtual_mailboxes::assert_sound(&devices[1]);
        let device = &devices[rng.gen_range(0..devices.len())];
        let now = at(rng.gen_range(0..50));
        edit(device, &mut rng, step, now).await;
        annotations::edit(device, &mut rng, now).await;
        if rng.gen_ratio(1, 6) {
            received += 1;
            provider.receive(received);
        }
        if rng.gen_ratio(1, 3) {
            exchange(device, &provider, &mut lossy).await;
        }
    }
    assert_converge(&devices, &provider, seed).await;
    assert_eq!(epoch(&devices).await, 0, "seed {seed}");
}

/// Once the link is sound all devices end equal, and nothing is lost.
async fn assert_converge(devices: &[Replica<MemoryStore>], provider: &Provider, seed: u64) {
    for _ in 0..6 {
        for device in devices {
            exchange(device, provider, &mut None).await;
        }
    }
    let first = &devices[0];
    let before = truth(first);
    for device in devices {
        assert_eq!(truth(device), before, "seed {seed}");
    }
    annotations::assert_same(devices).await;
    for (generation, id) in provider.received() {
        let placement = incoming_placement(&first.keys, id, generation);
        let mut change = first.begin(NOW).await;
        assert!(change.is_known(placement).await.unwrap(), "seed {seed}");
    }
    for device in devices {
        pages::assert_counted(device).await;
    }
    exchange(first, provider, &mut None).await;
    assert!(!first.has_pending().await.unwrap(), "seed {seed}");
    assert_eq!(truth(first), before);
    for device in devices {
        let state = device.manifest_state().await.unwrap().unwrap();
        let (mut heard, mut stated) = (state.heard, state.stated);
        if device.is_lazy() {
            lazily::fetch_all(device, provider).await;
            assert!(state.lacks_contents, "seed {seed}");
            heard = heard.without(Collection::Contents);
            stated = stated.without(Collection::Contents);
        }
        assert_eq!(heard, stated, "seed {seed}");
        assert!(state.at_end && !state.repairs && state.returning.is_none());
    }
}

/// How often the devices have begun anew: all as often.
async fn epoch(devices: &[Replica<MemoryStore>]) -> u32 {
    let mut epochs = Vec::new();
    for device in devices {
        epochs.push(device.manifest_state().await.unwrap().unwrap().epoch);
    }
    epochs.dedup();
    assert_eq!(epochs.len(), 1, "{epochs:?}");
    epochs[0]
}

async fn edit(device: &Replica<MemoryStore>, rng: &mut ChaCha20Rng, step: u64, now: Timestamp) {
    let (mailboxes, shown) = (device.mailboxes(), device.shown_mailboxes());
    let pick =
        |rng: &mut ChaCha20Rng, from: &[MailboxStatus]| from[rng.gen_range(0..from.len())].clone();
    let (from, to) = (pick(rng, &shown), pick(rng, &mailboxes));
    let uids: Vec<Uid> = device.placements(from.id).iter().map(|p| p.uid).collect();
    let uid = (!uids.is_empty()).then(|| uids[rng.gen_range(0..uids.len())]);
    let uid = uid.unwrap_or(Uid::ONE);
    let name = MailboxName::new(&format!("Box {}", rng.gen_range(0..3))).unwrap();
    match rng.gen_range(0..10) {
        0 | 1 => {
            let raw = format!("Subject: {step}\r\n\r\nbody {step}\r\n");
            device
                .append(to.id, raw.as_bytes(), FlagSet::new(), now, now)
                .await
                .unwrap();
        }
        2 | 3 => {
            let all = [Flag::Seen, Flag::Flagged, Flag::Flagged, Flag::Deleted];
            let flag = flags(&[all[rng.gen_range(0..all.len())].clone()]);
            let how = if rng.r#gen() {
                FlagChange::Add
            } else {
                FlagChange::Remove
            };
            device
                .store_flags(from.id, &[uid], how, &flag, now)
                .await
                .unwrap();
        }
        4 | 5 => drop(
            device
                .move_messages(from.id, &[uid], to.id, now)
                .await
                .unwrap(),
        ),
        6 => drop(device.expunge(from.id, &[uid], now).await.unwrap()),
        7 => drop(device.create_mailbox(&name, now).await),
        8 => drop(device.copy(from.id, &[uid], to.id, now).await),
        _ if rng.gen_ratio(1, 2) => drop(device.rename_mailbox(&name, &from.name, now).await),
        _ => drop(device.delete_mailbox(&name, now).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn devices_converge(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(converge(seed));
    }
}
