//! Mail that is made up, an index of it, and a store that can fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use proptest::prelude::*;

use crate::id::{MailboxId, MessageHash, Timestamp};
use crate::search::evaluate::{Facts, Found, Page, Population};
use crate::search::rows::{self, Kind};
use crate::search::{Builder, Field, Index, IndexSize, Query, SearchError, Traits};
use crate::store::{Batch, Key, KeyRange, Store, StoreError, Table};

#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) hash: MessageHash,
    pub(super) date: Timestamp,
    pub(super) size: u64,
    pub(super) traits: Traits,
    pub(super) texts: Vec<(Field, String)>,
    pub(super) places: Vec<Facts>,
}

pub(super) fn hash(nth: u32) -> MessageHash {
    let mut octets = [0; 32];
    // The first octets are the same for some: the index must tell them apart.
    octets[7] = nth.to_be_bytes()[3] % 16;
    octets[28..].copy_from_slice(&nth.to_be_bytes());
    MessageHash::new(octets)
}

pub(super) fn mailbox(nth: u8) -> MailboxId {
    MailboxId::new([nth; 16])
}

pub(super) fn letter(nth: u32, subject: &str, body: &str) -> Letter {
    Letter {
        hash: hash(nth),
        date: Timestamp::from_secs(1_700_000_000 + i64::from(nth) * 1000),
        size: 1000 + u64::from(nth),
        traits: Traits::NONE,
        texts: vec![
            (Field::Subject, subject.to_owned()),
            (Field::Body, body.to_owned()),
        ],
        places: vec![Facts {
            message: hash(nth),
            mailbox: mailbox(0),
            seen: nth.is_multiple_of(2),
            flagged: false,
            answered: false,
            draft: false,
        }],
    }
}

/// The letters that are placed, by hash.
#[derive(Debug, Default)]
pub(super) struct Mail {
    letters: BTreeMap<MessageHash, Letter>,
    changes: u64,
}

impl Population for Mail {
    fn changes(&self) -> u64 {
        self.changes
    }

    fn places(&self) -> usize {
        self.letters
            .values()
            .map(|letter| letter.places.len())
            .sum()
    }

    fn mailboxes(&self, named: &str) -> Vec<MailboxId> {
        match named {
            "inbox" => vec![mailbox(0)],
            "work" => vec![mailbox(1)],
            "both" => vec![mailbox(0), mailbox(1)],
            _ => Vec::new(),
        }
    }

    fn each_message(&self, visit: &mut dyn FnMut(&MessageHash)) {
        self.letters.keys().for_each(visit);
    }

    fn each_place(&self, mailboxes: Option<&[MailboxId]>, visit: &mut dyn FnMut(&Facts)) {
        let all = self.letters.values().flat_map(|letter| &letter.places);
        all.filter(|place| mailboxes.is_none_or(|wanted| wanted.contains(&place.mailbox)))
            .for_each(visit);
    }

    fn each_place_of(&self, message: &MessageHash, visit: &mut dyn FnMut(&Facts)) {
        let letter = self.letters.get(message);
        letter
            .into_iter()
            .flat_map(|letter| &letter.places)
            .for_each(visit);
    }
}

/// A store whose next commits fail.
pub(super) struct Failing<S> {
    inner: S,
    fails: AtomicU8,
}

impl<S: Store> Store for Failing<S> {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key).await
    }

    async fn scan(&self, table: Table, range: KeyRange) -> Result<Vec<(Key, Vec<u8>)>, StoreError> {
        self.inner.scan(table, range).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let left = self.fails.load(Ordering::Relaxed);
        if left > 0 {
            self.fails.store(left - 1, Ordering::Relaxed);
            // Every second time the write is done and its confirmation lost.
            if left.is_multiple_of(2) {
                self.inner.commit(batch).await?;
            }
            return Err(StoreError::Backend {
                place: "the test".to_owned(),
                detail: "it shall fail".to_owned(),
            });
        }
        self.inner.commit(batch).await
    }
}

