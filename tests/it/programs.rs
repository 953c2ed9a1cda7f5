//! Step 3 of the letter's way with mail programs: mbsync (isync) and mutt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::imap::Imap;
use crate::letter::trace_of;
use crate::talk;
use crate::tools::{argument, program, run};
use crate::world::{Account, DEADLINE, World, letterlock, poll};

const MESSAGE: &str = "From: Sender <sender@elsewhere.example>\r\n\
    To: alice@letterlock.example\r\n\
    Subject: for the Maildir\r\n\
    Message-ID: <maildir@elsewhere.example>\r\n\
    \r\n\
    Two lines,\r\n\
    .one of them with a dot.\r\n";

/// mbsync's configuration: INBOX to a Maildir, both ways.
fn mbsync_configuration(world: &World, account: &Account, folder: &Path) -> PathBuf {
    let (host, port) = world.ready().imap.rsplit_once(':').expect("host and port");
    let (user, password) = (&account.address, &account.app_password);
    let folder_name = argument(folder);
    let configuration = format!(
        "IMAPAccount letterlock\nHost {host}\nPort {port}\nUser {user}\nPass \"{password}\"\n\
         SSLType None\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount letterlock\n\n\
         MaildirStore near\nPath {folder_name}/\nInbox {folder_name}/INBOX\n\n\
         Channel inbox\nFar :far:\nNear :near:\nPatterns INBOX\nCreate Near\nSync All\n\
         Expunge Both\nSyncState *\n",
    );
    let path = folder.join("mbsyncrc");
    fs::write(&path, configuration).expect("write mbsyncrc");
    path
}

fn mbsync(configuration: &Path) -> String {
    let mut command = program("mbsync", "isync");
    command
        .arg("--config")
        .arg(configuration)
        .args(["--verbose", "inbox"]);
    let output = run(&mut command, b"").expect_success("mbsync");
    format!("{}{}", output.text(), output.stderr)
}

/// The messages of a Maildir: path and content.
fn maildir(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for part in ["new", "cur"] {
        for entry in fs::read_dir(folder.join("INBOX").join(part))
            .expect("a Maildir")
            .flatten()
        {
            let content = fs::read(entry.path()).expect("a message");
            found.push((entry.path(), content));
        }
    }
    found
}

/// A message as a Maildir keeps it: LF, and without mbsync's own field.
fn as_kept(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    text.lines()
        .filter(|line| !line.starts_with("X-TUID: "))
        .fold(String::new(), |mut kept, line| {
            kept.push_str(line);
            kept.push('\n');
            kept
        })
}

