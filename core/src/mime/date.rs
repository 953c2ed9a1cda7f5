//! Dates of mail (RFC 5322 3.3, with the obsolete forms of 4.3), read and written.
//!
//! Invariant: never fails on input, only says that it is no date; leap seconds count as the
//! second before. Rejected: a calendar crate; mail needs one format and the proleptic Gregorian
//! calendar, which is twenty lines.

use crate::id::Timestamp;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const MONTH_NAMES: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const DAY_NAMES: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
/// Longest value looked at, in octets.
const MAX_DATE_OCTETS: usize = 200;

/// Reads the value of a `Date` field; `None` if it is no date.
pub fn parse_date(value: &[u8]) -> Option<Timestamp> {
    let text = String::from_utf8_lossy(value.get(..MAX_DATE_OCTETS).unwrap_or(value));
    let mut text = if text.contains('(') {
        without_comments(&text)
    } else {
        text.into_owned()
    };
    text.make_ascii_lowercase();
    // `Fri, 21 Nov 1997 09:55:06 -0600`, `21-Nov-97 ...`, and ctime's `Fri Nov 21 09:55:06 1997`.
    let mut words: Vec<&str> = Vec::with_capacity(8);
    for word in text.split(|c: char| c.is_whitespace() || c == ',') {
        if word.starts_with(|c: char| c.is_ascii_digit()) && word.matches('-').count() == 2 {
            words.extend(word.split('-'));
        } else if !word.is_empty() {
            words.push(word);
        }
    }
    let month_at = words.iter().position(|word| month(word).is_some())?;
    let month = month(words.get(month_at)?)?;
    let before = month_at
        .checked_sub(1)
        .and_then(|at| number(words.get(at)?, 2));
    let after = words.get(month_at.checked_add(1)?..).unwrap_or_default();
    let (day, year, time, zone) = match (before, after) {
        (Some(day), [year, time, rest @ ..]) => (day, number(year, 4)?, *time, rest.first()),
        (Some(day), [year]) => (day, number(year, 4)?, "0:0", None),
        (None, [day, time, year]) if time.contains(':') => {
            (number(day, 2)?, number(year, 4)?, *time, None)
        }
        (None, [day, time, zone, year, ..]) if time.contains(':') => match number(year, 4) {
            Some(year) => (number(day, 2)?, year, *time, Some(zone)),
            None => (number(day, 2)?, number(zone, 4)?, *time, Some(year)),
        },
        _ => return None,
    };
    let year = full_year(year);
    if !(1..=31).contains(&day) {
        return None;
    }
    let seconds = days_from_civil(year, month, day)
        .checked_mul(86_400)?
        .checked_add(seconds_of_day(time)?)?
        .checked_sub(zone.map_or(0, |zone| zone_seconds(zone)))?;
    Some(Timestamp::from_secs(seconds))
}

fn without_comments(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|&c| {
            if c == '(' {
                depth = depth.saturating_add(1);
            }
            let keep = depth == 0;
            if c == ')' {
                depth = depth.saturating_sub(1);
            }
            keep
        })
        .collect()
}

fn month(word: &str) -> Option<i64> {
    let start = word.get(..3)?;
    let at = MONTHS.iter().position(|month| *month == start)?;
    i64::try_from(at).ok()?.checked_add(1)
}

fn number(word: &str, most_digits: usize) -> Option<i64> {
    let digits = !word.is_empty() && word.bytes().all(|o| o.is_ascii_digit());
    (digits && word.len() <= most_digits).then(|| word.parse().ok())?
}

/// Years of two and three digits (RFC 5322 4.3).
fn full_year(year: i64) -> i64 {
    match year {
        0..=49 => year.saturating_add(2000),
        50..=999 => year.saturating_add(1900),
        _ => year,
    }
}

fn seconds_of_day(time: &str) -> Option<i64> {
    let mut parts = time.splitn(3, [':', '.']);
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    let second = match parts.next() {
        Some(second) => number(second.split('.').next()?, 2)?.min(59),
        None => 0,
    };
    let valid = hour < 24 && minute < 60;
    valid.then(|| {
        hour.saturating_mul(3600)
            .saturating_add(minute.saturating_mul(60))
            + second
    })
}

