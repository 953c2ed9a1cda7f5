//! Provider and bridge as programs of their own, each in a folder of its own, as they run in
//! earnest.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::imap::Imap;
use crate::talk::{self, Talk};
use crate::tools::{argument, files, run};
use crate::world::{
    Account, DEADLINE, DOMAIN, START_DEADLINE, STOP_DEADLINE, letterlock, now, poll,
};

/// A program that says where it answers and then serves.
struct Serving {
    process: Child,
    lines: Vec<String>,
}

impl Serving {
    /// Starts it, gives it `input`, and reads what it says up to a line that begins with `last`.
    fn start(arguments: &[&str], input: &str, last: &str) -> Self {
        let mut command = Command::new(letterlock());
        command.args(arguments).stdin(Stdio::piped());
        command.stdout(Stdio::piped());
        let mut serving = Self {
            process: command.spawn().expect("start letterlock"),
            lines: Vec::new(),
        };
        let mut stdin = serving.process.stdin.take().expect("its standard input");
        stdin.write_all(input.as_bytes()).expect("write to it");
        drop(stdin);
        let stdout = serving.process.stdout.take().expect("its standard output");
        let deadline = now() + START_DEADLINE;
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("a line");
            let is_last = line.starts_with(last);
            serving.lines.push(line);
            if is_last {
                return serving;
            }
            assert!(now() < deadline, "{last}: {:?}", serving.lines);
        }
        panic!("it ended before it said {last}: {:?}", serving.lines);
    }

    /// What stands behind this word.
    fn place(&self, word: &str) -> String {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(word));
        line.expect("it says where it is").trim().to_owned()
    }

    /// SIGTERM; panics unless it ends with success in time.
    fn stop(mut self) {
        let status = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.process.id().to_string()])
            .status();
        assert!(status.expect("run sh").success());
        let status = poll("it ends after SIGTERM", STOP_DEADLINE, || {
            self.process.try_wait().expect("its state")
        });
        assert!(status.success(), "{status}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The folders of a provider and of a user's machine.
struct Apart {
    folder: TempDir,
}

impl Apart {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = format!("[provider]\ndomains = [\"{DOMAIN}\"]\n");
        fs::write(folder.path().join("provider.toml"), config).expect("write");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// At the same address again, if one is given: its devices know it by that.
    fn provider(&self, listen: &str) -> Serving {
        let (config, data) = (self.path("provider.toml"), self.path("provider"));
        let arguments = [
            "provider",
            "--config",
            argument(&config),
            "--data-dir",
            argument(&data),
            "--listen",
            listen,
            "--lmtp",
            "127.0.0.1:0",
        ];
        Serving::start(&arguments, "", "lmtp")
    }

    fn bridge(&self, passwords: &str, last: &str) -> Serving {
        let data = self.path("bridge");
        let mut arguments = vec!["bridge", "--data-dir", argument(&data)];
        arguments.extend(["--imap", "127.0.0.1:0", "--smtp", "127.0.0.1:0"]);
        Serving::start(&arguments, passwords, last)
    }

    fn command(&self, arguments: &[&str], input: &str) -> String {
        let data = self.path("bridge");
        let mut command = Command::new(letterlock());
        command
            .args(arguments)
            .args(["--data-dir", argument(&data)]);
        let output = run(&mut command, input.as_bytes());
        output.expect_success(&arguments.join(" ")).text()
    }

    /// Makes an account and a password for its mail program.
    fn account(&self, name: &str, api: &str) -> Account {
        let address = format!("{name}@{DOMAIN}");
        let password = format!("{name} opens the door");
        let create = ["account", "create", &address, "--provider", api];
        self.command(&create, &format!("{password}\n"));
        let add = ["app-password", "add", "mutt", "--account", &address];
        let told = self.command(&add, "");
        let words = told.split_whitespace();
        let app_password = words.max_by_key(|word| word.len()).expect("a password");
        Account {
            address,
            password,
            app_password: app_password.to_owned(),
        }
    }
}

fn inbox(imap: &str, account: &Account) -> Imap {
    let mut session = Imap::connect(imap).expect("connect to IMAP");
    let answer = session.try_log_in(&account.address, &account.app_password);
    let status = answer.expect("LOGIN is answered").status;
    assert!(status.starts_with("OK"), "{status}");
    session.ok("SELECT INBOX");
    session
}

fn is_outside(folder: &Path, text: &str) -> bool {
    let is_it = |path: &PathBuf| {
        let content = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&content).contains(text)
    };
    folder.exists() && files(folder).iter().any(is_it)
}

