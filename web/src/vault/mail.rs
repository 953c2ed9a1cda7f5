//! What the page asks of an open account: lists, messages, marks, moves.
//!
//! Generic over the store, so that it is tested natively. Nothing here uses the network.

use letterlock_core::account::Account;
use letterlock_core::account::{
    MailboxStatus, MessageDocument as Message, Placement, ReplicaError,
};
use letterlock_core::id::{Address, MailboxId, Timestamp, Uid};
use letterlock_core::mime::text::decode_attachment;
use letterlock_core::mime::{EnvelopeAddress, Mailbox, Span};
use letterlock_core::model::{Flag, FlagChange, FlagSet, Role};
use letterlock_core::store::Store;
use std::sync::Arc;

use super::letter::Thread;
use super::present;
use crate::protocol::{
    Destination, Failure, MAX_ROWS, MailboxRow, Mark, MessageRow, MessageView, Place, Response,
};

/// All mailboxes.
pub fn mailboxes<S: Store>(account: &Account<S>) -> Response {
    let row = |status: MailboxStatus| MailboxRow {
        id: status.id.to_string(),
        role: role(&status).to_owned(),
        name: status.name.as_str().to_owned(),
        unread: status.unseen,
        total: status.messages,
    };
    Response::Mailboxes(account.mailboxes().into_iter().map(row).collect())
}

fn role(status: &MailboxStatus) -> &'static str {
    if status.name.is_inbox() {
        return "inbox";
    }
    match status.role {
        Some(Role::Archive) => "archive",
        Some(Role::Drafts) => "drafts",
        Some(Role::Junk) => "junk",
        Some(Role::Sent) => "sent",
        Some(Role::Trash) => "trash",
        None => "",
    }
}

/// The newest messages of a mailbox.
pub async fn messages<S: Store>(
    account: &Account<S>,
    mailbox: String,
    limit: u32,
) -> Result<Response, Failure> {
    let id = mailbox_id(&mailbox)?;
    let status = account.mailbox_by_id(id).ok_or(Failure::NotFound)?;
    let outgoing = matches!(status.role, Some(Role::Sent | Role::Drafts));
    let (placements, more) = newest(account, id, limit);
    let hashes: Vec<_> = placements.iter().map(|one| one.message).collect();
    let messages = account.messages(&hashes).await.map_err(failed)?;
    let mut rows = Vec::new();
    for (placement, message) in placements.iter().zip(messages) {
        let message = message.map_err(failed)?;
        rows.push(row(placement, message.as_deref(), outgoing));
    }
    Ok(Response::Messages {
        mailbox,
        rows,
        more,
    })
}

/// The newest messages of a mailbox that are not marked as deleted, newest first, at most
/// [`MAX_ROWS`]; and whether there are more.
pub fn newest<S: Store>(
    account: &Account<S>,
    mailbox: MailboxId,
    limit: u32,
) -> (Vec<Placement>, bool) {
    let mut placements = account.placements(mailbox);
    placements.retain(|placement| !placement.flags.contains(&Flag::Deleted));
    placements
        .sort_by_key(|placement| core::cmp::Reverse((placement.internal_date, placement.uid)));
    let limit = usize::try_from(limit.min(MAX_ROWS)).unwrap_or(usize::MAX);
    let more = placements.len() > limit;
    placements.truncate(limit);
    (placements, more)
}

fn row(placement: &Placement, message: Option<&Message>, outgoing: bool) -> MessageRow {
    let has = |flag: &Flag| placement.flags.contains(flag);
    let mut row = MessageRow {
        uid: placement.uid.get(),
        date_ms: placement.internal_date.as_millis(),
        seen: has(&Flag::Seen),
        flagged: has(&Flag::Flagged),
        answered: has(&Flag::Answered),
        ..MessageRow::default()
    };
    let Some(message) = message else {
        "(not on this device yet)".clone_into(&mut row.subject);
        return row;
    };
    let summary = &message.structure.summary;
    let people = if outgoing { &summary.to } else { &summary.from };
    row.correspondent = present::first_name(people);
    row.subject.clone_from(&summary.subject);
    row.preview.clone_from(&summary.preview);
    row.attachments = summary.has_attachment;
    row.protection = present::protection(&message.protection);
    row
}

