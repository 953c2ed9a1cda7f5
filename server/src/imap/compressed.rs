//! COMPRESS=DEFLATE over a memory pipe, with both sides compressing (RFC 4978).

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::compress::Deflate;
use super::conn::{Server, serve};
use super::transcripts::{Alice, new_account, now};

async fn client() -> DuplexStream {
    let (near, far) = tokio::io::duplex(4096);
    let server = Server::new(Alice::new(new_account().await), now);
    TaskTracker::new().spawn(async move {
        // The pipe breaks at the end of the test.
        let _gone = serve(&server, far, &CancellationToken::new()).await;
    });
    near
}

/// Reads plain text up to a mark.
async fn find(pipe: &mut DuplexStream, mark: &str) {
    let mut seen = Vec::new();
    while !seen.ends_with(mark.as_bytes()) {
        seen.push(pipe.read_u8().await.unwrap());
    }
}

/// Reads compressed text until the mark is in it.
async fn hear(pipe: &mut DuplexStream, deflate: &mut Deflate, mark: &str) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 1000];
    loop {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if text.contains(mark) {
            return text;
        }
        let read = pipe.read(&mut buffer).await.unwrap();
        assert!(read > 0, "{text}");
        deflate.feed(&buffer[..read]);
        loop {
            let plain = deflate.inflate().unwrap();
            if plain.is_empty() {
                break;
            }
            heard.extend(plain);
        }
    }
}

#[tokio::test]
async fn a_conversation_goes_on_compressed() {
    let mut pipe = client().await;
    let mut deflate = Deflate::default();
    // Strangers cannot ask for it, nor can anybody for another algorithm.
    pipe.write_all(b"a COMPRESS DEFLATE\r\nb LOGIN alice sesame\r\nc COMPRESS ROT13\r\n")
        .await
        .unwrap();
    find(&mut pipe, "\r\na BAD Log in first\r\n").await;
    find(&mut pipe, "\r\nc BAD only DEFLATE is known\r\n").await;
    pipe.write_all(b"d COMPRESS DEFLATE\r\n").await.unwrap();
    find(&mut pipe, "d OK DEFLATE begins\r\n").await;
    let message = "x".repeat(2_000_000);
    let said = format!("e APPEND INBOX {{2000000+}}\r\n{message}\r\nf EXAMINE INBOX\r\n");
    let packed = deflate.deflate(said.as_bytes()).unwrap();
    assert!(packed.len() < 20_000);
    pipe.write_all(&packed).await.unwrap();
    hear(&mut pipe, &mut deflate, "f OK ").await;
    let packed = deflate
        .deflate(b"g FETCH 1 BODY[]\r\nh COMPRESS DEFLATE\r\n")
        .unwrap();
    pipe.write_all(&packed).await.unwrap();
    let heard = hear(&mut pipe, &mut deflate, "h NO ").await;
    assert!(heard.contains(&message));
    assert!(heard.contains("h NO [COMPRESSIONACTIVE] "));
    // Noise ends the connection.
    pipe.write_all(&[0xff; 64]).await.unwrap();
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).await.unwrap();
}
