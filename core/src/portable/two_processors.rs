//! AES and digests of long messages on a second processor.
//!
//! rPGP does one thing after the other: AES, the digest of the container, the digest that is signed.
//! Each goes through all octets and needs nothing of the others, so what can be done beside is
//! done on a thread that lives as long as a message takes.
//!
//! Invariants: a thread works through what it is given in order, and what waits for it is bounded;
//! a thread that cannot be started, or has panicked, is a `None`, and then rPGP does the message.
//! Rejected: a pool; starting a thread costs a thousandth of what it saves.

use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

use aes::cipher::inout::{InOut, InOutBuf};
use aes::cipher::typenum::U16;
use aes::cipher::{
    BlockBackend, BlockClosure, BlockEncrypt, BlockSizeUser, KeyInit as _, Unsigned as _,
};
use aes::{Aes128, Aes192, Aes256, Block};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{AesGcm, Nonce};
use futures::channel::oneshot;
use sha2::digest::DynDigest;
use zeroize::Zeroizing;

use crate::openpgp::bulk::{BulkCipher, BulkKey, Deferred, Digesting, Purpose};

/// Shorter messages are opened faster by one processor.
const LEAST_OCTETS: usize = 128 * 1024;
/// Pieces of work that may wait for a thread; more make who brings them wait.
const WAITING: usize = 2;

/// What two processors have of AES.
#[derive(Debug, Clone, Copy, Default)]
pub struct TwoProcessors;

impl BulkCipher for TwoProcessors {
    fn least_octets(&self) -> usize {
        LEAST_OCTETS
    }

    fn key<'a>(
        &'a self,
        octets: &'a [u8],
        purpose: Purpose,
    ) -> Deferred<'a, Option<Box<dyn BulkKey>>> {
        let cipher = Cipher::new(octets);
        let key = cipher.and_then(|cipher| -> Option<Box<dyn BulkKey>> {
            Some(match purpose {
                // In place: where they are needed next.
                Purpose::Blocks => Box::new(BlockKey(cipher)),
                Purpose::Gcm | Purpose::Chain => Box::new(KeyBeside::new(cipher)?),
            })
        });
        Box::pin(core::future::ready(key))
    }

    fn beside(&self, hasher: Box<dyn DynDigest + Send>) -> Box<dyn Digesting> {
        Box::new(DigestBeside::new(hasher))
    }
}

/// AES under one key.
#[derive(Clone)]
enum Cipher {
    Aes128(Box<Aes128>),
    Aes192(Box<Aes192>),
    Aes256(Box<Aes256>),
}

/// Does the same with each of the ciphers.
macro_rules! with {
    ($cipher:expr, $key:ident => $what:expr) => {
        match $cipher {
            Cipher::Aes128($key) => $what,
            Cipher::Aes192($key) => $what,
            Cipher::Aes256($key) => $what,
        }
    };
}

impl Cipher {
    fn new(octets: &[u8]) -> Option<Self> {
        match octets.len() {
            16 => Some(Self::Aes128(Box::new(Aes128::new_from_slice(octets).ok()?))),
            24 => Some(Self::Aes192(Box::new(Aes192::new_from_slice(octets).ok()?))),
            32 => Some(Self::Aes256(Box::new(Aes256::new_from_slice(octets).ok()?))),
            _ => None,
        }
    }

    /// Each block for itself, in place.
    fn blocks(&self, octets: &mut [u8]) -> Option<()> {
        let (blocks, rest) = InOutBuf::from(octets).into_chunks::<U16>();
        if !rest.is_empty() {
            return None;
        }
        with!(self, key => key.encrypt_blocks_inout(blocks));
        Some(())
    }

    /// CBC from an IV of zeros, in place.
    fn chain(&self, octets: &mut [u8]) -> Option<()> {
        if !octets.len().is_multiple_of(U16::USIZE) {
            return None;
        }
        with!(self, key => key.encrypt_with_backend(Chain(octets)));
        Some(())
    }

    fn gcm(&self, nonce: [u8; 12], payload: Payload<'_, '_>, open: bool) -> Option<Vec<u8>> {
        let nonce = Nonce::<U12>::from(nonce);
        with!(self, key => {
            let gcm = AesGcm::<_, U12>::from((**key).clone());
            if open {
                gcm.decrypt(&nonce, payload).ok()
            } else {
                gcm.encrypt(&nonce, payload).ok()
            }
        })
    }
}

