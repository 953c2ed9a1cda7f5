//! Steps 1 to 3 of the letter's way: in by LMTP, sealed at the provider, out by IMAP byte for
//! byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fs;

use crate::imap::Imap;
use crate::talk;
use crate::tools::{contains, files, python};
use crate::world::{World, poll};

/// Lines that a careless server would change: leading dots, trailing blanks, tabs, 8-bit text.
const AWKWARD: &str = "From: Sender <sender@elsewhere.example>\r\n\
    To: alice@letterlock.example\r\n\
    Subject: awkward lines\r\n\
    X-Folded: one\r\n\ttwo  \r\n three\r\n\
    Message-ID: <awkward@elsewhere.example>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\
    \r\n\
    .\r\n\
    ..\r\n\
    .leading dot\r\n\
    trailing blanks   \t\r\n\
    \r\n\
    From the beginning of a line\r\n\
    Grüße, \u{feff}zero\u{200b}width\r\n\
    \r\n\
    \r\n";

/// The fields above `sent`, which must be all that was added.
pub(crate) fn trace_of<'a>(fetched: &'a [u8], sent: &[u8]) -> &'a str {
    let trace = fetched.strip_suffix(sent);
    let shown = String::from_utf8_lossy(fetched);
    let trace = trace.unwrap_or_else(|| panic!("not what was sent at the end of:\n{shown}"));
    str::from_utf8(trace).expect("trace fields are ASCII")
}

#[test]
fn what_lmtp_takes_in_imap_gives_back_byte_for_byte() {
    let world = World::start();
    let alice = world.alice();
    talk::deliver(&world.ready().lmtp, &alice.address, AWKWARD.as_bytes());
    let mut imap = Imap::inbox(&world, alice);
    let uid = imap.wait_for("awkward lines");
    let fetched = imap.message(uid);
    let trace = trace_of(&fetched, AWKWARD.as_bytes());
    for field in [
        "Return-Path: <sender@elsewhere.example>\r\n",
        "Delivered-To: alice@letterlock.example\r\n",
        "Received: from mx.test.example",
    ] {
        assert!(trace.contains(field), "{field} is not in {trace}");
    }
    assert!(
        !trace.contains("\r\n\r\n"),
        "trace fields end the header: {trace}"
    );
    assert_eq!(
        imap.message(uid),
        fetched,
        "a message under a UID never changes"
    );
}

#[test]
fn smtplib_delivers_to_both() {
    let world = World::start();
    let message = AWKWARD.replace("awkward lines", "for both");
    let (host, port) = world.ready().lmtp.rsplit_once(':').expect("host and port");
    let (alice, bob) = (world.alice(), world.bob());
    // smtplib reads one reply however many recipients there are, so it gets one at a time.
    for account in [alice, bob] {
        let arguments = [host, port, "sender@elsewhere.example", &account.address];
        let output = python("deliver.py", &arguments, message.as_bytes());
        output.expect_success("deliver.py");
        let mut imap = Imap::inbox(&world, account);
        let uid = imap.wait_for("for both");
        let fetched = imap.message(uid);
        let trace = trace_of(&fetched, message.as_bytes());
        let delivered_to = format!("Delivered-To: {}\r\n", account.address);
        assert!(trace.contains(&delivered_to), "{trace}");
    }
}

#[test]
fn the_samples_are_there_and_alike_for_two_looks() {
    let world = World::start();
    let mut imap = Imap::inbox(&world, world.alice());
    imap.wait_for("Thirteen o'clock");
    // The contract of the demo: at least 12 messages.
    let first = poll("the samples arrive", crate::world::DEADLINE, || {
        imap.ok("NOOP");
        let summaries = imap.summaries();
        (summaries.len() >= 12).then_some(summaries)
    });
    let mut uids: Vec<u32> = first.iter().map(|summary| summary.uid).collect();
    assert!(uids.is_sorted(), "{uids:?}");
    uids.dedup();
    assert_eq!(uids.len(), first.len(), "a UID twice");
    let mut other = Imap::inbox(&world, world.alice());
    for summary in first {
        let message = imap.message(summary.uid);
        assert_eq!(other.message(summary.uid), message, "{}", summary.subject);
        let size = imap.ok(&format!("UID FETCH {} (RFC822.SIZE)", summary.uid));
        let told = format!("RFC822.SIZE {}", message.len());
        assert!(
            size.untagged
                .iter()
                .any(|response| response.text.contains(&told)),
            "{}: {:?}, not {told}",
            summary.subject,
            size.untagged
        );
    }
}

