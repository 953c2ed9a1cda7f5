//! Step 4 of the letter's way: out by the submission server, to bob and to the outside.

use std::fs;
use std::path::PathBuf;

use crate::http;
use crate::imap::{Imap, between};
use crate::talk::Talk;
use crate::tools::{Gnupg, argument, contains, files, python};
use crate::world::{Account, DEADLINE, DOMAIN, World, poll};

const TO_BOB: &str = "From: Alice <alice@letterlock.example>\r\n\
    To: Bob <bob@letterlock.example>\r\n\
    Subject: the tide tables\r\n\
    Message-ID: <tide@letterlock.example>\r\n\
    Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\
    \r\n\
    High water at nine. Bring the Fähre.\r\n\
    .\r\n";

/// `alice` in a Web Key Directory (its draft, section 3.1).
pub(crate) const ALICES_NAME: &str = "kei1q4tipxxu1yj79k9kfukdhfy631xe";

/// Submits with smtplib, as `account`.
pub(crate) fn submit(world: &World, account: &Account, to: &[&str], message: &str) {
    let (host, port) = world.ready().smtp.rsplit_once(':').expect("host and port");
    let mut arguments = vec![host, port, &account.address, &account.address];
    arguments.extend(to);
    let input = format!("{}\n{message}", account.app_password);
    python("submit.py", &arguments, input.as_bytes()).expect_success("submit.py");
}

/// The fields and the body of a message as IMAP shows it.
pub(crate) fn parts(message: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(message).into_owned();
    let (header, body) = text.split_once("\r\n\r\n").expect("a header and a body");
    (format!("{header}\r\n"), body.to_owned())
}

#[test]
fn from_alice_to_bob_it_is_encrypted_and_signed() {
    let world = World::start();
    let (alice, bob) = (world.alice(), world.bob());
    submit(&world, alice, &[&bob.address], TO_BOB);
    let mut imap = Imap::inbox(&world, bob);
    let uid = imap.wait_for("the tide tables");
    let (header, body) = parts(&imap.message(uid));
    assert!(
        header.starts_with("Letterlock-Encryption: encrypted"),
        "{header}"
    );
    // Users of one provider write to version 6, whose fingerprints have 64 digits.
    let encryption = between(&header, "Letterlock-Encryption: ", "\r\n").unwrap_or("none");
    assert!(encryption.ends_with("cipher=aes256-aead"), "{header}");
    let fingerprint = between(encryption, "fingerprint=", ";").unwrap_or("none");
    assert_eq!(fingerprint.len(), 64, "{header}");
    let signature = between(&header, "\r\nLetterlock-Signature: ", "\r\n").unwrap_or("none");
    assert!(signature.starts_with("valid; "), "{header}");
    assert!(
        signature.contains("address=alice@letterlock.example"),
        "{header}"
    );
    assert!(body.contains("High water at nine."), "{body}");
    // The words of the body, whatever transfer encoding they travelled in.
    assert!(
        body.contains("Fähre") || body.contains("F=C3=A4hre"),
        "{body}"
    );
    // Alice keeps what she sent, readable for her.
    let mut imap = Imap::log_in(&world, alice);
    imap.ok("SELECT Sent");
    let uid = imap.wait_for("the tide tables");
    let (_, body) = parts(&imap.message(uid));
    assert!(body.contains("High water at nine."), "{body}");
}

#[test]
fn a_status_that_somebody_wrote_is_not_believed() {
    let world = World::start();
    let forged = "Letterlock-Encryption: encrypted; cipher=aes256\r\n\
        Letterlock-Signature: valid; address=alice@letterlock.example\r\n\
        X-Leap-Encryption: decrypted\r\n\
        From: Alice <alice@letterlock.example>\r\n\
        To: bob@letterlock.example\r\n\
        Subject: trust me\r\n\
        \r\n\
        I am Alice.\r\n";
    let bob = world.bob();
    crate::talk::deliver(&world.ready().lmtp, &bob.address, forged.as_bytes());
    let mut imap = Imap::inbox(&world, bob);
    let uid = imap.wait_for("trust me");
    let (header, body) = parts(&imap.message(uid));
    assert!(
        !header.contains("Letterlock-Encryption: encrypted"),
        "{header}"
    );
    assert!(!header.contains("Letterlock-Signature: valid"), "{header}");
    assert!(!header.contains("X-Leap-"), "{header}");
    assert_eq!(body, "I am Alice.\r\n");
}

/// The captured message to the outside: the `.eml` file under the data directory with this text.
fn captured(world: &World, text: &str) -> PathBuf {
    poll("the relay captures the message", DEADLINE, || {
        let mut kept = files(&world.data_dir()).into_iter();
        kept.find(|file| {
            file.extension().is_some_and(|extension| extension == "eml")
                && contains(&fs::read(file).unwrap_or_default(), text.as_bytes())
        })
    })
}

