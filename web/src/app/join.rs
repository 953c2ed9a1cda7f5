//! The part of the state machine in which another device brings an account to this browser.
//!
//! Invariant: what comes of an attempt that was given up changes nothing.

use super::settings::check_new;
use crate::model::event::{Effect, JoinAction};
use crate::model::join::{Join, Stage};
use crate::model::{LogIn, Model, Screen};
use crate::protocol::{self, Failure, JoinStep, Joined, Request, Response};

/// What the user did.
pub(super) fn acted(model: &mut Model, action: JoinAction) -> Vec<Effect> {
    match (&mut model.screen, action) {
        (Screen::LogIn(_) | Screen::Join(_), JoinAction::Begin) => {
            model.joins = model.joins.wrapping_add(1);
            let attempt = model.joins;
            model.screen = Screen::Join(Join {
                attempt,
                ..Join::default()
            });
            vec![ask(attempt, JoinStep::Code)]
        }
        (Screen::Join(join), JoinAction::End) => {
            let end = ask(join.attempt, JoinStep::End);
            model.screen = Screen::LogIn(LogIn::default());
            vec![end, Effect::Focus("login-address")]
        }
        (Screen::Join(join), JoinAction::Finish { password, again }) => {
            if join.busy || !matches!(join.stage, Stage::Words { .. }) {
                return Vec::new();
            }
            join.error = check_new("password", &password.0, &again.0);
            if join.error.is_some() {
                return Vec::new();
            }
            join.busy = true;
            let tab = model.tab.clone();
            vec![ask(join.attempt, JoinStep::Finish { password, tab })]
        }
        _ => Vec::new(),
    }
}

/// Files what the worker says; the address of the account that is open now.
pub(super) fn answered(join: &mut Join, result: Result<Response, Failure>) -> Vec<Effect> {
    match result {
        Ok(Response::Joined(Joined::Code(code))) => {
            join.stage = Stage::Code(code);
            vec![ask(join.attempt, JoinStep::Words)]
        }
        Ok(Response::Joined(Joined::Words { address, words })) => {
            join.stage = Stage::Words { address, words };
            vec![Effect::Focus("join-password")]
        }
        Ok(_) => Vec::new(),
        Err(failure) => {
            join.busy = false;
            join.stage = Stage::Failed(failure.to_string());
            Vec::new()
        }
    }
}

fn ask(attempt: u32, step: JoinStep) -> Effect {
    Effect::Ask(Request::Join(protocol::Join { attempt, step }))
}
