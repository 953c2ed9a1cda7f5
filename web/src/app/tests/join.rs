//! An account that comes to this browser by another device, and a device that comes by this one.

use super::*;
use crate::model::event::JoinAction;
use crate::model::join::{Join, Stage};
use crate::protocol::{self, Change, Changed, JoinCode, JoinStep, Joined, Section};

fn ask(attempt: u32, step: JoinStep) -> Effect {
    Effect::Ask(Request::Join(protocol::Join { attempt, step }))
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn join(model: &Model) -> &Join {
    match &model.screen {
        Screen::Join(join) => join,
        other => panic!("not joining: {other:?}"),
    }
}

fn joined(model: &mut Model, attempt: u32, joined: Joined) -> Vec<Effect> {
    answer(model, Asked::Join(attempt), Response::Joined(joined))
}

/// A model that shows words.
fn compared() -> Model {
    let mut model = Model {
        screen: Screen::LogIn(LogIn::default()),
        tab: secret("tab"),
        ..Model::default()
    };
    let begin = act(&mut model, Action::Join(JoinAction::Begin));
    assert_eq!(begin, vec![ask(1, JoinStep::Code)]);
    assert_eq!(join(&model).stage, Stage::Starting);
    let code = JoinCode {
        text: secret("LETTERLOCK1:00"),
        ..JoinCode::default()
    };
    let wait = joined(&mut model, 1, Joined::Code(code.clone()));
    assert_eq!(wait, vec![ask(1, JoinStep::Words)]);
    assert_eq!(join(&model).stage, Stage::Code(code));
    let words = Joined::Words {
        address: "alice@letterlock.example".to_owned(),
        words: "one two three".to_owned(),
    };
    let focus = joined(&mut model, 1, words);
    assert_eq!(focus, vec![Effect::Focus("join-password")]);
    model
}

fn finish(model: &mut Model, password: &str, again: &str) -> Vec<Effect> {
    let (password, again) = (secret(password), secret(again));
    act(model, Action::Join(JoinAction::Finish { password, again }))
}

#[test]
fn an_account_is_taken_when_the_user_has_said_so() {
    let mut model = compared();
    assert_eq!(finish(&mut model, "long enough", "long enouhg"), vec![]);
    assert!(join(&model).error.is_some());
    let (password, tab) = (secret("long enough"), secret("tab"));
    let asked = ask(1, JoinStep::Finish { password, tab });
    assert_eq!(
        finish(&mut model, "long enough", "long enough"),
        vec![asked]
    );
    assert!(join(&model).busy && join(&model).error.is_none());
    assert_eq!(finish(&mut model, "long enough", "long enough"), vec![]);
    let address = "alice@letterlock.example".to_owned();
    answer(&mut model, Asked::Join(1), Response::Unlocked { address });
    assert_eq!(mail(&model).address, "alice@letterlock.example");
}

#[test]
fn what_comes_of_an_attempt_that_was_given_up_is_not_heard() {
    let mut model = compared();
    let end = act(&mut model, Action::Join(JoinAction::End));
    assert!(end.contains(&ask(1, JoinStep::End)));
    assert!(matches!(model.screen, Screen::LogIn(_)));
    let address = "mallory@letterlock.example".to_owned();
    let late = || Response::Unlocked {
        address: address.clone(),
    };
    answer(&mut model, Asked::Join(1), late());
    assert!(matches!(model.screen, Screen::LogIn(_)));
    let begin = act(&mut model, Action::Join(JoinAction::Begin));
    assert_eq!(begin, vec![ask(2, JoinStep::Code)]);
    answer(&mut model, Asked::Join(1), late());
    let result = Err(Failure::NotFound);
    let asked = Asked::Join(1);
    update(&mut model, Event::Answered { asked, result });
    assert_eq!(join(&model).stage, Stage::Starting);
    let result = Err(Failure::Refused("The other device has refused.".to_owned()));
    let asked = Asked::Join(2);
    update(&mut model, Event::Answered { asked, result });
    assert!(matches!(&join(&model).stage, Stage::Failed(text) if text.contains("refused")));
    let begin = act(&mut model, Action::Join(JoinAction::Begin));
    assert_eq!(begin, vec![ask(3, JoinStep::Code)]);
}

#[test]
fn a_device_comes_in_by_the_words_that_it_shows() {
    let mut model = listed();
    act(&mut model, Action::Settings);
    let section = Section::Devices;
    let told = |model: &mut Model, changed: Changed| {
        answer(model, Asked::Change(section), Response::Changed(changed));
        let settings = mail(model).settings.as_ref().unwrap();
        let outcome = settings.outcome_in(section).unwrap();
        (outcome.failed, settings.newcomer.is_some())
    };
    let change = |change: Change| vec![Effect::Ask(Request::Change(Box::new(change)))];
    let add =
        |model: &mut Model, code: &str| act(model, Action::Join(JoinAction::Add(secret(code))));
    assert_eq!(add(&mut model, " "), vec![]);
    let code = secret("LETTERLOCK1:00");
    let asked = change(Change::AddDevice { code });
    assert_eq!(add(&mut model, "LETTERLOCK1:00"), asked);
    let phone = || Changed::DeviceAsks("phone".to_owned());
    assert_eq!(told(&mut model, phone()), (false, true));
    let words = "one two three".to_owned();
    let admit = act(&mut model, Action::Join(JoinAction::Admit(words.clone())));
    assert_eq!(admit, change(Change::AdmitDevice { words }));
    let wrong = |again| Changed::WrongWords {
        text: "no".to_owned(),
        again,
    };
    assert_eq!(told(&mut model, wrong(true)), (true, true));
    assert_eq!(told(&mut model, wrong(false)), (true, false));
    told(&mut model, phone());
    assert_eq!(told(&mut model, Changed::DeviceAdded), (false, false));
    told(&mut model, phone());
    let refuse = act(&mut model, Action::Join(JoinAction::Refuse));
    assert_eq!(refuse, change(Change::RefuseDevice));
    assert_eq!(told(&mut model, Changed::DeviceRefused), (false, false));
}