#[test]
fn to_the_outside_without_a_key_it_is_signed_for_gpg_to_verify() {
    let world = World::start();
    let alice = world.alice();
    let outside = "stranger@outside.example";
    let message = "From: Alice <alice@letterlock.example>\r\n\
        To: stranger@outside.example\r\n\
        Subject: nothing to hide\r\n\
        Message-ID: <open@letterlock.example>\r\n\
        Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\
        \r\n\
        A postcard, then.\r\n\
        From here it looks like rain.   \r\n";
    submit(&world, alice, &[outside], message);
    let file = captured(&world, "A postcard, then.");
    let mail = fs::read(&file).expect("the captured message");
    let text = String::from_utf8(mail).expect("a postcard is ASCII");
    assert!(text.contains("multipart/signed"), "{text}");
    assert!(!text.contains("Letterlock-"), "{text}");
    let (signed, signature) = signed_parts(&text);
    // Programs of the world find the version that they read.
    let certificate = http::get(&format!(
        "{}/.well-known/openpgpkey/{DOMAIN}/hu/{ALICES_NAME}?l=alice",
        world.ready().provider
    ));
    let gpg = Gnupg::new();
    gpg.run(&["--import"], &certificate);
    let signature = gpg.file("signature.asc", signature.as_bytes());
    let signed = gpg.file("signed", signed.as_bytes());
    let verify = [
        "--status-fd",
        "1",
        "--verify",
        argument(&signature),
        argument(&signed),
    ];
    let said = gpg.run(&verify, b"").text();
    assert!(
        said.contains("GOODSIG") && said.contains("VALIDSIG"),
        "{said}"
    );
    assert!(said.contains("alice@letterlock.example"), "{said}");
    // Who it went to stands beside it.
    let sidecar = fs::read_to_string(file.with_extension("json")).expect("the envelope");
    assert!(sidecar.contains(outside), "{sidecar}");
    // One changed letter, and it is signed no more.
    let changed = text.replace("postcard", "postcart");
    let changed = gpg.file("changed", signed_parts(&changed).0.as_bytes());
    let verify = [
        "--status-fd",
        "1",
        "--verify",
        argument(&signature),
        argument(&changed),
    ];
    let output = gpg.try_run(&verify, b"");
    assert!(
        !output.success && output.text().contains("BADSIG"),
        "{}",
        output.text()
    );
}

/// The signed octets and the signature of an RFC 3156 multipart/signed message.
fn signed_parts(message: &str) -> (&str, &str) {
    let boundary = between(message, "boundary=\"", "\"").expect("a quoted boundary");
    let delimiter = format!("\r\n--{boundary}");
    let mut parts = message.split(&delimiter).skip(1);
    let first = parts.next().expect("the signed part");
    let second = parts.next().expect("the signature part");
    let signed = first
        .split_once("\r\n")
        .expect("the delimiter's line end")
        .1;
    let armor = second
        .find("-----BEGIN PGP SIGNATURE-----")
        .expect("an armored signature");
    (signed, &second[armor..])
}

#[test]
fn a_message_for_both_reaches_each_in_its_way() {
    let world = World::start();
    let (alice, bob) = (world.alice(), world.bob());
    let message = TO_BOB
        .replace("the tide tables", "half in the open")
        .replace("High water at nine", "Low water at three");
    submit(
        &world,
        bob,
        &[&alice.address, "stranger@outside.example"],
        &message.replace(
            "From: Alice <alice@letterlock.example>",
            "From: Bob <bob@letterlock.example>",
        ),
    );
    captured(&world, "Low water at three");
    let mut imap = Imap::inbox(&world, alice);
    let uid = imap.wait_for("half in the open");
    let (header, _) = parts(&imap.message(uid));
    let signature = between(&header, "\r\nLetterlock-Signature: ", "\r\n").unwrap_or("none");
    assert!(signature.starts_with("valid; "), "{header}");
}

#[test]
fn one_connection_submits_two_messages() {
    let world = World::start();
    let (alice, bob) = (world.alice(), world.bob());
    let mut talk = Talk::submission(&world.ready().smtp, alice).expect("log in");
    for subject in ["first of two", "second of two"] {
        let message = TO_BOB.replace("the tide tables", subject);
        let reply = talk.submit(&alice.address, &[&bob.address], message.as_bytes());
        assert!(
            reply.as_ref().is_ok_and(crate::talk::Reply::accepted),
            "{reply:?}"
        );
    }
    let mut imap = Imap::inbox(&world, bob);
    imap.wait_for("first of two");
    imap.wait_for("second of two");
}
