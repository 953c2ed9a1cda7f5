//! The socket side of SMTP: the only file here with tokio.
//!
//! One connection is one task that owns its [`Session`]. Replies of a pipelined group go out
//! together (RFC 2920). Invariant: a message that was begun is either answered for or the
//! connection is gone; a delivery under way is finished before the server goes down. Rejected:
//! `tokio_util::codec`; command lines and message octets need different framing, chosen by the
//! session.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use letterlock_core::id::Address;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::{Zeroize, Zeroizing};

use super::data::{DataDecoder, Message, Progress};
use super::reply::{Refusal, Reply};
use super::session::{Action, Answer, Session, Wants};
use super::{Credentials, Envelope, IDLE_TIMEOUT_SECS, MAX_SESSIONS, Policy};
use crate::shutdown::Shutdown;
use crate::starttls::{self, Protection};

/// Octets read at once.
const READ_OCTETS: usize = 16 * 1024;
/// How long to wait after an accept that failed (no file descriptors left), in milliseconds.
const ACCEPT_PAUSE_MS: u64 = 100;

/// Who was let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The account's address.
    pub address: Address,
    /// Cancelled when the password is taken back: the session ends.
    pub revoked: CancellationToken,
}

/// What is done with logins, recipients and messages.
pub trait Handler: Send + Sync + 'static {
    /// Who this is; `None` for a wrong name or password, after the same time.
    fn authenticate(
        &self,
        credentials: Credentials,
    ) -> impl Future<Output = Result<Option<Admitted>, Refusal>> + Send;

    /// Whether mail for this recipient is taken.
    fn check_recipient(
        &self,
        recipient: &Address,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Stores the message. `Ok` for a forward path means stored durably for it; the results
    /// stand in the order of `envelope.forward_paths`. A submission is all or nothing: its
    /// handler gives every path the same result.
    fn deliver(
        &self,
        envelope: Envelope,
        message: Message,
    ) -> impl Future<Output = Vec<Result<(), Refusal>>> + Send;
}

