//! The command line of xtask. What is not known is named together with the nearest valid word.

use anyhow::{Context as _, Result, bail};

use crate::bench::{self, Where};
use crate::test::Part;
use crate::web::Flavour;

pub(crate) const HELP: &str = "\
All automation of Letterlock.

  cargo xtask run [-- ARGS]      set up, build in release mode, then become `letterlock demo ARGS`
  cargo xtask test [FILTER] [--only native|wasm|system]
                                 set up, build, run every test, or those whose name has FILTER
  cargo xtask lint               format, clippy, docs, wasm32 check, tidy, licences
  cargo xtask bench core [NAME] [--wasm]
                                 measure: search, split, stored; search with --wasm in headless
                                 Chromium too
  cargo xtask bench imap [MESSAGES]
                                 measure the IMAP server beside Dovecot, on 10,000 messages
  cargo xtask bench openpgp [--wasm]
                                 measure OpenPGP beside gpg and sq; in headless Chromium beside
                                 OpenPGP.js with --wasm
  cargo xtask bench sync [MESSAGES]
                                 measure the exchange between devices, on 100,000 messages, beside
                                 curl and SQLite
  cargo xtask bench sync --wasm [MESSAGES]
                                 measure how soon the webmail shows an account that is new to the
                                 browser, of 10,000 messages
  cargo xtask fuzz [TARGET] [SECONDS]
                                 run the fuzz targets, or one, each for 60 s or that long
  cargo xtask web [--release]    build the web UI into dist/ (default: the quick profile)
  cargo xtask setup              install what the other commands need
  cargo xtask exec -- COMMAND    run a command with the wasm toolchain, Trunk and wasm-bindgen
  cargo xtask help               this text

LETTERLOCK_WASM_TOOLCHAIN=rustup|debian   where the wasm32 target comes from
CARGO_TARGET_DIR                          instead of the target directories in the user's cache
";

/// The words that a message about an unknown one can offer.
const TASKS: &[&str] = &[
    "run", "test", "lint", "bench", "fuzz", "web", "setup", "exec", "help",
];

/// What is measured.
const BENCHES: &[&str] = &["core", "imap", "openpgp", "sync"];

/// Messages that `bench imap` gives to each server if nothing is said.
const BENCH_MESSAGES: u32 = 10_000;

/// Messages of the account in `bench sync` if nothing is said.
const BENCH_SYNC_MESSAGES: u32 = 100_000;

/// The same with `--wasm`.
const BENCH_FIRST_SCREEN_MESSAGES: u32 = 10_000;

/// How long a fuzz target runs if nothing is said.
const FUZZ_SECONDS: u32 = 60;

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Run {
        arguments: Vec<String>,
    },
    Test {
        part: Option<Part>,
        filter: Option<String>,
    },
    Lint,
    Bench {
        name: Option<String>,
        place: Where,
    },
    BenchImap {
        messages: u32,
    },
    BenchOpenpgp(Where),
    BenchSync {
        messages: u32,
    },
    BenchFirstScreen {
        messages: u32,
    },
    Fuzz {
        target: Option<String>,
        seconds: u32,
    },
    Web {
        flavour: Flavour,
    },
    Setup,
    Exec {
        command: Vec<String>,
    },
}

impl Task {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let words: Vec<String> = words.collect();
        let Some((task, rest)) = words.split_first() else {
            return Ok(Self::Help);
        };
        match task.as_str() {
            "help" | "--help" | "-h" => Ok(Self::Help),
            "run" => Ok(Self::Run {
                arguments: after_dashes("run", rest)?,
            }),
            "test" => parse_test(rest),
            "lint" => no_more("lint", rest).map(|()| Self::Lint),
            "bench" => parse_bench(rest),
            "fuzz" => parse_fuzz(rest),
            "web" => parse_web(rest),
            "setup" => no_more("setup", rest).map(|()| Self::Setup),
            "exec" => Ok(Self::Exec {
                command: after_dashes("exec", rest)?,
            }),
            unknown => bail!(
                "there is no command `{unknown}`; {}",
                nearest(unknown, TASKS)
            ),
        }
    }
}

