//! The two certificates of an account: what programs of the world get, what they export, and a
//! rotation while mail programs are at work.

use std::process::Command;

use crate::http;
use crate::imap::{Imap, between};
use crate::libraries::installed;
use crate::outgoing::{ALICES_NAME, parts, submit};
use crate::talk;
use crate::tools::{Gnupg, argument, program, run, script};
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

/// A letter from outside, encrypted by gpg to whoever of the address it knows.
fn sealed_by_gpg(gpg: &Gnupg, to: &str, subject: &str) -> (String, String) {
    let encrypt = ["--armor", "--encrypt", "--recipient", to];
    let sealed = gpg.run(
        &encrypt,
        b"Content-Type: text/plain\r\n\r\nHigh water at nine.\r\n",
    );
    let armored = sealed.text();
    let mail = format!(
        "From: gull@elsewhere.example\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\r\n\
         \r\n--b\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n--b\r\n\
         Content-Type: application/octet-stream\r\n\r\n{}\r\n--b--\r\n",
        armored.replace('\n', "\r\n")
    );
    (armored, mail)
}

#[test]
fn gpg_writes_to_the_certificate_of_the_web_key_directory() {
    let world = World::start();
    let alice = world.alice();
    let gpg = Gnupg::new();
    gpg.run(&["--import"], &alices_published(&world));
    let (sealed, mail) = sealed_by_gpg(&gpg, &alice.address, "by gpg");
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
    let opened = gpg.run(&["--passphrase", "a lock", "--decrypt"], sealed.as_bytes());
    assert!(opened.text().contains("High water at nine."));
}

/// Makes a key for an address, locked.
type Make = fn(&World, &str, &str) -> Vec<u8>;

/// A key that RNP has made, locked and exported, as Thunderbird does.
fn thunderbirds_key(world: &World, address: &str, lock: &str) -> Vec<u8> {
    let home = world.scratch("rnp");
    let rnpkeys = |words: &[&str]| {
        let mut command = program("rnpkeys", "rnp");
        command.arg("--homedir").arg(&home).args(words);
        run(&mut command, b"").expect_success("rnpkeys")
    };
    let user_id = format!("Alice <{address}>");
    rnpkeys(&["--generate-key", "--userid", &user_id, "--password", lock]);
    let made = rnpkeys(&["--export-key", "--secret", &user_id]);
    made.text().into_bytes()
}

/// A key that OpenPGP.js has made, locked and exported, as Proton does.
fn protons_key(_: &World, address: &str, lock: &str) -> Vec<u8> {
    let mut command = program("node", "nodejs");
    command
        .env("NODE_PATH", installed("node/node_modules"))
        .arg(argument(&script("locked_key.mjs")))
        .arg(address);
    let made = run(&mut command, lock.as_bytes()).expect_success("OpenPGP.js");
    made.text().into_bytes()
}

#[test]
fn keys_that_other_programs_export_come_into_use() {
    let world = World::start();
    let alice = world.alice();
    let scratch = world.scratch("keys");
    let lock = scratch.join("lock");
    std::fs::write(&lock, "ein Schloss").expect("write the passphrase");
    let makers: [(&str, Make); 2] = [("rnp", thunderbirds_key), ("OpenPGP.js", protons_key)];
    for (name, make) in makers {
        let file = scratch.join(name);
        let secret = make(&world, &alice.address, "ein Schloss");
        std::fs::write(&file, &secret).expect("write the key");
        let import = ["import", argument(&file), "--use", "--passphrase-file"];
        let said = keys(&world, alice, &[&import[..], &[argument(&lock)]].concat());
        let (fingerprint, _) = said.split_once(" is one of").expect("it says which");
        // It is what everybody is given now, and what they write to it is read.
        let gpg = Gnupg::new();
        gpg.run(&["--import"], &alices_published(&world));
        let fingerprint = fingerprint.trim();
        let listed = gpg.run(&["--with-colons", "--list-keys", fingerprint], b"");
        assert!(
            listed.text().contains(&fingerprint.to_uppercase()),
            "{name}"
        );
        let subject = format!("to a key by {name}");
        let (_, mail) = sealed_by_gpg(&gpg, &alice.address, &subject);
        talk::deliver(&world.ready().lmtp, &alice.address, mail.as_bytes());
        let (encryption, _) = status(&world, alice, &subject);
        let used = between(&encryption, "fingerprint=", ";").unwrap_or("none");
        assert!(
            used.eq_ignore_ascii_case(fingerprint),
            "{name}: {encryption}"
        );
    }
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
