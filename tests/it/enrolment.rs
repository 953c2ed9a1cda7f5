//! A device comes to an account by another device of it, without the account's password.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::browser::{log_in, open_message, see_body};
use crate::certificates::account_command;
use crate::recorder::Recorder;
use crate::tools::contains;
use crate::webdriver::Browser;
use crate::world::{Account, DEADLINE, World, letterlock, poll};

const OF_THE_DEVICE: &str = "of this device alone";

/// A command that asks questions, and a person who answers.
struct Talk {
    process: Child,
    input: ChildStdin,
    said: PathBuf,
}

impl Talk {
    fn start(world: &World, name: &str, words: &[&str]) -> Self {
        let said = world.scratch(name).join("said");
        let output = File::create(&said).expect("a file for what it says");
        let errors = output.try_clone().expect("the same file");
        let mut command = Command::new(letterlock());
        command.arg("account").args(words);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let mut process = command.spawn().expect("letterlock starts");
        let input = process.stdin.take().expect("its input");
        Self {
            process,
            input,
            said,
        }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it reads");
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// The first line that is so, once it was said.
    fn line(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        poll(what, DEADLINE, || {
            let said = self.said();
            let found = said.lines().map(str::trim).find(|line| is_it(line));
            found.map(str::to_owned)
        })
    }

    fn end(mut self) -> String {
        let status = poll("the command ends", DEADLINE, || {
            self.process.try_wait().expect("it is ours")
        });
        let said = self.said();
        assert!(status.success(), "{said}");
        said
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The code that a browser shows at its log-in.
fn code_of(browser: &Browser) -> String {
    browser.click("login-join");
    browser.find("join-text");
    let read = "return document.querySelector('[data-testid=\"join-text\"]').value";
    let code = browser.script(read);
    let code = code.as_str().expect("it is a text").to_owned();
    assert!(code.starts_with("LETTERLOCK1:"), "{code}");
    code
}

fn words_of(browser: &Browser) -> String {
    browser.text(&browser.find("join-words"))
}

/// The user of a new browser says that the words were taken, and reads an old letter.
fn finish(browser: &Browser) {
    browser.fill("join-password", OF_THE_DEVICE);
    browser.fill("join-again", OF_THE_DEVICE);
    browser.click("join-submit");
    open_message(browser, "The lamp is lit");
    see_body(browser, "four electricians");
}

/// The user of a browser that is in gives it the code of another device.
fn give_code(browser: &Browser, code: &str) {
    browser.click("settings-open");
    browser.find("device");
    browser.click("add-device");
    browser.paste("device-code", code);
    browser.click("device-code-submit");
}

#[test]
fn a_browser_comes_by_a_command_without_the_password() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let alice = world.alice();
    let browser = Browser::start();
    browser.open(&web.url("/"));
    let code = code_of(&browser);
    browser.screenshot("join-code");
    let password = world.scratch("password").join("line");
    fs::write(&password, &alice.password).expect("write the password");
    let data_dir = world.data_dir().display().to_string();
    let password = password.display().to_string();
    let whose = ["--account", &alice.address, "--data-dir", &data_dir];
    let words = [&["add-device"], &whose[..], &["--password-file", &password]].concat();
    let mut command = Talk::start(&world, "add-device", &words);
    command.type_line(&code);
    let words = words_of(&browser);
    assert_eq!(browser.text(&browser.find("join-address")), alice.address);
    browser.screenshot("join-words");
    command.type_line("abandon ability able");
    command.line("it refuses other words", |line| line.starts_with("No: "));
    command.type_line(&words);
    let said = command.end();
    assert!(
        said.contains("“Webmail” is a device of the account now."),
        "{said}"
    );
    finish(&browser);
    // It stays, and opens by its own password; it is listed like any other.
    browser.reload();
    browser.find_with("message-row", "The lamp is lit");
    browser.click("log-out");
    let with_its_own = Account {
        password: OF_THE_DEVICE.to_owned(),
        ..alice.clone()
    };
    log_in(&browser, &with_its_own);
    let listed = account_command(&world, alice, &["devices"]);
    assert_eq!(listed.matches("Webmail").count(), 1, "{listed}");
    assert!(!listed.contains("NOT in the account's list"), "{listed}");
    let sent = web.sent();
    assert!(
        contains(&sent, b"/api/v1/rendezvous/"),
        "it went another way"
    );
    for secret in [&alice.password, OF_THE_DEVICE, &code, &words] {
        assert!(
            !contains(&sent, secret.as_bytes()),
            "a secret left the page"
        );
    }
}

#[test]
fn a_browser_brings_a_browser_and_a_machine_in() {
    let world = World::start();
    let page = format!("{}/", world.ready().web);
    let (browser, other) = (Browser::start(), Browser::start());
    browser.open(&page);
    log_in(&browser, world.alice());
    other.open(&page);
    give_code(&browser, &code_of(&other));
    browser.find_with("newcomer", "Webmail");
    let words = words_of(&other);
    browser.fill("newcomer-words", "abandon ability able");
    browser.click("newcomer-admit");
    browser.find_with("settings-error", "These are not the words");
    browser.screenshot("add-device");
    browser.fill("newcomer-words", &words);
    browser.click("newcomer-admit");
    browser.find_with("settings-done", "is one of your devices now.");
    finish(&other);
    browser.wait("there are three devices", || {
        (browser.all("device").len() == 3).then_some(())
    });
    browser.click("settings-close");
    // What the new one does, it does as a device of the account; a machine comes by it.
    let folder = world.scratch("machine");
    let password = folder.join("password");
    fs::write(&password, OF_THE_DEVICE).expect("write the password");
    let (password, data_dir) = (password.display().to_string(), folder.join("data"));
    let data_dir = data_dir.display().to_string();
    let words = [
        "join",
        "--provider",
        &world.ready().provider,
        "--data-dir",
        &data_dir,
    ];
    let words = [
        &words[..],
        &["--device-name", "a machine", "--password-file", &password],
    ];
    let mut command = Talk::start(&world, "join", &words.concat());
    let code = command.line("it shows a code", |line| line.starts_with("LETTERLOCK1:"));
    give_code(&other, &code);
    other.find_with("newcomer", "a machine");
    let is_words = |line: &str| {
        let lower = |word: &str| word.chars().all(|c| c.is_ascii_lowercase());
        line.split(' ').count() == 3 && line.split(' ').all(lower)
    };
    let words = command.line("it shows words", is_words);
    other.fill("newcomer-words", &words);
    other.click("newcomer-admit");
    other.find_with("settings-done", "“a machine” is one of your devices now.");
    command.type_line("yes");
    let said = command.end();
    assert!(said.contains("is on this device, with"), "{said}");
    // A device that is refused is told.
    let third = Browser::start();
    third.open(&page);
    let code = code_of(&third);
    other.click("add-device");
    other.paste("device-code", &code);
    other.click("device-code-submit");
    other.find_with("newcomer", "Webmail");
    words_of(&third);
    other.click("newcomer-refuse");
    third.fill("join-password", OF_THE_DEVICE);
    third.fill("join-again", OF_THE_DEVICE);
    third.click("join-submit");
    third.find_with("join-error", "The other device has refused.");
}
