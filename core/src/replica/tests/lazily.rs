//! A device that fetches contents when they are wanted, and lets them go again.

use super::filling::{documents, pull_without_contents};
use super::*;
use crate::mime::Span;
use crate::store::KeyRange;
use crate::sync::filling::Filling;

const PLENTY: usize = 10_000;

/// Fetches these; how many came.
async fn fetch(device: &Replica<MemoryStore>, provider: &Provider, wanted: Vec<DocId>) -> usize {
    let mut filling = Filling::of(wanted);
    let mut came = 0;
    while let Some(request) = filling.next_request(device).await.unwrap() {
        let response = documents(provider, &request, 3);
        came += response.envelopes.len();
        filling
            .handle_documents(device, response, NOW)
            .await
            .unwrap();
    }
    came
}

/// Asks for what the device may have pushed.
pub(super) async fn make_sure(device: &Replica<MemoryStore>, provider: &Provider) {
    if let Some(contents) = device.unsure_contents().await.unwrap() {
        fetch(device, provider, contents).await;
        device.contents_are_known(NOW).await.unwrap();
    }
}

/// Fetches all that is missing: whatever was let go can be had again.
pub(super) async fn fetch_all(device: &Replica<MemoryStore>, provider: &Provider) {
    let missing = device.awaited().await.unwrap();
    fetch(device, provider, missing).await;
    assert_eq!(device.awaited().await.unwrap(), []);
    assert_eq!(device.check().await.unwrap().findings, []);
}

async fn append(device: &Replica<MemoryStore>, raw: &str) -> Uid {
    let mailbox = inbox(device);
    // Other devices give out UIDs by when messages were placed.
    let now = at(mailbox.uid_next.get().into());
    let appended = device.append(mailbox.id, raw.as_bytes(), FlagSet::new(), now, now);
    appended.await.unwrap().uid
}

async fn whole(device: &Replica<MemoryStore>, uid: Uid) -> Vec<(Arc<Message>, Span)> {
    let placement = device.placement(inbox(device).id, uid).unwrap();
    let message = device.message(placement.message).await.unwrap().unwrap();
    let span = Span {
        start: 0,
        end: message.structure.size,
    };
    vec![(message, span)]
}

async fn contents(device: &Replica<MemoryStore>) -> usize {
    let rows = device.store.scan(Table::Contents, KeyRange::all()).await;
    rows.unwrap().len()
}

/// A provider with three letters of the first device's, and a lazy device that has heard of them.
async fn world() -> (Provider, Replica<MemoryStore>, Replica<MemoryStore>) {
    let (provider, a, b) = (Provider::default(), device(1).await, device(2).await);
    for n in 1..=3 {
        append(&a, &letter(n)).await;
    }
    exchange(&a, &provider, &mut None).await;
    b.fetch_lazily();
    pull_without_contents(&b, &provider).await;
    (provider, a, b)
}