/// What has to be here to open a message.
pub async fn wanted<S: Store>(
    account: &Account<S>,
    place: &Place,
) -> Result<Vec<(Arc<Message>, Span)>, Failure> {
    let (_, message) = find(account, place).await?;
    let spans = present::wanted(&message.structure).into_iter();
    Ok(spans.map(|span| (Arc::clone(&message), span)).collect())
}

/// What has to be here to save an attachment.
pub async fn wanted_attachment<S: Store>(
    account: &Account<S>,
    place: &Place,
    index: u32,
) -> Result<Vec<(Arc<Message>, Span)>, Failure> {
    let (_, message) = find(account, place).await?;
    let index = usize::try_from(index).map_err(|_| Failure::NotFound)?;
    let listed = present::attachments(&message.structure);
    let span = listed.get(index).ok_or(Failure::NotFound)?.span;
    Ok(vec![(message, span)])
}

/// One message, opened.
pub async fn message<S: Store>(account: &Account<S>, place: &Place) -> Result<Response, Failure> {
    let (placement, message) = find(account, place).await?;
    let structure = &message.structure;
    let mut pieces = Vec::new();
    for span in present::wanted(structure) {
        pieces.push((span, account.read(&message, span).await.map_err(failed)?));
    }
    let (body, mut defects) = present::body(structure, &pieces);
    defects.extend(structure.defects.iter().map(ToString::to_string));
    defects.sort_unstable();
    defects.dedup();
    let attachments = present::attachments(structure);
    let attachments = attachments.iter().enumerate();
    let cc = mailboxes_of(&structure.envelope.cc);
    let (reply_to, reply_cc) = answers_to(&message, account.address());
    Ok(Response::Message(Box::new(MessageView {
        mailbox: place.mailbox.clone(),
        uid: place.uid,
        subject: structure.summary.subject.clone(),
        from: present::people(&structure.summary.from),
        to: present::people(&structure.summary.to),
        cc: present::people(&cc),
        reply_to,
        reply_cc,
        date_ms: structure
            .summary
            .date
            .unwrap_or(placement.internal_date)
            .as_millis(),
        seen: placement.flags.contains(&Flag::Seen),
        flagged: placement.flags.contains(&Flag::Flagged),
        protection: present::protection(&message.protection),
        body,
        attachments: attachments
            .map(|(n, one)| present::attachment_view(n, one))
            .collect(),
        defects,
    })))
}

/// Whom an answer goes to, and who else gets an answer to all (RFC 5322 3.6.3).
fn answers_to(message: &Message, own: &Address) -> (String, String) {
    let envelope = &message.structure.envelope;
    let is_own = |mailbox: &Mailbox| mailbox.address.eq_ignore_ascii_case(own.as_str());
    let mut to = mailboxes_of(&envelope.reply_to);
    if to.is_empty() {
        to.clone_from(&message.structure.summary.from);
    }
    // An answer to what one wrote oneself goes to whom that went.
    if to.iter().all(is_own) {
        to.clone_from(&message.structure.summary.to);
    }
    let mut cc = mailboxes_of(&envelope.to);
    cc.extend(mailboxes_of(&envelope.cc));
    cc.retain(|mailbox| {
        !is_own(mailbox)
            && !to
                .iter()
                .any(|one| one.address.eq_ignore_ascii_case(&mailbox.address))
    });
    (present::people(&to), present::people(&cc))
}

fn mailboxes_of(addresses: &[EnvelopeAddress]) -> Vec<Mailbox> {
    addresses
        .iter()
        .filter_map(EnvelopeAddress::to_mailbox)
        .collect()
}

/// The octets of an attachment, decoded, with its media type and file name.
pub async fn attachment<S: Store>(
    account: &Account<S>,
    place: &Place,
    index: u32,
) -> Result<(Vec<u8>, String, String), Failure> {
    let (_, message) = find(account, place).await?;
    let index = usize::try_from(index).map_err(|_| Failure::NotFound)?;
    let listed = present::attachments(&message.structure);
    let attachment = listed.get(index).ok_or(Failure::NotFound)?;
    let part = message
        .structure
        .part(&attachment.path)
        .ok_or(Failure::NotFound)?;
    let wire = account
        .read(&message, attachment.span)
        .await
        .map_err(failed)?;
    let octets = match attachment.leaf {
        Some(_) => decode_attachment(part, &wire),
        None => wire,
    };
    Ok((
        octets,
        attachment.media_type.clone(),
        present::attachment_name(index, attachment),
    ))
}

