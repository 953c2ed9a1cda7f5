//! The message in INBOX that tells of an alarm.

use crate::id::{Address, Timestamp};
use crate::keys::transparency::Alarm;
use crate::mime::Notice;

/// The message that tells of an alarm.
pub(super) fn letter(to: &Address, alarm: &Alarm, now: Timestamp) -> Vec<u8> {
    let notice = Notice {
        subject: &format!("the key directory of {} does not hold", alarm.domain),
        id: &alarm.digest(),
        found: alarm,
        meanwhile: alarm.meanwhile(),
        advice: alarm.advice(),
    };
    notice.message(to, now)
}
