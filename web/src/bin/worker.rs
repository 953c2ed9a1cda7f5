//! The Web Worker: the core, the keys, IndexedDB and the network. See [`letterlock_web`].

fn main() {
    #[cfg(target_arch = "wasm32")]
    letterlock_web::vault::serve::start();
}
