//! A name server that misbehaves, with a zone that is signed here.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use hickory_resolver::proto::dnssec::crypto::Ed25519SigningKey;
use hickory_resolver::proto::dnssec::rdata::rrsig::RRSIG;
use hickory_resolver::proto::dnssec::rdata::sig::SigInput;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData};
use hickory_resolver::proto::dnssec::{Algorithm, DnssecSigner, SigningKey as _, TBS};
use hickory_resolver::proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, OPENPGPKEY};
use hickory_resolver::proto::rr::{DNSClass, LowerName, Record, SerialNumber};
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::keys::Source;
use letterlock_core::keys::lookup::{Lookup as KeyLookup, Purpose, Sources};
use letterlock_core::openpgp::SecretCertificate;
use letterlock_core::openpgp::policy::Unusable;
use letterlock_core::openpgp::secret_certificate::RevocationReason;
use rand::rngs::OsRng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::DropGuard;

use super::*;
use crate::bridge::directory::carry_out;
use crate::bridge::key_fetcher::KeyFetcher;
use crate::clock;
use crate::shutdown::Shutdown;

const PATIENCE: Duration = Duration::from_secs(2);
const ZONE: &str = "example.org.";
const DAY: u32 = 86_400;
/// Longest answer by UDP; a longer one is cut, and asked for again by TCP.
const UDP_OCTETS: usize = 1232;

/// What the server says when it is asked for a key.
#[derive(Clone)]
enum Manner {
    /// These, signed.
    Gives(Vec<Vec<u8>>),
    /// Without a signature.
    Unsigned(Vec<u8>),
    /// Signed, and changed after that.
    Forged(Vec<u8>),
    /// Signed by a key that the zone does not have.
    SignedByAnother(Vec<u8>),
    /// Signed, a year ago, for a day.
    Stale(Vec<u8>),
    /// An alias that is not signed, and what it leads to, which is.
    UnsignedAlias(Vec<u8>),
    Nothing,
    Refuses,
    Silent,
    /// No DNS.
    Babbles,
}

struct Zone {
    signer: DnssecSigner,
    other: DnssecSigner,
    manner: Manner,
    asked: Mutex<Vec<String>>,
}

fn signer() -> DnssecSigner {
    let key = Ed25519SigningKey::generate_pkcs8().unwrap();
    let key = Ed25519SigningKey::from_pkcs8(&key).unwrap();
    let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
    let zone = Name::from_ascii(ZONE).unwrap();
    DnssecSigner::new(dnskey, Box::new(key), zone, Duration::from_hours(1))
}

/// The signature of a set of records that began so many seconds ago, for a day.
fn signature(records: &[Record], signer: &DnssecSigner, age: u32) -> Record {
    let first = &records[0];
    let began = u32::try_from(clock::now().as_secs()).unwrap() - age;
    let input = SigInput {
        type_covered: first.record_type(),
        algorithm: Algorithm::ED25519,
        num_labels: first.name.num_labels(),
        original_ttl: first.ttl,
        sig_expiration: SerialNumber::new(began + DAY),
        sig_inception: SerialNumber::new(began),
        key_tag: signer.calculate_key_tag().unwrap(),
        signer_name: Name::from_ascii(ZONE).unwrap(),
    };
    let tbs = TBS::from_input(&first.name, DNSClass::IN, &input, records.iter()).unwrap();
    let octets = signer.sign(&tbs).unwrap();
    let data = RData::DNSSEC(DNSSECRData::RRSIG(RRSIG::from_sig(input, octets)));
    Record::from_rdata(first.name.clone(), first.ttl, data)
}

