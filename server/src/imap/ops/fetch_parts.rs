//! What FETCH takes from a message's document and its octets (RFC 3501 6.4.5, RFC 3516, RFC 8474,
//! RFC 8970).

use std::sync::Arc;

use letterlock_core::account::{Account, MessageDocument as Message, ReplicaError};
use letterlock_core::mime::header::{FieldSelection, select_fields};
use letterlock_core::mime::{SectionKind, Span, decode_binary};
use letterlock_core::store::Store;

use super::OpError;
use super::digest::Digest;
use super::fetch::Wanted;
use crate::imap::command::{FetchItem, Octets, SectionRequest, SectionText};
use crate::imap::object_id::thread_id;
use crate::imap::response::FetchValue;

/// Sections that are longer are read while they are written.
const STREAM_OCTETS: u64 = 256 * 1024;
/// Longest part that is decoded for BINARY: it is in memory twice.
const MAX_BINARY_OCTETS: u64 = 64 * 1024 * 1024;

/// Whether an item brings octets of the message, as many as it may have.
pub(super) fn is_octets(item: &FetchItem) -> bool {
    match item {
        FetchItem::Section(request) => matches!(
            request.text,
            SectionText::Whole | SectionText::Text | SectionText::Mime
        ),
        FetchItem::Binary(_) | FetchItem::BinarySize(_) => true,
        _ => false,
    }
}

/// Whether an item is what lists of messages show; whoever shows one sorts and searches it next.
pub(super) fn is_listed(item: &FetchItem) -> bool {
    match item {
        FetchItem::Envelope => true,
        FetchItem::Section(request) => matches!(
            request.text,
            SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)
        ),
        _ => false,
    }
}

/// What was made of a message.
pub(super) struct Made {
    /// The values of the items that are wanted.
    pub(super) values: Vec<FetchValue>,
    /// If the message is listed.
    pub(super) digest: Option<Digest>,
}

/// What is wanted of messages.
pub(super) async fn made<S: Store>(
    account: &Account<S>,
    wanted: &[Wanted],
    items: &[FetchItem],
) -> Vec<Result<Made, OpError>> {
    let is_listed = items.iter().any(is_listed);
    let messages = documents(account, wanted).await;
    let mut spans = Vec::new();
    let here = messages.iter().zip(wanted);
    for (message, wanted) in
        here.filter_map(|(message, wanted)| message.as_ref().ok().zip(Some(wanted)))
    {
        let items = items.iter().zip(&wanted.items).filter(|(_, is)| **is);
        let found = items.filter_map(|(item, _)| span_of(message, item));
        spans.extend(found.map(|span| (Arc::clone(message), span)));
    }
    // Where they cannot be read together, each is read by itself and says why.
    let mut read = account
        .read_many(&spans)
        .await
        .unwrap_or_default()
        .into_iter();
    let mut all = Vec::with_capacity(wanted.len());
    for (message, wanted) in messages.into_iter().zip(wanted) {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                all.push(Err(error));
                continue;
            }
        };
        let mut values = Vec::with_capacity(items.len());
        let mut failed = None;
        for (item, _) in items.iter().zip(&wanted.items).filter(|(_, is)| **is) {
            let octets = span_of(&message, item).and_then(|_| read.next());
            match value(account, &message, item, octets).await {
                Ok(value) => values.push(value),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        let digest = is_listed.then(|| Digest::of(&message));
        all.push(failed.map_or(Ok(Made { values, digest }), Err));
    }
    all
}

/// The structures of messages.
async fn documents<S: Store>(
    account: &Account<S>,
    wanted: &[Wanted],
) -> Vec<Result<Arc<Message>, OpError>> {
    let hashes: Vec<_> = wanted.iter().map(|wanted| wanted.message).collect();
    let mut messages = Vec::with_capacity(hashes.len());
    if let Ok(found) = account.messages(&hashes).await {
        messages.extend(found);
    } else {
        // One row that is damaged may fail them all.
        for hash in hashes {
            messages.push(account.message(hash).await);
        }
    }
    let here = messages.into_iter();
    here.map(|message| message?.ok_or(OpError::NotHere))
        .collect()
}

/// Where the octets are that an item asks for, if they are in one place and not too many.
fn span_of(message: &Message, item: &FetchItem) -> Option<Span> {
    let FetchItem::Section(request) = item else {
        return None;
    };
    let Some(Place::Span(span)) = place(message, request) else {
        return None;
    };
    let span = cut(span, request.partial);
    (span.len() <= STREAM_OCTETS).then_some(span)
}

/// The value of an item that needs the message, or its octets that were read already.
async fn value<S: Store>(
    account: &Account<S>,
    message: &Arc<Message>,
    item: &FetchItem,
    octets: Option<Result<Vec<u8>, ReplicaError>>,
) -> Result<FetchValue, OpError> {
    match (item, octets) {
        (FetchItem::Section(request), Some(octets)) => {
            Ok(FetchValue::Section(request.clone(), Some(Octets(octets?))))
        }
        (item, _) => content(account, Arc::clone(message), item).await,
    }
}