pub(super) struct World<S> {
    pub(super) store: Failing<S>,
    pub(super) index: Index,
    pub(super) mail: Mail,
    gone: Vec<Letter>,
}

impl<S: Store> World<S> {
    pub(super) fn new(store: S) -> Self {
        Self {
            store: Failing {
                inner: store,
                fails: AtomicU8::new(0),
            },
            index: Index::new(),
            mail: Mail::default(),
            gone: Vec::new(),
        }
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.mail.letters.values()
    }

    pub(super) async fn add(&mut self, letters: Vec<Letter>) {
        self.index_letters(&letters).await;
        for letter in letters {
            self.mail.letters.insert(letter.hash, letter);
        }
        self.mail.changes += 1;
    }

    /// Tries until it is done, as the account does.
    async fn index_letters(&self, letters: &[Letter]) {
        loop {
            let mut builder = Builder::new();
            for letter in letters {
                builder.begin(letter.hash, letter.date, letter.size);
                let is_rest = |field: &Field| *field == Field::Rest;
                for (field, text) in letter.texts.iter().filter(|(field, _)| !is_rest(field)) {
                    builder.text(*field, text);
                }
                for (_, text) in letter.texts.iter().filter(|(field, _)| is_rest(field)) {
                    builder.rest(text);
                }
                builder.finish_message(letter.traits);
            }
            if self
                .index
                .add(&self.store, builder, Batch::new())
                .await
                .is_ok()
            {
                return;
            }
        }
    }

    pub(super) fn expunge(&mut self, nth: u8) {
        let count = self.mail.letters.len().max(1);
        let chosen = self
            .mail
            .letters
            .keys()
            .nth(usize::from(nth) % count)
            .copied();
        if let Some(letter) = chosen.and_then(|hash| self.mail.letters.remove(&hash)) {
            self.gone.push(letter);
            self.mail.changes += 1;
        }
    }

    pub(super) fn expunge_letter(&mut self, nth: u32) {
        self.mail.letters.remove(&hash(nth)).unwrap();
        self.mail.changes += 1;
    }

    /// What was expunged is placed again; the replica then queues it again.
    pub(super) async fn place_again(&mut self, nth: u8) {
        if self.gone.is_empty() {
            return;
        }
        let letter = self.gone.remove(usize::from(nth) % self.gone.len());
        if !self.mail.letters.contains_key(&letter.hash) {
            self.add(vec![letter]).await;
        }
    }

    pub(super) async fn tend(&mut self, steps: u8) {
        for _ in 0..steps {
            // A step that failed is taken again some other time.
            self.index.tend(&self.store, &self.mail).await.ok();
        }
    }

    pub(super) async fn tend_once(&mut self) -> bool {
        let step = self.index.tend(&self.store, &self.mail).await;
        step.unwrap_or(true)
    }

    pub(super) fn fail_next(&mut self, commits: u8) {
        self.store.fails.store(commits, Ordering::Relaxed);
    }

    pub(super) fn restart(&mut self) {
        self.index = Index::new();
    }

    pub(super) async fn reset(&mut self) {
        while self.index.reset(&self.store).await.is_err() {}
        assert!(
            self.index
                .queue_from(&self.store)
                .await
                .unwrap_or(Some(hash(0)))
                .is_some()
        );
        let letters: Vec<Letter> = self.letters().cloned().collect();
        self.index_letters(&letters).await;
    }

    pub(super) async fn search(&self, query: &Query, page: Page) -> Result<Found, SearchError> {
        loop {
            match self
                .index
                .search(&self.store, &self.mail, query, page)
                .await
            {
                // The first search may have to write the first manifest.
                Err(SearchError::Store(_)) => {}
                found => return found,
            }
        }
    }

    pub(super) async fn size(&self) -> IndexSize {
        self.index.size(&self.store).await.unwrap()
    }

    /// Spoils what is stored.
    pub(super) async fn damage(&self) {
        let mut batch = Batch::new();
        batch.put(
            Table::SearchIndex,
            rows::key(1, Kind::Documents, 0),
            vec![9],
        );
        self.store.commit(batch).await.unwrap();
    }
}

