//! Signatures over one document, each changed in one way, written octet by octet: rPGP would
//! refuse to make most of them.

use pgp::composed::SignedSecretKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, SignatureBytes, SigningKey as _};

use super::expected::SIGNATURES;
use super::judges::{self, Desk};
use super::{Verdict, compare, now, vectors};
use crate::openpgp::attack_tests::certificates::{WAYS, Way, alice};
use crate::openpgp::test_support::{NOW, secret};
use crate::openpgp::{Certificate, SecretCertificate, sign};

const DOCUMENT: &[u8] = b"thirteen o'clock \r\nas agreed\r\n";
/// Fewest signatures that are judged.
const FEWEST: usize = 100;
/// When they are made, in seconds since the epoch.
const MADE_AT: u32 = 1_767_225_610;

type Subpacket = (u8, Vec<u8>);
type Change = fn(&mut Draft);

/// A signature of version 4 (RFC 9580 5.2.3) before it is written.
struct Draft {
    key: SignedSecretKey,
    version: u8,
    kind: u8,
    algorithm: u8,
    hash: u8,
    hashed: Vec<Subpacket>,
    unhashed: Vec<Subpacket>,
    /// What is hashed, if not the document.
    document: Vec<u8>,
    /// What becomes of the octets of the packet's body.
    after: fn(&mut Vec<u8>),
    /// What becomes of the packet.
    framed: fn(Vec<u8>) -> Vec<u8>,
}

const CREATED: u8 = 2;
const ISSUER_ID: u8 = 16;
const ISSUER: u8 = 33;
const CRITICAL: u8 = 0x80;

impl Draft {
    fn new(key: SignedSecretKey) -> Self {
        let public = &key.primary_key;
        let fingerprint = [&[4], public.fingerprint().as_bytes()].concat();
        let id = public.legacy_key_id().as_ref().to_vec();
        Self {
            version: 4,
            kind: 0,
            algorithm: public.algorithm().into(),
            hash: 10,
            hashed: vec![
                (CREATED, MADE_AT.to_be_bytes().to_vec()),
                (ISSUER, fingerprint),
            ],
            unhashed: vec![(ISSUER_ID, id)],
            document: DOCUMENT.to_vec(),
            after: |_| {},
            framed: |body| framed(&body),
            key,
        }
    }

    fn set(&mut self, kind: u8, data: &[u8]) {
        self.hashed.retain(|(known, _)| known & 0x7f != kind & 0x7f);
        self.hashed.push((kind, data.to_vec()));
    }

    fn time(&mut self, seconds: u32) {
        self.set(CREATED, &seconds.to_be_bytes());
    }

    fn write(&self) -> Vec<u8> {
        let first = area(&self.hashed);
        let mut body = vec![self.version, self.kind, self.algorithm, self.hash];
        body.extend_from_slice(&u16::try_from(first.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&first);
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let trailer = [&[self.version, 0xff], &length[..]].concat();
        let known = HashAlgorithm::from(self.hash);
        // An algorithm that nobody knows: any digest.
        let used = if known.new_hasher().is_ok() {
            known
        } else {
            HashAlgorithm::Sha512
        };
        let mut hasher = used.new_hasher().unwrap();
        hasher.update(&self.document);
        hasher.update(&body);
        hasher.update(&trailer);
        let digest = hasher.finalize().into_vec();
        let signed = self
            .key
            .primary_key
            .sign(&Password::empty(), used, &digest)
            .unwrap();
        let unhashed = area(&self.unhashed);
        body.extend_from_slice(&u16::try_from(unhashed.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&unhashed);
        body.extend_from_slice(&digest[..2]);
        let SignatureBytes::Mpis(numbers) = signed else {
            panic!("the keys of these tests sign in numbers");
        };
        body.extend_from_slice(&numbers.to_bytes().unwrap());
        (self.after)(&mut body);
        (self.framed)(body)
    }
}

fn area(subpackets: &[Subpacket]) -> Vec<u8> {
    let mut out = Vec::new();
    for (kind, data) in subpackets {
        out.push(u8::try_from(data.len() + 1).unwrap());
        out.push(*kind);
        out.extend_from_slice(data);
    }
    out
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0xc2, 0xff], &length[..], body].concat()
}

