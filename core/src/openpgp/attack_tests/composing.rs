//! What we write ourselves: no value becomes a field of its own (24), and nobody finds out who else
//! was written to (33).

use super::*;
use crate::id::Address;
use crate::keys::autocrypt;
use crate::mime::build::{NewMessage, NewPart, Person};
use crate::mime::{decode_header, header, split};
use crate::openpgp::decrypt;
use crate::openpgp::pgp_mime::{Sender, sign as sign_mail, sign_and_encrypt};
use crate::openpgp::protection::{BadSignature, SignatureStatus};
use crate::sending::{Decision, SendingPolicy, decide};

/// Values that try to end their field, their line, their quotes or their part.
const VALUES: [&str; 16] = [
    "a\r\nBcc: eve@letterlock.example",
    "a\nBcc: eve@letterlock.example",
    "a\rBcc: eve@letterlock.example",
    "a\r\n\r\n<script>",
    "a\u{2028}Bcc: eve@letterlock.example",
    "a\u{85}Bcc: eve@letterlock.example",
    "a\0Bcc: eve@letterlock.example",
    "a\"\r\nBcc: eve@letterlock.example\r\nX: \"",
    "a\\\"; x=\"\r\nBcc: eve@letterlock.example",
    "a>\r\nBcc: <eve@letterlock.example",
    "=?utf-8?q?a=0D=0ABcc:_eve?=",
    "=?utf-8?b?YQ0KQmNjOiBldmU=?=",
    "a\r\n Bcc: eve@letterlock.example\r\nBcc: eve@letterlock.example",
    "a\r\n--=_b\r\nContent-Type: text/html\r\n\r\n<script>",
    ": : :\r\n",
    "\r\n",
];

const PLACES: [&str; 12] = [
    "name",
    "subject",
    "message id",
    "in reply to",
    "references",
    "field name",
    "field value",
    "file name",
    "content id",
    "media type",
    "subtype",
    "text",
];

/// A message with one hostile value in one place.
fn hostile(place: &str, value: &str) -> NewMessage {
    let at = |wanted: &str, harmless: &str| {
        if place == wanted {
            value.to_owned()
        } else {
            harmless.to_owned()
        }
    };
    let file = NewPart::File {
        media_type: at("media type", "image/png"),
        file_name: Some(at("file name", "a.png")),
        content_id: Some(at("content id", "c@letterlock.example")),
        octets: b"x".to_vec(),
    };
    let body = NewPart::Multipart {
        subtype: at("subtype", "mixed"),
        parameters: vec![],
        parts: vec![
            NewPart::Text {
                subtype: "plain".to_owned(),
                text: at("text", "hello"),
            },
            file,
        ],
    };
    let person = |name: String, local| Person {
        name,
        address: address(local),
    };
    let alice = person(at("name", "Alice"), "alice");
    let id = at("message id", "1@letterlock.example");
    let mut message = NewMessage::new(alice, NOW, &id, body);
    message.to = vec![person(at("name", "Bob"), "bob")];
    message.subject = at("subject", "s");
    message.in_reply_to = vec![at("in reply to", "2@letterlock.example")];
    message.references = vec![at("references", "2@letterlock.example")];
    message.fields = vec![(at("field name", "X-A"), at("field value", "v"))];
    message
}

/// The names of a header's fields, in order.
fn names(raw: &[u8]) -> Vec<String> {
    let end = header::header_end(raw);
    header::fields(&raw[..end])
        .map(|field| text(field.name))
        .collect()
}

#[test]
fn attack_24_no_value_becomes_a_field() {
    let harmless = hostile("", "").write([1; 16]);
    let expected = names(&harmless);
    let parts = split(&harmless).structure.root.children().len();
    let mut members = 0;
    for place in PLACES {
        for value in VALUES {
            let written = hostile(place, value).write([1; 16]);
            let case = format!("{place}: {value:?}\n{}", text(&written));
            // What is no name, id or type is left out; nothing is ever added.
            let mut left = expected.iter();
            for name in names(&written) {
                // What is a name of a field may be one.
                let given = place == "field name" && name == value;
                assert!(given || left.any(|known| *known == name), "{name}: {case}");
            }
            // A subtype that is none makes the whole an octet stream.
            let found = split(&written).structure.root.children().len();
            assert!(
                found == parts || (place == "subtype" && found == 0),
                "{case}"
            );
            assert!(written.is_ascii() && !written.contains(&0), "{case}");
            let bare = text(&written).replace("\r\n", "");
            assert!(!bare.contains(['\r', '\n']), "{case}");
            members += 1;
        }
    }
    assert_eq!(members, 12 * 16);
}

#[test]
fn attack_24_nor_does_it_when_it_is_signed_or_encrypted() {
    let alice = secret("alice");
    let from = address("alice");
    let sender = Sender {
        key: &alice,
        address: &from,
        now: NOW,
    };
    let to = [public("bob")];
    let protect = |message: &[u8]| {
        [
            sign_mail(message, &sender, &mut rng(1)).unwrap(),
            sign_and_encrypt(message, &to, &sender, &mut rng(1)).unwrap(),
        ]
    };
    let expected = protect(&hostile("", "").write([1; 16])).map(|raw| names(&raw));
    for place in PLACES {
        for value in VALUES {
            let protected = protect(&hostile(place, value).write([1; 16]));
            for (raw, expected) in protected.iter().zip(&expected) {
                let mut left = expected.iter();
                for name in names(raw) {
                    let given = place == "field name" && name == value;
                    let known = given || left.any(|known| *known == name);
                    assert!(known, "{place} {value:?}: {name}");
                }
                let shown = bob_opens(raw);
                let bcc = names(&shown.rendered)
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case("bcc"));
                assert!(!bcc, "{place} {value:?}: {}", text(&shown.rendered));
            }
        }
    }
}

