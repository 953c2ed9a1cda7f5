//! `letterlock account keys` against a demo that runs: beside its bridge, and from a machine that
//! has the recovery phrase alone.

use std::path::Path;
use std::process::Command;

use letterlock_core::id::Address;
use letterlock_core::keys::Published;
use letterlock_core::openpgp::secret_certificate::{Profile, Template};
use letterlock_core::openpgp::{Certificate, SecretCertificate};
use rand::rngs::OsRng;

use super::tests::{alice, demo, file, letterlock};
use crate::bridge::provider_client::ProviderClient;
use crate::clock;

/// The account of a running demo, as commands are told of it.
struct Whose {
    address: String,
    words: Vec<String>,
}

impl Whose {
    async fn keys(&self, words: &[&str]) -> Result<String, String> {
        let first = ["keys", words[0]];
        let rest = words[1..].iter().copied();
        let whose = self.words.iter().map(String::as_str);
        let all: Vec<&str> = first.into_iter().chain(whose).chain(rest).collect();
        letterlock(&all).await
    }

    /// The fingerprints that `list` shows, with what it says of each.
    async fn list(&self) -> Vec<(String, String)> {
        let said = self.keys(&["list"]).await.unwrap();
        let lines: Vec<&str> = said.lines().collect();
        let keys = lines.chunks(3);
        keys.map(|lines| (lines[0].to_owned(), lines[1].trim().to_owned()))
            .collect()
    }
}