fn parse_test(words: &[String]) -> Result<Task> {
    let mut part = None;
    let mut filter = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word.as_str(), None),
        };
        if flag == "--only" {
            let name = value
                .or_else(|| words.next().map(String::as_str))
                .unwrap_or_default();
            part = Some(Part::parse(name)?);
        } else if word.starts_with('-') {
            bail!(
                "`test` has no flag `{word}`; {}",
                nearest(flag, &["--only"])
            );
        } else if let Some(first) = filter.replace(word.clone()) {
            bail!("`test` takes one filter, not both `{first}` and `{word}`");
        }
    }
    Ok(Task::Test { part, filter })
}

fn parse_bench(words: &[String]) -> Result<Task> {
    let Some((room, words)) = words.split_first() else {
        bail!(
            "`bench` takes what is to be measured: bench {}",
            BENCHES.join(", bench ")
        );
    };
    match room.as_str() {
        "core" => parse_bench_core(words),
        "imap" => {
            let messages = parse_messages(room, words)?.unwrap_or(BENCH_MESSAGES);
            Ok(Task::BenchImap { messages })
        }
        "openpgp" => match words {
            [] => Ok(Task::BenchOpenpgp(Where::Native)),
            [word] if word == "--wasm" => Ok(Task::BenchOpenpgp(Where::Browser)),
            [word, ..] => bail!("`bench openpgp` takes `--wasm` or nothing, and so no `{word}`"),
        },
        "sync" => match words {
            [flag, words @ ..] if flag == "--wasm" => {
                let messages = parse_messages(room, words)?;
                let messages = messages.unwrap_or(BENCH_FIRST_SCREEN_MESSAGES);
                Ok(Task::BenchFirstScreen { messages })
            }
            words => {
                let messages = parse_messages(room, words)?.unwrap_or(BENCH_SYNC_MESSAGES);
                Ok(Task::BenchSync { messages })
            }
        },
        _ => bail!("`bench` measures no `{room}`; {}", nearest(room, BENCHES)),
    }
}

fn parse_bench_core(words: &[String]) -> Result<Task> {
    let mut place = Where::Native;
    let mut name = None;
    for word in words {
        if word == "--wasm" {
            place = Where::Browser;
        } else if word.starts_with('-') {
            bail!(
                "`bench` has no flag `{word}`; {}",
                nearest(word, &["--wasm"])
            );
        } else {
            bench::check(word)?;
            name = Some(word.clone());
        }
    }
    Ok(Task::Bench { name, place })
}

fn parse_messages(room: &str, words: &[String]) -> Result<Option<u32>> {
    match words {
        [] => Ok(None),
        [word] => word
            .parse()
            .map(Some)
            .with_context(|| format!("`bench {room}` takes a number of messages, not `{word}`")),
        [_, word, ..] => bail!("`bench {room}` takes one number, not also `{word}`"),
    }
}

fn parse_fuzz(words: &[String]) -> Result<Task> {
    let mut target = None;
    let mut seconds = None;
    for word in words {
        if word.starts_with('-') {
            bail!("`fuzz` has no flags, and so no `{word}`");
        } else if let Ok(number) = word.parse() {
            seconds = Some(number);
        } else if let Some(first) = target.replace(word.clone()) {
            bail!("`fuzz` takes one target, not both `{first}` and `{word}`");
        }
    }
    Ok(Task::Fuzz {
        target,
        seconds: seconds.unwrap_or(FUZZ_SECONDS),
    })
}

fn parse_web(words: &[String]) -> Result<Task> {
    let mut flavour = Flavour::Quick;
    for word in words {
        if word != "--release" {
            bail!(
                "`web` has no flag `{word}`; {}",
                nearest(word, &["--release"])
            );
        }
        flavour = Flavour::Release;
    }
    Ok(Task::Web { flavour })
}

/// Everything after `--`, which belongs to the program that xtask becomes.
fn after_dashes(task: &str, words: &[String]) -> Result<Vec<String>> {
    match words.split_first() {
        None => Ok(Vec::new()),
        Some((dashes, rest)) if dashes == "--" => Ok(rest.to_vec()),
        Some((word, _)) => bail!("`{task}` takes its words after `--`: {task} -- {word} ..."),
    }
}

