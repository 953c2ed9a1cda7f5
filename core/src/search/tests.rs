//! The index against a plain reading of the same messages: random mail, random queries, random
//! merges, failures and ends of the process in between.

mod plain;
mod world;

use proptest::prelude::*;

use self::plain::{finds, has};
use self::world::{Letter, World, hash, letter};
use super::candidates::Place;
use super::*;
use crate::store::{MemoryStore, SealedStore, Store};

/// What may happen to an index.
#[derive(Debug, Clone)]
enum Event {
    Add(Vec<Letter>),
    Expunge(u8),
    Place(u8),
    Tend(u8),
    /// The next commits fail.
    Fail(u8),
    /// The process ends and another begins.
    Restart,
    Reset,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => proptest::collection::vec(world::any_letter(), 1..6).prop_map(Event::Add),
        2 => any::<u8>().prop_map(Event::Expunge),
        1 => any::<u8>().prop_map(Event::Place),
        4 => (1..9_u8).prop_map(Event::Tend),
        1 => (1..4_u8).prop_map(Event::Fail),
        1 => Just(Event::Restart),
        1 => Just(Event::Reset),
    ]
}

const PAGE: Page = Page {
    offset: 0,
    limit: usize::MAX,
};

async fn agree<S: Store>(world: &World<S>, queries: &[String], needles: &[String]) {
    for text in queries {
        let query = Query::parse(text);
        let found = world.search(&query, PAGE).await.unwrap();
        let expected = finds(world, &query);
        let hits: Vec<_> = found.hits.iter().map(|hit| hit.message).collect();
        assert_eq!(hits, expected, "{text:?}");
        assert_eq!(found.total, expected.len());
        let mut all = expected;
        all.sort();
        let found = world.index.search_all(&world.store, &world.mail, &query);
        assert_eq!(found.await.unwrap(), all, "{text:?}");
    }
    for needle in needles {
        for (place, fields) in [
            (Place::Subject, &[Field::Subject][..]),
            (Place::Body, &[Field::Body, Field::Rest]),
        ] {
            let candidates = world.index.candidates(&world.store, place, needle);
            let Some(candidates) = candidates.await.unwrap() else {
                continue;
            };
            for letter in world.letters() {
                let needed = has(letter, fields, needle);
                assert!(
                    !needed || candidates.may_have(&letter.hash),
                    "{needle:?} in {letter:?}"
                );
            }
        }
    }
}

async fn live<S: Store>(
    world: &mut World<S>,
    events: Vec<Event>,
    queries: &[String],
    needles: &[String],
) {
    for event in events {
        match event {
            Event::Add(letters) => world.add(letters).await,
            Event::Expunge(nth) => world.expunge(nth),
            Event::Place(nth) => world.place_again(nth).await,
            Event::Tend(steps) => world.tend(steps).await,
            Event::Fail(commits) => world.fail_next(commits),
            Event::Restart => world.restart(),
            Event::Reset => world.reset().await,
        }
        agree(world, &queries[..1], &needles[..1]).await;
    }
    agree(world, queries, needles).await;
    while world.tend_once().await {}
    agree(world, queries, needles).await;
    assert!(world.size().await.segments <= 12);
}

fn run<S: Store>(store: S, events: Vec<Event>, queries: &[String], needles: &[String]) {
    let mut world = World::new(store);
    futures::executor::block_on(live(&mut world, events, queries, needles));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_a_plain_reading_finds(
        events in proptest::collection::vec(any_event(), 1..14),
        queries in proptest::collection::vec(world::any_query(), 1..10),
        needles in proptest::collection::vec(world::any_needle(), 1..10),
    ) {
        run(MemoryStore::new(), events, &queries, &needles);
    }

    #[test]
    fn so_does_a_sealed_one(
        events in proptest::collection::vec(any_event(), 1..6),
        queries in proptest::collection::vec(world::any_query(), 1..4),
        needles in proptest::collection::vec(world::any_needle(), 1..4),
    ) {
        run(SealedStore::new(MemoryStore::new(), &[7; 32]), events, &queries, &needles);
    }
}

#[tokio::test]
async fn many_segments_become_few_and_the_expunged_go() {
    let mut world = World::new(MemoryStore::new());
    for nth in 0..300_u32 {
        world
            .add(vec![letter(
                nth,
                &format!("number{nth} seeds"),
                "Dear all, bye",
            )])
            .await;
        world.tend(2).await;
    }
    for nth in 0..150 {
        world.expunge_letter(nth);
    }
    for nth in 300..600_u32 {
        world
            .add(vec![letter(
                nth,
                &format!("number{nth} seeds"),
                "Dear all, bye",
            )])
            .await;
        world.tend(2).await;
    }
    while world.tend_once().await {}
    let size = world.size().await;
    assert!(size.segments <= 9, "{size:?}");
    assert!(size.messages < 500, "the expunged are gone: {size:?}");
    let page = Page {
        offset: 10,
        limit: 5,
    };
    let found = world.search(&Query::parse("seed*"), page).await.unwrap();
    assert_eq!((found.total, found.hits.len()), (450, 5));
    let found = world.search(&Query::parse("number7"), PAGE).await.unwrap();
    assert_eq!(found.total, 0);
    let found = world
        .search(&Query::parse("number599"), PAGE)
        .await
        .unwrap();
    assert_eq!(found.hits[0].message, hash(599));
}

#[tokio::test]
async fn rebuilding_gives_the_same_answers() {
    let mut world = World::new(MemoryStore::new());
    for nth in 0..40_u32 {
        world
            .add(vec![letter(
                nth,
                &format!("letter {nth}"),
                "the same text for all",
            )])
            .await;
        world.tend(1).await;
    }
    let queries = ["letter", "\"the same\"", "7", "-letter", "subject:3*"].map(Query::parse);
    let mut before = Vec::new();
    for query in &queries {
        before.push(world.search(query, PAGE).await.unwrap());
    }
    world.reset().await;
    while world.tend_once().await {}
    for (query, before) in queries.iter().zip(before) {
        assert_eq!(world.search(query, PAGE).await.unwrap(), before, "{query}");
    }
}

#[tokio::test]
async fn damage_is_seen_and_mended() {
    let mut world = World::new(MemoryStore::new());
    world.add(vec![letter(1, "seeds", "text")]).await;
    world.damage().await;
    world.restart();
    let found = world.search(&Query::parse("seeds"), PAGE).await;
    assert!(matches!(found, Err(SearchError::Damaged)), "{found:?}");
    world.reset().await;
    let found = world.search(&Query::parse("seeds"), PAGE).await.unwrap();
    assert_eq!(found.total, 1);
}

#[tokio::test]
async fn a_newer_version_of_a_message_counts() {
    let mut world = World::new(MemoryStore::new());
    world.add(vec![letter(1, "old words", "")]).await;
    world.add(vec![letter(1, "new words", "")]).await;
    for (query, total) in [("old", 0), ("new", 1), ("words", 1)] {
        let found = world.search(&Query::parse(query), PAGE).await.unwrap();
        assert_eq!(found.total, total, "{query}");
    }
}

#[tokio::test]
async fn keys_tell_nothing() {
    use crate::store::{KeyRange, Table};
    let mut world = World::new(MemoryStore::new());
    world
        .add(vec![letter(1, "lighthouse", &"keeper ".repeat(500))])
        .await;
    let rows = world.store.scan(Table::SearchIndex, KeyRange::all()).await;
    for (key, _) in rows.unwrap() {
        assert!(key.len() == 4 || key.len() == 9, "{key:?}");
    }
}
