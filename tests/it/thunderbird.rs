//! Thunderbird, Debian's, on a display of its own: what it lists, opens and moves is looked at over
//! the wire.

use crate::imap::Imap;
use crate::tools::{argument, program, python};
use crate::world::{DEADLINE, World, poll};

#[test]
fn thunderbird_lists_opens_and_moves() {
    program("thunderbird", "thunderbird");
    program("Xvfb", "xvfb");
    let world = World::start();
    let alice = world.alice();
    let mut imap = Imap::inbox(&world, alice);
    imap.wait_for("Thirteen o'clock");
    let letters = imap.uids().len();
    let lamp = imap.wait_for("The lamp is lit");
    let (host, port) = world.ready().imap.rsplit_once(':').expect("host and port");
    let folder = world.scratch("thunderbird");
    let arguments = [host, port, &alice.address, argument(&folder)];
    let output = python(
        "thunderbird_tour.py",
        &arguments,
        alice.app_password.as_bytes(),
    );
    let said = output.expect_success("Thunderbird").text();
    assert_eq!(said, format!("listed {letters}\nopened\nmoved\n"));
    // It says so when it has time.
    poll("the letter that was opened is seen", DEADLINE, || {
        imap.ok("NOOP");
        imap.flags(lamp).contains("\\Seen").then_some(())
    });
    let subjects = |imap: &mut Imap| -> Vec<String> {
        let summaries = imap.summaries().into_iter();
        summaries.map(|summary| summary.subject).collect()
    };
    let is_moved = |subject: &String| subject == "Thirteen o'clock";
    assert!(!subjects(&mut imap).iter().any(is_moved));
    imap.ok("SELECT Archive");
    assert!(subjects(&mut imap).iter().any(is_moved));
}
