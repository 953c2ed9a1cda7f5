//! The sample letters that the demo feeds, and to whom.
//!
//! Octets as they are sent: CRLF line ends, and one of them broken on purpose.

/// One letter.
#[derive(Clone, Copy)]
pub(super) struct Letter {
    /// Its file.
    pub(super) name: &'static str,
    /// What is sent, or sealed first.
    pub(super) octets: &'static [u8],
    /// How it is sent.
    pub(super) form: Form,
    /// The SMTP sender; empty for `<>`.
    pub(super) reverse_path: &'static str,
    /// Local parts of its recipients.
    pub(super) to: &'static [&'static str],
}

/// How a letter is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    AsWritten,
    /// Signed by its writer, who has a key, and encrypted to its recipient.
    Sealed,
}

macro_rules! letter {
    ($name:literal, $reverse_path:literal, $to:expr) => {
        letter!($name, $reverse_path, $to, Form::AsWritten)
    };
    ($name:literal, $reverse_path:literal, $to:expr, $form:expr) => {
        Letter {
            name: $name,
            octets: include_bytes!(concat!("letters/", $name, ".eml")),
            form: $form,
            reverse_path: $reverse_path,
            to: $to,
        }
    };
}

const ALICE: &[&str] = &["alice"];
const BOB: &[&str] = &["bob"];
const BOTH: &[&str] = &["alice", "bob"];

// The macro saves writing each file's name twice.
/// All letters, in the order in which they are fed.
pub(super) const LETTERS: [Letter; 17] = [
    letter!("01-welcome", "postmaster@letterlock.example", BOTH),
    letter!("02-lighthouse", "marta@lighthouse.example", ALICE),
    letter!("03-choir", "tomas@choir.example", BOTH),
    letter!("04-gruesse", "juergen@kleingarten.example", ALICE),
    letter!("05-kyoto", "sato@kyoto.example", ALICE),
    letter!("06-cardamom", "layla@cardamom.example", ALICE),
    letter!("07-forwarded-twice", "bob@harbour.example", ALICE),
    letter!("08-seeds-1", "seed-swap-bounces@lists.example", ALICE),
    letter!("09-seeds-2", "seed-swap-bounces@lists.example", ALICE),
    letter!("10-seeds-3", "seed-swap-bounces@lists.example", ALICE),
    letter!("11-flowed", "ottilie@nightbus.example", BOTH),
    letter!("12-sealed-ines", "ines@lemons.example", ALICE, Form::Sealed),
    letter!("13-signed-unknown", "barnaby@clockworks.example", ALICE),
    letter!("14-broken", "grandpa@attic.example", ALICE),
    letter!("15-undeliverable", "", ALICE),
    letter!("16-newsletter", "bounce-77120@news.buttons.example", ALICE),
    letter!("17-aunt", "philippa@stamps.example", BOB),
];

#[cfg(test)]
mod tests {
    use super::*;
    use letterlock_core::mime;

    #[test]
    fn letters_are_crlf_and_come_back_whole() {
        for letter in LETTERS {
            let lines = letter.octets.split(|octet| *octet == b'\n');
            let bare = lines.filter(|line| !line.is_empty() && !line.ends_with(b"\r"));
            assert_eq!(bare.count(), 0, "{}", letter.name);
            assert!(letter.octets.ends_with(b"\r\n"), "{}", letter.name);
            let split = mime::split(letter.octets);
            assert!(!split.structure.envelope.from.is_empty(), "{}", letter.name);
        }
    }

    #[test]
    fn alice_gets_enough_to_look_at() {
        let count = |name| {
            LETTERS
                .iter()
                .filter(|letter| letter.to.contains(&name))
                .count()
        };
        assert!(count("alice") >= 12);
        assert!(count("bob") >= 3);
    }
}
