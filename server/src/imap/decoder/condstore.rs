//! What CONDSTORE and QRESYNC add to the grammar (RFC 7162 7, over RFC 4466 2), and the other
//! modifiers of FETCH (RFC 9394 3.3).

use super::Syntax;
use super::cursor::Cursor;
use crate::imap::command::{FetchModifiers, Numbering, PartialRange, Resync, SelectParameters};
use crate::imap::set::{Range, SequenceSet, UidSet};

type Parsed<T> = Result<T, Syntax>;

/// `select-params = SP "(" select-param *(SP select-param) ")"`, from the parenthesis on
pub(super) fn select_parameters(cursor: &mut Cursor<'_>) -> Parsed<SelectParameters> {
    enum Parameter {
        Condstore,
        Qresync(Resync),
    }
    let given = cursor.list(|cursor| match cursor.word()?.as_str() {
        "CONDSTORE" => Ok(Parameter::Condstore),
        "QRESYNC" => resync(cursor).map(Parameter::Qresync),
        _ => Err(Syntax::Bad("parameter is not known")),
    })?;
    if given.is_empty() {
        return Err(Syntax::Bad("a parameter is needed"));
    }
    let mut parameters = SelectParameters::default();
    for parameter in given {
        match parameter {
            Parameter::Condstore => parameters.condstore = true,
            Parameter::Qresync(_) if parameters.resync.is_some() => {
                return Err(Syntax::Bad("QRESYNC stands twice"));
            }
            Parameter::Qresync(resync) => parameters.resync = Some(resync),
        }
    }
    Ok(parameters)
}

/// `select-param =/ "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids]
/// [SP seq-match-data] ")"`
fn resync(cursor: &mut Cursor<'_>) -> Parsed<Resync> {
    cursor.space()?;
    cursor.expect(b'(', "a list is needed")?;
    let uid_validity = cursor.nz_number()?;
    cursor.space()?;
    let mod_seq = cursor.mod_seq()?;
    let (mut known, mut matches) = (None, None);
    let mut more = cursor.eat(b' ');
    if more && cursor.peek() != Some(b'(') {
        known = Some(UidSet(plain_ranges(cursor)?));
        more = cursor.eat(b' ');
    }
    if more {
        // seq-match-data = "(" known-sequence-set SP known-uid-set ")"
        cursor.expect(b'(', "a list of positions and UIDs is needed")?;
        let positions = SequenceSet(plain_ranges(cursor)?);
        cursor.space()?;
        matches = Some((positions, UidSet(plain_ranges(cursor)?)));
        cursor.expect(b')', "the list of positions and UIDs does not end")?;
    }
    cursor.expect(b')', "QRESYNC does not end")?;
    Ok(Resync {
        uid_validity,
        mod_seq,
        known,
        matches,
    })
}

/// A `sequence-set` in which `*` is not allowed.
fn plain_ranges(cursor: &mut Cursor<'_>) -> Parsed<Vec<Range>> {
    let ranges = cursor.ranges()?;
    if ranges.iter().any(|range| range.has_last()) {
        return Err(Syntax::Bad("* does not stand here"));
    }
    Ok(ranges)
}

/// `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"`, if there are any. VANISHED
/// goes with UID FETCH and CHANGEDSINCE alone (RFC 7162 3.2.6).
pub(super) fn fetch_modifiers(cursor: &mut Cursor<'_>, by: Numbering) -> Parsed<FetchModifiers> {
    enum Modifier {
        ChangedSince(u64),
        Vanished,
        Partial(PartialRange),
    }
    let mut modifiers = FetchModifiers::default();
    if !cursor.eat(b' ') || cursor.peek().is_none() {
        return Ok(modifiers);
    }
    let given = cursor.list(|cursor| match cursor.word()?.as_str() {
        "CHANGEDSINCE" => {
            cursor.space()?;
            cursor.mod_seq().map(Modifier::ChangedSince)
        }
        "VANISHED" => Ok(Modifier::Vanished),
        "PARTIAL" if by == Numbering::Uid => {
            cursor.space()?;
            cursor.partial_range().map(Modifier::Partial)
        }
        _ => Err(Syntax::Bad("modifier is not known")),
    })?;
    if given.is_empty() {
        return Err(Syntax::Bad("a modifier is needed"));
    }
    for modifier in given {
        match modifier {
            Modifier::ChangedSince(mod_seq) => modifiers.changed_since = Some(mod_seq),
            Modifier::Vanished => modifiers.vanished = true,
            Modifier::Partial(_) if modifiers.partial.is_some() => {
                return Err(Syntax::Bad("PARTIAL stands twice"));
            }
            Modifier::Partial(range) => modifiers.partial = Some(range),
        }
    }
    if modifiers.vanished && (by == Numbering::Sequence || modifiers.changed_since.is_none()) {
        return Err(Syntax::Bad("VANISHED needs UID FETCH and CHANGEDSINCE"));
    }
    Ok(modifiers)
}

/// `store-modifiers = "(" store-modifier *(SP store-modifier) ")"`: UNCHANGEDSINCE
pub(super) fn store_modifiers(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    let given = cursor.list(|cursor| match cursor.word()?.as_str() {
        "UNCHANGEDSINCE" => {
            cursor.space()?;
            cursor.mod_seq()
        }
        _ => Err(Syntax::Bad("modifier is not known")),
    })?;
    match given.as_slice() {
        [mod_seq] => Ok(*mod_seq),
        _ => Err(Syntax::Bad("one modifier is needed")),
    }
}

/// `search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer`, behind the name.
/// One mod-sequence stands for all flags of a message here, so the entry is not looked at
/// (RFC 7162 3.1.5).
pub(super) fn search_mod_seq(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    if cursor.peek() == Some(b'"') {
        let entry = cursor.string()?;
        if !entry.starts_with(b"/flags/") {
            return Err(Syntax::Bad(
                "an entry such as \"/flags/\\\\seen\" is needed",
            ));
        }
        cursor.space()?;
        if !matches!(cursor.word()?.as_str(), "PRIV" | "SHARED" | "ALL") {
            return Err(Syntax::Bad("priv, shared or all is needed"));
        }
        cursor.space()?;
    }
    cursor.mod_seq()
}
