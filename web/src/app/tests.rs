//! The page's state machine, event by event.

mod join;
mod settings;

use super::*;
use crate::model::compose::Audience;
use crate::model::mail::{Pane, Reader};
use crate::protocol::{Decrypted, Draft, MailboxRow, Mark, MessageRow, MessageView, Place, Secret};

fn mailbox(id: &str, role: &str) -> MailboxRow {
    MailboxRow {
        id: id.to_owned(),
        name: role.to_uppercase(),
        role: role.to_owned(),
        unread: 1,
        total: 2,
    }
}

fn row(uid: u32) -> MessageRow {
    MessageRow {
        uid,
        subject: format!("letter {uid}"),
        ..MessageRow::default()
    }
}

fn answer(model: &mut Model, asked: Asked, response: Response) -> Vec<Effect> {
    update(
        model,
        Event::Answered {
            asked,
            result: Ok(response),
        },
    )
}

fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    update(model, Event::Acted(action))
}

fn mail(model: &Model) -> &Mail {
    match &model.screen {
        Screen::Mail(mail) => mail,
        other => panic!("not the mail screen: {other:?}"),
    }
}

/// A model with INBOX listed: three messages, none open.
fn listed() -> Model {
    let mut model = Model::default();
    let tab = Secret("tab".to_owned());
    update(
        &mut model,
        Event::Started {
            decrypt_page: false,
            tab,
        },
    );
    update(&mut model, Event::WorkerReady);
    let address = "alice@letterlock.example".to_owned();
    answer(&mut model, Asked::Resume, Response::Unlocked { address });
    let mailboxes = vec![mailbox("d", "drafts"), mailbox("i", "inbox")];
    answer(&mut model, Asked::Mailboxes, Response::Mailboxes(mailboxes));
    let rows = vec![row(3), row(2), row(1)];
    let mailbox = "i".to_owned();
    answer(
        &mut model,
        Asked::Messages,
        Response::Messages {
            mailbox,
            rows,
            more: false,
        },
    );
    model
}

fn message(uid: u32, seen: bool) -> Response {
    Response::Message(Box::new(MessageView {
        mailbox: "i".to_owned(),
        uid,
        seen,
        reply_to: "bob@letterlock.example".to_owned(),
        ..MessageView::default()
    }))
}

