//! What IMAP (RFC 3501 6.2.1) and submission (RFC 3207) share of STARTTLS.
//!
//! A session knows its [`Security`] and asks its shell for the handshake; the shell keeps nothing
//! that it read before. Listeners that speak TLS from the first octet (RFC 8314) shake hands by
//! the same function.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How long a handshake may take: some programs ask, in the middle of it, whether the certificate
/// is to be trusted, and a person compares a fingerprint.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_mins(3);

/// How a connection is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Security {
    /// Not, and it stays so.
    #[default]
    Plain,
    /// Not yet: STARTTLS is announced.
    Offered,
    /// Not yet, and nobody logs in before: the connection may come from another machine.
    Required,
    /// By TLS.
    Tls,
}

/// What protects the connections of a listener before their first octet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protection {
    /// They do not leave the machine; STARTTLS is offered if there is a certificate.
    #[default]
    Local,
    /// Nothing, and they may come from another machine: nobody logs in before STARTTLS.
    None,
    /// TLS (RFC 8314 3).
    Tls,
}

impl Protection {
    /// What a new connection can have.
    pub const fn security(self, has_certificate: bool) -> Security {
        match (self, has_certificate) {
            (Self::Tls, _) => Security::Tls,
            (Self::None, _) => Security::Required,
            (Self::Local, true) => Security::Offered,
            (Self::Local, false) => Security::Plain,
        }
    }
}

/// Shakes hands with a client that was told to.
///
/// # Errors
/// The handshake failed, took longer than [`HANDSHAKE_TIMEOUT`], or `shutdown` was cancelled.
pub async fn accept<S>(
    tls: &Arc<ServerConfig>,
    stream: S,
    shutdown: &CancellationToken,
) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
    tokio::select! {
        () = shutdown.cancelled() => Err(io::ErrorKind::ConnectionAborted.into()),
        accepted = timeout(HANDSHAKE_TIMEOUT, handshake) => accepted?,
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Both sides of a handshake, for the tests of the protocols.

    use std::sync::Arc;

    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

    /// A server's configuration, and a client that trusts it as `localhost` and nothing else.
    pub(crate) fn pair() -> (Arc<ServerConfig>, TlsConnector) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let certificate = made.cert.der().clone();
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        (Arc::new(server), connector(certificate))
    }

    /// A client that trusts this certificate and no other.
    pub(crate) fn connector(certificate: CertificateDer<'static>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(client))
    }

    /// What the test's client calls the server.
    pub(crate) fn localhost() -> ServerName<'static> {
        ServerName::try_from("localhost").unwrap()
    }
}
