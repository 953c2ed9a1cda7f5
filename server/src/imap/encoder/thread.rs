//! THREAD responses (RFC 5256 4, 5).
//!
//! Invariant: nothing recurses: a thread may be as deep as a mailbox is large.

use super::put;
use crate::imap::response::ThreadRow;

/// `thread-data = "THREAD" [SP 1*thread-list]`
pub(super) fn write(out: &mut Vec<u8>, rows: &[ThreadRow]) {
    put(out, "* THREAD");
    let siblings = siblings(rows);
    // Depths at which a parenthesis is open.
    let mut open: Vec<usize> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let begins = row.depth == 0 || siblings.get(index).is_some_and(|count| *count > 1);
        let closed = close(out, &mut open, row.depth);
        let before = index.checked_sub(1).and_then(|before| rows.get(before));
        if begins {
            // `[SP 1*thread-list]` and `nz-number [SP thread-nested]`.
            if index == 0 || (!closed && before.is_some_and(|before| before.number.is_some())) {
                put(out, " ");
            }
            put(out, "(");
            open.push(row.depth);
        } else {
            put(out, " ");
        }
        if let Some(number) = row.number {
            put(out, number);
        }
    }
    close(out, &mut open, 0);
}

/// Closes the parentheses that a row of this depth is not within; tells whether there were any.
fn close(out: &mut Vec<u8>, open: &mut Vec<usize>, depth: usize) -> bool {
    let before = open.len();
    while open.last().is_some_and(|last| *last >= depth) {
        open.pop();
        put(out, ")");
    }
    open.len() < before
}

/// For each row, how many children its parent has.
fn siblings(rows: &[ThreadRow]) -> Vec<usize> {
    let mut counts = vec![0_usize; rows.len()];
    let mut parents: Vec<Option<usize>> = Vec::with_capacity(rows.len());
    let mut path: Vec<usize> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        path.truncate(row.depth);
        let parent = path.last().copied();
        if let Some(count) = parent.and_then(|parent| counts.get_mut(parent)) {
            *count = count.saturating_add(1);
        }
        parents.push(parent);
        path.push(index);
    }
    let of = |parent: &Option<usize>| parent.and_then(|at| counts.get(at)).copied().unwrap_or(0);
    parents.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers with a dot for each level; `-` is a message that is not there.
    fn check(rows: &str, expected: &str) {
        let row = |word: &str| {
            let number = word.trim_start_matches('.');
            ThreadRow {
                number: number.parse().ok(),
                depth: word.len() - number.len(),
            }
        };
        let rows: Vec<ThreadRow> = rows.split_whitespace().map(row).collect();
        let mut out = Vec::new();
        write(&mut out, &rows);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn threads_of_the_rfc() {
        // RFC 5256 4, and lines of the examples of 3.
        check(
            "2 3 .6 ..4 ...23 ..44 ...7 ....96",
            "* THREAD (2)(3 6 (4 23)(44 7 96))",
        );
        check("- .3 .5", "* THREAD ((3)(5))");
        check("", "* THREAD");
        check(
            "166 167 - .170 .179 171",
            "* THREAD (166)(167)((170)(179))(171)",
        );
        check(
            "194 .195 196 .197 .198 199",
            "* THREAD (194 195)(196 (197)(198))(199)",
        );
        check(
            "- .177 .183 .188 ..184 ..189 .185 ..186",
            "* THREAD ((177)(183)(188 (184)(189))(185 186))",
        );
        check(
            "- .194 .195 ..196 197 .198",
            "* THREAD ((194)(195 196))(197 198)",
        );
    }

    #[test]
    fn a_deep_thread_is_written() {
        let rows: Vec<ThreadRow> = (0..100_000)
            .map(|depth| ThreadRow {
                number: Some(1),
                depth,
            })
            .collect();
        let mut out = Vec::new();
        write(&mut out, &rows);
        assert_eq!(out.len(), "* THREAD ()".len() + 2 * rows.len() - 1);
    }
}
