//! What FETCH takes from a message's document and its octets (RFC 3501 6.4.5, RFC 3516, RFC 8474,
//! RFC 8970).

use std::sync::Arc;

use letterlock_core::account::MessageDocument as Message;
use letterlock_core::mime::header::{FieldSelection, select_fields};
use letterlock_core::mime::{SectionKind, Span, decode_binary};
use letterlock_core::store::Store;

use super::{Context, OpError};
use crate::imap::command::{FetchItem, Octets, SectionRequest, SectionText};
use crate::imap::object_id::thread_id;
use crate::imap::response::FetchValue;

/// Sections that are longer are read while they are written.
const STREAM_OCTETS: u64 = 256 * 1024;
/// Longest part that is decoded for BINARY: it is in memory twice.
const MAX_BINARY_OCTETS: u64 = 64 * 1024 * 1024;

/// The value of an item that needs the message.
pub(super) async fn content<S: Store>(
    context: &Context<'_, S>,
    message: Arc<Message>,
    item: &FetchItem,
) -> Result<FetchValue, OpError> {
    Ok(match item {
        FetchItem::Envelope => FetchValue::Envelope(message),
        FetchItem::Body => FetchValue::Body(message),
        FetchItem::Section(request) => section(context, message, request).await?,
        FetchItem::ThreadId => {
            let summary = &message.structure.summary;
            FetchValue::ThreadId(thread_id(context.account.keys(), &message.hash, summary))
        }
        FetchItem::Preview(_) => {
            FetchValue::Preview(Some(message.structure.summary.preview.clone()))
        }
        FetchItem::Binary(request) => {
            let octets = binary(context, &message, &request.part).await?;
            let cut_out = |octets: Vec<u8>| match request.partial {
                Some(_) => cut(whole(&octets), request.partial).of(&octets).to_vec(),
                None => octets,
            };
            FetchValue::Binary(request.clone(), octets.map(cut_out).map(Octets))
        }
        FetchItem::BinarySize(part) => {
            let octets = binary(context, &message, part).await?;
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
    context: &Context<'_, S>,
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
        return Ok(Some(context.account.raw(message).await?));
    }
    let wire = context.account.read(message, part.body).await?;
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
    context: &Context<'_, S>,
    message: Arc<Message>,
    request: &SectionRequest,
) -> Result<FetchValue, OpError> {
    let request = request.clone();
    let octets = match find(context, &message, &request).await? {
        None => None,
        Some(Found::Octets(octets)) => {
            let cut = cut(whole(&octets), request.partial);
            Some(cut.of(&octets).to_vec())
        }
        Some(Found::Span(span)) => {
            let span = cut(span, request.partial);
            if span.end.saturating_sub(span.start) > STREAM_OCTETS {
                // Once the literal's length is told, nothing can be taken back.
                if !context.account.is_here(&message, span).await? {
                    return Err(OpError::NotHere);
                }
                return Ok(FetchValue::Stream(request, message, span));
            }
            Some(context.account.read(&message, span).await?)
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
    context: &Context<'_, S>,
    message: &Message,
    request: &SectionRequest,
) -> Result<Option<Found>, OpError> {
    let kind = match request.text {
        SectionText::Whole => SectionKind::Content,
        SectionText::Text => SectionKind::Text,
        SectionText::Mime => SectionKind::Mime,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_) => {
            SectionKind::Header
        }
    };
    let Some(span) = message.structure.section(&request.part, kind) else {
        return Ok(None);
    };
    let (selection, names) = match &request.text {
        SectionText::HeaderFields(names) => (FieldSelection::Fields, names),
        SectionText::HeaderFieldsNot(names) => (FieldSelection::FieldsNot, names),
        SectionText::Whole | SectionText::Text | SectionText::Mime | SectionText::Header => {
            return Ok(Some(Found::Span(span)));
        }
    };
    let header = context.account.read(message, span).await?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let octets = select_fields(&header, selection, &names);
    Ok(Some(Found::Octets(octets)))
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
