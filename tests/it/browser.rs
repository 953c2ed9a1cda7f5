//! Step 5 of the letter's way: the webmail in headless Chromium.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::imap::{Imap, between};
use crate::recorder::Recorder;
use crate::talk;
use crate::tools::contains;
use crate::webdriver::Browser;
use crate::world::{Account, World};

pub(crate) fn log_in(browser: &Browser, account: &Account) {
    browser.fill("login-address", &account.address);
    browser.fill("login-password", &account.password);
    browser.click("login-submit");
    browser.find("mailbox-INBOX");
}

/// Opens the message with this subject and waits until it is shown.
pub(crate) fn open_message(browser: &Browser, subject: &str) {
    browser.click_with("message-row", subject);
    browser.find_with("message-subject", subject);
}

/// Waits until the open letter has this in its text.
pub(crate) fn see_body(browser: &Browser, text: &str) {
    browser.wait(&format!("the letter says `{text}`"), || {
        browser
            .letter_text("message-body")
            .contains(text)
            .then_some(())
    });
}

/// How often the browser has sent this.
pub(crate) fn times(web: &Recorder, text: &str) -> usize {
    let sent = web.sent();
    let places = sent.windows(text.len());
    places.filter(|place| *place == text.as_bytes()).count()
}

#[test]
fn a_letter_comes_without_being_asked_for() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    browser.open(&web.url("/"));
    log_in(&browser, world.alice());
    browser.wait("it listens", || {
        (times(&web, "GET /api/v1/news ") > 0).then_some(())
    });
    // What the log-in itself has brought is asked for a few seconds later.
    let pull = "POST /api/v1/sync/pull ";
    for number in 0..3 {
        let subject = format!("pushed, number {number}");
        let letter = format!("Subject: {subject}\r\n\r\nHello.\r\n");
        let asked = times(&web, pull);
        talk::deliver(
            &world.ready().lmtp,
            &world.alice().address,
            letter.as_bytes(),
        );
        browser.find_with("message-row", &subject);
        assert!(
            times(&web, pull) <= asked + 1,
            "it asks for each piece of news"
        );
    }
    assert_eq!(times(&web, "GET /api/v1/news "), 1, "one stream");
}

#[test]
fn log_in_read_and_see_who_sealed_it() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    browser.open(&web.url("/"));
    browser.find("login-address");
    browser.screenshot("login");
    log_in(&browser, world.alice());
    browser.find("message-list");
    for subject in [
        "Your letterbox, and who can open it",
        "The lamp is lit",
        "Thirteen o'clock",
    ] {
        browser.find_with("message-row", subject);
    }
    browser.screenshot("mailbox");
    open_message(&browser, "Your letterbox, and who can open it");
    see_body(&browser, "a warrant, a crowbar");
    let open = browser.find("protection");
    assert!(
        browser.text(&open).contains("Not encrypted"),
        "{}",
        browser.text(&open)
    );
    browser.screenshot("message");
    open_message(&browser, "The lamp is lit");
    see_body(&browser, "four electricians");
    browser.screenshot("message-html");
    // What it is called is inside the seal, so it is found by the badge of its row.
    let sealed = browser.wait("a row with a seal", || {
        let mut rows = browser.all("row-protection").into_iter();
        rows.find(|row| ["sealed", "encrypted"].contains(&&*browser.attribute(row, "data-seal")))
    });
    drop(sealed);
    browser.script(
        "document.querySelector('[data-seal=\"sealed\"],[data-seal=\"encrypted\"]')\
         .closest('[data-testid=\"message-row\"]').click()",
    );
    see_body(&browser, "lemon cake");
    let words = browser.find_with("protection", "Encrypted");
    assert!(
        browser.text(&words).contains("signed by"),
        "{}",
        browser.text(&words)
    );
    browser.screenshot("message-sealed");
    open_message(&browser, "Thirteen o'clock");
    browser.find_with("protection", "a key that is not known here");
    assert_secret(&web, world.alice());
}

