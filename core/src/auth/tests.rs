//! Both sides of sign-up and log-in against each other, and the wraps.

use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::wire::{Device, LogInFinished, Octets, SignUpStart, Token};
use super::*;
use crate::id::{AccountId, Address, ReplicaId};

const ACCOUNT: AccountId = AccountId::new([1; 16]);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn alice() -> Address {
    Address::new("Alice@letterlock.example").unwrap()
}

fn sign_up(secret: &ServerSecret, password: &str) -> SignedUp {
    let (client, request) = ClientSignUp::start(password, &mut rng()).unwrap();
    let response = sign_up::respond(secret, &alice(), &request).unwrap();
    let signed_up = client.finish(&alice(), &response, &mut rng()).unwrap();
    sign_up::check_record(&signed_up.record).unwrap();
    signed_up
}

#[test]
fn a_log_in_gives_the_export_key_of_the_sign_up() {
    let secret = ServerSecret::generate(&mut rng());
    let signed_up = sign_up(&secret, "correct horse");
    // The provider restarts in between, and the user spells her address in lower case.
    let secret = ServerSecret::from_octets(&secret.to_octets()).unwrap();
    let address = alice().canonical();
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let (client, request) = ClientLogIn::start("correct horse", &mut rng).unwrap();
    let record = Some(&signed_up.record[..]);
    let (server, response) =
        ServerLogIn::start(&secret, &address, record, &request, &mut rng).unwrap();
    let logged_in = client.finish(&address, &response, &mut rng).unwrap();
    server.finish(&logged_in.finalization).unwrap();
    assert_eq!(
        logged_in.export_key.as_bytes(),
        signed_up.export_key.as_bytes()
    );
}

#[test]
fn a_wrong_password_and_an_unknown_address_look_alike() {
    let secret = ServerSecret::generate(&mut rng());
    let signed_up = sign_up(&secret, "correct horse");
    let mut lengths = Vec::new();
    for record in [Some(&signed_up.record[..]), None] {
        let (client, request) = ClientLogIn::start("wrong", &mut rng()).unwrap();
        let (server, response) =
            ServerLogIn::start(&secret, &alice(), record, &request, &mut rng()).unwrap();
        let error = client.finish(&alice(), &response, &mut rng()).err();
        assert_eq!(error, Some(LogInError::WrongPassword));
        assert_eq!(server.finish(&[0; 64]), Err(LogInError::WrongPassword));
        lengths.push(response.len());
    }
    assert_eq!(lengths[0], lengths[1]);
}

#[test]
fn malformed_messages_are_refused() {
    let secret = ServerSecret::generate(&mut rng());
    for octets in [&[][..], &[0xff; 32], &[0; 96], &[0xff; 500]] {
        assert!(sign_up::respond(&secret, &alice(), octets).is_err());
        assert!(ServerLogIn::start(&secret, &alice(), None, octets, &mut rng()).is_err());
        assert!(sign_up::check_record(octets).is_err());
        assert!(ServerSecret::from_octets(octets).is_err());
        let (client, _) = ClientLogIn::start("x", &mut rng()).unwrap();
        let error = client.finish(&alice(), octets, &mut rng()).err();
        assert_eq!(error, Some(LogInError::Malformed));
    }
    assert!(ClientSignUp::start("", &mut rng()).is_err());
    assert!(ClientSignUp::start(&"x".repeat(MAX_PASSWORD_OCTETS + 1), &mut rng()).is_err());
}

#[test]
fn a_wrap_opens_for_its_own_material_account_and_kind_alone() {
    let root_key = [9; 32];
    let wrap = wrap_root_key(
        b"key",
        ACCOUNT,
        3,
        WrapKind::Password,
        &root_key,
        &mut rng(),
    );
    let opened = unwrap_root_key(b"key", ACCOUNT, WrapKind::Password, &wrap).unwrap();
    assert_eq!((opened.epoch, *opened.root_key), (3, root_key));
    let other = AccountId::new([2; 16]);
    for (material, account, kind, expected) in [
        (
            &b"kez"[..],
            ACCOUNT,
            WrapKind::Password,
            WrapError::DoesNotOpen,
        ),
        (b"key", other, WrapKind::Password, WrapError::DoesNotOpen),
        (b"key", ACCOUNT, WrapKind::Recovery, WrapError::Form),
    ] {
        let error = unwrap_root_key(material, account, kind, &wrap).err();
        assert_eq!(error, Some(expected));
    }
}

#[test]
fn every_octet_of_a_wrap_is_authentic() {
    let wrap = wrap_root_key(b"key", ACCOUNT, 3, WrapKind::Password, &[9; 32], &mut rng());
    for at in 0..wrap.as_bytes().len() {
        let mut changed = wrap.as_bytes().to_vec();
        changed[at] ^= 1;
        let opened = RootKeyWrap::from_octets(&changed)
            .and_then(|wrap| unwrap_root_key(b"key", ACCOUNT, WrapKind::Password, &wrap));
        assert!(opened.is_err(), "octet {at}");
    }
    assert!(RootKeyWrap::from_octets(&wrap.as_bytes()[1..]).is_err());
}

#[test]
fn a_local_wrap_opens_offline() {
    let wrap = LocalWrap::seal("correct horse", ACCOUNT, 1, &[9; 32], &mut rng()).unwrap();
    let stored = postcard::to_stdvec(&wrap).unwrap();
    let wrap: LocalWrap = postcard::from_bytes(&stored).unwrap();
    let opened = wrap.open("correct horse", ACCOUNT).unwrap();
    assert_eq!(*opened.root_key, [9; 32]);
    let error = wrap.open("wrong", ACCOUNT).err();
    assert_eq!(error, Some(LocalWrapError::WrongPassword));
    // The version is the first octet.
    let mut newer = stored;
    newer[0] = 9;
    let newer: LocalWrap = postcard::from_bytes(&newer).unwrap();
    assert_eq!(
        newer.open("correct horse", ACCOUNT).err(),
        Some(LocalWrapError::Form)
    );
}

#[test]
fn secrets_do_not_show() {
    let finished = LogInFinished {
        token: Token::new("a secret".to_owned()),
        account_id: ACCOUNT,
        root_key_wrap: Octets(vec![0x5e; 4]),
    };
    assert_eq!(
        format!("{finished:?}"),
        "LogInFinished { token: Token(…), account_id: AccountId(01010101…), \
         root_key_wrap: Octets(4) }"
    );
    let start = SignUpStart {
        address: alice(),
        request: Octets(vec![1]),
        invite: None,
    };
    assert!(!format!("{start:?}").contains("Alice"));
    let device = Device {
        id: ReplicaId::new([3; 16]),
        name: "laptop".to_owned(),
    };
    assert!(format!("{device:?}").contains("laptop"));
}
