//! The account that all sessions look at, another device that syncs with it, and what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, DocId, Generation, MailboxId, MailboxName, Uid};
use letterlock_core::model::{
    AnnotationName, AnnotationOwner, Flag, FlagChange, FlagSet, VirtualMailbox,
};
use letterlock_core::seal::{AccountKeys, Header, RootKey};
use letterlock_core::store::MemoryStore;
use letterlock_core::sync::engine::{self, Extent, Next};
use letterlock_core::sync::wire::{Entry, PullResponse, PushRequest, PushResponse};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_bytes::ByteBuf;

use super::super::transcripts::{new_account, now};

/// Mailboxes that messages come to.
pub(super) const SHARED: [&str; 2] = ["INBOX", "Archive"];

/// Mailboxes that sessions select: those and what shows their messages.
pub(super) const SELECTED: [&str; 4] = ["INBOX", "Archive", "All Mail", "Flagged"];

/// Mailboxes that come and go.
pub(super) const BOXES: [&str; 5] = ["Box 0", "Box 1", "Box 1/Sub", "Box 2", "Box 2/Sub"];

/// A message as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct True {
    pub(super) flags: BTreeSet<String>,
    pub(super) mod_seq: u64,
    pub(super) size: u64,
}

pub(super) struct World {
    pub(super) account: Arc<Account<MemoryStore>>,
    elsewhere: Account<MemoryStore>,
    provider: Provider,
    /// The mailbox's HIGHESTMODSEQ when a message had left it.
    gone: BTreeMap<(MailboxId, u32), u64>,
    present: BTreeMap<MailboxId, BTreeMap<u32, True>>,
    /// Which session saw a message as recent.
    recent: BTreeMap<(MailboxId, u32), usize>,
}

impl World {
    pub(super) async fn new() -> Self {
        let account = new_account().await;
        let both = VirtualMailbox::ALL;
        account.set_virtual_mailboxes(&both, now()).await.unwrap();
        let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
        let address = Address::new("alice@letterlock.example").unwrap();
        let elsewhere = Account::open(MemoryStore::new(), address, keys, [4; 32], now()).await;
        Self {
            account,
            elsewhere: elsewhere.unwrap(),
            provider: Provider::default(),
            gone: BTreeMap::new(),
            present: BTreeMap::new(),
            recent: BTreeMap::new(),
        }
    }

    /// The names of all mailboxes.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let mailboxes = self.account.shown_mailboxes().into_iter();
        mailboxes.map(|mailbox| mailbox.name.to_string()).collect()
    }

    pub(super) fn mailbox(&self, name: &str) -> MailboxId {
        let name = MailboxName::new(name).unwrap();
        self.account.mailbox(&name).unwrap().id
    }

    /// The name of a mailbox that sessions select.
    pub(super) fn name(&self, mailbox: MailboxId) -> &'static str {
        let mut all = SELECTED.into_iter();
        all.find(|name| self.mailbox(name) == mailbox).unwrap()
    }

    /// Whether a mailbox shows messages of others.
    pub(super) fn is_virtual(&self, mailbox: MailboxId) -> bool {
        let mailbox = self.account.mailbox_by_id(mailbox).unwrap();
        mailbox.virtual_mailbox.is_some()
    }

    /// What a mailbox really has, by UID.
    pub(super) fn truth(&self, mailbox: MailboxId) -> BTreeMap<u32, True> {
        let placements = self.account.placements(mailbox).into_iter();
        let of = |one: letterlock_core::account::Placement| {
            let flags = one.flags.iter().map(|flag| flag.as_str().to_owned());
            let one_is = True {
                flags: flags.collect(),
                mod_seq: one.mod_seq.get(),
                size: one.size,
            };
            (one.uid.get(), one_is)
        };
        placements.map(of).collect()
    }

    /// Takes down what has left, and when.
    pub(super) fn look(&mut self) {
        for name in SELECTED {
            let mailbox = self.mailbox(name);
            let is_virtual = self.is_virtual(mailbox);
            let highest = self.account.highest_mod_seq(mailbox).unwrap().get();
            let now = self.truth(mailbox);
            let before = self.present.insert(mailbox, now.clone());
            for (uid, was) in before.unwrap_or_default() {
                let Some(is) = now.get(&uid) else {
                    self.gone.insert((mailbox, uid), highest);
                    continue;
                };
                // A mod-sequence tells of a change, or conditional STOREs fail for nothing. Where
                // a message is shown that is moved, its SAVEDATE is another.
                let (same_flags, same) = (was.flags == is.flags, was.mod_seq == is.mod_seq);
                assert!(
                    same_flags == same || (is_virtual && same_flags),
                    "{uid}: {was:?}, {is:?}"
                );
            }
        }
    }

    /// HIGHESTMODSEQ after a message had left, if it has.
    pub(super) fn gone(&self, mailbox: MailboxId, uid: u32) -> Option<u64> {
        self.gone.get(&(mailbox, uid)).copied()
    }

    /// Whether this session may see the message as recent: no other has.
    pub(super) fn claim(&mut self, mailbox: MailboxId, uid: u32, session: usize) -> bool {
        *self.recent.entry((mailbox, uid)).or_insert(session) == session
    }

    /// What another device does, and then both sync.
    pub(super) async fn others(&mut self, rng: &mut StdRng) {
        for _ in 0..rng.gen_range(0..4) {
            one_change(rng, &self.elsewhere).await;
        }
        self.provider.exchange(&self.elsewhere).await;
        self.provider.exchange(&self.account).await;
        if rng.gen_bool(0.5) {
            self.provider.exchange(&self.elsewhere).await;
        }
        self.look();
    }
}

