//! SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677): a client proves that it knows a
//! password without sending it.
//!
//! ```text
//! client-first  n,,n=user,r=..          ─►
//!               ◄─ r=..,s=salt,i=count  server-first
//! client-final  c=biws,r=..,p=proof     ─►
//!               ◄─ v=signature          server-final
//! ```
//!
//! Invariant: what is kept ([`Verifier`]) lets nobody log in; the proof is compared in constant
//! time. Channel binding is not offered, and a client that asks for it is refused. Names and
//! passwords are not prepared by `SASLprep` (RFC 4013): names are addresses, and our passwords are
//! letters and digits. Rejected: a SASL crate; of this mechanism a server needs two hundred lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The mechanism's name.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// How often the hash is iterated (RFC 7677 4 asks for at least 4096). A password of 160 random
/// bits gains nothing from more.
pub const ITERATIONS: u32 = 4096;
/// Octets of a salt.
pub const SALT_OCTETS: usize = 16;
/// Longest message of a client, in octets.
pub const MAX_MESSAGE: usize = 4096;

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Why an exchange ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message is not well formed.
    #[error("the message is not well formed")]
    Form,
    /// The client insists on channel binding.
    #[error("channel binding is not offered")]
    ChannelBinding,
    /// The client wants to act for somebody else.
    #[error("nobody acts for somebody else here")]
    Authorization,
}

/// What is kept of a password (RFC 5802 3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Verifier {
    stored_key: Hash,
    server_key: Hash,
}

/// The text is no verifier.
#[derive(Debug, thiserror::Error)]
#[error("is no StoredKey and ServerKey in hexadecimal")]
pub struct InvalidVerifier;

impl TryFrom<String> for Verifier {
    type Error = InvalidVerifier;

    fn try_from(text: String) -> Result<Self, InvalidVerifier> {
        let (stored, server) = text.split_once(':').ok_or(InvalidVerifier)?;
        let mut verifier = Self::of_nobody();
        hex::decode_to_slice(stored, &mut verifier.stored_key).map_err(|_| InvalidVerifier)?;
        hex::decode_to_slice(server, &mut verifier.server_key).map_err(|_| InvalidVerifier)?;
        Ok(verifier)
    }
}

impl From<Verifier> for String {
    fn from(verifier: Verifier) -> Self {
        let stored = hex::encode(verifier.stored_key);
        format!("{stored}:{}", hex::encode(verifier.server_key))
    }
}

/// Not the password, but enough to play the server.
impl core::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl Verifier {
    /// Of a password.
    pub fn new(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password.as_bytes(), salt, iterations);
        let mut client_key = mac(&*salted, b"Client Key");
        let stored_key = Sha256::digest(client_key).into();
        client_key.zeroize();
        Self {
            stored_key,
            server_key: mac(&*salted, b"Server Key"),
        }
    }

    /// One that no password has: stands for an unknown user's.
    pub const fn of_nobody() -> Self {
        Self {
            stored_key: [0; 32],
            server_key: [0; 32],
        }
    }

    /// The server's signature, if the proof is right (RFC 5802 3).
    pub fn verify(&self, auth_message: &[u8], proof: &Hash) -> Option<Hash> {
        let signature = mac(&self.stored_key, auth_message);
        let mut client_key = [0; 32];
        let octets = client_key.iter_mut().zip(proof.iter().zip(&signature));
        octets.for_each(|(key, (proof, signature))| *key = proof ^ signature);
        let shown: Hash = Sha256::digest(client_key).into();
        client_key.zeroize();
        let right = bool::from(shown.ct_eq(&self.stored_key));
        right.then(|| mac(&self.server_key, auth_message))
    }
}

/// `Hi` of RFC 5802 2.2: PBKDF2 (RFC 8018 5.2) of one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> Zeroizing<Hash> {
    let mut next = mac_of(password, &[salt, &1_u32.to_be_bytes()]);
    let mut sum = Zeroizing::new(next);
    for _ in 1..iterations {
        next = mac(password, &next);
        sum.iter_mut()
            .zip(&next)
            .for_each(|(sum, next)| *sum ^= next);
    }
    sum
}

fn mac(key: &[u8], text: &[u8]) -> Hash {
    mac_of(key, &[text])
}

fn mac_of(key: &[u8], texts: &[&[u8]]) -> Hash {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for text in texts {
        mac.update(text);
    }
    mac.finalize().into_bytes().into()
}

/// The client's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// Who logs in.
    pub user: String,
    gs2_header: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// `gs2-header [reserved-mext ","] username "," nonce ["," extensions]` (RFC 5802 7)
    pub fn parse(message: &[u8]) -> Result<Self, ScramError> {
        let message = text(message)?;
        let mut fields = message.splitn(3, ',');
        let mut next = || fields.next().ok_or(ScramError::Form);
        let (binding, authorization, bare) = (next()?, next()?, next()?);
        match binding {
            // "y": the client could, and sees that we do not offer it (RFC 5802 6).
            "n" | "y" => {}
            binding if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Form),
        }
        let mut attributes = bare.split(',');
        let name = attributes.next().and_then(|name| name.strip_prefix("n="));
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        let user = name.and_then(unescape).ok_or(ScramError::Form)?;
        let nonce = nonce.filter(|nonce| is_printable(nonce));
        let nonce = nonce.ok_or(ScramError::Form)?.to_owned();
        if !authorization.is_empty() {
            let other = authorization.strip_prefix("a=").and_then(unescape);
            if other.ok_or(ScramError::Form)? != user {
                return Err(ScramError::Authorization);
            }
        }
        Ok(Self {
            user,
            gs2_header: format!("{binding},{authorization},"),
            bare: bare.to_owned(),
            nonce,
        })
    }

    /// The answer: an exchange under way, and what is sent to the client. `nonce` is printable
    /// ASCII without a comma.
    pub fn answer(self, nonce: &str, salt: &[u8], iterations: u32) -> (Exchange, String) {
        let nonce = format!("{}{nonce}", self.nonce);
        let salt = STANDARD.encode(salt);
        let server_first = format!("r={nonce},s={salt},i={iterations}");
        let exchange = Exchange {
            first: self,
            nonce,
            server_first: server_first.clone(),
        };
        (exchange, server_first)
    }
}

