//! What bad input gets: refusals that are clear, name what is wrong, and tell nothing else.

use std::time::Duration;

use crate::imap::Imap;
use crate::letter::trace_of;
use crate::talk::{self, Fate, Talk};
use crate::tools::run;
use crate::world::{World, demo, letterlock, now};

#[test]
fn imap_refuses_a_wrong_password_and_goes_on() {
    let world = World::start();
    let alice = world.alice();
    let mut said = Vec::new();
    for (user, password) in [
        (alice.address.as_str(), "right but for this"),
        (alice.address.as_str(), "wrong"),
        (alice.address.as_str(), ""),
        (alice.address.as_str(), world.bob().app_password.as_str()),
        ("nobody@letterlock.example", alice.app_password.as_str()),
        ("", ""),
    ] {
        let mut imap = Imap::connect(&world.ready().imap).expect("connect");
        let answer = imap.try_log_in(user, password).expect("an answer");
        // RFC 9051 7.1: why, in a code that mail programs know.
        let right = answer.status.starts_with("NO [AUTHENTICATIONFAILED]");
        assert!(right, "{user}: {}", answer.status);
        said.push(answer.status);
        let select = imap.command("SELECT INBOX").expect("an answer").status;
        assert!(!select.starts_with("OK"), "{select}");
        let answer = imap.try_log_in(&alice.address, &alice.app_password);
        assert!(answer.expect("an answer").status.starts_with("OK"));
    }
    said.dedup();
    assert_eq!(said.len(), 1, "one from the other can be told: {said:?}");
    Imap::inbox(&world, alice);
}

#[test]
fn smtp_refuses_a_wrong_password_and_mail_without_one() {
    let world = World::start();
    let alice = world.alice();
    let mut talk = Talk::connect(&world.ready().smtp).expect("connect");
    assert!(
        talk.command("EHLO [127.0.0.1]")
            .expect("an answer")
            .accepted()
    );
    // RFC 6409 4.3, RFC 4954 6.
    let early = talk
        .command(&format!("MAIL FROM:<{}>", alice.address))
        .expect("an answer");
    assert_eq!(early.code, 530, "{early:?}");
    let wrong = talk
        .authenticate(&alice.address, "wrong")
        .expect("an answer");
    assert_eq!(wrong.code, 535, "{wrong:?}");
    let nobody = talk
        .authenticate("nobody@letterlock.example", "wrong")
        .expect("an answer");
    assert_eq!(nobody, wrong);
    Talk::submission(&world.ready().smtp, alice).expect("the right password");
}

#[test]
fn nobody_sends_in_the_name_of_another() {
    let world = World::start();
    let (alice, bob) = (world.alice(), world.bob());
    let mut talk = Talk::submission(&world.ready().smtp, alice).expect("log in");
    for other in [bob.address.as_str(), "alice@elsewhere.example"] {
        let reply = talk
            .command(&format!("MAIL FROM:<{other}>"))
            .expect("an answer");
        assert!((500..600).contains(&reply.code), "{other}: {reply:?}");
    }
    let message = format!(
        "From: {}\r\nSubject: to myself\r\n\r\nHello.\r\n",
        alice.address
    );
    let reply = talk.submit(&alice.address, &[&alice.address], message.as_bytes());
    assert!(reply.as_ref().is_ok_and(talk::Reply::accepted), "{reply:?}");
    Imap::inbox(&world, alice).wait_for("to myself");
}

#[test]
fn lmtp_knows_who_lives_here() {
    let world = World::start();
    let mut talk = Talk::lmtp(&world.ready().lmtp).expect("connect");
    assert!(talk.command("MAIL FROM:<>").expect("an answer").accepted());
    for stranger in ["nobody@letterlock.example", "alice@elsewhere.example"] {
        let reply = talk
            .command(&format!("RCPT TO:<{stranger}>"))
            .expect("an answer");
        assert_eq!(reply.code, 550, "{stranger}: {reply:?}");
    }
    let alice = &world.alice().address;
    assert!(
        talk.command(&format!("RCPT TO:<{alice}>"))
            .expect("an answer")
            .accepted()
    );
}