/// Offset from UTC in seconds; an unknown zone is UTC (RFC 5322 4.3).
fn zone_seconds(zone: &str) -> i64 {
    let hours: i64 = match zone {
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        "bst" | "cet" | "met" => 1,
        "cest" | "mest" | "eet" => 2,
        "msk" | "eest" => 3,
        "jst" | "kst" => 9,
        _ => return numeric_zone(zone).unwrap_or(0),
    };
    hours.saturating_mul(3600)
}

fn numeric_zone(zone: &str) -> Option<i64> {
    let zone = zone
        .strip_prefix("gmt")
        .or_else(|| zone.strip_prefix("utc"))
        .unwrap_or(zone);
    let (sign, digits) = match zone.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, zone.strip_prefix('+')?),
    };
    let digits: String = digits.chars().filter(|c| *c != ':').collect();
    let value = number(&digits, 4)?;
    let seconds = (value / 100)
        .saturating_mul(3600)
        .saturating_add((value % 100).saturating_mul(60));
    Some(seconds.saturating_mul(sign))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar, whose years here begin in March so
/// that the leap day is the last.
pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 {
        year.saturating_sub(1)
    } else {
        year
    };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_of_year = (month + 9) % 12;
    let day_of_year = (153 * month_of_year + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_of_year + 2) / 5 + 1;
    let month = if month_of_year < 10 {
        month_of_year + 3
    } else {
        month_of_year - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Writes a date as RFC 5322 3.3 wants it, in UTC.
///
/// # Examples
/// ```
/// use letterlock_core::{id::Timestamp, mime::format_date};
/// let date = format_date(Timestamp::from_secs(880_127_706));
/// assert_eq!(date, "Fri, 21 Nov 1997 15:55:06 +0000");
/// ```
pub fn format_date(time: Timestamp) -> String {
    let seconds = time.as_secs();
    let days = seconds.div_euclid(86_400);
    let of_day = seconds.rem_euclid(86_400);
    let (year, month, day) = civil_from_days(days);
    let nth = |names: &[&'static str], at: i64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| names.get(at).copied())
            .unwrap_or_default()
    };
    format!(
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        nth(&DAY_NAMES, days.rem_euclid(7)),
        nth(&MONTH_NAMES, month.saturating_sub(1)),
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, seconds: i64) {
        assert_eq!(
            parse_date(value.as_bytes()),
            Some(Timestamp::from_secs(seconds)),
            "{value}"
        );
    }

    #[test]
    fn dates_are_read() {
        // RFC 5322 A.1.1 and A.6.2.
        check("Fri, 21 Nov 1997 09:55:06 -0600", 880_127_706);
        check("21 Nov 97 09:55:06 GMT", 880_106_106);
        check(
            "Thu, 13 Feb 1969 23:32:54 -0330 (Newfoundland Time)",
            -27_723_426,
        );
        check(" 21 Nov 1997 09:55 EST", 880_124_100);
        check("Fri Nov 21 09:55:06 1997", 880_106_106);
        check("Fri Nov 21 09:55:06 PST 1997", 880_134_906);
        check("21-Nov-1997 09:55:06 +0000", 880_106_106);
        check("Sat, 29 Feb 2020 00:00:00 +0530", 1_582_914_600);
        check("Fri,21 November 1997 09.55.06 gmt+01:00", 880_102_506);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for bad in [
            "",
            "yesterday",
            "32 Jan 2000 00:00:00 +0000",
            "1 Jan 2000 25:00",
            "Jan",
            "é",
        ] {
            assert_eq!(parse_date(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn dates_go_both_ways() {
        for seconds in [
            0,
            -1,
            951_782_400,
            4_102_444_799,
            -2_208_988_800,
            1_709_164_800,
        ] {
            check(&format_date(Timestamp::from_secs(seconds)), seconds);
        }
        assert_eq!(
            format_date(Timestamp::from_secs(0)),
            "Thu, 1 Jan 1970 00:00:00 +0000"
        );
    }
}
