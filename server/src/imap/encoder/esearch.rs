//! ESEARCH responses (RFC 4466 2.6.2, RFC 4731 3.1, RFC 9394 3.1, RFC 5267,
//! RFC 7377 2.1).

use super::put;
use super::strings::{write_mailbox, write_quoted};
use crate::imap::command::{Numbering, PartialRange};
use crate::imap::response::{EsearchData, EsearchItem};
use crate::imap::set::write_spans;
use crate::imap::utf7::Names;

/// `esearch-response = "ESEARCH" [search-correlator] [SP "UID"] *(SP search-return-data)`
pub(super) fn write(out: &mut Vec<u8>, data: &EsearchData, names: Names) {
    put(out, "* ESEARCH (TAG ");
    write_quoted(out, data.tag.as_str().as_bytes());
    if let Some((name, validity)) = &data.mailbox {
        put(out, " MAILBOX ");
        write_mailbox(out, name.as_str(), names);
        put(out, format_args!(" UIDVALIDITY {validity}"));
    }
    put(out, ")");
    if data.by == Numbering::Uid {
        put(out, " UID");
    }
    for item in &data.items {
        write_item(out, item);
    }
}

fn write_item(out: &mut Vec<u8>, item: &EsearchItem) {
    match item {
        EsearchItem::Min(number) => put(out, format_args!(" MIN {number}")),
        EsearchItem::Max(number) => put(out, format_args!(" MAX {number}")),
        EsearchItem::All(spans) => put(out, format_args!(" ALL {}", write_spans(spans))),
        EsearchItem::Partial(range, spans) => {
            let PartialRange { from, to, from_end } = range;
            let sign = if *from_end { "-" } else { "" };
            put(out, format_args!(" PARTIAL ({sign}{from}:{sign}{to} "));
            if spans.is_empty() {
                put(out, "NIL)");
            } else {
                put(out, format_args!("{})", write_spans(spans)));
            }
        }
        EsearchItem::Count(count) => put(out, format_args!(" COUNT {count}")),
        // Position 0: the client keeps the order of the mailbox (RFC 5267 4.3.3).
        EsearchItem::AddTo(spans) => put(out, format_args!(" ADDTO (0 {})", write_spans(spans))),
        EsearchItem::RemoveFrom(spans) => {
            put(out, format_args!(" REMOVEFROM (0 {})", write_spans(spans)));
        }
        EsearchItem::Relevancy(scores) => {
            let scores: Vec<String> = scores.iter().map(u8::to_string).collect();
            put(out, format_args!(" RELEVANCY ({})", scores.join(" ")));
        }
        EsearchItem::ModSeq(mod_seq) => put(out, format_args!(" MODSEQ {mod_seq}")),
    }
}
