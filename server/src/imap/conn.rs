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
use std::time::Duration;

use letterlock_core::account::Account;
use letterlock_core::account::Subscription;
use letterlock_core::id::Timestamp;
use letterlock_core::store::Store;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::command::Secret;
use super::decoder::Decoder;
use super::encoder::encode;
use super::ops::{self, Op, OpError, Outcome};
use super::recent::Recents;
use super::response::Response;
use super::session::{Action, Session};
use crate::starttls::{self, Security};

/// Octets read at once.
const READ_OCTETS: usize = 16 * 1024;
/// Octets of answers after which they are written out.
const HIGH_WATER: usize = 64 * 1024;
/// How long a client may leave the connection full (a program that hangs, a dead machine).
pub const WRITE_TIMEOUT: Duration = Duration::from_mins(5);

/// Reads the time.
pub type Clock = fn() -> Timestamp;

/// What all connections share.
#[derive(Debug)]
pub struct Server<A> {
    accounts: A,
    recents: Recents,
    clock: Clock,
    tls: Option<Arc<ServerConfig>>,
}

impl<A: Accounts> Server<A> {
    /// A server for these accounts.
    pub fn new(accounts: A, clock: Clock) -> Self {
        Self {
            accounts,
            recents: Recents::default(),
            clock,
            tls: None,
        }
    }

    /// The same, offering STARTTLS.
    #[must_use]
    pub fn with_tls(self, tls: Arc<ServerConfig>) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }
}

/// Serves one client until it leaves or `shutdown` is cancelled.
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
    let security = match &server.tls {
        Some(_) => Security::Offered,
        None => Security::Plain,
    };
    let mut connection = Connection {
        server,
        shutdown,
        session: Session::new(security),
        decoder: Decoder::default(),
        out: Vec::new(),
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
}

struct Connection<'a, A: Accounts> {
    server: &'a Server<A>,
    shutdown: &'a CancellationToken,
    session: Session,
    decoder: Decoder,
    out: Vec<u8>,
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
            if let Some(frame) = self.decoder.next(self.session.admits()) {
                self.session.handle_frame(frame);
                continue;
            }
            self.flush(writer).await?;
            tokio::select! {
                read = reader.read(&mut buffer) => {
                    let octets = buffer.get(..read?).unwrap_or_default();
                    if octets.is_empty() {
                        return Ok(Flow::Closed);
                    }
                    self.decoder.feed(octets);
                    heard = Instant::now();
                }
                () = news(self.login.as_mut()) => self.session.handle_update(),
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
            Action::Run(_) if self.shutdown.is_cancelled() => self.session.handle_shutdown(),
            Action::Run(op) => self.run_op(op).await,
            Action::Authenticate { user, password } => self.log_in(&user, &password).await,
            Action::StartTls => {
                self.flush(writer).await?;
                return Ok(Flow::Upgrade);
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
        encode(response, &mut self.out);
        if self.out.len() >= HIGH_WATER {
            self.flush(writer).await
        } else {
            Ok(())
        }
    }

    async fn run_op(&mut self, op: Op) {
        // The session asks for storage only after a log-in.
        let Some(login) = &self.login else { return };
        let now = (self.server.clock)();
        let context = ops::Context {
            account: &login.account,
            recents: &self.server.recents,
            now,
        };
        let outcome = Box::pin(ops::run(&context, op)).await;
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
        let answer = self
            .server
            .accounts
            .log_in(user.as_bytes(), password.as_bytes())
            .await;
        let answer = answer.map(|account| {
            self.login = Some(Login {
                news: account.subscribe(),
                account,
            });
        });
        self.session.handle_login(answer);
    }

    async fn flush<W>(&mut self, writer: &mut W) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        let mut rest = self.out.as_slice();
        while !rest.is_empty() {
            // The time is for some progress, not for all of a large message.
            let written = timeout(WRITE_TIMEOUT, writer.write(rest)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        self.out.clear();
        // The room of a large body is given back.
        self.out.shrink_to(HIGH_WATER);
        timeout(WRITE_TIMEOUT, writer.flush()).await?
    }
}

/// Waits for a change in the account; for ever, while nobody has logged in.
async fn news<S: Store>(login: Option<&mut Login<S>>) {
    match login {
        Some(login) => login.news.changed().await,
        None => std::future::pending().await,
    }
}
