//! The worker's life, as the page sees it: questions out, answers in, and a new one when it dies.
//!
//! A panic in WebAssembly ends the instance. The worker says so with its last breath
//! ([`Said::Died`]); what it was working on is answered with [`Failure::Crashed`], so that the
//! message that killed it is shown as such and everything else carries on in a new worker.

use std::collections::BTreeMap;

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{Closure, JsValue};
use web_sys::{ErrorEvent, MessageEvent, WorkerOptions, WorkerType};

use crate::model::{Asked, Event};
use crate::protocol::{self, Ask, Failure, Request, Said};

/// Trunk's loader of the worker's module; not hashed, so that this name is the same in every
/// version.
const LOADER: &str = "/worker_loader.js";

pub(super) struct Worker {
    handle: Option<web_sys::Worker>,
    /// Which worker this is: what an ended one still says is not heard.
    generation: u32,
    next_id: u32,
    pending: BTreeMap<u32, Asked>,
    _listeners: Vec<Closure<dyn FnMut(JsValue)>>,
}

thread_local! {
    static GENERATION: core::cell::Cell<u32> = const { core::cell::Cell::new(0) };
}

impl Worker {
    pub(super) fn start() -> Self {
        let generation = GENERATION.with(|cell| {
            cell.set(cell.get().wrapping_add(1));
            cell.get()
        });
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let handle = web_sys::Worker::new_with_options(LOADER, &options).ok();
        let mut listeners = Vec::new();
        if let Some(handle) = &handle {
            let said = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
                let text = event
                    .dyn_into::<MessageEvent>()
                    .ok()
                    .and_then(|e| e.data().as_string());
                if let Some(said) = text.and_then(|text| protocol::decode::<Said>(&text)) {
                    hear(generation, said);
                }
            });
            handle.set_onmessage(Some(said.as_ref().unchecked_ref()));
            // The module could not be loaded, or trapped outside of every task.
            let failed = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
                let at = event
                    .dyn_into::<ErrorEvent>()
                    .map(|e| e.message())
                    .unwrap_or_default();
                hear(generation, Said::Died { at });
            });
            handle.set_onerror(Some(failed.as_ref().unchecked_ref()));
            listeners = vec![said, failed];
        }
        Self {
            handle,
            generation,
            next_id: 0,
            pending: BTreeMap::new(),
            _listeners: listeners,
        }
    }

    pub(super) fn ask(&mut self, request: Request) {
        self.next_id = self.next_id.wrapping_add(1);
        let ask = Ask {
            id: self.next_id,
            request,
        };
        self.pending.insert(ask.id, Asked::from(&ask.request));
        if let Some(handle) = &self.handle {
            let text = JsValue::from_str(&protocol::encode(&ask));
            // Text can always be cloned: posting it does not fail.
            handle.post_message(&text).ok();
        }
    }

    fn end(&mut self) -> Vec<Asked> {
        if let Some(handle) = self.handle.take() {
            handle.set_onmessage(None);
            handle.set_onerror(None);
            handle.terminate();
        }
        core::mem::take(&mut self.pending).into_values().collect()
    }
}

fn hear(generation: u32, said: Said) {
    let current = super::with_worker(|worker| worker.generation == generation);
    if current != Some(true) {
        return;
    }
    match said {
        Said::Ready => super::dispatch(Event::WorkerReady),
        Said::News(news) => super::dispatch(Event::News(news)),
        Said::Answer { id, result } => {
            let asked = super::with_worker(|worker| worker.pending.remove(&id)).flatten();
            if let Some(asked) = asked {
                super::dispatch(Event::Answered { asked, result });
            }
        }
        Said::Died { at } => {
            web_sys::console::error_2(&"the worker has died:".into(), &at.into());
            let pending = super::with_worker(Worker::end).unwrap_or_default();
            for asked in pending {
                super::dispatch(Event::Answered {
                    asked,
                    result: Err(Failure::Crashed),
                });
            }
            super::dispatch(Event::WorkerDied);
        }
    }
}
