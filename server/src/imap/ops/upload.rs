//! APPEND, MULTIAPPEND, CATENATE and REPLACE (RFC 3501 6.3.11, RFC 3502, RFC 4469, RFC 8508):
//! messages of any size, in pieces as they come.
//!
//! Invariant: nothing is seen before the command ends; then all of its messages are durable in
//! one step, or none is there. What is held is at most `HELD_OCTETS` of contents and
//! [`MAX_SKELETON`] of headers, whatever the messages have. Messages are taken as they are,
//! whatever is wrong with them.

use letterlock_core::account::{MAX_APPEND_OCTETS, PartialMessage, ReplicaError};
use letterlock_core::id::{MailboxId, MailboxName, Timestamp, Uid};
use letterlock_core::mime::Span;
use letterlock_core::model::FlagSet;
use letterlock_core::store::Store;

use super::fetch_parts::{Found, cut, find};
use super::{Context, OpError, Outcome};
use crate::imap::accounts::Room;
use crate::imap::command::Octets;
use crate::imap::url::MessageUrl;

/// What a message that has ended holds besides its header, counted with it: so the number of
/// messages in one APPEND has no limit of its own (RFC 9738 3.1 would have it announced).
const MESSAGE_OCTETS: usize = 4096;
/// So many octets of contents of ended messages are held before they are written.
const HELD_OCTETS: usize = 4 * 1024 * 1024;
/// Most octets of headers that the messages of one APPEND may have together.
pub const MAX_SKELETON: usize = 32 * 1024 * 1024;

/// One step of an APPEND.
#[derive(Debug)]
pub enum UploadStep {
    /// The mailbox is there, and the message that is replaced.
    Begin(Begin),
    /// A message begins.
    Message {
        /// Its flags.
        flags: FlagSet,
        /// Its internal date.
        date: Option<Timestamp>,
    },
    /// The next octets of the message.
    Octets(Octets),
    /// The next octets of the message are those of another one.
    Url {
        /// As the client wrote it.
        url: Vec<u8>,
        /// What it may be relative to.
        selected: Option<MailboxId>,
    },
    /// The message ends.
    MessageEnd,
    /// The command ends.
    End,
}

/// What an APPEND begins with.
#[derive(Debug)]
pub struct Begin {
    /// Where to.
    pub name: MailboxName,
    /// The message that is removed.
    pub replaces: Option<(MailboxId, Uid)>,
}

/// What has come of an APPEND.
#[derive(Debug)]
pub struct Upload {
    mailbox: MailboxId,
    replaces: Option<(MailboxId, Uid)>,
    current: Option<PartialMessage>,
    ended: Vec<PartialMessage>,
}

/// Does one step.
pub async fn run<S: Store>(
    context: &Context<'_, S>,
    upload: &mut Option<Upload>,
    step: UploadStep,
) -> Result<Outcome, OpError> {
    if let UploadStep::Begin(begin) = step {
        *upload = Some(started(context, &begin)?);
        return Ok(Outcome::Done);
    }
    if matches!(step, UploadStep::End) {
        // The session has begun one.
        let upload = upload.take().ok_or(OpError::NoDestination)?;
        return end(context, upload).await;
    }
    let upload = upload.as_mut().ok_or(OpError::NoDestination)?;
    match step {
        UploadStep::Message { flags, date } => {
            let date = date.unwrap_or(context.now);
            upload.current = Some(context.account.partial(flags, date, context.now)?);
        }
        UploadStep::Octets(octets) => {
            if let Some(current) = &mut upload.current {
                context.account.extend(current, &octets.0).await?;
            }
        }
        UploadStep::Url { url, selected } => {
            if let Some(current) = &mut upload.current {
                copy(context, current, url, selected).await?;
            }
        }
        UploadStep::MessageEnd => message_end(context, upload).await?,
        UploadStep::Begin(_) | UploadStep::End => {}
    }
    Ok(Outcome::Done)
}

fn started<S: Store>(context: &Context<'_, S>, begin: &Begin) -> Result<Upload, OpError> {
    let mailbox = context.account.mailbox(&begin.name);
    let mailbox = mailbox.ok_or(OpError::NoDestination)?;
    if mailbox.virtual_mailbox.is_some() {
        return Err(ReplicaError::Virtual.into());
    }
    if let Some((from, uid)) = begin.replaces
        && context.account.placement(from, uid).is_none()
    {
        return Err(OpError::NoSuchMessage);
    }
    Ok(Upload {
        mailbox: mailbox.id,
        replaces: begin.replaces,
        current: None,
        ended: Vec::new(),
    })
}