#[test]
fn mbsync_pulls_once_and_carries_flags_back() {
    let world = World::start();
    let alice = world.alice();
    talk::deliver(&world.ready().lmtp, &alice.address, MESSAGE.as_bytes());
    let mut imap = Imap::inbox(&world, alice);
    let uid = imap.wait_for("for the Maildir");
    let fetched = imap.message(uid);
    trace_of(&fetched, MESSAGE.as_bytes());
    let folder = world.scratch("maildir");
    let configuration = mbsync_configuration(&world, alice, &folder);
    mbsync(&configuration);
    let pulled = maildir(&folder);
    assert_eq!(pulled.len(), imap.uids().len(), "all messages, each once");
    let expected = as_kept(&fetched);
    let mine = pulled
        .iter()
        .find(|(_, content)| as_kept(content) == expected);
    let (path, _) = mine.expect("the message, as IMAP shows it");
    // Again: nothing to do.
    mbsync(&configuration);
    let names = |all: &[(PathBuf, Vec<u8>)]| {
        let mut names: Vec<PathBuf> = all.iter().map(|(path, _)| path.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(
        names(&maildir(&folder)),
        names(&pulled),
        "a second run fetches nothing"
    );
    // A flag set in the Maildir: `:2,FS` is flagged and seen.
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    let base = name.split(":2,").next().unwrap_or(name);
    let flagged = folder.join("INBOX/cur").join(format!("{base}:2,FS"));
    fs::rename(path, &flagged).expect("flag it in the Maildir");
    mbsync(&configuration);
    let flags = imap.flags(uid);
    assert!(
        flags.contains("\\Flagged") && flags.contains("\\Seen"),
        "{flags}"
    );
    // And the other way: deleted here, gone there.
    imap.ok(&format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"));
    imap.ok("EXPUNGE");
    mbsync(&configuration);
    let left = maildir(&folder);
    assert_eq!(left.len(), pulled.len() - 1);
    assert!(!flagged.exists());
}

/// mbsync's configuration: everything into Maildirs in this style.
fn mbsync_all(world: &World, account: &Account, style: &str, folder: &Path) -> PathBuf {
    let (host, port) = world.ready().imap.rsplit_once(':').expect("host and port");
    let (user, password) = (&account.address, &account.app_password);
    let folder_name = argument(folder);
    // A store in the style Maildir++ has all of its folders in INBOX.
    let path = match style {
        "Maildir++" => String::new(),
        _ => format!("Path {folder_name}/mail/\n"),
    };
    let configuration = format!(
        "IMAPAccount letterlock\nHost {host}\nPort {port}\nUser {user}\nPass \"{password}\"\n\
         SSLType None\nAuthMechs LOGIN\n\n\
         IMAPStore far\nAccount letterlock\n\n\
         MaildirStore near\nSubFolders {style}\n{path}Inbox {folder_name}/mail/INBOX\n\n\
         Channel inbox\nFar :far:\nNear :near:\nPatterns INBOX *\nCreate Near\nSync Pull\n\
         SyncState *\n",
    );
    let path = folder.join("mbsyncrc");
    fs::write(&path, configuration).expect("write mbsyncrc");
    path
}

/// What mbsync made of an account is what an import finds, in every style of folders.
#[test]
fn mbsyncs_folders_are_found_by_an_import() {
    let world = World::start();
    let alice = world.alice();
    let mut imap = Imap::inbox(&world, alice);
    for mailbox in ["Lists", "Lists/Rust", "Lists/Rust/Deep", "Gr&APwA3w-e"] {
        imap.ok(&format!("CREATE \"{mailbox}\""));
    }
    imap.append(
        "\"Lists/Rust/Deep\"",
        "\\Seen",
        b"Subject: one\r\n\r\nx\r\n",
    );
    imap.append("\"Lists/Rust/Deep\"", "", b"Subject: two\r\n\r\nx\r\n");
    imap.append("\"Gr&APwA3w-e\"", "", b"Subject: three\r\n\r\nx\r\n");
    let inbox = imap.uids().len();
    for style in ["Verbatim", "Maildir++", "Legacy"] {
        let folder = world.scratch(style);
        fs::create_dir_all(folder.join("mail")).expect("a folder");
        mbsync(&mbsync_all(&world, alice, style, &folder));
        let root = match style {
            "Maildir++" => folder.join("mail/INBOX"),
            _ => folder.join("mail"),
        };
        let mut import = Command::new(letterlock());
        import.args(["import", "--dry-run", argument(&root)]);
        let found = run(&mut import, b"").expect_success("import").text();
        for (mailbox, messages) in [
            ("INBOX", inbox),
            ("Lists/Rust/Deep", 2),
            ("Lists/Rust", 0),
            ("Grüße", 1),
        ] {
            let line = format!("  {mailbox}: {messages} messages, ");
            assert!(found.contains(&line), "{style}: no `{line}` in\n{found}");
        }
    }
}

/// A terminal of its own for one program, by tmux.
#[derive(Debug)]
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    pub(crate) fn open(world: &World, command: &str) -> Self {
        // One that was used before may still be in the hands of a server that is ending.
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let socket = world.scratch("tmux").join(format!("socket-{number}"));
        let socket = argument(&socket).to_owned();
        let terminal = Self { socket };
        terminal.tmux(&["new-session", "-d", "-x", "130", "-y", "45", command]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = program("tmux", "tmux");
        command
            .env("TERM", "xterm")
            .args(["-S", &self.socket, "-f", "/dev/null", "-u"]);
        run(command.args(arguments), b"")
            .expect_success("tmux")
            .text()
    }

    pub(crate) fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    /// The screen, once it shows this.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut last = String::new();
        let end = crate::world::now() + DEADLINE;
        poll(
            "the terminal shows it",
            DEADLINE + Duration::from_secs(5),
            || {
                last = self.tmux(&["capture-pane", "-p"]);
                assert!(
                    crate::world::now() < end,
                    "`{text}` is not on the screen:\n{last}"
                );
                last.contains(text).then(|| last.clone())
            },
        )
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Gone already if its program has ended.
        let mut command = Command::new("tmux");
        drop(command.args(["-S", &self.socket, "kill-server"]).output());
    }
}

#[test]
fn mutt_lists_and_opens_the_samples() {
    let world = World::start();
    let alice = world.alice();
    Imap::inbox(&world, alice).wait_for("Thirteen o'clock");
    program("mutt", "mutt");
    let folder = world.scratch("mutt");
    let configuration = folder.join("muttrc");
    let settings = format!(
        "set imap_pass=\"{}\"\nset ssl_starttls=no\nset ssl_force_tls=no\nset folder=\"{}\"\n\
         set header_cache=\nset sort=mailbox-order\nset wait_key=no\nset pager_stop=yes\n\
         set mailcap_path=/dev/null\nset imap_idle=no\nset crypt_use_gpgme=no\n\
         set pgp_verify_command=\"true\"\nset pgp_decode_command=\"true\"\nset confirmappend=no\n",
        alice.app_password,
        argument(&folder),
    );
    fs::write(&configuration, settings).expect("write muttrc");
    let user = alice.address.replace('@', "%40");
    let url = format!("imap://{user}@{}/INBOX", world.ready().imap);
    let mutt = format!(
        "LC_ALL=C.UTF-8 HOME={0} mutt -n -F {0}/muttrc -f {url}",
        argument(&folder)
    );
    let terminal = Terminal::open(&world, &mutt);
    let list = terminal.wait_for("Thirteen o'clock");
    for subject in ["Your letterbox, and who can open it", "The lamp is lit"] {
        assert!(list.contains(subject), "`{subject}` is not listed:\n{list}");
    }
    // Decoded by mutt: the encoded words of the samples are sound.
    assert!(list.contains("Kürbis, dreißig Kilo"), "{list}");
    terminal.keys(&["/", "lamp is lit", "Enter"]);
    terminal.keys(&["Enter"]);
    let message = terminal.wait_for("after eleven months, four electricians");
    assert!(message.contains("Subject: The lamp is lit"), "{message}");
    terminal.keys(&["i"]);
    terminal.wait_for("Thirteen o'clock");
    terminal.keys(&["q"]);
}
