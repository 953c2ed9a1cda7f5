//! A server for keys that misbehaves, over real TLS on loopback.

mod openpgp_field;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use letterlock_core::account::Account;
use letterlock_core::id::{AccountId, Address, Timestamp};
use letterlock_core::keys::lookup::{
    Lookup, NOT_FOUND_SECS, NotFound, Purpose, Refresh, Request, Sources,
};
use letterlock_core::keys::{Decision, Level, Offer, Source, keyring};
use letterlock_core::openpgp::policy::Unusable;
use letterlock_core::openpgp::secret_certificate::RevocationReason;
use letterlock_core::openpgp::{Certificate, SecretCertificate};
use letterlock_core::seal::{AccountKeys, RootKey};
use letterlock_core::store::MemoryStore;
use rand::rngs::OsRng;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::bridge::directory::carry_out;
use crate::bridge::key_refresh::refresh_one;
use crate::shutdown::Shutdown;

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);
const LATER: Timestamp = Timestamp::from_secs(1_767_225_700);
const PATIENCE: Duration = Duration::from_millis(400);

/// What the server does when it is asked.
#[derive(Clone)]
enum Manner {
    Gives(Vec<u8>),
    Status(&'static str),
    Redirects(String),
    /// Accepts, and says nothing.
    Silent,
    /// A head, and then an octet now and then.
    Trickles,
    /// Octets without end, in chunks.
    Endless,
    /// Says that more comes than may.
    Announces(usize),
    /// Ends in the middle.
    Breaks,
}

struct Names(BTreeMap<String, SocketAddr>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.get(name.as_str()).copied();
        Box::pin(async move {
            let address = found.ok_or_else(|| io::Error::other("no such host"))?;
            Ok(Box::new(std::iter::once(address)) as Addrs)
        })
    }
}

struct World {
    fetcher: KeyFetcher,
    asked: Arc<Mutex<Vec<String>>>,
    _shutdown: DropGuard,
}

/// A server that answers by host; the hosts that have no manner do not exist.
async fn world(manners: &[(&str, Manner)]) -> World {
    let names: Vec<String> = manners.iter().map(|(host, _)| (*host).to_owned()).collect();
    let key =
        rcgen::generate_simple_self_signed([names.clone(), vec!["good.test".into()]].concat());
    let key = key.unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let manners: BTreeMap<String, Manner> = manners
        .iter()
        .map(|(host, manner)| ((*host).to_owned(), manner.clone()))
        .collect();
    shutdown.spawn(serve(
        listener,
        TlsAcceptor::from(Arc::new(config)),
        manners,
        Arc::clone(&asked),
        shutdown.clone(),
    ));
    let table = names.into_iter().map(|name| (name, place)).collect();
    let root = reqwest::Certificate::from_der(key.cert.der()).unwrap();
    let builder = Client::builder()
        .no_proxy()
        .add_root_certificate(root)
        .dns_resolver(Arc::new(Names(table)));
    World {
        fetcher: KeyFetcher::with(builder, PATIENCE),
        asked,
        _shutdown: shutdown.token.clone().drop_guard(),
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    manners: BTreeMap<String, Manner>,
    asked: Arc<Mutex<Vec<String>>>,
    shutdown: Shutdown,
) {
    let token: CancellationToken = shutdown.token.clone();
    while let Some(Ok((stream, _))) = token.run_until_cancelled(listener.accept()).await {
        let (tls, manners, asked) = (tls.clone(), manners.clone(), Arc::clone(&asked));
        let token = token.clone();
        shutdown.spawn(async move {
            let Ok(mut stream) = tls.accept(stream).await else {
                return;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(octet) => head.push(octet),
                    Err(_) => return,
                }
            }
            let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
            let host = head
                .split("host: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next());
            let host = host.unwrap_or_default().to_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            asked.lock().unwrap().push(format!("{host}{path}"));
            assert!(
                !head.contains("cookie:") && !head.contains("referer:"),
                "{head}"
            );
            let manner = manners
                .get(&host)
                .cloned()
                .unwrap_or(Manner::Status("404 Not Found"));
            let answering = answer(&mut stream, manner, &path);
            drop(token.run_until_cancelled(answering).await);
        });
    }
}

async fn answer(
    stream: &mut (impl tokio::io::AsyncWrite + Unpin),
    manner: Manner,
    path: &str,
) -> io::Result<()> {
    let with_length = |status: &str, octets: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            octets.len()
        );
        [head.as_bytes(), octets].concat()
    };
    match manner {
        Manner::Gives(octets) => stream.write_all(&with_length("200 OK", &octets)).await?,
        Manner::Status(status) => stream.write_all(&with_length(status, b"no")).await?,
        Manner::Redirects(to) => {
            let to = to.replace("{path}", path);
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
        }
        Manner::Silent => std::future::pending().await,
        Manner::Trickles => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
                .await?;
            loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Manner::Endless => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await?;
            let chunk = [b"1000\r\n", &[b'x'; 4096][..], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
            }
        }
        Manner::Announces(length) => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&vec![b'x'; length]).await?;
        }
        Manner::Breaks => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\nxxx")
                .await?;
        }
    }
    stream.shutdown().await
}

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn bob() -> Address {
    address("bob@example.org")
}