#[test]
fn attack_24_addresses_and_keys_carry_no_line_ends() {
    for value in VALUES {
        for address in [
            value.to_owned(),
            format!("{value}@letterlock.example"),
            format!("\"{value}\"@letterlock.example"),
            format!("alice@{value}"),
            format!("alice@letterlock.example{value}"),
        ] {
            if let Ok(address) = Address::new(&address) {
                assert!(
                    !address.as_str().contains(['\r', '\n', '\0']),
                    "{address:?}"
                );
            }
        }
        // What is decoded for a person is one line.
        let shown = decode_header(value.as_bytes());
        assert!(!shown.contains(['\r', '\n', '\0']), "{value:?}: {shown:?}");
    }
    let field = autocrypt::write(&public("alice"), &address("alice"), NOW).unwrap();
    assert_eq!(header::fields(field.as_bytes()).count(), 1);
}

const PEOPLE: [&str; 4] = ["bob", "carol", "dave", "erin"];

/// A letter to four people, of whom each stands in To, Cc or Bcc; who is shown, and who is hidden.
fn letter(number: usize) -> (String, Vec<&'static str>, Vec<&'static str>) {
    let mut listed = [vec![], vec![], vec![]];
    for (place, person) in (0_u32..).zip(PEOPLE) {
        listed[number / 3_usize.pow(place) % 3].push(person);
    }
    let mut message = String::from("From: alice@letterlock.example\r\n");
    for (name, locals) in ["To", "Cc", "Bcc"].iter().zip(&listed) {
        for local in locals {
            // A field for each: several of one name are read as one.
            message += &[name, ": ", local, "@letterlock.example\r\n"].concat();
        }
    }
    message += "Resent-Bcc: dave@letterlock.example\r\nSubject: s\r\n\r\nhello\r\n";
    let [to, cc, hidden] = listed;
    (message, [to, cc].concat(), hidden)
}

fn addresses(locals: &[&str]) -> Vec<Address> {
    locals.iter().map(|local| address(local)).collect()
}

fn key_id(local: &str) -> Vec<u8> {
    let certificate = public(local);
    let at = policy::seconds(NOW);
    let subkey = certificate.verified().encryption_key(at).unwrap();
    let id = pgp::types::KeyDetails::legacy_key_id(&subkey.key);
    id.as_ref().to_vec()
}

/// What leaves for a group shows nobody who is not in it.
fn shows_only(group: &[Address], message: &str) {
    let (alice, from) = (secret("alice"), address("alice"));
    let sender = Sender {
        key: &alice,
        address: &from,
        now: NOW,
    };
    let locals: Vec<&str> = group.iter().map(Address::local_part).collect();
    let certificates: Vec<Certificate> = locals.iter().map(|local| public(local)).collect();
    let wire = sign_and_encrypt(message.as_bytes(), &certificates, &sender, &mut rng(1)).unwrap();
    let start = text(&wire).find("-----BEGIN").unwrap();
    // What follows is base64, which may spell anything.
    let clear = text(&wire[..start]);
    assert!(!clear.contains("Bcc"), "{clear}");
    let binary = crate::openpgp::armor::unwrap(&wire[start..], 1 << 20).unwrap();
    let mut sessions: Vec<Vec<u8>> = packets(&binary)
        .into_iter()
        .filter(|(tag, _)| *tag == 1)
        .map(|(_, body)| body[1..9].to_vec())
        .collect();
    let everyone = locals.iter().copied().chain(["alice"]);
    let mut expected: Vec<Vec<u8>> = everyone.map(key_id).collect();
    sessions.sort();
    expected.sort();
    assert_eq!(sessions, expected, "{message}");
    // Nor does the signature name them: to anybody else it is not for them. Nor does gossip.
    let opened = decrypt::message(&binary, &[secret("alice")], &Limits::default()).unwrap();
    let inside = text(&opened.plaintext);
    for person in PEOPLE {
        let reader = Some(public(person).fingerprint());
        let signatures = opened.signatures.clone().opened_with(reader);
        let status = signatures.judge(&[public("alice")], Some(&from), READ_AT);
        let reason = BadSignature::NotForUs;
        let stranger = status == SignatureStatus::Bad { reason };
        assert_eq!(stranger, !locals.contains(&person), "{person} {locals:?}");
        let gossip = format!("Autocrypt-Gossip: addr={person}@");
        assert!(
            !stranger || !inside.contains(&gossip),
            "{person} {locals:?}"
        );
    }
}

#[test]
fn attack_33_nobody_finds_hidden_recipients() {
    let mut members = 0;
    for number in 0..3_usize.pow(4) {
        let (message, shown, hidden) = letter(number);
        let (everyone, shown) = (addresses(&PEOPLE), addresses(&shown));
        let policy = SendingPolicy::WherePossible;
        let Decision::Encrypt(groups) = decide(policy, &everyone, &shown, |_| true) else {
            panic!("everybody has a certificate");
        };
        assert_eq!(groups.len(), hidden.len() + usize::from(!shown.is_empty()));
        for group in groups {
            shows_only(&group, &message);
            members += 1;
        }
    }
    // 80 ways have somebody who is shown; 4 persons are hidden in a third of 81 ways each.
    assert_eq!(members, 80 + 4 * 27);
}
