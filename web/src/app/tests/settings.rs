//! The settings and the form for a lost password.

use super::*;
use crate::model::Settings;
use crate::model::event::KeyAction;
use crate::protocol::{
    AccountView, Change, Changed, Ended, KeyReason, KeyView, KeysView, Section, TheirKey,
};

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn settings(model: &Model) -> &Settings {
    mail(model)
        .settings
        .as_ref()
        .expect("the settings are open")
}

fn opened() -> Model {
    let mut model = listed();
    let effects = act(&mut model, Action::Settings);
    assert!(effects.contains(&Effect::Ask(Request::Account)));
    let account = AccountView {
        has_recovery: true,
        ..AccountView::default()
    };
    let response = Response::Account(Box::new(account));
    answer(&mut model, Asked::Account, response);
    assert!(settings(&model).account.as_ref().unwrap().has_recovery);
    model
}

fn told(model: &Model, section: Section) -> (bool, String) {
    let outcome = settings(model)
        .outcome_in(section)
        .expect("something is told");
    (outcome.failed, outcome.text.clone())
}

#[test]
fn a_new_password_is_typed_twice_and_asked_for_once() {
    let mut model = opened();
    let change = |new: &str, again: &str| Action::ChangePassword {
        old: secret("old"),
        new: secret(new),
        again: secret(again),
        keep_devices: false,
    };
    for (new, again) in [("short", "short"), ("long enough", "long enouhg")] {
        assert_eq!(act(&mut model, change(new, again)), vec![]);
        assert!(told(&model, Section::Password).0, "{new}");
    }
    let effects = act(&mut model, change("long enough", "long enough"));
    assert_eq!(
        effects,
        vec![Effect::Ask(Request::Change(Box::new(Change::Password {
            old: secret("old"),
            new: secret("long enough"),
            keep_devices: false,
        })))]
    );
    assert_eq!(settings(&model).outcome, None);
    assert_eq!(
        act(&mut model, change("long enough", "long enough")),
        vec![]
    );
    let asked = Asked::Change(Section::Password);
    let result = Err(Failure::WrongPassword);
    update(&mut model, Event::Answered { asked, result });
    let (failed, text) = told(&model, Section::Password);
    assert!(failed && text == "The password is wrong.", "{text}");
    let before = settings(&model).done;
    act(&mut model, change("long enough", "long enough"));
    answer(&mut model, asked, Response::Changed(Changed::Password));
    assert!(!told(&model, Section::Password).0);
    assert_ne!(
        settings(&model).done,
        before,
        "the form is drawn anew, empty"
    );
}

#[test]
fn keys_that_come_later_are_shown_then() {
    let mut model = opened();
    let refused = Failure::Refused("on their way".to_owned());
    let result = Err(refused);
    update(
        &mut model,
        Event::Answered {
            asked: Asked::Keys,
            result,
        },
    );
    assert!(told(&model, Section::Keys).0);
    let ask = Effect::Ask(Request::Keys { with: None });
    for news in [News::Changed, News::Sync(SyncState::Current)] {
        assert!(update(&mut model, Event::News(news)).contains(&ask));
    }
    let keys = Response::Keys(Box::default());
    answer(&mut model, Asked::Keys, keys);
    assert_eq!(settings(&model).outcome_in(Section::Keys), None);
    let effects = update(&mut model, Event::News(News::Changed));
    assert!(!effects.contains(&ask), "they are here");
}

