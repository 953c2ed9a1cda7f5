//! Days and instants as IMAP writes them (RFC 3501 9 `date`, `date-time`).
//!
//! Invariant: proleptic Gregorian calendar, no leap seconds, no clock. Rejected: a calendar
//! crate; two conversions of a dozen lines need none.

use letterlock_core::id::Timestamp;
use letterlock_core::mime;

/// English month names (RFC 3501 9 `date-month`).
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Seconds in a day.
const DAY: i64 = 86_400;

/// A day of the calendar, as the number of days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(i64);

impl Date {
    /// `None` for a day that the calendar does not have.
    pub fn new(year: i64, month: u32, day: u32) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=days).contains(&day) || !(0..=9999).contains(&year) {
            return None;
        }
        Some(Self(mime::days_from_civil(
            year,
            i64::from(month),
            i64::from(day),
        )))
    }

    /// The day of an instant in UTC.
    pub fn of(instant: Timestamp) -> Self {
        Self(instant.as_secs().div_euclid(DAY))
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i64 {
        self.0
    }

    /// The day so many days after 1970-01-01.
    pub const fn from_days(days: i64) -> Self {
        Self(days)
    }

    /// Year, month, day.
    fn civil(self) -> (i64, i64, i64) {
        mime::civil_from_days(self.0)
    }
}

/// The number of a month from its English name, in any case.
pub fn month(name: &str) -> Option<u32> {
    let position = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))?;
    u32::try_from(position).ok()?.checked_add(1)
}

/// Reads `date-text` (RFC 3501 9): `date-day "-" date-month "-" date-year`.
pub fn parse_date(text: &str) -> Option<Date> {
    let mut fields = text.split('-');
    let day = fields.next()?;
    let month = month(fields.next()?)?;
    let year = fields.next()?;
    let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if fields.next().is_some() || year.len() != 4 || !digits(year) || !digits(day) || day.len() > 2
    {
        return None;
    }
    Date::new(year.parse().ok()?, month, day.parse().ok()?)
}

/// Reads `date-time` without its quotes (RFC 3501 9): `date-day-fixed "-" date-month "-"
/// date-year SP time SP zone`.
pub fn parse_date_time(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let date = parse_date(words.next()?)?;
    let mut clock = words.next()?.split(':');
    let mut field = |limit: i64| {
        let text = clock.next().filter(|text| text.len() == 2)?;
        text.parse::<i64>()
            .ok()
            .filter(|value| (0..=limit).contains(value))
    };
    let (hour, minute, second) = (field(23)?, field(59)?, field(60)?);
    let zone = words.next()?;
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let number = digits.parse::<u16>().ok().map(i64::from)?;
    let offset = sign * ((number / 100) * 3600 + (number % 100) * 60);
    Some(Timestamp::from_secs(
        date.0 * DAY + hour * 3600 + minute * 60 + second - offset,
    ))
}

/// Writes `date-time` without its quotes, in UTC: an instant has no zone of its own.
pub fn write_date_time(instant: Timestamp) -> String {
    let (year, month, day) = Date::of(instant).civil();
    let name = usize::try_from(month - 1)
        .ok()
        .and_then(|at| MONTHS.get(at))
        .unwrap_or(&"Jan");
    let second = instant.as_secs().rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{day:2}-{name}-{year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_go_both_ways() {
        for (text, seconds, written) in [
            (
                "17-Jul-1996 02:44:25 -0700",
                837_596_665,
                "17-Jul-1996 09:44:25 +0000",
            ),
            (
                " 1-Jan-1970 00:00:00 +0000",
                0,
                " 1-Jan-1970 00:00:00 +0000",
            ),
            (
                "29-Feb-2000 23:59:59 +0530",
                951_848_999,
                "29-Feb-2000 18:29:59 +0000",
            ),
            (
                "31-Dec-1969 23:59:59 +0000",
                -1,
                "31-Dec-1969 23:59:59 +0000",
            ),
        ] {
            let instant = parse_date_time(text).unwrap();
            assert_eq!(instant, Timestamp::from_secs(seconds), "{text}");
            assert_eq!(write_date_time(instant), written);
        }
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for bad in [
            "30-Feb-2000",
            "29-Feb-1900",
            "0-Jan-2000",
            "1-Foo-2000",
            "1-Jan-200",
            "1-Jan",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
        assert!(parse_date("1-jan-2000") < parse_date("02-JAN-2000"));
        assert_eq!(parse_date_time("1-Jan-2000 24:00:00 +0000"), None);
        assert_eq!(parse_date_time("1-Jan-2000 00:00:00 0000"), None);
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in -146_097..146_097 {
            let (year, month, date) = Date(day).civil();
            let month = u32::try_from(month).unwrap();
            assert_eq!(
                Date::new(year, month, u32::try_from(date).unwrap()),
                Some(Date(day))
            );
        }
    }
}
