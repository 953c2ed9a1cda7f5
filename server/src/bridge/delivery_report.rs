//! A delivery status notification (RFC 3464) for a mail that this bridge gave up.
//!
//! Invariant: the whole mail comes back with it, so nothing that was written is lost.

use std::fmt::Write as _;

use letterlock_core::account::OutboxEntry;
use letterlock_core::id::{Address, Timestamp};
use letterlock_core::mime;
use rand::{CryptoRng, RngCore};

/// Why, for whom, in words and in codes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    recipients: Vec<Address>,
    /// RFC 3463.
    status: &'static str,
    explanation: String,
}

impl Failure {
    /// The account sends encrypted mail only, and these have no certificate.
    pub fn no_certificate(recipients: Vec<Address>) -> Self {
        Self {
            recipients,
            status: "5.7.10",
            explanation: "This account sends encrypted mail only, and no certificate is known \
                          for the recipients below. The mail was sent to nobody."
                .to_owned(),
        }
    }

    /// It answers an encrypted letter, and these have no certificate.
    pub fn answers_encrypted(recipients: Vec<Address>) -> Self {
        Self {
            recipients,
            status: "5.7.10",
            explanation: "This mail answers a letter that was encrypted, and no certificate is \
                          known for the recipients below: it would have left in the clear, with \
                          what it quotes. It was sent to nobody. To send it all the same, write a \
                          new mail that answers nothing."
                .to_owned(),
        }
    }

    /// It can be neither signed nor encrypted.
    pub fn unprotectable(recipients: &[Address]) -> Self {
        Self {
            recipients: recipients.to_vec(),
            status: "5.7.5",
            explanation: "The mail could not be signed or encrypted. It was sent to nobody."
                .to_owned(),
        }
    }

    /// The provider does not take it.
    pub fn refused(recipients: &[Address], status: u16, code: &str) -> Self {
        let code: String = code
            .chars()
            .filter(char::is_ascii_graphic)
            .take(64)
            .collect();
        Self {
            recipients: recipients.to_vec(),
            status: "5.0.0",
            explanation: format!("The provider refuses the mail: {code} (HTTP {status})."),
        }
    }
}

/// Builds the report, CRLF line ends.
pub fn build(
    entry: &OutboxEntry,
    failure: &Failure,
    now: Timestamp,
    rng: &mut (impl CryptoRng + RngCore),
) -> Vec<u8> {
    let mut unique = [0; 16];
    rng.fill_bytes(&mut unique);
    let unique = hex::encode(unique);
    let domain = entry.reverse_path.domain();
    let head = format!(
        "From: Mail bridge <mailer-daemon@{domain}>\r\n\
         To: <{to}>\r\n\
         Subject: Not sent: see the reason inside\r\n\
         Date: {date}\r\n\
         Message-ID: <{unique}@{domain}>\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{unique}\"\r\n\
         \r\n",
        to = entry.reverse_path,
        date = mime::format_date(now),
    );
    let mut body = format!(
        "--{unique}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Your mail was not sent.\r\n\r\n{}\r\n\r\n",
        failure.explanation,
    );
    for recipient in &failure.recipients {
        // Writing to a string does not fail.
        let _infallible = write!(body, "  {recipient}\r\n");
    }
    let _infallible = write!(
        body,
        "\r\nThe mail itself follows.\r\n\r\n--{unique}\r\n\
         Content-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; localhost\r\nArrival-Date: {}\r\n",
        mime::format_date(entry.queued_at),
    );
    for recipient in &failure.recipients {
        let _infallible = write!(
            body,
            "\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {}\r\n",
            failure.status,
        );
    }
    let _infallible = write!(
        body,
        "\r\n--{unique}\r\nContent-Type: message/rfc822\r\n\r\n"
    );
    let end = format!("\r\n--{unique}--\r\n");
    [
        head.as_bytes(),
        body.as_bytes(),
        &entry.message,
        end.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::id::OutboxId;

    #[test]
    fn a_report_names_the_recipient_and_brings_the_mail_back() {
        let address = |text: &str| Address::new(text).unwrap();
        let entry = OutboxEntry {
            id: OutboxId::new([1; 16]),
            reverse_path: address("alice@letterlock.example"),
            forward_paths: vec![address("carol@elsewhere.example")],
            queued_at: Timestamp::from_secs(1_800_000_000),
            problem: None,
            message: b"Subject: a plan\r\n\r\nMeet me.\r\n".to_vec(),
        };
        let failure = Failure::no_certificate(entry.forward_paths.clone());
        let report = build(
            &entry,
            &failure,
            Timestamp::from_secs(1),
            &mut rand::rngs::OsRng,
        );
        let split = mime::split(&report);
        let text = String::from_utf8(report.clone()).unwrap();
        assert!(text.contains("Final-Recipient: rfc822; carol@elsewhere.example\r\n"));
        assert!(text.contains("Status: 5.7.10\r\n"));
        assert!(text.contains("Subject: a plan\r\n\r\nMeet me.\r\n"));
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        assert_eq!(split.structure.envelope.from.len(), 1);
    }
}
