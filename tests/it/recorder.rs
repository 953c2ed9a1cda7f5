//! A listener between the browser and the program that keeps every octet the browser sends.
//!
//! It sees what pages, workers and service workers send alike. Rejected: Chromium's performance
//! log, which leaves out what workers fetch. Invariant: octets pass unchanged, both ways. What comes
//! back is counted.

use std::io::{Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

#[derive(Debug, Default)]
struct Record {
    sent: Vec<u8>,
    received: usize,
    connections: usize,
    /// No connection is passed on any more.
    away: bool,
    open: Vec<TcpStream>,
}

/// The listener; it lives as long as the test process.
#[derive(Debug)]
pub(crate) struct Recorder {
    record: Arc<Mutex<Record>>,
    address: String,
}

impl Recorder {
    /// Passes on to `http://host:port`.
    pub(crate) fn before(web: &str) -> Self {
        let target = web
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its number").to_string();
        let record = Arc::new(Mutex::new(Record::default()));
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                pass_on(client, &target, &shared);
            }
        });
        Self { record, address }
    }

    /// The URL to give to the browser.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything the browser has sent so far.
    pub(crate) fn sent(&self) -> Vec<u8> {
        locked(&self.record).sent.clone()
    }

    /// How many connections and octets so far.
    pub(crate) fn amounts(&self) -> (usize, usize) {
        let record = locked(&self.record);
        (record.connections, record.sent.len())
    }

    /// How many octets the browser has got so far.
    pub(crate) fn received(&self) -> usize {
        locked(&self.record).received
    }

    /// The program can be reached again.
    pub(crate) fn come_back(&self) {
        locked(&self.record).away = false;
    }

    /// From here on the program cannot be reached.
    pub(crate) fn go_away(&self) {
        let mut record = locked(&self.record);
        record.away = true;
        for stream in record.open.drain(..) {
            // Closed already, then.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn locked(record: &Mutex<Record>) -> std::sync::MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pass_on(client: TcpStream, target: &str, shared: &Arc<Mutex<Record>>) {
    let mut record = locked(shared);
    record.connections += 1;
    if record.away {
        return;
    }
    let Ok(server) = TcpStream::connect(target) else {
        return;
    };
    let handle = |stream: &TcpStream| stream.try_clone().expect("a second handle of a socket");
    record.open.push(handle(&client));
    record.open.push(handle(&server));
    drop(record);
    let (from_client, to_client) = (handle(&client), client);
    let (from_server, to_server) = (handle(&server), server);
    let (keep, count) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || {
        pump(from_client, to_server, |octets| {
            locked(&keep).sent.extend_from_slice(octets);
        });
    });
    thread::spawn(move || {
        pump(from_server, to_client, |octets| {
            locked(&count).received += octets.len();
        });
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length) = from.read(&mut buffer) {
        let octets = buffer.get(..length).unwrap_or_default();
        see(octets);
        if length == 0 || to.write_all(octets).is_err() {
            break;
        }
    }
    // The other direction may go on; an error means that it has ended as well.
    drop(to.shutdown(Shutdown::Write));
}