fn eves_fingerprint() -> Vec<u8> {
    [&[4], secret("eve").fingerprint().as_bytes()].concat()
}

fn notation() -> Vec<u8> {
    let name = b"x@letterlock.example";
    let lengths = [0x80, 0, 0, 0, 0, u8::try_from(name.len()).unwrap(), 0, 1];
    [&lengths[..], name, b"y"].concat()
}

/// Types of signature (RFC 9580 5.2.1), each over the document.
const TYPES: [u8; 18] = [
    0x00, 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13, 0x18, 0x19, 0x1f, 0x20, 0x28, 0x30, 0x40, 0x50,
    0x60, 0xff,
];

/// Kinds of subpackets that stand in the hashed area, not critical and critical, with what they
/// say (RFC 9580 5.2.3.7).
fn subpackets() -> Vec<(&'static str, u8, Vec<u8>)> {
    vec![
        ("exportable-no", 4, vec![0]),
        ("trust", 5, vec![1, 60]),
        ("regular-expression", 6, b"<[^>]+[@.]example>$\0".to_vec()),
        ("revocable-no", 7, vec![0]),
        ("ciphers", 11, vec![9]),
        ("revocation-key", 12, [&[0x80, 22], &[7; 20][..]].concat()),
        ("notation", 20, notation()),
        ("hashes", 21, vec![10]),
        ("server-preferences", 23, vec![0x80]),
        ("key-server", 24, b"https://keys.example/".to_vec()),
        ("primary-user-id", 25, vec![1]),
        ("policy", 26, b"https://letterlock.example/policy".to_vec()),
        ("key-flags", 27, vec![2]),
        (
            "signers-user-id",
            28,
            b"alice <alice@letterlock.example>".to_vec(),
        ),
        ("revocation-reason", 29, vec![0]),
        ("features", 30, vec![1]),
        ("target", 31, [&[22, 10], &[7; 64][..]].concat()),
        ("intended-recipient", 35, eves_fingerprint()),
        ("unknown", 99, vec![1]),
        ("private", 101, vec![1]),
    ]
}

const TIMES: [(&str, Change); 14] = [
    ("time-none", |draft| drop(draft.hashed.remove(0))),
    ("time-unhashed", |draft| {
        let time = draft.hashed.remove(0);
        draft.unhashed.push(time);
    }),
    ("time-zero", |draft| draft.time(0)),
    ("time-of-key", |draft| draft.time(MADE_AT - 10)),
    ("time-before-key", |draft| draft.time(MADE_AT - 11)),
    ("time-in-ten-years", |draft| {
        draft.time(MADE_AT + 315_360_000);
    }),
    ("time-last", |draft| draft.time(u32::MAX)),
    ("time-twice", |draft| {
        let time = draft.hashed[0].clone();
        draft.hashed.push(time);
    }),
    ("time-twice-other", |draft| {
        draft
            .hashed
            .push((CREATED, (MADE_AT + 5).to_be_bytes().to_vec()));
    }),
    ("time-critical", |draft| draft.hashed[0].0 |= CRITICAL),
    ("lifetime-zero", |draft| draft.set(3, &[0; 4])),
    ("lifetime-elapsed", |draft| draft.set(3, &[0, 0, 0, 1])),
    ("lifetime-longest", |draft| draft.set(3, &[255; 4])),
    ("lifetime-elapsed-unhashed", |draft| {
        draft.unhashed.push((3, vec![0, 0, 0, 1]));
    }),
];

