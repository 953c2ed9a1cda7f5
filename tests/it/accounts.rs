//! Accounts in the browser: settings, a lost password, the end.

use crate::browser::log_in;
use crate::certificates::{account_command, keys};
use crate::imap::{Imap, between};
use crate::recorder::Recorder;
use crate::tools::{Gnupg, contains};
use crate::webdriver::Browser;
use crate::world::{Account, DEADLINE, World, poll};

const NEW: &str = "a password of ten and more";
const NEWER: &str = "yet another long password";

fn done(browser: &Browser, text: &str) {
    browser.find_with("settings-done", text);
}

#[test]
fn password_phrase_and_devices_in_the_settings() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    let alice = world.alice();
    browser.open(&web.url("/"));
    log_in(&browser, alice);
    browser.click("settings-open");
    browser.find_with("device", "this one");
    browser.find_with("device", "The demo's bridge");
    browser.screenshot("settings");
    browser.fill("password-old", &alice.password);
    browser.fill("password-new", NEW);
    browser.fill("password-again", NEW);
    browser.click("password-submit");
    done(&browser, "The new password holds.");
    // The bridge was logged out with it; it is a device of the account's all the same.
    browser.find_with("device", "logged out");
    assert_eq!(browser.all("device").len(), 2);
    assert!(browser.all("device-stranger").is_empty());
    browser.click("phrase-draw");
    let words = browser.find("phrase-words");
    let phrase = browser
        .text(&words)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    browser.screenshot("settings-phrase");
    browser.fill("phrase-password", NEW);
    browser.click("phrase-set");
    done(&browser, "The phrase holds.");
    browser.fill("phrase-check", &phrase);
    browser.click("phrase-check-submit");
    done(&browser, "This phrase is right");
    // A reload of the tab stays unlocked; the new password opens a new one.
    browser.click("settings-close");
    browser.click("log-out");
    let account = Account {
        password: NEW.to_owned(),
        ..alice.clone()
    };
    log_in(&browser, &account);
    // And the phrase another device, that has never seen the account.
    let elsewhere = Browser::start();
    elsewhere.open(&web.url("/"));
    elsewhere.click("login-recover");
    elsewhere.fill("recover-address", &alice.address);
    elsewhere.fill("recover-phrase", &phrase.to_uppercase());
    elsewhere.fill("recover-password", NEWER);
    elsewhere.fill("recover-again", NEWER);
    elsewhere.screenshot("recover");
    elsewhere.click("login-submit");
    elsewhere.find_with("message-row", "The lamp is lit");
    let sent = web.sent();
    for secret in [NEW, NEWER, &phrase, &alice.password] {
        assert!(
            !contains(&sent, secret.as_bytes()),
            "a secret left the page"
        );
    }
}

#[test]
fn an_account_ends_in_the_browser() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    let bob = world.bob();
    browser.open(&web.url("/"));
    log_in(&browser, bob);
    browser.click("settings-open");
    browser.find("device");
    browser.fill("end-address", &bob.address);
    browser.fill("end-password", "not the password");
    browser.click("end-submit");
    browser.find_with("settings-error", "The password is wrong.");
    browser.fill("end-password", &bob.password);
    browser.click("end-submit");
    browser.find_with("ended", &bob.address);
    browser.screenshot("ended");
    browser.click("ended-close");
    browser.fill("login-address", &bob.address);
    browser.fill("login-password", &bob.password);
    browser.click("login-submit");
    browser.find_with("login-error", "The address or the password is wrong.");
}

#[test]
fn two_people_compare_their_keys() {
    let world = World::start();
    let browser = Browser::start();
    browser.open(&format!("{}/", world.ready().web));
    log_in(&browser, world.alice());
    browser.click("settings-open");
    let of_alice = browser.text(&browser.find("own-words"));
    // Whoever is not known cannot be compared with.
    browser.fill("compare-address", "nobody@elsewhere.example");
    browser.click("compare-submit");
    browser.find_with("settings-error", "No key of theirs is known yet.");
    browser.click("settings-close");
    // One letter makes them known.
    browser.click("compose-open");
    browser.fill("compose-to", &world.bob().address);
    browser.fill("compose-subject", "shall we compare");
    browser.fill("compose-body", "Call me.");
    browser.click("compose-send");
    Imap::inbox(&world, world.bob()).wait_for("shall we compare");
    let other = Browser::start();
    other.open(&format!("{}/", world.ready().web));
    log_in(&other, world.bob());
    other.click("settings-open");
    let of_bob = other.text(&other.find("own-words"));
    assert_ne!(of_alice, of_bob);
    browser.click("settings-open");
    browser.fill("compare-address", &world.bob().address);
    browser.click("compare-submit");
    assert_eq!(browser.text(&browser.find("their-words")), of_bob);
    browser.screenshot("compare");
    browser.click("keys-match");
    done(&browser, "It is marked");
    browser.find_with("their-state", "You have compared this key.");
}

