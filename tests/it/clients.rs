//! More mail programs against the local IMAP server: curl, fetchmail, getmail, `OfflineIMAP`,
//! neomutt, alpine. Their configurations are those of `docs/mail-programs.md`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::imap::Imap;
use crate::programs::Terminal;
use crate::tools::{Output, argument, contains, files, program, run};
use crate::world::{Account, World};

/// The last of the sample letters to come in.
const LAST_SAMPLE: &str = "Thirteen o'clock";

/// A world in which alice has her sample letters, and how many those are.
fn world() -> (World, usize) {
    let world = World::start();
    let mut imap = Imap::inbox(&world, world.alice());
    imap.wait_for(LAST_SAMPLE);
    let letters = imap.uids().len();
    (world, letters)
}

fn host_and_port(world: &World) -> (&str, &str) {
    world.ready().imap.rsplit_once(':').expect("host and port")
}

/// A file that its owner alone can read, as some programs insist.
fn private(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("write a configuration");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&path, mode).expect("set its mode");
    argument(&path).to_owned()
}

#[test]
fn curl_searches_fetches_and_appends() {
    let (world, letters) = world();
    let alice = world.alice();
    let curl = |path: &str, more: &[&str]| -> Output {
        let mut command = program("curl", "curl");
        let user = format!("{}:{}", alice.address, alice.app_password);
        let url = format!("imap://{}/{path}", world.ready().imap);
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "40",
            "--user",
            &user,
        ]);
        run(command.args(more).arg(url), b"").expect_success("curl")
    };
    let found = curl("INBOX?ALL", &[]).text();
    let numbers = found
        .trim()
        .trim_start_matches("* SEARCH")
        .split_whitespace();
    assert_eq!(numbers.count(), letters, "{found}");
    let header = curl("INBOX;UID=2/;SECTION=HEADER.FIELDS%20(SUBJECT)", &[]).text();
    assert_eq!(header.trim(), "Subject: The lamp is lit");
    let folder = world.scratch("curl");
    let draft = private(&folder, "draft.eml", "Subject: by curl\r\n\r\nA draft.\r\n");
    curl("Drafts", &["--upload-file", &draft]);
    let back = curl("Drafts;UID=1", &[]).stdout;
    assert_eq!(back, b"Subject: by curl\r\n\r\nA draft.\r\n");
}

#[test]
fn fetchmail_and_getmail_fetch_every_message_once() {
    let (world, letters) = world();
    let (host, port) = host_and_port(&world);
    let Account {
        address,
        app_password,
        ..
    } = world.alice();
    let folder = world.scratch("fetchmail");
    let place = argument(&folder);
    let fetched = folder.join("fetched");
    let configuration = private(
        &folder,
        "fetchmailrc",
        &format!(
            "poll {host} port {port} protocol imap\n  user \"{address}\" password \"{app_password}\" is root here\n  \
             keep\n  sslproto \"\"\n  mda \"cat >> {place}/fetched\"\n"
        ),
    );
    let mut command = program("fetchmail", "fetchmail");
    command.env("HOME", &folder).env("FETCHMAILHOME", &folder);
    run(command.args(["-f", &configuration, "--all"]), b"").expect_success("fetchmail");
    let mail = fs::read(&fetched).expect("what was fetched");
    assert!(contains(&mail, LAST_SAMPLE.as_bytes()));

    let folder = world.scratch("getmail");
    let place = argument(&folder);
    let configuration = private(
        &folder,
        "getmailrc",
        &format!(
            "[retriever]\ntype = SimpleIMAPRetriever\nserver = {host}\nport = {port}\n\
             username = {address}\npassword = {app_password}\nmailboxes = (\"INBOX\",)\nuse_peek = true\n\n\
             [destination]\ntype = MDA_external\npath = /bin/sh\n\
             arguments = (\"-c\", \"cat > {place}/letter-$$.eml\")\n\
             allow_root_commands = true\n\n[options]\nread_all = false\ndelete = false\n"
        ),
    );
    for expected in [letters, letters] {
        let mut command = program("getmail", "getmail6");
        command.args(["--getmaildir", place, "--rcfile", &configuration]);
        run(&mut command, b"").expect_success("getmail");
        // The second time there is nothing new.
        let eml = |path: &&std::path::PathBuf| path.extension().is_some_and(|end| end == "eml");
        assert_eq!(files(&folder).iter().filter(eml).count(), expected);
    }
}

