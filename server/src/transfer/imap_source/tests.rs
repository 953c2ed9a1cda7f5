//! Against a server of a few lines, over TLS, that gives a long message in parts alone.

use std::io::Read as _;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::bridge::tls::{TLS_FILE, Tls};
use crate::clock;
use crate::transfer::imap_url::ImapUrl;

/// Octets of message `uid`: the third is longer than what is read at once.
fn message(uid: u32) -> Vec<u8> {
    match uid {
        2 => b"Subject: two\r\n\r\n\0 and \xff\r\n".to_vec(),
        3 => {
            let mut long = b"Subject: three\r\n\r\n".to_vec();
            while long.len() <= MAX_IN_MEMORY_OCTETS + 1000 {
                long.extend_from_slice(format!("line {}\r\n", long.len()).as_bytes());
            }
            long
        }
        _ => Vec::new(),
    }
}

/// The part of a message that a fetch asks for.
fn literal(uid: u32, items: &str) -> Vec<u8> {
    let whole = message(uid);
    let (origin, part) = if let Some((_, range)) = items.split_once("[]<") {
        let (start, rest) = range.split_once('.').unwrap();
        let start: usize = start.parse().unwrap();
        let length: usize = rest.split('>').next().unwrap().parse().unwrap();
        let end = whole.len().min(start + length);
        (format!("<{start}>"), whole[start.min(end)..end].to_vec())
    } else {
        assert!(whole.len() <= MAX_IN_MEMORY_OCTETS, "asked for at once");
        (String::new(), whole)
    };
    let head = format!(
        "* {uid} FETCH (UID {uid} BODY[]{origin} {{{}}}\r\n",
        part.len()
    );
    [head.as_bytes(), &part, b")\r\n"].concat()
}

fn answer(command: &str) -> Vec<u8> {
    let text = match command {
        _ if command.starts_with("LIST") => {
            "* LIST (\\HasNoChildren \\Sent) \".\" \"Gesendet.2024\"\r\n\
             * LIST (\\NoSelect) \".\" \"Gone\"\r\n* LIST (\\All) \".\" \"All\"\r\n"
        }
        _ if command.starts_with("STATUS") => "* STATUS \"Gesendet.2024\" (MESSAGES 3)\r\n",
        _ if command.starts_with("EXAMINE") => {
            "* 3 EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY 77] x\r\n* OK [UIDNEXT 4] x\r\n"
        }
        // The last message is named although it is not asked for.
        _ if command.starts_with("UID SEARCH") => "* SEARCH 1 2 3\r\n",
        _ => "",
    };
    let Some(fetch) = command.strip_prefix("UID FETCH ") else {
        return text.as_bytes().to_vec();
    };
    let (set, items) = fetch.split_once(' ').unwrap();
    let uids = set.split(',').map(|uid| uid.parse::<u32>().unwrap());
    uids.flat_map(|uid| {
        if items.contains("BODY.PEEK") {
            return literal(uid, items);
        }
        let size = message(uid).len();
        format!(
            "* {uid} FETCH (FLAGS (\\Seen $Kept \\Recent) UID {uid} INTERNALDATE \
             \" 1-Feb-2024 10:00:00 +0100\" RFC822.SIZE {size})\r\n"
        )
        .into_bytes()
    })
    .collect()
}

/// Serves one connection.
async fn serve(listener: TcpListener, tls: Tls) {
    let (stream, _) = listener.accept().await.unwrap();
    let Ok(stream) = TlsAcceptor::from(tls.config()).accept(stream).await else {
        return;
    };
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"* OK hello\r\n").await.unwrap();
    converse(stream).await;
}

/// Serves one connection that begins without TLS, and sends more than it may before TLS.
async fn serve_upgraded(listener: TcpListener, tls: Tls, offers: bool) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"* OK hello\r\n").await.unwrap();
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    let (tag, command) = line.trim_end().split_once(' ').unwrap();
    let mut heard = vec![command.to_owned()];
    if offers {
        let begin = format!("{tag} OK begin\r\n* BYE injected\r\nA0002 NO injected\r\n");
        stream.get_mut().write_all(begin.as_bytes()).await.unwrap();
        let stream = stream.into_inner();
        if let Ok(stream) = TlsAcceptor::from(tls.config()).accept(stream).await {
            heard.extend(converse(BufReader::new(stream)).await);
        }
    } else {
        let no = format!("{tag} BAD what?\r\n");
        stream.get_mut().write_all(no.as_bytes()).await.unwrap();
        let mut rest = String::new();
        stream.read_line(&mut rest).await.unwrap();
        heard.extend(rest.lines().map(str::to_owned));
    }
    heard
}

