//! A directory that lies in every way, against devices that follow it.

use proptest::prelude::*;

use super::answer::{self, AnswerError, ChangesAnswer, HeadAnswer};
use super::map::{End, MapProof};
use super::memory::MemoryDirectory;
use super::*;
use crate::id::Address;

pub(super) fn hex(octets: &[u8]) -> String {
    use core::fmt::Write as _;
    octets.iter().fold(String::new(), |mut hex, octet| {
        let _infallible = write!(hex, "{octet:02x}");
        hex
    })
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn alice() -> Address {
    address("alice@letterlock.example")
}

fn bob() -> Address {
    address("bob@letterlock.example")
}

/// Alice, Bob and some others.
fn directory() -> MemoryDirectory {
    let mut directory = MemoryDirectory::new("letterlock.example", 1);
    directory.publish(&alice(), &[b"alice 1"]);
    directory.publish(&bob(), &[b"bob 1"]);
    for n in 0..20 {
        directory.publish(&address(&format!("u{n}@letterlock.example")), &[b"other"]);
    }
    directory
}

fn follower(directory: &mut MemoryDirectory, of: &Address) -> Follower {
    let (follower, _) = Follower::begin(of, &directory.lookup(of, 0)).unwrap();
    follower
}

fn follow(
    follower: &mut Follower,
    directory: &mut MemoryDirectory,
    of: &Address,
) -> Result<Vec<Value>, Refusal> {
    let own = follower.label(of);
    let mut all = Vec::new();
    loop {
        let answer = directory.changes(follower.followed(), follower.seen());
        let replayed = follower.follow(&answer, &own)?;
        all.extend(replayed.own.into_iter().map(|(_, value)| value));
        if !replayed.more {
            return Ok(all);
        }
    }
}

fn finding<T: core::fmt::Debug>(result: Result<T, Refusal>) -> Finding {
    match result.unwrap_err() {
        Refusal::Alarm(alarm) => alarm.finding,
        other => panic!("no alarm: {other}"),
    }
}

#[test]
fn an_honest_directory_is_followed_and_proves_its_answers() {
    let mut directory = directory();
    let mut device = follower(&mut directory, &alice());
    let nobody = device.lookup(
        &address("x@letterlock.example"),
        &directory.lookup(&address("x@letterlock.example"), 22),
    );
    assert_eq!(nobody.unwrap().value, None);
    directory.publish(&alice(), &[b"alice 1", b"alice 2"]);
    for n in 0..600 {
        directory.publish(&bob(), &[&[u8::try_from(n % 250).unwrap(), 7]]);
    }
    let seen = device.seen();
    let entry = device
        .lookup(&bob(), &directory.lookup(&bob(), seen))
        .unwrap();
    assert_eq!(entry.certificates, [[99, 7]]);
    let own = follow(&mut device, &mut directory, &alice()).unwrap();
    let set = set_hash(&[b"alice 2", b"alice 1"]);
    assert_eq!(own, [Value { version: 2, set }]);
    assert_eq!((device.seen(), device.followed()), (623, 623));
    // What is kept comes back.
    let kept = postcard::to_allocvec(&device).unwrap();
    assert_eq!(postcard::from_bytes::<Follower>(&kept).unwrap(), device);
    // An account that ended has an entry without certificates; with a detail it is the same.
    directory.publish(&bob(), &[]);
    let bob = address("Bob+news@letterlock.example");
    let entry = device.lookup(&bob, &directory.lookup(&bob, 623)).unwrap();
    assert_eq!(entry.value.unwrap().version, 602);
    assert!(entry.certificates.is_empty());
}

#[test]
fn an_empty_directory_can_be_followed_from_its_first_change_on() {
    let mut directory = MemoryDirectory::new("letterlock.example", 1);
    let mut device = follower(&mut directory, &alice());
    directory.publish(&bob(), &[b"bob 1"]);
    directory.publish(&alice(), &[b"alice 1"]);
    assert_eq!(
        follow(&mut device, &mut directory, &alice()).unwrap().len(),
        1
    );
}

#[test]
fn attack_14_two_heads_are_found_by_another_device_and_by_a_correspondent() {
    let mut shown_to_alice = directory();
    let mut device = follower(&mut shown_to_alice, &alice());
    // From here on Bob and Alice's other device are shown another log.
    let mut shown_to_bob = shown_to_alice.clone();
    shown_to_bob.publish(&alice(), &[b"the provider's own"]);
    shown_to_alice.publish(&bob(), &[b"bob 2"]);
    let theirs = shown_to_bob.signed();
    follow(&mut device, &mut shown_to_alice, &alice()).unwrap();
    for witness in [Witness::Device, Witness::Correspondent(bob())] {
        let split = Finding::SplitView {
            witness: witness.clone(),
            size: 23,
        };
        // As long as ours: two signed heads convict it without asking.
        let at_once = device.compare_at_once(theirs.head(), &witness);
        assert_eq!(finding(at_once.unwrap()), split);
        // Ours has grown: the provider has no proof.
        let mut directory = shown_to_alice.clone();
        directory.publish(&address("new@letterlock.example"), &[b"x"]);
        let mut grown = device.clone();
        follow(&mut grown, &mut directory, &alice()).unwrap();
        assert_eq!(grown.compare_at_once(theirs.head(), &witness), None);
        let answer = directory.head(grown.seen(), theirs.head().size);
        assert_eq!(
            finding(grown.compare(theirs.head(), &witness, &answer)),
            split
        );
        // Theirs is longer than anything that we are shown.
        let mut longer = shown_to_bob.clone();
        longer.publish(&bob(), &[b"bob 3"]);
        let longer = longer.signed();
        let answer = shown_to_alice.head(device.seen(), longer.head().size);
        let judged = device.clone().compare(longer.head(), &witness, &answer);
        assert_eq!(finding(judged), Finding::SplitView { witness, size: 24 });
    }
    // The same log, earlier or later, is none.
    let mut earlier = directory();
    let witness = Witness::Device;
    let answer = shown_to_alice.head(device.seen(), 22);
    device
        .compare(earlier.signed().head(), &witness, &answer)
        .unwrap();
}

#[test]
fn attack_14_another_key_is_found_by_its_owner_even_if_it_was_there_for_a_moment() {
    let mut directory = directory();
    let mut owner = follower(&mut directory, &alice());
    let mut writer = follower(&mut directory, &bob());
    directory.publish(&alice(), &[b"the provider's own"]);
    let shown = writer.lookup(&alice(), &directory.lookup(&alice(), writer.seen()));
    assert_eq!(shown.unwrap().certificates, [b"the provider's own"]);
    directory.publish(&alice(), &[b"alice 1"]);
    let own = follow(&mut owner, &mut directory, &alice()).unwrap();
    let theirs = set_hash(&[b"the provider's own"]);
    assert_eq!(own.len(), 2);
    assert_eq!((own[0].version, own[0].set), (2, theirs));
}

#[test]
fn a_change_that_is_hidden_behind_another_is_found_by_everybody_who_follows() {
    let mut directory = directory();
    let mut owner = follower(&mut directory, &alice());
    let honest = {
        let mut next = directory.clone();
        next.publish(&bob(), &[b"bob 2"]);
        next.steps.pop().unwrap()
    };
    // The leaf speaks of Bob, the map has another key for Alice.
    directory.forge(&alice(), 2, &[b"the provider's own"]);
    directory.hide(honest);
    let found = finding(follow(&mut owner, &mut directory, &alice()));
    assert_eq!(found, Finding::FalseChange { position: 22 });
    // A lookup would have taken it: replaying is what finds it.
    let mut writer = follower(&mut self::directory(), &bob());
    let answer = directory.lookup(&alice(), writer.seen());
    assert!(writer.lookup(&alice(), &answer).is_ok());
}

#[test]
fn a_version_that_is_left_out_or_goes_back_is_found() {
    for version in [1, 3, 0] {
        let mut directory = directory();
        let mut owner = follower(&mut directory, &alice());
        let mut step = {
            let mut next = directory.clone();
            next.publish(&alice(), &[b"alice 2"]);
            next.steps.pop().unwrap()
        };
        step.value.version = version;
        directory.forge(&alice(), version, &[b"alice 2"]);
        directory.hide(step);
        let found = finding(follow(&mut owner, &mut directory, &alice()));
        assert_eq!(found, Finding::FalseChange { position: 22 });
    }
}

#[test]
fn a_dropped_entry_is_no_proof_of_absence() {
    let mut directory = directory();
    let mut writer = follower(&mut directory, &bob());
    let truth = directory.lookup(&alice(), writer.seen());
    let absent = {
        let mut other = MemoryDirectory::new("letterlock.example", 1);
        other.publish(&bob(), &[b"bob 1"]);
        other.lookup(&alice(), 0).proof
    };
    for proof in [
        absent,
        MapProof {
            end: End::Empty,
            ..truth.proof.clone()
        },
        directory.lookup(&bob(), 0).proof,
    ] {
        let mut answer = truth.clone();
        answer.proof = proof;
        answer.certificates.clear();
        let found = finding(writer.clone().lookup(&alice(), &answer));
        assert_eq!(found, Finding::FalseEntry(alice()));
    }
    // A true proof with other certificates, or without them.
    for certificates in [
        vec![],
        vec![&b"the provider's own"[..]],
        vec![b"alice 1", b"x"],
    ] {
        let mut answer = truth.clone();
        answer.certificates = certificates
            .into_iter()
            .map(serde_bytes::ByteBuf::from)
            .collect();
        let found = finding(writer.clone().lookup(&alice(), &answer));
        assert_eq!(found, Finding::FalseEntry(alice()));
    }
    // A map that no leaf has.
    let mut forged = directory.clone();
    forged.forge(&alice(), 2, &[b"the provider's own"]);
    let mut answer = forged.lookup(&alice(), writer.seen());
    answer.last.clone_from(&truth.last);
    let found = finding(writer.lookup(&alice(), &answer));
    assert_eq!(found, Finding::FalseEntry(alice()));
}

#[test]
fn a_log_that_was_set_back_or_rewritten_and_an_old_head_are_refused() {
    let mut directory = directory();
    let old = directory.head(0, 0);
    let mut device = follower(&mut directory, &alice());
    let mut rolled_back = directory.clone();
    directory.publish(&bob(), &[b"bob 2"]);
    follow(&mut device, &mut directory, &alice()).unwrap();
    let back = Finding::RolledBack {
        seen: 23,
        shown: 22,
    };
    assert_eq!(finding(device.advance(&old)), back);
    let answer = rolled_back.changes(23, 23);
    assert_eq!(
        finding(device.follow(&answer, &device.label(&alice()))),
        back
    );
    let answer = rolled_back.lookup(&bob(), 23);
    assert_eq!(finding(device.lookup(&bob(), &answer)), back);
    for n in 3..9 {
        rolled_back.publish(&bob(), &[&[n]]);
        let answer = rolled_back.head(23, 0);
        let rewritten = Finding::NotExtended { seen: 23 };
        assert_eq!(finding(device.clone().advance(&answer)), rewritten);
    }
    // Nothing of it was remembered.
    follow(&mut device, &mut directory, &alice()).unwrap();
}

#[test]
fn another_key_another_salt_and_a_bad_signature_are_refused() {
    let mut directory = directory();
    let mut device = follower(&mut directory, &alice());
    let mut other = MemoryDirectory::new("letterlock.example", 2);
    for _ in 0..2 {
        other.publish(&alice(), &[b"alice 1"]);
        other.publish(&alice(), &[b"alice 2"]);
    }
    let found = finding(device.advance(&other.head(22, 0)));
    assert_eq!(found, Finding::OtherDirectory);
    let at_once = device.compare_at_once(other.signed().head(), &Witness::Device);
    assert_eq!(finding(at_once.unwrap()), Finding::OtherDirectory);
    let mut bad: HeadAnswer = directory.head(22, 0);
    *bad.head.last_mut().unwrap() ^= 1;
    assert_eq!(finding(device.advance(&bad)), Finding::BadSignature);
}

#[test]
fn what_is_withheld_is_found() {
    let mut directory = directory();
    let mut device = follower(&mut directory, &alice());
    directory.publish(&alice(), &[b"the provider's own"]);
    directory.publish(&bob(), &[b"bob 2"]);
    let own = device.label(&alice());
    let truth = directory.changes(device.followed(), device.seen());
    let check = |change: fn(&mut ChangesAnswer)| {
        let mut answer = truth.clone();
        change(&mut answer);
        let found = finding(device.clone().follow(&answer, &own));
        assert!(matches!(found, Finding::FalseChange { .. }), "{found:?}");
    };
    check(|answer| answer.steps.clear());
    check(|answer| drop(answer.steps.remove(0)));
    check(|answer| drop(answer.steps.pop()));
    check(|answer| answer.steps.swap(0, 1));
    check(|answer| answer.steps[0].value.set = Hash([1; 32]));
    assert_eq!(device.follow(&truth, &own).unwrap().own.len(), 1);
}

#[test]
fn golden_answers_and_newer_ones_are_refused_clearly() {
    let mut directory = MemoryDirectory::new("x.example", 1);
    directory.publish(&address("a@x.example"), &[b"a"]);
    let answer = directory.head(0, 0);
    let mut octets = Vec::new();
    ciborium::into_writer(&answer, &mut octets).unwrap();
    assert_eq!(answer::decode::<HeadAnswer>(&octets), Ok(answer.clone()));
    // {"version": 1, "head": h'01...
    let start = b"\xa4\x67version\x01\x64head\x58\xdb\x01\x09x.example";
    assert_eq!(&octets[..start.len()], start);
    let mut newer = answer;
    newer.version = 2;
    octets.clear();
    ciborium::into_writer(&newer, &mut octets).unwrap();
    let error = answer::decode::<HeadAnswer>(&octets).unwrap_err();
    assert_eq!(error, AnswerError::Newer(2));
    assert!(error.to_string().contains("update"));
    let long = vec![0; answer::MAX_ANSWER_OCTETS + 1];
    for octets in [&b""[..], b"\xa0", b"\xff", &long] {
        let error = answer::decode::<HeadAnswer>(octets).unwrap_err();
        assert_eq!(error, AnswerError::Malformed);
    }
}

#[test]
fn an_alarm_says_what_whom_and_what_to_do() {
    let alarm = Alarm {
        domain: "letterlock.example".to_owned(),
        finding: Finding::SplitView {
            witness: Witness::Correspondent(bob()),
            size: 7,
        },
    };
    let text = alarm.to_string();
    assert!(text.contains("letterlock.example") && text.contains("bob@letterlock.example"));
    assert!(alarm.advice().contains("fingerprints"));
    let mut other = alarm.clone();
    assert_eq!(alarm.digest(), other.digest());
    other.domain = "x.example".to_owned();
    assert_ne!(alarm.digest(), other.digest());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_published_is_followed(
        publications in prop::collection::vec((0_u8..12, any::<u8>()), 1..80), pause in 1_usize..30) {
        let mut directory = MemoryDirectory::new("letterlock.example", 1);
        let mut device = follower(&mut directory, &alice());
        let mut own = Vec::new();
        for (n, (who, what)) in publications.iter().enumerate() {
            let who = if *who == 0 { alice() } else { address(&format!("u{who}@letterlock.example")) };
            directory.publish(&who, &[&[*what]]);
            if n % pause == 0 {
                own.extend(follow(&mut device, &mut directory, &alice()).unwrap());
            }
        }
        own.extend(follow(&mut device, &mut directory, &alice()).unwrap());
        let versions: Vec<u64> = own.iter().map(|value| value.version).collect();
        let count = u64::try_from(versions.len()).unwrap();
        prop_assert_eq!(versions, (1..=count).collect::<Vec<_>>());
        prop_assert_eq!(device.seen(), directory.size());
        // A new device, begun anywhere, is where the old one is.
        prop_assert_eq!(follower(&mut directory, &alice()), device);
    }
}