#[test]
fn imaplib_takes_its_tour() {
    let world = World::start();
    let alice = world.alice();
    let message = AWKWARD.replace("awkward lines", "for imaplib");
    talk::deliver(&world.ready().lmtp, &alice.address, message.as_bytes());
    // Arrived before the tour begins, so that the tour can count.
    Imap::inbox(&world, alice).wait_for("for imaplib");
    let (host, port) = world.ready().imap.rsplit_once(':').expect("host and port");
    let mut input = format!("{}\n", alice.app_password).into_bytes();
    input.extend_from_slice(message.as_bytes());
    let output = python("imap_tour.py", &[host, port, &alice.address], &input);
    let said = output.expect_success("imap_tour.py").text();
    let expected = [
        "login", "list", "select", "fetch", "sections", "store", "append", "expunge", "copy",
        "idle",
    ];
    let lines: Vec<String> = expected.iter().map(|word| format!("{word} True")).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_sealed_letter_from_outside_is_shown_opened() {
    let world = World::start();
    let mut imap = Imap::inbox(&world, world.alice());
    // The sample by Inés is encrypted to alice when the demo first starts.
    let uid = poll("the sealed sample arrives", crate::world::DEADLINE, || {
        imap.ok("NOOP");
        let found = imap
            .ok("UID SEARCH HEADER Letterlock-Encryption encrypted")
            .untagged;
        let line = found
            .into_iter()
            .find(|line| line.text.starts_with("* SEARCH "));
        line?.text.split_whitespace().nth(2)?.parse().ok()
    });
    let message = imap.message(uid);
    let shown = String::from_utf8_lossy(&message);
    assert!(shown.contains("lemon cake"), "{shown}");
    assert!(!shown.contains("BEGIN PGP MESSAGE"), "{shown}");
    assert!(
        shown.starts_with("Letterlock-Encryption: encrypted"),
        "{shown}"
    );
    // And the one whose signer nobody knows does not claim a valid signature.
    let uid = imap.wait_for("Thirteen o'clock");
    let message = imap.message(uid);
    let shown = String::from_utf8_lossy(&message);
    assert!(shown.contains("\r\nLetterlock-Signature: "), "{shown}");
    assert!(!shown.contains("Letterlock-Signature: valid"), "{shown}");
}

/// Who receives a forged status does not see it; what a mail program appends stays as it is.
#[test]
fn forged_status_fields_are_removed_from_what_is_received_alone() {
    let world = World::start();
    let alice = world.alice();
    let forged = |subject: &str| {
        format!(
            "Letterlock-Encryption: encrypted; fingerprint=00; cipher=aes256\r\n\
             From: eve@elsewhere.example\r\nSubject: {subject}\r\n\
             letterlock-signature: valid; fingerprint=00; address=eve@elsewhere.example\r\n\
             X-Leap-Signature: valid\r\nMIME-Version: 1.0\r\n\
             Content-Type: message/rfc822\r\n\r\nX-Leap-Encryption: decrypted\r\n\r\nx\r\n"
        )
    };
    let received = forged("received forgery");
    talk::deliver(&world.ready().lmtp, &alice.address, received.as_bytes());
    let mut imap = Imap::inbox(&world, alice);
    let uid = imap.wait_for("received forgery");
    let shown = String::from_utf8(imap.message(uid)).expect("ASCII");
    let lower = shown.to_ascii_lowercase();
    assert!(
        !lower.contains("letterlock-") && !lower.contains("x-leap-"),
        "{shown}"
    );
    assert!(
        shown.ends_with("Content-Type: message/rfc822\r\n\r\n\r\nx\r\n"),
        "{shown}"
    );
    let appended = forged("appended forgery");
    imap.append("INBOX", "", appended.as_bytes());
    let uid = imap.wait_for("appended forgery");
    assert_eq!(imap.message(uid), appended.as_bytes());
}

/// Everything that would give `secret` away: raw, and in base64 at each of the three alignments.
/// (Quoted-printable leaves these letters as they are, but may break a line between two of them,
/// so they are looked for in halves as well.)
fn traces_of(secret: &str) -> Vec<Vec<u8>> {
    let (left, right) = secret.split_at(secret.len() / 2);
    let mut traces: Vec<Vec<u8>> = [secret, left, right]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    traces.push(secret.encode_utf16().flat_map(u16::to_le_bytes).collect());
    for skipped in 0..3 {
        // Whole groups of three octets encode alike whatever stands around them.
        let whole = &secret.as_bytes()[skipped..];
        let whole = &whole[..whole.len() / 3 * 3];
        traces.push(BASE64.encode(whole).into_bytes());
    }
    traces
}

#[test]
fn nothing_on_disk_is_readable() {
    let mut world = World::start();
    let alice = world.alice().clone();
    let secrets = [
        "QvzKanarienvogel7731xyzzyplugh",
        "WmwGoldammerfederkiel4242frobnitz",
    ];
    let message = format!(
        "From: {0}@elsewhere.example\r\nTo: {1}\r\nSubject: {0}\r\nX-Canary: {0}\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n{0}\r\n--b\r\n\
         Content-Type: application/octet-stream; name={2}\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{3}\r\n--b--\r\n",
        secrets[0],
        alice.address,
        secrets[1],
        BASE64.encode(secrets[1]),
    );
    talk::deliver(&world.ready().lmtp, &alice.address, message.as_bytes());
    let mut imap = Imap::inbox(&world, &alice);
    let uid = imap.wait_for(secrets[0]);
    // What a client does may leave plaintext behind (search indexes, caches).
    imap.ok(&format!("UID SEARCH TEXT {}", secrets[0]));
    imap.ok(&format!("UID STORE {uid} +FLAGS (\\Flagged)"));
    assert!(
        imap.append("INBOX", "", message.as_bytes())
            .status
            .starts_with("OK")
    );
    // Of the samples: a subject, a sentence, and what stands in base64 in the PDF and the PNG.
    let samples = [
        "Your letterbox, and who can open it",
        "a warrant, a crowbar or a very",
    ];
    let stamps = ["iVBORw0KGgoAAAANSUhEUgAAAEAAAAAwCAIAAAAuKetI"];
    let traces: Vec<Vec<u8>> = secrets
        .iter()
        .chain(&samples)
        .flat_map(|secret| traces_of(secret))
        .chain(
            stamps
                .iter()
                .flat_map(|text| [text.as_bytes().to_vec(), BASE64.decode(text).unwrap()]),
        )
        .collect();
    let look = |when: &str, world: &World| {
        let kept = files(&world.data_dir());
        assert!(
            kept.len() > 2,
            "nothing is kept in {}",
            world.data_dir().display()
        );
        for file in kept {
            let content = fs::read(&file).unwrap_or_default();
            for trace in &traces {
                let shown = String::from_utf8_lossy(trace);
                assert!(
                    !contains(&content, trace),
                    "{when}: {} has {shown}",
                    file.display()
                );
            }
        }
        let log = world.complaints();
        for secret in secrets.iter().chain([&alice.app_password.as_str()]) {
            assert!(!log.contains(secret), "{when}: the log has {secret}");
        }
    };
    look("running", &world);
    world.stop();
    look("stopped", &world);
}