const WORDS: [&str; 16] = [
    "seed",
    "seeds",
    "garden",
    "Gärten",
    "der",
    "a",
    "日本",
    "日本語",
    "本",
    "bob@x.org",
    "x",
    "org",
    "can't",
    "3.14",
    "Ёлка",
    "🎉",
];

fn any_words() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(&WORDS[..]);
    let between = proptest::sample::select(&[" ", ", ", "-", "", "\n"][..]);
    proptest::collection::vec((word, between), 0..8)
        .prop_map(|words| words.iter().flat_map(|(w, b)| [*w, *b]).collect::<String>())
}

fn any_place(message: MessageHash) -> impl Strategy<Value = Facts> {
    (0..2_u8, any::<[bool; 4]>()).prop_map(move |(at, [seen, flagged, answered, draft])| Facts {
        message,
        mailbox: mailbox(at),
        seen,
        flagged,
        answered,
        draft,
    })
}

pub(super) fn any_letter() -> impl Strategy<Value = Letter> {
    let field = proptest::sample::select(
        &[
            Field::From,
            Field::To,
            Field::Subject,
            Field::Body,
            Field::FileName,
            Field::Rest,
        ][..],
    );
    let texts = proptest::collection::vec((field, any_words()), 0..4);
    let traits = proptest::sample::select(
        &[
            Traits::NONE,
            Traits::NONE,
            Traits::ATTACHMENT,
            Traits::ENCRYPTED,
            Traits::SIGNED,
        ][..],
    );
    (0..60_u32, 0..900_i64, 0..5000_u64, traits, texts).prop_flat_map(
        |(nth, day, size, traits, texts)| {
            let places = proptest::collection::vec(any_place(hash(nth)), 1..3);
            places.prop_map(move |places| Letter {
                hash: hash(nth),
                date: Timestamp::from_secs((19_000 + day) * 86_400 + day),
                size,
                traits,
                texts: texts.clone(),
                places,
            })
        },
    )
}

pub(super) fn any_query() -> impl Strategy<Value = String> {
    let field =
        proptest::sample::select(&["", "", "", "from:", "subject:", "body:", "filename:"][..]);
    let word = proptest::sample::select(&WORDS[..]);
    let words = (field, word, any_words(), any::<[bool; 3]>()).prop_map(
        |(field, word, words, [phrase, prefix, negated])| {
            let text = if phrase {
                format!("\"{words}\"")
            } else {
                word.to_owned()
            };
            let (minus, star) = (
                if negated { "-" } else { "" },
                if prefix { "*" } else { "" },
            );
            format!("{minus}{field}{text}{star}")
        },
    );
    let filter = proptest::sample::select(
        &[
            "in:inbox",
            "in:work",
            "in:both",
            "in:nowhere",
            "is:unread",
            "is:read",
            "is:flagged",
            "-is:answered",
            "is:draft",
            "is:encrypted",
            "is:signed",
            "has:attachment",
            "before:2023",
            "since:2023-02",
            "on:2022-07",
            "larger:1K",
            "smaller:2K",
            "-in:work",
            "(in:inbox is:unread)",
            "(seed OR is:unread)",
            "-(seed garden)",
            "s*",
            "",
        ][..],
    );
    let term = prop_oneof![3 => words, 2 => filter.prop_map(str::to_owned)];
    let between = proptest::sample::select(&[" ", " ", " OR "][..]);
    proptest::collection::vec((term, between), 1..5).prop_map(|terms| {
        terms
            .iter()
            .flat_map(|(t, b)| [t.as_str(), *b])
            .collect::<String>()
    })
}

/// A piece of what letters say, cut anywhere.
pub(super) fn any_needle() -> impl Strategy<Value = String> {
    (any_words(), any::<prop::sample::Index>(), 0..12_usize).prop_map(|(words, at, length)| {
        let chars: Vec<char> = words.chars().collect();
        let start = if chars.is_empty() {
            0
        } else {
            at.index(chars.len())
        };
        chars.into_iter().skip(start).take(length).collect()
    })
}
