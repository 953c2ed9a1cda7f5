//! How a page is coded: what its entries share stands once, times are differences.
//!
//! ```abnf
//! page      = id base mailboxes replicas keywords number *entry
//! id        = 8OCTET
//! base      = signed                        ; milliseconds: the earliest stamp
//! mailboxes = number *16OCTET               ; each list ascending, each item once
//! replicas  = number *16OCTET
//! keywords  = number *(number *OCTET)       ; each its length, then its text
//! entry     = id %x00                       ; expunged; entries ascend
//!           / id %x01 32OCTET number stamp save-date signed number flags
//!                                           ; message, mailbox, its stamp, save date,
//!                                           ; internal date less save date, size
//! stamp     = number number                 ; replica, milliseconds above the base
//! as-before = %x00 / number number          ; the mailbox's stamp, or as a stamp, replica + 1
//! save-date = as-before signed              ; its date less its stamp
//! flags     = number *(number as-before)    ; each the flag's number * 2, + 1 if it is set
//! number    = *%x80-FF %x00-7F              ; seven bits an octet, the lowest first (LEB128)
//! signed    = number                        ; zigzag: 0, -1, 1, -2, ...
//! ```
//!
//! A flag's number is its place in [`SYSTEM`], or behind these that of its keyword. Invariant: a
//! page has one coding, and nothing that is not in the octets is made room for. Rejected: postcard
//! of the entries, which repeats 16 octets of mailbox and of device for every field.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, FlagStates, PageDocument, PlacementEntry};
use crate::id::{EntryId, MailboxId, MessageHash, PageId, ReplicaId, Timestamp};
use crate::model::{Flag, Keyword};
use crate::replica::document::{DocumentError, Lww, Stamp};
use crate::varint;

const DELETED: u8 = 0;
const LIVE: u8 = 1;
/// The flags that are not keywords, in the order of their numbers.
const SYSTEM: [Flag; 5] = [
    Flag::Seen,
    Flag::Answered,
    Flag::Flagged,
    Flag::Deleted,
    Flag::Draft,
];

/// What the entries of a page share.
#[derive(Default)]
struct Shared<'a> {
    base: i64,
    mailboxes: Vec<MailboxId>,
    replicas: Vec<ReplicaId>,
    keywords: Vec<&'a str>,
}

/// The octets of a page.
pub(in crate::replica) fn encode(page: &PageDocument) -> Vec<u8> {
    let shared = Shared::of(page);
    let mut out = page.id.as_bytes().to_vec();
    put_signed(&mut out, shared.base);
    varint::put_length(shared.mailboxes.len(), &mut out);
    for mailbox in &shared.mailboxes {
        out.extend_from_slice(mailbox.as_bytes());
    }
    varint::put_length(shared.replicas.len(), &mut out);
    for replica in &shared.replicas {
        out.extend_from_slice(replica.as_bytes());
    }
    varint::put_length(shared.keywords.len(), &mut out);
    for keyword in &shared.keywords {
        varint::put_length(keyword.len(), &mut out);
        out.extend_from_slice(keyword.as_bytes());
    }
    varint::put_length(page.entries.len(), &mut out);
    for (id, entry) in &page.entries {
        out.extend_from_slice(id.as_bytes());
        match entry {
            Entry::Deleted => out.push(DELETED),
            Entry::Live(entry) => {
                out.push(LIVE);
                shared.put_entry(&mut out, entry);
            }
        }
    }
    out
}

/// The page that octets are.
pub(in crate::replica) fn decode(octets: &[u8]) -> Result<PageDocument, DocumentError> {
    let mut reader = Reader(octets);
    let page = reader.page().ok_or(DocumentError::Damaged)?;
    if reader.0.is_empty() {
        Ok(page)
    } else {
        Err(DocumentError::Damaged)
    }
}

impl<'a> Shared<'a> {
    fn of(page: &'a PageDocument) -> Self {
        let mut mailboxes = BTreeSet::new();
        let mut replicas = BTreeSet::new();
        let mut keywords = BTreeSet::new();
        let mut base = None::<i64>;
        for (_, entry) in page.live() {
            mailboxes.insert(entry.mailbox.value);
            for stamp in entry.stamps() {
                replicas.insert(stamp.replica);
                base = Some(base.map_or(stamp.millis, |base| base.min(stamp.millis)));
            }
            for (flag, _) in &entry.flags.0 {
                if let Flag::Keyword(keyword) = flag {
                    keywords.insert(keyword.as_str());
                }
            }
        }
        Self {
            base: base.unwrap_or(0),
            mailboxes: mailboxes.into_iter().collect(),
            replicas: replicas.into_iter().collect(),
            keywords: keywords.into_iter().collect(),
        }
    }

    fn put_entry(&self, out: &mut Vec<u8>, entry: &PlacementEntry) {
        out.extend_from_slice(entry.message.as_bytes());
        let placed = entry.mailbox.stamp;
        varint::put_length(place_of(&self.mailboxes, &entry.mailbox.value), out);
        self.put_stamp(out, placed, 0);
        self.put_as_before(out, entry.save_date.stamp, placed);
        let saved = entry.save_date.value.as_millis();
        put_signed(out, saved.wrapping_sub(entry.save_date.stamp.millis));
        put_signed(out, entry.internal_date.as_millis().wrapping_sub(saved));
        varint::put(entry.size, out);
        varint::put_length(entry.flags.0.len(), out);
        for (flag, state) in &entry.flags.0 {
            let number = self.number_of(flag).saturating_mul(2);
            varint::put_length(number.saturating_add(usize::from(state.value)), out);
            self.put_as_before(out, state.stamp, placed);
        }
    }