/// The value of an item that needs the message.
async fn content<S: Store>(
    account: &Account<S>,
    message: Arc<Message>,
    item: &FetchItem,
) -> Result<FetchValue, OpError> {
    Ok(match item {
        FetchItem::Envelope => FetchValue::Envelope(message),
        FetchItem::Body => FetchValue::Body(message),
        FetchItem::Section(request) => section(account, message, request).await?,
        FetchItem::ThreadId => {
            let summary = &message.structure.summary;
            FetchValue::ThreadId(thread_id(account.keys(), &message.hash, summary))
        }
        FetchItem::Preview(_) => {
            FetchValue::Preview(Some(message.structure.summary.preview.clone()))
        }
        FetchItem::Binary(request) => {
            let octets = binary(account, &message, &request.part).await?;
            let cut_out = |octets: Vec<u8>| match request.partial {
                Some(_) => cut(whole(&octets), request.partial).of(&octets).to_vec(),
                None => octets,
            };
            FetchValue::Binary(request.clone(), octets.map(cut_out).map(Octets))
        }
        FetchItem::BinarySize(part) => {
            let octets = binary(account, &message, part).await?;
            // A part that is not there has no octets.
            let size = octets.map_or(0, |octets| octets.len() as u64);
            FetchValue::BinarySize(part.clone(), size)
        }
        _ => FetchValue::BodyStructure(message),
    })
}

/// A part without its transfer encoding; `None` if the message has no such part. The message
/// itself has none of its own that could be undone in one go.
async fn binary<S: Store>(
    account: &Account<S>,
    message: &Message,
    path: &[u32],
) -> Result<Option<Vec<u8>>, OpError> {
    let Some(part) = message.structure.part(path) else {
        return Ok(None);
    };
    let size = if path.is_empty() {
        message.structure.size
    } else {
        part.body.end.saturating_sub(part.body.start)
    };
    if size > MAX_BINARY_OCTETS {
        let reason = "The part is too large to be decoded at once, BODY brings it";
        return Err(OpError::TooMany(reason));
    }
    if path.is_empty() {
        return Ok(Some(account.raw(message).await?));
    }
    let wire = account.read(message, part.body).await?;
    let octets = decode_binary(part, &wire).map_err(|_| OpError::UnknownEncoding)?;
    Ok(Some(octets))
}

fn whole(octets: &[u8]) -> Span {
    Span {
        start: 0,
        end: octets.len() as u64,
    }
}

/// A section, or what is asked for of it.
async fn section<S: Store>(
    account: &Account<S>,
    message: Arc<Message>,
    request: &SectionRequest,
) -> Result<FetchValue, OpError> {
    let request = request.clone();
    let octets = match find(account, &message, &request).await? {
        None => None,
        Some(Found::Octets(octets)) => {
            let cut = cut(whole(&octets), request.partial);
            Some(cut.of(&octets).to_vec())
        }
        Some(Found::Span(span)) => {
            let span = cut(span, request.partial);
            if span.end.saturating_sub(span.start) > STREAM_OCTETS {
                // Once the literal's length is told, nothing can be taken back.
                if !account.is_here(&message, span).await? {
                    return Err(OpError::NotHere);
                }
                return Ok(FetchValue::Stream(request, message, span));
            }
            Some(account.read(&message, span).await?)
        }
    };
    Ok(FetchValue::Section(request, octets.map(Octets)))
}

/// Where the octets of a section are.
pub(super) enum Found {
    /// In the message.
    Span(Span),
    /// Here: they were put together.
    Octets(Vec<u8>),
}

/// Finds a section, whatever its partial; `None` if the message has no such part.
pub(super) async fn find<S: Store>(
    account: &Account<S>,
    message: &Message,
    request: &SectionRequest,
) -> Result<Option<Found>, OpError> {
    let (span, selection, names) = match place(message, request) {
        None => return Ok(None),
        Some(Place::Span(span)) => return Ok(Some(Found::Span(span))),
        Some(Place::Fields(span, selection, names)) => (span, selection, names),
    };
    let header = account.read(message, span).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let octets = select_fields(&header, selection, &names);
    Ok(Some(Found::Octets(octets)))
}

/// What a section is made of.
enum Place<'a> {
    Span(Span),
    Fields(Span, FieldSelection, &'a [String]),
}

fn place<'a>(message: &Message, request: &'a SectionRequest) -> Option<Place<'a>> {
    let kind = match request.text {
        SectionText::Whole => SectionKind::Content,
        SectionText::Text => SectionKind::Text,
        SectionText::Mime => SectionKind::Mime,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
            SectionKind::Header
        }
    };
    let span = message.structure.section(&request.part, kind)?;
    Some(match &request.text {
        SectionText::HeaderFields(names) => Place::Fields(span, FieldSelection::Fields, names),
        SectionText::HeaderFieldsNot(names) => {
            Place::Fields(span, FieldSelection::FieldsNot, names)
        }
        SectionText::Whole | SectionText::Text | SectionText::Mime | SectionText::Header => {
            Place::Span(span)
        }
    })
}

/// What a partial fetch leaves of a section; beyond its end that is nothing (RFC 3501 6.4.5).
pub(super) fn cut(span: Span, partial: Option<(u32, u32)>) -> Span {
    let Some((first, count)) = partial else {
        return span;
    };
    let start = span.start.saturating_add(u64::from(first)).min(span.end);
    let end = start.saturating_add(u64::from(count)).min(span.end);
    Span { start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partials_stay_inside_their_section() {
        let span = Span { start: 10, end: 20 };
        for (partial, start, end) in [
            (None, 10, 20),
            (Some((0, 5)), 10, 15),
            (Some((5, 100)), 15, 20),
            (Some((100, 5)), 20, 20),
            (Some((u32::MAX, u32::MAX)), 20, 20),
        ] {
            assert_eq!(cut(span, partial), Span { start, end });
        }
    }
}
