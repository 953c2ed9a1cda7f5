//! Status fields, written and read again.

use super::*;

const FINGERPRINT: Fingerprint = Fingerprint::V4([0x5a; 20]);

#[test]
fn encryption_goes_both_ways() {
    let mut all = vec![Encryption::None];
    all.extend(Cipher::ALL.iter().map(|cipher| Encryption::ToUs {
        fingerprint: Fingerprint::V6([3; 32]),
        cipher: *cipher,
    }));
    all.push(Encryption::Repaired {
        fingerprint: FINGERPRINT,
        cipher: Cipher::Aes128,
    });
    all.extend(
        Undecryptable::ALL
            .iter()
            .map(|reason| Encryption::Undecryptable { reason: *reason }),
    );
    for status in all {
        assert_eq!(status.to_string().parse(), Ok(status));
    }
}

#[test]
fn signatures_go_both_ways() {
    let odd = Address::new("\"a;b =ö%\"@example.org").ok();
    let mut all = vec![
        SignatureStatus::None,
        SignatureStatus::Valid {
            fingerprint: FINGERPRINT,
            address: odd.clone().unwrap(),
        },
        SignatureStatus::WrongSender {
            fingerprint: FINGERPRINT,
            address: None,
        },
        SignatureStatus::WrongSender {
            fingerprint: FINGERPRINT,
            address: odd,
        },
        SignatureStatus::Expired {
            fingerprint: FINGERPRINT,
        },
        SignatureStatus::Weak {
            fingerprint: FINGERPRINT,
        },
        SignatureStatus::UnknownKey { issuer: None },
        SignatureStatus::UnknownKey {
            issuer: Some(Issuer::KeyId([9; 8])),
        },
    ];
    all.extend(
        BadSignature::ALL
            .iter()
            .map(|reason| SignatureStatus::Bad { reason: *reason }),
    );
    for status in all {
        let text = status.to_string();
        assert!(
            text.is_ascii() && !text.contains(['\r', '\n', '"']),
            "{text}"
        );
        assert_eq!(text.parse(), Ok(status.clone()), "{text}");
        let stored = postcard::to_stdvec(&status).unwrap();
        assert_eq!(
            postcard::from_bytes::<SignatureStatus>(&stored).unwrap(),
            status
        );
    }
    assert!("valid".parse::<SignatureStatus>().is_err());
}