/// CBC, all within what the processor has for AES.
struct Chain<'a>(&'a mut [u8]);

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockClosure for Chain<'_> {
    fn call<B: BlockBackend<BlockSize = U16>>(self, backend: &mut B) {
        let mut before = Block::default();
        for octets in self.0.chunks_exact_mut(U16::USIZE) {
            let block = Block::from_mut_slice(octets);
            for (octet, other) in block.iter_mut().zip(before) {
                *octet ^= other;
            }
            backend.proc_block(InOut::from(&mut *block));
            before = *block;
        }
    }
}

/// A key for blocks.
struct BlockKey(Cipher);

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
        self.0.blocks(blocks)
    }
}

/// Something to be done with a key.
type Job = Box<dyn FnOnce(&Cipher) + Send>;

/// A key on a thread of its own.
struct KeyBeside {
    jobs: SyncSender<Job>,
}

impl KeyBeside {
    fn new(cipher: Cipher) -> Option<Self> {
        let (jobs, given) = sync_channel::<Job>(WAITING);
        let work = move || given.into_iter().for_each(|job| job(&cipher));
        thread::Builder::new().spawn(work).ok()?;
        Some(Self { jobs })
    }

    /// Has it done; `None` comes if the thread is gone.
    fn begin(
        &self,
        work: impl FnOnce(&Cipher) -> Option<Vec<u8>> + Send + 'static,
    ) -> Deferred<'static, Option<Vec<u8>>> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move |cipher| {
            // Who does not listen any more does not want it.
            let _unheard = done.send(work(cipher));
        });
        let given = self.jobs.send(job).is_ok();
        Box::pin(async move {
            if given {
                outcome.await.ok().flatten()
            } else {
                None
            }
        })
    }

    fn gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        octets: &[u8],
        open: bool,
    ) -> Deferred<'static, Option<Vec<u8>>> {
        let (nonce, aad) = (*nonce, associated.to_vec());
        let octets = Zeroizing::new(octets.to_vec());
        self.begin(move |cipher| {
            let payload = Payload {
                msg: &octets,
                aad: &aad,
            };
            cipher.gcm(nonce, payload, open)
        })
    }
}

impl BulkKey for KeyBeside {
    fn open_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        sealed: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>> {
        self.gcm(nonce, associated, sealed, true)
    }

    fn seal_gcm(
        &self,
        nonce: &[u8; 12],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Deferred<'static, Option<Vec<u8>>> {
        self.gcm(nonce, associated, plaintext, false)
    }

    fn chain(&self, blocks: &[u8]) -> Deferred<'static, Option<Vec<u8>>> {
        let mut blocks = blocks.to_vec();
        self.begin(move |cipher| cipher.chain(&mut blocks).map(|()| blocks))
    }

    fn encrypt_blocks(&self, _: &mut [u8]) -> Option<()> {
        None
    }
}

/// A digest on a thread of its own. A piece's memory comes back and takes a later one.
struct DigestBeside {
    pieces: Option<SyncSender<Zeroizing<Vec<u8>>>>,
    used: Receiver<Zeroizing<Vec<u8>>>,
    digest: oneshot::Receiver<Vec<u8>>,
}

impl DigestBeside {
    fn new(mut hasher: Box<dyn DynDigest + Send>) -> Self {
        let (pieces, given) = sync_channel::<Zeroizing<Vec<u8>>>(WAITING);
        let (back, used) = channel();
        let (done, digest) = oneshot::channel();
        let work = move || {
            for piece in given {
                hasher.update(&piece);
                let _unwanted = back.send(piece);
            }
            let _unheard = done.send(hasher.finalize().into_vec());
        };
        let started = thread::Builder::new().spawn(work).is_ok();
        Self {
            pieces: started.then_some(pieces),
            used,
            digest,
        }
    }
}

impl Digesting for DigestBeside {
    fn update(&mut self, octets: &[u8]) {
        let mut piece = self.used.try_recv().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(octets);
        let given = self
            .pieces
            .as_ref()
            .is_some_and(|to| to.send(piece).is_ok());
        if !given {
            self.pieces = None;
            self.digest.close();
        }
    }

    fn finish(self: Box<Self>) -> Deferred<'static, Option<Vec<u8>>> {
        let Self { pieces, digest, .. } = *self;
        // That was all.
        drop(pieces);
        Box::pin(async move { digest.await.ok() })
    }
}
