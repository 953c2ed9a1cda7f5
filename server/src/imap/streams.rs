//! Large messages and slow readers: octets come back as they went in, and nothing piles up.

use std::sync::Arc;
use std::time::Duration;

use letterlock_core::account::Account;
use letterlock_core::id::MailboxName;
use letterlock_core::model::FlagSet;
use letterlock_core::store::MemoryStore;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conn::{Server, serve};
use super::transcripts::{Alice, new_account, now};

#[tokio::test]
async fn a_large_message_comes_back_octet_for_octet() {
    let account = new_account().await;
    let mut pipe = connect(&account);
    let mut message = vec![0; 3_000_000];
    // Every octet, NUL and bare line ends among them.
    StdRng::seed_from_u64(1).fill_bytes(&mut message);
    pipe.write_all(b"a LOGIN alice sesame\r\n").await.unwrap();
    pipe.write_all(format!("b APPEND INBOX {{{}+}}\r\n", message.len()).as_bytes())
        .await
        .unwrap();
    pipe.write_all(&message).await.unwrap();
    pipe.write_all(b"\r\nc EXAMINE INBOX\r\nd FETCH 1 BODY[]\r\ne LOGOUT\r\n")
        .await
        .unwrap();
    let mut heard = Vec::new();
    pipe.read_to_end(&mut heard).await.unwrap();
    let mark = format!("BODY[] {{{}}}\r\n", message.len()).into_bytes();
    let at = heard
        .windows(mark.len())
        .position(|window| window == mark)
        .unwrap()
        + mark.len();
    assert!(heard[at..].starts_with(&message));
    assert!(heard[at + message.len()..].starts_with(b")\r\nd OK"));
}

