//! Header protection, rule by rule (RFC 9788), reading and writing.

use super::*;

const HIDDEN: &str = "From: alice@letterlock.example\r\nTo: bob@letterlock.example\r\n\
    Subject: [...]\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@letterlock.example>\r\n";

fn payload(hp: &str) -> String {
    format!(
        "From: alice@letterlock.example\r\nTo: bob@letterlock.example\r\nSubject: Dinner plans\r\n\
         Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@letterlock.example>\r\n\
         HP-Outer: Subject: [...]\r\nContent-Type: text/plain; {hp}\r\n\r\nAt eight.\r\n"
    )
}

fn shown(outer: &str, payload: &str) -> String {
    let wire = envelope(outer, payload, Some(&secret("alice")));
    text(&opened(wire.as_bytes(), "bob", &alices()).rendered)
}

#[test]
fn both_schemes_restore_the_subject() {
    for hp in [
        "hp=\"cipher\"",
        "hp=clear",
        "hp=Cipher",
        "protected-headers=\"v1\"",
        "hp=\"cipher\"; protected-headers=\"v1\"",
    ] {
        let shown = shown(HIDDEN, &payload(hp));
        assert!(
            shown.contains("\r\nSubject: Dinner plans\r\n"),
            "{hp}: {shown}"
        );
        assert_eq!(shown.matches("Subject:").count(), 1, "{hp}: {shown}");
        // Neither what stood outside nor the marks of the payload are the letter's.
        assert!(
            !shown.contains("HP-Outer") && !shown.contains("hp="),
            "{hp}: {shown}"
        );
        assert!(!shown.contains("protected-headers"), "{hp}: {shown}");
    }
    // Without a mark the fields in a part's header mean nothing (RFC 9788 2.1).
    for hp in ["charset=utf-8", "hp=\"no\"", "protected-headers=\"v2\""] {
        let shown = shown(HIDDEN, &payload(hp));
        assert!(
            shown.contains("\r\nSubject: [...]\r\n") && !shown.contains("Dinner"),
            "{hp}"
        );
    }
}

/// RFC 9788 4.4.4, and CVE-2024-49393 and 49394 of others: who is answered, and what this answers,
/// is what the writer said, and nobody on the way.
#[test]
fn what_was_added_outside_is_not_the_letters() {
    let added = format!(
        "Received: from mx by mx; Thu, 01 Jan 2026 00:00:00 +0000\r\nList-Id: <l.example>\r\n\
         X-Spam: no\r\nCc: eve@evil.example\r\nReply-To: eve@evil.example\r\n\
         In-Reply-To: <stolen@evil.example>\r\nReferences: <stolen@evil.example>\r\n\
         Sender: eve@evil.example\r\nMail-Followup-To: eve@evil.example\r\n\
         Disposition-Notification-To: eve@evil.example\r\nKeywords: eve\r\n{HIDDEN}"
    );
    for hp in ["hp=\"cipher\"", "hp=\"clear\""] {
        let shown = shown(&added, &payload(hp));
        assert!(
            !shown.contains("evil") && !shown.contains("eve"),
            "{hp}: {shown}"
        );
        for kept in ["Received: ", "List-Id: ", "X-Spam: "] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
    }
    // The draft's senders protect some fields only; theirs stay as they came.
    let shown = shown(&added, &payload("protected-headers=\"v1\""));
    assert!(shown.contains("Cc: eve@evil.example\r\n"));
    // Signed only: the same, once the signature is proven.
    let wire = text(&signed());
    let added = format!("Cc: eve@evil.example\r\n{wire}");
    let proven = text(&opened(added.as_bytes(), "bob", &alices()).rendered);
    assert!(!proven.contains("eve@evil.example"), "{proven}");
    let unproven = text(&opened(added.as_bytes(), "bob", &[]).rendered);
    assert!(unproven.contains("Cc: eve@evil.example\r\n"), "{unproven}");
}

/// RFC 9788 4.5.3: the Legacy Display Element goes; in a message that is not encrypted the mark
/// hides nothing.
#[test]
fn legacy_display_elements_are_not_shown() {
    let with = |hp: &str| {
        payload(hp).replace(
            "\r\n\r\nAt eight.",
            "\r\n\r\nSubject: Dinner plans\r\n\r\nAt eight.",
        )
    };
    let marked = with("hp=\"cipher\"; hp-legacy-display=\"1\"");
    assert!(shown(HIDDEN, &marked).ends_with("text/plain\r\n\r\nAt eight.\r\n"));
    for unmarked in [
        "hp=\"cipher\"",
        "hp=\"clear\"; hp-legacy-display=\"1\"",
        "hp-legacy-display=1",
    ] {
        let shown = shown(HIDDEN, &with(unmarked));
        assert!(
            shown.ends_with("\r\n\r\nSubject: Dinner plans\r\n\r\nAt eight.\r\n"),
            "{unmarked}"
        );
    }
    let plain = format!(
        "{HIDDEN}Content-Type: text/plain; hp=cipher; hp-legacy-display=1\r\n\r\nx: y\r\n\r\nz\r\n"
    );
    assert_eq!(text(&opened(plain.as_bytes(), "bob", &[]).rendered), plain);
}