fn letter(n: u8) -> String {
    let body = String::from_utf8(noise(u64::from(n), 3000)).unwrap();
    format!("Subject: {n}\r\n\r\n{body}\r\n")
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

#[tokio::test]
async fn what_is_opened_is_fetched_and_what_was_used_least_lately_goes_first() {
    let (provider, a, b) = world().await;
    assert_eq!((truth(&a), contents(&b).await), (truth(&b), 0));
    for (number, seconds) in [(1, 1), (2, 2), (3, 3)] {
        let wanted = whole(&b, uid(number)).await;
        let missing = b.missing(&wanted).await.unwrap();
        assert_eq!(missing.len(), 1);
        assert_eq!(fetch(&b, &provider, missing).await, 1);
        assert_eq!(b.missing(&wanted).await.unwrap(), []);
        let raw = b.raw(&wanted[0].0).await.unwrap();
        assert_eq!(raw, letter(u8::try_from(number).unwrap()).as_bytes());
        b.note_used(&wanted, at(3600 + seconds)).await.unwrap();
    }
    // The first is read once more.
    b.note_used(&whole(&b, uid(1)).await, at(7300))
        .await
        .unwrap();
    let kept = b.kept_octets().await.unwrap();
    let each = kept / 3;
    assert!((2000..4000).contains(&each), "{kept}");
    assert_eq!(b.let_go(kept, NOW).await.unwrap().contents, 0);
    let gone = b.let_go(2 * each + each / 2, NOW).await.unwrap();
    assert_eq!((gone.contents, gone.kept + gone.octets), (1, kept));
    assert_eq!(b.kept_octets().await.unwrap(), gone.kept);
    assert_eq!(b.missing(&whole(&b, uid(2)).await).await.unwrap().len(), 1);
    for still in [1, 3] {
        assert_eq!(b.missing(&whole(&b, uid(still)).await).await.unwrap(), []);
    }
    let second = &whole(&b, uid(2)).await[0].0;
    let error = b.raw(second).await.unwrap_err();
    assert!(matches!(error, ReplicaError::NotHere(_)), "{error}");
    // It cannot be copied, and comes back when it is wanted.
    let inbox = inbox(&b).id;
    let copied = b.copy(inbox, &[uid(2)], inbox, NOW).await;
    assert!(matches!(copied, Err(ReplicaError::NotHere(_))));
    fetch_all(&b, &provider).await;
    assert_eq!(b.kept_octets().await.unwrap(), kept);
}

#[tokio::test]
async fn what_waits_to_be_pushed_is_not_let_go() {
    let (provider, _, b) = world().await;
    let own = append(&b, &letter(9)).await;
    assert_eq!(b.let_go(0, NOW).await.unwrap().contents, 0);
    assert_eq!(contents(&b).await, 1);
    exchange(&b, &provider, &mut None).await;
    assert_eq!(b.let_go(0, NOW).await.unwrap().contents, 1);
    assert_eq!(contents(&b).await, 0);
    assert_eq!(b.missing(&whole(&b, own).await).await.unwrap().len(), 1);
    fetch_all(&b, &provider).await;
}

#[tokio::test]
async fn contents_that_came_before_the_device_was_lazy_are_counted() {
    let (provider, a, _) = world().await;
    assert_eq!(a.kept_octets().await.unwrap(), 0);
    a.fetch_lazily();
    assert_eq!(a.let_go(u64::MAX, NOW).await.unwrap().contents, 0);
    assert!(a.kept_octets().await.unwrap() > 6000);
    assert_eq!(a.let_go(0, NOW).await.unwrap().contents, 3);
    exchange(&a, &provider, &mut None).await;
    fetch_all(&a, &provider).await;
}

#[tokio::test]
async fn what_is_thrown_away_goes_at_the_provider_though_it_was_never_here() {
    let (provider, a, b) = world().await;
    let due = Timestamp::from_millis(NOW.as_millis() + GARBAGE_KEPT_MS);
    b.expunge(inbox(&b).id, &[uid(1)], NOW).await.unwrap();
    let none = BTreeSet::new();
    let (collected, missing) = b.collect_lazily(due, PLENTY, &none).await.unwrap();
    assert_eq!((collected.messages, missing.len()), (0, 1));
    fetch(&b, &provider, missing).await;
    let (collected, missing) = b.collect_lazily(due, PLENTY, &none).await.unwrap();
    assert_eq!((collected.messages, collected.contents), (1, 1));
    assert_eq!(missing, []);
    assert_eq!(b.kept_octets().await.unwrap(), 0);
    exchange(&b, &provider, &mut None).await;
    let removed = |envelope: &[u8]| Header::parse(envelope).unwrap().revision.get() == 2;
    let log = provider.log();
    let content = a.keys().collection_id(Collection::Contents);
    let mut left = log.documents.values().filter(|(_, envelope)| {
        Header::parse(envelope).unwrap().collection == content && !removed(envelope)
    });
    assert_eq!(left.by_ref().count(), 2);
    exchange(&a, &provider, &mut None).await;
    assert_eq!(truth(&a), truth(&b));
    // What the provider has lost holds up nothing.
    b.expunge(inbox(&b).id, &[uid(2)], NOW).await.unwrap();
    let (_, missing) = b.collect_lazily(due, PLENTY, &none).await.unwrap();
    let gone: BTreeSet<DocId> = missing.into_iter().collect();
    let (collected, missing) = b.collect_lazily(due, PLENTY, &gone).await.unwrap();
    assert_eq!((collected.messages, missing.len()), (1, 0));
    assert_eq!(
        b.check().await.unwrap().findings.len(),
        1,
        "the third is not here"
    );
}

#[tokio::test]
async fn a_content_that_another_device_removes_is_brought_again() {
    let (provider, a, b) = world().await;
    // Both have a letter with the same text; the other device throws its own away and collects
    // before it hears of ours.
    let same = letter(7);
    let theirs = append(&a, &same).await;
    exchange(&a, &provider, &mut None).await;
    pull_without_contents(&b, &provider).await;
    fetch_all(&b, &provider).await;
    append(&b, &same.replace("Subject: 7", "Subject: seven")).await;
    a.expunge(inbox(&a).id, &[theirs], NOW).await.unwrap();
    assert_eq!(a.collect_all(NOW, PLENTY).await.unwrap().contents, 1);
    while let Some(push) = a.pending_push().await.unwrap() {
        let answer = provider.push(&push.request);
        engine::handle_push(&a, &push, answer, NOW).await.unwrap();
    }
    for device in [&b, &a, &b, &a] {
        exchange(device, &provider, &mut None).await;
    }
    assert_eq!(truth(&a), truth(&b));
    fetch_all(&b, &provider).await;
    assert_eq!(a.check().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_lazy_device_that_begins_anew_misses_no_contents() {
    let (provider, a, b) = world().await;
    exchange(&b, &provider, &mut None).await;
    b.provider_was_set_back(NOW).await.unwrap();
    for device in [&b, &a, &b, &a, &b] {
        exchange(device, &provider, &mut None).await;
    }
    for device in [&a, &b] {
        let state = device.manifest_state().await.unwrap().unwrap();
        assert_eq!(state.epoch, 1, "once is enough");
    }
    fetch_all(&b, &provider).await;
}

#[tokio::test]
async fn what_arrived_without_an_answer_is_stated_once() {
    let (provider, a, b) = world().await;
    append(&b, &letter(8)).await;
    let push = b.pending_push().await.unwrap().unwrap();
    assert!(matches!(
        provider.push(&push.request),
        PushResponse::Accepted { .. }
    ));
    // The answer is lost; the log tells of all but the content.
    pull_without_contents(&b, &provider).await;
    assert!(b.has_pending().await.unwrap());
    assert!(b.pending_push().await.unwrap().is_none());
    for device in [&b, &a, &b, &a] {
        exchange(device, &provider, &mut None).await;
    }
    assert!(!b.has_pending().await.unwrap());
    let state = a.manifest_state().await.unwrap().unwrap();
    assert_eq!((state.epoch, state.heard), (0, state.stated));
}
