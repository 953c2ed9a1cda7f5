//! The mail screen's part of the state machine.

use super::settings;
use crate::model::Clock;
use crate::model::compose::Compose;
use crate::model::event::{Action, Asked, Effect};
use crate::model::mail::{Mail, Pane, Reader};
use crate::protocol::{
    Destination, Draft, Failure, MAX_ROWS, Mark, PAGE_ROWS, Request, Response, SyncState,
};
use crate::view::date;

/// Files an answer. The second value is a message for the user, if one is due.
pub(super) fn answered(
    mail: &mut Mail,
    asked: Asked,
    result: Result<Response, Failure>,
) -> (Vec<Effect>, Option<String>) {
    let response = match result {
        Ok(response) => response,
        Err(failure) => return failed(mail, asked, &failure),
    };
    let mut toast = None;
    let effects = match response {
        Response::Mailboxes(mailboxes) => {
            mail.mailboxes = mailboxes;
            list(mail)
        }
        Response::Messages {
            mailbox,
            rows,
            more,
        } => {
            if mail.mailbox.as_ref() == Some(&mailbox) {
                mail.rows = Some(rows);
                mail.more = more;
            }
            Vec::new()
        }
        Response::Message(message) => {
            let wanted = mail.reader.uid() == Some(message.uid)
                && mail.mailbox.as_ref() == Some(&message.mailbox);
            if !wanted {
                return (Vec::new(), None);
            }
            let place = mail.place(message.uid);
            let unread = !message.seen;
            mail.reader = Reader::Open(message);
            match place {
                Some(place) if unread => set_mark(mail, place.uid, Mark::Seen, true),
                _ => Vec::new(),
            }
        }
        Response::Recipients(recipients) => {
            if let Some(compose) = &mut mail.compose {
                compose.recipients = recipients;
            }
            Vec::new()
        }
        Response::Download { url, name } => vec![Effect::Save { url, name }],
        Response::Sent { waits } => {
            mail.compose = None;
            let said = if waits {
                "Sealed; it leaves when the network is back."
            } else {
                "Sent."
            };
            toast = Some(said.to_owned());
            refresh(mail)
        }
        Response::Done => match asked {
            Asked::Mark | Asked::Move => vec![Effect::Ask(Request::Mailboxes)],
            _ => Vec::new(),
        },
        Response::Unlocked { .. }
        | Response::Joined(_)
        | Response::Locked { .. }
        | Response::Account(_)
        | Response::Keys(_)
        | Response::Changed(_)
        | Response::Decrypted(_) => Vec::new(),
    };
    (effects, toast)
}

fn failed(mail: &mut Mail, asked: Asked, failure: &Failure) -> (Vec<Effect>, Option<String>) {
    match asked {
        Asked::Message(uid) if mail.reader.uid() == Some(uid) => {
            mail.reader = match failure {
                Failure::Away => Reader::Away(uid, failure.to_string()),
                failure => Reader::Failed(uid, failure.to_string()),
            };
            (Vec::new(), None)
        }
        Asked::Send => {
            if let Some(compose) = &mut mail.compose {
                compose.sending = false;
                compose.error = Some(failure.to_string());
            }
            (Vec::new(), None)
        }
        Asked::Sync => {
            mail.sync = match failure {
                Failure::Offline => SyncState::Offline,
                other => SyncState::Failed(other.to_string()),
            };
            (Vec::new(), None)
        }
        // The list was changed in advance: show again what is true.
        Asked::Mark | Asked::Move => (refresh(mail), Some(failure.to_string())),
        Asked::Attachment | Asked::Mailboxes | Asked::Messages => {
            (Vec::new(), Some(failure.to_string()))
        }
        Asked::Message(_)
        | Asked::Recipients
        | Asked::Resume
        | Asked::LogIn
        | Asked::Recover
        | Asked::Join(_)
        | Asked::Account
        | Asked::Keys
        | Asked::Change(_)
        | Asked::LogOut
        | Asked::Decrypt => (Vec::new(), None),
    }
}

/// Asks anew for what is on the screen.
pub(super) fn refresh(mail: &Mail) -> Vec<Effect> {
    let mut effects = vec![Effect::Ask(Request::Mailboxes)];
    // The answer to Mailboxes lists a mailbox if none is listed yet.
    if mail.mailbox.is_some() {
        effects.extend(list_request(mail));
    }
    effects
}

