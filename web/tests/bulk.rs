//! The browser's AES beside the core's own: what one seals, the other opens.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use letterlock_core::id::{Address, Timestamp};
use letterlock_core::openpgp::SecretCertificate;
use letterlock_core::openpgp::bulk::{BulkCipher, BulkKey, Deferred, Purpose};
use letterlock_core::openpgp::decrypt::{self, DecryptError, Limits};
use letterlock_core::openpgp::encrypt::Order;
use letterlock_core::openpgp::secret_certificate::{Profile, Template};
use letterlock_web::vault::bulk::BrowserCipher;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

fn key(profile: Profile) -> SecretCertificate {
    let address = Address::new("bob@letterlock.example").unwrap();
    let template = Template::new(profile, &address, None, NOW).unwrap();
    template
        .generate(&mut ChaCha20Rng::seed_from_u64(1))
        .unwrap()
}

/// FIPS 197, appendix C: the same plaintext under keys of three lengths.
#[wasm_bindgen_test]
async fn blocks_are_encrypted_as_the_standard_says() {
    let cipher = BrowserCipher::new().unwrap();
    let plaintext: [u8; 16] = core::array::from_fn(|n| u8::try_from(n * 0x11).unwrap());
    let octets: [u8; 32] = core::array::from_fn(|n| u8::try_from(n).unwrap());
    let expected: [(usize, u128); 3] = [
        (16, 0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a),
        (24, 0xdda9_7ca4_864c_dfe0_6eaf_70a0_ec0d_7191),
        (32, 0x8ea2_b7ca_5167_45bf_eafc_4990_4b49_6089),
    ];
    for (length, ciphertext) in expected {
        let key = octets.get(..length).unwrap();
        let key = cipher.key(key, Purpose::Blocks).await.unwrap();
        // More and fewer blocks than are done at a time.
        for count in [1, 7, 8, 9, 20] {
            let mut blocks = plaintext.repeat(count);
            key.encrypt_blocks(&mut blocks).unwrap();
            assert_eq!(blocks, ciphertext.to_be_bytes().repeat(count));
        }
        assert_eq!(key.encrypt_blocks(&mut [0; 17]), None);
    }
}

/// Counts what the browser's AES was asked for, so that nothing is left to rPGP unseen.
struct Counting {
    cipher: BrowserCipher,
    keys: core::cell::Cell<u32>,
}

impl BulkCipher for Counting {
    fn least_octets(&self) -> usize {
        0
    }

    fn key<'a>(
        &'a self,
        octets: &'a [u8],
        purpose: Purpose,
    ) -> Deferred<'a, Option<Box<dyn BulkKey>>> {
        self.keys.set(self.keys.get() + 1);
        self.cipher.key(octets, purpose)
    }
}

#[wasm_bindgen_test]
async fn messages_go_both_ways() {
    for profile in [Profile::World, Profile::Version6] {
        let key = key(profile);
        let counting = Counting {
            cipher: BrowserCipher::new().unwrap(),
            keys: core::cell::Cell::new(0),
        };
        let certificates = [key.certificate().clone()];
        let order = Order {
            recipients: &certificates,
            signers: core::slice::from_ref(&key),
            ..Order::default()
        };
        let keys = core::slice::from_ref(&key);
        let limits = Limits::default();
        for octets in [0, 1, 15, 16, 1000, 65_400, 65_536, 200_000, 1_100_000] {
            let document: Vec<u8> = (0..octets).map(|n: u32| n.to_le_bytes()[0]).collect();
            let mut rng = ChaCha20Rng::seed_from_u64(2);
            let by_browser = order.seal(&document, NOW, &mut rng, Some(&counting)).await;
            let by_core = order.seal(&document, NOW, &mut rng, None).await;
            for mut sealed in [by_browser.unwrap(), by_core.unwrap()] {
                for bulk in [None, Some(&counting as &dyn BulkCipher)] {
                    let opened = decrypt::message_with(&sealed, keys, &limits, bulk).await;
                    let opened = opened.unwrap();
                    assert!(*opened.plaintext == *document);
                    assert_eq!(opened.signatures.proofs(&certificates, NOW).len(), 1);
                }
                *sealed.last_mut().unwrap() ^= 1;
                let changed = decrypt::message_with(&sealed, keys, &limits, Some(&counting)).await;
                assert_eq!(changed.unwrap_err(), DecryptError::Damaged);
            }
        }
        // Each size: sealed once, opened twice, and twice what was changed.
        assert_eq!(counting.keys.get(), 9 * 5);
    }
}
