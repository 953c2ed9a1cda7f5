//! What was measured, of each server or program, and how it is shown.

use core::fmt::Write as _;

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A rate.
    More,
    /// A time, or room.
    Less,
}

/// One figure of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// Of what the value is a number.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// How much; `None` if the server cannot do it.
    pub value: Option<f64>,
}

/// Everything that was measured of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The server.
    pub server: String,
    /// In the order in which it was measured.
    pub figures: Vec<Figure>,
    /// Answers that were wrong.
    pub wrong: Vec<String>,
}

impl Report {
    /// Nothing measured yet.
    pub fn new(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            figures: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Notes a rate: so much in so many seconds.
    pub fn rate(&mut self, name: &'static str, unit: &'static str, count: f64, seconds: f64) {
        self.push(name, unit, Better::More, Some(count / seconds));
    }

    /// Notes the median and the time under which 95 of 100 were, from seconds.
    pub fn times(&mut self, names: [&'static str; 2], seconds: &mut [f64]) {
        seconds.sort_by(f64::total_cmp);
        for (name, share) in names.into_iter().zip([50, 95]) {
            let at = (seconds.len() * share / 100).min(seconds.len().saturating_sub(1));
            let value = seconds.get(at).map(|seconds| seconds * 1000.0);
            self.push(name, "ms", Better::Less, value);
        }
    }

    /// Notes one time, from seconds.
    pub fn time(&mut self, name: &'static str, seconds: f64) {
        self.push(name, "ms", Better::Less, Some(seconds * 1000.0));
    }

    /// Notes a figure.
    pub fn push(
        &mut self,
        name: &'static str,
        unit: &'static str,
        better: Better,
        value: Option<f64>,
    ) {
        self.figures.push(Figure {
            name,
            unit,
            better,
            value,
        });
    }

    /// Notes an answer that is not what it should be.
    pub fn expect(&mut self, what: &str, found: usize, expected: usize) {
        if found != expected {
            self.wrong
                .push(format!("{what}: {found}, and {expected} are right"));
        }
    }
}

/// A table in Markdown: a column for each server, and how much better the first is than each of
/// the others (above 1: better).
pub fn table(reports: &[Report]) -> String {
    let mut text = String::from("| measure | unit |");
    for report in reports {
        let _ = write!(text, " {} |", report.server);
    }
    for report in reports.iter().skip(1) {
        let _ = write!(text, " beside {} |", report.server);
    }
    text.push_str("\n|---|---|");
    let columns = (reports.len() * 2).saturating_sub(1);
    text.push_str(&"---:|".repeat(columns));
    text.push('\n');
    let Some(first) = reports.first() else {
        return text;
    };
    for figure in &first.figures {
        let _ = write!(text, "| {} | {} |", figure.name, figure.unit);
        let value = |report: &Report| {
            let same = report
                .figures
                .iter()
                .find(|other| other.name == figure.name);
            same.and_then(|figure| figure.value)
        };
        for report in reports {
            let _ = write!(text, " {} |", value(report).map_or("-".to_owned(), rounded));
        }
        for report in reports.iter().skip(1) {
            let ratio = figure
                .value
                .zip(value(report))
                .map(|(ours, theirs)| match figure.better {
                    Better::More => ours / theirs,
                    Better::Less => theirs / ours,
                });
            let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = write!(text, " {ratio} |");
        }
        text.push('\n');
    }
    for report in reports {
        for wrong in &report.wrong {
            let _ = writeln!(text, "\nWRONG ({}): {wrong}", report.server);
        }
    }
    text
}

fn rounded(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}
