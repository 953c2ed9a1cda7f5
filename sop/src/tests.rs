//! The operations one after the other, without files; what other programs make of them is seen
//! over the real command line.

use sop::errors::Error;
use sop::ops::{ArmorLabel, InlineSignAs, SignAs};
use sop::{Load as _, Password, SOP as _, Save as _};

use super::*;

fn password(text: &str) -> Password {
    Password::new(text.as_bytes().to_vec()).unwrap()
}

fn key(profile: &str) -> Keys {
    let operation = Sop.generate_key().unwrap().profile(profile).unwrap();
    let operation = operation.userid("Alice <alice@letterlock.example>");
    let made = operation.generate().unwrap();
    Keys::from_bytes(&Sop, &made.to_vec(true).unwrap()).unwrap()
}

fn certs(keys: &Keys) -> Certs {
    Sop.extract_cert().unwrap().keys(keys).unwrap()
}

fn sealed(to: &Certs, document: &[u8]) -> Vec<u8> {
    let operation = Sop.encrypt().unwrap().with_certs(to).unwrap();
    let mut document = document;
    operation
        .plaintext(&mut document)
        .unwrap()
        .to_vec()
        .unwrap()
        .1
}

fn opened(keys: &Keys, passwords: &[&str], message: &[u8]) -> Result<Vec<u8>> {
    let mut operation = Sop.decrypt()?.with_keys(keys)?;
    for text in passwords {
        operation = operation.with_key_password(password(text))?;
    }
    let mut message = message;
    Ok(operation.ciphertext(&mut message)?.to_vec()?.1)
}

#[test]
fn a_document_goes_through_every_profile() {
    let profiles = Sop.generate_key().unwrap().list_profiles();
    assert_eq!(profiles.len(), 3);
    for (profile, _) in profiles {
        let alice = key(&profile);
        let public = certs(&alice);
        assert_eq!(
            opened(&alice, &[], &sealed(&public, b"hello")).unwrap(),
            b"hello"
        );
        let operation = Sop.sign().unwrap().mode(SignAs::Text).keys(&alice).unwrap();
        let (algorithm, signature) = operation.data(&mut &b"one\ntwo\n"[..]).unwrap();
        assert_eq!(algorithm.to_string(), "pgp-sha512");
        let verify = |document: &[u8]| {
            let operation = Sop.verify()?.certs(&public)?;
            let mut document = document;
            let found = operation.signatures(&signature)?.data(&mut document)?;
            Ok(found.len())
        };
        // Text: line ends do not count.
        assert_eq!(verify(b"one\r\ntwo\r\n").unwrap(), 1);
        assert!(matches!(verify(b"one\nthree\n"), Err(Error::NoSignature)));
        let revoked = Sop.revoke_key().unwrap().keys(&alice).unwrap();
        let merged = Sop.merge_certs().unwrap().merge_updates(&revoked).unwrap();
        let merged = merged.merge(&public).unwrap();
        let operation = Sop.encrypt().unwrap().with_certs(&merged).unwrap();
        let refused = operation.plaintext(&mut &b"x"[..]).unwrap().to_vec();
        assert!(matches!(refused, Err(Error::CertCannotEncrypt)));
    }
    let unknown = Sop.generate_key().unwrap().profile("rfc1991");
    assert!(matches!(unknown, Err(Error::UnsupportedProfile)));
}

#[test]
fn a_password_locks_and_can_be_changed() {
    let open = key("compatibility");
    let change = || Sop.change_key_password().unwrap();
    let locked = change().new_key_password(password("one")).unwrap();
    let locked = locked.keys(&open).unwrap();
    let message = sealed(&certs(&locked), b"hello");
    assert!(matches!(
        opened(&locked, &[], &message),
        Err(Error::KeyIsProtected)
    ));
    assert!(matches!(
        opened(&locked, &["two"], &message),
        Err(Error::KeyIsProtected)
    ));
    assert_eq!(
        opened(&locked, &["two", "one"], &message).unwrap(),
        b"hello"
    );
    let changed = change().old_key_password(password("one")).unwrap();
    let changed = changed.new_key_password(password("two")).unwrap();
    let changed = changed.keys(&locked).unwrap();
    assert_eq!(opened(&changed, &["two"], &message).unwrap(), b"hello");
    assert!(matches!(change().keys(&locked), Err(Error::KeyIsProtected)));
}

