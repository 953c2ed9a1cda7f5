//! The search index in a real browser, sealed, over IndexedDB: `cargo xtask bench core --wasm`.

#![cfg(all(target_arch = "wasm32", feature = "bench"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use letterlock_bench::search::{Host, run};
use letterlock_core::store::SealedStore;
use letterlock_web::vault::indexeddb_store::IndexedDbStore;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// Messages in the index; the environment of the build may say another number.
const LETTERS: u32 = 100_000;
/// What a query may take, half of the time, in milliseconds.
const MOST_MILLIS: f64 = 60.0;

struct Browser {
    performance: JsValue,
    now: js_sys::Function,
}

impl Browser {
    fn new() -> Self {
        let performance = js_sys::Reflect::get(&js_sys::global(), &"performance".into()).unwrap();
        let now = js_sys::Reflect::get(&performance, &"now".into()).unwrap();
        Self {
            performance,
            now: now.dyn_into().unwrap(),
        }
    }
}

impl Host for Browser {
    fn millis(&self) -> f64 {
        let now = self.now.call0(&self.performance).unwrap();
        now.as_f64().unwrap()
    }

    fn say(&self, line: &str) {
        console_log!("{line}");
    }
}

#[wasm_bindgen_test]
async fn queries_are_quick() {
    let letters = option_env!("LETTERLOCK_BENCH_LETTERS").map_or(LETTERS, |n| n.parse().unwrap());
    let store = IndexedDbStore::open("bench-search").await.unwrap();
    let store = SealedStore::new(store, &[7; 32]);
    let median = run(&store, letters, &Browser::new()).await.unwrap();
    assert!(median < MOST_MILLIS, "median {median} ms");
}
