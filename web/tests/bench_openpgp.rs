//! Whole messages in a worker of a page, beside OpenPGP.js in the same: `cargo xtask bench openpgp
//! --wasm`.
//!
//! Invariant: before anything is timed each reads what the other wrote, octet for octet, with a
//! good signature. Both have their keys at hand, both begin and end with octets in their own
//! memory, nothing is armored or compressed, and what is read is timed for messages of both.

#![cfg(all(target_arch = "wasm32", feature = "bench"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::openpgp::bulk::BulkCipher;
use letterlock_core::openpgp::decrypt::{self, Limits};
use letterlock_core::openpgp::encrypt::Order;
use letterlock_core::openpgp::secret_certificate::{Profile, Template};
use letterlock_core::openpgp::{Certificate, Plaintext, SecretCertificate, armor};
use letterlock_web::vault::bulk::BrowserCipher;
use rand::rngs::OsRng;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::WorkerGlobalScope;

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// OpenPGP.js as npm has it, a module for browsers; the build says where.
const OPENPGP_JS: &str = include_str!(env!("LETTERLOCK_OPENPGP_JS"));
/// A key whose owner reads OCB and not GCM, made by OpenPGP.js for this.
const OCB_ONLY_KEY: &[u8] = include_bytes!("data/ocb_only_key.asc");
/// When the keys were made.
const MADE_AT: Timestamp = Timestamp::from_secs(1_767_225_600);
/// When everything happens.
const NOW: Timestamp = Timestamp::from_secs(1_767_312_000);
/// Sizes of documents, in octets.
const SIZES: [(&str, usize); 4] = [
    ("1 KB", 1_000),
    ("100 KB", 100_000),
    ("1 MB", 1_000_000),
    ("25 MB", 25_000_000),
];
/// How long a sample takes at least, in milliseconds: the browser's clock is coarse.
const SAMPLE_MS: f64 = 20.0;
/// After how long no further samples are taken, in milliseconds, but [`FEWEST`] always are.
const ENOUGH_MS: f64 = 3000.0;
const FEWEST: usize = 3;
const MOST: usize = 15;

/// What of OpenPGP.js is timed, as functions of a key and options.
const GLUE: &str = r#"
const openpgp = await import(url);
const key = await openpgp.readPrivateKey({ armoredKey: armored });
const certificate = key.toPublic();
const date = new Date(seconds * 1000);
const config = { preferredAEADAlgorithm: aead };
return {
  seal: async (document) => openpgp.encrypt({
    message: await openpgp.createMessage({ binary: document }),
    encryptionKeys: certificate, signingKeys: key, format: 'binary', date, config,
  }),
  open: async (sealed) => {
    const { data, signatures } = await openpgp.decrypt({
      message: await openpgp.readMessage({ binaryMessage: sealed }),
      decryptionKeys: key, verificationKeys: certificate, format: 'binary', date, config,
    });
    await signatures[0].verified;
    return data;
  },
};
"#;

/// Ours.
struct Ours {
    key: SecretCertificate,
    certificates: [Certificate; 1],
    cipher: Box<dyn BulkCipher>,
}

impl Ours {
    async fn seal(&self, document: &[u8]) -> Vec<u8> {
        let order = Order {
            recipients: &self.certificates,
            signers: core::slice::from_ref(&self.key),
            ..Order::default()
        };
        let bulk = Some(&*self.cipher);
        order.seal(document, NOW, &mut OsRng, bulk).await.unwrap()
    }

    async fn open(&self, sealed: &[u8]) -> Plaintext {
        let keys = core::slice::from_ref(&self.key);
        let limits = Limits::default();
        let opened = decrypt::message_with(sealed, keys, &limits, Some(&*self.cipher)).await;
        let opened = opened.unwrap();
        let proofs = opened.signatures.proofs(&self.certificates, NOW);
        assert_eq!(proofs.len(), 1, "a good signature");
        opened.plaintext
    }
}

/// OpenPGP.js.
struct Theirs {
    seal: Function,
    open: Function,
}

impl Theirs {
    async fn new(url: &str, key: &SecretCertificate, aead: f64) -> Self {
        let armored = armor::wrap(&key.to_bytes()).unwrap();
        let armored = String::from_utf8(armored).unwrap();
        // A constructor of functions that wait has no name of its own.
        let make = Function::new_with_args(
            "url, armored, seconds, aead",
            &format!("return (async () => {{ {GLUE} }})()"),
        );
        let seconds = f64::from(i32::try_from(NOW.as_secs()).unwrap());
        let arguments = Array::of4(
            &JsValue::from_str(url),
            &JsValue::from_str(&armored),
            &JsValue::from_f64(seconds),
            &JsValue::from_f64(aead),
        );
        let made = make.apply(&JsValue::NULL, &arguments).unwrap();
        let made = awaited(made).await;
        let function = |name: &str| Reflect::get(&made, &name.into()).unwrap().unchecked_into();
        Self {
            seal: function("seal"),
            open: function("open"),
        }
    }
}

