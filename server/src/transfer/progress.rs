//! How far an import or export is: a bar on a terminal, else a line every few seconds.
//!
//! Everything goes to standard error; standard output has the closing summary alone, for scripts.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use letterlock_core::id::Timestamp;

/// Between two lines where there is no terminal.
const LINE_EVERY_MS: i64 = 5_000;
/// How often the bar is drawn at most, a second.
const DRAWN_A_SECOND: u8 = 5;
/// Width of the bar, in columns.
const BAR: &str = "{bar:24} {percent:>3}%  {msg}";
/// Where the end is not known.
const NO_BAR: &str = "{spinner} {msg}";

/// What is counted towards the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Total {
    /// So many octets.
    Octets(u64),
    /// So many messages.
    Messages(u64),
    /// So many messages that are to be indexed.
    Indexed(u64),
    /// Nobody knows.
    Unknown,
}

/// What was done up to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Done {
    /// Messages.
    pub messages: u64,
    /// Octets of the source, or of what was written.
    pub octets: u64,
}

/// Shows it.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: Total,
    done: Done,
    started: Timestamp,
    last_line: Timestamp,
}

impl Progress {
    /// Nothing is done yet.
    pub fn start(total: Total, now: Timestamp) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(DRAWN_A_SECOND);
            ProgressBar::with_draw_target(None, target)
        });
        let mut progress = Self {
            bar,
            total,
            done: Done::default(),
            started: now,
            last_line: now,
        };
        progress.set_total(total);
        progress
    }

    /// Says how much there is to do.
    pub fn set_total(&mut self, total: Total) {
        self.total = total;
        let Some(bar) = &self.bar else { return };
        let template = match total {
            Total::Octets(n) | Total::Messages(n) | Total::Indexed(n) => {
                bar.set_length(n);
                BAR
            }
            Total::Unknown => NO_BAR,
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
    }

    /// What was done up to now.
    pub const fn done(&self) -> Done {
        self.done
    }

    /// How long it has taken.
    pub fn took(&self, now: Timestamp) -> Duration {
        let millis = now.as_millis().saturating_sub(self.started.as_millis());
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }

    /// So much more is done.
    pub fn advance(&mut self, more: Done, now: Timestamp) {
        self.done.messages = self.done.messages.saturating_add(more.messages);
        self.done.octets = self.done.octets.saturating_add(more.octets);
        let text = describe(self.done, self.total, self.took(now));
        if let Some(bar) = &self.bar {
            bar.set_position(match self.total {
                Total::Messages(_) | Total::Indexed(_) => self.done.messages,
                Total::Octets(_) | Total::Unknown => self.done.octets,
            });
            bar.set_message(text);
        } else if now.as_millis().saturating_sub(self.last_line.as_millis()) >= LINE_EVERY_MS {
            self.last_line = now;
            self.say(&text);
        }
    }

    /// So much was done by an earlier run: it counts towards nothing.
    pub fn pass(&mut self, done: Done) {
        let total = match self.total {
            Total::Octets(total) => Total::Octets(total.saturating_sub(done.octets)),
            Total::Messages(total) => Total::Messages(total.saturating_sub(done.messages)),
            Total::Indexed(total) => Total::Indexed(total.saturating_sub(done.messages)),
            Total::Unknown => Total::Unknown,
        };
        self.set_total(total);
    }

    /// Says something without disturbing the bar.
    pub fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // There is nobody to tell if this fails.
            None => drop(writeln!(io::stderr(), "{text}")),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `1200 messages, 34.5 MB, 5.6 MB/s, 2 min 3 s left`, or `indexing 1200 of 3000, 5 s left`
fn describe(done: Done, total: Total, took: Duration) -> String {
    let mut parts = match total {
        Total::Indexed(total) => vec![format!("indexing {} of {total}", done.messages)],
        _ => vec![format!("{} messages", done.messages), octets(done.octets)],
    };
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    if took >= Duration::from_secs(1) {
        if parts.len() > 1 {
            let rate = scale(done.octets, 1000, millis);
            parts.push(format!("{}/s", octets(rate)));
        }
        let (done, total) = match total {
            Total::Octets(total) => (done.octets, total),
            Total::Messages(total) | Total::Indexed(total) => (done.messages, total),
            Total::Unknown => (0, 0),
        };
        if done > 0 {
            let left = scale(total.saturating_sub(done), millis, done);
            parts.push(format!("{} left", duration(Duration::from_millis(left))));
        }
    }
    parts.join(", ")
}

/// `value * factor / divisor`
fn scale(value: u64, factor: u64, divisor: u64) -> u64 {
    let product = u128::from(value).saturating_mul(u128::from(factor));
    let quotient = product.checked_div(u128::from(divisor)).unwrap_or(0);
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

/// `34.5 MB`
pub fn octets(count: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, size) in units {
        if count >= size {
            let tenths = scale(count, 10, size);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} octets")
}

/// `2 min 3 s`
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_with_rate_and_time_left() {
        let done = Done {
            messages: 100,
            octets: 2_500_000,
        };
        let after = |seconds, total| describe(done, total, Duration::from_secs(seconds));
        assert_eq!(
            after(5, Total::Octets(10_000_000)),
            "100 messages, 2.5 MB, 500.0 kB/s, 15 s left"
        );
        assert_eq!(
            after(100, Total::Messages(300)),
            "100 messages, 2.5 MB, 25.0 kB/s, 3 min 20 s left"
        );
        assert_eq!(after(1, Total::Unknown), "100 messages, 2.5 MB, 2.5 MB/s");
        assert_eq!(after(0, Total::Octets(1)), "100 messages, 2.5 MB");
        assert_eq!(
            after(100, Total::Indexed(300)),
            "indexing 100 of 300, 3 min 20 s left"
        );
        assert_eq!(after(0, Total::Indexed(300)), "indexing 100 of 300");
        assert_eq!(octets(999), "999 octets");
        assert_eq!(duration(Duration::from_secs(7_265)), "2 h 1 min");
    }
}
