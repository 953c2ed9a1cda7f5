//! The page: user interface only. See [`letterlock_web`].

fn main() {
    #[cfg(target_arch = "wasm32")]
    letterlock_web::page::start();
}
