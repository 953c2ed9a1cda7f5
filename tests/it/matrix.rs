//! `letterlock sop` beside other OpenPGP programs: what each side signs and encrypts, with keys of
//! each profile, the other side verifies and opens. Printed as a table.
//!
//! A cell that a program cannot fill, because it does not know the profile, is named here with the
//! reason; every other one must be green.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::libraries::installed;
use crate::tools::{Gnupg, Output, argument, program, run, script};
use crate::world::letterlock;

const DOCUMENT: &[u8] =
    b"Dear Bob,\r\n\r\nthirteen o'clock, as agreed.\r\n\r\n-- \r\nAlice \xe2\x9c\x89\r\n";
const USER_ID: &str = "Alice <alice@letterlock.example>";
const PROFILES: [&str; 4] = ["compatibility", "rsa", "rfc9580", "security"];

const GREEN: &str = "good";

/// What a cell is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Sign,
    Encrypt,
    Both,
}

const ACTS: [Act; 3] = [Act::Sign, Act::Encrypt, Act::Both];

/// Starts a program.
type Start = fn() -> Command;

/// A program that speaks four words of the stateless command line.
struct Judge {
    name: &'static str,
    command: Start,
    /// The profiles that it knows, with what of them.
    knows: fn(&str, Act) -> bool,
}

fn ours() -> Command {
    let mut command = Command::new(letterlock());
    command.arg("sop");
    command
}

fn adapted(name: &str) -> Command {
    let mut command = program("python3", "python3");
    command.arg(script("judge.py")).arg(name);
    command
}

/// What was written before RFC 9580 reads keys of version 4 alone.
fn only_version_4(profile: &str, _: Act) -> bool {
    matches!(profile, "compatibility" | "rsa")
}

const JUDGES: [Judge; 5] = [
    Judge {
        name: "gpg",
        command: || {
            program("gpg", "gnupg");
            adapted("gpg")
        },
        knows: only_version_4,
    },
    Judge {
        name: "sqop",
        command: || program("sqop", "sqop"),
        knows: only_version_4,
    },
    Judge {
        name: "rnp",
        command: || {
            program("rnp", "rnp");
            adapted("rnp")
        },
        knows: only_version_4,
    },
    Judge {
        name: "pysequoia",
        command: || {
            let mut command = adapted("pysequoia");
            command.env("PYTHONPATH", installed("python"));
            command
        },
        knows: |_, _| true,
    },
    Judge {
        name: "OpenPGP.js",
        command: || {
            let mut command = program("node", "nodejs");
            command
                .env("NODE_PATH", installed("node/node_modules"))
                .arg(argument(&script("judge.mjs")));
            command
        },
        // It has no ML-KEM yet: such a key signs for it, and no more.
        knows: |profile, act| profile != "security" || act == Act::Sign,
    },
];

/// A key and its certificate in files.
struct Key {
    secret: PathBuf,
    public: PathBuf,
}

/// Files that are gone when this is dropped.
struct Desk {
    folder: TempDir,
    count: std::cell::Cell<u32>,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: TempDir::new().expect("a folder"),
            count: std::cell::Cell::new(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.count.set(self.count.get() + 1);
        self.folder
            .path()
            .join(format!("{}-{name}", self.count.get()))
    }

    fn file(&self, name: &str, octets: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, octets).expect("write a file");
        path
    }

    fn key(&self, profile: &str) -> Key {
        let secret = if profile == "rsa" {
            let gpg = Gnupg::new();
            gpg.generate(USER_ID);
            let words = ["--passphrase", "", "--armor", "--export-secret-keys"];
            gpg.run(&words, b"").stdout
        } else {
            let mut command = ours();
            command
                .arg("generate-key")
                .arg(format!("--profile={profile}"));
            command.arg(USER_ID);
            run(&mut command, b"").expect_success("generate-key").stdout
        };
        let public = run(ours().arg("extract-cert"), &secret).expect_success("extract-cert");
        Key {
            secret: self.file("key.asc", &secret),
            public: self.file("cert.asc", &public.stdout),
        }
    }
}