async fn published(provider: &str, address: &str) -> Published {
    let provider = ProviderClient::new(provider).unwrap();
    let address = Address::new(address).unwrap();
    let answer = provider.certificate(&address).await.unwrap();
    Published::parse(&answer.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_listed_rotated_taken_out_brought_in_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let running = demo(&data).await;
    let provider = running.ready.provider.clone();
    let address = alice(&running).address.clone();
    let password = file(folder.path(), "password", &alice(&running).password);
    let dir = data.display().to_string();
    let words = [
        "--account",
        &address,
        "--data-dir",
        &dir,
        "--password-file",
        &password,
    ];
    let whose = Whose {
        address: address.clone(),
        words: words.map(str::to_owned).to_vec(),
    };
    let first = whose.list().await;
    let expected = [
        "for the world; in use",
        "for this provider's users and for sealing; in use",
    ];
    assert_eq!(
        first.iter().map(|(_, state)| state).collect::<Vec<_>>(),
        expected
    );

    let said = whose.keys(&["rotate"]).await.unwrap();
    assert_eq!(said.matches("is revoked.").count(), 2, "{said}");
    assert_eq!(said.matches("is in use from now on.").count(), 2, "{said}");
    let second = whose.list().await;
    assert_eq!(second.len(), 4);
    let now = clock::now();
    let entry = published(&provider, &address).await;
    let standing = entry.certificates().iter().take(2);
    assert!(
        standing
            .into_iter()
            .all(|c| c.usable_for_encryption(now).is_ok())
    );
    assert_eq!(entry.certificates().len(), 4);

    taken_out(folder.path(), &whose).await;
    brought_in(folder.path(), &whose, &provider).await;
    let phrase = alice(&running).recovery_phrase.clone().unwrap();
    from_the_phrase(folder.path(), &whose, &provider, &phrase).await;
    running.stop().await;
}

async fn taken_out(folder: &Path, whose: &Whose) {
    let said = whose.keys(&["export"]).await.unwrap();
    assert_eq!(said.matches("BEGIN PGP PUBLIC KEY BLOCK").count(), 2);
    let refused = whose.keys(&["export", "--secret"]).await.unwrap_err();
    assert!(refused.contains("--no-passphrase"), "{refused}");
    let lock = file(folder, "lock", "ein Schlüssel\n");
    let out = folder.join("alice.asc").display().to_string();
    let export = [
        "export",
        "--secret",
        "--passphrase-file",
        &lock,
        "--output",
        &out,
    ];
    whose.keys(&export).await.unwrap();
    let refused = whose.keys(&export).await.unwrap_err();
    assert!(refused.contains("exists"), "{refused}");
    let octets = std::fs::read(&out).unwrap();
    assert!(SecretCertificate::parse_export(&octets, &[]).is_err());
    let both = SecretCertificate::parse_export(&octets, &["ein Schlüssel"]).unwrap();
    assert_eq!(both.len(), 2);
    let clear = whose
        .keys(&["export", "--secret", "--no-passphrase"])
        .await
        .unwrap();
    let clear = SecretCertificate::parse_export(clear.as_bytes(), &[]).unwrap();
    assert_eq!(clear.len(), 2);
    // The one for the world is what gpg reads.
    let first = whose.list().await.remove(0).0;
    let one = folder.join("world.asc").display().to_string();
    let lock = ["--passphrase-file", &lock, "--output", &one];
    let export = [&["export", &first, "--secret"], &lock[..]].concat();
    whose.keys(&export).await.unwrap();
    let Some(gpg) = gpg(&folder.join("gpg-of-ours")) else {
        return;
    };
    gpg(&["--passphrase", "ein Schlüssel", "--import", &one]);
    assert!(gpg(&["--list-secret-keys", "--with-colons"]).contains(&first));
}

async fn brought_in(folder: &Path, whose: &Whose, provider: &str) {
    let lock = file(folder, "their-lock", "their passphrase\n");
    // As gpg exports it, where there is one; else as a program of the same form would.
    let text = if let Some(gpg) = gpg(&folder.join("gpg-of-theirs")) {
        let pass = ["--passphrase", "their passphrase"];
        let make = [
            "--quick-generate-key",
            &whose.address,
            "future-default",
            "default",
            "none",
        ];
        gpg(&[&pass[..], &make].concat());
        let export = ["--export-secret-keys", "--armor", &whose.address];
        gpg(&[&pass[..], &["--export-options", "export-minimal"], &export].concat())
    } else {
        let address = Address::new(&whose.address).unwrap();
        let now = clock::now();
        let key = Template::new(Profile::World, &address, None, now).unwrap();
        let key = key.generate(&mut OsRng).unwrap();
        key.to_armor(Some("their passphrase"), &mut OsRng)
            .unwrap()
            .to_string()
    };
    let brought = SecretCertificate::parse_export(text.as_bytes(), &["their passphrase"]);
    let wanted = brought.unwrap().pop().unwrap().fingerprint().to_string();
    let path = file(folder, "theirs.asc", &text);
    let refused = whose.keys(&["import", &path]).await.unwrap_err();
    assert!(refused.contains("locked with a passphrase"), "{refused}");
    let import = ["import", &path, "--passphrase-file", &lock, "--use"];
    let said = whose.keys(&import).await.unwrap();
    assert!(
        said.contains(&format!("{wanted} is in use from now on.")),
        "{said}"
    );
    let entry = published(provider, &whose.address).await;
    assert_eq!(entry.certificates()[0].fingerprint().to_string(), wanted);
}

async fn from_the_phrase(folder: &Path, whose: &Whose, provider: &str, phrase: &str) {
    let used = whose.list().await;
    let [used, ..] = &used
        .iter()
        .filter(|(_, state)| state.ends_with("in use"))
        .collect::<Vec<_>>()[..]
    else {
        panic!("one is in use");
    };
    let phrase = file(folder, "phrase", phrase);
    let new = file(folder, "new", "a new one\n");
    let empty = folder.join("empty").display().to_string();
    let words = [
        "keys",
        "revoke",
        &used.0[..16],
        "--reason",
        "compromised",
        "--explanation",
        "a laptop was stolen",
        "--phrase-file",
        &phrase,
        "--new-password-file",
        &new,
        "--recover",
        &whose.address,
        "--provider",
        provider,
        "--data-dir",
        &empty,
    ];
    let said = letterlock(&words).await.unwrap();
    assert!(said.contains(&format!("{} is revoked.", used.0)), "{said}");
    assert!(said.contains("is in use from now on."), "{said}");
    let entry = published(provider, &whose.address).await;
    let stolen = |c: &&Certificate| c.fingerprint().to_string() == used.0;
    let stolen = entry.certificates().iter().find(stolen).unwrap();
    let state = stolen.usable_for_encryption(clock::now());
    assert_eq!(
        state,
        Err(letterlock_core::openpgp::policy::Unusable::Revoked)
    );
    assert!(entry.for_sealing(clock::now()).is_some());
}

/// Runs `gpg` over a keyring in this folder; `None` without it.
fn gpg(home: &Path) -> Option<impl Fn(&[&str]) -> String + use<>> {
    if Command::new("gpg").arg("--version").output().is_err() {
        println!("gpg is not installed: skipped");
        return None;
    }
    std::fs::create_dir_all(home).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(home, private).unwrap();
    let home = home.to_owned();
    Some(move |arguments: &[&str]| {
        let output = Command::new("gpg")
            .env("GNUPGHOME", &home)
            .args([
                "--batch",
                "--no-tty",
                "--yes",
                "--pinentry-mode",
                "loopback",
            ])
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}
