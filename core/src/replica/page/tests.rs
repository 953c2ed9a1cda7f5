//! Versions of a page merge, pages go both ways, what is damaged is refused.

use proptest::prelude::*;

use super::*;
use crate::id::ReplicaId;
use crate::model::Keyword;
use crate::replica::document::DocumentError;

fn stamp(millis: i64, replica: u8) -> Stamp {
    Stamp {
        millis,
        replica: ReplicaId::new([replica; 16]),
    }
}

/// When fields of an entry were written, by whom.
#[derive(Debug, Clone)]
struct Writes {
    message: u8,
    moved: (i64, u8),
    saved: (i64, u8),
    flags: Vec<(usize, i64, u8)>,
    deleted: bool,
}

fn entry(writes: &Writes) -> Entry {
    if writes.deleted {
        return Entry::Deleted;
    }
    // A stamp names one write, so its value follows from it.
    let (millis, replica) = writes.moved;
    let to = MailboxId::new([millis.to_le_bytes()[0] ^ replica; 16]);
    let (saved, by) = writes.saved;
    let mut flags = FlagStates::default();
    for (flag, millis, replica) in &writes.flags {
        let keyword = |text| Flag::Keyword(Keyword::new(text).unwrap());
        let all = [
            Flag::Seen,
            Flag::Draft,
            keyword("$Junk"),
            keyword("$junk"),
            keyword("a"),
        ];
        let value = (millis + i64::from(*replica)) % 2 == 0;
        let state = Lww::new(value, stamp(*millis, *replica));
        flags.merge(FlagStates(vec![(all[*flag].clone(), state)]));
    }
    Entry::Live(PlacementEntry {
        message: MessageHash::new([writes.message; 32]),
        mailbox: Lww::new(to, stamp(millis, replica)),
        save_date: Lww::new(Timestamp::from_millis(saved * 7), stamp(saved, by)),
        internal_date: Timestamp::from_secs(i64::from(writes.message) - 3),
        size: u64::from(writes.message) << 20,
        flags,
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let write = || (1..9_i64, 1..4_u8);
    let flags = proptest::collection::vec((0..5_usize, 1..9_i64, 1..4_u8), 0..4);
    let deleted = proptest::bool::weighted(0.2);
    let writes = (1..4_u8, write(), write(), flags, deleted);
    writes.prop_map(|(message, moved, saved, flags, deleted)| {
        entry(&Writes {
            message,
            moved,
            saved,
            flags,
            deleted,
        })
    })
}

fn any_page() -> impl Strategy<Value = PageDocument> {
    let entries = proptest::collection::btree_map(0..6_u8, any_entry(), 0..6);
    entries.prop_map(|entries| PageDocument {
        id: PageId::new([7; 8]),
        entries: entries
            .into_iter()
            .map(|(id, entry)| (EntryId::new([id; 8]), entry))
            .collect(),
    })
}

fn merged(mut a: PageDocument, b: &PageDocument) -> PageDocument {
    a.merge(b.clone());
    a
}

proptest! {
    #[test]
    fn merging_is_a_semilattice(a in any_page(), b in any_page(), c in any_page()) {
        let (ab, ba) = (merged(a.clone(), &b), merged(b.clone(), &a));
        prop_assert_eq!(&ab, &ba);
        // To the octet: devices that have merged the same have nothing left to tell.
        prop_assert_eq!(encode(&ab), encode(&ba));
        prop_assert_eq!(&merged(a.clone(), &a), &a);
        let left = merged(ab, &c);
        let right = merged(a, &merged(b, &c));
        prop_assert_eq!(encode(&left), encode(&right));
    }

    #[test]
    fn pages_go_both_ways(page in any_page()) {
        let octets = encode(&page);
        let read = decode(&octets).unwrap();
        prop_assert_eq!(encode(&read), octets);
        prop_assert_eq!(read, page);
    }

    #[test]
    fn a_cut_or_longer_page_is_refused(page in any_page(), at in any::<prop::sample::Index>()) {
        let mut octets = encode(&page);
        let cut = &octets[..at.index(octets.len())];
        prop_assert_eq!(decode(cut), Err(DocumentError::Damaged));
        octets.push(0);
        prop_assert_eq!(decode(&octets), Err(DocumentError::Damaged));
    }

    #[test]
    fn no_octets_do_harm(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&octets);
    }
}

#[test]
fn extreme_times_go_both_ways() {
    let mut page = PageDocument::new(PageId::new([7; 8]));
    for (nth, millis) in (0_u8..).zip([i64::MIN, i64::MAX, 0, -1]) {
        let entry = PlacementEntry {
            message: MessageHash::new([nth; 32]),
            mailbox: Lww::new(MailboxId::new([1; 16]), stamp(millis, 1)),
            save_date: Lww::new(Timestamp::from_millis(i64::MAX), stamp(millis, 2)),
            internal_date: Timestamp::from_millis(i64::MIN),
            size: u64::MAX,
            flags: FlagStates::default(),
        };
        page.entries
            .insert(EntryId::new([nth; 8]), Entry::Live(entry));
    }
    assert_eq!(decode(&encode(&page)).unwrap(), page);
}

#[test]
fn the_coding_is_fixed() {
    let seen = FlagSet::from([Flag::Seen, Flag::parse("$x").unwrap()]);
    let mut page = PageDocument::new(PageId::new([7; 8]));
    page.entries.insert(EntryId::new([1; 8]), Entry::Deleted);
    let entry = PlacementEntry {
        message: MessageHash::new([3; 32]),
        mailbox: Lww::new(MailboxId::new([4; 16]), stamp(300, 5)),
        save_date: Lww::new(Timestamp::from_millis(299), stamp(300, 5)),
        internal_date: Timestamp::from_millis(300),
        size: 200,
        flags: FlagStates::new(seen, stamp(301, 5)),
    };
    page.entries
        .insert(EntryId::new([2; 8]), Entry::Live(entry));
    let expected = [
        &[7; 8][..],
        // The base, 300 in zigzag.
        &[0xd8, 0x04],
        &[1],
        &[4; 16],
        &[1],
        &[5; 16],
        &[1, 2, b'$', b'x'],
        &[2],
        &[1; 8],
        &[0],
        &[2; 8],
        &[1],
        &[3; 32],
        // Mailbox, its stamp; the save date with the same stamp, a millisecond before it.
        &[0, 0, 0, 0, 1],
        // The internal date, a millisecond after that; 200 octets.
        &[2, 0xc8, 0x01],
        // Two flags that are set, stamped a millisecond above the base.
        &[2, 1, 1, 1, 11, 1, 1],
    ];
    assert_eq!(encode(&page), expected.concat());
}
