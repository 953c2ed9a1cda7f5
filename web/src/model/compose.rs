//! A message being written: its state, and how an answer to a message begins.

use crate::protocol::{Draft, MessageView, Place, Recipient};

/// Longest text that an answer quotes, in octets; what is longer is cut.
pub const MAX_QUOTE_OCTETS: usize = 100_000;

/// A message being written. What the user types stays in the page's fields until it is sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compose {
    /// What the fields begin with.
    pub initial: Draft,
    /// How mail to the people named would leave.
    pub recipients: Vec<Recipient>,
    /// The text of the fields that `recipients` is about.
    pub asked: String,
    /// It is being sent.
    pub sending: bool,
    /// Why it was not sent.
    pub error: Option<String>,
}

impl Compose {
    /// A sheet with these fields filled in.
    pub fn with(initial: Draft) -> Self {
        Self {
            initial,
            ..Self::default()
        }
    }

    /// An answer to `message`: to its writer, with `all` also to the others.
    pub fn answer(message: &MessageView, all: Audience, date: &str) -> Self {
        let subject = message.subject.trim();
        let answered = subject
            .get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("re:"));
        let subject = if answered {
            subject.to_owned()
        } else {
            format!("Re: {subject}")
        };
        let cc = match all {
            Audience::Writer => String::new(),
            Audience::All => message.reply_cc.clone(),
        };
        let place = Place {
            mailbox: message.mailbox.clone(),
            uid: message.uid,
        };
        Self::with(Draft {
            to: message.reply_to.clone(),
            cc,
            bcc: String::new(),
            subject,
            body: quote(message.body.text(), &message.from, date),
            answers: Some(place),
        })
    }
}

/// Who gets an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The writer alone.
    Writer,
    /// The writer and the other recipients.
    All,
}

fn quote(text: &str, from: &str, date: &str) -> String {
    let mut end = text.len().min(MAX_QUOTE_OCTETS);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut quoted = format!("\n\nOn {date}, {from} wrote:\n");
    for line in text.get(..end).unwrap_or_default().trim_end().lines() {
        // RFC 3676 4.5: nested quotes are not parted by a space.
        quoted.push_str(if line.starts_with('>') { ">" } else { "> " });
        quoted.push_str(line);
        quoted.push('\n');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Body;

    fn message() -> MessageView {
        MessageView {
            mailbox: "m".to_owned(),
            uid: 4,
            subject: "Tea?".to_owned(),
            from: "Bob <bob@letterlock.example>".to_owned(),
            reply_to: "bob@letterlock.example".to_owned(),
            reply_cc: "carol@example.org".to_owned(),
            body: Body::Text("At five.\n> When?\n".to_owned()),
            ..MessageView::default()
        }
    }

    #[test]
    fn an_answer_quotes_and_goes_to_the_writer() {
        let compose = Compose::answer(&message(), Audience::Writer, "5 May 2026");
        assert_eq!(compose.initial.to, "bob@letterlock.example");
        assert_eq!(compose.initial.cc, "");
        assert_eq!(compose.initial.subject, "Re: Tea?");
        assert_eq!(
            compose.initial.body,
            "\n\nOn 5 May 2026, Bob <bob@letterlock.example> wrote:\n> At five.\n>> When?\n"
        );
        assert_eq!(compose.initial.answers.map(|place| place.uid), Some(4));
    }

    #[test]
    fn an_answer_to_an_answer_keeps_its_subject() {
        let message = MessageView {
            subject: "RE: Tea?".to_owned(),
            ..message()
        };
        let compose = Compose::answer(&message, Audience::All, "5 May 2026");
        assert_eq!(compose.initial.subject, "RE: Tea?");
        assert_eq!(compose.initial.cc, "carol@example.org");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = "é".repeat(MAX_QUOTE_OCTETS);
        assert!(quote(&text, "x", "y").len() < MAX_QUOTE_OCTETS + 100);
    }
}
