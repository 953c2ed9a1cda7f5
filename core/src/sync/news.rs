//! News that the provider pushes: server-sent events (WHATWG HTML 9.2), read in pieces, and when a
//! device asks instead.
//!
//! A stream begins with a comment that is sent at once, and has one every [`HEARTBEAT_MS`], so that
//! a device soon knows whether octets come through. An event `news` has the generation up to which
//! it tells as its id, and [`News`] as CBOR in base64url. A device that comes back says in
//! `Last-Event-ID` what it has heard, so a stream that is cut loses nothing.
//!
//! Invariant: a stream is an improvement on asking and never instead of it. What comes over it goes
//! the way of an answer to a pull; where it does not come through, or tells nonsense, the device
//! asks by a pull that waits; and [`POLL_AFTER_MS`] after news,
//! and once in [`POLL_EVERY_MS`], it asks in any case. Rejected:
//! `WebSocket` (nothing goes the other way, and proxies refuse it); events that say only that there
//! is news (each piece would be a request); HTTP/2 server push (gone from browsers).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;

use crate::id::Timestamp;
use crate::sync::wire::{self, News};

/// The media type of a stream.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The field in which a device says up to where it has heard.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// How often the provider says that a stream lives, in milliseconds. Proxies cut what is silent
/// for a minute.
pub const HEARTBEAT_MS: u32 = 25_000;
/// How long a stream may be silent before a device takes it for cut, in milliseconds.
pub const SILENCE_MS: u32 = 60_000;
/// How soon the first octets must come, in milliseconds. A proxy that collects what it passes on
/// keeps them back.
pub const FIRST_MS: u32 = 10_000;
/// Octets of what has changed that one event carries at most; of what is longer it says that there
/// is more, and the device asks.
pub const NEWS_OCTETS: usize = 64 * 1024;
/// Longest event that a device reads, in octets: [`NEWS_OCTETS`] in base64, and its frame.
pub const MAX_EVENT_OCTETS: usize = 128 * 1024;
/// Most streams of one account; a new one ends the oldest, which may be a device's that went away
/// without a word.
pub const MAX_STREAMS: usize = 128;
/// How often a device with a stream asks all the same, in milliseconds.
pub const POLL_EVERY_MS: i64 = 2 * 60 * 1000;
/// How soon after news it does so, in milliseconds: an answer can be held to what the device had
/// stored when it asked, news cannot.
pub const POLL_AFTER_MS: i64 = 5000;

/// What stands first in a stream, and what shows that it lives: a comment.
pub const SIGN_OF_LIFE: &str = ":\n\n";

/// How long a device asks before it tries a stream again, in milliseconds.
const FALL_BACK_MS: i64 = 10 * 60 * 1000;
/// A stream that lives shorter than this ended soon, in milliseconds.
const SOON_MS: i64 = 10_000;
/// After so many that ended soon, one after the other, a device asks.
const MAX_SHORT: u32 = 4;
/// The first pause after a stream was cut, in milliseconds; it doubles with each that ends soon.
const FIRST_PAUSE_MS: u32 = 500;

/// News as an event.
pub fn event(news: &News) -> String {
    let data = URL_SAFE_NO_PAD.encode(wire::encode(news));
    format!(
        "event: news\nid: {}\ndata: {data}\n\n",
        news.changes.until.0
    )
}

/// A stream makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// An event is longer than [`MAX_EVENT_OCTETS`].
    #[error("an event is too long")]
    TooLong,
    /// An event is no news.
    #[error("an event does not read")]
    Malformed,
}

/// Reads a stream, however it is cut into pieces.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    is_news: bool,
    data: Vec<u8>,
}

impl Reader {
    /// Takes the next octets; the news that end in them.
    pub fn push(&mut self, octets: &[u8]) -> Result<Vec<News>, StreamError> {
        let mut news = Vec::new();
        for piece in octets.split_inclusive(|octet| *octet == b'\n') {
            if self.line.len() + self.data.len() + piece.len() > MAX_EVENT_OCTETS {
                return Err(StreamError::TooLong);
            }
            self.line.extend_from_slice(piece);
            if self.line.pop_if(|last| *last == b'\n').is_some() {
                self.line.pop_if(|last| *last == b'\r');
                news.extend(self.end_line()?);
                self.line.clear();
            }
        }
        Ok(news)
    }

