//! What the templates make of a model: escaping, hooks, and a gallery to look at.

use super::*;
use crate::model::{Compose, Decryption, LogIn, Reader};
use crate::protocol::{
    AttachmentView, Body, Decrypted, Delivery, Draft, Encryption, MailboxRow, MessageRow,
    MessageView, Protection, Recipient, Signature, SyncState,
};

const HOSTILE: &str = "\"><script>alert('x')</script><img src=x onerror=alert(1)>";

fn html(model: &Model) -> String {
    page(model)
        .regions
        .into_iter()
        .map(|region| region.html)
        .collect()
}

fn model(screen: Screen) -> Model {
    let clock = crate::model::Clock {
        now_ms: 1_777_982_700_000,
        offset_minutes: 120,
    };
    Model {
        screen,
        clock,
        ..Model::default()
    }
}

fn good(encryption: Encryption, signer: &str) -> Protection {
    Protection {
        encryption,
        signature: Signature::Good {
            signer: signer.to_owned(),
        },
    }
}

fn hostile_mail() -> Mail {
    let mut mail = Mail::new(HOSTILE.to_owned());
    let text = || HOSTILE.to_owned();
    mail.mailbox = Some(text());
    mail.mailboxes = vec![MailboxRow {
        id: text(),
        name: text(),
        role: text(),
        unread: 1,
        total: 1,
    }];
    mail.rows = Some(vec![MessageRow {
        uid: 1,
        correspondent: text(),
        subject: text(),
        preview: text(),
        protection: good(Encryption::None, HOSTILE),
        ..MessageRow::default()
    }]);
    mail.reader = Reader::Open(Box::new(MessageView {
        subject: text(),
        from: text(),
        to: text(),
        cc: text(),
        protection: good(Encryption::Decrypted, HOSTILE),
        body: Body::Html {
            document: text(),
            blocked: 2,
            text: text(),
        },
        attachments: vec![AttachmentView {
            name: text(),
            media_type: text(),
            size: 1,
        }],
        defects: vec![text()],
        ..MessageView::default()
    }));
    let draft = Draft {
        to: text(),
        cc: text(),
        subject: text(),
        body: text(),
        ..Draft::default()
    };
    let mut compose = Compose::with(draft);
    compose.error = Some(text());
    compose.recipients = vec![Recipient {
        address: text(),
        delivery: Delivery::Clear,
    }];
    mail.compose = Some(compose);
    mail.sync = SyncState::Failed(text());
    mail
}

#[test]
fn everything_from_a_message_is_escaped() {
    let mut hostile = model(Screen::Mail(Box::new(hostile_mail())));
    hostile.toast = Some(HOSTILE.to_owned());
    let mut pages = vec![html(&hostile)];
    let form = LogIn {
        address: HOSTILE.to_owned(),
        busy: false,
        error: Some(HOSTILE.to_owned()),
    };
    pages.push(html(&model(Screen::LogIn(form))));
    for outcome in [
        Err(HOSTILE.to_owned()),
        Ok(Box::new(Decrypted {
            subject: HOSTILE.to_owned(),
            body: Body::Text(HOSTILE.to_owned()),
            protection: good(Encryption::Decrypted, HOSTILE),
            ..Decrypted::default()
        })),
    ] {
        pages.push(html(&model(Screen::Decrypt(Decryption {
            busy: false,
            outcome: Some(outcome),
        }))));
    }
    for page in pages {
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<img"), "{page}");
        assert!(
            !page.contains(" style="),
            "the policy forbids inline styles: {page}"
        );
        assert!(
            !page.contains(" onclick="),
            "the policy forbids inline scripts: {page}"
        );
    }
}

#[test]
fn mail_html_is_shown_in_a_frame_that_may_nothing() {
    let page = html(&model(Screen::Mail(Box::new(hostile_mail()))));
    let frame = page
        .split("<iframe")
        .nth(1)
        .unwrap()
        .split('>')
        .next()
        .unwrap();
    assert!(
        frame.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""),
        "{frame}"
    );
    assert!(!frame.contains("allow-scripts") && !frame.contains("allow-same-origin"));
}

