//! A provider that lies to devices: whatever it leaves out, replays, sets back or forks, the device
//! that is lied to finds it out by its next exchange, and keeps all that it has.

use super::*;
use crate::id::Revision;
use crate::manifest::ManifestAlarm;

/// How many histories of each kind are played.
const HISTORIES: u64 = 60;

async fn edit_and_exchange(
    device: &Replica<MemoryStore>,
    provider: &Provider,
    rng: &mut ChaCha20Rng,
) {
    let inbox = inbox(device).id;
    for _ in 0..rng.gen_range(1..6) {
        let (step, now) = (rng.r#gen(), at(rng.gen_range(0..50)));
        edit(device, rng, step, now).await;
    }
    // Something of each kind happens for certain.
    let raw = format!("Subject: {}\r\n\r\nbody\r\n", rng.r#gen::<u64>());
    let none = FlagSet::new();
    let placed = device.append(inbox, raw.as_bytes(), none, NOW, NOW).await;
    placed.unwrap();
    exchange(device, provider, &mut None).await;
}

/// The same, of what takes nothing away: letters come and are marked.
async fn add_and_exchange(
    device: &Replica<MemoryStore>,
    provider: &Provider,
    rng: &mut ChaCha20Rng,
) {
    let inbox = inbox(device).id;
    for _ in 0..rng.gen_range(1..4) {
        let raw = format!("Subject: {}\r\n\r\nbody\r\n", rng.r#gen::<u64>());
        let none = FlagSet::new();
        let placed = device.append(inbox, raw.as_bytes(), none, NOW, NOW).await;
        placed.unwrap();
        let uids: Vec<Uid> = device.placements(inbox).iter().map(|p| p.uid).collect();
        let (uid, how) = (
            pick(rng, &uids),
            pick(rng, &[FlagChange::Add, FlagChange::Remove]),
        );
        let set = flags(&[Flag::Flagged]);
        let stored = device.store_flags(inbox, &[uid], how, &set, NOW).await;
        stored.unwrap();
    }
    exchange(device, provider, &mut None).await;
}

/// Devices that have worked together for a while, the provider, and what decides what happens.
async fn world(seed: u64) -> (Vec<Replica<MemoryStore>>, Provider, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let provider = Provider::default();
    let mut devices = Vec::new();
    for number in 1..=3 {
        devices.push(device(number).await.with_page_placements(3));
    }
    for _ in 0..3 {
        for device in &devices {
            edit_and_exchange(device, &provider, &mut rng).await;
        }
    }
    for device in &devices {
        exchange(device, &provider, &mut None).await;
    }
    (devices, provider, rng)
}

async fn alarm(device: &Replica<MemoryStore>) -> Option<ManifestAlarm> {
    let alarm = device.manifest_alarm().await.unwrap();
    alarm.map(|(_, alarm)| alarm)
}

/// Everything that a device shows: messages, by their hashes.
fn messages(device: &Replica<MemoryStore>) -> Vec<MessageHash> {
    let mut all = device.newest_messages();
    all.sort();
    all
}

/// The truth again: all end equal, with what the device had that was lied to, and nobody is
/// warned of anything more.
async fn heals(
    devices: &[Replica<MemoryStore>],
    provider: &Provider,
    had: &[MessageHash],
    seed: u64,
) {
    assert_converge(devices, provider, seed).await;
    let has = messages(&devices[0]);
    assert!(
        had.iter().all(|message| has.contains(message)),
        "seed {seed}"
    );
    let before = epoch(devices).await;
    assert_converge(devices, provider, seed).await;
    assert_eq!(epoch(devices).await, before, "seed {seed}");
}

fn header(envelope: &[u8]) -> Header {
    Header::parse(envelope).unwrap()
}

/// Documents of the provider's that changed after `since` and are not the last statement: that
/// alone can be late.
fn changed(log: &Log, since: Generation) -> Vec<DocId> {
    let changed = log.documents.iter();
    let changed = changed.filter(|(_, (generation, _))| *generation > since.0);
    let changed = changed.filter(|(_, (generation, _))| *generation < log.generation);
    changed.map(|(id, _)| *id).collect()
}

fn pick<T: Copy>(rng: &mut ChaCha20Rng, from: &[T]) -> T {
    from[rng.gen_range(0..from.len())]
}

async fn play(seed: u64, lie: impl Fn(&mut Log, &mut ChaCha20Rng, Generation) -> bool) -> bool {
    let (devices, provider, mut rng) = world(seed).await;
    let victim = &devices[2];
    add_and_exchange(&devices[0], &provider, &mut rng).await;
    add_and_exchange(&devices[1], &provider, &mut rng).await;
    let mut log = provider.log();
    if !lie(&mut log, &mut rng, victim.pulled()) {
        return false;
    }
    let had = messages(victim);
    // One that knows nothing yet is lied to, too.
    let fresh = device(9).await.with_page_placements(3);
    exchange(&fresh, &Provider::of(log.clone()), &mut None).await;
    assert!(alarm(&fresh).await.is_some(), "seed {seed}: a new device");
    exchange(victim, &Provider::of(log), &mut None).await;
    assert!(alarm(victim).await.is_some(), "seed {seed}");
    let has = messages(victim);
    assert!(
        had.iter().all(|message| has.contains(message)),
        "seed {seed}"
    );
    heals(&devices, &provider, &had, seed).await;
    true
}

async fn play_all(lie: impl Fn(&mut Log, &mut ChaCha20Rng, Generation) -> bool) {
    let mut played = 0;
    for seed in 0..HISTORIES {
        played += u64::from(play(seed, &lie).await);
    }
    assert!(played >= HISTORIES / 2, "{played}");
}

#[tokio::test]
async fn attack_17_a_document_that_is_left_out_is_missed() {
    play_all(|log, rng, since| {
        let id = pick(rng, &changed(log, since));
        log.documents.remove(&id);
        true
    })
    .await;
}

#[tokio::test]
async fn attack_17_the_last_documents_without_their_statement_are_missed() {
    play_all(|log, rng, since| {
        // All that came last but the statement of another device, which tells of them.
        let changed = changed(log, since);
        let from = log.documents[&pick(rng, &changed)].0;
        let before = log.documents.len();
        let last = log.generation;
        log.documents
            .retain(|_, (generation, _)| *generation < from || *generation == last);
        log.documents.len() < before
    })
    .await;
}

#[tokio::test]
async fn attack_15_a_document_at_an_earlier_revision_is_found_out() {
    play_all(|log, rng, since| {
        let changed = changed(log, since);
        let old: Vec<Vec<u8>> = log.history.clone();
        let replays = old.iter().filter(|envelope| {
            let header = header(envelope);
            let now = log.documents.get(&header.document);
            let is_older =
                now.is_some_and(|(_, now)| Header::parse(now).unwrap().revision > header.revision);
            is_older && changed.contains(&header.document)
        });
        let replays: Vec<&Vec<u8>> = replays.collect();
        if replays.is_empty() {
            return false;
        }
        let replay = pick(rng, &replays);
        let entry = log.documents.get_mut(&header(replay).document).unwrap();
        entry.1.clone_from(replay);
        true
    })
    .await;
}

#[tokio::test]
async fn attack_15_a_whole_account_at_an_earlier_state_is_found_out() {
    for seed in 0..HISTORIES {
        let (devices, provider, mut rng) = world(seed).await;
        let early = provider.log();
        add_and_exchange(&devices[0], &provider, &mut rng).await;
        exchange(&devices[2], &provider, &mut None).await;
        let had = messages(&devices[2]);
        // As it was: the log ends too early.
        exchange(&devices[2], &Provider::of(early.clone()), &mut None).await;
        let found = alarm(&devices[2]).await;
        assert!(
            matches!(found, Some(ManifestAlarm::SetBack { .. })),
            "seed {seed}: {found:?}"
        );
        assert_eq!(messages(&devices[2]), had);
        heals(&devices, &provider, &had, seed).await;
    }
}

#[tokio::test]
async fn attack_15_an_earlier_state_with_numbers_beyond_it_is_found_out() {
    for seed in 0..HISTORIES {
        let (devices, provider, mut rng) = world(seed).await;
        let mut early = provider.log();
        add_and_exchange(&devices[0], &provider, &mut rng).await;
        exchange(&devices[2], &provider, &mut None).await;
        // It says that there was nothing else, and has got more since by a device that was away.
        early.generation = provider.log().generation + 1;
        let early = Provider::of(early);
        add_and_exchange(&devices[1], &early, &mut rng).await;
        let had = messages(&devices[2]);
        exchange(&devices[2], &early, &mut None).await;
        assert!(alarm(&devices[2]).await.is_some(), "seed {seed}");
        let has = messages(&devices[2]);
        assert!(
            had.iter().all(|message| has.contains(message)),
            "seed {seed}"
        );
        heals(&devices, &provider, &had, seed).await;
    }
}

#[tokio::test]
async fn attack_17_what_is_confirmed_and_not_kept_is_found_out() {
    for seed in 0..HISTORIES {
        let (devices, provider, mut rng) = world(seed).await;
        let before = provider.log();
        let device = &devices[0];
        add_and_exchange(device, &Provider::of(before.clone()), &mut rng).await;
        let had = messages(device);
        exchange(device, &provider, &mut None).await;
        assert!(alarm(device).await.is_some(), "seed {seed}");
        heals(&devices, &provider, &had, seed).await;
    }
}

#[tokio::test]
async fn attack_18_devices_that_were_shown_different_things_find_it_out_when_they_meet() {
    for seed in 0..HISTORIES {
        let (devices, provider, mut rng) = world(seed).await;
        let other = Provider::of(provider.log());
        let (one, two) = (&devices[0], &devices[1]);
        for _ in 0..rng.gen_range(1..3) {
            add_and_exchange(one, &provider, &mut rng).await;
            add_and_exchange(two, &other, &mut rng).await;
        }
        for device in &devices {
            assert_eq!(
                alarm(device).await,
                None,
                "seed {seed}: each is told one story"
            );
        }
        let had = [messages(one), messages(two)].concat();
        // Each is shown the other's story.
        let (first, second) = (Provider::of(provider.log()), Provider::of(other.log()));
        exchange(two, &first, &mut None).await;
        exchange(one, &second, &mut None).await;
        for device in [one, two] {
            assert!(alarm(device).await.is_some(), "seed {seed}");
        }
        heals(&devices, &provider, &had, seed).await;
    }
}

#[tokio::test]
async fn attack_18_what_was_kept_back_and_comes_late_is_found_out() {
    for seed in 0..HISTORIES {
        let (devices, provider, mut rng) = world(seed).await;
        let (writer, victim) = (&devices[0], &devices[2]);
        add_and_exchange(writer, &provider, &mut rng).await;
        let mut log = provider.log();
        // The same log, in which what the writer stored has not come yet: incoming mail has.
        let mut early = log.clone();
        let since = victim.pulled().0;
        early
            .documents
            .retain(|_, (generation, _)| *generation <= since);
        exchange(victim, &Provider::of(early), &mut None).await;
        assert_eq!(alarm(victim).await, None, "seed {seed}: it may be late");
        // The writer hears that it has arrived, and says so with its next push.
        exchange(writer, &provider, &mut None).await;
        add_and_exchange(writer, &provider, &mut rng).await;
        // Now all is told, as if it had been stored later than it was.
        log = provider.log();
        let shift = log.generation;
        for (generation, _) in log.documents.values_mut() {
            if *generation > since {
                *generation += shift;
            }
        }
        log.generation += shift;
        exchange(victim, &Provider::of(log), &mut None).await;
        let found = alarm(victim).await;
        let expected = ManifestAlarm::Forked(writer.id());
        assert_eq!(found, Some(expected), "seed {seed}");
    }
}

#[tokio::test]
async fn a_device_that_was_offline_for_long_warns_of_nothing() {
    let (devices, provider, mut rng) = world(1).await;
    for _ in 0..20 {
        add_and_exchange(&devices[0], &provider, &mut rng).await;
        add_and_exchange(&devices[1], &provider, &mut rng).await;
    }
    heals(&devices, &provider, &[], 1).await;
    assert_eq!(epoch(&devices).await, 0);
    let stated = devices[2].last_stated().await.unwrap();
    assert!(stated.is_some_and(|at| at >= NOW));
}

#[tokio::test]
async fn a_store_of_an_older_program_hears_everything_again_and_warns_of_nothing() {
    let (devices, provider, mut rng) = world(2).await;
    // Such a program stored no statements and kept none of these rows.
    for device in &devices {
        let mut change = device.begin(NOW).await;
        for table in [Table::Told, Table::Meta] {
            for (key, _) in device.store.scan(table, KeyRange::all()).await.unwrap() {
                let is_ours = key.starts_with(b"statement ") || key == b"manifest";
                if table == Table::Told || is_ours {
                    change.batch.delete(table, key);
                }
            }
        }
        change.commit().await.unwrap();
    }
    let contacts = devices[0].keys.collection_id(Collection::Contacts);
    let mut log = provider.log();
    log.documents
        .retain(|_, (_, envelope)| header(envelope).collection != contacts);
    let provider = Provider::of(log);
    let before = truth(&devices[0]);
    for device in &devices {
        exchange(device, &provider, &mut None).await;
        assert_eq!(alarm(device).await, None);
    }
    assert_eq!(truth(&devices[0]), before);
    add_and_exchange(&devices[1], &provider, &mut rng).await;
    heals(&devices, &provider, &[], 2).await;
    assert_eq!(epoch(&devices).await, 0);
}

/// What is stated goes to the provider with the documents and is as short as it was said to be.
#[tokio::test]
async fn a_push_has_one_statement_of_less_than_a_kilobyte() {
    let (devices, provider, _) = world(3).await;
    let device = &devices[0];
    let id = inbox(device).id;
    let uid = device.placements(id)[0].uid;
    let seen = flags(&[Flag::Seen, Flag::Answered]);
    device
        .store_flags(id, &[uid], FlagChange::Add, &seen, at(99))
        .await
        .unwrap();
    let push = device.pending_push().await.unwrap().unwrap();
    let lengths: Vec<usize> = push.request.documents.iter().map(|one| one.len()).collect();
    assert_eq!(lengths.len(), 2, "a page and a statement: {lengths:?}");
    assert!(lengths[1] < 1024, "{lengths:?}");
    let last = header(&push.request.documents[1]);
    assert!(last.revision > Revision::ONE);
    // Nothing to push is nothing to state.
    let response = provider.push(&push.request);
    engine::handle_push(device, &push, response, NOW)
        .await
        .unwrap();
    assert!(device.pending_push().await.unwrap().is_none());
}