async fn message_end<S: Store>(
    context: &Context<'_, S>,
    upload: &mut Upload,
) -> Result<(), OpError> {
    let Some(mut message) = upload.current.take() else {
        return Ok(());
    };
    if message.size() == 0 {
        // So a client takes back what it has begun (RFC 3502 6.3.11).
        return Err(OpError::Empty);
    }
    message.end();
    upload.ended.push(message);
    let sum = |of: fn(&PartialMessage) -> usize| {
        let sizes = upload.ended.iter().map(of);
        sizes.fold(0_usize, usize::saturating_add)
    };
    check_room(context, upload)?;
    let messages = upload.ended.len().saturating_mul(MESSAGE_OCTETS);
    if sum(PartialMessage::skeleton).saturating_add(messages) > MAX_SKELETON {
        return Err(OpError::TooMany("These messages have too much header"));
    }
    if sum(PartialMessage::held) > HELD_OCTETS {
        for message in &mut upload.ended {
            if message.held() > 0 {
                context.account.stage(message).await?;
            }
        }
    }
    Ok(())
}

/// Whether the provider has room for the messages (RFC 9208 4.3). They may take less there; what it
/// said when it was asked last decides, and what goes over that is kept here and waits. A message
/// that takes the place of another is let in: a draft goes on being written.
fn check_room<S: Store>(context: &Context<'_, S>, upload: &Upload) -> Result<(), OpError> {
    let sizes = upload.ended.iter().map(PartialMessage::size);
    let octets = sizes.fold(0_u64, u64::saturating_add);
    let is_over = |room: &Room| room.used_octets.saturating_add(octets) > room.quota_octets;
    if upload.replaces.is_none() && context.room.as_ref().is_some_and(is_over) {
        return Err(OpError::OverQuota);
    }
    Ok(())
}

async fn end<S: Store>(context: &Context<'_, S>, upload: Upload) -> Result<Outcome, OpError> {
    let (mailbox, mut messages) = (upload.mailbox, upload.ended);
    let missing = |error: OpError| match error {
        // It was there when the command began.
        OpError::NoSuchMailbox => OpError::NoDestination,
        error => error,
    };
    let appended = match (upload.replaces, messages.pop()) {
        (Some(replaced), Some(message)) => {
            let replaced = context
                .account
                .replace(mailbox, message, replaced, context.now)
                .await;
            let replaced = replaced.map_err(|error| missing(error.into()))?;
            vec![replaced.ok_or(OpError::NoSuchMessage)?]
        }
        (_, last) => {
            messages.extend(last);
            let appended = context
                .account
                .append_partial(mailbox, messages, None, context.now)
                .await;
            appended.map_err(|error| missing(error.into()))?
        }
    };
    // The grammar has at least one message.
    let validity = appended.first().ok_or(OpError::Empty)?.uid_validity;
    let uids = appended.iter().map(|appended| appended.uid).collect();
    Ok(Outcome::Appended(validity, uids))
}

/// Takes the octets that a URL names into a message, piece by piece.
async fn copy<S: Store>(
    context: &Context<'_, S>,
    message: &mut PartialMessage,
    url: Vec<u8>,
    selected: Option<MailboxId>,
) -> Result<(), OpError> {
    let Some(read) = MessageUrl::parse(&url) else {
        return Err(OpError::BadUrl(url));
    };
    let mailbox = match &read.mailbox {
        Some(name) => context.account.mailbox(name),
        None => selected.and_then(|id| context.account.mailbox_by_id(id)),
    };
    let mailbox = mailbox.filter(|mailbox| {
        read.uid_validity
            .is_none_or(|validity| mailbox.uid_validity.get() == validity)
    });
    let placement = mailbox
        .zip(Uid::new(read.uid))
        .and_then(|(mailbox, uid)| context.account.placement(mailbox.id, uid));
    let Some(placement) = placement else {
        return Err(OpError::BadUrl(url));
    };
    let source = context.account.message(placement.message).await?;
    let source = source.ok_or(OpError::NotHere)?;
    let whole = Span {
        start: 0,
        end: source.structure.size,
    };
    let found = match &read.section {
        None => Some(Found::Span(whole)),
        Some(request) => find(context.account, &source, request).await?,
    };
    let partial = read
        .partial
        .map(|(first, count)| (first, count.unwrap_or(u32::MAX)));
    match found {
        None => Err(OpError::BadUrl(url)),
        Some(Found::Octets(octets)) => {
            let span = Span {
                start: 0,
                end: octets.len() as u64,
            };
            let octets = cut(span, partial).of(&octets).to_vec();
            Ok(context.account.extend(message, &octets).await?)
        }
        Some(Found::Span(span)) => {
            let span = cut(span, partial);
            let length = span.end.saturating_sub(span.start);
            if message.size().saturating_add(length) > MAX_APPEND_OCTETS {
                return Err(OpError::TooBig);
            }
            let mut pieces = context.account.pieces(&source, span);
            while let Some(piece) = pieces.next().await? {
                context.account.extend(message, &piece).await?;
            }
            Ok(())
        }
    }
}
