//! Our policy beside others': pysequoia (Sequoia's standard policy) and gpg judge the same
//! signatures and certificates.
//!
//! Each difference is in a table with its reason (`expected`); one that is not in it fails, and so
//! does one that is in it and is gone. The judges and the vectors that ship with rPGP and with
//! Sequoia are installed by `cargo xtask test`, which says by two variables where; without them the
//! tests say so and pass. Everybody judges by the clock of this machine, because pysequoia does.
//! Rejected: copies of the vectors; they are others', and cargo has them.

mod certificates;
mod expected;
mod judges;
mod signatures;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::expected::Difference;
use crate::id::Timestamp;

/// Where the vectors of a crate are: the variable holds the folder of cargo's sources.
fn vectors(package: &str) -> Option<PathBuf> {
    let sources = PathBuf::from(std::env::var_os("LETTERLOCK_VECTORS")?);
    let folders = std::fs::read_dir(sources).ok()?.flatten();
    let mut found: Vec<PathBuf> = folders
        .map(|folder| folder.path())
        .filter(|folder| {
            let name = folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let version = name
                .strip_prefix(package)
                .and_then(|rest| rest.strip_prefix('-'));
            version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        })
        .collect();
    found.sort();
    found.pop().map(|folder| folder.join("tests"))
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[expect(
    clippy::disallowed_methods,
    reason = "the other judges read this clock"
)]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_secs(i64::try_from(since.unwrap().as_secs()).unwrap())
}

/// What a judge says of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    name: String,
    ours: bool,
    theirs: bool,
    /// Why it is no good to us.
    why: String,
}

/// Compares with the table; what differs and is not listed there, and what is listed and does not
/// differ.
fn compare(judge: &str, verdicts: &[Verdict], table: &[Difference]) -> Vec<String> {
    let rows: Vec<&Difference> = table.iter().filter(|row| row.judge == judge).collect();
    let mut wrong = Vec::new();
    let mut meant = BTreeSet::new();
    for verdict in verdicts {
        let (name, ours, theirs) = (&verdict.name, verdict.ours, verdict.theirs);
        let named: Vec<_> = rows
            .iter()
            .filter_map(|row| Some((row, row.named(name)?)))
            .collect();
        let listed = matches!(named.as_slice(), [(row, _)] if row.ours == ours);
        meant.extend(
            named
                .iter()
                .map(|(row, known)| (row.ours, row.reason, *known)),
        );
        if (ours != theirs) != listed || named.len() > 1 {
            let why = &verdict.why;
            wrong.push(format!(
                "{judge}: {name}: ours {ours}, theirs {theirs}; {why}"
            ));
        }
    }
    let differing = verdicts
        .iter()
        .filter(|verdict| verdict.ours != verdict.theirs)
        .count();
    println!("{judge}: {} judged, {differing} differ", verdicts.len());
    for row in &rows {
        let ours = if row.ours { "good" } else { "bad" };
        println!(
            "| {judge} | {ours} | {} | {} |",
            row.names.join(", "),
            row.reason
        );
    }
    if meant.len() != rows.iter().map(|row| row.names.len()).sum::<usize>() {
        wrong.push(format!("{judge}: a name in the table is of nothing"));
    }
    wrong
}