#[test]
fn the_hooks_of_browser_tests_are_there() {
    let mut mail = sample_mail();
    mail.compose = Some(Compose::default());
    mail.sync = SyncState::Offline;
    let page = html(&model(Screen::Mail(Box::new(mail))));
    for hook in [
        "mailbox-INBOX",
        "message-list",
        "message-row",
        "message-subject",
        "message-body",
        "protection",
        "compose-open",
        "compose-to",
        "compose-subject",
        "compose-body",
        "compose-send",
        "offline-banner",
        "reply",
        "archive",
        "delete",
        "attachment",
        "sync-state",
        "log-out",
        "flag",
        "unread",
    ] {
        assert!(page.contains(&format!("data-testid=\"{hook}\"")), "{hook}");
    }
    let page = html(&model(Screen::LogIn(LogIn::default())));
    for hook in ["login-address", "login-password", "login-submit"] {
        assert!(page.contains(&format!("data-testid=\"{hook}\"")), "{hook}");
    }
    let outcome = Some(Ok(Box::default()));
    let page = html(&model(Screen::Decrypt(Decryption {
        busy: false,
        outcome,
    })));
    for hook in [
        "decrypt-message",
        "decrypt-key",
        "decrypt-passphrase",
        "decrypt-submit",
        "decrypt-result",
        "decrypt-signature",
    ] {
        assert!(page.contains(&format!("data-testid=\"{hook}\"")), "{hook}");
    }
}

/// Every screen with something in it, as whole pages with the stylesheet: written to the folder
/// that `LETTERLOCK_GALLERY` names, to look at them without a server.
#[test]
fn a_gallery_can_be_drawn() {
    for (name, model) in gallery() {
        let page = page(&model);
        let mut whole = String::new();
        for region in &page.regions {
            if region.id == ROOT {
                whole.clone_from(&region.html);
                continue;
            }
            let place = whole
                .find(&format!("id=\"{}\"", region.id))
                .expect("a region has a place");
            let open = place + whole[place..].find('>').unwrap() + 1;
            whole.insert_str(open, &region.html);
        }
        let Ok(folder) = std::env::var("LETTERLOCK_GALLERY") else {
            continue;
        };
        let css = include_str!("../../../static/app.css");
        let document = format!(
            "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <style>{css}</style><body data-pane={}><div id=app>{whole}</div>",
            page.pane
        );
        std::fs::write(format!("{folder}/{name}.html"), document).unwrap();
    }
}

fn gallery() -> Vec<(&'static str, Model)> {
    let error = Some("The address or the password is wrong.".to_owned());
    let form = LogIn {
        address: "alice@letterlock.example".to_owned(),
        busy: false,
        error,
    };
    let mut empty = sample_mail();
    empty.reader = Reader::Empty;
    empty.sync = SyncState::Offline;
    let mut html = sample_mail();
    let clean = crate::html::sanitize(
        "<h2>Programme</h2><p>Dear members,</p><p>the <b>summer reading</b> is on \
         <a href=\"https://letterlock.example/\">the fourth of June</a>.</p>\
         <img src=\"https://tracker.example/x.gif\"><table border=1><tr><td>18:00<td>Doors\
         <tr><td>19:00<td>Reading</table>",
        Vec::new(),
    );
    html.reader = Reader::Open(Box::new(MessageView {
        subject: "Summer reading".to_owned(),
        from: "Library <events@library.example>".to_owned(),
        to: "alice@letterlock.example".to_owned(),
        date_ms: 1_777_900_000_000,
        body: Body::Html {
            document: clean.document,
            blocked: clean.blocked,
            text: String::new(),
        },
        defects: vec![
            "a part says base64 and is not: its octets are shown as they came".to_owned(),
        ],
        uid: 4,
        ..MessageView::default()
    }));
    let mut writing = sample_mail();
    let draft = Draft {
        to: "bob@letterlock.example, carol@example.org".to_owned(),
        subject: "Re: The proofs".to_owned(),
        body: "Dear Bob,\n\nthank you.\n".to_owned(),
        ..Draft::default()
    };
    let mut compose = Compose::with(draft);
    let recipient = |address: &str, delivery| Recipient {
        address: address.to_owned(),
        delivery,
    };
    compose.recipients = vec![
        recipient("bob@letterlock.example", Delivery::Encrypted),
        recipient("carol@example.org", Delivery::Clear),
    ];
    writing.compose = Some(compose);
    let decrypted = Decrypted {
        body: Body::Text("Dear Alice,\n\nthe key under the mat is for you.\n\nBob\n".to_owned()),
        protection: good(Encryption::Decrypted, "bob@letterlock.example"),
        ..Decrypted::default()
    };
    let outcome = Some(Ok(Box::new(decrypted)));
    vec![
        ("starting", model(Screen::Starting)),
        ("login", model(Screen::LogIn(form))),
        ("mail", model(Screen::Mail(Box::new(sample_mail())))),
        ("empty", model(Screen::Mail(Box::new(empty)))),
        ("html", model(Screen::Mail(Box::new(html)))),
        ("compose", model(Screen::Mail(Box::new(writing)))),
        (
            "decrypt-form",
            model(Screen::Decrypt(Decryption::default())),
        ),
        (
            "decrypt",
            model(Screen::Decrypt(Decryption {
                busy: false,
                outcome,
            })),
        ),
    ]
}

