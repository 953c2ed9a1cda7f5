//! One connection: the only file of `imap` with tokio, and one loop.
//!
//! Works over anything that reads and writes: TCP in the bridge, a pipe in tests. Commands that
//! come before their turn stay unread, and answers go out before more is fetched: neither a fast
//! writer nor a slow reader makes memory grow.
//!
//! Invariant: everything inside `select!` is cancel-safe; the loop ends only when the session
//! says so, the client is gone, or it does not read for [`WRITE_TIMEOUT`].

use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use letterlock_core::account::Account;
use letterlock_core::account::Subscription;
use letterlock_core::store::Store;
use rand::RngCore as _;
use rand::rngs::OsRng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::accounts::{Accounts, Grant, Peer, Room};
use super::command::Secret;
use super::compress::Deflate;
use super::decoder::{Admits, Decoder};
use super::encoder::encode;
use super::ops::{self, Op, OpError, Outcome, Progress, Upload, UploadStep};
use super::response::{FetchValue, Response};
pub use super::server::{Clock, Server, WRITE_TIMEOUT};
use super::session::{Action, Session};
use crate::starttls::{self, Protection};

/// Octets read at once.
const READ_OCTETS: usize = 16 * 1024;
/// Octets of answers after which they are written out.
const HIGH_WATER: usize = 64 * 1024;
/// Octets of answers that wait to be written while the next step of a FETCH reads: a step's.
const WRITTEN_BESIDE: usize = 640 * 1024;
/// Octets of the server's part of a SCRAM nonce.
const NONCE_OCTETS: usize = 18;

/// Where a connection comes from, and what protects it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin {
    /// Where the client connects from.
    pub peer: Peer,
    /// What protects it already.
    pub protection: Protection,
}

/// Serves one client of this machine until it leaves or `shutdown` is cancelled.
///
/// # Errors
/// Those of the stream; a client that just goes away is none.
pub async fn serve<A, I>(
    server: &Server<A>,
    stream: I,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    A: Accounts,
    I: AsyncRead + AsyncWrite + Send + Unpin,
{
    serve_from(server, stream, Origin::default(), shutdown).await
}

/// Serves one client until it leaves or `shutdown` is cancelled.
///
/// # Errors
/// Those of the stream; a client that just goes away is none.
pub async fn serve_from<A, I>(
    server: &Server<A>,
    stream: I,
    origin: Origin,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    A: Accounts,
    I: AsyncRead + AsyncWrite + Send + Unpin,
{
    let security = origin.protection.security(server.tls.is_some());
    let mut connection = Connection {
        server,
        shutdown,
        peer: origin.peer,
        session: Session::new(security).limited_to(server.message_limit),
        decoder: Decoder::default(),
        out: Vec::new(),
        deflate: None,
        login: None,
    };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let flow = Box::pin(connection.run(&mut reader, &mut writer)).await?;
    let (Flow::Upgrade, Some(tls)) = (flow, &server.tls) else {
        return Ok(());
    };
    // What was pipelined behind STARTTLS anybody on the way could have put there.
    connection.decoder = Decoder::default();
    let accepted = starttls::accept(tls, reader.unsplit(writer), shutdown);
    let (mut reader, mut writer) = tokio::io::split(Box::pin(accepted).await?);
    Box::pin(connection.run(&mut reader, &mut writer)).await?;
    Ok(())
}

/// The account of the user who has logged in.
struct Login<S: Store> {
    account: Arc<Account<S>>,
    news: Subscription,
    upload: Option<Upload>,
    /// Cancelled when what the user logged in with is taken back.
    revoked: CancellationToken,
    behind: watch::Receiver<bool>,
    room: watch::Receiver<Option<Room>>,
}

struct Connection<'a, A: Accounts> {
    server: &'a Server<A>,
    shutdown: &'a CancellationToken,
    peer: Peer,
    session: Session,
    decoder: Decoder,
    out: Vec<u8>,
    deflate: Option<Box<Deflate>>,
    login: Option<Login<A::Store>>,
}

/// Whether the loop goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    Open,
    /// The client shakes hands next.
    Upgrade,
    Closed,
}

