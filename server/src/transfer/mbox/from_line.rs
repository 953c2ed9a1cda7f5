//! The line before a message in an mbox: `From sender date` (RFC 4155 appendix A).
//!
//! Read leniently, since every program writes it otherwise: senders with spaces, zones before or
//! after the year, `remote from`, no seconds. But a line of prose that begins with `From ` must
//! not end a message, so a date in one of the written forms is required, or a form that is known
//! to come without one, between an empty line and a header.

use letterlock_core::id::Timestamp;
use letterlock_core::mime;

use super::quoting::FROM;

/// Longest separator looked at, in octets.
pub(super) const MAX_FROM_LINE_OCTETS: usize = 1024;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// The sender where none is known, as mail servers write it.
const NOBODY: &str = "MAILER-DAEMON";

/// What a separator says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FromLine {
    /// When the message was delivered, in UTC unless it says otherwise.
    pub(super) date: Option<Timestamp>,
}

/// Whether the text that begins here begins with a separator. `after_blank`: an empty line or
/// the file's beginning stands before it.
pub(super) fn separator(text: &[u8], after_blank: bool) -> Option<FromLine> {
    let rest = text.strip_prefix(FROM)?;
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    if end > MAX_FROM_LINE_OCTETS {
        return None;
    }
    let line = String::from_utf8_lossy(rest.get(..end)?);
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if let Some(date) = date(&words) {
        return Some(FromLine { date: Some(date) });
    }
    let next = rest.get(end.saturating_add(1)..).unwrap_or_default();
    let bare = match words.as_slice() {
        [] | ["-"] => true,
        [sender] => sender.contains('@') || *sender == NOBODY,
        _ => false,
    };
    (bare && after_blank && begins_with_field(next)).then_some(FromLine { date: None })
}

/// Finds `Thu Nov 21 09:55:06 1997`, or `Thu, 21 Nov 1997 09:55:06`, among the words.
fn date(words: &[&str]) -> Option<Timestamp> {
    let is = |names: &[&str], word: &str| names.iter().any(|n| n.eq_ignore_ascii_case(word));
    let number = |word: &str, most: usize| {
        word.len() <= most && !word.is_empty() && word.bytes().all(|o| o.is_ascii_digit())
    };
    let time = |word: &str| {
        let mut parts = word.split(':');
        parts.clone().count() >= 2 && parts.all(|part| number(part, 2))
    };
    let starts = (0..words.len()).filter_map(|at| words.get(at..));
    starts
        .filter(|words| match words {
            [day, month, date, clock, _, ..]
                if is(&DAYS, day) && is(&MONTHS, month) && time(clock) =>
            {
                number(date, 2)
            }
            [day, date, month, year, clock, ..] => {
                let day = day.strip_suffix(',').unwrap_or(day);
                is(&DAYS, day)
                    && number(date, 2)
                    && is(&MONTHS, month)
                    && number(year, 4)
                    && time(clock)
            }
            _ => false,
        })
        .find_map(|words| mime::parse_date(words.join(" ").as_bytes()))
}

/// Whether a header field begins here.
fn begins_with_field(text: &[u8]) -> bool {
    let colon = text.iter().position(|octet| *octet == b':');
    let name = colon.and_then(|at| text.get(..at)).unwrap_or_default();
    !name.is_empty() && name.iter().all(u8::is_ascii_graphic)
}

/// Writes a separator: the sender without white space, the date as asctime does, in UTC.
pub(super) fn write(sender: Option<&str>, date: Timestamp) -> String {
    let plain = |sender: &&str| !sender.is_empty() && sender.chars().all(|c| c.is_ascii_graphic());
    let sender = sender.filter(plain).unwrap_or(NOBODY);
    let seconds = date.as_secs();
    let days = seconds.div_euclid(86_400);
    let (year, month, day) = mime::civil_from_days(days);
    let nth = |names: &[&'static str], at: i64| {
        let at = usize::try_from(at).ok();
        at.and_then(|at| names.get(at).copied()).unwrap_or_default()
    };
    // 1970-01-01 was a Thursday.
    let weekday = nth(&DAYS, days.saturating_add(3).rem_euclid(7));
    let month = nth(&MONTHS, month.saturating_sub(1));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("From {sender} {weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} {year:04}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: i64) {
        let found = separator(text.as_bytes(), false);
        let date = Some(Timestamp::from_secs(seconds));
        assert_eq!(found, Some(FromLine { date }), "{text}");
    }

    #[test]
    fn separators_are_read_as_programs_write_them() {
        check("From a@b Fri Nov 21 09:55:06 1997\n", 880_106_106);
        check("From a@b  Fri Nov 21 09:55 1997\n", 880_106_100);
        check("From - Fri Nov 21 09:55:06 1997\r\n", 880_106_106);
        check("From 12@xxx Fri Nov 21 09:55:06 +0000 1997", 880_106_106);
        check("From a@b Fri Nov 21 09:55:06 1997 -0600\n", 880_127_706);
        check("From a@b Fri Nov 21 09:55:06 PST 1997\n", 880_134_906);
        check(
            "From a@b Fri Nov 21 09:55:06 1997 remote from x\n",
            880_106_106,
        );
        check("From a at b.org  Fri Nov 21 09:55:06 1997\n", 880_106_106);
        check("From a@b Fri, 21 Nov 1997 09:55:06 +0000\n", 880_106_106);
    }

    #[test]
    fn prose_is_no_separator() {
        for prose in [
            "From here on it rains\n",
            "From Monday, the 3rd of May\n",
            "From Mon to Fri we work\n",
            "From Fri Nov 21 to Sat Nov 22 1997\n",
            "From a@b\nhello\n",
            "From: a@b Fri Nov 21 09:55:06 1997\n",
            "from a@b Fri Nov 21 09:55:06 1997\n",
        ] {
            assert_eq!(separator(prose.as_bytes(), true), None, "{prose}");
        }
    }

    #[test]
    fn without_a_date_it_stands_between_an_empty_line_and_a_header() {
        for bare in [
            "From \n",
            "From - \r\n",
            "From MAILER-DAEMON\n",
            "From a@b\n",
        ] {
            let text = format!("{bare}Subject: x\n");
            assert_eq!(
                separator(text.as_bytes(), true),
                Some(FromLine { date: None })
            );
            assert_eq!(separator(text.as_bytes(), false), None, "{bare}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let line = write(Some("a@b"), Timestamp::from_secs(880_106_106));
        assert_eq!(line, "From a@b Fri Nov 21 09:55:06 1997\n");
        for seconds in [0, -1, 951_782_400, 4_102_444_799] {
            check(&write(Some("a b"), Timestamp::from_secs(seconds)), seconds);
        }
        assert!(write(Some("\"a b\"@c"), Timestamp::from_secs(0)).starts_with("From MAILER-"));
    }
}
