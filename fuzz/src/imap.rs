//! What the fuzz targets of the IMAP server check: one function each, which takes any octets and
//! panics at a finding. `server/tests/fuzz_corpora.rs` runs them over the committed corpus.
//!
//! They stand apart from `lib.rs`, which `core`'s own test runs: core knows no server.

use std::sync::Arc;

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, MailboxName, Timestamp};
use letterlock_core::model::FlagSet;
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::MemoryStore;
use letterlock_server::imap::decoder::{Admits, Decoder, MAX_LINE};
use letterlock_server::imap::{Accounts, Grant, LoginRefused, Peer, Salt, Server, serve};
use letterlock_server::scram::{Attempt, Hash};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Octets that come in one read.
const READ: usize = 97;

/// Whatever a client sends is cut into frames: in any pieces, within the limits, to the end.
pub fn imap_command(octets: &[u8]) {
    for admits in [Admits::Commands, Admits::Upload, Admits::Line] {
        let whole = frames(octets, admits, octets.len().max(1));
        if admits != Admits::Upload {
            // The octets of a message come as they are read; all else does not depend on it.
            let pieces = frames(octets, admits, READ);
            assert!(whole == pieces, "it depends on how it is read");
        }
    }
}

fn frames(octets: &[u8], admits: Admits, read: usize) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for piece in octets.chunks(read) {
        decoder.feed(piece);
        while let Some(frame) = decoder.next(admits) {
            frames.push(format!("{frame:?}"));
        }
        assert!(decoder.held() <= 8 * MAX_LINE, "too much is held");
    }
    frames
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_777_982_700)
}

/// Everybody has this account.
struct Anybody(Arc<Account<MemoryStore>>);

impl Anybody {
    fn grant(&self) -> Grant<MemoryStore> {
        Grant {
            account: Arc::clone(&self.0),
            revoked: CancellationToken::new(),
            behind: watch::Sender::new(false).subscribe(),
            room: watch::Sender::new(None).subscribe(),
        }
    }
}

impl Accounts for Anybody {
    type Store = MemoryStore;

    async fn log_in(
        &self,
        _user: &[u8],
        _password: &[u8],
        _peer: Peer,
    ) -> Result<Grant<MemoryStore>, LoginRefused> {
        Ok(self.grant())
    }

    fn salt(&self, _user: &str) -> Salt {
        Salt {
            salt: vec![0],
            iterations: 1,
        }
    }

    async fn prove(
        &self,
        _attempt: &Attempt,
        _peer: Peer,
    ) -> Result<(Grant<MemoryStore>, Hash), LoginRefused> {
        Ok((self.grant(), [0; 32]))
    }
}

/// Whatever a client says, the server answers in whole responses, says of nothing that it is a bug
/// of its own, and the account is in order afterwards.
pub fn imap_session(octets: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(session(octets));
}

async fn session(octets: &[u8]) {
    let account = account().await;
    let server = Server::new(Anybody(Arc::clone(&account)), now);
    let (near, far) = tokio::io::duplex(4096);
    let (mut reader, mut writer) = tokio::io::split(near);
    let never = CancellationToken::new();
    let serving = serve(&server, far, &never);
    let talking = async {
        let begin = b"a0 LOGIN x y\r\nb0 SELECT INBOX\r\n";
        // The server may close first.
        let _gone = writer.write_all(begin).await;
        let _gone = writer.write_all(octets).await;
        let _gone = writer.shutdown().await;
        drop(writer);
    };
    let hearing = async {
        let mut heard = Vec::new();
        let _gone = reader.read_to_end(&mut heard).await;
        heard
    };
    let (_end, (), heard) = tokio::join!(serving, talking, hearing);
    check_responses(&heard);
    let report = account.check().await;
    let findings = report.map_or(1, |report| report.findings.len());
    assert!(findings == 0, "the account is not in order");
}

async fn account() -> Arc<Account<MemoryStore>> {
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([2; 32]));
    let Ok(address) = Address::new("alice@letterlock.example") else {
        unreachable!("it is an address");
    };
    let account = Account::open(MemoryStore::new(), address, keys, [3; 32], now()).await;
    let Ok(account) = account else {
        unreachable!("memory does not fail");
    };
    let letter =
        b"From: a@b.example\r\nSubject: hi\r\nContent-Type: multipart/mixed; boundary=x\r\n\
        \r\n--x\r\n\r\none\r\n--x\r\nContent-Type: text/html\r\n\r\n<b>two</b>\r\n--x--\r\n";
    if let Some(inbox) = account.mailbox(&MailboxName::inbox()) {
        for message in [&letter[..], b"\r\n", b"no header"] {
            let flags = FlagSet::new();
            let appended = account.append(inbox.id, message, flags, now(), now()).await;
            assert!(appended.is_ok(), "memory does not fail");
        }
    }
    Arc::new(account)
}

/// Every response is a line with its literals.
fn check_responses(mut rest: &[u8]) {
    while !rest.is_empty() {
        let start = rest;
        loop {
            let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else {
                // The connection broke within a response.
                return;
            };
            let (line, after) = rest.split_at(end.saturating_add(2));
            rest = after;
            if line.ends_with(b" OK DEFLATE begins\r\n") {
                return;
            }
            assert!(
                !line.windows(12).any(|text| text == b" [SERVERBUG]"),
                "a bug of the server's own"
            );
            let Some(octets) = literal(line) else { break };
            let Some(after) = rest.get(octets..) else {
                return;
            };
            rest = after;
        }
        let first = start.first().copied().unwrap_or_default();
        assert!(
            first.is_ascii_graphic() && start.contains(&b' '),
            "no response begins like this"
        );
    }
}

fn literal(line: &[u8]) -> Option<usize> {
    let text = line.strip_suffix(b"}\r\n")?;
    let open = text.iter().rposition(|octet| *octet == b'{')?;
    let digits = std::str::from_utf8(text.get(open.saturating_add(1)..)?).ok()?;
    digits.parse().ok()
}