fn sample_mail() -> Mail {
    let mut mail = Mail::new("alice@letterlock.example".to_owned());
    let mailbox = |name: &str, unread| MailboxRow {
        id: name.to_owned(),
        name: name.to_owned(),
        role: if name == "INBOX" {
            "inbox".to_owned()
        } else {
            name.to_lowercase()
        },
        unread,
        total: 12,
    };
    mail.mailboxes = vec![
        mailbox("INBOX", 3),
        mailbox("Drafts", 0),
        mailbox("Sent", 0),
        mailbox("Archive", 0),
        mailbox("Junk", 0),
        mailbox("Trash", 0),
    ];
    mail.mailbox = Some("INBOX".to_owned());
    mail.sync = SyncState::Current;
    mail.rows = Some(sample_rows());
    let bob = good(Encryption::Decrypted, "bob@letterlock.example");
    mail.reader = Reader::Open(Box::new(MessageView {
        mailbox: "INBOX".to_owned(),
        uid: 9,
        subject: "The proofs, and a question about the seal".to_owned(),
        from: "Bob Weaver <bob@letterlock.example>".to_owned(),
        to: "Alice <alice@letterlock.example>".to_owned(),
        date_ms: 1_777_981_000_000,
        seen: true,
        flagged: true,
        protection: bob,
        body: Body::Text(
            "Dear Alice,\n\nthe proofs are attached. On page 14 the seal is printed upside down, \
             which I rather like: it looks as if the letter had been turned over in the hand \
             before it was opened.\n\nShall we keep it?\n\nYours,\nBob\n\n> Could you look at \
             the plates before Friday?\n> They go to the printer in the evening.\n"
                .to_owned(),
        ),
        attachments: vec![AttachmentView {
            name: "proofs-plate-14.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
            size: 482_113,
        }],
        ..MessageView::default()
    }));
    mail
}

fn sample_rows() -> Vec<MessageRow> {
    let row = |uid, from: &str, subject: &str, preview: &str, protection| MessageRow {
        uid,
        correspondent: from.to_owned(),
        subject: subject.to_owned(),
        preview: preview.to_owned(),
        date_ms: 1_777_981_000_000 - i64::from(10 - uid) * 40_000_000,
        seen: uid < 8,
        attachments: uid == 9,
        flagged: uid == 9 || uid == 5,
        answered: uid == 6,
        protection,
    };
    let unknown = Signature::UnknownKey {
        key: "5a3f".to_owned(),
    };
    let encrypted = Encryption::Decrypted;
    vec![
        row(
            9,
            "Bob Weaver",
            "The proofs, and a question about the seal",
            "Dear Alice, the proofs are attached. On page 14 the seal is printed upside down",
            good(encrypted, "bob"),
        ),
        row(
            8,
            "Šárka Nováková",
            "Příští schůzka – změna místa",
            "Ahoj, sejdeme se tentokrát v knihovně",
            Protection::default(),
        ),
        row(
            7,
            "Dan Outside",
            "Signed by a key you do not know",
            "This was signed on a train.",
            Protection {
                encryption: Encryption::None,
                signature: unknown,
            },
        ),
        row(
            6,
            "Carol",
            "Keys",
            "Here is what we talked about.",
            Protection {
                encryption: encrypted,
                signature: Signature::None,
            },
        ),
        row(
            5,
            "paper-folding list",
            "[folding] A lock from 1697, unfolded virtually",
            "The trunk held 2600 letters, 600 of them never opened.",
            good(Encryption::None, "x"),
        ),
        row(
            4,
            "Library",
            "Summer reading",
            "Dear members, the summer reading is on",
            Protection::default(),
        ),
        row(
            3,
            "Mallory",
            "Transfer the money now",
            "As agreed, please send",
            Protection {
                encryption: Encryption::None,
                signature: Signature::Bad,
            },
        ),
        row(
            2,
            "Old key",
            "From the archive",
            "",
            Protection {
                encryption: Encryption::Unopened,
                signature: Signature::None,
            },
        ),
    ]
}
