//! Placements in pages: what fills them, what two devices do to one, what is counted.

use super::*;

/// What a replica counts as it goes is what counting anew gives, and what reading the store gives.
pub(super) async fn assert_counted(replica: &Replica<MemoryStore>) {
    let mut octets: BTreeMap<MessageHash, u64> = BTreeMap::new();
    for mailbox in replica.mailboxes() {
        let placements = replica.placements(mailbox.id);
        let count = |is: &dyn Fn(&Placement) -> bool| {
            u32::try_from(placements.iter().filter(|p| is(p)).count()).unwrap()
        };
        assert_eq!(mailbox.messages, count(&|_| true));
        assert_eq!(mailbox.unseen, count(&|p| !p.flags.contains(&Flag::Seen)));
        assert_eq!(
            mailbox.deleted,
            count(&|p| p.flags.contains(&Flag::Deleted))
        );
        assert_eq!(mailbox.size, placements.iter().map(|p| p.size).sum::<u64>());
        for placement in &placements {
            let places = replica.placements_of(placement.message);
            assert!(places.contains(&(mailbox.id, placement.uid)));
            octets.insert(placement.message, placement.size);
        }
    }
    let usage = Usage {
        messages: octets.len() as u64,
        octets: octets.values().sum(),
    };
    assert_eq!(replica.usage(), usage);
    let all = replica.messages_from(MessageHash::new([0; 32]), usize::MAX);
    assert_eq!(all, octets.into_keys().collect::<Vec<_>>());
    let stored = View::load(&replica.store, &replica.keys, NOW)
        .await
        .unwrap();
    for (id, state) in &replica.view().mailboxes {
        let other = &stored.mailboxes[id];
        assert_eq!(state.row, other.row);
        let rows = |roster: &Roster| roster.iter().map(Placed::from).collect::<Vec<_>>();
        assert_eq!(rows(&state.roster), rows(&other.roster));
        assert_eq!(state.roster.counts(), other.roster.counts());
    }
    virtual_mailboxes::assert_kept(replica, &stored);
}

pub(super) async fn rows(replica: &Replica<MemoryStore>, table: Table) -> usize {
    let rows = replica.store.scan(table, KeyRange::all()).await.unwrap();
    rows.len()
}

pub(super) async fn append(replica: &Replica<MemoryStore>, mailbox: MailboxId, name: &str) -> Uid {
    let raw = format!("Subject: {name}\r\n\r\n{name}\r\n");
    let none = FlagSet::new();
    let appended = replica.append(mailbox, raw.as_bytes(), none, NOW, NOW);
    appended.await.unwrap().uid
}

impl Provider {
    /// All documents by id: in no order that tells when they were written.
    fn everything(&self) -> Vec<Entry> {
        let log = self.log.lock().unwrap();
        let envelopes = log.documents.values().rev();
        let documents = envelopes.map(|(_, envelope)| Entry::Document {
            envelope: ByteBuf::from(envelope.clone()),
        });
        documents.collect()
    }
}

pub(super) async fn sync(devices: &[&Replica<MemoryStore>], provider: &Provider) {
    for _ in 0..3 {
        for device in devices {
            exchange(device, provider, &mut None).await;
        }
    }
}

#[tokio::test]
async fn a_full_page_is_followed_by_another_also_after_a_restart() {
    let replica = device(1).await.with_page_placements(3);
    let id = inbox(&replica).id;
    for number in 0..4 {
        append(&replica, id, &number.to_string()).await;
    }
    assert_eq!(rows(&replica, Table::Placements).await, 2);
    let keys = device(1).await.keys;
    let again = Replica::open(replica.store, keys, [9; 32], NOW).await;
    let again = again.unwrap().with_page_placements(3);
    append(&again, id, "5").await;
    append(&again, id, "6").await;
    assert_eq!(rows(&again, Table::Placements).await, 2);
    append(&again, id, "7").await;
    assert_eq!(rows(&again, Table::Placements).await, 3);
    assert_counted(&again).await;
    assert!(again.check().await.unwrap().is_sound());
}