    fn put_as_before(&self, out: &mut Vec<u8>, stamp: Stamp, before: Stamp) {
        if stamp == before {
            out.push(0);
        } else {
            self.put_stamp(out, stamp, 1);
        }
    }

    fn put_stamp(&self, out: &mut Vec<u8>, stamp: Stamp, above: usize) {
        let replica = place_of(&self.replicas, &stamp.replica);
        varint::put_length(replica.saturating_add(above), out);
        // The base is the least of all: the difference fits, if read without a sign.
        varint::put(stamp.millis.wrapping_sub(self.base).cast_unsigned(), out);
    }

    fn number_of(&self, flag: &Flag) -> usize {
        match flag {
            Flag::Keyword(keyword) => {
                place_of(&self.keywords, &keyword.as_str()).saturating_add(SYSTEM.len())
            }
            flag => SYSTEM.iter().position(|known| known == flag).unwrap_or(0),
        }
    }
}

/// The place of what is in the list.
fn place_of<T: Ord>(list: &[T], item: &T) -> usize {
    list.binary_search(item).unwrap_or(0)
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    varint::put(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn page(&mut self) -> Option<PageDocument> {
        let mut page = PageDocument::new(PageId::new(self.array()?));
        let base = self.signed()?;
        let mailboxes = self.list(|reader| reader.array().map(MailboxId::new))?;
        let replicas = self.list(|reader| reader.array().map(ReplicaId::new))?;
        let keywords = self.list(Self::keyword)?;
        let shared = Read {
            base,
            mailboxes,
            replicas,
            keywords,
        };
        let mut entries = Vec::new();
        let mut last = None;
        for _ in 0..self.number()? {
            let id = EntryId::new(self.array()?);
            if last.is_some_and(|last| last >= id) {
                return None;
            }
            last = Some(id);
            let entry = match self.array()? {
                [DELETED] => Entry::Deleted,
                [LIVE] => Entry::Live(self.entry(&shared)?),
                _ => return None,
            };
            entries.push((id, entry));
        }
        page.entries = BTreeMap::from_iter(entries);
        Some(page)
    }

    fn entry(&mut self, shared: &Read) -> Option<PlacementEntry> {
        let message = MessageHash::new(self.array()?);
        let mailbox = *shared.mailboxes.get(self.length()?)?;
        let placed = shared.stamp(self.length()?, self.number()?)?;
        let stamp = self.as_before(shared, placed)?;
        let saved = stamp.millis.wrapping_add(self.signed()?);
        let internal_date = Timestamp::from_millis(saved.wrapping_add(self.signed()?));
        let size = self.number()?;
        let mut flags = Vec::<(Flag, Lww<bool>)>::new();
        for _ in 0..self.number()? {
            let number = self.number()?;
            let flag = shared.flag(number >> 1)?;
            if flags.last().is_some_and(|(last, _)| *last >= flag) {
                return None;
            }
            let stamp = self.as_before(shared, placed)?;
            flags.push((flag, Lww::new(number & 1 == 1, stamp)));
        }
        Some(PlacementEntry {
            message,
            mailbox: Lww::new(mailbox, placed),
            save_date: Lww::new(Timestamp::from_millis(saved), stamp),
            internal_date,
            size,
            flags: FlagStates(flags),
        })
    }

    fn as_before(&mut self, shared: &Read, before: Stamp) -> Option<Stamp> {
        match self.length()?.checked_sub(1) {
            None => Some(before),
            Some(replica) => shared.stamp(replica, self.number()?),
        }
    }

    fn keyword(&mut self) -> Option<Keyword> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Keyword::new(core::str::from_utf8(text).ok()?).ok()
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        for _ in 0..self.number()? {
            list.push(item(self)?);
        }
        Some(list)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn number(&mut self) -> Option<u64> {
        varint::take_long(&mut self.0)
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        let half = (number >> 1).cast_signed();
        Some(if number & 1 == 0 { half } else { !half })
    }
}

/// What entries share, as it was read.
struct Read {
    base: i64,
    mailboxes: Vec<MailboxId>,
    replicas: Vec<ReplicaId>,
    keywords: Vec<Keyword>,
}

impl Read {
    fn stamp(&self, replica: usize, above: u64) -> Option<Stamp> {
        Some(Stamp {
            millis: self.base.wrapping_add(above.cast_signed()),
            replica: *self.replicas.get(replica)?,
        })
    }

    fn flag(&self, number: u64) -> Option<Flag> {
        let number = usize::try_from(number).ok()?;
        match number.checked_sub(SYSTEM.len()) {
            None => SYSTEM.get(number).cloned(),
            Some(keyword) => self.keywords.get(keyword).cloned().map(Flag::Keyword),
        }
    }
}
