//! Transcripts, run against the real session over memory pipes.
//!
//! `C:` is a line the client sends (CRLF added), `S:` a line the server must answer.

use std::sync::Mutex;

use letterlock_core::id::Address;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_util::sync::CancellationToken;

use crate::smtp::conn::{Admitted, Handler, run};
use crate::smtp::data::Message;
use crate::smtp::reply::Refusal;
use crate::smtp::{Credentials, Envelope, Policy, Protocol};
use crate::starttls::Protection;

/// Takes mail for `alice@`, `bob@` and `full@letterlock.example`; the last has no room for it.
#[derive(Default)]
struct Recorder {
    delivered: Mutex<Vec<(Envelope, Vec<u8>)>>,
    revoked: CancellationToken,
}

impl Handler for Recorder {
    async fn authenticate(&self, credentials: Credentials) -> Result<Option<Admitted>, Refusal> {
        match (credentials.username.as_str(), credentials.password.as_str()) {
            ("alice@letterlock.example", "open sesame") => Ok(Some(Admitted {
                address: address("alice@letterlock.example"),
                revoked: self.revoked.clone(),
            })),
            ("broken@letterlock.example", _) => Err(Refusal::Unavailable),
            _ => Ok(None),
        }
    }

    async fn check_recipient(&self, recipient: &Address) -> Result<(), Refusal> {
        match recipient.as_str() {
            "nobody@letterlock.example" => Err(Refusal::UnknownRecipient),
            other if other.ends_with("@elsewhere.example") => Err(Refusal::NotLocal),
            _ => Ok(()),
        }
    }