impl Zone {
    /// What it says, or nothing at all.
    fn answer(&self, query: &Query) -> Option<Message> {
        let mut message = Message::response(0, OpCode::Query);
        message.add_query(query.clone());
        let name = query.name().clone();
        if query.query_type() == RecordType::DNSKEY {
            let data = RData::DNSSEC(DNSSECRData::DNSKEY(self.signer.to_dnskey()));
            let keys = [Record::from_rdata(name, 3600, data)];
            message.add_answer(signature(&keys, &self.signer, 3600));
            message.add_answers(keys);
            return Some(message);
        }
        if query.query_type() != RecordType::OPENPGPKEY {
            message.metadata.response_code = ResponseCode::ServFail;
            return Some(message);
        }
        self.asked.lock().unwrap().push(name.to_string());
        let key = |octets: &[u8]| {
            let data = RData::OPENPGPKEY(OPENPGPKEY::new(octets.to_vec()));
            Record::from_rdata(name.clone(), 300, data)
        };
        match &self.manner {
            Manner::Gives(all) => {
                let records: Vec<Record> = all.iter().map(|octets| key(octets)).collect();
                message.add_answer(signature(&records, &self.signer, 3600));
                message.add_answers(records);
            }
            Manner::Unsigned(octets) => drop(message.add_answer(key(octets))),
            Manner::Forged(octets) => {
                message.add_answer(signature(&[key(b"something else")], &self.signer, 3600));
                message.add_answer(key(octets));
            }
            Manner::SignedByAnother(octets) => {
                message.add_answer(signature(&[key(octets)], &self.other, 3600));
                message.add_answer(key(octets));
            }
            Manner::Stale(octets) => {
                message.add_answer(signature(&[key(octets)], &self.signer, 365 * DAY));
                message.add_answer(key(octets));
            }
            Manner::UnsignedAlias(octets) => {
                let elsewhere = Name::from_ascii("elsewhere.example.org.").unwrap();
                let alias = RData::CNAME(CNAME(elsewhere.clone()));
                let data = RData::OPENPGPKEY(OPENPGPKEY::new(octets.clone()));
                let records = [Record::from_rdata(elsewhere, 300, data)];
                message.add_answer(Record::from_rdata(name.clone(), 300, alias));
                message.add_answer(signature(&records, &self.signer, 3600));
                message.add_answers(records);
            }
            Manner::Nothing => message.metadata.response_code = ResponseCode::NXDomain,
            Manner::Refuses => message.metadata.response_code = ResponseCode::Refused,
            Manner::Silent | Manner::Babbles => return None,
        }
        Some(message)
    }

    fn octets(&self, request: &[u8], most: usize) -> Option<Vec<u8>> {
        let request = Message::from_vec(request).ok()?;
        let query = request.queries.first()?;
        let is_key = query.query_type() == RecordType::OPENPGPKEY;
        if is_key && matches!(self.manner, Manner::Babbles) {
            return Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
        }
        let mut message = self.answer(query)?;
        message.metadata.id = request.metadata.id;
        let octets = message.to_vec().unwrap();
        if octets.len() <= most {
            return Some(octets);
        }
        let mut cut = Message::response(request.metadata.id, OpCode::Query);
        cut.add_query(query.clone());
        cut.metadata.truncation = true;
        Some(cut.to_vec().unwrap())
    }
}

struct World {
    resolver: KeyResolver,
    zone: Arc<Zone>,
    place: SocketAddr,
    _shutdown: DropGuard,
}

async fn world(manner: Manner) -> World {
    let zone = Zone {
        signer: signer(),
        other: signer(),
        manner,
        asked: Mutex::default(),
    };
    let zone = Arc::new(zone);
    let (udp, tcp) = loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let place = tcp.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let (by_udp, by_tcp) = (Arc::clone(&zone), Arc::clone(&zone));
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        drop(token.run_until_cancelled(serve_udp(udp, by_udp)).await);
    });
    let token = shutdown.token.clone();
    shutdown.spawn(async move {
        drop(token.run_until_cancelled(serve_tcp(tcp, by_tcp)).await);
    });
    let mut anchors = TrustAnchors::empty();
    let key = zone.signer.dnskey().public_key();
    anchors.insert_with_name(key, LowerName::from(Name::from_ascii(ZONE).unwrap()));
    World {
        resolver: KeyResolver::with(Some(place), anchors, PATIENCE).unwrap(),
        zone,
        place,
        _shutdown: shutdown.token.clone().drop_guard(),
    }
}

async fn serve_udp(socket: UdpSocket, zone: Arc<Zone>) -> io::Result<()> {
    let mut request = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut request).await?;
        if let Some(answer) = zone.octets(&request[..length], UDP_OCTETS) {
            socket.send_to(&answer, from).await?;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Arc<Zone>) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that breaks is the other side's to notice.
        talk(stream, &zone).await.ok();
    }
}

async fn talk(mut stream: TcpStream, zone: &Zone) -> io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut request = vec![0; length.into()];
        stream.read_exact(&mut request).await?;
        if let Some(answer) = zone.octets(&request, usize::from(u16::MAX)) {
            stream
                .write_u16(u16::try_from(answer.len()).unwrap())
                .await?;
            stream.write_all(&answer).await?;
        }
    }
}

fn bob() -> Address {
    Address::new("bob@example.org").unwrap()
}

fn key(of: &Address) -> SecretCertificate {
    SecretCertificate::generate(of, None, clock::now(), &mut OsRng).unwrap()
}