async fn one_change(rng: &mut StdRng, account: &Account<MemoryStore>) {
    let names = SHARED.map(|name| MailboxName::new(name).unwrap());
    let ids = names.map(|name| account.mailbox(&name).unwrap().id);
    let [one, other] = ids;
    let (here, there) = if rng.gen_bool(0.5) {
        (one, other)
    } else {
        (other, one)
    };
    let all: Vec<Uid> = account.placements(here).iter().map(|p| p.uid).collect();
    let some: Vec<Uid> = all.choose_multiple(rng, 3).copied().collect();
    let mut uids = some;
    uids.sort_unstable();
    let flag = [Flag::Seen, Flag::Deleted, Flag::Flagged].choose(rng);
    let flags = FlagSet::from([flag.unwrap().clone()]);
    let pick = |rng: &mut StdRng| MailboxName::new(BOXES.choose(rng).unwrap()).unwrap();
    let (name, to) = (pick(rng), pick(rng));
    match rng.gen_range(0..12) {
        0..=2 => {
            let raw = format!("Subject: {}\r\n\r\nfrom afar", rng.gen_range(0..1000));
            let appended = account.append(here, raw.as_bytes(), flags, now(), now());
            appended.await.unwrap();
        }
        3..=5 => {
            let how = [FlagChange::Add, FlagChange::Remove][rng.gen_range(0..2)];
            let stored = account.store_flags(here, &uids, how, &flags, now());
            stored.await.unwrap();
        }
        6 => drop(account.expunge(here, &uids, now()).await.unwrap()),
        // Whether it can be done depends on what is there.
        7 => drop(account.create_mailbox(&name, now()).await),
        8 => drop(account.delete_mailbox(&name, now()).await),
        9 => drop(account.rename_mailbox(&name, &to, now()).await),
        10 => {
            let owner =
                [AnnotationOwner::Account, AnnotationOwner::Mailbox(here)][rng.gen_range(0..2)];
            let entry = AnnotationName::new("/shared/comment").unwrap();
            let entries = vec![(entry, Some(b"from afar".to_vec()))];
            let set = account.set_annotations(owner, entries, now());
            set.await.unwrap();
        }
        _ => drop(
            account
                .move_messages(here, &uids, there, now())
                .await
                .unwrap(),
        ),
    }
}

/// The rules of the provider: revisions follow each other, a push is all or nothing.
#[derive(Default)]
struct Provider {
    generation: u64,
    documents: BTreeMap<DocId, (u64, Vec<u8>)>,
}

impl Provider {
    fn push(&mut self, request: &PushRequest) -> PushResponse {
        let mut current = Vec::new();
        for envelope in &request.documents {
            let header = Header::parse(envelope).unwrap();
            if let Some((_, stored)) = self.documents.get(&header.document) {
                let expected = Header::parse(stored).unwrap().revision.get() + 1;
                if stored != envelope.as_ref() && header.revision.get() != expected {
                    current.push(ByteBuf::from(stored.clone()));
                }
            }
        }
        if !current.is_empty() {
            return PushResponse::Conflict { current };
        }
        for envelope in &request.documents {
            let id = Header::parse(envelope).unwrap().document;
            self.generation += 1;
            let entry = (self.generation, envelope.to_vec());
            self.documents.insert(id, entry);
        }
        let generation = Generation(self.generation);
        PushResponse::Accepted { generation }
    }

    fn pull(&self, since: Generation) -> PullResponse {
        let later = self.documents.values().filter(|(at, _)| *at > since.0);
        let mut later: Vec<_> = later.collect();
        later.sort_by_key(|(at, _)| *at);
        let more = later.len() > 7;
        later.truncate(7);
        let until = later.last().map_or(since.0, |(at, _)| *at);
        let entry = |(_, envelope): &(u64, Vec<u8>)| Entry::Document {
            envelope: ByteBuf::from(envelope.clone()),
        };
        PullResponse {
            entries: later.into_iter().map(entry).collect(),
            until: Generation(until),
            more,
        }
    }

    async fn exchange(&mut self, device: &Account<MemoryStore>) {
        loop {
            let request = engine::pull_request(device, Extent::Everything, 0).await;
            let request = request.unwrap();
            let response = self.pull(request.since);
            let next = engine::handle_pull(device, request.since, response, now());
            if next.await.unwrap() == Next::Idle {
                break;
            }
        }
        while let Some(push) = engine::next_push(device).await.unwrap() {
            let response = self.push(&push.request);
            let handled = engine::handle_push(device, &push, response, now());
            handled.await.unwrap();
        }
    }
}
