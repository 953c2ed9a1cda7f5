//! What FETCH asks for (RFC 3501 6.4.5 and its extensions), as values.

/// What FETCH can bring (RFC 3501 6.4.5), macros resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// The UID, asked for.
    Uid,
    /// The UID that UID FETCH brings unasked, where nothing else tells it.
    ImpliedUid,
    /// The flags.
    Flags,
    /// The internal date.
    InternalDate,
    /// The size in octets.
    Size,
    /// The mod-sequence (RFC 7162 3.1.4.2).
    ModSeq,
    /// The envelope.
    Envelope,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`: the structure with extension data.
    BodyStructure,
    /// Octets of the message.
    Section(SectionRequest),
    /// What names the message, wherever it is (RFC 8474 5.3).
    EmailId,
    /// What names the messages that belong together (RFC 8474 5.3).
    ThreadId,
    /// When it came into the mailbox (RFC 8514 4.2).
    SaveDate,
    /// The beginning of its text (RFC 8970 3.1).
    Preview(Patience),
    /// A part without its transfer encoding (RFC 3516 4.2).
    Binary(BinaryRequest),
    /// How many octets that is; of the part with these numbers.
    BinarySize(Vec<u32>),
}

/// How long the client waits for a preview (RFC 8970 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// As long as it takes.
    Any,
    /// `LAZY`: it takes what is at hand.
    Lazy,
}

/// `BINARY[...]<...>` (RFC 3516 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinaryRequest {
    /// Part numbers; empty is the message.
    pub part: Vec<u32>,
    /// First octet and how many, of the decoded part.
    pub partial: Option<(u32, u32)>,
    /// Whether the fetch marks the message as seen.
    pub seen: SetsSeen,
}

/// `BODY[...]<...>` and the older names of the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionRequest {
    /// The name under which the answer goes out.
    pub label: SectionLabel,
    /// Part numbers; empty is the message.
    pub part: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
    /// First octet and how many.
    pub partial: Option<(u32, u32)>,
    /// Whether the fetch marks the message as seen.
    pub seen: SetsSeen,
}

/// What an answer to a section request is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionLabel {
    /// `BODY[section]`.
    Body,
    /// `RFC822`.
    Rfc822,
    /// `RFC822.HEADER`.
    Rfc822Header,
    /// `RFC822.TEXT`.
    Rfc822Text,
}

/// Whether a fetch sets `\Seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetsSeen {
    /// As `BODY[]` does.
    Yes,
    /// As `BODY.PEEK[]` does.
    No,
}

/// `section-msgtext` and `section-text` (RFC 3501 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// The whole part.
    Whole,
    /// Its header with the empty line.
    Header,
    /// These fields of its header, with the empty line.
    HeaderFields(Vec<String>),
    /// All fields but these, with the empty line.
    HeaderFieldsNot(Vec<String>),
    /// What follows the header.
    Text,
    /// The MIME header of the part.
    Mime,
}
