//! What a session counts and is told.

use super::*;
use crate::imap::set::{Bound, SequenceSet, UidSet};
use letterlock_core::account::Placement;
use letterlock_core::id::{MessageHash, PlacementId, Timestamp};
use letterlock_core::model::Flag;

#[test]
fn numbers_and_uids_are_told_apart() {
    let view = view_of(&[3, 5, 9]);
    let range = |from, to| {
        vec![Range {
            from: Bound::Number(from),
            to,
        }]
    };
    let uids = |set: MessageSet| -> Vec<u32> {
        view.resolve(&set)
            .unwrap()
            .iter()
            .map(|slot| slot.uid.get())
            .collect()
    };
    assert_eq!(
        uids(MessageSet::Sequence(SequenceSet(range(2, Bound::Last)))),
        [5, 9]
    );
    assert_eq!(
        uids(MessageSet::Uid(UidSet(range(4, Bound::Number(8))))),
        [5]
    );
    // `559:*` has the last message, whatever its UID (RFC 3501 6.4.8).
    assert_eq!(uids(MessageSet::Uid(UidSet(range(559, Bound::Last)))), [9]);
    assert_eq!(
        uids(MessageSet::Uid(UidSet(range(559, Bound::Number(600))))),
        [0_u32; 0]
    );
    let beyond = MessageSet::Sequence(SequenceSet(range(4, Bound::Number(4))));
    assert_eq!(view.resolve(&beyond), Err(OutOfRange));
    let mut twice = range(1, Bound::Number(2));
    twice.extend(range(2, Bound::Number(3)));
    assert_eq!(uids(MessageSet::Sequence(SequenceSet(twice))), [3, 5, 9]);
}

#[test]
fn expunges_wait_and_then_come_from_the_top() {
    let mut view = view_of(&[1, 2, 3, 4]);
    view.merge(&snapshot(&[2, 4, 7], 5));
    assert_eq!(
        view.release(Release::HoldExpunges),
        [Notice::Exists {
            messages: 5,
            recent: 1
        }]
    );
    // The numbers still mean what the client was told.
    assert_eq!(view.at(3).map(|slot| slot.uid.get()), Some(3));
    assert!(view.holds_back());
    assert_eq!(numbers_gone(&view.release(Release::All)), [3, 1]);
    assert!(!view.holds_back());
    assert_eq!(view.at(1).map(|slot| slot.uid.get()), Some(2));
    assert_eq!(view.release(Release::All), []);
}

#[test]
fn an_expunge_and_an_arrival_together_tell_both() {
    let mut view = view_of(&[1, 2]);
    view.merge(&snapshot(&[2, 3], 3));
    let notices = view.release(Release::All);
    assert_eq!(numbers_gone(&notices[..1]), [1]);
    let exists = Notice::Exists {
        messages: 2,
        recent: 1,
    };
    assert_eq!(notices[1..], [exists]);
}

#[test]
fn what_is_held_back_holds_back_what_is_known() {
    let mut view = view_of(&[1, 2]);
    let at = |mod_seq| ModSeq::new(mod_seq);
    view.merge(&changed(&[(1, 20)]));
    assert_eq!((view.mod_seq(), view.told_up_to()), (at(20), at(1)));
    view.release(Release::HoldExpunges);
    view.merge(&changed(&[(1, 30)]));
    assert_eq!((view.mod_seq(), view.told_up_to()), (at(30), at(1)));
    view.release(Release::All);
    assert_eq!(view.told_up_to(), at(30));
}

fn numbers_gone(notices: &[Notice]) -> Vec<u32> {
    let [Notice::Expunged(slots)] = notices else {
        panic!("{notices:?}");
    };
    slots.iter().map(|slot| slot.number.get()).collect()
}

#[test]
fn flags_are_told_once() {
    let mut view = view_of(&[1, 2]);
    let mod_seq = ModSeq::new(20).unwrap();
    let snapshot = changed(&[(1, 20), (2, 1)]);
    let slot = Slot {
        mod_seq,
        ..view.at(1).unwrap()
    };
    let notice = Notice::Flags(slot, FlagSet::from([Flag::Seen]));
    assert_eq!(view.merge(&snapshot), [notice]);
    assert_eq!(view.merge(&snapshot), []);
    assert_eq!(view.mod_seq(), Some(mod_seq));
    // What the session itself has done it knows before it is merged.
    let mod_seq = ModSeq::new(30).unwrap();
    assert!(view.tell(Uid::ONE, mod_seq));
    assert!(!view.tell(Uid::ONE, mod_seq));
    assert_eq!(view.at(1).map(|slot| slot.mod_seq), Some(mod_seq));
    assert_eq!(view.merge(&changed(&[(1, 30), (2, 1)])), []);
    assert!(view.known.is_empty());
}