#[test]
fn what_is_wrong_has_its_own_error() {
    let (alice, bob) = (key("security"), key("compatibility"));
    let message = sealed(&certs(&alice), b"hello");
    assert!(matches!(
        opened(&bob, &[], &message),
        Err(Error::CannotDecrypt)
    ));
    assert!(matches!(
        opened(&bob, &[], b"Dear Bob"),
        Err(Error::BadData)
    ));
    let public = certs(&bob).to_vec(true).unwrap();
    assert!(matches!(
        Keys::from_bytes(&Sop, &public),
        Err(Error::BadData)
    ));
    assert!(matches!(Certs::from_bytes(&Sop, b"x"), Err(Error::BadData)));
    let mut cut = message.clone();
    let middle = cut.len() / 2;
    cut.remove(middle);
    assert!(matches!(
        opened(&alice, &[], &cut),
        Err(Error::CannotDecrypt | Error::BadData)
    ));
    assert!(matches!(
        Sop.encrypt().unwrap().with_password(password("x")),
        Err(Error::UnsupportedOption)
    ));
}

#[test]
fn a_key_is_brought_up_to_date() {
    let signing = Sop.generate_key().unwrap().signing_only();
    let signing = signing.userid("Alice <alice@letterlock.example>");
    let signing = signing.with_key_password(password("one")).unwrap();
    let signing = signing.generate().unwrap();
    let encrypts = |keys: &Keys| {
        let operation = Sop.encrypt().unwrap().with_certs(&certs(keys)).unwrap();
        let sealed = operation.plaintext(&mut &b"hello"[..]).unwrap().to_vec();
        sealed.map(|(_, octets)| octets)
    };
    assert!(matches!(encrypts(&signing), Err(Error::CertCannotEncrypt)));
    let update = || Sop.update_key().unwrap();
    assert!(matches!(
        update().update(&signing),
        Err(Error::KeyIsProtected)
    ));
    let known = || update().with_key_password(password("one")).unwrap();
    let still = known().signing_only().update(&signing).unwrap();
    assert!(matches!(encrypts(&still), Err(Error::CertCannotEncrypt)));
    // Who has the password has it still.
    let able = known().update(&signing).unwrap();
    let message = encrypts(&able).unwrap();
    assert!(matches!(
        opened(&able, &[], &message),
        Err(Error::KeyIsProtected)
    ));
    assert_eq!(opened(&able, &["one"], &message).unwrap(), b"hello");
    // What others have heard of it is heard, and then nothing mends it.
    let revoked = Sop.revoke_key().unwrap();
    let revoked = revoked.with_key_password(password("one")).unwrap();
    let revoked = revoked.keys(&able).unwrap();
    let told = known().merge_updates(&revoked).unwrap();
    assert!(matches!(told.update(&able), Err(Error::PrimaryKeyBad)));
}

