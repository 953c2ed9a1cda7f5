//! The document: listening to it, reading forms, writing regions.
//!
//! Listeners hang on the document once and find what is meant by `data-action`, so that regions
//! can be written anew at any time.

use std::collections::BTreeMap;

use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{Closure, JsValue};
use web_sys::{
    Document, DragEvent, Element, HtmlAnchorElement, HtmlElement, HtmlFormElement,
    HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement, KeyboardEvent, ScrollIntoViewOptions,
    ScrollLogicalPosition, Storage, Window,
};

use crate::model::event::Fields;
use crate::model::{Action, Event};
use crate::view::Page;

/// Largest file that is taken when it is dropped on a field, in octets.
const MAX_DROP_OCTETS: f64 = 64.0 * 1024.0 * 1024.0;

fn window() -> Window {
    web_sys::window().expect("the page's module runs in a window")
}

fn document() -> Document {
    window()
        .document()
        .expect("a window of a browser has a document")
}

pub(super) fn path() -> String {
    window().location().pathname().unwrap_or_default()
}

pub(super) fn reload() {
    window().location().reload().ok();
}

fn storage() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

pub(super) fn recall(name: &str) -> Option<String> {
    storage()?.get_item(name).ok().flatten()
}

/// Without a session storage the tab is locked by a reload, and nothing else is lost.
pub(super) fn remember(name: &str, value: &str) {
    if let Some(storage) = storage() {
        storage.set_item(name, value).ok();
    }
}

pub(super) fn forget(name: &str) {
    if let Some(storage) = storage() {
        storage.remove_item(name).ok();
    }
}

pub(super) fn fill_random(octets: &mut [u8]) {
    let crypto = window()
        .crypto()
        .expect("every browser that runs WebAssembly has crypto");
    crypto
        .get_random_values_with_u8_array(octets)
        .expect("32 octets are no more than 65536");
}

/// Hangs the listeners on the document.
pub(super) fn listen() {
    on("click", |event| {
        let Some(element) = target(&event).and_then(|t| t.closest("[data-action]").ok().flatten())
        else {
            return;
        };
        if element.dyn_ref::<HtmlFormElement>().is_none() {
            act(&element);
        }
    });
    on("submit", |event| {
        event.prevent_default();
        if let Some(form) = target(&event) {
            act(&form);
        }
    });
    on("change", |event| {
        let form = target(&event).and_then(|t| t.closest("[data-watch]").ok().flatten());
        if let Some(form) = form {
            let name = form.get_attribute("data-watch").unwrap_or_default();
            tell(Action::parse(&name, "", &fields(&form)));
        }
    });
    on("keydown", |event| {
        if let Some(event) = event.dyn_ref::<KeyboardEvent>() {
            key(event);
        }
    });
    on("dragover", |event| {
        if drop_field(&event).is_some() {
            event.prevent_default();
        }
    });
    on("drop", |event| dropped(&event));
    let back = Closure::<dyn FnMut()>::new(|| super::dispatch(Event::NetworkBack));
    window()
        .add_event_listener_with_callback("online", back.as_ref().unchecked_ref())
        .ok();
    back.forget();
}

fn on(name: &str, run: impl Fn(web_sys::Event) + 'static) {
    let listener = Closure::<dyn FnMut(web_sys::Event)>::new(run);
    let function = listener.as_ref().unchecked_ref();
    document()
        .add_event_listener_with_callback(name, function)
        .ok();
    // It lives as long as the page.
    listener.forget();
}

fn target(event: &web_sys::Event) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()
}

fn act(element: &Element) {
    let name = element.get_attribute("data-action").unwrap_or_default();
    let argument = element.get_attribute("data-argument").unwrap_or_default();
    let form = element.closest("form").ok().flatten();
    let fields = form.as_ref().map(fields).unwrap_or_default();
    tell(Action::parse(&name, &argument, &fields));
}

fn tell(action: Option<Action>) {
    if let Some(action) = action {
        super::dispatch(Event::Acted(action));
    }
}

