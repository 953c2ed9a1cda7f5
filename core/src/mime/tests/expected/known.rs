//! Where the other parser sees something else, and why ours stays as it is.

/// Differences of one kind.
pub(super) struct Known {
    pub(super) classes: &'static [&'static str],
    pub(super) files: &'static [&'static str],
    pub(super) reason: &'static str,
}

pub(super) const KNOWN: &[Known] = &[
    Known {
        classes: &["tree"],
        files: &[
            "malformed/001",
            "malformed/004",
            "malformed/008",
            "malformed/016",
        ],
        reason: "a delimiter is the whole boundary, not the beginning of another one",
    },
    Known {
        classes: &["tree"],
        files: &["malformed/009", "malformed/011", "malformed/012"],
        reason: "an outer delimiter ends the inner parts (RFC 2046 5.1.2)",
    },
    Known {
        classes: &["tree"],
        files: &["malformed/000", "malformed/007"],
        reason: "a delimiter ends a header; but the boundary that the header itself names is not \
                 looked for before the header has ended",
    },
    Known {
        classes: &["tree"],
        files: &["malformed/013", "malformed/014"],
        reason: "a delimiter opens a part, even where nothing follows",
    },
    Known {
        classes: &["tree"],
        files: &["malformed/020", "malformed/021"],
        reason: "of two Content-Type fields the first counts: filters and signers look at it",
    },
    Known {
        classes: &["tree"],
        files: &["malformed/022"],
        reason: "what says that it is a message is one, if without fields; octets stay the same",
    },
    Known {
        classes: &["tree"],
        files: &["rfc/008"],
        reason: "an encoded message stays closed (RFC 2046 5.2.1): its parts have no octets here",
    },
    Known {
        classes: &["tree"],
        files: &["thirdparty/015"],
        reason: "three messages are attached; the inner boundaries of the first never occur",
    },
    Known {
        classes: &["text_body", "html_body", "attachments"],
        files: &[
            "malformed/002",
            "malformed/003",
            "malformed/006",
            "malformed/008",
        ],
        reason: "text is shown though the end of its multipart is missing",
    },
    Known {
        classes: &["type"],
        files: &["malformed/002"],
        reason: "a multipart without parts is shown as text",
    },
    Known {
        classes: &["attachments"],
        files: &["malformed/015"],
        reason: "the signature of a signed message is judged, not listed as a file",
    },
    Known {
        classes: &["date"],
        files: &["malformed/019"],
        reason: "`Tue, 7 Apr 2026 10:00:t <...` is no date",
    },
    Known {
        classes: &["end"],
        files: &["malformed/019"],
        reason: "the empty line that ends a header is not the line break before a delimiter, and a \
                 body does not end before it begins",
    },
    Known {
        classes: &["end", "text"],
        files: &["thirdparty/005"],
        reason: "a delimiter stands at the beginning of a line (RFC 2046 5.1.1)",
    },
    Known {
        classes: &["encoding"],
        files: &["thirdparty/004"],
        reason: "`8 bit` means `8bit`",
    },
    Known {
        classes: &["from"],
        files: &["rfc/001", "rfc/004", "rfc/009"],
        reason: "a word without domain is a mailbox, as in ENVELOPE, and not a name",
    },
    Known {
        classes: &["from"],
        files: &["rfc/000"],
        reason: "a comment alone is no address",
    },
    Known {
        classes: &["subject"],
        files: &[
            "legacy/010",
            "legacy/020",
            "legacy/022",
            "legacy/027",
            "legacy/052",
        ],
        reason: "octets above 127 that are not UTF-8 are read as windows-1252",
    },
    Known {
        classes: &["text"],
        files: &["legacy/052"],
        reason: "octets above 127 in a text that names no charset are read as windows-1252",
    },
    Known {
        classes: &["text"],
        files: &["legacy/026"],
        reason: "uuencode is decoded",
    },
    Known {
        classes: &["text", "text_body", "html_body", "attachments"],
        files: &["thirdparty/002"],
        reason: "what is no base64 is decoded as far as it goes and reported as a defect",
    },
    Known {
        classes: &["text"],
        files: &["rfc/000"],
        reason: "what is no base64 is decoded as far as it goes and reported as a defect",
    },
];
