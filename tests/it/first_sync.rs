//! Mail programs while a device hears of its account for the first time.
//!
//! The bridge loses all that it had of an account and logs in again: a new device. One of the
//! provider's files is a pipe meanwhile, so that the first sync ends when the test wants. Programs
//! come through a Unix socket, which is known before the ready file, and a door on loopback.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::imap::Imap;
use crate::talk;
use crate::tools::{argument, files, program, python, run};
use crate::world::{Account, START_DEADLINE, World, poll};

/// So many letters are to come: more than are asked for at a time.
const LETTERS: usize = 300;
/// So long is each but the first, which the provider keeps in the largest of its files.
const OCTETS: usize = 16 * 1024;
const FIRST_OCTETS: usize = 700 * 1024;
/// Letters of one APPEND.
const AT_ONCE: usize = 50;
/// How long programs may take until all has come.
const PATIENCE: Duration = Duration::from_mins(3);

/// A letter that cannot be deflated much, and is no other.
fn letter(number: usize) -> Vec<u8> {
    let mut text = format!("Subject: letter {number:03} of many\r\n\r\n").into_bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::try_from(number).expect("a number");
    let octets = if number == 0 { FIRST_OCTETS } else { OCTETS };
    while text.len() < octets {
        for _ in 0..9 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let eight = state.to_be_bytes();
            text.extend(eight.map(|octet| b'0' + octet % 64));
        }
        text.extend(b"\r\n");
    }
    text
}

/// A port on loopback before a Unix socket.
fn door(socket: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Before the socket is there the client is hung up on, and tries again.
            if let Ok(server) = UnixStream::connect(&socket) {
                pass(client, server).expect("pass on");
            }
        }
    });
    address
}

/// Passes octets in both directions until one side ends.
fn pass(client: TcpStream, server: UnixStream) -> io::Result<()> {
    let (mut from_client, mut to_client) = (client.try_clone()?, client);
    let (mut from_server, mut to_server) = (server.try_clone()?, server);
    thread::spawn(move || {
        // Either side may hang up at any time.
        let _ended = io::copy(&mut from_client, &mut to_server);
        let _gone = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let _ended = io::copy(&mut from_server, &mut to_client);
        let _gone = to_client.shutdown(Shutdown::Both);
    });
    Ok(())
}

/// Waits until the provider has everything: what came in is removed there after all else is.
pub(crate) fn wait_until_pushed(world: &World) {
    let alice = world.alice();
    let fence = b"Subject: the last\r\n\r\nx\r\n";
    talk::deliver(&world.ready().lmtp, &alice.address, fence);
    Imap::inbox(world, alice).wait_for("the last");
    let database = world.data_dir().join("provider/provider.sqlite");
    poll("everything is pushed", PATIENCE, || {
        let left = python("incoming.py", &[argument(&database)], b"");
        (left.expect_success("incoming.py").text().trim() == "0").then_some(())
    });
}

fn log_in(address: &str, account: &Account) -> Imap {
    poll("IMAP answers", START_DEADLINE, || {
        let mut imap = Imap::connect(address).ok()?;
        let answer = imap.try_log_in(&account.address, &account.app_password);
        answer.ok()?.status.starts_with("OK").then_some(imap)
    })
}

/// Whether the newest letter is listed, can be read, and it is told that more is to come.
fn newest_is_here(imap: &mut Imap) -> Option<bool> {
    let selected = imap.ok("SELECT INBOX");
    let mut lines = selected.untagged.iter();
    let in_progress = lines.any(|line| line.text.contains("[INPROGRESS]"));
    let newest = uid(imap, LETTERS - 1)?;
    imap.ok(&format!("UID FETCH {newest} BODY.PEEK[]"));
    Some(in_progress)
}

fn uid(imap: &mut Imap, number: usize) -> Option<u32> {
    let subject = format!("letter {number:03} of many");
    let mut summaries = imap.summaries().into_iter();
    let found = summaries.find(|summary| summary.subject == subject)?;
    Some(found.uid)
}

/// Asks for the oldest letter, and waits as long as the server has something to say.
fn wait_for_oldest(mut imap: Imap) -> thread::JoinHandle<bool> {
    imap.ok("SELECT INBOX");
    let oldest = uid(&mut imap, 0).expect("it is listed");
    thread::spawn(move || {
        let answer = imap.command(&format!("UID FETCH {oldest} BODY.PEEK[]"));
        answer.is_ok_and(|answer| answer.status.starts_with("OK"))
    })
}

/// A file of the provider that nobody can read to its end before it is let go.
struct HeldBack {
    path: PathBuf,
    octets: Vec<u8>,
}

impl HeldBack {
    /// The largest: the content of the oldest letter.
    fn largest(world: &World) -> Self {
        let all = files(&world.data_dir().join("provider/blobs"));
        let size = |path: &PathBuf| fs::metadata(path).expect("a file").len();
        let path = all.into_iter().max_by_key(size).expect("a file");
        let octets = fs::read(&path).expect("a file");
        fs::remove_file(&path).expect("remove the file");
        run(program("mkfifo", "coreutils").arg(&path), b"").expect_success("mkfifo");
        Self { path, octets }
    }