#[test]
fn a_key_is_replaced_saved_and_brought_in() {
    let mut model = opened();
    let asked = Asked::Change(Section::Keys);
    let replace = Action::Keys(KeyAction::Replace {
        fingerprint: "AB CD".to_owned(),
        reason: KeyReason::Compromised,
        explanation: "stolen".to_owned(),
    });
    let change = Change::ReplaceKey {
        fingerprint: "AB CD".to_owned(),
        reason: KeyReason::Compromised,
        explanation: "stolen".to_owned(),
    };
    assert_eq!(
        act(&mut model, replace),
        vec![Effect::Ask(Request::Change(Box::new(change)))]
    );
    let effects = answer(&mut model, asked, Response::Changed(Changed::KeyReplaced));
    assert!(effects.contains(&Effect::Ask(Request::Keys { with: None })));
    assert!(!told(&model, Section::Keys).0);
    let export = |passphrase: &str, again: &str| {
        Action::Keys(KeyAction::Export {
            fingerprint: "AB CD".to_owned(),
            passphrase: secret(passphrase),
            again: secret(again),
        })
    };
    for (passphrase, again) in [("short", "short"), ("long enough", "long enouhg")] {
        assert_eq!(act(&mut model, export(passphrase, again)), vec![]);
        assert!(told(&model, Section::Keys).0);
    }
    assert_eq!(
        act(&mut model, export("long enough", "long enough")).len(),
        1
    );
    let (url, name) = ("blob:1".to_owned(), "key.asc".to_owned());
    let exported = Changed::KeyExported {
        url: url.clone(),
        name: name.clone(),
    };
    let effects = answer(&mut model, asked, Response::Changed(exported));
    assert_eq!(effects, vec![Effect::Save { url, name }]);
    let import = |text: &str| {
        Action::Keys(KeyAction::Import {
            text: secret(text),
            passphrase: secret(""),
            take_into_use: false,
        })
    };
    assert_eq!(act(&mut model, import(" \n")), vec![]);
    assert!(told(&model, Section::Keys).0);
    assert_eq!(act(&mut model, import("-----BEGIN")).len(), 1);
    answer(
        &mut model,
        asked,
        Response::Changed(Changed::KeysImported(2)),
    );
    assert_eq!(
        told(&model, Section::Keys),
        (false, "2 keys are yours.".to_owned())
    );
}

#[test]
fn a_phrase_is_shown_before_it_holds_and_forgotten_then() {
    let mut model = opened();
    assert_eq!(
        act(&mut model, Action::SetPhrase(secret("pw"))),
        vec![],
        "none is shown"
    );
    act(&mut model, Action::DrawPhrase);
    let drawn = Response::Changed(Changed::Phrase(secret("legal winner")));
    answer(&mut model, Asked::Change(Section::Phrase), drawn);
    assert_eq!(settings(&model).phrase, Some(secret("legal winner")));
    let set = Change::SetPhrase {
        phrase: secret("legal winner"),
        password: secret("pw"),
    };
    assert_eq!(
        act(&mut model, Action::SetPhrase(secret("pw"))),
        vec![Effect::Ask(Request::Change(Box::new(set)))]
    );
    // What fails leaves the words on the screen.
    let asked = Asked::Change(Section::Phrase);
    let result = Err(Failure::Offline);
    update(&mut model, Event::Answered { asked, result });
    assert!(settings(&model).phrase.is_some());
    act(&mut model, Action::SetPhrase(secret("pw")));
    let effects = answer(&mut model, asked, Response::Changed(Changed::PhraseSet));
    assert_eq!(settings(&model).phrase, None);
    assert_eq!(effects, vec![Effect::Ask(Request::Account)]);
    // A key that would archive the message behind does nothing here.
    assert_eq!(act(&mut model, Action::Archive), vec![]);
    // Closing forgets too.
    act(&mut model, Action::DrawPhrase);
    let drawn = Response::Changed(Changed::Phrase(secret("legal winner")));
    answer(&mut model, asked, drawn);
    act(&mut model, Action::CloseSettings);
    assert!(mail(&model).settings.is_none());
    act(&mut model, Action::Settings);
    assert_eq!(settings(&model).phrase, None);
}

#[test]
fn an_account_ends_after_its_address_was_typed() {
    let mut model = opened();
    let end = |address: &str| Action::DeleteAccount {
        address: address.to_owned(),
        password: secret("pw"),
    };
    assert_eq!(act(&mut model, end("bob@letterlock.example")), vec![]);
    assert!(told(&model, Section::End).0);
    let effects = act(&mut model, end(" ALICE@letterlock.example"));
    assert!(matches!(&effects[..], [Effect::Ask(Request::Change(_))]));
    let ended = Ended {
        address: "alice@letterlock.example".to_owned(),
        documents: 3,
        ..Ended::default()
    };
    let response = Response::Changed(Changed::Ended(ended.clone()));
    let effects = answer(&mut model, Asked::Change(Section::End), response);
    assert_eq!(effects, vec![Effect::ForgetTab]);
    assert!(matches!(&model.screen, Screen::Ended(shown) if *shown == ended));
    assert_eq!(act(&mut model, Action::TryAgain), vec![Effect::Reload]);
}