    async fn deliver(&self, envelope: Envelope, message: Message) -> Vec<Result<(), Refusal>> {
        let results = envelope
            .forward_paths
            .iter()
            .map(|path| match path.local_part() {
                "full" => Err(Refusal::MailboxFull),
                _ => Ok(()),
            })
            .collect();
        let mut delivered = self.delivered.lock().unwrap();
        delivered.push((envelope, message.as_bytes().to_vec()));
        results
    }
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn policy(protocol: Protocol) -> Policy {
    Policy {
        protocol,
        host_name: "mx.letterlock.example".to_owned(),
        domain: "letterlock.example".to_owned(),
        max_message_octets: 1000,
        tls: None,
        protection: Protection::Local,
    }
}

#[tokio::test]
async fn a_password_that_is_taken_back_ends_its_sessions() {
    let recorder = Recorder::default();
    let shutdown = CancellationToken::new();
    let (mut client, server) = duplex(4096);
    let policy = policy(Protocol::Submission);
    let serving = run(server, None, policy, &recorder, &shutdown);
    let talking = async {
        // "\0alice@letterlock.example\0open sesame", and a message that is begun.
        let commands =
            b"EHLO me\r\nAUTH PLAIN AGFsaWNlQGxldHRlcmxvY2suZXhhbXBsZQBvcGVuIHNlc2FtZQ==\r\n\
            MAIL FROM:<alice@letterlock.example>\r\nRCPT TO:<bob@letterlock.example>\r\nDATA\r\n";
        client.write_all(commands).await.unwrap();
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains("354 ") {
            assert!(client.read_buf(&mut said).await.unwrap() > 0);
        }
        client.write_all(b"Subject: too late\r\n").await.unwrap();
        recorder.revoked.cancel();
        client.read_to_end(&mut said).await.unwrap();
        String::from_utf8(said).unwrap()
    };
    let (outcome, said) = tokio::join!(serving, talking);
    outcome.unwrap();
    assert!(
        said.ends_with("421 4.7.0 The password was taken back\r\n"),
        "{said}"
    );
    assert!(recorder.delivered.lock().unwrap().is_empty());
}

/// Sends `pieces` one by one and returns all that the server said and what was delivered.
async fn talk(protocol: Protocol, pieces: &[&[u8]]) -> (String, Vec<(Envelope, Vec<u8>)>) {
    let (mut client, server) = duplex(64);
    let recorder = Recorder::default();
    let shutdown = CancellationToken::new();
    let client_side = async {
        let mut said = Vec::new();
        let (mut read, mut write) = tokio::io::split(&mut client);
        let send = async {
            for piece in pieces {
                if write.write_all(piece).await.is_err() || write.flush().await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let _closed = write.shutdown().await;
        };
        let ((), read) = tokio::join!(send, read.read_to_end(&mut said));
        read.unwrap();
        String::from_utf8(said).unwrap()
    };
    let server_side = async {
        let _result = run(server, None, policy(protocol), &recorder, &shutdown).await;
    };
    let (said, ()) = tokio::join!(client_side, server_side);
    (said, recorder.delivered.into_inner().unwrap())
}

async fn transcript(protocol: Protocol, text: &str) -> Vec<(Envelope, Vec<u8>)> {
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>();
    let sent = lines
        .iter()
        .filter_map(|line| line.strip_prefix("C:"))
        .map(|line| [line.strip_prefix(' ').unwrap_or(line), "\r\n"].concat())
        .collect::<Vec<_>>()
        .concat();
    let expected = lines
        .iter()
        .filter_map(|line| line.strip_prefix("S: "))
        .map(|line| [line, "\r\n"].concat())
        .collect::<Vec<_>>()
        .concat();
    let (said, delivered) = talk(protocol, &[sent.as_bytes()]).await;
    assert_eq!(said, expected);
    delivered
}

#[tokio::test]
async fn lmtp_answers_each_recipient() {
    let delivered = transcript(
        Protocol::Lmtp,
        "S: 220 mx.letterlock.example LMTP Letterlock
         C: LHLO client.example
         S: 250-mx.letterlock.example
         S: 250-PIPELINING
         S: 250-SIZE 1000
         S: 250-8BITMIME
         S: 250-ENHANCEDSTATUSCODES
         S: 250 SMTPUTF8
         C: MAIL FROM:<carol@elsewhere.example> SIZE=20
         S: 250 2.1.0 Sender OK
         C: RCPT TO:<alice@letterlock.example>
         S: 250 2.1.5 Recipient OK
         C: RCPT TO:<nobody@letterlock.example>
         S: 550 5.1.1 No such recipient here
         C: RCPT TO:<full@letterlock.example>
         S: 250 2.1.5 Recipient OK
         C: RCPT TO:<Alice@LETTERLOCK.example>
         S: 250 2.1.5 Recipient OK
         C: DATA
         S: 354 End the message with <CRLF>.<CRLF>
         C: Subject: x
         C:
         C: ..dot
         C: .
         S: 250 2.0.0 Stored
         S: 452 4.2.2 The mailbox is full
         S: 250 2.0.0 Stored
         C: QUIT
         S: 221 2.0.0 Goodbye",
    )
    .await;
    let [(envelope, message)] = &delivered[..] else {
        panic!("one delivery")
    };
    assert_eq!(message, b"Subject: x\r\n\r\n.dot\r\n");
    assert_eq!(envelope.forward_paths.len(), 2, "each address once");
    assert_eq!(envelope.client_name, "client.example");
}

#[tokio::test]
async fn lmtp_keeps_to_its_sequence() {
    let delivered = transcript(
        Protocol::Lmtp,
        "S: 220 mx.letterlock.example LMTP Letterlock
         C: MAIL FROM:<>
         S: 503 5.5.1 Bad sequence of commands
         C: EHLO client.example
         S: 500 5.5.1 This is LMTP: say LHLO
         C: HELO client.example
         S: 500 5.5.1 This is LMTP: say LHLO
         C: LHLO [127.0.0.1]
         S: 250-mx.letterlock.example
         S: 250-PIPELINING
         S: 250-SIZE 1000
         S: 250-8BITMIME
         S: 250-ENHANCEDSTATUSCODES
         S: 250 SMTPUTF8
         C: MAIL FROM:<> SIZE=1001
         S: 552 5.3.4 The message is too large
         C: RCPT TO:<alice@letterlock.example>
         S: 503 5.5.1 Bad sequence of commands
         C: MAIL FROM:<>
         S: 250 2.1.0 Sender OK
         C: MAIL FROM:<>
         S: 503 5.5.1 Bad sequence of commands
         C: RCPT TO:<dave@elsewhere.example>
         S: 550 5.7.1 Not a recipient of this server
         C: DATA
         S: 503 5.5.1 No recipient was accepted
         C: RCPT TO:<Postmaster>
         S: 250 2.1.5 Recipient OK
         C: RSET
         S: 250 2.0.0 OK
         C: RCPT TO:<alice@letterlock.example>
         S: 503 5.5.1 Bad sequence of commands
         C: AUTH PLAIN AA==
         S: 502 5.5.1 AUTH is not offered
         C: XYZZY
         S: 500 5.5.1 Unknown command
         C: MAIL FROM:<ä@b.example>
         S: 553 5.6.7 A non-ASCII address needs SMTPUTF8
         C: MAIL FROM:<ä@b.example> SMTPUTF8
         S: 250 2.1.0 Sender OK
         C: QUIT
         S: 221 2.0.0 Goodbye",
    )
    .await;
    assert!(delivered.is_empty());
}

#[tokio::test]
async fn submission_wants_a_log_in_and_the_own_address() {
    let delivered = transcript(
        Protocol::Submission,
        "S: 220 mx.letterlock.example ESMTP Letterlock
         C: EHLO laptop
         S: 250-mx.letterlock.example
         S: 250-PIPELINING
         S: 250-SIZE 1000
         S: 250-8BITMIME
         S: 250-ENHANCEDSTATUSCODES
         S: 250 AUTH PLAIN LOGIN
         C: MAIL FROM:<alice@letterlock.example>
         S: 530 5.7.0 Log in first
         C: AUTH PLAIN AGFsaWNlQGxldHRlcmxvY2suZXhhbXBsZQB3cm9uZw==
         S: 535 5.7.8 Wrong user name or password
         C: AUTH PLAIN !
         S: 501 5.5.2 Not base64
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: *
         S: 501 5.7.0 Cancelled
         C: AUTH PLAIN
         S: 334 
         C: AGJyb2tlbkBsZXR0ZXJsb2NrLmV4YW1wbGUAeA==
         S: 454 4.7.0 Temporary failure, please try again
         C: AUTH LOGIN
         S: 334 VXNlcm5hbWU6
         C: YWxpY2VAbGV0dGVybG9jay5leGFtcGxl
         S: 334 UGFzc3dvcmQ6
         C: b3BlbiBzZXNhbWU=
         S: 235 2.7.0 Welcome
         C: AUTH PLAIN
         S: 503 5.5.1 Already logged in
         C: MAIL FROM:<bob@letterlock.example>
         S: 553 5.7.1 The sender must be the address of the account that logged in
         C: MAIL FROM:<Alice@letterlock.example> BODY=8BITMIME
         S: 250 2.1.0 Sender OK
         C: RCPT TO:<bob@letterlock.example>
         S: 250 2.1.5 Recipient OK
         C: RCPT TO:<full@letterlock.example>
         S: 250 2.1.5 Recipient OK
         C: DATA
         S: 354 End the message with <CRLF>.<CRLF>
         C: .
         S: 452 4.2.2 The mailbox is full
         C: QUIT
         S: 221 2.0.0 Goodbye",
    )
    .await;
    let submitter = delivered[0].0.submitter.as_ref();
    assert_eq!(submitter, Some(&address("alice@letterlock.example")));
}

#[tokio::test]
async fn failures_are_counted() {
    let wrong = "AUTH PLAIN AGEAYg==\r\n".repeat(9);
    let (said, _) = talk(Protocol::Submission, &[b"EHLO x\r\n", wrong.as_bytes()]).await;
    assert_eq!(said.matches("535 ").count(), 5);
    assert!(said.ends_with("421 4.7.0 Too many failed log-ins, closing\r\n"));
    let nonsense = "XYZZY\r\n".repeat(30);
    let (said, _) = talk(Protocol::Lmtp, &[nonsense.as_bytes()]).await;
    assert_eq!(said.matches("500 ").count(), 20);
    assert!(said.ends_with("421 4.7.0 Too many errors, closing\r\n"));
}

const BEGIN: &str = "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<alice@letterlock.example>\r\nDATA\r\n";

#[tokio::test]
async fn nothing_is_smuggled_however_it_is_split() {
    for false_end in [
        "\n.\n",
        "\n.\r\n",
        "\r\n.\n",
        "\r.\r",
        "\r\n.\r",
        "\r.\r\n",
        "\r\n\0.\r\n",
    ] {
        let smuggled = "MAIL FROM:<evil@x>\r\nRCPT TO:<bob@letterlock.example>\r\nDATA\r\nboo";
        let all = format!("{BEGIN}Subject: a\r\n\r\nb{false_end}{smuggled}\r\n.\r\nQUIT\r\n");
        let near = BEGIN.len() + 15;
        for split in near..near + false_end.len() + 4 {
            let (first, second) = all.as_bytes().split_at(split);
            let (said, delivered) = talk(Protocol::Lmtp, &[first, second]).await;
            assert_eq!(said.matches("354 ").count(), 1, "{false_end:?} at {split}");
            assert!(
                delivered
                    .iter()
                    .all(|(e, _)| e.forward_paths == [address("alice@letterlock.example")]),
                "{false_end:?} at {split}"
            );
            if !false_end.contains('\0') {
                assert!(delivered.is_empty(), "{false_end:?} at {split}");
                assert!(said.contains("554 5.6.0 A line ends with a bare CR or LF"));
            }
            assert!(said.ends_with("221 2.0.0 Goodbye\r\n"));
        }
    }
}

#[tokio::test]
async fn command_lines_end_with_crlf_and_are_limited() {
    for bad in ["LHLO x\nMAIL FROM:<>\r\n", "LHLO x\r\r\n", "LHLO \r x\r\n"] {
        let (said, _) = talk(Protocol::Lmtp, &[bad.as_bytes(), b"QUIT\r\n"]).await;
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.ends_with("500 5.5.2 A line is too long or does not end with CRLF\r\n"));
    }
    let longest = format!("NOOP {}\r\n", "x".repeat(super::super::MAX_LINE_OCTETS - 7));
    let (said, _) = talk(Protocol::Lmtp, &[longest.as_bytes()]).await;
    assert!(said.contains("250 2.0.0 OK"));
    let longer = format!("NOOP {}\r\n", "x".repeat(super::super::MAX_LINE_OCTETS - 6));
    let (said, _) = talk(Protocol::Lmtp, &[longer.as_bytes()]).await;
    assert!(said.contains("500 5.5.2"));
    let endless = "x".repeat(20_000);
    let (said, _) = talk(Protocol::Lmtp, &[endless.as_bytes()]).await;
    assert!(said.contains("500 5.5.2"));
}

#[tokio::test]
async fn a_message_over_the_limit_is_read_and_refused() {
    let long_line = "x".repeat(1200);
    let all = format!("{BEGIN}{long_line}\r\n.\r\nQUIT\r\n");
    let (said, delivered) = talk(Protocol::Lmtp, &[all.as_bytes()]).await;
    assert!(said.contains("552 5.3.4 The message is too large\r\n221 "));
    assert!(delivered.is_empty());
    // A line over 998 octets (RFC 5321 4.5.3.1.6) is taken if the message fits.
    let all = format!("{BEGIN}{}\r\n.\r\nQUIT\r\n", "x".repeat(998 - 2));
    let (_, delivered) = talk(Protocol::Lmtp, &[all.as_bytes()]).await;
    assert_eq!(delivered.len(), 1);
}

#[tokio::test]
async fn a_message_without_its_end_is_not_delivered() {
    let all = format!("{BEGIN}Subject: cut");
    let (_, delivered) = talk(Protocol::Lmtp, &[all.as_bytes()]).await;
    assert!(delivered.is_empty());
}

#[tokio::test]
async fn shutdown_and_silence_say_421() {
    let (mut client, server) = duplex(1000);
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    let recorder = Recorder::default();
    run(server, None, policy(Protocol::Lmtp), &recorder, &shutdown)
        .await
        .unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("421 4.3.2 Shutting down\r\n"), "{said}");
}
