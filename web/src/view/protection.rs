//! Protection in words and as a seal: the only place that says what a typed status means.
//!
//! Invariant: the words come from typed values that this device computed, never from a header
//! field of the message.

use crate::protocol::{Encryption, Protection, Signature};

/// The seal that is drawn, as the stylesheet and the icons name it.
pub fn seal(protection: &Protection) -> &'static str {
    match (protection.encryption, &protection.signature) {
        (_, Signature::Bad) => "broken",
        (Encryption::Unopened, _) => "locked",
        (_, Signature::Foreign { .. }) => "doubtful",
        (Encryption::Decrypted, Signature::Good { .. }) => "sealed",
        (Encryption::Decrypted, Signature::None | Signature::UnknownKey { .. })
        | (
            Encryption::Repaired,
            Signature::Good { .. } | Signature::None | Signature::UnknownKey { .. },
        ) => "encrypted",
        (Encryption::None, Signature::Good { .. }) => "signed",
        (Encryption::None, Signature::None | Signature::UnknownKey { .. }) => "open",
    }
}

/// One line that says it all.
pub fn words(protection: &Protection) -> String {
    let encryption = match protection.encryption {
        Encryption::None => "Not encrypted",
        Encryption::Decrypted => "Encrypted",
        Encryption::Repaired => "Encrypted, taken apart on the way and put together again",
        Encryption::Unopened => return "Encrypted, but it does not open with your keys".to_owned(),
    };
    let signature = match &protection.signature {
        Signature::None => "not signed".to_owned(),
        Signature::Good { signer } => format!("signed by {signer}"),
        Signature::Foreign { signer } => format!("signed by {signer}, who is not the sender"),
        Signature::UnknownKey { .. } => "signed by a key that is not known here".to_owned(),
        Signature::Bad => "the signature does not match".to_owned(),
    };
    format!("{encryption} · {signature}")
}

/// What that means for the reader, in a sentence.
pub fn meaning(protection: &Protection) -> String {
    match (protection.encryption, &protection.signature) {
        (_, Signature::Bad) => {
            "This message was changed after it was signed, or the signature is forged. \
             Do not rely on what it says."
        }
        (Encryption::Unopened, _) => {
            "It was encrypted to another key than yours, or it is damaged. \
             The message as it came is kept."
        }
        (_, Signature::Foreign { .. }) => {
            "Whoever signed this is somebody else than the sender it names."
        }
        (Encryption::Decrypted, Signature::Good { .. }) => {
            "Only you and the writer can read this, and it is as it was written."
        }
        (Encryption::Repaired, Signature::Good { .. }) => {
            "What is shown is as it was written, and was encrypted to you. Something on its way took \
             the message apart; whatever stood beside the encrypted part is left out."
        }
        (Encryption::Repaired, Signature::None | Signature::UnknownKey { .. }) => {
            "What is shown was encrypted to you. Something on its way took the message apart; \
             whatever stood beside the encrypted part is left out. Who wrote it is not proven."
        }
        (Encryption::Decrypted, Signature::UnknownKey { key }) => {
            return format!(
                "Only you and the writer can read this. Who the writer is cannot be checked: \
                 the key {key} is not known here."
            );
        }
        (Encryption::Decrypted, Signature::None) => {
            "It was encrypted to you. Anybody can have written it: it is not signed."
        }
        (Encryption::None, Signature::Good { .. }) => {
            "It is as it was written. Others may have read it on its way."
        }
        (Encryption::None, Signature::UnknownKey { key }) => {
            return format!(
                "It carries a signature, but the key {key} is not known here, so it proves \
                 nothing yet. Others may have read it on its way."
            );
        }
        (Encryption::None, Signature::None) => {
            "It travelled like a postcard: others may have read or changed it on its way. \
             Your provider sealed it to your key when it came."
        }
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection(encryption: Encryption, signature: Signature) -> Protection {
        Protection {
            encryption,
            signature,
        }
    }

    #[test]
    fn a_good_signature_is_the_only_one_that_looks_good() {
        let signer = || "bob@letterlock.example".to_owned();
        let key = || "0123456789abcdef".to_owned();
        for (signature, seals) in [
            (
                Signature::None,
                ["open", "encrypted", "locked", "encrypted"],
            ),
            (
                Signature::Good { signer: signer() },
                ["signed", "sealed", "locked", "encrypted"],
            ),
            (
                Signature::Foreign { signer: signer() },
                ["doubtful", "doubtful", "locked", "doubtful"],
            ),
            (
                Signature::UnknownKey { key: key() },
                ["open", "encrypted", "locked", "encrypted"],
            ),
            (Signature::Bad, ["broken", "broken", "broken", "broken"]),
        ] {
            let kinds = [
                Encryption::None,
                Encryption::Decrypted,
                Encryption::Unopened,
                Encryption::Repaired,
            ];
            for (encryption, expected) in kinds.into_iter().zip(seals) {
                assert_eq!(seal(&protection(encryption, signature.clone())), expected);
            }
        }
    }

    #[test]
    fn the_words_say_both() {
        let signer = "bob@letterlock.example".to_owned();
        let good = protection(Encryption::Decrypted, Signature::Good { signer });
        assert_eq!(words(&good), "Encrypted · signed by bob@letterlock.example");
        assert_eq!(words(&Protection::default()), "Not encrypted · not signed");
    }
}
