//! Licences, sources and bans: every dependency against the lists in `deny.toml`, without
//! cargo-deny, so that the check is made on every machine.
//!
//! It reads the layout that our `deny.toml` has (one entry a line), not all of TOML.

use anyhow::{Context as _, Result, bail};
use std::fs;

use crate::paths::Paths;
use crate::spdx::satisfied;
use crate::step::{cargo, output};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Dependencies are judged as they are for the targets that we ship.
const TARGETS: &[&str] = &["x86_64-unknown-linux-gnu", "wasm32-unknown-unknown"];

pub(crate) fn check(paths: &Paths) -> Result<()> {
    let deny = fs::read_to_string(paths.root.join("deny.toml")).context("read deny.toml")?;
    let allowed = allow_list(&deny);
    if allowed.is_empty() {
        bail!("deny.toml allows no licence");
    }
    let mut complaints = Vec::new();
    for target in TARGETS {
        let tree = output(cargo(paths).args([
            "tree",
            "--workspace",
            "--locked",
            "--target",
            target,
            "--prefix",
            "none",
            "--format",
            "{p}\t{l}",
        ]))?;
        complaints.extend(unlicensed(&tree, &allowed));
    }
    let lock = fs::read_to_string(paths.root.join("Cargo.lock")).context("read Cargo.lock")?;
    complaints.extend(foreign_sources(&lock));
    complaints.extend(banned(&lock, &deny));
    complaints.sort();
    complaints.dedup();
    if !complaints.is_empty() {
        bail!("licences and sources:\n  {}", complaints.join("\n  "));
    }
    Ok(())
}

/// The `allow` array of the section `[licenses]`.
fn allow_list(deny: &str) -> Vec<String> {
    let section = deny
        .split("\n[")
        .find(|section| section.starts_with("licenses]"));
    let array = section
        .and_then(|section| section.split_once("\nallow = ["))
        .and_then(|(_, rest)| rest.split_once(']'));
    let Some((array, _)) = array else {
        return Vec::new();
    };
    let without_comments = array
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    without_comments
        .flat_map(|line| line.split(','))
        .map(|entry| entry.trim().trim_matches('"').to_owned())
        .filter(|entry| !entry.is_empty())
        .collect()
}

/// Lines of `cargo tree --format "{p}\t{l}"` whose licence is not allowed.
fn unlicensed(tree: &str, allowed: &[String]) -> Vec<String> {
    tree.lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(package, licence)| {
            // cargo marks a subtree shown before.
            let licence = licence.trim_end_matches("(*)").trim();
            let stated = if licence.is_empty() {
                "none stated"
            } else {
                licence
            };
            (!satisfied(licence, allowed)).then(|| format!("{package}: licence {stated}"))
        })
        .collect()
}

/// Packages of `Cargo.lock` that come neither from this workspace nor from crates.io.
fn foreign_sources(lock: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(source) = line.strip_prefix("source = ")
            && source.trim_matches('"') != CRATES_IO
        {
            complaints.push(format!("{name}: comes from {source}"));
        }
    }
    complaints
}

/// Packages of `Cargo.lock` that `[bans]` excludes, or has more than one version of.
fn banned(lock: &str, deny: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for line in deny.lines() {
        let entry = line
            .trim()
            .strip_prefix("{ crate = \"")
            .and_then(|rest| rest.split_once('"'));
        let Some((name, rest)) = entry else {
            continue;
        };
        let in_lock = format!("name = \"{name}\"");
        let versions = lock.lines().filter(|line| *line == in_lock).count();
        let one_is_allowed = rest.contains("deny-multiple-versions = true");
        if one_is_allowed && versions > 1 {
            complaints.push(format!("{name}: {versions} versions, and one is the most"));
        } else if !one_is_allowed && versions > 0 {
            complaints.push(format!("{name}: banned"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_from_deny_toml() {
        let deny = "[graph]\nallow = [\"no\"]\n\n[licenses]\nconfidence-threshold = 0.9\n\
                    allow = [\n    \"MIT\", # a comment\n    \"Zlib\",\n]\n\n[bans]\n";
        assert_eq!(allow_list(deny), ["MIT", "Zlib"]);
        assert!(allow_list("[bans]\n").is_empty());
    }

    #[test]
    fn complaints_name_package_and_licence() {
        let tree = "good v1.0.0\tMIT\ngood v1.0.0\tMIT (*)\nbad v2.0.0\tGPL-3.0\nbare v0.1.0\t\n\n";
        assert_eq!(
            unlicensed(tree, &["MIT".to_owned()]),
            [
                "bad v2.0.0: licence GPL-3.0",
                "bare v0.1.0: licence none stated"
            ]
        );
    }

    #[test]
    fn sources_other_than_crates_io_are_named() {
        let lock = format!(
            "[[package]]\nname = \"a\"\nsource = \"{CRATES_IO}\"\n\n\
             [[package]]\nname = \"b\"\nsource = \"git+https://code.example/b\"\n"
        );
        assert_eq!(
            foreign_sources(&lock),
            ["b: comes from \"git+https://code.example/b\""]
        );
    }

    #[test]
    fn bans_are_read_from_deny_toml() {
        let deny = "[bans]\ndeny = [\n    { crate = \"a\", reason = \"x\" },\n    \
                    { crate = \"b\", deny-multiple-versions = true },\n]\n";
        let check = |names: &[&str], expected: &[&str]| {
            let lines: Vec<String> = names
                .iter()
                .map(|name| format!("name = \"{name}\""))
                .collect();
            let lock = lines.join("\n");
            assert_eq!(banned(&lock, deny), expected, "{names:?}");
        };
        check(&["b", "c", "c"], &[]);
        check(&["a", "b"], &["a: banned"]);
        check(&["b", "b"], &["b: 2 versions, and one is the most"]);
    }
}
