//! What the templates make of a model: escaping, hooks, and a gallery to look at.

mod attack;
mod gallery;

use gallery::sample_mail;

use super::*;
use crate::model::join::Stage;
use crate::model::settings::Outcome;
use crate::model::{Compose, Decryption, Join, LogIn, Reader};
use crate::protocol::{
    AccountView, AttachmentView, Body, Decrypted, Delivery, DeviceRow, Draft, Encryption, Ended,
    JoinCode, KeyRow, KeyState, KeyView, KeysView, MailboxRow, MessageRow, MessageView, Protection,
    Recipient, Secret, Signature, SyncState, TheirKey,
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
    let clock = Clock {
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

fn hostile_key() -> KeyView {
    let text = || HOSTILE.to_owned();
    KeyView {
        address: text(),
        words: text(),
        fingerprint: text(),
        code_side: 1,
        code_path: text(),
    }
}

fn hostile_settings() -> Settings {
    let text = || HOSTILE.to_owned();
    Settings {
        account: Some(AccountView {
            devices: vec![DeviceRow {
                id: text(),
                name: text(),
                stranger: true,
                ..DeviceRow::default()
            }],
            ..AccountView::default()
        }),
        keys: Some(KeysView {
            all: vec![KeyRow {
                fingerprint: text(),
                for_the_world: true,
                state: KeyState::Unusable(text()),
                can_be_revoked: true,
                created_at_ms: 0,
                expires_at_ms: Some(0),
            }],
            own: vec![hostile_key()],
            theirs: Some(TheirKey {
                key: hostile_key(),
                compared: false,
            }),
        }),
        phrase: Some(Secret(text())),
        newcomer: Some(text()),
        outcome: Some(Outcome {
            section: Section::Password,
            failed: true,
            text: text(),
        }),
        ..Settings::default()
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
    mail.settings = Some(hostile_settings());
    mail
}

#[test]
fn everything_from_a_message_is_escaped() {
    let mut hostile = model(Screen::Mail(Box::new(hostile_mail())));
    hostile.toast = Some(HOSTILE.to_owned());
    let mut pages = vec![html(&hostile)];
    let form = LogIn {
        recovering: false,
        address: HOSTILE.to_owned(),
        busy: false,
        error: Some(HOSTILE.to_owned()),
    };
    let recovering = LogIn {
        recovering: true,
        address: HOSTILE.to_owned(),
        ..LogIn::default()
    };
    pages.push(html(&model(Screen::LogIn(form))));
    pages.push(html(&model(Screen::LogIn(recovering))));
    let ended = Ended {
        address: HOSTILE.to_owned(),
        ..Ended::default()
    };
    pages.push(html(&model(Screen::Ended(ended))));
    for stage in [
        Stage::Code(JoinCode {
            text: Secret(HOSTILE.to_owned()),
            code_side: 1,
            code_path: HOSTILE.to_owned(),
        }),
        Stage::Words {
            address: HOSTILE.to_owned(),
            words: HOSTILE.to_owned(),
        },
        Stage::Failed(HOSTILE.to_owned()),
    ] {
        pages.push(html(&model(Screen::Join(Join {
            stage,
            error: Some(HOSTILE.to_owned()),
            ..Join::default()
        }))));
    }
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
    let mut mail = sample_mail();
    mail.settings = Some(Settings::default());
    let page = html(&model(Screen::Mail(Box::new(mail))));
    for hook in [
        "settings-open",
        "password-old",
        "password-new",
        "password-submit",
        "phrase-draw",
        "phrase-check",
        "keys",
        "import-keys",
        "devices",
        "end-address",
        "end-submit",
    ] {
        assert!(page.contains(&format!("data-testid=\"{hook}\"")), "{hook}");
    }
    let page = html(&model(Screen::LogIn(LogIn::default())));
    for hook in [
        "login-address",
        "login-password",
        "login-submit",
        "login-recover",
    ] {
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