#[test]
fn armor_comes_off_and_goes_on_again() {
    let octets = certs(&key("rfc9580")).to_vec(false).unwrap();
    #[expect(deprecated, reason = "the trait still has it")]
    let operation = Sop.armor().unwrap().label(ArmorLabel::Auto);
    let armored = operation
        .data(&mut octets.as_slice())
        .unwrap()
        .to_vec()
        .unwrap()
        .1;
    assert!(armored.starts_with(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"));
    let again = Sop.dearmor().unwrap();
    let again = again
        .data(&mut armored.as_slice())
        .unwrap()
        .to_vec()
        .unwrap()
        .1;
    assert_eq!(again, octets);
    let refused = Sop.armor().unwrap().data(&mut &b"text"[..]).map(|_| ());
    assert!(matches!(refused, Err(Error::BadData)));
}

#[test]
fn a_signature_in_the_same_octets_is_made_verified_and_taken_off() {
    let document = b"one\n- two  \nthree\n";
    for profile in ["compatibility", "rfc9580"] {
        let alice = key(profile);
        let (public, other) = (certs(&alice), certs(&key(profile)));
        for (mode, armored) in [
            (InlineSignAs::Binary, true),
            (InlineSignAs::Binary, false),
            (InlineSignAs::Text, true),
            (InlineSignAs::ClearSigned, true),
        ] {
            let mut operation = Sop.inline_sign().unwrap().mode(mode).keys(&alice).unwrap();
            if !armored {
                operation = operation.no_armor();
            }
            let signed = operation
                .data(&mut &document[..])
                .unwrap()
                .to_vec()
                .unwrap()
                .1;
            let clear = signed.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----\n");
            assert_eq!(clear, mode == InlineSignAs::ClearSigned);
            let verify = |by: &Certs, octets: &[u8]| {
                let mut octets = octets;
                let operation = Sop.inline_verify()?.certs(by)?;
                operation.message(&mut octets)?.to_vec()
            };
            let (good, text) = verify(&public, &signed).unwrap();
            assert_eq!(
                (good.len(), &text[..]),
                (1, &document[..]),
                "{profile} {mode}"
            );
            assert!(matches!(verify(&other, &signed), Err(Error::NoSignature)));
            let (sigs, text) = Sop
                .inline_detach()
                .unwrap()
                .message(&mut &signed[..])
                .unwrap()
                .to_vec()
                .unwrap();
            assert_eq!(text, document);
            let operation = Sop.verify().unwrap().certs(&public).unwrap();
            // What the framework signs has no white space at the ends of lines.
            let signed_text = if clear {
                &b"one\n- two\nthree\n"[..]
            } else {
                document
            };
            let found = operation
                .signatures(&sigs)
                .unwrap()
                .data(&mut &signed_text[..]);
            assert_eq!(found.unwrap().len(), 1, "{profile} {mode}");
            assert!(matches!(verify(&public, document), Err(Error::BadData)));
            // An encrypted message is none that is signed inline.
            assert!(verify(&public, &sealed(&public, document)).is_err());
        }
    }
}

#[test]
fn a_user_id_is_certified_and_found_valid_by_whom_one_trusts() {
    const ALICE: &str = "Alice <alice@letterlock.example>";
    let (alice, bob, eve) = (key("compatibility"), key("rfc9580"), key("compatibility"));
    let certify = |by: &Keys, user_id: &str, of: &Certs| {
        let operation = Sop.certify_userid()?.userid(user_id.into());
        operation.keys(by)?.certify(of)
    };
    let validate = |roots: &[&Certs], of: &Certs| {
        let mut operation = Sop.validate_userid()?.target_certs(of)?;
        for root in roots {
            operation = operation.trust_roots(root)?;
        }
        Ok::<_, Error>(operation)
    };
    let (public, root, other) = (certs(&alice), certs(&bob), certs(&eve));
    let none = |outcome: Result<()>| matches!(outcome, Err(Error::CertUseridNoMatch));
    assert!(none(validate(&[&root], &public).unwrap().userid(ALICE)));
    let certified = certify(&bob, ALICE, &public).unwrap();
    let certified = Certs::from_bytes(&Sop, &certified.to_vec(true).unwrap()).unwrap();
    let by = |roots: &[&Certs]| validate(roots, &certified).unwrap();
    by(&[&root]).userid(ALICE).unwrap();
    by(&[&other, &root])
        .email("alice@letterlock.example")
        .unwrap();
    for outcome in [
        by(&[&other]).userid(ALICE),
        by(&[&root]).userid("Alice"),
        by(&[&root]).email("bob@letterlock.example"),
        by(&[&root]).email("Alice"),
        // Before there was the word, or the key.
        by(&[&root]).validate_at(UNIX_EPOCH).unwrap().userid(ALICE),
        // All of them must be valid.
        by(&[&root]).target_certs(&other).unwrap().userid(ALICE),
        Sop.validate_userid()
            .unwrap()
            .trust_roots(&root)
            .unwrap()
            .userid(ALICE),
    ] {
        assert!(none(outcome));
    }
    assert!(none(certify(&bob, "Mallory", &public).map(drop)));
    let operation = Sop.certify_userid().unwrap().userid(ALICE.into());
    let operation = operation.no_require_self_sig().keys(&bob).unwrap();
    assert!(matches!(
        operation.certify(&public),
        Err(Error::UnsupportedOption)
    ));
    // A key that was revoked vouches for nobody.
    let revoked = Sop.revoke_key().unwrap().keys(&bob).unwrap();
    assert!(none(by(&[&revoked]).userid(ALICE)));
}