/// Accepts connections until `shutdown`, each served in a task of its own.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    policy: Policy,
    handler: Arc<H>,
    shutdown: Shutdown,
) {
    let seats = Arc::new(Semaphore::new(MAX_SESSIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (mut stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            let mut out = Vec::new();
            Reply::new(421, "4.3.2", "Too many sessions").write_to(&mut out);
            // The peer learns it from the closed connection if this fails.
            let _sent = stream.try_write(&out);
            let _closed = stream.shutdown().await;
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small answers to this connection may be late");
        }
        let (policy, handler) = (policy.clone(), Arc::clone(&handler));
        let token = shutdown.token.clone();
        shutdown.spawn(async move {
            let _seat = seat;
            if let Err(error) = run(stream, Some(peer), policy, &*handler, &token).await {
                tracing::debug!(%error, "an SMTP connection broke");
            }
        });
    }
}

/// Serves one connection to its end. `peer` is where it comes from, for the trace field.
pub async fn run<S, H>(
    stream: S,
    peer: Option<IpAddr>,
    policy: Policy,
    handler: &H,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    H: Handler,
{
    if policy.protection == Protection::Tls {
        let tls = policy.tls.clone().ok_or(io::ErrorKind::NotConnected)?;
        let stream = Box::pin(starttls::accept(&tls, stream, shutdown)).await?;
        return Box::pin(talk(stream, peer, policy, handler, shutdown)).await;
    }
    talk(stream, peer, policy, handler, shutdown).await
}

async fn talk<S, H>(
    stream: S,
    peer: Option<IpAddr>,
    policy: Policy,
    handler: &H,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    H: Handler,
{
    let max_message_octets = policy.max_message_octets;
    let tls = policy.tls.clone();
    let mut session = Session::new(policy, peer);
    let mut wire = Wire::new(stream);
    let end = converse(
        &mut session,
        &mut wire,
        max_message_octets,
        handler,
        shutdown,
    );
    let (End::Upgrade, Some(tls)) = (end.await?, tls) else {
        return Ok(());
    };
    // The wire's input ends here: what was pipelined behind STARTTLS anybody on the way could
    // have put there (RFC 3207 6).
    let accepted = starttls::accept(&tls, wire.into_stream(), shutdown);
    let mut wire = Wire::new(Box::pin(accepted).await?);
    converse(
        &mut session,
        &mut wire,
        max_message_octets,
        handler,
        shutdown,
    )
    .await?;
    Ok(())
}

/// Why a conversation ended.
enum End {
    /// The connection is over.
    Closed,
    /// The client shakes hands next.
    Upgrade,
}

/// Goes on until the client is gone or asks for TLS.
async fn converse<S, H>(
    session: &mut Session,
    wire: &mut Wire<S>,
    max_message_octets: usize,
    handler: &H,
    shutdown: &CancellationToken,
) -> io::Result<End>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    H: Handler,
{
    let mut decoder: Option<DataDecoder> = None;
    // Of the password that was logged in with here; nobody cancels this one.
    let mut revoked = CancellationToken::new();
    loop {
        while let Some(action) = session.poll() {
            if matches!(action, Action::StartTls) {
                wire.flush().await?;
                return Ok(End::Upgrade);
            }
            if matches!(action, Action::Deliver(..)) && revoked.is_cancelled() {
                session.handle_revocation();
            } else if let Some(answer) = perform(action, handler, wire, &mut revoked).await {
                session.handle_answer(answer);
            }
        }
        let stuck = match session.wants() {
            Wants::Nothing | Wants::Answer => {
                wire.close().await?;
                return Ok(End::Closed);
            }
            Wants::Line(limit) => match wire.cut_line(limit) {
                Line::Whole(line) => {
                    session.handle_line(&line);
                    false
                }
                Line::Bad => {
                    session.handle_bad_line();
                    false
                }
                Line::Partial => true,
            },
            Wants::Message => {
                let mut reading = decoder
                    .take()
                    .unwrap_or_else(|| DataDecoder::new(max_message_octets));
                let done = wire.feed(&mut reading);
                if done {
                    session.handle_message(reading.finish());
                } else {
                    decoder = Some(reading);
                }
                !done
            }
        };
        if stuck {
            match wire.read(shutdown, &revoked).await? {
                Read::Octets => {}
                Read::Revoked => session.handle_revocation(),
                Read::End => return Ok(End::Closed),
                Read::Silence => session.handle_timeout(),
                Read::Shutdown => session.handle_shutdown(),
            }
        }
    }
}

async fn perform<S, H>(
    action: Action,
    handler: &H,
    wire: &mut Wire<S>,
    revoked: &mut CancellationToken,
) -> Option<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
    H: Handler,
{
    match action {
        Action::Send(reply) => {
            reply.write_to(&mut wire.output);
            None
        }
        // The replies are flushed when the wire is closed; the conversation's end starts TLS.
        Action::Close | Action::StartTls => None,
        Action::Authenticate(credentials) => {
            let admitted = handler.authenticate(credentials).await;
            let address = admitted.map(|admitted| {
                admitted.map(|admitted| {
                    *revoked = admitted.revoked;
                    admitted.address
                })
            });
            Some(Answer::Authenticated(address))
        }
        Action::CheckRecipient(recipient) => {
            Some(Answer::Recipient(handler.check_recipient(&recipient).await))
        }
        Action::Deliver(envelope, message) => {
            Some(Answer::Delivered(handler.deliver(envelope, message).await))
        }
    }
}

/// A stream with what was read and not taken, and what was written and not sent.
struct Wire<S> {
    stream: S,
    /// Command lines can hold passwords and message octets are plaintext: zeroized.
    input: Zeroizing<Vec<u8>>,
    output: Vec<u8>,
}

enum Line {
    Whole(Zeroizing<Vec<u8>>),
    Partial,
    Bad,
}

enum Read {
    Octets,
    End,
    Silence,
    Shutdown,
    Revoked,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            // Room for what is left of a line and one more read: the buffer never moves.
            input: Zeroizing::new(Vec::with_capacity(
                READ_OCTETS.saturating_add(super::MAX_AUTH_LINE_OCTETS),
            )),
            output: Vec::new(),
        }
    }

    /// The stream alone: what was read from it and not taken is dropped.
    fn into_stream(self) -> S {
        self.stream
    }

    /// Cuts one line off the input, without its CRLF. A bare CR or LF in it is bad, and so is a
    /// line over `limit`.
    fn cut_line(&mut self, limit: usize) -> Line {
        let Some(end) = self.input.iter().position(|octet| *octet == b'\n') else {
            let over = self.input.len() >= limit;
            return if over { Line::Bad } else { Line::Partial };
        };
        let taken = end.saturating_add(1);
        if taken > limit {
            return Line::Bad;
        }
        let line = self
            .input
            .get(..end)
            .and_then(|line| line.strip_suffix(b"\r"))
            .filter(|line| !line.contains(&b'\r'))
            .map(|line| Zeroizing::new(line.to_vec()));
        self.consume(taken);
        line.map_or(Line::Bad, Line::Whole)
    }

    /// Gives the input to the decoder; whether the message is over.
    fn feed(&mut self, decoder: &mut DataDecoder) -> bool {
        match decoder.feed(&self.input) {
            Progress::Done(taken) => {
                self.consume(taken);
                true
            }
            Progress::More => {
                self.consume(self.input.len());
                false
            }
        }
    }

    fn consume(&mut self, octets: usize) {
        let taken = octets.min(self.input.len());
        self.input.drain(..taken);
        // `drain` moves the rest down and leaves a copy of it behind.
        self.input.spare_capacity_mut().zeroize();
    }

    /// Sends what is due, then waits for octets.
    async fn read(
        &mut self,
        shutdown: &CancellationToken,
        revoked: &CancellationToken,
    ) -> io::Result<Read> {
        self.flush().await?;
        let silence = Duration::from_secs(IDLE_TIMEOUT_SECS);
        let Self { stream, input, .. } = self;
        let mut limited = stream.take(READ_OCTETS as u64);
        tokio::select! {
            () = shutdown.cancelled() => Ok(Read::Shutdown),
            () = revoked.cancelled() => Ok(Read::Revoked),
            read = timeout(silence, limited.read_buf(&mut **input)) => match read {
                Err(_) => Ok(Read::Silence),
                Ok(Ok(0)) => Ok(Read::End),
                Ok(Ok(_)) => Ok(Read::Octets),
                Ok(Err(error)) => Err(error),
            },
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = std::mem::take(&mut self.output);
        let write = async {
            self.stream.write_all(&output).await?;
            self.stream.flush().await
        };
        timeout(Duration::from_secs(IDLE_TIMEOUT_SECS), write)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }
}
