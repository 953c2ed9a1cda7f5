//! The bridge's own certificate, for mail programs that insist on TLS also on loopback.
//!
//! Made once for a data directory and signed by its own key: nobody vouches for `127.0.0.1`. A
//! program asks its user once, and the fingerprint is told where the bridge starts. Invariant: key
//! and certificate are one file, written whole or not at all, for its owner alone; the key stays
//! on this machine. Rejected: a certificate authority of our own put among the trusted ones of the
//! system; whoever gets its key could then pass for every site.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use letterlock_core::id::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use sha2::{Digest as _, Sha256};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};
use zeroize::Zeroizing;

use super::unlock::write_private_octets;

/// Name of the file in the data directory: the key, then the certificate, in PEM (RFC 7468).
pub const TLS_FILE: &str = "tls.pem";
/// How long a certificate is valid, in days: about ten years, for every program that trusts it has
/// to be told again of the next one.
const VALID_DAYS: u64 = 3653;
/// How long before it is made it is already valid, in days: clocks are set back.
const VALID_BEFORE_DAYS: i64 = 1;
/// Octets in one line of PEM (RFC 7468 2).
const PEM_LINE_OCTETS: usize = 64;
const DAY_SECS: i64 = 24 * 60 * 60;
/// What a mail program may call the bridge.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read or written.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The file holds no key and certificate that fit.
    #[error(
        "{path} holds no usable key and certificate ({cause}): remove it to have new ones made"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: FormError,
    },
    /// A key or certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The clock is beyond what a certificate can say.
    #[error("no certificate could be made: the clock is wrong")]
    Clock,
}

/// What is wrong with a key or certificate.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// It is no PEM.
    #[error(transparent)]
    Pem(#[from] pem::Error),
    /// Key and certificate do not fit, or are of an unknown kind.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// What STARTTLS is offered with.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    fingerprint: String,
}

impl Tls {
    /// Reads the certificate of this data directory, or makes it if there is none.
    pub fn open(folder: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let path = folder.join(TLS_FILE);
        let io = |cause| TlsError::Io {
            path: path.clone(),
            cause,
        };
        let octets = match fs::read(&path) {
            Ok(octets) => Zeroizing::new(octets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let made = make(now)?;
                write_private_octets(&path, &made).map_err(io)?;
                made
            }
            Err(cause) => return Err(io(cause)),
        };
        Self::from_pem(&octets).map_err(|cause| TlsError::Damaged { path, cause })
    }

    fn from_pem(octets: &[u8]) -> Result<Self, FormError> {
        let certificate = CertificateDer::from_pem_slice(octets)?;
        let key = PrivateKeyDer::from_pem_slice(octets)?;
        let fingerprint = fingerprint(&certificate);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        Ok(Self {
            config: Arc::new(config),
            fingerprint,
        })
    }

    /// For the listeners.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// SHA-256 of the certificate in hexadecimal, as mail programs show it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// A new key with its certificate, in PEM.
fn make(now: Timestamp) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params
        .distinguished_name
        .push(DnType::CommonName, "Letterlock bridge on this machine");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let since_epoch = now
        .as_secs()
        .saturating_sub(VALID_BEFORE_DAYS.saturating_mul(DAY_SECS));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let after = |days: u64| {
        let secs = u64::try_from(since_epoch).ok()?;
        let secs = secs.checked_add(days.checked_mul(DAY_SECS.unsigned_abs())?)?;
        epoch.checked_add(std::time::Duration::from_secs(secs).try_into().ok()?)
    };
    params.not_before = after(0).ok_or(TlsError::Clock)?;
    params.not_after = after(VALID_DAYS).ok_or(TlsError::Clock)?;
    let certificate = params.self_signed(&key)?;
    let mut octets = Zeroizing::new(Vec::new());
    push_pem(
        &mut octets,
        "PRIVATE KEY",
        &Zeroizing::new(key.serialize_der()),
    );
    push_pem(&mut octets, "CERTIFICATE", certificate.der());
    Ok(octets)
}

fn push_pem(out: &mut Vec<u8>, label: &str, der: &[u8]) {
    let text = Zeroizing::new(STANDARD.encode(der));
    out.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    for line in text.as_bytes().chunks(PEM_LINE_OCTETS) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate)
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::starttls::{accept, testing::connector};

    fn certificate(folder: &Path) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(folder.join(TLS_FILE)).unwrap()
    }

    #[tokio::test]
    async fn programs_that_trust_it_may_call_the_bridge_by_each_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls::open(folder.path(), crate::clock::now()).unwrap();
        let connector = connector(certificate(folder.path()));
        for (name, fits) in NAMES
            .map(|name| (name, true))
            .into_iter()
            .chain([("example.org", false)])
        {
            let (near, far) = duplex(4096);
            let shutdown = CancellationToken::new();
            let config = tls.config();
            let served = accept(&config, far, &shutdown);
            let name = ServerName::try_from(name).unwrap();
            let (served, connected) = tokio::join!(served, connector.connect(name.clone(), near));
            assert_eq!(
                (served.is_ok(), connected.is_ok()),
                (fits, fits),
                "{name:?}"
            );
        }
    }

    #[test]
    fn it_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Tls::open(folder.path(), crate::clock::now()).unwrap();
        let path = folder.path().join(TLS_FILE);
        #[cfg(unix)]
        {
            let metadata = fs::metadata(&path).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = Tls::open(folder.path(), crate::clock::now()).unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
        fs::remove_file(&path).unwrap();
        let other = Tls::open(folder.path(), crate::clock::now()).unwrap();
        assert_ne!(first.fingerprint(), other.fingerprint());
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TLS_FILE);
        let other = make(crate::clock::now()).unwrap();
        let mut mixed = make(crate::clock::now()).unwrap();
        // The key of one, the certificate of another.
        let at = |pem: &[u8]| String::from_utf8_lossy(pem).find("-----BEGIN C").unwrap();
        let cut = at(&mixed);
        mixed.truncate(cut);
        mixed.extend_from_slice(&other[at(&other)..]);
        for damaged in [b"" as &[u8], b"nonsense", &other[..100], &mixed] {
            fs::write(&path, damaged).unwrap();
            let error = Tls::open(folder.path(), crate::clock::now()).unwrap_err();
            assert!(matches!(error, TlsError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(TLS_FILE), "{error}");
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn a_clock_far_off_is_told() {
        for millis in [i64::MIN, i64::MAX] {
            let error = make(Timestamp::from_millis(millis)).unwrap_err();
            assert!(matches!(error, TlsError::Clock), "{error}");
        }
    }
}