#[test]
fn keys_are_replaced_and_brought_in_in_the_browser() {
    let world = World::start();
    let browser = Browser::start();
    let alice = world.alice();
    browser.open(&format!("{}/", world.ready().web));
    log_in(&browser, alice);
    browser.click("settings-open");
    let shown = |count: usize| {
        browser.wait(&format!("there are {count} keys"), || {
            (browser.all("key").len() == count).then_some(())
        });
    };
    shown(2);
    // A file for another program is locked by what was typed twice.
    browser.click("key-export");
    browser.fill("key-passphrase", "a long passphrase");
    browser.fill("key-again", "a long passphrasf");
    browser.click("key-save");
    browser.find_with("settings-error", "The two passphrases are not the same.");
    // The first is the one for everybody; another takes its place.
    browser.click("key-revoke");
    browser.screenshot("keys");
    browser.click("key-replace");
    done(&browser, "It is revoked.");
    shown(3);
    // What is revoked is nothing to compare.
    browser.wait("one key is there to compare", || {
        (browser.all("own-key").len() == 1).then_some(())
    });
    // What gpg made comes in, and is used.
    let gpg = Gnupg::new();
    gpg.generate(&format!("Alice <{}>", alice.address));
    let export = gpg.run(&["--armor", "--export-secret-keys"], b"").text();
    browser.click("import");
    browser.fill("import-keys", "not a key");
    browser.click("import-submit");
    browser.find_with("settings-error", "It was not done");
    browser.paste("import-keys", &export);
    browser.click("import-use");
    browser.click("import-submit");
    done(&browser, "The key is one of yours.");
    shown(4);
    // The directory has it, once what was made is at the provider.
    let colons = gpg.run(&["--with-colons", "--list-keys"], b"").text();
    let fingerprint = between(&colons, "fpr:::::::::", ":").expect("gpg has a key");
    poll("the provider has the key", DEADLINE, || {
        let listed = keys(&world, alice, &["list"]);
        let mut lines = listed.lines();
        lines.find(|line| line.contains(fingerprint))?;
        let state = lines.next()?;
        state.contains("in use").then_some(())
    });
    let listed = keys(&world, alice, &["list"]);
    assert_eq!(listed.matches("; revoked").count(), 2, "{listed}");
}

#[test]
fn devices_are_those_that_the_account_has_signed() {
    let world = World::start();
    let alice = world.alice();
    let page = format!("{}/", world.ready().web);
    let (browser, other) = (Browser::start(), Browser::start());
    for each in [&browser, &other] {
        each.open(&page);
        log_in(each, alice);
    }
    let shown = |count: usize| {
        browser.click("settings-open");
        browser.wait(&format!("there are {count} devices"), || {
            (browser.all("device").len() == count).then_some(())
        });
        assert!(browser.all("device-stranger").is_empty());
    };
    shown(3);
    browser.find_with("device", "The demo's bridge");
    let listed = account_command(&world, alice, &["devices"]);
    assert!(listed.contains("signed by the account's key"), "{listed}");
    assert_eq!(listed.matches("Webmail").count(), 2, "{listed}");
    assert!(!listed.contains("NOT in the account's list"), "{listed}");
    // The other browser goes: by its own word, and with it from the list.
    browser.click("settings-close");
    other.click("log-out-forget");
    other.find("login-password");
    shown(2);
    browser.screenshot("devices");
    browser.click("device-remove");
    done(&browser, "It is none of your devices any more");
    browser.wait("one device is left", || {
        (browser.all("device").len() == 1).then_some(())
    });
    let listed = account_command(&world, alice, &["devices"]);
    assert!(!listed.contains("The demo's bridge"), "{listed}");
}