async fn awaited(promise: JsValue) -> JsValue {
    let promise: Promise = promise.unchecked_into();
    match JsFuture::from(promise).await {
        Ok(value) => value,
        Err(error) => panic!("OpenPGP.js: {error:?}"),
    }
}

async fn called(function: &Function, octets: &Uint8Array) -> Uint8Array {
    let answer = function.call1(&JsValue::NULL, octets).unwrap();
    awaited(answer).await.unchecked_into()
}

fn millis() -> f64 {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    scope.performance().unwrap().now()
}

/// How often something is done for a sample, and the median of the samples, in milliseconds each.
struct Samples(Vec<f64>);

impl Samples {
    fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0.get(self.0.len() / 2).copied().unwrap()
    }
}

/// Times two things by turns.
async fn compared(ours: impl AsyncFn(), theirs: impl AsyncFn()) -> (f64, f64) {
    let begun = millis();
    let (mut our_times, mut their_times) = (Samples(Vec::new()), Samples(Vec::new()));
    let repeats = (repeats(&ours).await, repeats(&theirs).await);
    for round in 0..MOST {
        if round >= FEWEST && millis() - begun > ENOUGH_MS {
            break;
        }
        our_times.0.push(timed(&ours, repeats.0).await);
        their_times.0.push(timed(&theirs, repeats.1).await);
    }
    (our_times.median(), their_times.median())
}

async fn repeats(work: &impl AsyncFn()) -> u32 {
    let mut repeats = 1;
    while timed(work, repeats).await * f64::from(repeats) < SAMPLE_MS {
        repeats *= 2;
    }
    repeats
}

async fn timed(work: &impl AsyncFn(), repeats: u32) -> f64 {
    let start = millis();
    for _ in 0..repeats {
        work().await;
    }
    (millis() - start) / f64::from(repeats)
}

/// Lines of letters that nothing compresses much.
fn text(octets: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letters = (0..octets).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'A' + (state >> 59) as u8
    });
    letters.collect()
}

fn generated(profile: Profile) -> SecretCertificate {
    let address = Address::new("bench@letterlock.example").unwrap();
    let template = Template::new(profile, &address, None, MADE_AT).unwrap();
    template.generate(&mut OsRng).unwrap()
}

/// What a container is called, with whose key, and OpenPGP.js' number of its mode.
fn containers() -> [(&'static str, SecretCertificate, f64); 3] {
    let ocb = SecretCertificate::parse(OCB_ONLY_KEY, None).unwrap();
    [
        ("SEIPD v1", generated(Profile::World), 3.0),
        ("OCB", ocb, 2.0),
        ("GCM", generated(Profile::Version6), 3.0),
    ]
}

/// The address of the module.
fn module() -> String {
    let source = Array::of1(&JsValue::from_str(OPENPGP_JS));
    let options = web_sys::BlobPropertyBag::new();
    options.set_type("text/javascript");
    let blob = web_sys::Blob::new_with_str_sequence_and_options(&source, &options).unwrap();
    web_sys::Url::create_object_url_with_blob(&blob).unwrap()
}

#[wasm_bindgen_test]
async fn ahead_of_openpgp_js() {
    let url = module();
    let mut behind = Vec::new();
    console_log!("| message | what | Letterlock, ms | OpenPGP.js, ms | times as fast |");
    console_log!("|---|---|---:|---:|---:|");
    for (container, key, aead) in containers() {
        let theirs = Theirs::new(&url, &key, aead).await;
        let ours = Ours {
            certificates: [key.certificate().clone()],
            key,
            cipher: BrowserCipher::boxed().unwrap(),
        };
        for (name, octets) in SIZES {
            let document = text(octets);
            let given = Uint8Array::from(&document[..]);
            let by_us = ours.seal(&document).await;
            let by_them = called(&theirs.seal, &given).await.to_vec();
            let mut rows = vec![(
                "encrypt and sign",
                compared(
                    async || drop(ours.seal(&document).await),
                    async || drop(called(&theirs.seal, &given).await),
                )
                .await,
            )];
            for (what, sealed) in [
                ("decrypt and verify ours", by_us),
                ("decrypt and verify theirs", by_them),
            ] {
                let message = Uint8Array::from(&sealed[..]);
                assert!(*ours.open(&sealed).await == *document);
                assert!(called(&theirs.open, &message).await.to_vec() == document);
                let times = compared(
                    async || drop(ours.open(&sealed).await),
                    async || drop(called(&theirs.open, &message).await),
                );
                rows.push((what, times.await));
            }
            for (what, (our, their)) in rows {
                let ratio = their / our;
                console_log!(
                    "| {container}, {name} | {what} | {our:.2} | {their:.2} | {ratio:.2} |"
                );
                if ratio < 1.0 {
                    behind.push(format!("{container}, {name}: {what}"));
                }
            }
        }
    }
    assert!(behind.is_empty(), "behind: {behind:?}");
}
