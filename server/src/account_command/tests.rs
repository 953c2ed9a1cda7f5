//! The commands against the real provider and a demo that runs.

use super::*;
use crate::demo::{DataPlace, Demo, Options, ReadyAccount};

pub(super) async fn demo(folder: &Path) -> Demo {
    let text = "[listen]\nweb = \"127.0.0.1:0\"\nimap = \"127.0.0.1:0\"\n\
                smtp = \"127.0.0.1:0\"\nlmtp = \"127.0.0.1:0\"\n";
    let options = Options {
        data_dir: DataPlace::Directory(folder.to_owned()),
        ready_file: None,
        config: crate::config::Config::parse(text).unwrap(),
        web_files: |_| None,
    };
    Box::pin(Demo::start(&options)).await.unwrap()
}

/// The command line as a person types it, without the program's name.
pub(super) async fn letterlock(arguments: &[&str]) -> Result<String, String> {
    use clap::Parser;
    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: AccountCommand,
    }
    let words = std::iter::once("account").chain(arguments.iter().copied());
    let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let done = Box::pin(run(line.command, &mut out)).await;
    let said = String::from_utf8(out).unwrap();
    done.map(|()| said).map_err(|error| error.to_string())
}

pub(super) fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

pub(super) fn alice(demo: &Demo) -> &ReadyAccount {
    &demo.ready.accounts[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_password_is_repaired_on_a_new_machine() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other) = (folder.path().join("data"), folder.path().join("new"));
    let running = demo(&data).await;
    let provider = running.ready.provider.clone();
    let address = alice(&running).address.clone();
    let phrase = alice(&running).recovery_phrase.clone().unwrap();
    let phrase = file(folder.path(), "phrase", &phrase.replace(' ', "\n"));
    let new = file(folder.path(), "new-password", "a new one\n");
    let other_dir = other.display().to_string();
    let wrong = RecoveryPhrase::generate(&mut OsRng).words().to_string();
    let wrong = file(folder.path(), "wrong", &wrong);
    let recover = |phrase: &str| {
        let words = [
            "recover",
            &address,
            "--provider",
            &provider,
            "--data-dir",
            &other_dir,
            "--phrase-file",
            phrase,
            "--password-file",
            &new,
            "--keep-devices",
        ];
        words.map(str::to_owned)
    };
    let refused = recover(&wrong);
    let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
    let said = letterlock(&refused).await.unwrap_err();
    assert_eq!(said, "the address or the recovery phrase is wrong");
    let words = recover(&phrase);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = letterlock(&words).await.unwrap();
    assert!(said.contains("The new password holds."), "{said}");
    let password = alice(&running).password.clone();
    running.stop().await;
    // All mail and the key are here, as on the first device.
    let first = messages(&data, &address, &password).await;
    let second = messages(&other, &address, "a new one").await;
    assert!(second.len() >= 12, "{said}");
    assert_eq!(first, second);
}

/// What an account of a data directory has: the hash of each message, and of its key.
async fn messages(data_dir: &Path, address: &str, password: &str) -> Vec<String> {
    let address = Address::new(address).unwrap();
    let folder = crate::bridge::offline::account_folder(data_dir, &address);
    let now = crate::clock::now();
    let account = crate::bridge::offline::unlock_offline(&folder, password, now);
    let account = Box::pin(account).await.unwrap().unwrap();
    let key = account.own_keys().await.unwrap()[0].fingerprint();
    let mut all = vec![format!("key {key:?}")];
    for mailbox in account.all_mailboxes() {
        for placement in mailbox.messages() {
            let message = mailbox.message(placement.uid).await.unwrap().unwrap();
            let octets = message.raw().await.unwrap().len();
            all.push(format!("{} {octets}", message.id()));
        }
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_phrase_devices_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let running = demo(&data).await;
    let dir = data.display().to_string();
    let address = alice(&running).address.clone();
    let old = file(folder.path(), "old", &alice(&running).password);
    let new = file(folder.path(), "new", "a new one");
    let whose = ["--account", &address, "--data-dir", &dir, "--password-file"];
    let with = |words: &[&str], password: &str, more: &[&str]| {
        let all = [words, &whose, &[password], more].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let said = async |words: Vec<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        letterlock(&words).await
    };
    let status = said(with(&["status"], &old, &[])).await.unwrap();
    assert!(
        status.contains("this device") && status.contains("a recovery phrase is set"),
        "{status}"
    );
    assert_eq!(status.matches("last seen").count(), 1, "{status}");
    // The demo's phrase is right, and a new one ends it.
    let first = alice(&running).recovery_phrase.clone().unwrap();
    let first = file(folder.path(), "first", &first);
    let check = |phrase: &str| with(&["check-phrase"], &old, &["--phrase-file", phrase]);
    said(check(&first)).await.unwrap();
    let printed = said(with(&["new-phrase"], &old, &[])).await.unwrap();
    let words = printed.split("\n\n").nth(1).unwrap();
    let second = file(folder.path(), "second", words);
    said(check(&second)).await.unwrap();
    assert!(
        said(check(&first))
            .await
            .unwrap_err()
            .contains("recovery phrase is wrong")
    );
    // The password: the wrong one changes nothing, the new one opens what is here.
    let change = |password: &str| with(&["password"], password, &["--new-password-file", &new]);
    let refused = said(change(&new)).await.unwrap_err();
    assert_eq!(refused, "the address or the password is wrong");
    said(change(&old)).await.unwrap();
    let unlock = Unlock::read(&data.join("bridge").join(&address))
        .unwrap()
        .unwrap();
    let id = unlock.account_id().unwrap();
    assert!(unlock.wrap.open("a new one", id).is_ok());
    assert!(unlock.wrap.open(&alice(&running).password, id).is_err());
    let status = said(with(&["status"], &new, &[])).await.unwrap();
    assert_eq!(
        status.matches("last seen").count(),
        1,
        "this device stays: {status}"
    );
    assert!(
        said(with(&["remove-device", "no such"], &new, &[]))
            .await
            .is_err()
    );
    running.stop().await;
    the_account_ends(&data, &with(&["delete"], &new, &[])).await;
}

async fn the_account_ends(data: &Path, delete: &[String]) {
    let dir = data.display().to_string();
    let said = async |more: &[&str]| {
        let words = delete.iter().map(String::as_str);
        letterlock(&words.chain(more.iter().copied()).collect::<Vec<_>>()).await
    };
    // The next start uses the new password, and is logged in.
    let running = demo(data).await;
    let address = alice(&running).address.clone();
    assert_eq!(alice(&running).password, "a new one");
    assert!(said(&[]).await.unwrap_err().contains("not confirmed"));
    let ended = said(&["--yes"]).await.unwrap();
    assert!(
        ended.contains("has ended") && ended.contains("letterlock account forget"),
        "{ended}"
    );
    running.stop().await;
    let forget = ["forget", "--yes", "--account", &address, "--data-dir", &dir];
    let said = letterlock(&forget).await.unwrap();
    assert!(said.contains("Removed from this device"), "{said}");
    assert!(!data.join("bridge").join(&address).exists());
}
