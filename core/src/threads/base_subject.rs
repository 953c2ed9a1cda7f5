//! The base subject (RFC 5256 2.1): what is left of a subject without "Re:" and its kind.
//!
//! Invariant: linear in the length of the subject; a subject that is nothing but such words has
//! an empty base. Rejected: the words that other languages use for "Re:"; RFC 5256 names none,
//! and two programs must come to the same base.

/// A subject without what answering and forwarding put around it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BaseSubject {
    /// What is left, in lower case, white space collapsed.
    pub text: String,
    /// Whether something was there that says "answer" or "forwarded".
    pub is_reply_or_forward: bool,
}

/// Extracts the base subject of a decoded subject.
///
/// # Examples
/// ```
/// use letterlock_core::threads::base_subject;
/// let base = base_subject("Re: [list] Fwd: The  garden (fwd)");
/// assert_eq!(base.text, "the garden");
/// assert!(base.is_reply_or_forward);
/// assert!(!base_subject("The garden").is_reply_or_forward);
/// ```
pub fn base_subject(subject: &str) -> BaseSubject {
    // i;unicode-casemap would do, and so does lower case: bases are only compared.
    let folded = subject.to_lowercase();
    let collapsed: Vec<&str> = folded.split_whitespace().collect();
    let collapsed = collapsed.join(" ");
    let mut rest = collapsed.as_str();
    let mut is_reply_or_forward = false;
    loop {
        let (without, cut) = without_trailers(rest);
        is_reply_or_forward |= cut;
        let (without, cut) = without_leaders(without);
        is_reply_or_forward |= cut;
        rest = without;
        // subj-fwd-hdr and subj-fwd-trl
        match rest.strip_prefix("[fwd:").and_then(|r| r.strip_suffix(']')) {
            Some(inner) => {
                is_reply_or_forward = true;
                rest = inner.trim();
            }
            None => break,
        }
    }
    BaseSubject {
        text: rest.trim().to_owned(),
        is_reply_or_forward,
    }
}

/// `subj-trailer = "(fwd)" / WSP`
fn without_trailers(mut rest: &str) -> (&str, bool) {
    let mut cut = false;
    loop {
        rest = rest.trim_end();
        match rest.strip_suffix("(fwd)") {
            Some(before) => {
                cut = true;
                rest = before;
            }
            None => return (rest, cut),
        }
    }
}

/// `subj-leader = (*subj-blob subj-refwd) / WSP`, and a `subj-blob` that something follows.
fn without_leaders(mut rest: &str) -> (&str, bool) {
    let mut cut = false;
    loop {
        rest = rest.trim_start();
        if let Some(after) = leader(rest) {
            cut = true;
            rest = after;
        } else if let Some(after) = blob(rest).filter(|after| !after.trim().is_empty()) {
            rest = after;
        } else {
            return (rest, cut);
        }
    }
}

fn leader(rest: &str) -> Option<&str> {
    let mut at = rest;
    while let Some(after) = blob(at) {
        at = after;
    }
    refwd(at)
}

/// `subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"`
fn refwd(rest: &str) -> Option<&str> {
    let after = ["re", "fwd", "fw"]
        .into_iter()
        .find_map(|word| rest.strip_prefix(word))?
        .trim_start();
    let after = blob(after).unwrap_or(after);
    after.strip_prefix(':')
}

/// `subj-blob = "[" *BLOBCHAR "]" *WSP`; a BLOBCHAR is anything but brackets.
fn blob(rest: &str) -> Option<&str> {
    let (inner, after) = rest.strip_prefix('[')?.split_once(']')?;
    (!inner.contains('[')).then(|| after.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases() {
        for (subject, text, is_reply_or_forward) in [
            ("", "", false),
            ("Hello", "hello", false),
            ("Re: Hello", "hello", true),
            ("RE : Hello", "hello", true),
            ("re[2]: Hello", "hello", true),
            ("Fwd: Re: FW:  Hello", "hello", true),
            ("[list] Hello", "hello", false),
            ("[list] Re: [list] Hello", "hello", true),
            ("[a][b] Re: x", "x", true),
            ("[list]", "[list]", false),
            ("Re: [list]", "[list]", true),
            ("Hello (fwd)", "hello", true),
            ("Hello (fwd) (fwd) ", "hello", true),
            ("[Fwd: Hello]", "hello", true),
            ("[fwd: Re: [x] Hello (fwd)]", "hello", true),
            ("Re:", "", true),
            ("Regarding: Hello", "regarding: hello", false),
            ("Ärger\t und  Freude", "ärger und freude", false),
            ("[a [b] Hello", "[a [b] hello", false),
        ] {
            let base = base_subject(subject);
            assert_eq!(
                (base.text.as_str(), base.is_reply_or_forward),
                (text, is_reply_or_forward),
                "{subject:?}"
            );
        }
    }

    #[test]
    fn hostile_subjects_are_quick() {
        let subject = "re:".repeat(30_000) + &"(fwd)".repeat(30_000);
        assert_eq!(base_subject(&subject).text, "");
        base_subject(&"[".repeat(100_000));
        base_subject(&"[fwd:".repeat(20_000));
    }
}
