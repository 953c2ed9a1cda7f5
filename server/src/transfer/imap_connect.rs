//! The connection to an IMAP server, up to its greeting.
//!
//! Invariant: the password is sent over TLS or to this machine only, unless the person says
//! otherwise; nothing that came before TLS is taken as if it came within (RFC 3501 6.2.1).

use std::fmt::Debug;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_imap::Client;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsError, RootCertStore};

use super::imap_source::ImapError;
use super::imap_url::{ImapUrl, Security};

/// Something to speak IMAP over.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Connection for T {}

/// How to reach a server.
#[derive(Debug)]
pub struct Access {
    /// Where it is, and who logs in.
    pub url: ImapUrl,
    /// Certificates to trust besides the well-known ones. Who gives some wants TLS, on this machine
    /// too.
    pub certificates: Option<PathBuf>,
    /// Whether the password may be sent without TLS.
    pub allow_plaintext: bool,
}

/// A client whose server has greeted, over TLS if the password needs it.
pub(super) async fn greeted(access: &Access) -> Result<Client<Box<dyn Connection>>, ImapError> {
    let url = &access.url;
    let connect = |cause| ImapError::Connect {
        host: url.host.clone(),
        cause,
    };
    let host = url.host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, url.port))
        .await
        .map_err(connect)?;
    let is_local = stream.peer_addr().is_ok_and(|peer| is_loopback(peer.ip()));
    if url.security == Security::Implicit {
        let mut client = Client::new(secure(access, Box::new(stream)).await?);
        client.read_response().await.map_err(connect)?;
        return Ok(client);
    }
    let mut client: Client<Box<dyn Connection>> = Client::new(Box::new(stream));
    client.read_response().await.map_err(connect)?;
    let is_asked_for = access.certificates.is_some();
    if !is_asked_for && (is_local || access.allow_plaintext) {
        return Ok(client);
    }
    let started = client.run_command_and_check_ok("STARTTLS", None).await;
    started.map_err(|_| ImapError::Plaintext(url.host.clone()))?;
    // What the library has read beyond the answer is dropped with its buffer: nothing that was
    // sent before TLS is taken as if it came within.
    Ok(Client::new(secure(access, client.into_inner()).await?))
}

async fn secure(
    access: &Access,
    stream: Box<dyn Connection>,
) -> Result<Box<dyn Connection>, ImapError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = &access.certificates {
        let unusable = || ImapError::Certificates { path: path.clone() };
        let octets = std::fs::read(path).map_err(|_| unusable())?;
        for certificate in CertificateDer::pem_slice_iter(&octets) {
            let certificate = certificate.map_err(|_| unusable())?;
            roots.add(certificate).map_err(|_| unusable())?;
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = access
        .url
        .host
        .trim_start_matches('[')
        .trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| ImapError::ServerName(host.to_owned()))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await;
    let stream = stream.map_err(|cause| handshake_error(host, cause))?;
    Ok(Box::new(stream))
}

fn handshake_error(host: &str, cause: io::Error) -> ImapError {
    let host = host.to_owned();
    let tls = cause.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(TlsError::InvalidCertificate(reason)) = tls else {
        return ImapError::Connect { host, cause };
    };
    let reason = match reason {
        CertificateError::UnknownIssuer => {
            "nobody that is trusted here vouches for it; if it is the server's own, get it from \
             the server's operator and give it with --source-ca FILE"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for a server of another name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired, or this machine's clock is wrong"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or this machine's clock is wrong"
        }
        CertificateError::Revoked => "it was revoked",
        _ => "it is damaged, or not meant for a server",
    };
    ImapError::Untrusted { host, reason }
}

const fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => address.is_loopback(),
    }
}
