//! Dates as the page shows them, from milliseconds and the offset of local time.
//!
//! Rejected: the browser's `Intl`; the views are pure and tested natively. Other languages get
//! tables of their own.

use crate::model::Clock;

const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;

struct Local {
    /// Days since 1970-01-01.
    days: i64,
    year: i64,
    month: &'static str,
    day: i64,
    hour: i64,
    minute: i64,
}

/// For the list: the time today, the day this year, else the date.
pub fn short(ms: i64, clock: Clock) -> String {
    let (then, now) = (local(ms, clock), local(clock.now_ms, clock));
    if then.days == now.days {
        return format!("{:02}:{:02}", then.hour, then.minute);
    }
    if then.year == now.year {
        return format!("{} {}", then.day, then.month);
    }
    format!("{} {} {}", then.day, then.month, then.year)
}

/// Without a time: `5 May 2026`.
pub fn day(ms: i64, clock: Clock) -> String {
    let then = local(ms, clock);
    format!("{} {} {}", then.day, then.month, then.year)
}

/// For the reader: `Tuesday, 5 May 2026, 14:05`.
pub fn long(ms: i64, clock: Clock) -> String {
    let then = local(ms, clock);
    let weekday = usize::try_from(then.days.rem_euclid(7))
        .ok()
        .and_then(|day| DAYS.get(day));
    format!(
        "{}, {} {} {}, {:02}:{:02}",
        weekday.copied().unwrap_or_default(),
        then.day,
        then.month,
        then.year,
        then.hour,
        then.minute
    )
}

/// Proleptic Gregorian calendar, by eras of 400 years that begin on the first of March.
fn local(ms: i64, clock: Clock) -> Local {
    let ms = ms.saturating_add(i64::from(clock.offset_minutes) * MINUTE_MS);
    let days = ms.div_euclid(DAY_MS);
    let minutes = ms.rem_euclid(DAY_MS) / MINUTE_MS;
    let since_march_0 = days.saturating_add(719_468);
    let era = since_march_0.div_euclid(146_097);
    let day_of_era = since_march_0.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let month = (month_from_march + 2) % 12;
    Local {
        days,
        year: year_of_era + era * 400 + i64::from(month < 2),
        month: usize::try_from(month)
            .ok()
            .and_then(|m| MONTHS.get(m))
            .copied()
            .unwrap_or_default(),
        day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        hour: minutes / 60,
        minute: minutes % 60,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_shown_in_local_time() {
        // 2026-05-05T12:05:00Z, two hours east.
        let now = Clock {
            now_ms: 1_777_982_700_000,
            offset_minutes: 120,
        };
        assert_eq!(long(now.now_ms, now), "Tuesday, 5 May 2026, 14:05");
        assert_eq!(short(now.now_ms, now), "14:05");
        assert_eq!(short(now.now_ms - DAY_MS, now), "4 May");
        assert_eq!(short(0, now), "1 Jan 1970");
        let utc = Clock {
            now_ms: 0,
            offset_minutes: 0,
        };
        assert_eq!(long(951_782_400_000, utc), "Tuesday, 29 Feb 2000, 00:00");
        assert_eq!(long(-1, utc), "Wednesday, 31 Dec 1969, 23:59");
        long(i64::MAX, now);
        long(i64::MIN, now);
    }
}
