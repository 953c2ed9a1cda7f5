//! The browser's AES for the core: WebCrypto for GCM and CBC, which processors do, and what
//! WebCrypto does not have (blocks, each for itself) by [`planes`].
//!
//! Invariant: keys go into `CryptoKey`s that cannot be exported, and stay no longer than a
//! message takes.

mod planes;

use js_sys::{Array, Object, Reflect, Uint8Array};
use letterlock_core::openpgp::bulk::{BulkCipher, BulkKey, Deferred, Purpose};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{CryptoKey, SubtleCrypto};

/// Shorter messages are done by the core alone: a call of WebCrypto takes as long as so many octets.
const LEAST_OCTETS: usize = 8 * 1024;
/// What this browser has of AES.
#[derive(Debug)]
pub struct BrowserCipher {
    subtle: SubtleCrypto,
}

impl BrowserCipher {
    /// `None` where there is no WebCrypto: in a page that did not come over TLS.
    pub fn new() -> Option<Self> {
        let crypto = Reflect::get(&js_sys::global(), &"crypto".into()).ok()?;
        let subtle = Reflect::get(&crypto, &"subtle".into()).ok()?;
        let subtle = subtle.is_object().then(|| subtle.unchecked_into())?;
        Some(Self { subtle })
    }

    /// The same, to be handed in.
    pub fn boxed() -> Option<Box<dyn BulkCipher>> {
        Self::new().map(|cipher| Box::new(cipher) as Box<dyn BulkCipher>)
    }
}

impl BulkCipher for BrowserCipher {
    fn least_octets(&self) -> usize {
        LEAST_OCTETS
    }

    fn key<'a>(
        &'a self,
        octets: &'a [u8],
        purpose: Purpose,
    ) -> Deferred<'a, Option<Box<dyn BulkKey>>> {
        Box::pin(async move {
            let name = match purpose {
                Purpose::Gcm => "AES-GCM",
                Purpose::Chain => "AES-CBC",
                Purpose::Blocks => {
                    let cipher = planes::Cipher::new(octets)?;
                    return Some(Box::new(BlockKey(cipher)) as Box<dyn BulkKey>);
                }
            };
            let raw = Uint8Array::from(octets);
            let usages = Array::of2(&"encrypt".into(), &"decrypt".into());
            let algorithm = object(&[("name", name.into())])?;
            let begun = self
                .subtle
                .import_key_with_object("raw", &raw, &algorithm, false, &usages)
                .ok()?;
            let imported = JsFuture::from(begun).await;
            raw.fill(0, 0, raw.length());
            let key = WebKey {
                subtle: self.subtle.clone(),
                key: imported.ok()?.unchecked_into(),
            };
            Some(Box::new(key) as Box<dyn BulkKey>)
        })
    }
}

/// A key of WebCrypto's.
struct WebKey {
    subtle: SubtleCrypto,
    key: CryptoKey,
}

impl BulkKey for WebKey {
    fn open_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>> {
        let begun = gcm(nonce, associated).and_then(|algorithm| {
            let subtle = &self.subtle;
            subtle
                .decrypt_with_object_and_u8_array(&algorithm, &self.key, sealed)
                .ok()
        });
        outcome(begun.map(JsFuture::from), None)
    }

    fn seal_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>> {
        let begun = gcm(nonce, associated).and_then(|algorithm| {
            let subtle = &self.subtle;
            subtle
                .encrypt_with_object_and_u8_array(&algorithm, &self.key, plaintext)
                .ok()
        });
        outcome(begun.map(JsFuture::from), None)
    }

    fn chain(&self, blocks: &[u8]) -> Deferred<'static, Option<Vec<u8>>> {
        let iv = Uint8Array::new_with_length(16);
        let algorithm = object(&[("name", "AES-CBC".into()), ("iv", iv.into())]);
        let begun = algorithm.and_then(|algorithm| {
            let subtle = &self.subtle;
            subtle
                .encrypt_with_object_and_u8_array(&algorithm, &self.key, blocks)
                .ok()
        });
        // A block of padding comes behind them.
        outcome(begun.map(JsFuture::from), u32::try_from(blocks.len()).ok())
    }

    fn encrypt_blocks(&self, _: &mut [u8]) -> Option<()> {
        None
    }
}

/// What a promise gives, or so many of its octets; it is listened to from now on.
fn outcome(begun: Option<JsFuture>, most: Option<u32>) -> Deferred<'static, Option<Vec<u8>>> {
    Box::pin(async move {
        let octets = Uint8Array::new(&begun?.await.ok()?);
        Some(match most {
            Some(most) => octets.subarray(0, most).to_vec(),
            None => octets.to_vec(),
        })
    })
}

fn gcm(nonce: &[u8; 12], associated: &[u8]) -> Option<Object> {
    object(&[
        ("name", "AES-GCM".into()),
        ("iv", Uint8Array::from(&nonce[..]).into()),
        ("additionalData", Uint8Array::from(associated).into()),
    ])
}

fn object(fields: &[(&str, JsValue)]) -> Option<Object> {
    let object = Object::new();
    for (name, value) in fields {
        Reflect::set(&object, &JsValue::from_str(name), value).ok()?;
    }
    Some(object)
}

/// A key for blocks.
struct BlockKey(planes::Cipher);

impl BulkKey for BlockKey {
    fn open_gcm(&self, _: &[u8; 12], _: &[u8], _: &[u8]) -> Deferred<'static, Option<Vec<u8>>> {
        Box::pin(core::future::ready(None))
    }

    fn seal_gcm(&self, _: &[u8; 12], _: &[u8], _: &[u8]) -> Deferred<'static, Option<Vec<u8>>> {
        Box::pin(core::future::ready(None))
    }

    fn chain(&self, _: &[u8]) -> Deferred<'static, Option<Vec<u8>>> {
        Box::pin(core::future::ready(None))
    }

    fn encrypt_blocks(&self, blocks: &mut [u8]) -> Option<()> {
        self.0.encrypt(blocks)
    }
}