/// Nothing that the browser sent has a password in it, in any usual spelling.
fn assert_secret(web: &Recorder, account: &Account) {
    let sent = web.sent();
    assert!(contains(&sent, b"HTTP/1.1\r\n"), "the recorder saw nothing");
    for secret in [&account.password, &account.app_password] {
        let octets = secret.as_bytes();
        let hex = octets
            .iter()
            .fold(String::new(), |hex, octet| hex + &format!("{octet:02x}"));
        for spelling in [
            secret.clone(),
            BASE64.encode(octets),
            hex,
            secret.replace(' ', "+"),
        ] {
            assert!(
                !contains(&sent, spelling.as_bytes()),
                "a password left the page"
            );
        }
    }
}

#[test]
fn write_to_bob_and_see_new_mail_come_in() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    browser.open(&web.url("/"));
    log_in(&browser, world.alice());
    browser.click("compose-open");
    browser.fill("compose-to", &world.bob().address);
    browser.fill("compose-subject", "from the browser");
    browser.fill("compose-body", "Sealed in a worker, under a hat.");
    browser.screenshot("compose");
    browser.click("compose-send");
    let mut imap = Imap::inbox(&world, world.bob());
    let uid = imap.wait_for("from the browser");
    let message = String::from_utf8_lossy(&imap.message(uid)).into_owned();
    assert!(
        message.starts_with("Letterlock-Encryption: encrypted"),
        "{message}"
    );
    let signature = between(&message, "\r\nLetterlock-Signature: ", "\r\n").unwrap_or("none");
    assert!(signature.starts_with("valid; "), "{message}");
    assert!(
        signature.contains("address=alice@letterlock.example"),
        "{message}"
    );
    assert!(
        message.contains("Sealed in a worker, under a hat."),
        "{message}"
    );
    browser.wait("the letter to be written is put away", || {
        browser.all("compose").is_empty().then_some(())
    });
    // While the page is open, a message comes in, and nobody clicks anything.
    let arriving = format!(
        "From: Sender <sender@elsewhere.example>\r\nTo: {}\r\nSubject: as you watch\r\n\r\n\
         Look up.\r\n",
        world.alice().address
    );
    talk::deliver(
        &world.ready().lmtp,
        &world.alice().address,
        arriving.as_bytes(),
    );
    browser.find_with("message-row", "as you watch");
    open_message(&browser, "as you watch");
    see_body(&browser, "Look up.");
    assert!(
        !contains(&web.sent(), b"Sealed in a worker"),
        "the text left the page readable"
    );
    assert_secret(&web, world.alice());
}

#[test]
fn without_the_server_it_still_reads() {
    let mut world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    let alice = world.alice().clone();
    browser.open(&web.url("/"));
    log_in(&browser, &alice);
    open_message(&browser, "The lamp is lit");
    see_body(&browser, "four electricians");
    browser.wait("the service worker is in charge", || {
        let ready = "return !!(navigator.serviceWorker && navigator.serviceWorker.controller)";
        browser.script(ready).as_bool().filter(|ready| *ready)
    });
    web.go_away();
    world.stop();
    browser.reload();
    // The keys were in memory only, so that a reload may ask for the password again.
    browser.wait("the page is back", || {
        let asked = !browser.all("login-address").is_empty();
        let there = !browser.all("mailbox-INBOX").is_empty();
        (asked || there).then_some(())
    });
    if browser.all("mailbox-INBOX").is_empty() {
        log_in(&browser, &alice);
    }
    browser.find_with("message-row", "Your letterbox, and who can open it");
    open_message(&browser, "The lamp is lit");
    see_body(&browser, "four electricians");
    browser.find("offline-banner");
    browser.screenshot("offline");
}

#[test]
fn a_wrong_password_is_told_clearly() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    browser.open(&web.url("/"));
    browser.fill("login-address", &world.alice().address);
    browser.fill("login-password", "not the password");
    browser.click("login-submit");
    let error = browser.find("login-error");
    assert!(!browser.text(&error).is_empty());
    assert!(browser.all("mailbox-INBOX").is_empty());
    browser.screenshot("login-refused");
    // Nobody by that name: told in the same words.
    let said = browser.text(&error);
    browser.open(&web.url("/"));
    browser.fill("login-address", "nobody@letterlock.example");
    browser.fill("login-password", "not the password");
    browser.click("login-submit");
    let error = browser.find("login-error");
    assert_eq!(browser.text(&error), said);
    // The right one, on the same page, still works.
    log_in(&browser, world.alice());
}