fn no_more(task: &str, words: &[String]) -> Result<()> {
    match words.first() {
        None => Ok(()),
        Some(word) => bail!("`{task}` takes no `{word}`; it has no flags"),
    }
}

/// A sentence that offers the valid word most like `unknown`.
pub(crate) fn nearest(unknown: &str, valid: &[&str]) -> String {
    match valid
        .iter()
        .min_by_key(|candidate| distance(unknown, candidate))
    {
        Some(candidate) => format!("the nearest is `{candidate}` (all: {})", valid.join(", ")),
        None => "there is none".to_owned(),
    }
}

/// Edit distance (Levenshtein), row by row.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row, vec![index + 1]);
        let mut before = index + 1;
        diagonal.push(0);
        for (pair, to) in diagonal.windows(2).zip(right.chars()) {
            let [corner, above] = pair else { continue };
            before = (before + 1)
                .min(above + 1)
                .min(corner + usize::from(from != to));
            row.push(before);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task> {
        Task::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn words_become_tasks() {
        let check = |line, expected| assert_eq!(parse(line).unwrap(), expected, "{line}");
        check("", Task::Help);
        check("lint", Task::Lint);
        check("run", Task::Run { arguments: vec![] });
        check(
            "run -- --web 127.0.0.1:0",
            Task::Run {
                arguments: vec!["--web".into(), "127.0.0.1:0".into()],
            },
        );
        check(
            "test",
            Task::Test {
                part: None,
                filter: None,
            },
        );
        check(
            "test --only wasm store",
            Task::Test {
                part: Some(Part::Wasm),
                filter: Some("store".into()),
            },
        );
        check(
            "test --only=system",
            Task::Test {
                part: Some(Part::System),
                filter: None,
            },
        );
        check(
            "bench core search --wasm",
            Task::Bench {
                name: Some("search".into()),
                place: Where::Browser,
            },
        );
        check("bench imap 500", Task::BenchImap { messages: 500 });
        check("bench openpgp", Task::BenchOpenpgp(Where::Native));
        check("bench openpgp --wasm", Task::BenchOpenpgp(Where::Browser));
        check("bench sync", Task::BenchSync { messages: 100_000 });
        let messages = 10_000;
        check("bench sync --wasm", Task::BenchFirstScreen { messages });
        check(
            "fuzz header_decoding 600",
            Task::Fuzz {
                target: Some("header_decoding".into()),
                seconds: 600,
            },
        );
        check(
            "fuzz",
            Task::Fuzz {
                target: None,
                seconds: FUZZ_SECONDS,
            },
        );
        check(
            "web --release",
            Task::Web {
                flavour: Flavour::Release,
            },
        );
        check(
            "exec -- trunk build",
            Task::Exec {
                command: vec!["trunk".into(), "build".into()],
            },
        );
    }

    #[test]
    fn unknown_words_are_named_with_the_nearest() {
        let check = |line, parts: &[&str]| {
            let message = parse(line).unwrap_err().to_string();
            for part in parts {
                assert!(message.contains(part), "{line}: {message}");
            }
        };
        check("tset", &["`tset`", "nearest is `test`"]);
        check("test --olny wasm", &["`--olny`", "`--only`"]);
        check("test --only systm", &["`systm`", "`system`"]);
        check("web --relase", &["`--relase`", "`--release`"]);
        check("run --ephemeral", &["run -- --ephemeral"]);
        check("lint now", &["`now`"]);
        check("bench", &["bench core"]);
        check("bench cor", &["`cor`", "`core`"]);
        check("bench imap many", &["`many`"]);
        check("bench openpgp fast", &["`fast`"]);
        check("bench core serach", &["`serach`", "`search`"]);
        check("bench core --wsam", &["`--wsam`", "`--wasm`"]);
        check("test a b", &["`a`", "`b`"]);
        check("fuzz a b", &["`a`", "`b`"]);
        check("fuzz --jobs", &["`--jobs`"]);
    }

    #[test]
    fn distances() {
        let check = |left, right, expected| assert_eq!(distance(left, right), expected);
        check("", "", 0);
        check("", "abc", 3);
        check("abc", "", 3);
        check("kitten", "sitting", 3);
        check("run", "run", 0);
    }
}
