//! Whose signature it is ("Johnny, you are fired", I1 to I3): the header shows alice, the
//! signature is eve's, and each is in order by itself.

use super::*;
use crate::openpgp::protection::SignatureStatus;
use crate::openpgp::secret_certificate::{Profile, Template};

/// Header fields that a person, or a program, may take for alice's.
const GUISES: [&str; 34] = [
    "From: alice@letterlock.example\r\n",
    "From: Alice <alice@letterlock.example>\r\n",
    "From: alice@letterlock.example\r\nFrom: eve@letterlock.example\r\n",
    "From: eve@letterlock.example\r\nFrom: alice@letterlock.example\r\n",
    "FROM: eve@letterlock.example\r\nfrom: alice@letterlock.example\r\n",
    "From: alice@letterlock.example, eve@letterlock.example\r\n",
    "From: eve@letterlock.example, alice@letterlock.example\r\n",
    "From: alice@letterlock.example; eve@letterlock.example\r\n",
    "From: friends: alice@letterlock.example;\r\n",
    "From: friends: eve@letterlock.example;, alice@letterlock.example\r\n",
    "From: \"alice@letterlock.example\" <eve@letterlock.example>\r\n",
    "From: alice@letterlock.example <eve@letterlock.example>\r\n",
    "From: <alice@letterlock.example> <eve@letterlock.example>\r\n",
    "From: <<alice@letterlock.example> eve@letterlock.example>\r\n",
    "From: \"Alice <alice@letterlock.example>\" <eve@letterlock.example>\r\n",
    "From: eve@letterlock.example (alice@letterlock.example)\r\n",
    "From: (eve@letterlock.example) alice@letterlock.example\r\n",
    "From: =?utf-8?q?alice=40letterlock=2Eexample?= <eve@letterlock.example>\r\n",
    "From: =?utf-8?q?alice=40letterlock=2Eexample?=\r\n",
    "From: =?utf-8?b?YWxpY2VAbGV0dGVybG9jay5leGFtcGxl?= <eve@letterlock.example>\r\n",
    "From: =?utf-8?q?Alice_=3Calice=40letterlock=2Eexample=3E?= <eve@letterlock.example>\r\n",
    "From: \u{430}lice@letterlock.example\r\n",
    "From: alice\u{200b}@letterlock.example\r\n",
    "From: \u{202e}elpmaxe.kcolrettel@ecila <eve@letterlock.example>\r\n",
    "From: alice@letterlock.example\0 <eve@letterlock.example>\r\n",
    "From: <@letterlock.example:eve@letterlock.example>\r\n",
    "From: alice@letterlock.example.evil.example\r\n",
    "From: alice@letterlock.example@evil.example\r\n",
    "From: \"alice@letterlock.example\"@evil.example\r\n",
    "From: eve@letterlock.example\r\nSender: alice@letterlock.example\r\n",
    "From: eve@letterlock.example\r\nReply-To: Alice <alice@letterlock.example>\r\n",
    "From: eve@letterlock.example\r\nResent-From: alice@letterlock.example\r\n",
    "Sender: alice@letterlock.example\r\n",
    "From : eve@letterlock.example\r\nFrom: alice@letterlock.example\r\n",
];

/// User ids that eve gives her own key.
const CLAIMS: [&str; 9] = [
    "eve <eve@letterlock.example>",
    "alice@letterlock.example <eve@letterlock.example>",
    "\"Alice <alice@letterlock.example>\" <eve@letterlock.example>",
    "Alice <alice@letterlock.example> <eve@letterlock.example>",
    "eve <eve@letterlock.example> (alice@letterlock.example)",
    "alice@letterlock.example, eve@letterlock.example",
    "Alice <alice@letterlock.example.evil.example>",
    "<\u{430}lice@letterlock.example>",
    "alice@letterlock.example\0 <eve@letterlock.example>",
];

fn eve_as(claim: &str) -> SecretCertificate {
    let template = Template {
        user_ids: vec![claim.to_owned()],
        ..Template::new(Profile::World, &address("eve"), None, NOW).unwrap()
    };
    template.generate(&mut rng(66)).unwrap()
}

fn is_alices(status: &SignatureStatus) -> bool {
    let alice = address("alice");
    matches!(status, SignatureStatus::Valid { address, .. } if address.canonical() == alice)
}

/// Signed, and signed inside encryption, with the header outside, or protected inside as well.
fn letters(guise: &str, signer: &SecretCertificate) -> [String; 4] {
    let plain = "Content-Type: text/plain\r\n\r\nPay at once.\r\n";
    let protected =
        format!("{guise}Content-Type: text/plain; hp=\"cipher\"\r\n\r\nPay at once.\r\n");
    let from_eve = "From: eve@letterlock.example\r\n";
    [
        format!("{guise}{}", signed_entity(plain, signer, "b")),
        format!("{guise}{}", encrypted_entity(plain, Some(signer), "b")),
        format!("{from_eve}{}", signed_entity(&protected, signer, "b")),
        format!(
            "{from_eve}{}",
            encrypted_entity(&protected, Some(signer), "b")
        ),
    ]
}

#[test]
fn attack_04_eves_signature_is_never_alices() {
    let bob = [secret("bob")];
    let mut members = 0;
    for claim in CLAIMS {
        let eve = eve_as(claim);
        let known = [public("alice"), eve.certificate().clone()];
        for guise in GUISES {
            for raw in letters(guise, &eve) {
                let pending = open(raw.as_bytes(), &bob, &Limits::default());
                let status = pending.judge(&known, READ_AT).protection.signature;
                assert!(!is_alices(&status), "{claim:?} {guise:?}: {status:?}");
                members += 1;
            }
        }
    }
    assert_eq!(members, 9 * 34 * 4);
}

#[test]
fn attack_04_alices_signature_does_not_vouch_for_an_author_who_is_not_one() {
    let alice = secret("alice");
    let mut members = 0;
    let mut wrong = Vec::new();
    // Beside the first two, no program is sure that alice is the author.
    for (number, guise) in GUISES.iter().enumerate() {
        for raw in letters(guise, &alice).into_iter().take(2) {
            let status = bob_opens(raw.as_bytes()).protection.signature;
            let plainly = number < 2 || *guise == GUISES[16];
            if is_alices(&status) != plainly {
                wrong.push(format!("{guise:?}: {status:?}"));
            }
            members += 1;
        }
    }
    assert_eq!(wrong, [""; 0]);
    assert_eq!(members, 34 * 2);
}
