//! The worker's front: questions of the page in, answers and news out.
//!
//! Each question is a task of its own, so that a slow one holds up no other. A panic ends the
//! module: its last words are [`Said::Died`], and the page starts another worker.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Uint8Array};
use letterlock_core::id::Address;
use rand::RngCore;
use rand::rngs::OsRng;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{Closure, JsValue};
use web_sys::{Blob, BlobPropertyBag, DedicatedWorkerGlobalScope, MessageEvent, Url};

use super::bulk::BrowserCipher;
use super::exchange::{self, ExchangeError};
use super::provider::ProviderError;
use super::session::{self, Session, now};
use super::{account, decrypt, enrolment, fetching, keys, letter, mail};
use crate::protocol::{
    self, Ask, Changed, Delivery, Draft, Failure, Join, JoinStep, News, Request, Response, Said,
};

thread_local! {
    static SESSION: RefCell<Option<Rc<Session>>> = const { RefCell::new(None) };
}

/// Starts to listen, and says so.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        // Where, never what: a panic's message may carry content.
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        post(&Said::Died { at });
    }));
    let heard = Closure::<dyn FnMut(MessageEvent)>::new(|event: MessageEvent| {
        let text = event.data().as_string().unwrap_or_default();
        if let Some(ask) = protocol::decode::<Ask>(&text) {
            wasm_bindgen_futures::spawn_local(answer(ask));
        }
    });
    scope().set_onmessage(Some(heard.as_ref().unchecked_ref()));
    // It listens as long as the worker lives.
    heard.forget();
    post(&Said::Ready);
}