#[tokio::test]
async fn a_change_to_all_messages_writes_each_page_once() {
    let (replica, provider) = (device(1).await.with_page_placements(4), Provider::default());
    let id = inbox(&replica).id;
    let mut uids = Vec::new();
    for number in 0..10 {
        uids.push(append(&replica, id, &number.to_string()).await);
    }
    sync(&[&replica], &provider).await;
    assert_eq!(rows(&replica, Table::Pending).await, 0);
    let seen = flags(&[Flag::Seen]);
    let changed = replica
        .store_flags(id, &uids, FlagChange::Add, &seen, NOW)
        .await
        .unwrap();
    assert_eq!(changed.len(), 10);
    // Each page once, and what this device states of them.
    let push = replica.pending_push().await.unwrap().unwrap();
    assert_eq!(push.request.documents.len(), 3 + 1);
    assert_eq!(inbox(&replica).unseen, 0);
    replica.expunge(id, &uids, NOW).await.unwrap();
    assert_eq!(rows(&replica, Table::Pending).await, 3);
    // Nothing is left to number; the pages stay and say that all is gone.
    assert_eq!(rows(&replica, Table::Placements).await, 0);
    assert_counted(&replica).await;
    sync(&[&replica], &provider).await;
    let fresh = device(2).await;
    sync(&[&fresh], &provider).await;
    assert_eq!(inbox(&fresh).messages, 0);
}

#[tokio::test]
async fn devices_that_take_in_apart_have_placed_once() {
    let provider = Provider::default();
    let (one, two) = (device(1).await, device(2).await);
    for id in 1..=5 {
        provider.receive(id);
    }
    // Both hear of the mail before either has pushed what became of it.
    for device in [&one, &two] {
        let response = provider.pull(&asked(device).await);
        device.pulled_entries(response, NOW).await.unwrap();
        for incoming in device.incoming(100).await.unwrap() {
            // All messages differ, as mail does.
            let raw = format!("Subject: {}\r\n\r\n", incoming.id);
            let taken = Arrived {
                rendered: raw.as_bytes(),
                received: None,
                protection: Protection::NONE,
                contact: None,
                unjudged: None,
            };
            device.take_in(&incoming, taken, NOW).await.unwrap();
        }
    }
    let id = inbox(&one).id;
    let set = |flag| flags(&[flag]);
    one.store_flags(id, &[Uid::ONE], FlagChange::Add, &set(Flag::Seen), at(1))
        .await
        .unwrap();
    two.store_flags(id, &[Uid::ONE], FlagChange::Add, &set(Flag::Flagged), at(1))
        .await
        .unwrap();
    two.expunge(id, &[Uid::new(2).unwrap()], at(1))
        .await
        .unwrap();
    sync(&[&one, &two], &provider).await;
    assert_eq!(truth(&one), truth(&two));
    assert_eq!((inbox(&one).messages, inbox(&one).unseen), (4, 3));
    for device in [&one, &two] {
        assert_eq!(rows(device, Table::Placements).await, 1, "one page");
        assert_counted(device).await;
    }
}

#[tokio::test]
async fn a_generation_that_is_repeated_takes_no_message_away() {
    let provider = Provider::default();
    let (one, two) = (device(1).await, device(2).await);
    provider.receive(1);
    exchange(&one, &provider, &mut None).await;
    assert_eq!(inbox(&one).messages, 1);
    // The backup is from before the mail; the next gets its number.
    *provider.log.lock().unwrap() = Log::default();
    provider.receive(2);
    one.provider_was_set_back(NOW).await.unwrap();
    for device in [&one, &two] {
        let response = provider.pull(&asked(device).await);
        device.pulled_entries(response, NOW).await.unwrap();
        for incoming in device.incoming(9).await.unwrap() {
            assert_eq!(incoming.generation, Generation(1));
            let taken = Arrived {
                rendered: b"Subject: another\r\n\r\n",
                received: None,
                protection: Protection::NONE,
                contact: None,
                unjudged: None,
            };
            device.take_in(&incoming, taken, NOW).await.unwrap();
        }
    }
    assert_eq!((inbox(&one).messages, inbox(&two).messages), (2, 1));
    sync(&[&one, &two], &provider).await;
    assert_eq!(inbox(&two).messages, 2);
    assert_eq!(truth(&one), truth(&two));
}

