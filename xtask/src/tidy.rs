//! The rules of the house that no other tool checks: headers, lengths, and which room may name
//! what. Each is stated once, in a table.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

use crate::fingerprint::collect;
use crate::rust_source::{RustSource, is_name, line_of, used_paths};

const ROOMS: &[&str] = &["core", "server", "web", "tests", "bench", "fuzz", "xtask"];
const MAX_LINES: usize = 500;
/// Files that may be longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

/// Files that exist to be read by tests or by the demo: one that nothing names is dead.
const FIXTURES: &[(&str, &str)] = &[
    ("tests/data/eml", "data/eml"),
    ("server/src/demo/letters", "letters"),
];

/// Words that some part of the source must not name outside tests.
#[derive(Debug)]
struct Forbidden {
    /// Paths that begin with one of these...
    within: &'static [&'static str],
    /// ...but with none of these.
    except: &'static [&'static str],
    words: &'static [Word],
    reason: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Word {
    /// A crate: the first name of a path.
    Crate(&'static str),
    /// Names anywhere in a path, or the beginning of one.
    Path(&'static str),
}

const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        within: &["core/src/"],
        except: &[],
        words: &[
            Word::Crate("tokio"),
            Word::Crate("web_sys"),
            Word::Path("std::net"),
            Word::Path("std::fs"),
            Word::Path("std::time::SystemTime"),
            Word::Path("SystemTime::"),
        ],
        reason: "core does no input or output and reads no clock",
    },
    Forbidden {
        within: &["core/src/"],
        except: &["core/src/portable.rs"],
        words: &[Word::Path("target_family"), Word::Path("target_arch")],
        reason: "differences between targets are in core/src/portable.rs alone",
    },
    Forbidden {
        within: &["core/", "server/", "web/"],
        except: &["core/src/openpgp/", "core/src/openpgp.rs"],
        words: &[Word::Crate("pgp")],
        reason: "core/src/openpgp alone names the pgp crate",
    },
    Forbidden {
        within: &["server/", "web/", "bench/"],
        except: &[],
        words: &[Word::Path("letterlock_core::replica")],
        reason: "programs use core's account and do not reach under it",
    },
    Forbidden {
        within: &["server/src/bridge"],
        except: &[],
        words: &[Word::Path("crate::provider"), Word::Path("super::provider")],
        reason: "the bridge speaks to the provider over HTTP alone",
    },
    Forbidden {
        within: &["server/src/provider"],
        except: &[],
        words: &[Word::Path("crate::bridge"), Word::Path("super::bridge")],
        reason: "the provider knows nothing of the bridge",
    },
    Forbidden {
        within: &["server/src/provider"],
        except: &[],
        words: &[
            Word::Path("seal::open"),
            Word::Path("seal::secret"),
            Word::Path("secret::"),
            Word::Path("openpgp::decrypt"),
            Word::Path("SecretCertificate"),
        ],
        reason: "the provider can not read mail",
    },
];

/// Words that have no place anywhere, in tests either.
const UNFINISHED: &[Word] = &[Word::Path("todo!"), Word::Path("unimplemented!")];

/// Checks everything; the error lists all that is wrong.
pub(crate) fn tidy(root: &Path) -> Result<()> {
    let sources = sources(root)?;
    let mut complaints: Vec<String> = sources.iter().flat_map(check).collect();
    for (directory, name) in FIXTURES {
        complaints.extend(unused_fixtures(root, directory, name, &sources)?);
    }
    if !complaints.is_empty() {
        bail!("tidy:\n  {}", complaints.join("\n  "));
    }
    Ok(())
}

fn sources(root: &Path) -> Result<Vec<RustSource>> {
    let mut files = Vec::new();
    for room in ROOMS {
        collect(&root.join(room), &mut files)?;
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files.iter().map(|file| read(root, file)).collect()
}

fn read(root: &Path, file: &PathBuf) -> Result<RustSource> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
    Ok(RustSource::new(&name, &text))
}

