//! What is wrong with a configuration file, and where.

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Least likeness (Jaro-Winkler, 0 to 1) at which a key is suggested.
const LIKENESS: f64 = 0.75;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A key or section that does not exist.
    #[error("{place}: unknown {name}; {hint}")]
    Unknown {
        /// Where.
        place: Place,
        /// The key, and its section if it has one.
        name: String,
        /// The nearest valid key, or all.
        hint: String,
    },
    /// Not TOML, or a value of the wrong kind.
    #[error("{place}: {reason}")]
    Invalid {
        /// Where.
        place: Place,
        /// What the parser says.
        reason: String,
    },
    /// A value of the right kind that makes no sense.
    #[error("`{key}` must be {must}")]
    Value {
        /// `section.key`.
        key: &'static str,
        /// What it must be.
        must: String,
    },
    /// One of the others, in a file.
    #[error("{}: {error}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: Box<ConfigError>,
    },
}

impl ConfigError {
    pub(super) fn unknown(
        name: &str,
        section: Option<&str>,
        place: Place,
        known: &[&'static str],
    ) -> Self {
        let name = match section {
            Some(section) => format!("key `{name}` in [{section}]"),
            None => format!("section `{name}`"),
        };
        let bare = name.split('`').nth(1).unwrap_or_default();
        let hint = match nearest(bare, known) {
            Some(key) => format!("the nearest is `{key}`"),
            None => format!("known are `{}`", known.join("`, `")),
        };
        Self::Unknown { place, name, hint }
    }

    pub(super) fn in_file(self, path: &Path) -> Self {
        Self::InFile {
            path: path.to_owned(),
            error: Box::new(self),
        }
    }
}

fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|key| (strsim::jaro_winkler(name, key), *key))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

/// A place in a text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// The place of an octet offset.
    pub(super) fn at(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end.saturating_add(1));
        let column = before
            .get(line_start..)
            .map_or(0, |line| line.chars().count());
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: column.saturating_add(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