#[tokio::test]
async fn a_later_revision_that_lacks_what_we_added_takes_nothing_away() {
    let provider = Provider::default();
    let (one, two) = (device(1).await, device(2).await);
    let id = inbox(&one).id;
    append(&one, id, "a").await;
    sync(&[&one, &two], &provider).await;
    let backup = provider.log.lock().unwrap().documents.clone();
    append(&one, id, "b").await;
    exchange(&one, &provider, &mut None).await;
    // The provider is set back, and another device is there first, with revisions beyond ours.
    provider.log.lock().unwrap().documents = backup;
    for (round, flag) in (1..).zip([Flag::Seen, Flag::Flagged, Flag::Draft]) {
        two.store_flags(id, &[Uid::ONE], FlagChange::Add, &flags(&[flag]), at(round))
            .await
            .unwrap();
        exchange(&two, &provider, &mut None).await;
    }
    sync(&[&one, &two], &provider).await;
    assert_eq!(inbox(&one).messages, 2);
    // The message that was lost at the provider is offered again when the device notices.
    one.provider_was_set_back(NOW).await.unwrap();
    two.provider_was_set_back(NOW).await.unwrap();
    sync(&[&one, &two], &provider).await;
    assert_eq!(truth(&one), truth(&two));
    assert_eq!(inbox(&two).messages, 2);
    let first = two.placement(id, Uid::ONE).unwrap();
    assert_eq!(first.flags.len(), 3);
}

#[tokio::test]
async fn uids_of_a_new_device_ascend_as_messages_came() {
    let (one, provider) = (device(1).await.with_page_placements(4), Provider::default());
    let id = inbox(&one).id;
    for number in 0..20 {
        let raw = format!("Subject: {number}\r\n\r\n");
        let came = at(number);
        one.append(id, raw.as_bytes(), FlagSet::new(), came, came)
            .await
            .unwrap();
    }
    exchange(&one, &provider, &mut None).await;
    let two = device(2).await;
    let response = PullResponse {
        entries: provider.everything(),
        until: Generation(provider.log.lock().unwrap().generation),
        more: false,
    };
    two.pulled_entries(response, at(99)).await.unwrap();
    let came: Vec<Timestamp> = two.placements(id).iter().map(|p| p.internal_date).collect();
    assert_eq!(came, (0..20).map(at).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_stay_in_a_mailbox_that_was_renamed_after_they_came() {
    let (one, provider) = (device(1).await.with_page_placements(1), Provider::default());
    let name = |text| MailboxName::new(text).unwrap();
    let work = one.create_mailbox(&name("Work"), NOW).await.unwrap();
    append(&one, work, "report").await;
    exchange(&one, &provider, &mut None).await;
    let id = inbox(&one).id;
    for number in 0..8 {
        append(&one, id, &number.to_string()).await;
    }
    exchange(&one, &provider, &mut None).await;
    one.rename_mailbox(&name("Work"), &name("Project"), at(1))
        .await
        .unwrap();
    exchange(&one, &provider, &mut None).await;
    // The message comes to a new device before its mailbox does.
    let two = device(2).await;
    exchange(&two, &provider, &mut None).await;
    assert_eq!(truth(&two), truth(&one));
    assert_eq!(two.mailbox(&name("Project")).unwrap().messages, 1);
    assert_eq!(inbox(&two).messages, 8);
    assert!(!two.has_pending().await.unwrap());
    assert_counted(&two).await;
}
