//! Waiting for what is new: pushed by the provider, or asked for by a pull that waits there.
//!
//! [`letterlock_core::sync::news`] says which. Of a browser's tabs one listens: HTTP/1.1 gives all of
//! them six connections to the provider together, and streams would use them up for ever. The
//! others ask. Invariant: whatever ends a stream, the next call is a pull that says what came
//! meanwhile, and what is wrong.

use std::collections::VecDeque;

use futures::channel::oneshot;
use futures::future::{Either, select};
use js_sys::{Function, Object, Promise, Reflect};
use letterlock_core::sync::news::{End, FIRST_MS, Line, Reader, SILENCE_MS};
use letterlock_core::sync::wire::News;
use rand::rngs::OsRng;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::exchange::token;
use super::http::Stream;
use super::provider::{self, Opened, ProviderError};
use super::session::{Session, now};
use super::signal::pause;

/// How long the provider may wait for news before it answers, in milliseconds.
const WAIT_MS: u32 = 25_000;

/// What is to be done.
#[derive(Debug)]
pub enum Heard {
    /// The provider has pushed this.
    News(News),
    /// Ask, and let the provider wait so many milliseconds.
    Ask(u32),
}

/// A tab that waits.
#[derive(Debug, Default)]
pub struct Listening {
    line: Line,
    stream: Option<NewsStream>,
    turn: Option<Turn>,
}

#[derive(Debug)]
enum NotHeard {
    Ended(End),
    Provider(ProviderError),
}

impl Listening {
    /// Waits until there is something to do.
    pub async fn wait(&mut self, session: &Session) -> Result<Heard, ProviderError> {
        if !self.line.listens(now()) || !self.has_turn(session).await {
            self.turn = None;
            return Ok(Heard::Ask(WAIT_MS));
        }
        let end = match self.next(session).await {
            Ok(heard) => return Ok(heard),
            Err(NotHeard::Provider(error)) => return Err(error),
            Err(NotHeard::Ended(end)) => end,
        };
        self.stream = None;
        let pause_ms = self.line.ended(end, now(), &mut OsRng);
        pause_for(pause_ms).await;
        Ok(Heard::Ask(0))
    }

    async fn has_turn(&mut self, session: &Session) -> bool {
        if self.turn.is_none() {
            let name = format!("letterlock news {}", session.known.account);
            self.turn = Turn::take(&name).await;
        }
        self.turn.is_some()
    }

    async fn next(&mut self, session: &Session) -> Result<Heard, NotHeard> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let opened = NewsStream::open(session).await?;
                self.line.opened(now());
                none.insert(opened)
            }
        };
        let poll = pause_for(self.line.asks_in(now()));
        let woken = session.wake.wait();
        futures::pin_mut!(poll, woken);
        let other = select(poll, woken);
        let news = stream.next();
        futures::pin_mut!(news);
        if let Either::Left((news, _)) = select(news, other).await {
            let news = news.map_err(NotHeard::Ended)?;
            self.line.heard(now());
            return Ok(Heard::News(news));
        }
        self.line.asked(now());
        Ok(Heard::Ask(0))
    }
}

/// A stream through which something has come.
#[derive(Debug)]
struct NewsStream {
    stream: Stream,
    reader: Reader,
    read: VecDeque<News>,
}

impl NewsStream {
    async fn open(session: &Session) -> Result<Self, NotHeard> {
        let token = token(session).map_err(NotHeard::Provider)?;
        let opening = provider::news(&token, session.account.pulled());
        let late = pause_for(FIRST_MS);
        futures::pin_mut!(opening, late);
        let stream = match select(opening, late).await {
            Either::Left((Ok(Opened::Stream(stream)), _)) => stream,
            Either::Left((Ok(Opened::None), _)) => return Err(NotHeard::Ended(End::Refused)),
            Either::Left((Err(error), _)) => return Err(NotHeard::Provider(error)),
            Either::Right(_) => return Err(NotHeard::Ended(End::Silent)),
        };
        let mut opened = Self {
            stream,
            reader: Reader::default(),
            read: VecDeque::new(),
        };
        opened.more(FIRST_MS).await.map_err(NotHeard::Ended)?;
        Ok(opened)
    }

    /// The next news. Nothing is lost if this is dropped before it has ended.
    async fn next(&mut self) -> Result<News, End> {
        loop {
            if let Some(news) = self.read.pop_front() {
                return Ok(news);
            }
            self.more(SILENCE_MS).await?;
        }
    }

    async fn more(&mut self, limit_ms: u32) -> Result<(), End> {
        let piece = self.stream.piece();
        let late = pause_for(limit_ms);
        futures::pin_mut!(piece, late);
        let Either::Left((piece, _)) = select(piece, late).await else {
            return Err(End::Silent);
        };
        let piece = piece.ok_or(End::Cut)?;
        let read = self.reader.push(&piece).map_err(|_| End::Refused)?;
        self.read.extend(read);
        Ok(())
    }
}

async fn pause_for(ms: u32) {
    pause(i32::try_from(ms).unwrap_or(i32::MAX)).await;
}

/// Held by the tab that listens (Web Locks); others get it when it is dropped or its worker dies.
#[derive(Debug)]
struct Turn {
    release: Function,
}

impl Turn {
    /// `None` if another tab has it, or if this browser has no locks.
    async fn take(name: &str) -> Option<Self> {
        let navigator = Reflect::get(&js_sys::global(), &"navigator".into()).ok()?;
        let locks = Reflect::get(&navigator, &"locks".into()).ok()?;
        let request = Reflect::get(&locks, &"request".into()).ok()?;
        let request: Function = request.dyn_into().ok()?;
        let options = Object::new();
        Reflect::set(&options, &"ifAvailable".into(), &JsValue::TRUE).ok()?;
        let (tell, told) = oneshot::channel();
        let granted = Closure::once(move |lock: JsValue| {
            if lock.is_null() {
                tell.send(None).ok();
                return JsValue::UNDEFINED;
            }
            let mut turn = None;
            // The lock is held until this promise is kept.
            let held = Promise::new(&mut |release, _| turn = Some(Self { release }));
            tell.send(turn).ok();
            held.into()
        });
        let callback = granted.as_ref().unchecked_ref();
        let held = request.call3(&locks, &name.into(), &options, callback);
        let held: Promise = held.ok()?.dyn_into().ok()?;
        // A browser that refuses does not call back.
        match select(told, JsFuture::from(held)).await {
            Either::Left((turn, _)) => turn.ok().flatten(),
            Either::Right((_, mut told)) => told.try_recv().ok().flatten().flatten(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Whatever it says, the worker's end releases it.
        self.release.call0(&JsValue::UNDEFINED).ok();
    }
}