/// Puts a mark on a message or takes it off.
pub async fn mark<S: Store>(
    account: &Account<S>,
    place: &Place,
    mark: Mark,
    on: bool,
    now: Timestamp,
) -> Result<Response, Failure> {
    let flag = match mark {
        Mark::Seen => Flag::Seen,
        Mark::Flagged => Flag::Flagged,
    };
    let how = if on {
        FlagChange::Add
    } else {
        FlagChange::Remove
    };
    set_flag(account, place, how, flag, now).await?;
    Ok(Response::Done)
}

/// Marks the message that was answered.
pub async fn mark_answered<S: Store>(
    account: &Account<S>,
    place: &Place,
    now: Timestamp,
) -> Result<(), Failure> {
    set_flag(account, place, FlagChange::Add, Flag::Answered, now).await
}

async fn set_flag<S: Store>(
    account: &Account<S>,
    place: &Place,
    how: FlagChange,
    flag: Flag,
    now: Timestamp,
) -> Result<(), Failure> {
    let (mailbox, uid) = ids(place)?;
    let flags = FlagSet::from([flag]);
    account
        .store_flags(mailbox, &[uid], how, &flags, now)
        .await
        .map_err(failed)?;
    Ok(())
}

/// Moves a message; what is moved to the trash from there is gone for good.
pub async fn put<S: Store>(
    account: &Account<S>,
    place: &Place,
    to: Destination,
    now: Timestamp,
) -> Result<Response, Failure> {
    let (mailbox, uid) = ids(place)?;
    let role = match to {
        Destination::Archive => Role::Archive,
        Destination::Trash => Role::Trash,
    };
    let target = account.mailbox_for(role).ok_or(Failure::NotFound)?;
    if target.id != mailbox {
        account
            .move_messages(mailbox, &[uid], target.id, now)
            .await
            .map_err(failed)?;
    } else if to == Destination::Trash {
        account
            .expunge(mailbox, &[uid], now)
            .await
            .map_err(failed)?;
    }
    Ok(Response::Done)
}

/// The thread that an answer to this message belongs to (RFC 5322 3.6.4).
pub async fn thread<S: Store>(account: &Account<S>, place: &Place) -> Thread {
    let Ok((_, message)) = find(account, place).await else {
        return Thread::default();
    };
    let summary = &message.structure.summary;
    Thread {
        in_reply_to: summary.message_id.clone(),
        references: summary.references.clone(),
    }
}

async fn find<S: Store>(
    account: &Account<S>,
    place: &Place,
) -> Result<(Placement, Arc<Message>), Failure> {
    let (mailbox, uid) = ids(place)?;
    let placement = account.placement(mailbox, uid).ok_or(Failure::NotFound)?;
    let message = account.message(placement.message).await.map_err(failed)?;
    Ok((placement, message.ok_or(Failure::NotFound)?))
}

fn ids(place: &Place) -> Result<(MailboxId, Uid), Failure> {
    Ok((
        mailbox_id(&place.mailbox)?,
        Uid::new(place.uid).ok_or(Failure::NotFound)?,
    ))
}

fn mailbox_id(text: &str) -> Result<MailboxId, Failure> {
    text.parse().map_err(|_| Failure::NotFound)
}

/// A failure of the replica in words for the user.
pub fn failed(error: ReplicaError) -> Failure {
    match error {
        ReplicaError::NotHere(_) => Failure::Refused(
            "A part of this message is not at the provider yet. It comes when the device has been \
             there that has it."
                .to_owned(),
        ),
        ReplicaError::NoSuchMailbox => Failure::NotFound,
        error => Failure::Refused(format!("This could not be done: {error}.")),
    }
}

#[cfg(test)]
mod tests;
