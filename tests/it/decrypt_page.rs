//! Step 6 of the letter's way: `/decrypt`, which needs no account and sends nothing.

use crate::recorder::Recorder;
use crate::tools::{Gnupg, argument};
use crate::webdriver::Browser;
use crate::world::World;

const TEXT: &str = "The ferry leaves at dawn.\nBring the map, and the gull.\n";

/// What somebody has who got a message by gpg.
struct Letter {
    message: String,
    key: String,
    sender: String,
}

fn letter() -> Letter {
    let gpg = Gnupg::new();
    gpg.generate("Reader <reader@gpg.example>");
    gpg.generate("Writer <writer@gpg.example>");
    let arguments = [
        "--armor",
        "--sign",
        "--encrypt",
        "--local-user",
        "writer@gpg.example",
        "--recipient",
        "reader@gpg.example",
    ];
    let message = gpg.run(&arguments, TEXT.as_bytes()).text();
    let export = ["--armor", "--export-secret-keys", "reader@gpg.example"];
    let key = gpg.run(&export, b"").text();
    let sender = gpg
        .run(&["--armor", "--export", "writer@gpg.example"], b"")
        .text();
    // gpg itself reads it back, so that a failure below is the page's.
    let file = gpg.file("message.asc", message.as_bytes());
    assert_eq!(gpg.run(&["--decrypt", argument(&file)], b"").text(), TEXT);
    Letter {
        message,
        key,
        sender,
    }
}

#[test]
fn a_message_from_gpg_opens_and_nothing_is_sent() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    let letter = letter();
    browser.open(&web.url("/decrypt"));
    browser.find("decrypt-message");
    // The page's own parts load after it; it is quiet once the amounts stand still.
    let mut before = web.amounts();
    let mut still = 0;
    browser.wait("the page has loaded", || {
        let amounts = web.amounts();
        still = if amounts == before { still + 1 } else { 0 };
        before = amounts;
        (still > 50).then_some(())
    });
    let resources = "return performance.getEntriesByType('resource').length";
    let loaded = browser.script(resources);
    browser.paste("decrypt-message", &letter.message);
    browser.paste("decrypt-key", &letter.key);
    browser.click("decrypt-submit");
    browser.wait("the message is shown", || {
        browser
            .letter_text("decrypt-result")
            .contains("Bring the map")
            .then_some(())
    });
    // Without the writer's certificate nobody is named.
    let unknown = browser.find("decrypt-signature");
    let said = browser.text(&unknown);
    assert!(
        said.contains("Encrypted") && said.contains("not known"),
        "{said}"
    );
    assert!(!said.contains("writer@gpg.example"), "{said}");
    browser.script("document.querySelectorAll('details').forEach(one => { one.open = true })");
    browser.paste("decrypt-sender", &letter.sender);
    browser.click("decrypt-submit");
    browser.find_with("decrypt-signature", "writer@gpg.example");
    browser.screenshot("decrypt");
    assert_eq!(
        web.amounts(),
        before,
        "the page sent something after it had loaded"
    );
    assert_eq!(
        browser.script(resources),
        loaded,
        "the page loaded something"
    );
}

#[test]
fn a_message_that_does_not_open_says_why() {
    let world = World::start();
    let web = Recorder::before(&world.ready().web);
    let browser = Browser::start();
    let letter = letter();
    let other = Gnupg::new();
    other.generate("Other <other@gpg.example>");
    let wrong = other.run(&["--armor", "--export-secret-keys"], b"").text();
    browser.open(&web.url("/decrypt"));
    browser.paste("decrypt-message", &letter.message);
    browser.paste("decrypt-key", &wrong);
    browser.click("decrypt-submit");
    let error = browser.find("decrypt-error");
    assert!(!browser.text(&error).is_empty());
    browser.paste("decrypt-message", "Dear Sir or Madam");
    browser.paste("decrypt-key", &letter.key);
    browser.click("decrypt-submit");
    browser.wait("another error is shown", || {
        let error = browser.all("decrypt-error").into_iter().next()?;
        Some(()).filter(|()| !browser.text(&error).is_empty())
    });
    // The page is alive: the right pair opens.
    browser.paste("decrypt-message", &letter.message);
    browser.click("decrypt-submit");
    browser.find_with("decrypt-result", "The ferry leaves at dawn.");
}