    fn end_line(&mut self) -> Result<Option<News>, StreamError> {
        if self.line.is_empty() {
            let data = core::mem::take(&mut self.data);
            let is_news = core::mem::take(&mut self.is_news);
            return is_news.then(|| read(&data)).transpose();
        }
        let mut parts = self.line.splitn(2, |octet| *octet == b':');
        let (name, value) = (parts.next(), parts.next().unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            Some(b"event") => self.is_news = value == b"news",
            Some(b"data") => self.data.extend_from_slice(value),
            // Comments, and what a later version may say.
            _ => {}
        }
        Ok(None)
    }
}

fn read(data: &[u8]) -> Result<News, StreamError> {
    let octets = URL_SAFE_NO_PAD.decode(data);
    let octets = octets.map_err(|_| StreamError::Malformed)?;
    wire::decode(&octets).map_err(|_| StreamError::Malformed)
}

/// How a stream ended, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nothing came in time: something on the way keeps it back.
    Silent,
    /// There is none to be had here, or what came makes no sense.
    Refused,
    /// The provider or something on the way ended it.
    Cut,
}

/// Whether a device listens or asks.
#[derive(Debug, Default)]
pub struct Line {
    opened: Option<Timestamp>,
    /// How many streams have ended soon, one after the other.
    short: u32,
    /// Since when the device asks.
    asks_since: Option<Timestamp>,
    /// When a device that listens asks the next time.
    asks_at: Option<Timestamp>,
}

impl Line {
    /// A device that has not tried yet.
    pub const fn new() -> Self {
        Self {
            opened: None,
            short: 0,
            asks_since: None,
            asks_at: None,
        }
    }

    /// Whether a stream is to be listened to now.
    pub fn listens(&self, now: Timestamp) -> bool {
        let age = |since: Timestamp| now.as_millis().saturating_sub(since.as_millis());
        // A clock that was set back does not keep the device asking.
        self.asks_since
            .is_none_or(|since| !(0..FALL_BACK_MS).contains(&age(since)))
    }

    /// A stream's first octets have come.
    pub fn opened(&mut self, now: Timestamp) {
        self.opened = Some(now);
        self.asks_since = None;
        self.asked(now);
    }

    /// The device asks.
    pub fn asked(&mut self, now: Timestamp) {
        self.asks_at = Some(later(now, POLL_EVERY_MS));
    }

    /// News have come.
    pub fn heard(&mut self, now: Timestamp) {
        let soon = later(now, POLL_AFTER_MS);
        self.asks_at = Some(self.asks_at.map_or(soon, |at| at.min(soon)));
    }

    /// In how many milliseconds a device that listens asks.
    pub fn asks_in(&self, now: Timestamp) -> u32 {
        let left = self
            .asks_at
            .map_or(0, |at| at.as_millis().saturating_sub(now.as_millis()));
        // A clock that was set back puts nothing off.
        u32::try_from(left.clamp(0, POLL_EVERY_MS)).unwrap_or(0)
    }

    /// A stream has ended, or none was to be had. How long to wait, in milliseconds, before the
    /// next call: not all devices of a provider that starts again come back at once.
    pub fn ended(&mut self, end: End, now: Timestamp, rng: &mut impl Rng) -> u32 {
        if end != End::Cut {
            self.asks_since = Some(now);
            return 0;
        }
        let lived = self.opened.take();
        let lived = lived.map(|opened| now.as_millis().saturating_sub(opened.as_millis()));
        if lived.is_some_and(|lived| lived >= SOON_MS) {
            self.short = 0;
        } else {
            self.short = self.short.saturating_add(1);
        }
        if self.short >= MAX_SHORT {
            self.short = 0;
            self.asks_since = Some(now);
        }
        let longest = FIRST_PAUSE_MS << self.short.min(MAX_SHORT);
        rng.gen_range(longest / 2..=longest)
    }
}