/// A payload under two layers: what is signed inside what is encrypted.
#[test]
fn the_payload_is_inside_all_layers() {
    let alice = secret("alice");
    let document = payload("hp=\"cipher\"");
    let signature = text(
        &crate::openpgp::sign::detached(document.as_bytes(), &alice, NOW, &mut rng(5)).unwrap(),
    );
    let inner = format!(
        "Content-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=s\r\n\r\n\
         --s\r\n{document}\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\n{signature}\r\n--s--\r\n"
    );
    let wire = envelope(HIDDEN, &inner, None);
    let opened = opened(wire.as_bytes(), "bob", &alices());
    assert_eq!(opened.protection.signature, valid());
    let shown = text(&opened.rendered);
    assert!(shown.contains("\r\nSubject: Dinner plans\r\n"), "{shown}");
    // The signed entity is as it was, so that others can verify it.
    assert!(shown.contains(&document), "{shown}");
}

#[test]
fn what_is_written_obeys_the_baseline() {
    // A program that answers in an opened letter's form leaves marks that are true no more.
    let letter = LETTER
        .replace(
            "Subject:",
            "HP-Outer: Subject: x\r\nKeywords: plan\r\nComments: plan\r\nSubject:",
        )
        .replace(
            "charset=utf-8",
            "charset=utf-8; hp=\"clear\"; protected-headers=\"v1\"; format=flowed",
        );
    let alice = secret("alice");
    let bob = secret("bob");
    let (address, now, key) = sender(&alice);
    let sender = Sender {
        key,
        address: &address,
        now,
    };
    let to = [bob.certificate().clone()];
    let wire = sign_and_encrypt(letter.as_bytes(), &to, &sender, &mut rng(1)).unwrap();
    let outside = text(&wire);
    assert!(outside.contains("\r\nSubject: [...]\r\n"));
    for hidden in ["plan", "HP-Outer", "Keywords", "Comments", "hp="] {
        assert!(!outside.contains(hidden), "{hidden}");
    }
    let pending = open(&wire, &[bob], &Limits::default());
    let inside = text(pending.entity());
    let top = inside.split("\r\n\r\n").next().unwrap();
    assert_eq!(top.matches("hp=").count(), 1, "{top}");
    assert!(
        top.contains("format=flowed;\r\n hp=\"cipher\"; protected-headers=\"v1\""),
        "{top}"
    );
    // One HP-Outer for each field that stays outside, as it stands there; none for what is gone.
    let mut outer: Vec<&str> = top
        .lines()
        .filter_map(|line| line.strip_prefix("HP-Outer: "))
        .collect();
    outer.sort_unstable();
    assert_eq!(
        outer,
        [
            "Date: Thu, 01 Jan 2026 00:00:00 +0000",
            "From: Alice <alice@letterlock.example>",
            "Message-ID: <1@letterlock.example>",
            "Subject: [...]",
            "To: Bob <bob@letterlock.example>",
        ]
    );
    for line in &outer {
        assert!(outside.contains(&format!("{line}\r\n")), "{line}");
    }
    // Signed only: nothing is hidden, so nothing is said of the outside.
    let clear = text(&sign(letter.as_bytes(), &sender, &mut rng(2)).unwrap());
    assert!(
        clear.contains("hp=\"clear\"") && !clear.contains("HP-Outer") && !clear.contains("cipher")
    );
}

#[test]
fn parameters_are_taken_out_and_others_stay() {
    for (value, expected) in [
        (
            " text/plain; hp=\"cipher\"; charset=utf-8\r\n",
            " text/plain; charset=utf-8\r\n",
        ),
        (
            " text/plain; charset=utf-8;\r\n hp=clear\r\n",
            " text/plain; charset=utf-8\r\n",
        ),
        (
            " text/plain; name=\"a; hp=b\\\"; hp=c\"\r\n",
            " text/plain; name=\"a; hp=b\\\"; hp=c\"\r\n",
        ),
        (" hp=x\r\n", " hp=x\r\n"),
    ] {
        assert_eq!(
            text(&without_parameters(value.as_bytes(), &HP_PARAMETERS)),
            expected
        );
    }
}