/// The provider answers again: opens the message that waited for it.
pub(super) fn came_back(mail: &mut Mail) -> Vec<Effect> {
    let Reader::Away(uid, _) = mail.reader else {
        return Vec::new();
    };
    let Some(place) = mail.place(uid) else {
        return Vec::new();
    };
    mail.reader = Reader::Opening(uid);
    vec![Effect::Ask(Request::Message(place))]
}

/// Lists INBOX if nothing is listed.
fn list(mail: &mut Mail) -> Vec<Effect> {
    let gone = mail.mailbox.is_some() && mail.current_mailbox().is_none();
    if mail.mailbox.is_some() && !gone {
        return if mail.rows.is_none() {
            list_request(mail).into_iter().collect()
        } else {
            Vec::new()
        };
    }
    let inbox = mail
        .mailboxes
        .iter()
        .find(|mailbox| mailbox.role == "inbox");
    mail.mailbox = inbox
        .or(mail.mailboxes.first())
        .map(|mailbox| mailbox.id.clone());
    mail.rows = None;
    mail.reader = Reader::Empty;
    list_request(mail).into_iter().collect()
}

fn list_request(mail: &Mail) -> Option<Effect> {
    let mailbox = mail.mailbox.clone()?;
    Some(Effect::Ask(Request::Messages {
        mailbox,
        limit: mail.limit,
    }))
}

/// What the user did on the mail screen.
pub(super) fn acted(mail: &mut Mail, action: Action, clock: Clock) -> Vec<Effect> {
    // A key that is pressed over the settings is not meant for the mail behind them.
    if mail.settings.is_some() && !settings::takes(&action) {
        return Vec::new();
    }
    match action {
        Action::OpenMailbox(id) => {
            mail.pane = Pane::List;
            mail.mailbox = Some(id);
            mail.rows = None;
            mail.limit = PAGE_ROWS;
            mail.reader = Reader::Empty;
            list_request(mail).into_iter().collect()
        }
        Action::OpenMessage(uid) => open(mail, uid),
        Action::Step(step) => {
            let target = mail.neighbour(step);
            target.map(|uid| open(mail, uid)).unwrap_or_default()
        }
        Action::Back => {
            back(mail);
            Vec::new()
        }
        Action::ShowMailboxes => {
            mail.pane = Pane::Mailboxes;
            Vec::new()
        }
        Action::Older => {
            mail.limit = (mail.limit + PAGE_ROWS).min(MAX_ROWS);
            list_request(mail).into_iter().collect()
        }
        Action::Toggle(mark, uid) => toggle(mail, mark, uid),
        Action::Archive => put(mail, Destination::Archive),
        Action::Delete => put(mail, Destination::Trash),
        Action::Compose if mail.compose.is_none() => {
            mail.compose = Some(Compose::default());
            vec![Effect::Focus("compose-to")]
        }
        Action::Answer(audience) if mail.compose.is_none() => answer(mail, audience, clock),
        Action::Recipients(addresses) => recipients(mail, addresses),
        Action::Send(draft) => send(mail, draft),
        Action::Discard => {
            mail.compose = None;
            Vec::new()
        }
        Action::Save(index) => {
            let place = mail.reader.uid().and_then(|uid| mail.place(uid));
            let ask = |place| Effect::Ask(Request::Attachment { place, index });
            place.map(ask).into_iter().collect()
        }
        Action::Sync => vec![Effect::Ask(Request::Sync)],
        action @ (Action::Settings
        | Action::CloseSettings
        | Action::ChangePassword { .. }
        | Action::DrawPhrase
        | Action::SetPhrase(_)
        | Action::CheckPhrase(_)
        | Action::Keys(_)
        | Action::RemoveDevice(_)
        | Action::Join(_)
        | Action::DeleteAccount { .. }) => settings::acted(mail, action),
        Action::Compose
        | Action::ShowRecovery(_)
        | Action::Recover { .. }
        | Action::Answer(_)
        | Action::LogIn { .. }
        | Action::LogOut(_)
        | Action::Decrypt(_)
        | Action::ClearDecrypt
        | Action::TryAgain
        | Action::Dismiss => Vec::new(),
    }
}