#[test]
fn a_bridge_serves_its_accounts_while_the_provider_comes_and_goes() {
    let apart = Apart::new();
    let provider = apart.provider("127.0.0.1:0");
    let api = provider.place("api");
    let (alice, bob) = (apart.account("alice", &api), apart.account("bob", &api));
    talk::deliver(
        &provider.place("lmtp"),
        &alice.address,
        b"Subject: from afar\r\n\r\nHello.\r\n",
    );

    // Bob's password is not given: an empty line.
    let passwords = format!("{}\n\n", alice.password);
    let bridge = apart.bridge(&passwords, &format!("{} is", bob.address));
    assert!(
        bridge
            .lines
            .contains(&format!("{} is unlocked", alice.address))
    );
    assert!(bridge.lines.contains(&format!("{} is locked", bob.address)));
    let imap = bridge.place("imap");
    let mut session = inbox(&imap, &alice);
    session.wait_for("from afar");
    let mut locked = Imap::connect(&imap).expect("connect to IMAP");
    let answer = locked.try_log_in(&bob.address, &bob.app_password);
    let status = answer.expect("LOGIN is answered").status;
    assert!(status.starts_with("NO [UNAVAILABLE]"), "{status}");
    assert!(status.contains("letterlock bridge"), "{status}");

    // While the provider is away mail is read, and what is sent waits.
    let address = api.strip_prefix("http://").expect("plain HTTP").to_owned();
    provider.stop();
    let mut smtp = Talk::submission(&bridge.place("smtp"), &alice).expect("log in to SMTP");
    let message = format!(
        "From: {}\r\nTo: carol@elsewhere.example\r\nSubject: patience\r\n\r\nIt waits.\r\n",
        alice.address
    );
    let to = ["carol@elsewhere.example"];
    let reply = smtp.submit(&alice.address, &to, message.as_bytes());
    let reply = reply.expect("it is answered");
    assert!(reply.accepted(), "{reply:?}");
    session.ok("STORE 1 +FLAGS (\\Flagged)");
    bridge.stop();

    // Both are started again, the bridge first.
    let bridge = apart.bridge(&passwords, &format!("{} is", bob.address));
    let mut session = inbox(&bridge.place("imap"), &alice);
    let uid = session.wait_for("from afar");
    assert!(session.flags(uid).contains("\\Flagged"));
    let provider = apart.provider(&address);
    talk::deliver(
        &provider.place("lmtp"),
        &alice.address,
        b"Subject: from afar again\r\n\r\nHello.\r\n",
    );
    session.wait_for("from afar again");
    let outgoing = apart.path("provider").join("outgoing");
    poll("the message goes out", DEADLINE, || {
        is_outside(&outgoing, "carol@elsewhere.example").then_some(())
    });
    bridge.stop();
    provider.stop();
}

#[test]
fn what_a_bridge_cannot_serve_is_said() {
    let apart = Apart::new();
    let data = apart.path("bridge");
    let refusal = |arguments: &[&str], input: &str| {
        let mut command = Command::new(letterlock());
        command.args(["bridge", "--data-dir", argument(&data)]);
        command.args(["--smtp", "127.0.0.1:0"]);
        let output = run(command.args(arguments), input.as_bytes());
        assert!(!output.success);
        output.stderr
    };
    assert!(refusal(&[], "").contains("letterlock account"));
    let provider = apart.provider("127.0.0.1:0");
    let api = provider.place("api");
    let alice = apart.account("alice", &api);
    let told = refusal(&[], "not her password\n");
    assert!(told.contains(&alice.address), "{told}");
    assert!(
        told.contains("the address or the password is wrong"),
        "{told}"
    );
    assert!(!told.contains("not her password"), "{told}");
    let told = refusal(&["--account", "carol@letterlock.example"], "");
    assert!(told.contains("carol@letterlock.example"), "{told}");
    let told = refusal(&["--imap", "192.0.2.1:1984"], "");
    assert!(told.contains("listen.imap"), "{told}");
    apart.account("bob", &api);
    let file = apart.path("password");
    fs::write(&file, &alice.password).expect("write");
    let told = refusal(&["--password-file", argument(&file)], "");
    assert!(told.contains("--account"), "{told}");
}