#[test]
fn offlineimap_mirrors_both_ways() {
    let (world, letters) = world();
    let (host, port) = host_and_port(&world);
    let alice = world.alice();
    let folder = world.scratch("offlineimap");
    let place = argument(&folder);
    let configuration = private(
        &folder,
        "offlineimaprc",
        &format!(
            "[general]\naccounts = letterlock\nmetadata = {place}/metadata\n\n\
             [Account letterlock]\nlocalrepository = near\nremoterepository = far\n\n\
             [Repository near]\ntype = Maildir\nlocalfolders = {place}/mail\n\n\
             [Repository far]\ntype = IMAP\nremotehost = {host}\nremoteport = {port}\n\
             remoteuser = {}\nremotepass = {}\nssl = no\nstarttls = no\n",
            alice.address, alice.app_password
        ),
    );
    let mirror = || {
        let mut command = program("offlineimap", "offlineimap3");
        command.env("HOME", &folder);
        run(
            command.args(["-o", "-u", "quiet", "-c", &configuration]),
            b"",
        )
        .expect_success("offlineimap");
    };
    mirror();
    let inbox = folder.join("mail/INBOX");
    assert_eq!(files(&inbox).len(), letters);
    // A letter written here comes there, and a flag set there comes here.
    fs::write(
        inbox.join("new/1.written.here:2,"),
        "Subject: written here\n\nX\n",
    )
    .expect("write a letter");
    let mut imap = Imap::inbox(&world, alice);
    imap.ok("STORE 1 +FLAGS.SILENT (\\Flagged)");
    mirror();
    let uid = imap.wait_for("written here");
    assert!(contains(&imap.message(uid), b"written here"));
    let flagged = |path: &std::path::PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| {
            name.rsplit(":2,")
                .next()
                .is_some_and(|flags| flags.contains('F'))
        })
    };
    assert!(files(&inbox).iter().any(flagged));
    let before = files(&inbox);
    mirror();
    assert_eq!(files(&inbox), before, "a third run changes nothing");
}

#[test]
fn neomutt_and_alpine_list_and_open() {
    let (world, _) = world();
    let alice = world.alice();
    program("neomutt", "neomutt");
    let folder = world.scratch("neomutt");
    let place = argument(&folder);
    let configuration = private(
        &folder,
        "neomuttrc",
        &format!(
            "set imap_pass=\"{}\"\nset ssl_starttls=no\nset ssl_force_tls=no\nset folder=\"{place}\"\n\
             set sort=mailbox-order\nset mailcap_path=/dev/null\n",
            alice.app_password
        ),
    );
    let user = alice.address.replace('@', "%40");
    let imap = &world.ready().imap;
    let terminal = Terminal::open(
        &world,
        &format!(
            "LC_ALL=C.UTF-8 HOME={place} neomutt -n -F {configuration} -f imap://{user}@{imap}/INBOX"
        ),
    );
    terminal.wait_for(LAST_SAMPLE);
    terminal.keys(&["/", "lamp is lit", "Enter"]);
    terminal.keys(&["Enter"]);
    terminal.wait_for("after eleven months, four electricians");
    drop(terminal);

    program("alpine", "alpine");
    let folder = world.scratch("alpine");
    let place = argument(&folder);
    let configuration = private(
        &folder,
        "pinerc",
        &format!(
            "user-domain=letterlock.example\nlast-version-used=9.99\n\
             inbox-path={{{imap}/user={}/novalidate-cert}}INBOX\n\
             feature-list=no-quit-without-confirm,disable-password-file-saving\n",
            alice.address
        ),
    );
    let terminal = Terminal::open(
        &world,
        &format!("LC_ALL=C.UTF-8 HOME={place} alpine -p {configuration} -i"),
    );
    terminal.wait_for("ENTER PASSWORD");
    terminal.keys(&[&alice.app_password, "Enter"]);
    let list = terminal.wait_for(LAST_SAMPLE);
    assert!(list.contains("Folder: INBOX"), "{list}");
}
