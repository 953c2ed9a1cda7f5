//! The search keys of RFC 9738 3.2, which name UIDs from one side.

use super::Syntax;
use super::cursor::Cursor;
use crate::imap::set::UidSet;

/// `"UIDAFTER" SP uniqueid / "UIDBEFORE" SP uniqueid`: neither has that UID itself.
pub(super) fn uids_beside(cursor: &mut Cursor<'_>, word: &str) -> Result<UidSet, Syntax> {
    cursor.space()?;
    let uid = cursor.nz_number()?;
    let (from, to) = match word {
        "UIDAFTER" => (uid.checked_add(1), Some(u32::MAX)),
        _ => (Some(1), uid.checked_sub(1).filter(|to| *to > 0)),
    };
    let spans: Vec<_> = from.zip(to).into_iter().collect();
    Ok(UidSet::from_spans(&spans))
}