/// One program makes something, another one takes it.
fn crosses(desk: &Desk, maker: Start, taker: Start, key: &Key, act: Act) -> Result<(), String> {
    let good = |output: Output, what: &str| {
        if output.success {
            Ok(output.stdout)
        } else {
            Err(format!("{what}: {}", output.stderr))
        }
    };
    if act == Act::Sign {
        let signed = good(run(maker().arg("sign").arg(&key.secret), DOCUMENT), "sign")?;
        let signature = desk.file("signature.asc", &signed);
        let mut verify = taker();
        verify.arg("verify").args([&signature, &key.public]);
        good(run(&mut verify, DOCUMENT), "verify")?;
        // And not over anything else.
        let mut verify = taker();
        verify.arg("verify").args([&signature, &key.public]);
        let other = run(&mut verify, b"Dear Bob, noon.\r\n");
        return if other.success {
            Err("verified another document".into())
        } else {
            Ok(())
        };
    }
    let mut encrypt = maker();
    encrypt.arg("encrypt");
    let mut decrypt = taker();
    decrypt.arg("decrypt");
    let verifications = desk.path("verifications");
    if act == Act::Both {
        encrypt.arg(option("sign-with", &key.secret));
        decrypt.arg(option("verify-with", &key.public));
        decrypt.arg(option("verifications-out", &verifications));
    }
    let message = good(run(encrypt.arg(&key.public), DOCUMENT), "encrypt")?;
    let opened = good(run(decrypt.arg(&key.secret), &message), "decrypt")?;
    if opened != DOCUMENT {
        return Err(format!("opened as {:?}", String::from_utf8_lossy(&opened)));
    }
    let verified = fs::read(&verifications).unwrap_or_default();
    if act == Act::Both && verified.is_empty() {
        return Err("opened, and not verified".into());
    }
    Ok(())
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// What one program and ours made of each other with one profile; the first words of its row.
fn row(
    desk: &Desk,
    judge: &Judge,
    (profile, key): &(&str, Key),
    wrong: &mut Vec<String>,
) -> Vec<String> {
    let mut cells = vec![judge.name.to_owned(), (*profile).to_owned()];
    for act in ACTS {
        if !(judge.knows)(profile, act) {
            cells.push("–".into());
            continue;
        }
        let ways: [(&str, Start, Start); 2] =
            [("→", ours, judge.command), ("←", judge.command, ours)];
        let cell = ways.map(
            |(arrow, maker, taker)| match crosses(desk, maker, taker, key, act) {
                Ok(()) => format!("{arrow} {GREEN}"),
                Err(why) => {
                    wrong.push(format!("{} {profile} {act:?} {arrow}: {why}", judge.name));
                    format!("{arrow} BAD")
                }
            },
        );
        cells.push(cell.join(" "));
    }
    cells
}

#[test]
fn five_other_programs_and_ours_read_each_other() {
    let desk = Desk::new();
    let mut rows = vec!["| program | profile | sign | encrypt | both |".to_owned()];
    rows.push("|---|---|---|---|---|".into());
    let mut wrong = Vec::new();
    let keys = PROFILES.map(|profile| (profile, desk.key(profile)));
    for judge in &JUDGES {
        for key in &keys {
            let cells = row(&desk, judge, key, &mut wrong);
            rows.push(format!("| {} |", cells.join(" | ")));
        }
    }
    let table = rows.join("\n");
    println!("{table}");
    assert!(wrong.is_empty(), "{table}\n{}", wrong.join("\n"));
    // Five programs with two profiles, two with a third, and what is known of the fourth.
    let green = table.matches(GREEN).count();
    assert_eq!(green, 2 * (5 * 2 * 3 + 2 * 3 + 3 + 1));
}
