//! A flag to wait for, and a pause: what the exchange with the provider sleeps on.

use std::cell::{Cell, RefCell};
use std::task::{Poll, Waker};

use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::WorkerGlobalScope;

/// Set by one task, waited for by another; setting it twice is setting it once.
#[derive(Debug, Default)]
pub struct Signal {
    set: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes who waits, or who waits next.
    pub fn set(&self) {
        self.set.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Waits until it is set, and takes it back. Cancel-safe.
    pub async fn wait(&self) {
        core::future::poll_fn(|context| {
            if self.set.take() {
                return Poll::Ready(());
            }
            self.waker.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }
}

/// Waits so many milliseconds.
pub async fn pause(ms: i32) {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        // A scope that refuses timers is closing: then nothing is waited for any more.
        scope
            .set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms)
            .ok();
    });
    JsFuture::from(promise).await.ok();
}
