//! A device's first sync: mailboxes first, then contents, the newest messages first.

use super::*;
use crate::sync::filling::Filling;
use crate::sync::wire::{DocumentsRequest, DocumentsResponse};

/// What the provider has of these, as much as fits.
pub(super) fn documents(
    provider: &Provider,
    request: &DocumentsRequest,
    room: usize,
) -> DocumentsResponse {
    let log = provider.log.lock().unwrap();
    let found = request.ids.iter().filter_map(|id| log.documents.get(id));
    let envelopes = found.map(|(_, envelope)| ByteBuf::from(envelope.clone()));
    DocumentsResponse {
        envelopes: envelopes.take(room).collect(),
    }
}

pub(super) async fn pull_without_contents(device: &Replica<MemoryStore>, provider: &Provider) {
    loop {
        let request = engine::pull_request(device, Extent::WithoutContents, 0)
            .await
            .unwrap();
        let response = provider.pull(&request);
        let more = response.more;
        device.pulled_entries(response, NOW).await.unwrap();
        if !more {
            return;
        }
    }
}

/// Whether each message can be read whole, by when it came.
async fn readable(device: &Replica<MemoryStore>) -> Vec<bool> {
    let mut all = Vec::new();
    for placement in device.placements(inbox(device).id) {
        let message = device.message(placement.message).await.unwrap().unwrap();
        let raw = device.raw(&message).await;
        all.push((placement.internal_date, raw.is_ok()));
    }
    all.sort_unstable();
    all.into_iter().map(|(_, whole)| whole).collect()
}

const LETTERS: usize = 400;

async fn world() -> (Provider, Replica<MemoryStore>) {
    let (provider, a) = (Provider::default(), device(1).await);
    let to = inbox(&a).id;
    for n in 0..LETTERS {
        // The order of arrival is not that of the dates.
        let date = at(i64::try_from(n * 7 % LETTERS).unwrap());
        let raw = format!("Subject: {n}\r\n\r\nbody {n}\r\n");
        let placed = a.append(to, raw.as_bytes(), FlagSet::new(), date, NOW);
        placed.await.unwrap();
    }
    exchange(&a, &provider, &mut None).await;
    (provider, a)
}

#[tokio::test]
async fn the_newest_messages_are_whole_first() {
    let (provider, a) = world().await;
    let b = device(2).await;
    pull_without_contents(&b, &provider).await;
    assert_eq!(truth(&a), truth(&b));
    assert_eq!(readable(&b).await, [false; LETTERS]);
    let mut filling = Filling::begin(&b).await.unwrap().unwrap();
    // Answers have less room than was asked for; the newest come before the others.
    for room in [10, 30] {
        let before = readable(&b).await.iter().filter(|whole| **whole).count();
        let request = filling.next_request(&b).await.unwrap().unwrap();
        assert!(request.ids.len() > room);
        let response = documents(&provider, &request, room);
        filling.handle_documents(&b, response, NOW).await.unwrap();
        let whole = readable(&b).await;
        let (old, new) = whole.split_at(LETTERS - before - room);
        assert!(new.iter().all(|whole| *whole), "{whole:?}");
        assert!(!old.iter().any(|whole| *whole), "{whole:?}");
    }
    while let Some(request) = filling.next_request(&b).await.unwrap() {
        let response = documents(&provider, &request, 100);
        filling.handle_documents(&b, response, NOW).await.unwrap();
    }
    assert_eq!(readable(&b).await, [true; LETTERS]);
    assert_eq!(b.check().await.unwrap().findings, []);
    assert!(Filling::begin(&b).await.unwrap().is_none());
}

#[tokio::test]
async fn what_the_provider_does_not_have_is_asked_for_once() {
    let (provider, a) = world().await;
    let b = device(2).await;
    pull_without_contents(&b, &provider).await;
    {
        let mut log = provider.log.lock().unwrap();
        let contents = a.keys().collection_id(Collection::Contents);
        log.documents.retain(|_, (generation, envelope)| {
            let header = Header::parse(envelope).unwrap();
            header.collection != contents || *generation % 2 == 0
        });
    }
    let mut filling = Filling::begin(&b).await.unwrap().unwrap();
    let mut requests = 0;
    while let Some(request) = filling.next_request(&b).await.unwrap() {
        requests += 1;
        assert!(requests < 20);
        let response = documents(&provider, &request, 200);
        filling.handle_documents(&b, response, NOW).await.unwrap();
    }
    let whole = readable(&b).await;
    let came = whole.iter().filter(|whole| **whole).count();
    assert!((1..LETTERS).contains(&came));
    assert_eq!(b.awaited().await.unwrap().len(), LETTERS - came);
    // What little is missing later is asked for directly, and comes when it is there again.
    let mut again = Filling::begin(&b).await.unwrap().unwrap();
    let request = again.next_request(&b).await.unwrap().unwrap();
    assert_eq!(request.ids.len(), LETTERS - came);
    let response = documents(&provider, &request, 200);
    assert_eq!(response.envelopes.len(), 0);
    again.handle_documents(&b, response, NOW).await.unwrap();
    assert!(again.next_request(&b).await.unwrap().is_none());
}