#[test]
fn a_lost_password_is_repaired_from_the_log_in() {
    let mut model = Model::default();
    let tab = secret("tab");
    let decrypt_page = false;
    update(
        &mut model,
        Event::Started {
            decrypt_page,
            tab: tab.clone(),
        },
    );
    update(&mut model, Event::WorkerReady);
    let last_address = None;
    answer(&mut model, Asked::Resume, Response::Locked { last_address });
    act(&mut model, Action::ShowRecovery(true));
    let recover = |password: &str, again: &str| Action::Recover {
        address: "alice@letterlock.example".to_owned(),
        phrase: secret("legal winner"),
        password: secret(password),
        again: secret(again),
    };
    assert_eq!(
        act(&mut model, recover("long enough", "long enouhg")),
        vec![]
    );
    let effects = act(&mut model, recover("long enough", "long enough"));
    assert_eq!(
        effects,
        vec![Effect::Ask(Request::Recover {
            address: "alice@letterlock.example".to_owned(),
            phrase: secret("legal winner"),
            password: secret("long enough"),
            tab,
        })]
    );
    assert_eq!(
        act(&mut model, recover("long enough", "long enough")),
        vec![]
    );
    let result = Err(Failure::Refused("wrong phrase".to_owned()));
    let asked = Asked::Recover;
    update(&mut model, Event::Answered { asked, result });
    match &model.screen {
        Screen::LogIn(form) => assert!(form.recovering && form.error.is_some() && !form.busy),
        other => panic!("{other:?}"),
    }
    act(&mut model, recover("long enough", "long enough"));
    let address = "alice@letterlock.example".to_owned();
    answer(&mut model, Asked::Recover, Response::Unlocked { address });
    assert_eq!(mail(&model).address, "alice@letterlock.example");
}

#[test]
fn a_key_is_compared_before_it_is_marked() {
    let mut model = opened();
    let own = || KeysView {
        all: Vec::new(),
        own: vec![KeyView::default()],
        theirs: None,
    };
    answer(&mut model, Asked::Keys, Response::Keys(Box::new(own())));
    assert_eq!(
        act(&mut model, Action::Keys(KeyAction::Match)),
        vec![],
        "nobody is shown"
    );
    let bob = || "bob@letterlock.example".to_owned();
    let effects = act(&mut model, Action::Keys(KeyAction::Compare(bob())));
    let with = Some(bob());
    assert_eq!(effects, vec![Effect::Ask(Request::Keys { with })]);
    // While that is asked for nothing else is.
    assert_eq!(
        act(&mut model, Action::Keys(KeyAction::Compare(bob()))),
        vec![]
    );
    let shown = KeysView {
        theirs: Some(TheirKey {
            key: KeyView {
                address: bob(),
                fingerprint: "AB12".to_owned(),
                ..KeyView::default()
            },
            compared: false,
        }),
        ..own()
    };
    answer(&mut model, Asked::Keys, Response::Keys(Box::new(shown)));
    let effects = act(&mut model, Action::Keys(KeyAction::Match));
    let change = Change::Compared {
        address: bob(),
        fingerprint: "AB12".to_owned(),
    };
    assert_eq!(
        effects,
        vec![Effect::Ask(Request::Change(Box::new(change)))]
    );
    let asked = Asked::Change(Section::Keys);
    answer(&mut model, asked, Response::Changed(Changed::Compared));
    assert!(!told(&model, Section::Keys).0);
    let theirs = settings(&model).keys.as_ref().unwrap().theirs.clone();
    assert!(theirs.unwrap().compared);
    // Somebody unknown: what was shown before goes, it is of another.
    act(
        &mut model,
        Action::Keys(KeyAction::Compare("eve@x.example".to_owned())),
    );
    let result = Err(Failure::Refused("none".to_owned()));
    update(
        &mut model,
        Event::Answered {
            asked: Asked::Keys,
            result,
        },
    );
    assert!(told(&model, Section::Keys).0);
    assert_eq!(settings(&model).keys.as_ref().unwrap().theirs, None);
}