#[test]
fn broken_messages_are_kept_as_they_are() {
    let world = World::start();
    let alice = world.alice();
    let cases: [(&str, &[u8]); 6] = [
        ("no blank line", b"Subject: broken 0\r\nFrom: x\r\n"),
        ("a line that is no field", b"Subject: broken 1\r\nno colon here\r\n: none\r\n\r\nx\r\n"),
        (
            "parts without an end",
            b"Subject: broken 2\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n",
        ),
        ("octets of no charset", b"Subject: broken 3\r\nX: \xff\xfe\x80\r\n\r\n\xc3\x28\xa0\xff\r\n"),
        (
            "no base64",
            b"Subject: broken 4\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!=\r\n=A\r\n\r\n",
        ),
        (
            "not OpenPGP",
            b"Subject: broken 5\r\nContent-Type: multipart/encrypted; boundary=b;\r\n \
              protocol=\"application/pgp-encrypted\"\r\n\r\n--b\r\n\
              Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--b\r\n\
              Content-Type: application/octet-stream\r\n\r\nnonsense\r\n--b--\r\n",
        ),
    ];
    for (_, message) in cases {
        talk::deliver(&world.ready().lmtp, &alice.address, message);
    }
    let mut imap = Imap::inbox(&world, alice);
    for (number, (case, message)) in cases.iter().enumerate() {
        let uid = imap.wait_for(&format!("broken {number}"));
        let fetched = imap.message(uid);
        assert!(
            fetched.ends_with(message),
            "{case}: {}",
            String::from_utf8_lossy(&fetched)
        );
        let all = "ENVELOPE BODYSTRUCTURE BODY.PEEK[1] BODY.PEEK[2.HEADER] RFC822.SIZE";
        imap.ok(&format!("UID FETCH {uid} ({all})"));
        if number < 5 {
            trace_of(&fetched, message);
        }
    }
}

#[test]
fn an_end_of_line_that_is_none_smuggles_nothing() {
    // RFC 5321 2.3.8: only CRLF ends a line. A server that takes `LF . LF` for the end of the
    // message takes what follows for commands that the peer before it has never judged.
    let world = World::start();
    let alice = world.alice();
    let smuggled = format!(
        "Subject: outer\r\n\r\nx\n.\nMAIL FROM:<>\r\nRCPT TO:<{}>\r\nDATA\r\n\
         Subject: smuggled\r\n\r\nx\r\n",
        alice.address
    );
    let mut talk = Talk::lmtp(&world.ready().lmtp).expect("connect");
    let fate = talk.deliver(
        "x@elsewhere.example",
        &[&alice.address],
        smuggled.as_bytes(),
    );
    // Refused as a whole, or taken as one message; or the connection was ended.
    if let Ok(Fate::Answered(replies)) = &fate {
        assert_eq!(replies.len(), 1, "{replies:?}");
    }
    talk::deliver(
        &world.ready().lmtp,
        &alice.address,
        b"Subject: fence\r\n\r\nx\r\n",
    );
    let mut imap = Imap::inbox(&world, alice);
    imap.wait_for("fence");
    let all = imap.summaries();
    assert!(
        all.iter().all(|summary| summary.subject != "smuggled"),
        "{fate:?}"
    );
}

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let world = World::start();
    let data_dir = world.data_dir();
    let other_ready = world.scratch("second").join("ready.json");
    let output = run(&mut demo(&data_dir, &other_ready), b"");
    assert!(!output.success);
    assert!(!other_ready.exists());
    let said = output.stderr;
    assert!(
        said.contains(&data_dir.display().to_string()),
        "no path in: {said}"
    );
    assert!(said.contains("in use"), "no reason in: {said}");
    // The first one did not notice.
    Imap::inbox(&world, world.alice());
}