const ISSUERS: [(&str, Change); 9] = [
    ("issuer-none", |draft| {
        draft.hashed.truncate(1);
        draft.unhashed.clear();
    }),
    ("issuer-id-only", |draft| draft.hashed.truncate(1)),
    ("issuer-fingerprint-only", |draft| draft.unhashed.clear()),
    ("issuer-foreign-fingerprint", |draft| {
        draft.set(ISSUER, &eves_fingerprint());
    }),
    ("issuer-two-fingerprints", |draft| {
        draft.hashed.push((ISSUER, eves_fingerprint()));
    }),
    ("issuer-foreign-id", |draft| {
        draft.unhashed = vec![(ISSUER_ID, vec![7; 8])];
    }),
    ("issuer-wildcard-id", |draft| {
        draft.unhashed = vec![(ISSUER_ID, vec![0; 8])];
    }),
    ("issuer-foreign-unhashed", |draft| {
        draft.unhashed.push((ISSUER, eves_fingerprint()));
    }),
    ("issuer-of-version-5", |draft| draft.hashed[1].1[0] = 5),
];

const SHAPES: [(&str, Change); 17] = [
    ("prefix-flipped", |draft| {
        draft.after = |body| {
            let place = body.len() - 70;
            body[place] ^= 1;
        };
    }),
    ("value-flipped", |draft| {
        draft.after = |body| {
            let place = body.len() - 1;
            body[place] ^= 1;
        };
    }),
    ("value-zero", |draft| {
        draft.after = |body| {
            let start = body.len() - 30;
            body[start..].fill(0);
        };
    }),
    ("octet-more", |draft| draft.after = |body| body.push(0)),
    ("octet-less", |draft| {
        draft.after = |body| body.truncate(body.len() - 1);
    }),
    ("version-3", |draft| draft.version = 3),
    ("version-5", |draft| draft.version = 5),
    ("version-6", |draft| draft.version = 6),
    ("algorithm-rsa", |draft| draft.algorithm = 1),
    ("algorithm-native", |draft| draft.algorithm = 27),
    ("algorithm-unknown", |draft| draft.algorithm = 99),
    ("hash-unknown", |draft| draft.hash = 99),
    ("old-frame", |draft| {
        draft.framed = |body| {
            let length = u16::try_from(body.len()).unwrap().to_be_bytes();
            [&[0x89], &length[..], &body].concat()
        };
    }),
    ("frame-without-end", |draft| {
        draft.framed = |body| [&[0x8b], &body[..]].concat();
    }),
    ("partial-frame", |draft| {
        draft.framed = |body| {
            let (first, rest) = body.split_at(64);
            [
                &[0xc2, 0xe6],
                first,
                &[u8::try_from(rest.len()).unwrap()],
                rest,
            ]
            .concat()
        };
    }),
    ("frame-too-long", |draft| {
        draft.framed = |body| {
            let mut octets = framed(&body);
            octets[5] += 1;
            octets
        };
    }),
    ("garbage-behind", |draft| {
        draft.framed = |body| [framed(&body), vec![0x55; 9]].concat();
    }),
];

const DOCUMENTS: [(&str, Change); 6] = [
    ("another-document", |draft| {
        draft.document = b"noon\r\n".to_vec();
    }),
    ("empty-document", |draft| draft.document = vec![]),
    ("binary-of-other-line-ends", |draft| {
        draft.document = b"thirteen o'clock \nas agreed\n".to_vec();
    }),
    ("text-as-it-is", |draft| draft.kind = 1),
    ("text-of-other-line-ends", |draft| {
        draft.kind = 1;
        draft.document = b"thirteen o'clock \nas agreed\n".to_vec();
    }),
    ("text-without-trailing-space", |draft| {
        draft.kind = 1;
        draft.document = b"thirteen o'clock\r\nas agreed\r\n".to_vec();
    }),
];

/// A name, a certificate and a signature.
type Item = (String, Vec<u8>, Vec<u8>);