/// An exchange that waits for the client's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    first: ClientFirst,
    nonce: String,
    server_first: String,
}

/// A proof, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who logs in.
    pub user: String,
    /// `AuthMessage` of RFC 5802 3.
    pub auth_message: Vec<u8>,
    /// `ClientProof`.
    pub proof: Hash,
}

impl Exchange {
    /// `channel-binding "," nonce ["," extensions] "," proof` (RFC 5802 7)
    pub fn finish(self, message: &[u8]) -> Result<Attempt, ScramError> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramError::Form)?;
        let mut attributes = without_proof.split(',');
        let binding = attributes
            .next()
            .and_then(|binding| binding.strip_prefix("c="));
        let binding = binding.and_then(|binding| STANDARD.decode(binding).ok());
        if binding.as_deref() != Some(self.first.gs2_header.as_bytes()) {
            return Err(ScramError::ChannelBinding);
        }
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if nonce != Some(&*self.nonce) {
            return Err(ScramError::Form);
        }
        let proof = STANDARD.decode(proof).ok();
        let proof = proof.and_then(|proof| Hash::try_from(proof).ok());
        let auth_message = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        Ok(Attempt {
            user: self.first.user,
            auth_message: auth_message.into_bytes(),
            proof: proof.ok_or(ScramError::Form)?,
        })
    }
}

/// `"v=" base64` (RFC 5802 7)
pub fn server_final(signature: &Hash) -> String {
    format!("v={}", STANDARD.encode(signature))
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MAX_MESSAGE {
        return Err(ScramError::Form);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Form)
}

/// `printable = %x21-2B / %x2D-7E`
fn is_printable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|octet| octet.is_ascii_graphic() && octet != b',')
}

/// `saslname`: `=2C` is a comma, `=3D` an equals sign, and nothing else is escaped.
fn unescape(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut pieces = name.split('=');
    out.push_str(pieces.next()?);
    for piece in pieces {
        let (c, rest) = match piece.split_at_checked(2)? {
            ("2C", rest) => (',', rest),
            ("3D", rest) => ('=', rest),
            _ => return None,
        };
        out.push(c);
        out.push_str(rest);
    }
    (!out.is_empty() && !out.contains('\0')).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 3: user `user`, password `pencil`.
    #[test]
    fn the_exchange_of_the_rfc() {
        let first = ClientFirst::parse(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        assert_eq!(first.user, "user");
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let (exchange, said) = first.answer(nonce, &salt, 4096);
        assert_eq!(
            said,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        );
        let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                     p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        let attempt = exchange.clone().finish(last).unwrap();
        let verifier = Verifier::new("pencil", &salt, 4096);
        let signature = verifier.verify(&attempt.auth_message, &attempt.proof);
        let said = server_final(&signature.unwrap());
        assert_eq!(said, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let other = Verifier::new("pencils", &salt, 4096);
        assert_eq!(other.verify(&attempt.auth_message, &attempt.proof), None);
        // What is kept comes back, and does not show.
        let json = serde_json::to_string(&verifier).unwrap();
        assert_eq!(serde_json::from_str::<Verifier>(&json).unwrap(), verifier);
        assert_eq!(format!("{verifier:?}"), "Verifier(…)");
        // Another nonce, another binding, half a proof.
        for last in [
            "c=biws,r=another,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=".to_owned(),
            String::from_utf8_lossy(last).replace("c=biws", "c=eSws"),
            String::from_utf8_lossy(last).replace("p=dHzb", "p="),
            "c=biws".to_owned(),
        ] {
            assert!(exchange.clone().finish(last.as_bytes()).is_err(), "{last}");
        }
    }

    #[test]
    fn names_are_unescaped_and_mistakes_refused() {
        let first = ClientFirst::parse(b"y,a=a=2Cb=3Dc,n=a=2Cb=3Dc,r=x").unwrap();
        assert_eq!(first.user, "a,b=c");
        for (message, error) in [
            (&b"p=tls-unique,,n=user,r=x"[..], ScramError::ChannelBinding),
            (b"n,a=other,n=user,r=x", ScramError::Authorization),
            (b"n,,n=user", ScramError::Form),
            (b"n,,n=us=2Xer,r=x", ScramError::Form),
            (b"n,,m=ext,n=user,r=x", ScramError::Form),
            (b"n,,n=,r=x", ScramError::Form),
            (b"n,,n=user,r=", ScramError::Form),
            (b"q,,n=user,r=x", ScramError::Form),
            (b"\xff", ScramError::Form),
            (&[b'n'; MAX_MESSAGE + 1], ScramError::Form),
        ] {
            assert_eq!(ClientFirst::parse(message), Err(error));
        }
    }
}
