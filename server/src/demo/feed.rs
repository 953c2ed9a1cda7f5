//! Feeds the sample letters through the real LMTP listener.
//!
//! Invariant: each letter reaches each of its recipients exactly once, also if the process is
//! killed in between: the provider counts what it accepted for an account, and so many of that
//! account's letters are skipped.

use std::net::SocketAddr;

use letterlock_core::id::Address;
use letterlock_core::openpgp::pgp_mime::{self, Sender};
use letterlock_core::openpgp::{Certificate, SecretCertificate};
use rand::rngs::OsRng;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::letters::{Form, LETTERS, Letter};
use super::{DOMAIN, DemoError};
use crate::bridge::provider_client::ProviderClient;
use crate::clock;
use crate::provider::Provider;

/// Longest reply line that is read, in octets (RFC 5321 4.5.3.1.5).
const MAX_REPLY_OCTETS: u64 = 512;

/// Feeds what has not been fed.
pub(super) async fn feed(
    provider: &Provider,
    directory: &ProviderClient,
    lmtp: SocketAddr,
) -> Result<(), DemoError> {
    let mut client = None;
    for name in ["alice", "bob"] {
        let Ok(recipient) = Address::new(&format!("{name}@{DOMAIN}")) else {
            continue;
        };
        let accepted = provider.incoming_count(&recipient).await?.unwrap_or(0);
        let accepted = usize::try_from(accepted).unwrap_or(usize::MAX);
        let own = LETTERS.iter().filter(|letter| letter.to.contains(&name));
        for letter in own.skip(accepted) {
            let failed = |detail: String| DemoError::Feed {
                letter: letter.name,
                detail,
            };
            let message = match letter.form {
                Form::AsWritten => letter.octets.to_vec(),
                Form::Sealed => seal(letter, &recipient, directory).await?,
            };
            let client = match &mut client {
                Some(client) => client,
                None => client.insert(LmtpClient::connect(lmtp).await.map_err(failed)?),
            };
            let sent = client.send(letter.reverse_path, &recipient, &message);
            sent.await.map_err(failed)?;
        }
    }
    if let Some(mut client) = client {
        // Everything is accepted; how the session ends does not matter.
        let _ended = client.command("QUIT", "221").await;
    }
    Ok(())
}

/// Does what the outside correspondent does: makes a key, signs, encrypts, names the key in an
/// `Autocrypt` field.
async fn seal(
    letter: &Letter,
    recipient: &Address,
    directory: &ProviderClient,
) -> Result<Vec<u8>, DemoError> {
    let failed = |detail: &str| DemoError::Feed {
        letter: letter.name,
        detail: detail.to_owned(),
    };
    let certificate = directory.certificate(recipient).await?;
    let certificate = certificate
        .and_then(|octets| Certificate::parse_some(&octets, 1).pop())
        .ok_or_else(|| failed("its recipient has no certificate"))?;
    let address = Address::new(letter.reverse_path).map_err(|_| failed("its sender is none"))?;
    let now = clock::now();
    let key = SecretCertificate::generate(&address, Some("Inés Calderón"), now, &mut OsRng)
        .map_err(|_| failed("no key could be made for its writer"))?;
    let sender = Sender {
        key: &key,
        address: &address,
        now,
    };
    pgp_mime::sign_and_encrypt(letter.octets, &[certificate], &sender, &mut OsRng)
        .map_err(|_| failed("it could not be sealed"))
}

/// As much of an LMTP client (RFC 2033) as the demo needs.
struct LmtpClient {
    stream: BufStream<TcpStream>,
}

impl LmtpClient {
    async fn connect(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|e| e.to_string())?;
        let mut client = Self {
            stream: BufStream::new(stream),
        };
        client.expect("220").await?;
        client.command("LHLO demo", "250").await?;
        Ok(client)
    }

    async fn send(&mut self, from: &str, to: &Address, message: &[u8]) -> Result<(), String> {
        self.command(&format!("MAIL FROM:<{from}>"), "250").await?;
        self.command(&format!("RCPT TO:<{to}>"), "250").await?;
        self.command("DATA", "354").await?;
        let stuffed = stuff(message);
        self.stream
            .write_all(&stuffed)
            .await
            .map_err(|e| e.to_string())?;
        self.command(".", "250").await
    }

    async fn command(&mut self, line: &str, code: &str) -> Result<(), String> {
        let line = format!("{line}\r\n");
        let written = self.stream.write_all(line.as_bytes()).await;
        written.map_err(|e| e.to_string())?;
        self.stream.flush().await.map_err(|e| e.to_string())?;
        self.expect(code).await
    }

    /// Reads one reply of any number of lines.
    async fn expect(&mut self, code: &str) -> Result<(), String> {
        loop {
            let mut line = String::new();
            let mut limited = tokio::io::AsyncReadExt::take(&mut self.stream, MAX_REPLY_OCTETS);
            let read = limited.read_line(&mut line).await;
            if read.map_err(|e| e.to_string())? == 0 {
                return Err("the connection ended".to_owned());
            }
            match line.strip_prefix(code) {
                Some(rest) if rest.starts_with('-') => {}
                Some(_) => return Ok(()),
                None => return Err(line.trim_end().to_owned()),
            }
        }
    }
}

/// RFC 5321 4.5.2: a line that begins with a dot gets another one.
fn stuff(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            stuffed.push(b'.');
        }
        stuffed.extend_from_slice(line);
    }
    stuffed
}
