//! Sign-up: the registration half of OPAQUE (RFC 9807 5).
//!
//! ```text
//! client                                server
//! ClientSignUp::start   -- request -->
//!                       <-- response -- respond
//! ClientSignUp::finish  -- record  -->  check_record, keep
//! ```

use opaque_ke::{
    ClientRegistration, ClientRegistrationFinishParameters, Identifiers, RegistrationRequest,
    RegistrationResponse, RegistrationUpload, ServerRegistration,
};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::suite::{MAX_PASSWORD_OCTETS, MalformedMessage, ServerSecret, Suite, stretch};
use super::wrap::ExportKey;
use crate::id::Address;

/// Why a device's side of sign-up failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignUpError {
    /// The password is empty or longer than [`MAX_PASSWORD_OCTETS`].
    #[error("the password is empty or longer than {MAX_PASSWORD_OCTETS} octets")]
    Password,
    /// The provider's answer makes no sense.
    #[error("the provider's answer is malformed")]
    Malformed,
}

impl From<MalformedMessage> for SignUpError {
    fn from(_: MalformedMessage) -> Self {
        Self::Malformed
    }
}

/// A device that waits for the provider's answer to its request.
pub struct ClientSignUp {
    state: ClientRegistration<Suite>,
    password: Zeroizing<Vec<u8>>,
}

/// What sign-up gives to the device.
pub struct SignedUp {
    /// For the provider to keep.
    pub record: Vec<u8>,
    /// For the device alone.
    pub export_key: ExportKey,
}

impl ClientSignUp {
    /// Begins; returns the request for the provider.
    pub fn start(
        password: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(Self, Vec<u8>), SignUpError> {
        if password.is_empty() || password.len() > MAX_PASSWORD_OCTETS {
            return Err(SignUpError::Password);
        }
        let started = ClientRegistration::<Suite>::start(rng, password.as_bytes())
            .map_err(|_| SignUpError::Password)?;
        let request = started.message.serialize().to_vec();
        let state = Self {
            state: started.state,
            password: Zeroizing::new(password.as_bytes().to_vec()),
        };
        Ok((state, request))
    }

    /// Takes the answer; costs one Argon2id (0.1 s natively, 0.4 s in a browser).
    pub fn finish(
        self,
        address: &Address,
        response: &[u8],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<SignedUp, SignUpError> {
        let response =
            RegistrationResponse::deserialize(response).map_err(|_| SignUpError::Malformed)?;
        let stretch = stretch();
        let client = address.canonical();
        let identifiers = Identifiers {
            client: Some(client.as_str().as_bytes()),
            server: None,
        };
        let parameters = ClientRegistrationFinishParameters::new(identifiers, Some(&stretch));
        let finished = self
            .state
            .finish(rng, &self.password, response, parameters)
            .map_err(|_| SignUpError::Malformed)?;
        Ok(SignedUp {
            record: finished.message.serialize().to_vec(),
            export_key: ExportKey::new(&finished.export_key),
        })
    }
}

/// The provider's answer to a request; nothing has to be kept between the two calls.
pub fn respond(
    secret: &ServerSecret,
    address: &Address,
    request: &[u8],
) -> Result<Vec<u8>, MalformedMessage> {
    let request =
        RegistrationRequest::<Suite>::deserialize(request).map_err(|_| MalformedMessage)?;
    let credential_identifier = address.canonical();
    let started = ServerRegistration::start(
        &secret.setup,
        request,
        credential_identifier.as_str().as_bytes(),
    )
    .map_err(|_| MalformedMessage)?;
    Ok(started.message.serialize().to_vec())
}

/// Whether a device's record can be kept: an unreadable one would lock its owner out.
pub fn check_record(record: &[u8]) -> Result<(), MalformedMessage> {
    RegistrationUpload::<Suite>::deserialize(record)
        .map(|_| ())
        .map_err(|_| MalformedMessage)
}
