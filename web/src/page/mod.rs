//! The page's shell: the only place on the page's side that touches the browser.
//!
//! One loop without a loop: a DOM event or a message of the worker becomes an
//! [`Event`], [`crate::app::update`] changes the model, the effects are run and the regions that
//! changed are written. Nothing here decides anything.

mod dom;
mod worker;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::model::{Clock, Effect, Event, Model};
use crate::protocol::Secret;
use crate::{app, view};

/// Where the tab's secret lies: it lives as long as the tab and survives a reload.
const TAB_SECRET: &str = "letterlock-tab";
/// Octets of the tab's secret.
const TAB_SECRET_OCTETS: usize = 48;
/// The path of the page that needs no account.
const DECRYPT_PATH: &str = "/decrypt";

thread_local! {
    static SHELL: RefCell<Option<Shell>> = const { RefCell::new(None) };
}

struct Shell {
    model: Model,
    worker: worker::Worker,
    /// What is in the regions of the page.
    shown: BTreeMap<&'static str, String>,
}

/// Starts the page.
pub fn start() {
    dom::listen();
    let shell = Shell {
        model: Model::default(),
        worker: worker::Worker::start(),
        shown: BTreeMap::new(),
    };
    SHELL.with(|cell| cell.replace(Some(shell)));
    let decrypt_page = dom::path().trim_end_matches('/') == DECRYPT_PATH;
    dispatch(Event::Started {
        decrypt_page,
        tab: tab_secret(),
    });
}

/// Takes an event and everything that follows from it at once.
fn dispatch(event: Event) {
    SHELL.with(|cell| {
        // An event that is fired by our own writing (a blur when a field goes) is not meant.
        let Ok(mut guard) = cell.try_borrow_mut() else {
            return;
        };
        let Some(shell) = guard.as_mut() else {
            return;
        };
        shell.model.clock = clock();
        let mut events = VecDeque::from([event]);
        let mut focus = None;
        while let Some(event) = events.pop_front() {
            for effect in app::update(&mut shell.model, event) {
                match effect {
                    Effect::Ask(request) => shell.worker.ask(request),
                    Effect::RestartWorker => shell.worker = worker::Worker::start(),
                    Effect::Focus(id) => focus = Some(id),
                    Effect::Save { url, name } => dom::save(&url, &name),
                    Effect::ForgetTab => dom::forget(TAB_SECRET),
                    Effect::Reload => dom::reload(),
                }
            }
        }
        let page = view::page(&shell.model);
        dom::show(&mut shell.shown, &page);
        if let Some(id) = focus {
            dom::focus(id);
        }
    });
}

/// Runs what needs the worker's list of open questions.
fn with_worker<T>(run: impl FnOnce(&mut worker::Worker) -> T) -> Option<T> {
    SHELL.with(|cell| {
        cell.borrow_mut()
            .as_mut()
            .map(|shell| run(&mut shell.worker))
    })
}

fn clock() -> Clock {
    let date = js_sys::Date::new_0();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "JavaScript times are whole and small"
    )]
    let (now_ms, offset_minutes) = (date.get_time() as i64, -date.get_timezone_offset() as i32);
    Clock {
        now_ms,
        offset_minutes,
    }
}

/// The tab's secret; a new one for a new tab.
fn tab_secret() -> Secret {
    if let Some(secret) = dom::recall(TAB_SECRET).filter(|s| s.len() == 2 * TAB_SECRET_OCTETS) {
        return Secret(secret);
    }
    let mut octets = [0; TAB_SECRET_OCTETS];
    dom::fill_random(&mut octets);
    let digits = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    let secret: String = digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect();
    dom::remember(TAB_SECRET, &secret);
    Secret(secret)
}