fn fields(form: &Element) -> Fields {
    let mut fields = Fields::new();
    let Ok(named) = form.query_selector_all("[name]") else {
        return fields;
    };
    for index in 0..named.length() {
        let Some(node) = named.get(index) else {
            continue;
        };
        if let Some(input) = node.dyn_ref::<HtmlInputElement>() {
            if input.type_() != "checkbox" || input.checked() {
                fields.insert(input.name(), input.value());
            }
        } else if let Some(area) = node.dyn_ref::<HtmlTextAreaElement>() {
            fields.insert(area.name(), area.value());
        } else if let Some(choice) = node.dyn_ref::<HtmlSelectElement>() {
            fields.insert(choice.name(), choice.value());
        }
    }
    fields
}

fn key(event: &KeyboardEvent) {
    let typing = target(event).filter(|element| {
        element.dyn_ref::<HtmlInputElement>().is_some()
            || element.dyn_ref::<HtmlTextAreaElement>().is_some()
    });
    if let Some(field) = typing {
        let send = event.key() == "Enter" && (event.ctrl_key() || event.meta_key());
        let form = field
            .closest("form")
            .ok()
            .flatten()
            .and_then(|f| f.dyn_into().ok());
        if let (true, Some(form)) = (send, form) {
            let form: HtmlFormElement = form;
            form.request_submit().ok();
        }
        return;
    }
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    if let Some(action) = Action::of_key(&event.key()) {
        // The key that opens the sheet is not typed into it.
        event.prevent_default();
        tell(Some(action));
    }
}

fn drop_field(event: &web_sys::Event) -> Option<HtmlTextAreaElement> {
    let field = target(event)?.dyn_into::<HtmlTextAreaElement>().ok()?;
    field.class_list().contains("drop").then_some(field)
}

/// Puts the text of a dropped file into the field.
fn dropped(event: &web_sys::Event) {
    let Some(field) = drop_field(event) else {
        return;
    };
    let files = event
        .dyn_ref::<DragEvent>()
        .and_then(DragEvent::data_transfer);
    let Some(file) = files
        .and_then(|files| files.files())
        .and_then(|files| files.get(0))
    else {
        return;
    };
    event.prevent_default();
    if file.size() > MAX_DROP_OCTETS {
        return;
    }
    wasm_bindgen_futures::spawn_local(async move {
        let text = wasm_bindgen_futures::JsFuture::from(file.text()).await;
        if let Some(text) = text.ok().and_then(|text| JsValue::as_string(&text)) {
            field.set_value(&text);
        }
    });
}

/// Writes the regions that have changed.
pub(super) fn show(shown: &mut BTreeMap<&'static str, String>, page: &Page) {
    let document = document();
    document.set_title(&page.title);
    if let Some(body) = document.body() {
        body.set_attribute("data-pane", page.pane).ok();
    }
    for region in &page.regions {
        if shown.get(region.id) == Some(&region.html) {
            continue;
        }
        let Some(element) = document.get_element_by_id(region.id) else {
            continue;
        };
        // What is inside is gone with the old content.
        shown.retain(|id, _| {
            let inner = document.get_element_by_id(id);
            *id == region.id || inner.is_some_and(|inner| !element.contains(Some(&inner)))
        });
        let focused = document
            .active_element()
            .map(|active| active.id())
            .unwrap_or_default();
        element.set_inner_html(&region.html);
        shown.insert(region.id, region.html.clone());
        bring_into_view(&element);
        if !focused.is_empty() && document.active_element().is_none_or(|a| a.id() != focused) {
            focus(&focused);
        }
    }
}

/// Scrolls as little as needed to show the row of the message that is read.
fn bring_into_view(element: &Element) {
    if let Ok(Some(row)) = element.query_selector(".row[aria-current]") {
        let options = ScrollIntoViewOptions::new();
        options.set_block(ScrollLogicalPosition::Nearest);
        row.scroll_into_view_with_scroll_into_view_options(&options);
    }
}

/// Puts the keyboard's focus on an element.
pub(super) fn focus(id: &str) {
    let element = document().get_element_by_id(id);
    if let Some(element) = element.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        element.focus().ok();
    }
}

/// Saves what is at an address of this page as a file.
pub(super) fn save(url: &str, name: &str) {
    let Ok(anchor) = document().create_element("a") else {
        return;
    };
    let Ok(anchor) = anchor.dyn_into::<HtmlAnchorElement>() else {
        return;
    };
    anchor.set_href(url);
    anchor.set_download(name);
    anchor.click();
}
