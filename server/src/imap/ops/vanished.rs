//! What has left a mailbox before a session could count it (RFC 7162 3.2.5, 3.2.6).
//!
//! Invariant: what is told as vanished is in the mailbox no more, and what the store remembers or
//! can conclude is told whole. Where the store has forgotten, every UID is told that the client
//! may know and that is not there, as the RFC wants it; positions that the client knows leave out
//! what it knows already.

use letterlock_core::account::Roster;
use letterlock_core::id::{MailboxId, ModSeq, Uid};
use letterlock_core::store::Store;

use super::{Context, OpError};
use crate::imap::command::Resync;
use crate::imap::set::{Range, SequenceSet, UidSet, spans_of, within};

/// Ascending, disjoint ranges of UIDs.
pub type Spans = Vec<(u32, u32)>;

/// Which vanished messages are asked for.
pub(super) struct Question<'a> {
    pub(super) mailbox: MailboxId,
    /// After this mod-sequence.
    pub(super) since: u64,
    /// Among these UIDs.
    pub(super) among: Spans,
    /// What is there.
    pub(super) present: &'a Roster,
    /// Up to here the client knows what is there.
    pub(super) known_up_to: u32,
}

/// The UIDs that have vanished.
pub(super) async fn spans<S: Store>(
    context: &Context<'_, S>,
    question: Question<'_>,
) -> Result<Spans, OpError> {
    let since = ModSeq::new(question.since).unwrap_or(ModSeq::ONE);
    let remembered = context
        .account
        .vanished_since(question.mailbox, since)
        .await?;
    let Some(remembered) = remembered else {
        return Ok(missing(&question));
    };
    let mut uids: Vec<u32> = remembered
        .iter()
        .map(|vanished| vanished.uid)
        .filter(|uid| question.present.find(*uid).is_none())
        .map(Uid::get)
        .filter(|uid| within(&question.among, *uid))
        .collect();
    uids.sort_unstable();
    uids.dedup();
    Ok(spans_of(uids))
}

/// Every UID that was given out, may be known, and is not there.
fn missing(question: &Question<'_>) -> Spans {
    let last = question.present.uid_next().get().saturating_sub(1);
    let mut spans = Spans::new();
    for (from, to) in &question.among {
        let mut from = (*from).max(question.known_up_to.saturating_add(1));
        let to = (*to).min(last);
        let start = Uid::new(from).map_or(0, |from| question.present.position_from(from));
        for entry in question.present.iter_from(start) {
            let uid = entry.uid().get();
            if uid > to {
                break;
            }
            if from < uid {
                spans.push((from, uid.saturating_sub(1)));
            }
            from = uid.saturating_add(1);
        }
        if from <= to {
            spans.push((from, to));
        }
    }
    spans
}

/// The UIDs that a client says it knows.
pub(super) fn known(resync: &Resync, next: Uid) -> Spans {
    let last = next.get().saturating_sub(1);
    match &resync.known {
        Some(known) => known.spans(last),
        None if last == 0 => Spans::new(),
        None => vec![(1, last)],
    }
}

/// The highest UID that stands where the client believes it to stand (RFC 7162 3.2.5.2); 0 if
/// there is none.
pub(super) fn known_up_to(matches: &(SequenceSet, UidSet), present: &Roster) -> u32 {
    let (positions, uids) = matches;
    // A client may write 1:4294967295; more positions than messages match nothing.
    let limit = present.len();
    let pairs = numbers(&positions.0).zip(numbers(&uids.0)).take(limit);
    let matching = pairs.filter(|(position, uid)| {
        let index = usize::try_from(position.saturating_sub(1)).ok();
        let there = index.and_then(|index| present.get(index));
        there.is_some_and(|there| there.uid().get() == *uid)
    });
    matching.map(|(_, uid)| uid).max().unwrap_or(0)
}

fn numbers(ranges: &[Range]) -> impl Iterator<Item = u32> + '_ {
    ranges.iter().flat_map(|range| {
        let (from, to) = range.resolve(0);
        from..=to
    })
}

/// [`super::Op::Vanished`].
pub(super) async fn run<S: Store>(
    context: &Context<'_, S>,
    mailbox: MailboxId,
    since: u64,
    among: &UidSet,
) -> Result<Spans, OpError> {
    let roster = context.account.roster(mailbox);
    let roster = roster.ok_or(OpError::NoSuchMailbox)?;
    let last = roster.uid_next().get().saturating_sub(1).max(1);
    let question = Question {
        mailbox,
        since,
        // `*` is the highest UID that was ever given out: what vanished may stand above all that
        // is there.
        among: among.spans(last),
        present: &roster,
        known_up_to: 0,
    };
    spans(context, question).await
}

#[cfg(test)]
mod tests {
    use letterlock_core::account::Placement;
    use letterlock_core::id::{MessageHash, PlacementId, Timestamp};
    use letterlock_core::model::FlagSet;

    use super::*;
    use crate::imap::set::Bound;

    fn roster(uids: impl Iterator<Item = u32>) -> Roster {
        let placement = |uid| Placement {
            uid: Uid::new(uid).unwrap(),
            id: PlacementId::new([0; 16]),
            message: MessageHash::new([0; 32]),
            flags: FlagSet::new(),
            internal_date: Timestamp::from_secs(0),
            save_date: Timestamp::from_secs(0),
            mod_seq: ModSeq::ONE,
            size: 0,
        };
        Roster::of(&uids.map(placement).collect::<Vec<_>>())
    }

    fn set(numbers: &[u32]) -> Vec<Range> {
        let range = |number: &u32| Range {
            from: Bound::Number(*number),
            to: Bound::Number(*number),
        };
        numbers.iter().map(range).collect()
    }

    fn check(among: &[(u32, u32)], known_up_to: u32, expected: &[(u32, u32)]) {
        // Only UIDs divisible by three are there, as in RFC 7162 3.2.5.2.
        let present = roster((1..=10).map(|n| n * 3));
        let question = Question {
            mailbox: MailboxId::new([0; 16]),
            since: 1,
            among: among.to_vec(),
            present: &present,
            known_up_to,
        };
        assert_eq!(missing(&question), expected);
    }

    #[test]
    fn what_is_forgotten_is_told_whole() {
        check(&[(1, 9)], 0, &[(1, 2), (4, 5), (7, 8)]);
        check(&[(1, 1000)], 26, &[(28, 29)]);
        check(&[(4, 4), (6, 7)], 0, &[(4, 4), (7, 7)]);
        check(&[(1, 9)], 9, &[]);
        check(&[], 0, &[]);
    }

    #[test]
    fn positions_that_are_right_tell_what_is_known() {
        let present = roster([3, 6, 9, 12, 15].into_iter());
        for (positions, known, expected) in [
            (&[2, 4][..], &[6, 12][..], 12),
            (&[2, 4], &[6, 13], 6),
            (&[1], &[4], 0),
            (&[9], &[15], 0),
            (&[], &[], 0),
        ] {
            let matches = (SequenceSet(set(positions)), UidSet(set(known)));
            assert_eq!(known_up_to(&matches, &present), expected);
        }
        let all = Range {
            from: Bound::Number(1),
            to: Bound::Number(u32::MAX),
        };
        let endless = (SequenceSet(vec![all]), UidSet(vec![all]));
        assert_eq!(known_up_to(&endless, &present), 0);
    }
}
