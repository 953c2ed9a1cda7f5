//! Libraries that mail programs are made with against the local IMAP server: Python's `IMAPClient`
//! and Node's `ImapFlow`. `cargo xtask test` installs them.

use std::path::PathBuf;

use crate::imap::Imap;
use crate::tools::{argument, program, run, script};
use crate::world::World;

/// Where `cargo xtask test` has put them.
pub(crate) fn installed(name: &str) -> PathBuf {
    let folder = std::env::var_os("LETTERLOCK_CLIENT_LIBRARIES");
    let folder = folder.expect("LETTERLOCK_CLIENT_LIBRARIES is not set: run `cargo xtask test`");
    let library = PathBuf::from(folder).join(name);
    assert!(
        library.is_dir(),
        "{} is not there: run `cargo xtask test`",
        library.display()
    );
    library
}

/// What a script of a tour said.
fn tour(interpreter: &str, tour: &str, path_variable: &str, library: &str) -> String {
    let world = World::start();
    let alice = world.alice();
    // Something to look at: the sample letters.
    Imap::inbox(&world, alice).wait_for("Thirteen o'clock");
    let (host, port) = world.ready().imap.rsplit_once(':').expect("host and port");
    let mut command = program(interpreter, interpreter);
    command
        .env(path_variable, installed(library))
        .arg(argument(&script(tour)))
        .args([host, port, &alice.address]);
    let output = run(&mut command, alice.app_password.as_bytes());
    output.expect_success(tour).text()
}

#[test]
fn imapclient_goes_round() {
    let said = tour("python3", "imapclient_tour.py", "PYTHONPATH", "python");
    assert_eq!(said, "login\nfolders\nselect\nfetch\nchange\nidle\n");
}

#[test]
fn imapflow_goes_round() {
    let said = tour(
        "node",
        "imapflow_tour.cjs",
        "NODE_PATH",
        "node/node_modules",
    );
    assert_eq!(said, "login\nfolders\nfetch\nchange\nidle\nresync\n");
}
