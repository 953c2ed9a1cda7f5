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
async fn a_shutdown_says_bye() {
    let account = new_account().await;
    let (mut near, far) = tokio::io::duplex(4096);
    let server = Server::new(Alice(account), now);
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
    let server = Server::new(Alice(Arc::clone(account)), now);
    TaskTracker::new().spawn(async move {
        // The pipe breaks at the end of the test.
        let _gone = serve(&server, far, &CancellationToken::new()).await;
    });
    near
}
