//! The two certificates of an account: what programs of the world get, and a rotation while mail
//! programs are at work.

use std::process::Command;

use crate::http;
use crate::imap::{Imap, between};
use crate::outgoing::{ALICES_NAME, parts, submit};
use crate::talk;
use crate::tools::{Gnupg, argument, run};
use crate::world::{Account, DEADLINE, DOMAIN, World, letterlock, poll};

fn letter(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\n\
         Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nHigh water at nine.\r\n"
    )
}

/// What `letterlock account keys` says, while the bridge runs.
pub(crate) fn keys(world: &World, account: &Account, words: &[&str]) -> String {
    account_command(world, account, &[&["keys"], words].concat())
}

/// What `letterlock account` says, while the bridge runs.
pub(crate) fn account_command(world: &World, account: &Account, words: &[&str]) -> String {
    let password = world.scratch("password").join("line");
    std::fs::write(&password, &account.password).expect("write the password");
    let mut command = Command::new(letterlock());
    command.arg("account").args(words);
    command.args(["--account", &account.address, "--data-dir"]);
    command.arg(world.data_dir());
    command.arg("--password-file").arg(&password);
    let output = run(&mut command, b"").expect_success("letterlock account");
    output.text()
}

/// The certificate of alice that everybody can ask for.
fn alices_published(world: &World) -> Vec<u8> {
    http::get(&format!(
        "{}/.well-known/openpgpkey/{DOMAIN}/hu/{ALICES_NAME}?l=alice",
        world.ready().provider
    ))
}

/// The status of the letter of this subject in the inbox.
fn status(world: &World, account: &Account, subject: &str) -> (String, String) {
    let mut imap = Imap::inbox(world, account);
    let uid = imap.wait_for(subject);
    let (header, body) = parts(&imap.message(uid));
    assert!(body.contains("High water at nine."), "{body}");
    let field = |name: &str| between(&header, name, "\r\n").unwrap_or("none").to_owned();
    (
        field("Letterlock-Encryption: "),
        field("Letterlock-Signature: "),
    )
}

#[test]
fn gpg_writes_to_the_certificate_of_the_web_key_directory() {
    let world = World::start();
    let alice = world.alice();
    let gpg = Gnupg::new();
    gpg.run(&["--import"], &alices_published(&world));
    let encrypt = ["--armor", "--encrypt", "--recipient", &alice.address];
    let sealed = gpg.run(
        &encrypt,
        b"Content-Type: text/plain\r\n\r\nHigh water at nine.\r\n",
    );
    let mail = format!(
        "From: gull@elsewhere.example\r\nTo: {}\r\nSubject: by gpg\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\
         \r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b\r\n\
         Content-Type: application/octet-stream\r\n\r\n{}\r\n--b--\r\n",
        alice.address,
        sealed.text().replace('\n', "\r\n")
    );
    talk::deliver(&world.ready().lmtp, &alice.address, mail.as_bytes());
    let (encryption, _) = status(&world, alice, "by gpg");
    let fingerprint = between(&encryption, "fingerprint=", ";").unwrap_or("none");
    assert_eq!(fingerprint.len(), 40, "{encryption}");
    // What leaves is what gpg takes in.
    let lock = world.scratch("lock").join("line");
    std::fs::write(&lock, "a lock").expect("write the passphrase");
    let lock = ["--secret", "--passphrase-file", argument(&lock)];
    let secret = keys(
        &world,
        alice,
        &[&["export", fingerprint], &lock[..]].concat(),
    );
    let import = ["--passphrase", "a lock", "--import"];
    gpg.run(&import, secret.as_bytes());
    let opened = gpg.run(
        &["--passphrase", "a lock", "--decrypt"],
        sealed.text().as_bytes(),
    );
    assert!(opened.text().contains("High water at nine."));
}

#[test]
fn a_rotation_beside_a_running_bridge() {
    let mut world = World::start();
    let (alice, bob) = (world.alice().clone(), world.bob().clone());
    let write = |world: &World, subject: &str| {
        let text = letter(&alice.address, &bob.address, subject);
        submit(world, &alice, &[&bob.address], &text);
        status(world, &bob, subject)
    };
    let (_, before) = write(&world, "before the rotation");
    assert!(before.starts_with("valid; "), "{before}");
    let published = alices_published(&world);
    let said = keys(&world, &alice, &["rotate"]);
    assert_eq!(said.matches("is in use from now on.").count(), 2, "{said}");
    assert_ne!(alices_published(&world), published);
    // The bridge hears of it by itself, and signs with the new key; bob's follows the old key's
    // word for it.
    let mut number = 0;
    let after = poll("a letter signed by the new key", DEADLINE, || {
        number += 1;
        let (encryption, signature) = write(&world, &format!("after the rotation {number}"));
        assert!(encryption.starts_with("encrypted; "), "{encryption}");
        (signature != before).then_some(signature)
    });
    assert!(after.starts_with("valid; "), "{after}");
    // Mail to her comes in, and what came before is read still, also after a new start.
    let text = letter(&bob.address, &alice.address, "to the new key");
    submit(&world, &bob, &[&alice.address], &text);
    assert!(
        status(&world, &alice, "to the new key")
            .1
            .starts_with("valid; ")
    );
    world.stop();
    world.restart();
    assert!(
        status(&world, &bob, "before the rotation")
            .1
            .starts_with("valid; ")
    );
    assert_eq!(
        keys(&world, &alice, &["list"]).matches("; in use").count(),
        2
    );
}