/// Answers until the connection ends; what was asked.
async fn converse<S: Connection>(mut stream: BufReader<S>) -> Vec<String> {
    let mut heard = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return heard;
        }
        let (tag, command) = line.trim_end().split_once(' ').unwrap();
        heard.push(command.to_owned());
        let mut octets = answer(command);
        octets.extend_from_slice(format!("{tag} OK done\r\n").as_bytes());
        stream.get_mut().write_all(&octets).await.unwrap();
        stream.get_mut().flush().await.unwrap();
    }
}

fn access(port: u16, certificates: Option<PathBuf>) -> Access {
    Access {
        url: ImapUrl::parse(&format!("imaps://ann@127.0.0.1:{port}")).unwrap(),
        certificates,
        allow_plaintext: false,
    }
}

async fn server(folder: &Path) -> (TcpListener, u16, Tls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port, Tls::open(folder, clock::now()).unwrap())
}

#[tokio::test]
async fn mail_comes_over_tls_whole_and_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, port, tls) = server(folder.path()).await;
    let reading = async {
        let access = access(port, Some(folder.path().join(TLS_FILE)));
        let mut source = ImapSource::connect(&access, "sesame").await.unwrap();
        let units = source.units().await.unwrap();
        assert_eq!(units.len(), 1);
        assert_eq!(units[0].levels, ["Gesendet", "2024"]);
        assert_eq!(units[0].role, Some(Role::Sent));
        assert_eq!(source.examine("Gesendet.2024").await.unwrap(), 77);
        let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
        source.read(1, &sender).await.unwrap();
        drop(sender);
        let mut found = Vec::new();
        while let Some(item) = receiver.recv().await {
            found.push(item);
        }
        found
    };
    let (found, ()) = futures::join!(Box::pin(reading), serve(listener, tls));
    let steps: Vec<_> = found.iter().map(|item| item.step.clone()).collect();
    assert_eq!(steps, [Some(Step::Uid(2)), Some(Step::Uid(3))]);
    for (uid, item) in (2..).zip(found) {
        let read = item.content.unwrap();
        let octets = match read.octets {
            Octets::Memory(octets) => octets,
            Octets::Large(large) => {
                let mut octets = Vec::new();
                large.reader().unwrap().read_to_end(&mut octets).unwrap();
                octets
            }
        };
        assert!(octets == message(uid), "message {uid}");
        assert_eq!(read.internal_date, Timestamp::from_secs(1_706_778_000));
        let flags: Vec<&str> = read.flags.iter().map(Flag::as_str).collect();
        assert_eq!(flags, ["\\Seen", "$Kept"]);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, port, tls) = server(folder.path()).await;
    let access = access(port, None);
    let connecting = ImapSource::connect(&access, "sesame");
    let (connected, ()) = futures::join!(Box::pin(connecting), serve(listener, tls));
    let error = connected.unwrap_err();
    assert!(matches!(error, ImapError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("--source-ca"), "{error}");
}

/// `imap://`, to a server of this name, that this file vouches for.
fn upgraded(host: &str, port: u16, certificates: PathBuf) -> Access {
    Access {
        url: ImapUrl::parse(&format!("imap://ann@{host}:{port}")).unwrap(),
        certificates: Some(certificates),
        allow_plaintext: false,
    }
}

#[tokio::test]
async fn a_connection_is_upgraded_before_the_password_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (listener, port, tls) = server(folder.path()).await;
    let reading = async {
        let access = upgraded("127.0.0.1", port, folder.path().join(TLS_FILE));
        let mut source = ImapSource::connect(&access, "sesame").await.unwrap();
        source.units().await.unwrap().len()
    };
    let serving = serve_upgraded(listener, tls, true);
    let (mailboxes, heard) = futures::join!(Box::pin(reading), serving);
    assert_eq!(mailboxes, 1);
    assert_eq!(heard.first().map(String::as_str), Some("STARTTLS"));
    assert!(
        heard.get(1).is_some_and(|line| line.starts_with("LOGIN")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn without_a_good_upgrade_the_password_is_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    drop(Tls::open(other.path(), clock::now()).unwrap());
    for (offers, vouching, reason) in [
        (false, folder.path(), "offers no STARTTLS"),
        (true, other.path(), "certificate is not to be trusted"),
    ] {
        let (listener, port, tls) = server(folder.path()).await;
        let access = upgraded("127.0.0.1", port, vouching.join(TLS_FILE));
        let connecting = ImapSource::connect(&access, "sesame");
        let serving = serve_upgraded(listener, tls, offers);
        let (connected, heard) = futures::join!(Box::pin(connecting), serving);
        let error = connected.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!(heard, ["STARTTLS"]);
    }
}