/// Everything that is wrong with one file.
fn check(source: &RustSource) -> Vec<String> {
    let mut complaints = Vec::new();
    if !source.text.starts_with("//!") {
        complaints.push(format!(
            "{}: begins with no `//!` that says what it is",
            source.path
        ));
    }
    let lines = source.text.lines().count();
    if lines > MAX_LINES && !LONGER.iter().any(|(path, _)| *path == source.path) {
        complaints.push(format!(
            "{}: {lines} lines; {MAX_LINES} is the most",
            source.path
        ));
    }
    for rule in FORBIDDEN
        .iter()
        .filter(|rule| rule.applies_to(&source.path))
    {
        for word in rule.words {
            let found = word.find(&source.shipped);
            complaints.extend(found.map(|line| {
                format!(
                    "{}:{line}: names `{}`: {}",
                    source.path,
                    word.shown(),
                    rule.reason
                )
            }));
        }
    }
    for word in UNFINISHED {
        let found = word.find(&source.code);
        complaints.extend(found.map(|line| format!("{}:{line}: `{}`", source.path, word.shown())));
    }
    complaints
}

/// Files of `directory` that no source names, neither singly nor the directory as a whole.
fn unused_fixtures(
    root: &Path,
    directory: &str,
    name: &str,
    sources: &[RustSource],
) -> Result<Vec<String>> {
    let whole = [
        format!("{name}\""),
        format!("{name}/\""),
        format!("{name}/*"),
    ];
    let named = |word: &str| sources.iter().any(|source| source.text.contains(word));
    if whole.iter().any(|word| named(word)) {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    collect(&root.join(directory), &mut files)?;
    files.sort();
    let unused = files.iter().filter_map(|file| {
        let file_name = file.file_name()?.to_string_lossy();
        let unused = !named(&file_name);
        unused.then(|| format!("{directory}/{file_name}: nothing reads it"))
    });
    Ok(unused.collect())
}

impl Forbidden {
    fn applies_to(&self, path: &str) -> bool {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        begins(self.within) && !begins(self.except)
    }
}

impl Word {
    fn shown(self) -> &'static str {
        match self {
            Self::Crate(name) | Self::Path(name) => name,
        }
    }

    /// The first line that names the word, in a path or through the groups of a `use`.
    fn find(self, code: &str) -> Option<usize> {
        let written = code.match_indices(self.shown()).find(|(offset, word)| {
            let before = code.get(..*offset).unwrap_or_default();
            let after = code.get(offset + word.len()..).unwrap_or_default();
            self.fits(before, after)
        });
        let imported = || {
            used_paths(code).into_iter().find(|(_, path)| match self {
                Self::Crate(name) => path.split("::").next() == Some(name),
                Self::Path(name) => path.match_indices(name).any(|(offset, word)| {
                    let before = path.get(..offset).unwrap_or_default();
                    let after = path.get(offset + word.len()..).unwrap_or_default();
                    self.fits(before, after)
                }),
            })
        };
        let offset = written
            .map(|(offset, _)| offset)
            .or_else(|| Some(imported()?.0))?;
        Some(line_of(code, offset))
    }

    /// Whether a match between `before` and `after` is the word and not a part of another.
    fn fits(self, before: &str, after: &str) -> bool {
        if before.ends_with(is_name) {
            return false;
        }
        match self {
            Self::Crate(_) => !before.ends_with("::") && after.starts_with("::"),
            // `super::provider` is not `super::provider_client`.
            Self::Path(name) => !name.ends_with(is_name) || !after.starts_with(is_name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a file with a header; `expected` is the line of its one complaint, if any.
    fn complains(path: &str, code: &str, expected: Option<usize>) {
        let complaints = check(&RustSource::new(path, &format!("//! Header.\n{code}\n")));
        match expected {
            None => assert!(complaints.is_empty(), "{code}: {complaints:?}"),
            Some(line) => {
                let place = format!("{path}:{line}:");
                let placed = complaints
                    .iter()
                    .all(|complaint| complaint.starts_with(&place));
                assert!(placed && !complaints.is_empty(), "{code}: {complaints:?}");
            }
        }
    }

    #[test]
    fn core_is_pure() {
        let path = "core/src/sync/engine.rs";
        complains(path, "use tokio::net::TcpStream;", Some(2));
        complains(path, "use {serde, tokio};", Some(2));
        complains(path, "fn f() {}\nfn g() { std::fs::read(x) }", Some(3));
        complains(path, "use std::{io, fs::File};", Some(2));
        complains(path, "use std::time::{Duration, SystemTime};", Some(2));
        complains(path, "use std::time::Duration;", None);
        complains(
            path,
            "// tokio::spawn is not for us\nlet a = \"std::fs\";",
            None,
        );
        complains(
            path,
            "#[cfg(test)]\nmod tests {\n    use tokio::test;\n}",
            None,
        );
        complains(path, "use my_tokio::x; use crate::tokio::y;", None);
        complains("server/src/main.rs", "use tokio::net::TcpStream;", None);
    }

    #[test]
    fn targets_differ_in_one_file() {
        complains(
            "core/src/seal/aead.rs",
            "#[cfg(target_arch = \"wasm32\")]",
            Some(2),
        );
        complains(
            "core/src/seal/aead.rs",
            "#[cfg(not(target_family = \"wasm\"))]",
            Some(2),
        );
        complains(
            "core/src/portable.rs",
            "#[cfg(target_family = \"wasm\")]",
            None,
        );
        complains("web/src/lib.rs", "#[cfg(target_arch = \"wasm32\")]", None);
    }

    #[test]
    fn openpgp_has_one_door() {
        complains("core/src/keys/keyring.rs", "use pgp::composed::X;", Some(2));
        complains(
            "core/src/keys/keyring.rs",
            "use crate::openpgp::Certificate;",
            None,
        );
        complains("core/src/openpgp/decrypt.rs", "use pgp::composed::X;", None);
        complains("core/src/openpgp.rs", "pub use pgp;", None);
        complains("web/src/worker.rs", "fn f() -> pgp::X {}", Some(2));
        complains("web/src/worker.rs", "fn f() -> openpgp::X {}", None);
    }

    #[test]
    fn the_provider_reads_no_mail() {
        let path = "server/src/provider/lmtp.rs";
        complains(path, "use letterlock_core::seal::{header, open};", Some(2));
        complains(path, "use letterlock_core::seal::header;", None);
        complains(path, "let m = seal::open(x);", Some(2));
        complains(path, "let m = secret::derive(x);", Some(2));
        complains(path, "let m = client_secret::x;", None);
        complains(
            path,
            "use letterlock_core::openpgp::{SecretCertificate};",
            Some(2),
        );
        complains(path, "use letterlock_core::openpgp::encrypt;", None);
        complains(
            "server/src/bridge/incoming.rs",
            "let m = seal::open(x);",
            None,
        );
    }

    #[test]
    fn programs_use_the_account() {
        let path = "server/src/imap/ops/fetch.rs";
        complains(path, "use letterlock_core::replica::ReplicaError;", Some(2));
        complains(path, "use letterlock_core::account::ReplicaError;", None);
    }

    #[test]
    fn provider_and_bridge_are_strangers() {
        complains(
            "server/src/bridge/conn.rs",
            "use crate::{clock, provider::db};",
            Some(2),
        );
        complains("server/src/provider.rs", "use crate::bridge;", Some(2));
        complains(
            "server/src/demo/mod.rs",
            "use crate::{bridge, provider};",
            None,
        );
        complains(
            "server/src/bridge/outgoing.rs",
            "use super::provider_client::E;",
            None,
        );
    }

    #[test]
    fn nothing_is_left_to_do() {
        complains("web/src/lib.rs", "fn f() { todo!() }", Some(2));
        complains(
            "web/src/lib.rs",
            "fn f() { unimplemented!(\"x\") }",
            Some(2),
        );
    }

    #[test]
    fn headers_and_lengths() {
        let complaints = check(&RustSource::new("core/src/id.rs", "use std::fmt;\n"));
        assert_eq!(
            complaints,
            ["core/src/id.rs: begins with no `//!` that says what it is"]
        );
        let long = format!("//! Header.\n{}", "\n".repeat(MAX_LINES));
        let complaints = check(&RustSource::new("core/src/id.rs", &long));
        assert_eq!(complaints, ["core/src/id.rs: 501 lines; 500 is the most"]);
    }
}