/// Looks bob up as the bridge does, whose domain has no Web Key Directory; our provider has nobody.
async fn look_up(world: &World) -> Option<letterlock_core::keys::Found> {
    let own = Address::new("alice@example.net").unwrap();
    let sources = Sources {
        web_key_directory: false,
        dane: true,
        ..Sources::default()
    };
    let lookup = KeyLookup::new(&own, &bob(), Purpose::Sending, &sources);
    let at_home = |_| async { Ok::<_, io::Error>(Answer::Nothing) };
    let fetcher = KeyFetcher::default();
    let strangers = (&fetcher, Some(&world.resolver));
    let looked = carry_out(lookup, strangers, at_home, later());
    let looked = tokio::time::timeout(PATIENCE * 3, looked).await;
    looked.expect("it ends in time").unwrap().finish()
}

fn later() -> Timestamp {
    Timestamp::from_secs(clock::now().as_secs() + 60)
}

#[tokio::test]
async fn a_key_in_a_signed_zone_is_found() {
    let key = key(&bob());
    let octets = key.certificate().to_bytes();
    let eve = Address::new("eve@example.org").unwrap();
    let mut many: Vec<Vec<u8>> = (0..4)
        .map(|_| self::key(&eve).certificate().to_bytes())
        .collect();
    many.insert(2, octets.clone());
    assert!(many.concat().len() > UDP_OCTETS, "it is asked again by TCP");
    for records in [vec![octets], many] {
        let world = world(Manner::Gives(records)).await;
        let found = look_up(&world).await.expect("it is there");
        assert_eq!(found.source, Source::Dane);
        assert_eq!(found.certificate.fingerprint(), key.fingerprint());
        let asked = world.zone.asked.lock().unwrap().clone();
        // SHA-256 of "bob", 28 octets of it.
        let name =
            "81b637d8fcd2c6da6359e6963113a1170de795e4b725b84d1e0b4cfd._openpgpkey.example.org.";
        assert!(asked.iter().all(|asked| asked == name), "{asked:?}");
    }
}

#[tokio::test]
async fn what_is_not_proven_is_no_key() {
    let octets = key(&bob()).certificate().to_bytes();
    for (manner, told) in [
        ("unsigned", Manner::Unsigned(octets.clone())),
        ("forged", Manner::Forged(octets.clone())),
        ("another", Manner::SignedByAnother(octets.clone())),
        ("stale", Manner::Stale(octets.clone())),
        ("alias", Manner::UnsignedAlias(octets.clone())),
    ] {
        let world = world(told).await;
        assert_eq!(look_up(&world).await, None, "{manner}");
        assert!(!world.zone.asked.lock().unwrap().is_empty(), "{manner}");
    }
    // The zone's own key is none of the anchors.
    let mut world = world(Manner::Gives(vec![octets])).await;
    let place = world.place;
    world.resolver = KeyResolver::with(Some(place), TrustAnchors::default(), PATIENCE).unwrap();
    assert_eq!(look_up(&world).await, None);
}

#[tokio::test]
async fn whatever_the_server_does_a_lookup_ends_without_a_key() {
    let eve = key(&Address::new("eve@example.org").unwrap());
    for (manner, told) in [
        ("nothing", Manner::Nothing),
        ("refuses", Manner::Refuses),
        ("silent", Manner::Silent),
        ("babbles", Manner::Babbles),
        (
            "somebody else's",
            Manner::Gives(vec![eve.certificate().to_bytes()]),
        ),
        ("no key", Manner::Gives(vec![b"<html>".to_vec()])),
        ("empty", Manner::Gives(vec![vec![]])),
        ("huge", Manner::Gives(vec![vec![0xc6; 60_000]])),
    ] {
        let world = world(told).await;
        assert_eq!(look_up(&world).await, None, "{manner}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_told() {
    let key = key(&bob());
    let why = RevocationReason::Compromised;
    let revoked = key.revoked(why, "", clock::now(), &mut OsRng).unwrap();
    let world = world(Manner::Gives(vec![revoked.certificate().to_bytes()])).await;
    let found = look_up(&world).await.unwrap().certificate;
    assert_eq!(found.usable_for_encryption(later()), Err(Unusable::Revoked));
}

#[tokio::test]
async fn a_trust_anchor_is_a_file_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("anchor");
    let server = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    std::fs::write(
        &file,
        ". 3600 IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=\n",
    )
    .unwrap();
    assert!(KeyResolver::new(server, Some(&file)).is_ok());
    std::fs::write(&file, "here be dragons\n").unwrap();
    let error = KeyResolver::new(server, Some(&file)).unwrap_err();
    assert!(
        error.to_string().contains("no file of DNSKEY records"),
        "{error}"
    );
    assert!(KeyResolver::new(server, Some(&folder.path().join("none"))).is_err());
    let keys = Keys {
        trust_anchor: Some(file),
        resolver: server,
        ..Keys::default()
    };
    assert!(KeyResolver::configured(&keys).is_none());
}