#[test]
fn flags_that_are_not_told_are_not_known() {
    let mut view = view_of(&[1, 2]);
    let mut snapshot = changed(&[(1, 20), (2, 1)]);
    snapshot.tells_flags = false;
    assert_eq!(view.merge(&snapshot), []);
    let known = |view: &View| view.at(1).map(|slot| slot.mod_seq.get());
    assert_eq!(
        (view.mod_seq().map(ModSeq::get), known(&view)),
        (Some(20), Some(1))
    );
    assert!(view.tell(Uid::ONE, ModSeq::new(20).unwrap()));
    assert_eq!(known(&view), Some(20));
    assert!(view.known.is_empty());
}

#[test]
fn what_came_for_others_is_not_recent() {
    let mut view = view_of(&[1, 2]);
    for (uids, recent_from, expected) in [
        (&[1, 2, 3][..], 3, &[3][..]),
        (&[1, 2, 3, 5], 6, &[3]),
        (&[1, 2, 3, 5, 6, 7], 7, &[3, 7]),
        (&[1, 3, 5, 6, 7, 8], 8, &[3, 7, 8]),
        (&[1, 5, 6, 7, 8], 9, &[3, 7, 8]),
    ] {
        view.merge(&snapshot(uids, recent_from));
        let recent = view.slots().filter(|slot| slot.recent);
        let recent: Vec<u32> = recent.map(|slot| slot.uid.get()).collect();
        assert_eq!(recent, expected, "{uids:?}");
        assert_eq!(view.recent() as usize, expected.len());
    }
    view.release(Release::All);
    assert_eq!(view.recent(), 2);
}

#[test]
fn a_view_counts_as_a_list_does() {
    // Each state with what a list of all that was ever told says.
    let mut view = View::default();
    let mut list: Vec<u32> = Vec::new();
    let states: [&[u32]; 7] = [
        &[],
        &[1, 2, 3, 4, 5],
        &[2, 3, 5, 6],
        &[3, 6, 7, 8],
        &[3, 8, 9],
        &[],
        &[10, 11],
    ];
    for (nth, uids) in states.iter().enumerate() {
        view.merge(&snapshot(uids, 100));
        list.extend(
            uids.iter()
                .filter(|uid| !list.contains(uid))
                .collect::<Vec<_>>(),
        );
        let slots: Vec<Slot> = view.slots().collect();
        assert_eq!(
            slots.iter().map(|slot| slot.uid.get()).collect::<Vec<_>>(),
            list
        );
        for (number, slot) in (1..).zip(&slots) {
            assert_eq!(slot.number.get(), number);
            assert_eq!(view.at(number).as_ref(), Some(slot));
            assert_eq!(view.find(slot.uid).as_ref(), Some(slot));
            assert_eq!(view.is_gone(slot.uid), !uids.contains(&slot.uid.get()));
        }
        assert_eq!(view.at(view.len() + 1), None);
        assert!(!view.has(Uid::new(50).unwrap()));
        if nth % 3 == 2 {
            let gone = view.release(Release::All);
            let Some(Notice::Expunged(slots)) = gone.first() else {
                panic!("{gone:?}");
            };
            for slot in slots {
                let uid = list.remove(slot.number.get() as usize - 1);
                assert_eq!(uid, slot.uid.get());
            }
        }
    }
}

fn view_of(uids: &[u32]) -> View {
    let mut view = View::default();
    view.merge(&snapshot(uids, 100));
    view.release(Release::All);
    view
}

fn snapshot(uids: &[u32], recent_from: u32) -> Snapshot {
    let uids: Vec<(u32, u64)> = uids.iter().map(|uid| (*uid, 1)).collect();
    Snapshot {
        recent_from: Uid::new(recent_from).unwrap(),
        ..changed(&uids)
    }
}

/// UIDs and mod-sequences of messages that have `\Seen`.
fn changed(messages: &[(u32, u64)]) -> Snapshot {
    let placement = |(uid, mod_seq): &(u32, u64)| Placement {
        uid: Uid::new(*uid).unwrap(),
        id: PlacementId::new([0; 16]),
        message: MessageHash::new([0; 32]),
        flags: FlagSet::from([Flag::Seen]),
        internal_date: Timestamp::from_secs(0),
        save_date: Timestamp::from_secs(0),
        mod_seq: ModSeq::new(*mod_seq).unwrap(),
        size: 0,
    };
    let placements: Vec<Placement> = messages.iter().map(placement).collect();
    Snapshot {
        roster: Arc::new(Roster::of(&placements)),
        recent_from: Uid::new(100).unwrap(),
        tells_flags: true,
    }
}