fn item(name: String, draft: &Draft) -> Item {
    let certificate = draft.key.to_public_key().to_bytes().unwrap();
    (name, certificate, draft.write())
}

fn signatures() -> Vec<Item> {
    let own = || secret("alice").packets().clone();
    let changed = |name: &str, change: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::new(own());
        change(&mut draft);
        item(name.to_owned(), &draft)
    };
    let mut items = vec![changed("as-it-should-be", &|_| {})];
    for (name, change) in TIMES
        .iter()
        .chain(&ISSUERS)
        .chain(&SHAPES)
        .chain(&DOCUMENTS)
    {
        items.push(changed(name, change));
    }
    for kind in TYPES {
        items.push(changed(&format!("type-{kind:02x}"), &|draft| {
            draft.kind = kind;
        }));
    }
    for (name, kind, data) in subpackets() {
        for (how, mark) in [("plain", 0), ("critical", CRITICAL)] {
            let name = format!("{name}-{how}");
            items.push(changed(&name, &|draft| {
                draft.hashed.push((kind | mark, data.clone()));
            }));
        }
        let name = format!("{name}-unhashed");
        items.push(changed(&name, &|draft| {
            draft.unhashed.push((kind | CRITICAL, data.clone()));
        }));
    }
    for way in WAYS {
        items.push(item(
            format!("key-{way:?}"),
            &Draft::new(alice(way, Way::Good)),
        ));
    }
    let strangers = item(String::new(), &Draft::new(secret("eve").packets().clone()));
    items.push(("by-a-stranger".to_owned(), items[0].1.clone(), strangers.2));
    if let Some(key) = rsa() {
        for hash in [1, 2, 3, 8, 9, 10, 11, 12, 14] {
            let mut draft = Draft::new(key.packets().clone());
            draft.hash = hash;
            // Its key is older than ours.
            items.push(item(format!("rsa-hash-{hash}"), &draft));
        }
    }
    items
}

/// A key of RSA that ships with rPGP: such a key signs what others' hashes give.
fn rsa() -> Option<SecretCertificate> {
    let path = vectors("pgp")?.join("rfc9580/v4-rsa/tsk.asc");
    SecretCertificate::parse(&std::fs::read(path).ok()?, None).ok()
}

#[test]
fn others_verify_the_same_signatures() {
    if !judges::are_here() {
        return;
    }
    assert!(i64::from(MADE_AT) == NOW.as_secs() + 10);
    let items = signatures();
    assert!(items.len() >= FEWEST, "{} signatures", items.len());
    assert!(
        items.iter().any(|(name, ..)| name == "rsa-hash-8"),
        "the RSA key is missing"
    );
    let desk = Desk::new("signatures");
    let mut ours = Vec::new();
    for (number, (_, certificate, signature)) in items.iter().enumerate() {
        desk.write(&format!("{number}.cert"), certificate);
        desk.write(&format!("{number}.sig"), signature);
        desk.write(&format!("{number}.doc"), DOCUMENT);
        let known: Vec<Certificate> = Certificate::parse(certificate).into_iter().collect();
        let proofs = sign::read_detached(DOCUMENT, signature).proofs(&known, now());
        ours.push(!proofs.is_empty());
    }
    assert!(ours[0], "what is in order is good");
    let mut wrong = Vec::new();
    for judge in ["pysequoia", "gpg"] {
        let good = desk.judge(judge, "signatures");
        let verdicts: Vec<Verdict> = items
            .iter()
            .enumerate()
            .map(|(number, (name, ..))| Verdict {
                name: name.clone(),
                ours: ours[number],
                why: String::new(),
                theirs: good.contains(&number),
            })
            .collect();
        wrong.extend(compare(judge, &verdicts, SIGNATURES));
    }
    assert!(
        wrong.is_empty(),
        "not as in the table:\n{}",
        wrong.join("\n")
    );
}