#[test]
fn an_unknown_flag_is_named_with_the_nearest() {
    for (wrong, nearest) in [
        ("--data-dri", "--data-dir"),
        ("--redy-file", "--ready-file"),
        ("--imp", "--imap"),
        ("--ephemral", "--ephemeral"),
    ] {
        let mut command = std::process::Command::new(letterlock());
        let output = run(command.args(["demo", wrong]), b"");
        assert!(!output.success);
        let said = output.stderr;
        assert!(said.contains(wrong), "{wrong} is not named in: {said}");
        assert!(
            said.contains(nearest),
            "{nearest} is not offered in: {said}"
        );
    }
    let output = run(std::process::Command::new(letterlock()).arg("dmeo"), b"");
    assert!(
        !output.success && output.stderr.contains("demo"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_listener_that_is_taken_is_named() {
    let world = World::start();
    let taken = world.ready().imap.clone();
    let folder = world.scratch("other");
    let mut command = std::process::Command::new(letterlock());
    command
        .args(["demo", "--ephemeral", "--ready-file"])
        .arg(folder.join("ready.json"));
    command.args([
        "--web",
        "127.0.0.1:0",
        "--smtp",
        "127.0.0.1:0",
        "--lmtp",
        "127.0.0.1:0",
    ]);
    let output = run(command.args(["--imap", &taken]), b"");
    assert!(!output.success);
    assert!(
        output.stderr.contains(&taken),
        "{taken} is not in: {}",
        output.stderr
    );
}

/// A log-in: whether it was accepted, and how long that took.
type LogIn<'a> = &'a dyn Fn((&str, &str)) -> (bool, Duration);
/// How often each kind of log-in is measured.
const ROUNDS: usize = 15;
/// Two medians that differ by less, or by less than half, are alike.
const NOISE: Duration = Duration::from_millis(25);

#[test]
fn a_wrong_password_takes_as_long_as_a_right_one() {
    let mut world = World::prepare_alone();
    world.restart();
    let alice = world.alice();
    let right = (alice.address.as_str(), alice.app_password.as_str());
    let wrong = (
        alice.address.as_str(),
        "aaaaaaaa-aaaaaaaa-aaaaaaaa-aaaaaaaa",
    );
    let nobody = ("nobody@letterlock.example", alice.app_password.as_str());
    let imap = |(user, password): (&str, &str)| {
        let mut imap = Imap::connect(&world.ready().imap).expect("connect");
        let start = now();
        let status = imap.try_log_in(user, password).expect("an answer").status;
        (status.starts_with("OK"), start.elapsed())
    };
    let smtp = |(user, password): (&str, &str)| {
        let mut talk = Talk::connect(&world.ready().smtp).expect("connect");
        talk.command("EHLO [127.0.0.1]").expect("an answer");
        let start = now();
        let reply = talk.authenticate(user, password).expect("an answer");
        (reply.accepted(), start.elapsed())
    };
    let protocols: [(&str, LogIn<'_>); 2] = [("IMAP", &imap), ("SMTP", &smtp)];
    for (protocol, log_in) in protocols {
        let mut times = [const { Vec::new() }; 3];
        // In turns, so that a slow moment of the machine is slow for all.
        for _ in 0..ROUNDS {
            for (kind, credentials) in [right, wrong, nobody].into_iter().enumerate() {
                let (accepted, time) = log_in(credentials);
                assert_eq!(accepted, kind == 0, "{protocol}");
                times[kind].push(time);
            }
        }
        let medians = times.map(|mut times| {
            times.sort();
            times[ROUNDS / 2]
        });
        let (least, most) = (medians.iter().min().unwrap(), medians.iter().max().unwrap());
        assert!(
            *most < *least + NOISE || *most < *least * 3 / 2,
            "{protocol}: right, wrong, unknown take {medians:?}"
        );
    }
}
