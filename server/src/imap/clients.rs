//! Real mail programs against the server over TCP: Python's imaplib always; curl and mbsync where
//! they are installed.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{Server, serve};
use super::transcripts::{Alice, new_account, now};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/clients");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_imaplib_reads_and_writes() {
    let port = listen().await;
    let mut command = Command::new("python3");
    command
        .arg(Path::new(DATA).join("imaplib_smoke.py"))
        .arg(port.to_string());
    let output = finished(command).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_proves_its_password() {
    let port = listen().await;
    let mut command = Command::new("python3");
    command
        .arg(Path::new(DATA).join("imaplib_scram.py"))
        .arg(port.to_string());
    let output = finished(command).await;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_lists_and_fetches() {
    let port = listen().await;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--user", "alice:sesame"])
            .args(arguments);
        finished(command).await
    };
    if Command::new("curl").arg("--version").output().is_err() {
        return;
    }
    let letter = Path::new(DATA).join("letter.eml");
    let inbox = format!("imap://127.0.0.1:{port}/INBOX");
    let put = run(&["-T", &letter.to_string_lossy(), &inbox]).await;
    assert!(
        put.status.success(),
        "{}",
        String::from_utf8_lossy(&put.stderr)
    );
    let list = run(&[&format!("imap://127.0.0.1:{port}/")]).await;
    assert!(String::from_utf8_lossy(&list.stdout).contains("\"/\" Drafts"));
    let got = run(&[&format!("{inbox};UID=1")]).await;
    assert_eq!(got.stdout, std::fs::read(letter).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mbsync_syncs_both_ways() {
    let port = listen().await;
    if Command::new("mbsync").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mail = folder.path().join("mail");
    std::fs::create_dir_all(mail.join("INBOX/cur")).unwrap();
    std::fs::create_dir_all(mail.join("INBOX/new")).unwrap();
    std::fs::create_dir_all(mail.join("INBOX/tmp")).unwrap();
    std::fs::copy(
        Path::new(DATA).join("letter.eml"),
        mail.join("INBOX/cur/1.x:2,S"),
    )
    .unwrap();
    let mail = mail.display();
    let config = format!(
        "IMAPStore far\nHost 127.0.0.1\nPort {port}\nUser alice\nPass sesame\nSSLType None\n\
         AuthMechs LOGIN\n\nMaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\n\
         SubFolders Verbatim\n\nChannel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\n\
         Expunge Both\nSyncState *\n"
    );
    let path = folder.path().join("mbsyncrc");
    std::fs::write(&path, config).unwrap();
    for _ in 0..2 {
        let mut command = Command::new("mbsync");
        command
            .arg("-c")
            .arg(&path)
            .arg("all")
            .env("HOME", folder.path());
        let output = finished(command).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
    assert!(folder.path().join("mail/Drafts").is_dir());
    let mut command = Command::new("curl");
    let inbox = format!("imap://127.0.0.1:{port}/INBOX;UID=1");
    command.args(["-s", "-u", "alice:sesame", &inbox]);
    let got = finished(command).await.stdout;
    assert!(String::from_utf8_lossy(&got).contains("Subject: A letter"));
}

/// A server on a free port, until the test ends.
async fn listen() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Arc::new(Server::new(Alice::new(new_account().await), now));
    let tasks = TaskTracker::new();
    let connections = tasks.clone();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let server = Arc::clone(&server);
            connections.spawn(async move {
                // A client that hangs up is no failure.
                let _gone = serve(&server, stream, &CancellationToken::new()).await;
            });
        }
    });
    port
}

async fn finished(mut command: Command) -> Output {
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(Duration::from_mins(1), run).await;
    output
        .expect("the program hangs")
        .unwrap()
        .expect("the program starts")
}
