//! STARTTLS over memory pipes, with a real handshake (RFC 3501 6.2.1).

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{Server, serve};
use super::transcripts::{Alice, new_account, now};
use crate::starttls::testing::{localhost, pair};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says lines and hears the answer to the last, up to its tag.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, said: &str) -> String {
    stream.write_all(said.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let last = said.trim_end().lines().last().unwrap();
    let tag = last.split(' ').next().unwrap().to_owned() + " ";
    let mut heard = String::new();
    loop {
        let before = heard.len();
        let read = timeout(PATIENCE, stream.read_line(&mut heard));
        let read = read.await.expect("the server is silent").unwrap();
        if read == 0 || heard[before..].starts_with(&tag) {
            return heard;
        }
    }
}

async fn client(server: Server<Alice>) -> (BufReader<DuplexStream>, String) {
    let (near, far) = duplex(4096);
    TaskTracker::new().spawn(async move {
        // A client that hangs up is no failure of the test.
        let _gone = serve(&server, far, &CancellationToken::new()).await;
    });
    let mut client = BufReader::new(near);
    let mut greeting = String::new();
    client.read_line(&mut greeting).await.unwrap();
    (client, greeting)
}

#[tokio::test]
async fn nothing_said_before_the_handshake_counts_after_it() {
    let (config, connector) = pair();
    let server = Server::new(Alice::new(new_account().await), now).with_tls(config);
    let (mut plain, greeting) = client(server).await;
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 STARTTLS "));
    let offer = ask(&mut plain, "a CAPABILITY\r\n").await;
    assert!(offer.contains(" STARTTLS "), "{offer}");
    // Behind STARTTLS: a whole command, and the beginning of one that would swallow the next.
    let injected = "b STARTTLS\r\nc LOGIN alice sesame\r\nd LOGIN {40+}\r\n";
    plain.write_all(injected.as_bytes()).await.unwrap();
    let mut heard = String::new();
    plain.read_line(&mut heard).await.unwrap();
    assert_eq!(heard, "b OK Shake hands\r\n");
    let stream = connector.connect(localhost(), plain.into_inner()).await;
    let mut tls = BufReader::new(stream.unwrap());
    let heard = ask(&mut tls, "e CAPABILITY\r\n").await;
    assert!(
        heard.starts_with("* CAPABILITY IMAP4rev1 LITERAL- "),
        "{heard}"
    );
    assert!(heard.ends_with("\r\ne OK CAPABILITY done\r\n"), "{heard}");
    assert_eq!(heard.lines().count(), 2, "{heard}");
    let heard = ask(&mut tls, "f SELECT INBOX\r\n").await;
    assert_eq!(heard, "f BAD Log in first\r\n");
    let heard = ask(&mut tls, "g STARTTLS\r\n").await;
    assert_eq!(heard, "g BAD TLS protects this already\r\n");
    let heard = ask(&mut tls, "h LOGIN alice sesame\r\n").await;
    assert!(
        heard.starts_with("h OK [CAPABILITY IMAP4rev1 LITERAL+ "),
        "{heard}"
    );
    let heard = ask(&mut tls, "i SELECT INBOX\r\n").await;
    assert!(
        heard.ends_with("i OK [READ-WRITE] SELECT done\r\n"),
        "{heard}"
    );
    let heard = ask(&mut tls, "j LOGOUT\r\n").await;
    assert!(heard.ends_with("j OK LOGOUT done\r\n"), "{heard}");
    // The end is said too, so that nobody on the way can cut the conversation short unseen.
    assert_eq!(tls.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn it_stays_a_choice_and_is_none_after_login() {
    let (config, _) = pair();
    let server = Server::new(Alice::new(new_account().await), now).with_tls(config);
    let (mut plain, _) = client(server).await;
    let heard = ask(&mut plain, "a STARTTLS now\r\n").await;
    assert!(heard.starts_with("a BAD "), "{heard}");
    let heard = ask(&mut plain, "b LOGIN alice sesame\r\n").await;
    assert!(heard.starts_with("b OK "), "{heard}");
    assert!(!heard.contains("STARTTLS"), "{heard}");
    let heard = ask(&mut plain, "c STARTTLS\r\n").await;
    assert_eq!(heard, "c BAD Already logged in\r\n");
    assert!(
        ask(&mut plain, "d NOOP\r\n")
            .await
            .ends_with("d OK NOOP done\r\n")
    );
}

#[tokio::test]
async fn without_a_certificate_it_is_not_offered() {
    let (mut plain, greeting) = client(Server::new(Alice::new(new_account().await), now)).await;
    assert!(!greeting.contains("STARTTLS"));
    let heard = ask(&mut plain, "a STARTTLS\r\n").await;
    assert_eq!(heard, "a BAD STARTTLS is not offered\r\n");
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_left() {
    let (config, _) = pair();
    let server = Server::new(Alice::new(new_account().await), now).with_tls(config);
    let (mut near, far) = duplex(4096);
    let shutdown = CancellationToken::new();
    let serving = serve(&server, far, &shutdown);
    let said = async {
        near.write_all(b"a STARTTLS\r\n").await.unwrap();
        let mut heard = String::new();
        let mut near = BufReader::new(near);
        while !heard.ends_with("a OK Shake hands\r\n") {
            near.read_line(&mut heard).await.unwrap();
        }
        near.write_all(b"b LOGIN alice sesame\r\n").await.unwrap();
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        assert!(!rest.starts_with(b"b "), "{rest:?}");
    };
    let (end, ()) = tokio::join!(serving, said);
    assert!(end.is_err());
}