impl<A: Accounts> Connection<'_, A> {
    /// Goes on until the client is gone or asks for TLS.
    async fn run<I>(
        &mut self,
        reader: &mut ReadHalf<I>,
        writer: &mut WriteHalf<I>,
    ) -> io::Result<Flow>
    where
        I: AsyncRead + AsyncWrite + Send,
    {
        let mut buffer = vec![0; READ_OCTETS];
        let mut heard = Instant::now();
        loop {
            while let Some(action) = self.session.poll() {
                match self.perform(action, writer).await? {
                    Flow::Open => {}
                    end => return Ok(end),
                }
            }
            self.decoder.set_names(self.session.names());
            self.decoder.set_stranger(self.session.is_stranger());
            let admits = self.session.admits();
            if admits != Admits::Upload
                && let Some(login) = &mut self.login
            {
                // An APPEND that was refused leaves nothing behind.
                login.upload = None;
            }
            if let Some(frame) = self.decoder.next(admits) {
                self.session.handle_frame(frame);
                continue;
            }
            if self.inflate()? {
                continue;
            }
            self.flush(writer).await?;
            // Large bodies need the room again and again until all are written.
            self.out.shrink_to(HIGH_WATER);
            tokio::select! {
                read = reader.read(&mut buffer) => {
                    let octets = buffer.get(..read?).unwrap_or_default();
                    if octets.is_empty() {
                        return Ok(Flow::Closed);
                    }
                    match &mut self.deflate {
                        Some(deflate) => deflate.feed(octets),
                        None => self.decoder.feed(octets),
                    }
                    heard = Instant::now();
                }
                event = event(self.login.as_mut()) => match event {
                    Event::News => self.session.handle_update(),
                    Event::Revoked => self.session.handle_revocation(),
                },
                () = sleep_until(heard + self.session.timeout()) => self.session.handle_timeout(),
                () = self.shutdown.cancelled() => self.session.handle_shutdown(),
            }
        }
    }

    async fn perform<W>(&mut self, action: Action, writer: &mut W) -> io::Result<Flow>
    where
        W: AsyncWrite + Unpin,
    {
        match action {
            Action::Send(response) => self.send(&response, writer).await?,
            Action::Run(_) | Action::Upload(_) if self.shutdown.is_cancelled() => {
                self.session.handle_shutdown();
            }
            Action::Run(_) | Action::Upload(_) if self.is_revoked() => {
                self.session.handle_revocation();
            }
            Action::Run(op) => self.run_op(op, writer).await?,
            Action::Upload(step) => self.run_upload(step).await,
            Action::Authenticate { user, password } => self.log_in(&user, &password).await,
            Action::ScramSalt { user } => {
                let salt = self.server.accounts.salt(&user);
                let mut nonce = [0; NONCE_OCTETS];
                OsRng.fill_bytes(&mut nonce);
                self.session.handle_salt(&salt, &STANDARD.encode(nonce));
            }
            Action::ScramProof(attempt) => {
                let answer = self.server.accounts.prove(&attempt, self.peer).await;
                let answer = answer.map(|(grant, signature)| {
                    self.login = Some(Login::new(grant));
                    signature
                });
                self.session.handle_proof(answer);
            }
            Action::StartTls => {
                self.flush(writer).await?;
                return Ok(Flow::Upgrade);
            }
            Action::Compress => {
                self.flush(writer).await?;
                self.deflate = Some(Box::default());
            }
            Action::Close => {
                self.flush(writer).await?;
                writer.shutdown().await?;
                return Ok(Flow::Closed);
            }
        }
        Ok(Flow::Open)
    }

    async fn send<W>(&mut self, response: &Response, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let before = self.out.len();
        let streams = encode(response, self.session.names(), &mut self.out);
        if !streams.is_empty() {
            return self.send_streams(response, &streams, before, writer).await;
        }
        let most = if self.session.reads_on() {
            WRITTEN_BESIDE
        } else {
            HIGH_WATER
        };
        if self.out.len() >= most {
            self.flush(writer).await
        } else {
            Ok(())
        }
    }

    /// Writes a response of which some octets are read while they are written; a client that does
    /// not read holds up the reading.
    async fn send_streams<W>(
        &mut self,
        response: &Response,
        places: &[usize],
        start: usize,
        writer: &mut W,
    ) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        // Responses with content come only after a log-in.
        let (Some(login), Response::Fetch(data)) = (&self.login, response) else {
            return Ok(());
        };
        let account = Arc::clone(&login.account);
        let frame = self.out.split_off(start);
        let mut written = 0;
        let streams = data.values.iter().filter_map(|value| match value {
            FetchValue::Stream(_, message, span) => Some((message, *span)),
            _ => None,
        });
        for (place, (message, span)) in places.iter().zip(streams) {
            let end = place.saturating_sub(start);
            self.out
                .extend_from_slice(frame.get(written..end).unwrap_or_default());
            written = end;
            let mut pieces = account.pieces(message, span);
            loop {
                let piece = pieces.next().await.map_err(|error| {
                    // The length is told: only the end of the connection says that less came.
                    tracing::error!(%error, "a message could not be read to its end");
                    io::Error::other(error)
                })?;
                let Some(piece) = piece else { break };
                self.out.extend_from_slice(&piece);
                if self.out.len() >= HIGH_WATER {
                    self.flush(writer).await?;
                }
            }
        }
        self.out
            .extend_from_slice(frame.get(written..).unwrap_or_default());
        Ok(())
    }

    /// A client that waits is told now and then that something goes on (RFC 9585). The operation
    /// goes on while that is written: it may hold what others wait for.
    async fn run_op<W>(&mut self, op: Op, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        // The session asks for storage only after a log-in.
        let Some(login) = &self.login else {
            return Ok(());
        };
        let account = Arc::clone(&login.account);
        let progress = Progress::default();
        let context = ops::Context {
            account: &account,
            recents: &self.server.recents,
            recall: &self.server.recall,
            now: (self.server.clock)(),
            progress: &progress,
            behind: *login.behind.borrow(),
            room: *login.room.borrow(),
        };
        let is_beside = self.out.len() >= HIGH_WATER && op.only_reads();
        let mut running = Box::pin(ops::run(&context, op));
        if is_beside {
            // The next messages are read while the last are written.
            let mut flushing = Box::pin(self.flush(writer));
            let first = tokio::select! {
                biased;
                outcome = &mut running => Some(outcome),
                written = &mut flushing => {
                    written?;
                    None
                }
            };
            if let Some(outcome) = first {
                flushing.await?;
                drop(running);
                self.handle_outcome(outcome);
                return Ok(());
            }
        }
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut running => break outcome,
                () = sleep(self.server.tell_every) => {}
            }
            let Some(response) = self.session.progress(progress.so_far()) else {
                continue;
            };
            let _no_streams = encode(&response, self.session.names(), &mut self.out);
            let mut flushing = Box::pin(self.flush(writer));
            tokio::select! {
                outcome = &mut running => {
                    flushing.await?;
                    break outcome;
                }
                written = &mut flushing => written?,
            }
        };
        drop(running);
        self.handle_outcome(outcome);
        Ok(())
    }

    fn is_revoked(&self) -> bool {
        let login = self.login.as_ref();
        login.is_some_and(|login| login.revoked.is_cancelled())
    }

    async fn run_upload(&mut self, step: UploadStep) {
        let Some(login) = &mut self.login else { return };
        let context = ops::Context {
            account: &login.account,
            recents: &self.server.recents,
            recall: &self.server.recall,
            now: (self.server.clock)(),
            progress: &Progress::default(),
            behind: false,
            room: *login.room.borrow(),
        };
        let outcome = Box::pin(ops::upload::run(&context, &mut login.upload, step)).await;
        self.handle_outcome(outcome);
    }

    fn handle_outcome(&mut self, outcome: Result<Outcome, OpError>) {
        let failed = match &outcome {
            Ok(Outcome::Fetched(fetched)) => fetched.failed.as_ref(),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        if let Some(OpError::Replica(error)) = failed {
            tracing::error!(%error, "an IMAP command failed inside the server");
        }
        self.session.handle_outcome(outcome);
    }

    async fn log_in(&mut self, user: &Secret, password: &Secret) {
        let (user, password) = (user.as_bytes(), password.as_bytes());
        let answer = self.server.accounts.log_in(user, password, self.peer).await;
        let answer = answer.map(|grant| self.login = Some(Login::new(grant)));
        self.session.handle_login(answer);
    }

    /// Gives the decoder some more of what a compressing client meant; `false` if there is none.
    fn inflate(&mut self) -> io::Result<bool> {
        let Some(deflate) = &mut self.deflate else {
            return Ok(false);
        };
        let plain = deflate.inflate()?;
        self.decoder.feed(&plain);
        Ok(!plain.is_empty())
    }

    async fn flush<W>(&mut self, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        if let Some(deflate) = &mut self.deflate
            && !self.out.is_empty()
        {
            self.out = deflate.deflate(&self.out)?;
        }
        let patience = self.server.write_timeout;
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            // The time is for some progress, not for all of a large message.
            let written = timeout(patience, writer.write(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        self.out.clear();
        timeout(patience, writer.flush()).await?
    }
}

impl<S: Store> Login<S> {
    fn new(grant: Grant<S>) -> Self {
        Self {
            news: grant.account.subscribe(),
            account: grant.account,
            upload: None,
            revoked: grant.revoked,
            behind: grant.behind,
            room: grant.room,
        }
    }
}

/// What happens to a user who has logged in.
enum Event {
    News,
    Revoked,
}

/// Waits for it; for ever, while nobody has logged in. Cancel-safe.
async fn event<S: Store>(login: Option<&mut Login<S>>) -> Event {
    match login {
        Some(login) => tokio::select! {
            () = login.revoked.cancelled() => Event::Revoked,
            () = login.news.changed() => Event::News,
        },
        None => std::future::pending().await,
    }
}
