//! In both directions with `gpg`: it opens and verifies what we write, and we what it writes.
//!
//! Each test has a keyring of its own in a temporary folder. Without `gpg` they say so and pass.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::decrypt::{self, Limits};
use super::pgp_mime::{self, Sender};
use super::protection::{Encryption, SignatureStatus};
use super::test_support::{NOW, address, later, rng, secret};
use super::{Certificate, SecretCertificate, bulk, encrypt, sign};

/// A keyring that is gone when it is dropped.
struct Gpg {
    home: PathBuf,
}

impl Gpg {
    fn new(name: &str) -> Option<Self> {
        if Command::new("gpg").arg("--version").output().is_err() {
            println!("gpg is not installed: skipped");
            return None;
        }
        let home = std::env::temp_dir().join(format!("llgpg-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        Some(Self { home })
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        // The keys are of the tests' own time.
        let time = format!("{}!", later(60).as_secs());
        // From a file: a pipe that is written while the other one fills would never end.
        let input = std::fs::File::open(self.file("input", input)).unwrap();
        Command::new("gpg")
            .env("GNUPGHOME", &self.home)
            .args([
                "--batch",
                "--no-tty",
                "--yes",
                "--trust-model",
                "always",
                "--status-fd",
                "2",
            ])
            .args(["--pinentry-mode", "loopback", "--passphrase", ""])
            .args(["--faked-system-time", &time])
            .args(arguments)
            .stdin(Stdio::from(input))
            .output()
            .unwrap()
    }

    fn good(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let output = self.run(arguments, input);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    fn import(&self, secret: &SecretCertificate) {
        self.good(&["--import"], &secret.to_bytes());
    }

    fn file(&self, name: &str, octets: &[u8]) -> String {
        let path: &Path = &self.home.join(name);
        std::fs::write(path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        let kill = Command::new("gpgconf")
            .env("GNUPGHOME", &self.home)
            .args(["--kill", "gpg-agent"])
            .output();
        drop(kill);
        drop(std::fs::remove_dir_all(&self.home));
    }
}

#[test]
fn gpg_opens_and_verifies_what_we_write() {
    let Some(gpg) = Gpg::new("ours") else { return };
    let (alice, bob) = (secret("alice"), secret("bob"));
    gpg.import(&bob);
    gpg.good(&["--import"], &alice.certificate().to_bytes());
    let to = [alice.certificate().clone(), bob.certificate().clone()];
    let mail = vec![b'm'; 300_000];
    let letter = encrypt::message(&to, Some(&alice), &mail, later(10), &mut rng(1)).unwrap();
    let output = gpg.run(&["--decrypt"], &letter);
    let status = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == mail, "{status}");
    assert!(
        status.contains("GOODSIG") && status.contains("VALIDSIG"),
        "{status}"
    );
    assert!(status.contains(" 2 9"), "AES-256 with integrity: {status}");

    let sealed = encrypt::to_recipient(bob.certificate(), &mail, NOW, &mut rng(2)).unwrap();
    assert_eq!(gpg.good(&["--decrypt"], &sealed), mail);

    let signature = sign::detached(b"document\r\n", &alice, later(10), &mut rng(3)).unwrap();
    let signature = gpg.file("signature.asc", &signature);
    gpg.good(&["--verify", &signature, "-"], b"document\r\n");
    assert!(
        !gpg.run(&["--verify", &signature, "-"], b"another\r\n")
            .status
            .success()
    );
}

#[test]
fn gpg_verifies_our_signed_mail() {
    let Some(gpg) = Gpg::new("mime") else { return };
    let alice = secret("alice");
    gpg.import(&alice);
    let mail = b"From: alice@letterlock.example\r\nSubject: s\r\n\r\nGr\xc3\xbc\xc3\x9fe \r\n";
    let address = address("alice");
    let sender = Sender {
        key: &alice,
        address: &address,
        now: later(10),
    };
    let wire = pgp_mime::sign(mail, &sender, &mut rng(1)).unwrap();
    let structure = crate::mime::split(&wire).structure;
    let [signed, signature] = structure.root.children() else {
        panic!("two parts")
    };
    let document = &wire[signed.header.range().start..signed.body.range().end];
    let signature = gpg.file("signature.asc", signature.body.of(&wire));
    gpg.good(&["--verify", &signature, "-"], document);
}

#[test]
fn we_open_and_verify_what_gpg_writes() {
    let Some(gpg) = Gpg::new("theirs") else {
        return;
    };
    let bob = secret("bob");
    gpg.good(&["--import"], &bob.certificate().to_bytes());
    let user = "Carol <carol@letterlock.example>";
    gpg.good(
        &["--quick-generate-key", user, "rsa2048", "sign,cert", "1y"],
        b"",
    );
    let exported = gpg.good(&["--export", "carol@letterlock.example"], b"");
    let carol = Certificate::parse(&exported).unwrap();
    let recipient = bob.fingerprint().to_string();
    let keys = [bob];
    let from = address("carol");
    for extra in [["--compress-algo", "zlib"], ["--cipher-algo", "AES128"]] {
        let mut arguments = extra.to_vec();
        arguments.extend(["--armor", "--sign", "--encrypt", "--recipient", &recipient]);
        let letter = gpg.good(&arguments, b"hello from gpg\n");
        let opened = decrypt::message(&letter, &keys, &Limits::default()).unwrap();
        assert_eq!(&*opened.plaintext, b"hello from gpg\n");
        assert_eq!(
            opened
                .signatures
                .judge(core::slice::from_ref(&carol), Some(&from), later(90)),
            SignatureStatus::Valid {
                fingerprint: carol.fingerprint(),
                address: from.clone()
            }
        );
    }
    let textmode = gpg.good(&["--armor", "--textmode", "--detach-sign"], b"one\ntwo\n");
    let pending = sign::read_detached(b"one\r\ntwo\r\n", &textmode);
    let status = pending.judge(core::slice::from_ref(&carol), Some(&from), later(90));
    assert!(
        matches!(status, SignatureStatus::Valid { .. }),
        "{status:?}"
    );
    let weak = ["--digest-algo", "SHA1", "--armor", "--detach-sign"];
    let weak = sign::read_detached(b"x", &gpg.good(&weak, b"x"));
    let status = weak.judge(core::slice::from_ref(&carol), Some(&from), later(90));
    assert!(matches!(status, SignatureStatus::Weak { .. }), "{status:?}");
}

#[test]
fn keys_exported_from_gpg_are_unlocked_and_open_mail() {
    let Some(gpg) = Gpg::new("export") else {
        return;
    };
    let user = "dave@letterlock.example";
    let generate = [
        "--passphrase",
        "open sesame",
        "--quick-generate-key",
        user,
        "future-default",
    ];
    gpg.good(&generate, b"");
    let export = [
        "--passphrase",
        "open sesame",
        "--armor",
        "--export-secret-keys",
        user,
    ];
    let armored = gpg.good(&export, b"");
    assert!(SecretCertificate::parse(&armored, None).is_err());
    assert!(SecretCertificate::parse(&armored, Some("closed")).is_err());
    let dave = SecretCertificate::parse(&armored, Some("open sesame")).unwrap();
    assert_eq!(dave.certificate().addresses(later(90)), [address("dave")]);
    let letter = gpg.good(&["--armor", "--encrypt", "--recipient", user], b"to dave");
    let shown = decrypt::armored(&letter, &dave, &[], later(90), None);
    let shown = bulk::without(shown).unwrap();
    assert_eq!(&*shown.plaintext, b"to dave");
    assert_eq!(shown.signature, SignatureStatus::None);
    let mail = [
        b"From: x@y.example\r\nContent-Type: text/plain\r\n\r\n".as_slice(),
        &letter,
    ]
    .concat();
    let opened = pgp_mime::open(&mail, &[dave], &Limits::default()).judge(&[], later(90));
    assert!(matches!(
        opened.protection.encryption,
        Encryption::ToUs { .. }
    ));
}

#[test]
fn keys_come_from_gpg_and_from_programs_of_its_form_and_go_back() {
    let Some(gpg) = Gpg::new("brought") else {
        return;
    };
    let lock = ["--passphrase", "their lock"];
    for name in ["Alice", "Alice again"] {
        let user_id = format!("{name} <alice@letterlock.example>");
        let make = [
            "--quick-generate-key",
            &user_id,
            "future-default",
            "default",
            "1y",
        ];
        gpg.good(&[&lock[..], &make].concat(), b"");
    }
    let export = ["--export-secret-keys", "--armor"];
    let exported = gpg.good(&[&lock[..], &export].concat(), b"");
    let open = |text: &[u8], lock: &str| SecretCertificate::parse_export(text, &[lock]);
    let keys = open(&exported, "their lock").unwrap();
    assert_eq!(keys.len(), 2);
    assert!(matches!(
        open(&exported, "another"),
        Err(super::secret_certificate::SecretCertificateError::Passphrase)
    ));
    let at = later(120);
    for key in &keys {
        let certificate = key.certificate();
        assert_eq!(certificate.usable_for_encryption(at), Ok(()));
        assert!(certificate.names(&address("alice"), at) && key.signs(at));
        let recipient = [
            "--encrypt",
            "--recipient",
            &certificate.fingerprint().to_string(),
        ];
        let sealed = gpg.good(&recipient, b"from gpg");
        let opened = decrypt::message(&sealed, &keys, &Limits::default()).unwrap();
        assert_eq!(opened.encrypted_to, key.fingerprint());
    }
    // As Proton writes it: fields in the armor; as Thunderbird does: a block for each key, with
    // those of certificates between.
    let blocks = keys.iter().map(|key| {
        let secret = key.to_armor(Some("their lock"), &mut rng(9)).unwrap();
        let fields = "BLOCK-----\nVersion: ProtonMail\nComment: https://protonmail.com\n";
        let secret = secret
            .replacen("BLOCK-----\n", fields, 1)
            .replace('\n', "\r\n");
        format!("A note.\r\n{}\r\n{secret}", key.certificate().to_armor())
    });
    let text = blocks.collect::<Vec<_>>().concat();
    let again = open(text.as_bytes(), "their lock").unwrap();
    let octets = |keys: &[SecretCertificate]| {
        keys.iter()
            .map(SecretCertificate::to_bytes)
            .collect::<Vec<_>>()
    };
    assert_eq!(octets(&again), octets(&keys));
    // And back: gpg has what we lock.
    let other = Gpg::new("taken").unwrap();
    for key in &keys {
        let locked = key.to_armor(Some("our lock"), &mut rng(10)).unwrap();
        other.good(&["--passphrase", "our lock", "--import"], locked.as_bytes());
        let sealed = encrypt::to_recipient(key.certificate(), b"to gpg", at, &mut rng(11)).unwrap();
        let opened = other.good(&["--passphrase", "our lock", "--decrypt"], &sealed);
        assert_eq!(opened, b"to gpg");
    }
    // Without the primary key there is nothing that could sign: it is refused, not half taken.
    let export = ["--export-secret-subkeys", "--armor"];
    let subkeys = gpg.good(&[&lock[..], &export].concat(), b"");
    assert!(open(&subkeys, "their lock").is_err());
}