/// Tells the page what happened.
pub(super) fn tell(news: News) {
    post(&Said::News(news));
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

fn post(said: &Said) {
    // Text can always be cloned: posting it does not fail.
    scope()
        .post_message(&JsValue::from_str(&protocol::encode(said)))
        .ok();
}

async fn answer(ask: Ask) {
    let result = handle(ask.request).await;
    post(&Said::Answer { id: ask.id, result });
}

async fn handle(request: Request) -> Result<Response, Failure> {
    match request {
        Request::Decrypt(request) => {
            let cipher = BrowserCipher::boxed();
            let opened = decrypt::run(&request, now(), cipher.as_deref()).await?;
            Ok(Response::Decrypted(Box::new(opened)))
        }
        Request::Resume { tab } => match session::resume(tab).await? {
            Some(session) => Ok(enter(session)),
            None => Ok(Response::Locked {
                last_address: session::last_address().await,
            }),
        },
        Request::LogIn {
            address,
            password,
            tab,
        } => Ok(enter(session::log_in(&address, &password, tab).await?)),
        Request::Recover {
            address,
            phrase,
            password,
            tab,
        } => {
            let session = session::recover(&address, &phrase, &password, tab).await?;
            Ok(enter(session))
        }
        Request::Join(join) => joined(join).await,
        Request::LogOut { forget } => {
            if let Some(session) = SESSION.take() {
                session.close(forget).await?;
            }
            Ok(Response::Done)
        }
        request => {
            let session = SESSION
                .with(|cell| cell.borrow().clone())
                .ok_or(Failure::Locked)?;
            with_account(&session, request).await
        }
    }
}

async fn joined(join: Join) -> Result<Response, Failure> {
    let Join { attempt, step } = join;
    match step {
        JoinStep::Code => Ok(Response::Joined(enrolment::begin(attempt))),
        JoinStep::Words => Ok(Response::Joined(enrolment::words(attempt).await?)),
        JoinStep::Finish { password, tab } => {
            Ok(enter(enrolment::finish(attempt, &password, tab).await?))
        }
        JoinStep::End => {
            enrolment::end(attempt);
            Ok(Response::Done)
        }
    }
}

fn enter(session: Session) -> Response {
    let session = Rc::new(session);
    let address = session.account.address().as_str().to_owned();
    let before = SESSION.replace(Some(Rc::clone(&session)));
    if let Some(before) = before {
        before.closed.set(true);
        before.wake.set();
        before.rested.set();
    }
    exchange::start(&session);
    Response::Unlocked { address }
}

async fn with_account(session: &Rc<Session>, request: Request) -> Result<Response, Failure> {
    let open = &session.account;
    match request {
        Request::Mailboxes => Ok(mail::mailboxes(open)),
        Request::Messages { mailbox, limit } => mail::messages(open, mailbox, limit).await,
        Request::Message(place) => fetching::message(session, &place).await,
        Request::Mark { place, mark, on } => mail::mark(open, &place, mark, on, now()).await,
        Request::Move { place, to } => mail::put(open, &place, to, now()).await,
        Request::Attachment { place, index } => {
            let (octets, media_type, name) = fetching::attachment(session, &place, index).await?;
            let url = blob_url(&octets, &media_type).map_err(|_| Failure::NotFound)?;
            Ok(Response::Download { url, name })
        }
        Request::Recipients { addresses } => Ok(recipients(session, &addresses).await),
        Request::Send(draft) => send(session, &draft).await,
        Request::Account => {
            let view = account::view(session).await?;
            Ok(Response::Account(Box::new(view)))
        }
        Request::Keys { with } => {
            let view = keys::view(session, with.as_deref()).await?;
            Ok(Response::Keys(Box::new(view)))
        }
        Request::Change(change) => {
            let changed = account::change(session, *change).await?;
            if matches!(changed, Changed::Ended(_)) {
                SESSION.take();
            }
            Ok(Response::Changed(changed))
        }
        Request::Sync => {
            session.wake.set();
            Ok(Response::Done)
        }
        Request::Resume { .. }
        | Request::LogIn { .. }
        | Request::Recover { .. }
        | Request::Join(_)
        | Request::LogOut { .. }
        | Request::Decrypt(_) => Err(Failure::NotFound),
    }
}

/// How mail to these people would leave; the directory is asked about those who are not known.
async fn recipients(session: &Rc<Session>, text: &str) -> Response {
    let mut known = Vec::new();
    for recipient in letter::recipients(text, |_| Delivery::Unknown) {
        let delivery = match Address::new(&recipient.address) {
            Ok(address) => delivery(session, &address).await,
            Err(_) => Delivery::Invalid,
        };
        known.push(protocol::Recipient {
            delivery,
            ..recipient
        });
    }
    Response::Recipients(known)
}

async fn delivery(session: &Rc<Session>, address: &Address) -> Delivery {
    let addresses = core::slice::from_ref(address);
    for _ in 0..2 {
        let answers = session.answers.borrow().clone();
        match session.account.recipients(addresses, &answers, now()).await {
            Ok(Ok(found)) => {
                let certificate = found.into_iter().find_map(|(_, certificate)| certificate);
                return if certificate.is_some() {
                    Delivery::Encrypted
                } else {
                    Delivery::Clear
                };
            }
            Ok(Err(_)) => {
                if exchange::look_up(session, address).await.is_err() {
                    return Delivery::Unknown;
                }
            }
            Err(_) => return Delivery::Unknown,
        }
    }
    Delivery::Unknown
}

/// Stores the message durably in the outbox and tries to send it at once.
async fn send(session: &Rc<Session>, draft: &Draft) -> Result<Response, Failure> {
    let account = &session.account;
    let thread = match &draft.answers {
        Some(place) => mail::thread(account, place).await,
        None => letter::Thread::default(),
    };
    let mut unique = [0; 16];
    OsRng.fill_bytes(&mut unique);
    let letter = letter::build(draft, account.address(), &thread, now(), unique)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    let id = account
        .submit(
            account.address(),
            letter.forward_paths,
            &letter.message,
            now(),
        )
        .await
        .map_err(|error| Failure::Refused(format!("This was not sent: {error}.")))?;
    if let Some(place) = &draft.answers {
        // An answer to a message that has been moved meanwhile is an answer all the same.
        mail::mark_answered(account, place, now()).await.ok();
    }
    let outbox = account.outbox().await.map_err(mail::failed)?;
    let Some(entry) = outbox.into_iter().find(|entry| entry.id == id) else {
        return Ok(Response::Sent { waits: false });
    };
    match exchange::send(session, &entry).await {
        Ok(()) => Ok(Response::Sent { waits: false }),
        Err(ExchangeError::Provider(error)) if !error.is_passing() => {
            let reason = match error {
                ProviderError::Refused { message, .. } => message,
                error => error.to_string(),
            };
            Err(Failure::Refused(format!("This was not sent: {reason}.")))
        }
        // It is in the outbox: the exchange sends it later.
        Err(_) => Ok(Response::Sent { waits: true }),
    }
}

/// Where the page finds these octets, until it is closed.
pub(super) fn blob_url(octets: &[u8], media_type: &str) -> Result<String, JsValue> {
    let parts = Array::of1(&Uint8Array::from(octets));
    let options = BlobPropertyBag::new();
    // What is saved is saved, never shown: no type of a stranger's runs in this origin.
    options.set_type(
        if media_type.starts_with("image/") && !media_type.contains("svg") {
            media_type
        } else {
            "application/octet-stream"
        },
    );
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options)?;
    Url::create_object_url_with_blob(&blob)
}