fn key(of: &Address) -> SecretCertificate {
    SecretCertificate::generate(of, None, NOW, &mut OsRng).unwrap()
}

fn revoked(key: &SecretCertificate) -> Certificate {
    let revoked = key.revoked(RevocationReason::Compromised, "", NOW, &mut OsRng);
    revoked.unwrap().certificate().clone()
}

/// Looks bob up, as the bridge does; our provider has nobody.
async fn look_up(world: &World, sources: &Sources) -> Option<letterlock_core::keys::Found> {
    let own = address("alice@example.net");
    let mut lookup = Lookup::new(&own, &bob(), Purpose::Sending, sources);
    while let Some(request) = lookup.next_request().cloned() {
        let answer = match request {
            Request::Directory(_) | Request::OpenPgpKey { .. } => Answer::Nothing,
            Request::Https { url } => world.fetcher.fetch(&url).await,
        };
        lookup.handle(&answer, LATER);
    }
    lookup.finish()
}

const ADVANCED: &str = "openpgpkey.example.org";
const DIRECT: &str = "example.org";

fn gives(certificate: &Certificate) -> Manner {
    Manner::Gives(certificate.to_bytes())
}

#[tokio::test]
async fn a_web_key_directory_is_asked_where_it_is() {
    let key = key(&bob());
    for (host, found) in [(ADVANCED, true), (DIRECT, true), ("elsewhere.org", false)] {
        let world = world(&[(host, gives(key.certificate()))]).await;
        let answer = look_up(&world, &Sources::default()).await;
        assert_eq!(answer.is_some(), found, "{host}");
        if let Some(answer) = answer {
            assert_eq!(answer.source, Source::WebKeyDirectory);
            assert_eq!(answer.certificate.fingerprint(), key.fingerprint());
        }
    }
    // A directory that exists and has nobody is the last word of the domain.
    let both = [
        (ADVANCED, Manner::Status("404 Not Found")),
        (DIRECT, gives(key.certificate())),
    ];
    let world = world(&both).await;
    assert_eq!(look_up(&world, &Sources::default()).await, None);
    assert_eq!(world.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn whatever_a_server_does_a_lookup_ends_without_a_key() {
    let manners = [
        Manner::Silent,
        Manner::Trickles,
        Manner::Endless,
        Manner::Announces(MAX_ANSWER_OCTETS + 1),
        Manner::Announces(20_000_000),
        Manner::Breaks,
        Manner::Status("500 Internal Server Error"),
        Manner::Status("200 OK"),
        Manner::Status("204 No Content"),
        Manner::Gives(b"<html>welcome</html>".to_vec()),
        Manner::Gives(vec![]),
        // Somebody else's.
        gives(key(&address("eve@example.org")).certificate()),
        Manner::Redirects("https://elsewhere.org{path}".into()),
        Manner::Redirects("http://openpgpkey.example.org{path}".into()),
        Manner::Redirects("https://openpgpkey.example.org:444{path}".into()),
        // Round and round at one host.
        Manner::Redirects("https://openpgpkey.example.org{path}".into()),
        Manner::Redirects("file:///etc/passwd".into()),
    ];
    let elsewhere = key(&bob());
    for manner in manners {
        let hosts = [
            (ADVANCED, manner),
            ("elsewhere.org", gives(elsewhere.certificate())),
        ];
        let world = world(&hosts).await;
        let looked = tokio::time::timeout(PATIENCE * 4, look_up(&world, &Sources::default())).await;
        assert_eq!(looked.expect("it ends in time"), None);
        let asked = world.asked.lock().unwrap().clone();
        assert!(
            asked.iter().all(|place| place.starts_with(ADVANCED)),
            "{asked:?}"
        );
        assert!(asked.len() <= 1 + MAX_REDIRECTS, "{asked:?}");
    }
}

/// As the bridge does at each letter: whoever had nothing is asked again after an hour.
#[tokio::test]
async fn who_had_nothing_is_left_alone_for_an_hour() {
    let world = world(&[(ADVANCED, Manner::Status("404 Not Found"))]).await;
    let own = address("alice@example.net");
    let mut notes = NotFound::default();
    for (secs, questions) in [(0, 1), (1, 1), (NOT_FOUND_SECS - 1, 1), (NOT_FOUND_SECS, 2)] {
        let now = Timestamp::from_secs(NOW.as_secs() + secs);
        let sources = notes.sources(&bob(), &Sources::default(), now);
        let lookup = Lookup::new(&own, &bob(), Purpose::Sending, &sources);
        let at_home = |_| async { Ok::<_, io::Error>(Answer::Nothing) };
        let lookup = carry_out(lookup, (&world.fetcher, None), at_home, now)
            .await
            .unwrap();
        notes.note(&bob(), lookup.strangers(), now);
        assert_eq!(lookup.finish(), None);
        assert_eq!(world.asked.lock().unwrap().len(), questions, "{secs}");
    }
}

/// A round of the loop that asks for news: a revocation is learnt and kept.
#[tokio::test]
async fn a_refresh_learns_a_revocation() {
    let key = key(&bob());
    let hosts = [("keyserver.example.com", gives(&revoked(&key)))];
    let world = world(&hosts).await;
    let keys = AccountKeys::derive(AccountId::new([1; 16]), 1, &RootKey::from_octets([1; 32]));
    let own = address("alice@example.net");
    let store = MemoryStore::new();
    let account = Account::open(store, own, keys, [1; 32], NOW).await.unwrap();
    account.set_key_sources(Sources {
        revocation_server: Some("keyserver.example.com".into()),
        ..Sources::default()
    });
    assert!(
        !refresh_one(&account, &world.fetcher).await.unwrap(),
        "nobody is known"
    );
    let offer = Offer {
        address: bob(),
        certificate: key.certificate().clone(),
        level: Level::WeakChain,
        seen_at: NOW,
        prefers_encryption: false,
    };
    let Decision::Store(contact) = keyring::consider(None, &offer, LATER) else {
        panic!("nobody was known");
    };
    account.store_contact(*contact, LATER).await.unwrap();
    assert!(refresh_one(&account, &world.fetcher).await.unwrap());
    let known = account.contact(&bob()).await.unwrap().unwrap();
    let known = known.parse_certificate().unwrap();
    assert_eq!(known.usable_for_encryption(LATER), Err(Unusable::Revoked));
    // The same again is no news.
    assert!(!refresh_one(&account, &world.fetcher).await.unwrap());
}

#[tokio::test]
async fn a_certificate_of_another_host_is_no_https() {
    // The name resolves, and who answers there has no certificate for it.
    let world = world(&[(ADVANCED, gives(key(&bob()).certificate()))]).await;
    let place = "https://openpgpkey.example.org";
    assert!(matches!(
        world.fetcher.fetch(place).await,
        Answer::Octets(_)
    ));
    let stranger = KeyFetcher::with(
        Client::builder()
            .no_proxy()
            .dns_resolver(Arc::new(Names(BTreeMap::new()))),
        PATIENCE,
    );
    assert_eq!(stranger.fetch(place).await, Answer::NoHost);
    assert_eq!(
        stranger.fetch("http://openpgpkey.example.org").await,
        Answer::Failed
    );
}

#[tokio::test]
async fn a_revoked_key_is_told_and_nobody_weaker_is_asked() {
    let revoked = revoked(&key(&bob()));
    let hosts = [
        (ADVANCED, gives(&revoked)),
        ("keys.openpgp.org", gives(key(&bob()).certificate())),
    ];
    let world = world(&hosts).await;
    let sources = Sources {
        key_server: Some("keys.openpgp.org".into()),
        ..Sources::default()
    };
    let found = look_up(&world, &sources).await.unwrap().certificate;
    assert_eq!(found.usable_for_encryption(LATER), Err(Unusable::Revoked));
    assert_eq!(world.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn key_servers_are_asked_if_they_are_named() {
    let key = key(&bob());
    let revoked = revoked(&key);
    let hosts = [
        ("keys.openpgp.org", gives(key.certificate())),
        ("keyserver.example.com", gives(&revoked)),
    ];
    let world = world(&hosts).await;
    assert_eq!(look_up(&world, &Sources::default()).await, None);
    let sources = Sources {
        key_server: Some("keys.openpgp.org".into()),
        revocation_server: Some("keyserver.example.com".into()),
        ..Sources::default()
    };
    let found = look_up(&world, &sources).await.unwrap();
    assert_eq!(found.source, Source::KeyServer);
    let mut refresh = Refresh::new(&found.certificate, &sources);
    while let Some(Request::Https { url }) = refresh.next_request().cloned() {
        refresh.handle(&world.fetcher.fetch(&url).await);
    }
    let news = refresh.finish();
    assert_eq!(news.usable_for_encryption(LATER), Err(Unusable::Revoked));
    let asked = world.asked.lock().unwrap().clone();
    let fingerprint = key.fingerprint().to_string().to_ascii_lowercase();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(
        asked[1..].iter().all(|place| place.contains(&fingerprint)),
        "{asked:?}"
    );
}
