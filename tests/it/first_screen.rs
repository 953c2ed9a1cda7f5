//! What the webmail fetches, and how soon it shows something: in a browser that has never had the
//! account.
//!
//! `cargo xtask bench sync --wasm` runs the second of these on many messages and prints what it took.

use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha20Rng;

use crate::browser::{log_in, open_message, see_body, times};
use crate::first_sync::wait_until_pushed;
use crate::imap::Imap;
use crate::recorder::Recorder;
use crate::webdriver::Browser;
use crate::world::{World, now};

/// Letters with something large, and how large that is.
const LARGE: usize = 6;
const LARGE_OCTETS: usize = 2 * 1024 * 1024;
/// A text that is longer than what a browser fetches ahead.
const LONG_TEXT_OCTETS: usize = 9 * 1024 * 1024;
/// Letters of the mailbox, if nobody says.
const LETTERS: usize = 300;
/// How many: for who measures.
const LETTERS_VARIABLE: &str = "LETTERLOCK_FIRST_SCREEN";
/// Rows that a list shows first.
const ROWS: usize = 100;
/// When nothing comes for so long, all has.
const LULL: Duration = Duration::from_secs(1);
/// Letters of one APPEND.
const AT_ONCE: usize = 100;

/// Lines that cannot be deflated much.
fn noise(seed: usize, octets: usize) -> String {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::try_from(seed).expect("a number"));
    let mut random = vec![0; octets * 3 / 4];
    rng.fill_bytes(&mut random);
    let text = BASE64.encode(random);
    let lines = text.as_bytes().chunks(76);
    lines.fold(String::new(), |all, line| {
        all + &String::from_utf8_lossy(line) + "\r\n"
    })
}

fn with_attachment(number: usize) -> String {
    format!(
        "Subject: large {number}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText {number}.\r\n--b\r\n\
         Content-Type: application/octet-stream; name=large.bin\r\n\
         Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n{}--b--\r\n",
        noise(number, LARGE_OCTETS)
    )
}

/// Puts letters into Alice's inbox and waits until the provider has all of them.
fn fill(world: &World, letters: impl Iterator<Item = String>, at_once: usize) {
    let mut imap = Imap::inbox(world, world.alice());
    let mut letters = letters.peekable();
    while letters.peek().is_some() {
        let mut line = "APPEND INBOX".to_owned();
        for letter in letters.by_ref().take(at_once) {
            line = format!("{line} {{{}+}}\r\n{letter}", letter.len());
        }
        imap.ok(&line);
    }
    drop(imap);
    wait_until_pushed(world);
}

#[test]
fn a_browser_fetches_what_is_opened() {
    let world = World::start();
    let long = format!(
        "Subject: long\r\n\r\nThe beginning.\r\n{}",
        noise(99, LONG_TEXT_OCTETS)
    );
    fill(&world, (0..LARGE).map(with_attachment).chain([long]), 1);
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    browser.open(&web.url("/"));
    browser.find("login-address");
    wait_for_page(&browser, &web);
    let start = web.received();
    log_in(&browser, world.alice());
    browser.wait("it listens", || {
        (times(&web, "GET /api/v1/news ") > 0).then_some(())
    });
    open_message(&browser, "large 3");
    see_body(&browser, "Text 3.");
    let before = web.received();
    assert!(before - start < LARGE_OCTETS, "{start} {before}");
    browser.click("attachment");
    // Base64 travels as the octets that it stands for.
    browser.wait("the attachment comes", || {
        (web.received() - before >= LARGE_OCTETS * 7 / 10).then_some(())
    });
    assert!(
        web.received() - before < 2 * LARGE_OCTETS,
        "and nothing else"
    );
    // Without a network what is here can be read, and what is not says so until it can be had.
    web.go_away();
    open_message(&browser, "large 2");
    see_body(&browser, "Text 2.");
    browser.click_with("message-row", "long");
    browser.find_with("message-away", "not in this browser yet");
    browser.screenshot("away");
    web.come_back();
    see_body(&browser, "The beginning.");
}

/// Waits until the page itself has come, and its service worker keeps it.
fn wait_for_page(browser: &Browser, web: &Recorder) {
    browser.wait("the service worker is in charge", || {
        let ready = "return !!(navigator.serviceWorker && navigator.serviceWorker.controller)";
        browser.script(ready).as_bool().filter(|ready| *ready)
    });
    browser.wait("nothing more comes", || {
        let before = web.received();
        thread::sleep(LULL);
        (web.received() == before).then_some(())
    });
}

/// In the page, so that no driver stands between: when the newest letters are listed.
fn watch(newest: &str, rows: usize) -> String {
    format!(
        "const look = () => {{\
           const rows = [...document.querySelectorAll('[data-testid=\"message-row\"]')];\
           const text = rows.map(row => row.textContent).join();\
           if (rows.length >= {rows} && text.includes('{newest}') && !text.includes('not on this device'))\
             window.shown ??= performance.now();\
         }};\
         new MutationObserver(look).observe(document.body, {{ subtree: true, childList: true }});\
         window.clicked = performance.now();\
         document.querySelector('[data-testid=\"login-submit\"]').click();"
    )
}

#[test]
fn the_newest_letters_are_shown_before_all_has_come() {
    let letters = std::env::var(LETTERS_VARIABLE).ok();
    let letters = letters.map_or(LETTERS, |text| text.parse().expect("a number"));
    let mut world = World::prepare_alone();
    world.restart();
    let name = |number: usize| format!("letter {number:05} of many");
    let letter = |number: usize| {
        let text = noise(number, 400 + number * 997 % 6000);
        format!(
            "From: Friend {} <friend{}@elsewhere.example>\r\nSubject: {}\r\n\
             Message-ID: <{number}@elsewhere.example>\r\n\r\n{text}",
            number % 97,
            number % 97,
            name(number)
        )
    };
    fill(&world, (0..letters).map(letter), AT_ONCE);
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    browser.open(&web.url("/"));
    browser.fill("login-address", &world.alice().address);
    browser.fill("login-password", &world.alice().password);
    wait_for_page(&browser, &web);
    let (start, before) = (now(), web.received());
    browser.script(&watch(&name(letters - 1), ROWS.min(letters)));
    let shown = browser.wait("the newest letters are listed", || {
        let took = browser.script("return window.shown - window.clicked");
        took.as_f64().filter(|took| took.is_finite())
    });
    let moved = web.received() - before;
    browser.wait("it has heard of all", || {
        (times(&web, "GET /api/v1/news ") > 0).then_some(())
    });
    let (all, took) = (web.received() - before, start.elapsed());
    println!("| webmail, new browser: messages of the account | {letters} |");
    println!("| from the click on log in to the newest {ROWS} in the list | {shown:.0} ms |");
    println!("| octets moved until then | {moved} |");
    println!("| until all is heard of | {} ms |", took.as_millis());
    println!("| octets moved until then, with the texts of the newest | {all} |");
}