#[test]
fn a_tab_that_is_locked_asks_for_the_password() {
    let mut model = Model::default();
    let tab = Secret("tab".to_owned());
    update(
        &mut model,
        Event::Started {
            decrypt_page: false,
            tab: tab.clone(),
        },
    );
    let effects = update(&mut model, Event::WorkerReady);
    assert_eq!(effects, vec![Effect::Ask(Request::Resume { tab })]);
    let last_address = Some("alice@letterlock.example".to_owned());
    let effects = answer(&mut model, Asked::Resume, Response::Locked { last_address });
    assert_eq!(effects, vec![Effect::Focus("login-password")]);
    let log_in = Action::LogIn {
        address: "alice@letterlock.example".to_owned(),
        password: Secret("wrong".to_owned()),
    };
    assert!(matches!(
        &act(&mut model, log_in.clone())[..],
        [Effect::Ask(Request::LogIn { .. })]
    ));
    assert_eq!(act(&mut model, log_in), vec![], "once is enough");
    let result = Err(Failure::WrongPassword);
    update(
        &mut model,
        Event::Answered {
            asked: Asked::LogIn,
            result,
        },
    );
    match &model.screen {
        Screen::LogIn(form) => {
            assert!(!form.busy);
            assert_eq!(form.address, "alice@letterlock.example");
            assert_eq!(form.error, Some(Failure::WrongPassword.to_string()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn inbox_is_listed_first() {
    let model = listed();
    assert_eq!(mail(&model).mailbox.as_deref(), Some("i"));
    assert_eq!(mail(&model).rows.as_ref().map(Vec::len), Some(3));
}

#[test]
fn opening_a_message_marks_it_read() {
    let mut model = listed();
    let place = Place {
        mailbox: "i".to_owned(),
        uid: 2,
    };
    let effects = act(&mut model, Action::OpenMessage(2));
    assert!(effects.contains(&Effect::Ask(Request::Message(place.clone()))));
    assert_eq!(mail(&model).pane, Pane::Reader);
    let effects = answer(&mut model, Asked::Message(2), message(2, false));
    assert_eq!(
        effects,
        vec![Effect::Ask(Request::Mark {
            place,
            mark: Mark::Seen,
            on: true
        })]
    );
    assert!(mail(&model).rows.as_ref().unwrap()[1].seen);
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut model = listed();
    act(&mut model, Action::OpenMessage(2));
    act(&mut model, Action::OpenMessage(3));
    assert_eq!(
        answer(&mut model, Asked::Message(2), message(2, false)),
        vec![]
    );
    assert_eq!(mail(&model).reader, Reader::Opening(3));
    act(&mut model, Action::OpenMailbox("d".to_owned()));
    let mailbox = "i".to_owned();
    answer(
        &mut model,
        Asked::Messages,
        Response::Messages {
            mailbox,
            rows: vec![row(9)],
            more: false,
        },
    );
    assert_eq!(mail(&model).rows, None);
}

#[test]
fn the_keyboard_walks_through_the_list() {
    let mut model = listed();
    act(&mut model, Action::Step(1));
    assert_eq!(mail(&model).reader.uid(), Some(3));
    act(&mut model, Action::Step(1));
    assert_eq!(mail(&model).reader.uid(), Some(2));
    act(&mut model, Action::Step(-1));
    act(&mut model, Action::Step(-1));
    assert_eq!(
        mail(&model).reader.uid(),
        Some(3),
        "there is nothing above the first"
    );
}

#[test]
fn archiving_takes_the_row_off_and_a_failure_asks_what_is_true() {
    let mut model = listed();
    act(&mut model, Action::OpenMessage(3));
    let effects = act(&mut model, Action::Archive);
    assert!(matches!(&effects[..], [Effect::Ask(Request::Move { .. })]));
    assert_eq!(mail(&model).rows.as_ref().map(Vec::len), Some(2));
    let result = Err(Failure::NotFound);
    let effects = update(
        &mut model,
        Event::Answered {
            asked: Asked::Move,
            result,
        },
    );
    assert_eq!(effects.len(), 2);
    assert_eq!(model.toast, Some(Failure::NotFound.to_string()));
}

#[test]
fn a_worker_that_dies_is_started_again_and_the_screen_stays() {
    let mut model = listed();
    act(&mut model, Action::OpenMessage(3));
    let result = Err(Failure::Crashed);
    update(
        &mut model,
        Event::Answered {
            asked: Asked::Message(3),
            result,
        },
    );
    assert_eq!(
        update(&mut model, Event::WorkerDied),
        vec![Effect::RestartWorker]
    );
    let effects = update(&mut model, Event::WorkerReady);
    assert!(matches!(
        &effects[..],
        [Effect::Ask(Request::Resume { .. })]
    ));
    let address = "alice@letterlock.example".to_owned();
    answer(&mut model, Asked::Resume, Response::Unlocked { address });
    assert_eq!(
        mail(&model).reader,
        Reader::Failed(3, Failure::Crashed.to_string())
    );
    for _ in 1..MAX_RESTARTS {
        assert_eq!(
            update(&mut model, Event::WorkerDied),
            vec![Effect::RestartWorker]
        );
    }
    assert_eq!(update(&mut model, Event::WorkerDied), vec![]);
    assert!(matches!(model.screen, Screen::Stopped));
}

#[test]
fn a_letter_that_is_away_opens_when_the_provider_is_back() {
    let mut model = listed();
    act(&mut model, Action::OpenMessage(3));
    let result = Err(Failure::Away);
    let asked = Asked::Message(3);
    update(&mut model, Event::Answered { asked, result });
    assert!(
        matches!(&mail(&model).reader, Reader::Away(3, text) if text.contains("not in this browser"))
    );
    let offline = Event::News(News::Sync(SyncState::Offline));
    assert_eq!(update(&mut model, offline), vec![]);
    let back = || Event::News(News::Sync(SyncState::Current));
    let effects = update(&mut model, back());
    let place = mail(&model).place(3).unwrap();
    assert_eq!(effects, vec![Effect::Ask(Request::Message(place))]);
    answer(&mut model, Asked::Message(3), message(3, true));
    assert!(matches!(mail(&model).reader, Reader::Open(_)));
    assert_eq!(update(&mut model, back()), vec![], "once");
}

#[test]
fn an_answer_is_written_and_sent() {
    let mut model = listed();
    act(&mut model, Action::OpenMessage(3));
    answer(&mut model, Asked::Message(3), message(3, true));
    let effects = act(&mut model, Action::Answer(Audience::Writer));
    let addresses = "bob@letterlock.example".to_owned();
    assert_eq!(
        effects[0],
        Effect::Ask(Request::Recipients {
            addresses: addresses.clone()
        })
    );
    assert_eq!(act(&mut model, Action::Back), vec![]);
    assert!(
        mail(&model).compose.is_some(),
        "Escape does not lose what was written"
    );
    assert_eq!(
        act(&mut model, Action::Send(Draft::default())),
        vec![Effect::Focus("compose-to")]
    );
    let draft = Draft {
        to: addresses,
        ..Draft::default()
    };
    let effects = act(&mut model, Action::Send(draft.clone()));
    let [Effect::Ask(Request::Send(sent))] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(sent.answers.as_ref().map(|place| place.uid), Some(3));
    assert_eq!(
        act(&mut model, Action::Send(draft)),
        vec![],
        "once is enough"
    );
    let result = Err(Failure::Offline);
    update(
        &mut model,
        Event::Answered {
            asked: Asked::Send,
            result,
        },
    );
    let compose = mail(&model).compose.as_ref().unwrap();
    assert_eq!((compose.sending, compose.error.is_some()), (false, true));
    answer(&mut model, Asked::Send, Response::Sent { waits: false });
    assert!(mail(&model).compose.is_none());
}

#[test]
fn offline_is_said_and_a_lock_leads_to_the_log_in() {
    let mut model = listed();
    update(&mut model, Event::News(News::Sync(SyncState::Offline)));
    assert_eq!(mail(&model).sync, SyncState::Offline);
    assert_eq!(
        update(&mut model, Event::NetworkBack),
        vec![Effect::Ask(Request::Sync)]
    );
    let result = Err(Failure::Locked);
    update(
        &mut model,
        Event::Answered {
            asked: Asked::Mailboxes,
            result,
        },
    );
    assert!(matches!(model.screen, Screen::LogIn(_)));
}

#[test]
fn locking_forgets_the_tab_and_starts_from_nothing() {
    let mut model = listed();
    let effects = act(&mut model, Action::LogOut(Forget::Nothing));
    assert_eq!(
        effects,
        vec![Effect::Ask(Request::LogOut { forget: false })]
    );
    let effects = answer(&mut model, Asked::LogOut, Response::Done);
    assert_eq!(effects, vec![Effect::ForgetTab, Effect::Reload]);
}

#[test]
fn the_decrypt_page_asks_for_nothing_else() {
    let mut model = Model::default();
    let tab = Secret("tab".to_owned());
    update(
        &mut model,
        Event::Started {
            decrypt_page: true,
            tab,
        },
    );
    assert_eq!(
        update(&mut model, Event::WorkerReady),
        vec![Effect::Focus("decrypt-message")]
    );
    assert_eq!(update(&mut model, Event::NetworkBack), vec![]);
    assert_eq!(act(&mut model, Action::Sync), vec![]);
    let page = crate::protocol::Decrypt {
        message: "m".to_owned(),
        key: Secret("k".to_owned()),
        passphrase: Secret::default(),
        sender: String::new(),
    };
    let effects = act(&mut model, Action::Decrypt(page));
    assert!(matches!(&effects[..], [Effect::Ask(Request::Decrypt(_))]));
    let decrypted = Response::Decrypted(Box::<Decrypted>::default());
    answer(&mut model, Asked::Decrypt, decrypted);
    assert!(matches!(&model.screen, Screen::Decrypt(page) if matches!(page.outcome, Some(Ok(_)))));
}