const fn later(now: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_add(ms))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha20Rng;
    use serde_bytes::ByteBuf;

    use super::*;
    use crate::id::Generation;
    use crate::sync::wire::{Entry, PullResponse};

    fn news(number: u64, octets: usize) -> News {
        let envelope = ByteBuf::from(vec![7; octets]);
        News {
            since: Generation(number),
            changes: PullResponse {
                entries: vec![Entry::Document { envelope }],
                until: Generation(number + 1),
                more: false,
            },
        }
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_it_tells_the_same(
            sizes in proptest::collection::vec(0..300_usize, 0..5),
            piece in 1..200_usize,
            crlf: bool,
        ) {
            let told: Vec<News> = (1..).zip(sizes).map(|(number, size)| news(number, size)).collect();
            let mut stream = SIGN_OF_LIFE.to_owned();
            for news in &told {
                stream.push_str(&event(news));
                stream.push_str("event: of a later version\ndata: x\n\n: comment\n\n");
            }
            if crlf {
                stream = stream.replace('\n', "\r\n");
            }
            let mut reader = Reader::default();
            let mut heard = Vec::new();
            for octets in stream.as_bytes().chunks(piece) {
                heard.extend(reader.push(octets).unwrap());
            }
            prop_assert_eq!(heard, told);
        }
    }

    #[test]
    fn the_longest_event_is_read_and_no_longer_one() {
        let mut reader = Reader::default();
        let long = event(&news(1, NEWS_OCTETS));
        assert_eq!(reader.push(long.as_bytes()).unwrap().len(), 1);
        let line = vec![b'x'; MAX_EVENT_OCTETS + 1];
        assert_eq!(Reader::default().push(&line), Err(StreamError::TooLong));
        let fed = (0..=MAX_EVENT_OCTETS).find_map(|_| reader.push(b"data:x\n").err());
        assert_eq!(fed, Some(StreamError::TooLong));
    }

    #[test]
    fn nonsense_is_an_error() {
        for data in ["", "!", "AAAA"] {
            let text = format!("event: news\ndata: {data}\n\n");
            let read = Reader::default().push(text.as_bytes());
            assert_eq!(read, Err(StreamError::Malformed), "{data}");
        }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_device_asks_where_no_stream_comes_through_and_tries_again() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for end in [End::Silent, End::Refused] {
            let mut line = Line::default();
            assert!(line.listens(at(0)));
            assert_eq!(line.ended(end, at(0), &mut rng), 0);
            assert!(!line.listens(at(1)) && !line.listens(at(FALL_BACK_MS - 1)));
            assert!(line.listens(at(FALL_BACK_MS)));
            assert!(line.listens(at(-1)), "the clock was set back");
        }
    }

    #[test]
    fn a_device_that_listens_asks_now_and_then_and_soon_after_news() {
        let every = u32::try_from(POLL_EVERY_MS).unwrap();
        let soon = u32::try_from(POLL_AFTER_MS).unwrap();
        let mut line = Line::new();
        line.opened(at(0));
        assert_eq!(line.asks_in(at(0)), every);
        assert_eq!(line.asks_in(at(-POLL_EVERY_MS)), every, "set back");
        line.heard(at(1000));
        line.heard(at(3000));
        assert_eq!(
            line.asks_in(at(3000)),
            soon - 2000,
            "after the first of them"
        );
        assert_eq!(line.asks_in(at(90_000)), 0);
        line.asked(at(90_000));
        assert_eq!(line.asks_in(at(90_000)), every);
    }

    #[test]
    fn streams_that_end_soon_are_given_up_and_others_are_not() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut line = Line::default();
        let mut pauses = Vec::new();
        for _ in 0..MAX_SHORT {
            assert!(line.listens(at(0)));
            line.opened(at(0));
            pauses.push(line.ended(End::Cut, at(SOON_MS - 1), &mut rng));
        }
        assert!(!line.listens(at(SOON_MS)));
        assert!(pauses[2] > pauses[0], "{pauses:?}");
        let mut line = Line::default();
        for _ in 0..100 {
            line.opened(at(0));
            let pause = line.ended(End::Cut, at(SOON_MS), &mut rng);
            assert!((FIRST_PAUSE_MS / 2..=FIRST_PAUSE_MS).contains(&pause));
            assert!(line.listens(at(SOON_MS)));
        }
    }
}