    /// Gives it to who waits for it, and to all who come later.
    fn let_go(self) {
        let mut waiting = fs::OpenOptions::new()
            .write(true)
            .open(&self.path)
            .expect("open the pipe");
        let whole = self.path.with_extension("whole");
        fs::write(&whole, &self.octets).expect("write the file");
        fs::rename(&whole, &self.path).expect("put the file back");
        waiting.write_all(&self.octets).expect("write to the pipe");
    }
}

/// mbsync's configuration: INBOX to a Maildir.
fn mbsyncrc(address: &str, account: &Account, folder: &Path) -> PathBuf {
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let (user, password) = (&account.address, &account.app_password);
    let near = argument(folder);
    let text = format!(
        "IMAPAccount letterlock\nHost {host}\nPort {port}\nUser {user}\nPass \"{password}\"\n\
         SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount letterlock\n\n\
         MaildirStore near\nInbox {near}/INBOX\n\n\
         Channel inbox\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync Pull\n\
         SyncState *\n"
    );
    let path = folder.join("mbsyncrc");
    fs::write(&path, text).expect("write mbsyncrc");
    path
}

/// Runs mbsync; whether it was content.
fn mbsync(configuration: &Path) -> bool {
    let mut command = program("mbsync", "isync");
    command.arg("--config").arg(configuration).arg("inbox");
    run(&mut command, b"").success
}

/// The letters of a Maildir, by subject, in CR LF.
fn letters(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for part in ["new", "cur"] {
        let entries = fs::read_dir(folder.join("INBOX").join(part)).expect("a Maildir");
        for entry in entries.flatten() {
            // The samples are there too, in other charsets.
            let text = fs::read(entry.path()).expect("a letter");
            let text = String::from_utf8_lossy(&text);
            let lines = text.lines().filter(|line| !line.starts_with("X-TUID: "));
            let mut whole = Vec::new();
            for line in lines {
                whole.extend(line.as_bytes());
                whole.extend(b"\r\n");
            }
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            let subject = subject.unwrap_or_default().to_owned();
            let other = found.insert(subject.clone(), whole);
            assert!(
                other.is_none() || !subject.contains("of many"),
                "{subject} twice"
            );
        }
    }
    found
}

#[test]
fn programs_come_through_a_first_sync() {
    let mut world = World::prepare_alone();
    world.restart();
    let alice = world.alice().clone();
    let mut imap = Imap::inbox(&world, &alice);
    for first in (0..LETTERS).step_by(AT_ONCE) {
        let mut line = "APPEND INBOX".to_owned();
        for number in first..first + AT_ONCE {
            let letter = String::from_utf8(letter(number)).expect("ASCII");
            line = format!("{line} {{{}+}}\r\n{letter}", letter.len());
        }
        imap.ok(&line);
    }
    drop(imap);
    wait_until_pushed(&world);
    world.stop();
    let folder = world.data_dir().join("bridge").join(&alice.address);
    for path in files(&folder) {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("replica") || name == "unlock.json") {
            fs::remove_file(path).expect("forget what the device had");
        }
    }
    let held_back = HeldBack::largest(&world);
    let socket = world.scratch("socket").join("imap");
    let near = world.scratch("near");
    let address = door(socket.clone());
    world.spawn_with(&["--imap-socket", argument(&socket)]);
    let mut imap = log_in(&address, &alice);
    // Everything is listed, the newest letters can be read, and it is told that more is to come.
    poll("the newest has come", PATIENCE, || {
        newest_is_here(&mut imap)?.then_some(())
    });
    let configuration = mbsyncrc(&address, &alice, &near);
    // A letter that it is refused it would pass over for ever; so it is hung up on, and comes again.
    assert!(!mbsync(&configuration), "mbsync is told to come again");
    let name = |number: usize| format!("letter {number:03} of many");
    assert!(!letters(&near).contains_key(&name(0)), "it was held back");
    // Who asks a moment before it comes gets it.
    let waiting = wait_for_oldest(log_in(&address, &alice));
    thread::sleep(Duration::from_secs(2));
    assert!(!waiting.is_finished());
    held_back.let_go();
    assert!(waiting.join().expect("no panic"), "the oldest was brought");
    world.wait_until_ready();
    assert!(mbsync(&configuration), "mbsync comes through");
    let (host, port) = address.rsplit_once(':').expect("host and port");
    let arguments = [host, port, &alice.address, &alice.app_password];
    let output = python("first_sync.py", &arguments, b"");
    let told = output.expect_success("first_sync.py").text();
    assert_eq!(told.trim(), format!("letters {LETTERS} refused 0"));
    let kept = letters(&near);
    for number in 0..LETTERS {
        let subject = name(number);
        assert!(kept.get(&subject) == Some(&letter(number)), "{subject}");
    }
}
