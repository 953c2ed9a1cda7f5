//! A roster does as a plain map does, whatever happens to it, and a snapshot stays as it was.

use proptest::prelude::*;

use super::*;
use crate::id::{EntryId, PageId};
use crate::replica::view::Shown;

type Model = BTreeMap<Uid, Placed>;

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn mod_seq(number: u64) -> ModSeq {
    ModSeq::new(number).unwrap()
}

fn placed(number: u32, at: u64, what: u8) -> Placed {
    let keyword = |text: String| Flag::Keyword(Keyword::new(&text).unwrap());
    let all = [
        (1, Flag::Seen),
        (2, Flag::Deleted),
        (4, Flag::Draft),
        (8, keyword("$Junk".to_owned())),
        (16, keyword(format!("k{}", what >> 5))),
    ];
    let flags = all.into_iter().filter(|(bit, _)| what & bit != 0);
    let flags: FlagSet = flags.map(|(_, flag)| flag).collect();
    let page = PageId::new([what; 8]);
    Placed {
        shown: Shown {
            id: PlacementId::of(page, EntryId::new(u64::from(number).to_be_bytes())),
            message: MessageHash::new([what; 32]),
            flags: Flags::of(flags.iter()),
            internal_date: Timestamp::from_secs(i64::from(number)),
            save_date: Timestamp::from_secs(5),
            size: u64::from(what),
        },
        numbers: Numbers {
            uid: uid(number),
            mod_seq: mod_seq(at),
            placed: mod_seq(1),
        },
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8),
    Put(u32, u8),
    Remove(u32),
    RemoveRun(u32, u32),
    Snapshot,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u8>().prop_map(Step::Append),
        3 => (1..200_u32, any::<u8>()).prop_map(|(uid, what)| Step::Put(uid, what)),
        2 => (1..200_u32).prop_map(Step::Remove),
        1 => (1..200_u32, 1..40_u32).prop_map(|(from, many)| Step::RemoveRun(from, many)),
        1 => Just(Step::Snapshot),
    ]
}

fn take(roster: &mut Arc<Roster>, model: &mut Model, step: &Step, at: u64) {
    let mut put = |placed: Placed| {
        Arc::make_mut(roster).put(&placed);
        model.insert(placed.numbers.uid, placed);
    };
    match step {
        // UIDs of what is appended ascend with time.
        Step::Append(what) => put(placed(u32::try_from(at).unwrap() + 200, at, *what)),
        Step::Put(number, what) => put(placed(*number, at, *what)),
        Step::Remove(number) => remove(roster, model, *number),
        Step::RemoveRun(from, many) => {
            for number in *from..from + many {
                remove(roster, model, number);
            }
        }
        Step::Snapshot => {}
    }
}

fn remove(roster: &mut Arc<Roster>, model: &mut Model, number: u32) {
    Arc::make_mut(roster).remove(uid(number));
    model.remove(&uid(number));
}

fn check(roster: &Roster, model: &Model) {
    let all: Vec<Placed> = roster.iter().map(Placed::from).collect();
    assert_eq!(all, model.values().cloned().collect::<Vec<_>>());
    assert_eq!(roster.len(), model.len());
    assert_eq!(roster.is_empty(), model.is_empty());
    let count = |is: &dyn Fn(&Placed) -> bool| {
        u32::try_from(model.values().filter(|placed| is(placed)).count()).unwrap()
    };
    let expected = Counts {
        messages: count(&|_| true),
        unseen: count(&|placed| !placed.shown.flags.has(&Flag::Seen)),
        deleted: count(&|placed| placed.shown.flags.has(&Flag::Deleted)),
        size: model.values().map(|placed| placed.shown.size).sum(),
    };
    assert_eq!(roster.counts(), expected);
    let mut keywords: BTreeMap<Keyword, u32> = BTreeMap::new();
    for keyword in model
        .values()
        .flat_map(|placed| placed.shown.flags.keywords())
    {
        *keywords.entry(keyword.clone()).or_default() += 1;
    }
    assert_eq!(*roster.keywords, keywords);
    let unseen = model
        .values()
        .position(|placed| !placed.shown.flags.has(&Flag::Seen));
    assert_eq!(roster.first_unseen().map(|(position, _)| position), unseen);
    for (position, (uid, expected)) in model.iter().enumerate() {
        assert_eq!(roster.position(*uid), Some(position));
        assert_eq!(Placed::from(roster.find(*uid).unwrap()), *expected);
        assert_eq!(roster.get(position).unwrap().uid(), *uid);
    }
    assert!(roster.get(model.len()).is_none());
}

fn check_ranges(roster: &Roster, model: &Model, number: u32, since: u64) {
    let expected = model.range(uid(number)..);
    let position = model.len() - expected.clone().count();
    assert_eq!(roster.position_from(uid(number)), position);
    let found: Vec<Uid> = roster
        .iter_from(position)
        .map(|entry| entry.uid())
        .collect();
    assert_eq!(found, expected.map(|(uid, _)| *uid).collect::<Vec<_>>());
    let changed = roster.changed_since(mod_seq(since));
    let changed: Vec<(usize, Uid)> = changed.map(|(at, entry)| (at, entry.uid())).collect();
    let expected = model.iter().enumerate();
    let expected = expected.filter(|(_, (_, placed))| placed.numbers.mod_seq > mod_seq(since));
    let expected: Vec<(usize, Uid)> = expected.map(|(at, (uid, _))| (at, *uid)).collect();
    assert_eq!(changed, expected);
}

proptest! {
    #[test]
    fn a_roster_does_as_a_map_does(
        steps in proptest::collection::vec(any_step(), 1..120),
        number in 1..300_u32,
        since in 1..120_u64,
    ) {
        let mut roster = Arc::new(Roster::new(Uid::ONE, ModSeq::ONE));
        let mut model = Model::new();
        let mut snapshots: Vec<(Arc<Roster>, Model)> = Vec::new();
        for (at, step) in (1..).zip(&steps) {
            take(&mut roster, &mut model, step, at);
            Arc::make_mut(&mut roster).finish(Uid::ONE, mod_seq(at));
            if matches!(step, Step::Snapshot) {
                snapshots.push((Arc::clone(&roster), model.clone()));
            }
        }
        check(&roster, &model);
        check_ranges(&roster, &model, number, since);
        for (before, known) in &snapshots {
            check(before, known);
            let gone: Vec<Uid> = before.gone_in(&roster).map(|entry| entry.uid()).collect();
            let expected = known.keys().filter(|uid| !model.contains_key(uid));
            prop_assert_eq!(gone, expected.copied().collect::<Vec<_>>());
        }
        prop_assert_eq!(roster.last().map(|entry| entry.uid()), model.keys().next_back().copied());
    }
}

#[test]
fn a_snapshot_shares_what_has_not_changed() {
    let mut roster = Arc::new(Roster::new(Uid::ONE, ModSeq::ONE));
    for number in 1..=40 {
        Arc::make_mut(&mut roster).put(&placed(number, 1, 0));
    }
    let snapshot = Arc::clone(&roster);
    Arc::make_mut(&mut roster).put(&placed(3, 2, 1));
    let pairs = snapshot.spans.iter().zip(&roster.spans);
    let shared: Vec<bool> = pairs
        .map(|(a, b)| Arc::ptr_eq(&a.chunk, &b.chunk))
        .collect();
    assert_eq!(shared, [false, true, true, true, true]);
}