fn open(mail: &mut Mail, uid: u32) -> Vec<Effect> {
    let Some(place) = mail.place(uid) else {
        return Vec::new();
    };
    mail.pane = Pane::Reader;
    if matches!(&mail.reader, Reader::Open(message) if message.uid == uid) {
        return Vec::new();
    }
    mail.reader = Reader::Opening(uid);
    vec![
        Effect::Ask(Request::Message(place)),
        Effect::Focus("reader"),
    ]
}

fn back(mail: &mut Mail) {
    match mail.pane {
        _ if mail.settings.take().is_some() => {}
        // A sheet is closed by its own button: Escape must not lose what was written.
        _ if mail.compose.is_some() => {}
        Pane::Reader => {
            mail.pane = Pane::List;
            mail.reader = Reader::Empty;
        }
        Pane::List | Pane::Mailboxes => mail.pane = Pane::List,
    }
}

fn toggle(mail: &mut Mail, mark: Mark, uid: Option<u32>) -> Vec<Effect> {
    let Some(uid) = uid.or(mail.reader.uid()) else {
        return Vec::new();
    };
    let Some(row) = mail.row_mut(uid) else {
        return Vec::new();
    };
    let on = match mark {
        Mark::Seen => !row.seen,
        Mark::Flagged => !row.flagged,
    };
    set_mark(mail, uid, mark, on)
}

/// Shows the mark at once and asks the worker to set it.
fn set_mark(mail: &mut Mail, uid: u32, mark: Mark, on: bool) -> Vec<Effect> {
    let Some(place) = mail.place(uid) else {
        return Vec::new();
    };
    if let Some(row) = mail.row_mut(uid) {
        match mark {
            Mark::Seen => row.seen = on,
            Mark::Flagged => row.flagged = on,
        }
    }
    if let Reader::Open(message) = &mut mail.reader
        && message.uid == uid
    {
        match mark {
            Mark::Seen => message.seen = on,
            Mark::Flagged => message.flagged = on,
        }
    }
    vec![Effect::Ask(Request::Mark { place, mark, on })]
}

/// Moves the message in the reader away and opens the next one, as somebody who works through
/// the list wants it; on a narrow screen the list comes back.
fn put(mail: &mut Mail, to: Destination) -> Vec<Effect> {
    let Some(uid) = mail.reader.uid() else {
        return Vec::new();
    };
    let Some(place) = mail.place(uid) else {
        return Vec::new();
    };
    mail.take_off(uid);
    mail.reader = Reader::Empty;
    mail.pane = Pane::List;
    vec![Effect::Ask(Request::Move { place, to })]
}

fn answer(mail: &mut Mail, audience: crate::model::compose::Audience, clock: Clock) -> Vec<Effect> {
    let Reader::Open(message) = &mail.reader else {
        return Vec::new();
    };
    let written = date::long(message.date_ms, clock);
    let compose = Compose::answer(message, audience, &written);
    let mut named = compose.initial.to.clone();
    if !compose.initial.cc.is_empty() {
        named = format!("{named}, {}", compose.initial.cc);
    }
    mail.compose = Some(compose);
    let mut effects = recipients(mail, named);
    effects.push(Effect::Focus("compose-body"));
    effects
}

fn recipients(mail: &mut Mail, addresses: String) -> Vec<Effect> {
    let Some(compose) = &mut mail.compose else {
        return Vec::new();
    };
    if compose.asked == addresses {
        return Vec::new();
    }
    compose.asked.clone_from(&addresses);
    if addresses.is_empty() {
        compose.recipients.clear();
        return Vec::new();
    }
    vec![Effect::Ask(Request::Recipients { addresses })]
}

fn send(mail: &mut Mail, draft: Draft) -> Vec<Effect> {
    let Some(compose) = &mut mail.compose else {
        return Vec::new();
    };
    if compose.sending {
        return Vec::new();
    }
    if [&draft.to, &draft.cc, &draft.bcc]
        .iter()
        .all(|text| text.trim().is_empty())
    {
        compose.error = Some("Please say whom it is for.".to_owned());
        return vec![Effect::Focus("compose-to")];
    }
    compose.sending = true;
    compose.error = None;
    let answers = compose.initial.answers.clone();
    vec![Effect::Ask(Request::Send(Box::new(Draft {
        answers,
        ..draft
    })))]
}