#[tokio::test]
async fn what_is_read_ahead_comes_whole_and_in_its_turn() {
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    let mut expected = Vec::new();
    for number in 1..=40_u8 {
        let message = vec![b'0' + number % 10; 30_000 * usize::from(number % 4 + 1)];
        let appended = account.append(inbox, &message, FlagSet::new(), now(), now());
        appended.await.unwrap();
        let head = format!("* {number} FETCH (BODY[] {{{}}}\r\n", message.len());
        expected.extend_from_slice(&[head.as_bytes(), &message, b")\r\n"].concat());
    }
    expected.extend_from_slice(b"c OK FETCH done\r\n");
    let mut pipe = connect(&account);
    pipe.write_all(
        b"a LOGIN alice sesame\r\nb SELECT INBOX\r\nc FETCH 1:* BODY.PEEK[]\r\nd LOGOUT\r\n",
    )
    .await
    .unwrap();
    let mut heard = Vec::new();
    pipe.read_to_end(&mut heard).await.unwrap();
    let at = heard
        .windows(11)
        .position(|window| window == b"* 1 FETCH (")
        .unwrap();
    assert!(heard[at..].starts_with(&expected));
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_no_more_than_one_step() {
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    for _ in 0..30 {
        let message = vec![b'x'; 200_000];
        account
            .append(inbox, &message, FlagSet::new(), now(), now())
            .await
            .unwrap();
    }
    let mut pipe = connect(&account);
    let unseen = || account.mailbox(&MailboxName::inbox()).unwrap().unseen;
    pipe.write_all(b"a LOGIN alice sesame\r\nb SELECT INBOX\r\nc FETCH 1:* BODY[]\r\n")
        .await
        .unwrap();
    let mut subscription = account.subscribe();
    // Waits for the first step, then for a second one, which must not come.
    subscription.changed().await;
    let more = tokio::time::timeout(Duration::from_millis(300), async {
        while unseen() >= 28 {
            subscription.changed().await;
        }
    });
    assert!(more.await.is_err(), "{} are unseen", unseen());
    // Once it reads, it gets all of them.
    pipe.write_all(b"d LOGOUT\r\n").await.unwrap();
    let mut heard = Vec::new();
    pipe.read_to_end(&mut heard).await.unwrap();
    assert!(heard.len() > 30 * 200_000);
    assert_eq!(unseen(), 0);
}

#[tokio::test]
async fn parts_of_a_large_message_come_piece_by_piece() {
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    // Two leaves of several contents each, their ends not at the ends of contents.
    let (first, second) = (vec![b'a'; 2_500_001], vec![b'b'; 1_300_000]);
    let start = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n";
    let message = [
        &start[..],
        &first,
        b"\r\n--x\r\n\r\n",
        &second,
        b"\r\n--x--\r\n",
    ]
    .concat();
    account
        .append(inbox, &message, FlagSet::new(), now(), now())
        .await
        .unwrap();
    let mut pipe = connect(&account);
    pipe.write_all(b"a LOGIN alice sesame\r\nb EXAMINE INBOX\r\n")
        .await
        .unwrap();
    let asked = b"c FETCH 1 (UID BODY[1] BODY[2]<1000.1200000> FLAGS)\r\nd LOGOUT\r\n";
    pipe.write_all(asked).await.unwrap();
    let mut heard = Vec::new();
    pipe.read_to_end(&mut heard).await.unwrap();
    let expected = [
        b"* 1 FETCH (UID 1 BODY[1] {2500001}\r\n".as_slice(),
        &first,
        b" BODY[2]<1000> {1200000}\r\n",
        &second[1000..1_201_000],
        b" FLAGS (\\Recent))\r\nc OK FETCH done\r\n",
    ]
    .concat();
    let at = heard.len() - expected.len() - "* BYE Until next time\r\nd OK LOGOUT done\r\n".len();
    assert!(heard[at..].starts_with(&expected));
}

#[tokio::test]
async fn an_append_that_breaks_off_leaves_nothing() {
    let account = new_account().await;
    let mut pipe = connect(&account);
    pipe.write_all(b"a LOGIN alice sesame\r\nb APPEND INBOX {3+}\r\none {9000000+}\r\n")
        .await
        .unwrap();
    pipe.write_all(&vec![b'x'; 5_000_000]).await.unwrap();
    drop(pipe);
    // Whoever comes next finds nothing of it, and what was written is garbage.
    let mut pipe = connect(&account);
    pipe.write_all(b"a LOGIN alice sesame\r\nb STATUS INBOX (MESSAGES)\r\nc LOGOUT\r\n")
        .await
        .unwrap();
    let mut heard = String::new();
    pipe.read_to_string(&mut heard).await.unwrap();
    assert!(heard.contains("* STATUS INBOX (MESSAGES 0)\r\n"), "{heard}");
    assert_eq!(account.check().await.unwrap().findings, []);
    account.collect_all(now(), 1000).await.unwrap();
    assert_eq!(account.check().await.unwrap().contents, 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_one_large_body() {
    let account = new_account().await;
    let inbox = account.mailbox(&MailboxName::inbox()).unwrap().id;
    for _ in 0..3 {
        let message = vec![b'x'; 5_000_000];
        account
            .append(inbox, &message, FlagSet::new(), now(), now())
            .await
            .unwrap();
    }
    let mut pipe = connect(&account);
    let unseen = || account.mailbox(&MailboxName::inbox()).unwrap().unseen;
    pipe.write_all(b"a LOGIN alice sesame\r\nb SELECT INBOX\r\nc FETCH 1:* BODY[]\r\n")
        .await
        .unwrap();
    let mut subscription = account.subscribe();
    subscription.changed().await;
    let more = tokio::time::timeout(Duration::from_millis(200), subscription.changed());
    assert!(more.await.is_err(), "{} are unseen", unseen());
    assert_eq!(unseen(), 2);
    pipe.write_all(b"d LOGOUT\r\n").await.unwrap();
    let mut heard = Vec::new();
    pipe.read_to_end(&mut heard).await.unwrap();
    assert!(heard.len() > 3 * 5_000_000);
    assert_eq!(unseen(), 0);
}

#[tokio::test]
async fn a_password_that_is_taken_back_ends_its_sessions() {
    let revoked = CancellationToken::new();
    let mut alice = Alice::new(new_account().await);
    alice.1 = revoked.clone();
    let (mut near, far) = tokio::io::duplex(4096);
    TaskTracker::new().spawn(async move {
        let server = Server::new(alice, now);
        // It ends with the conversation.
        let _gone = serve(&server, far, &CancellationToken::new()).await;
    });
    near.write_all(b"a LOGIN alice sesame\r\nb IDLE\r\n")
        .await
        .unwrap();
    let mut heard = vec![0; 4096];
    let mut text = String::new();
    while !text.contains("+ idling") {
        let read = near.read(&mut heard).await.unwrap();
        text.push_str(&String::from_utf8_lossy(&heard[..read]));
    }
    revoked.cancel();
    let mut rest = String::new();
    near.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "* BYE This app password was removed\r\n");
}

#[tokio::test]
async fn a_client_that_never_reads_is_left() {
    let alice = Alice::new(new_account().await);
    let server = Server::new(alice, now).leaving_after(Duration::from_millis(50));
    let (mut near, far) = tokio::io::duplex(256);
    // Half open: it may have gone without a word.
    let serving = TaskTracker::new().spawn(async move {
        let shutdown = CancellationToken::new();
        serve(&server, far, &shutdown).await
    });
    near.write_all(b"a LOGIN alice sesame\r\nb LIST \"\" *\r\nc LIST \"\" *\r\n")
        .await
        .unwrap();
    let outcome = serving.await.unwrap();
    assert_eq!(outcome.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_shutdown_says_bye() {
    let account = new_account().await;
    let (mut near, far) = tokio::io::duplex(4096);
    let server = Server::new(Alice::new(account), now);
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    serve(&server, far, &shutdown).await.unwrap();
    let mut heard = String::new();
    near.read_to_string(&mut heard).await.unwrap();
    assert!(
        heard.ends_with("* BYE Letterlock is shutting down\r\n"),
        "{heard}"
    );
}

fn connect(account: &Arc<Account<MemoryStore>>) -> DuplexStream {
    let (near, far) = tokio::io::duplex(4096);
    let server = Server::new(Alice::new(Arc::clone(account)), now);
    TaskTracker::new().spawn(async move {
        // The pipe breaks at the end of the test.
        let _gone = serve(&server, far, &CancellationToken::new()).await;
    });
    near
}
