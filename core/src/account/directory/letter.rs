//! The message in INBOX that tells of an alarm.

use crate::id::{Address, Timestamp};
use crate::keys::transparency::Alarm;
use crate::mime;

/// The message that tells of an alarm.
pub(super) fn letter(to: &Address, alarm: &Alarm, now: Timestamp) -> Vec<u8> {
    let domain = to.domain();
    let text = format!(
        "From: Letterlock on your device <mailer-daemon@{domain}>\r\n\
         To: <{to}>\r\n\
         Subject: Warning: the key directory of {provider} does not hold\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}@{domain}>\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\
         \r\n\
         This message was made by your own device; nobody has sent it.\r\n\
         \r\n\
         What was found: {alarm}.\r\n\
         \r\n\
         {meanwhile}\r\n\
         \r\n\
         {advice}\r\n",
        provider = alarm.domain,
        date = mime::format_date(now),
        id = alarm.digest(),
        meanwhile = alarm.meanwhile(),
        advice = alarm.advice(),
    );
    text.into_bytes()
}
