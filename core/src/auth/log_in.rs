//! Log-in: the authenticated key exchange of OPAQUE (RFC 9807 6).
//!
//! ```text
//! client                                  server
//! ClientLogIn::start   -- request -->
//!                      <-- response --    ServerLogIn::start (keeps the state)
//! ClientLogIn::finish  -- finalization --> ServerLogIn::finish
//! ```
//!
//! A wrong password shows on the device, in `finish`; the provider learns of it only by the
//! finalization that does not come. For an unknown address the provider answers with a fake
//! record (RFC 9807 10.9), in the same form and time.

use opaque_ke::errors::ProtocolError;
use opaque_ke::{
    ClientLogin, ClientLoginFinishParameters, CredentialFinalization, CredentialRequest,
    CredentialResponse, Identifiers, ServerLogin, ServerLoginParameters,
};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use super::suite::{CONTEXT, MAX_PASSWORD_OCTETS, MalformedMessage, ServerSecret, Suite, stretch};
use super::wrap::ExportKey;
use crate::id::Address;

/// Why a log-in failed, on either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogInError {
    /// The password is wrong, or the address is unknown: nobody can tell which.
    #[error("the address or the password is wrong")]
    WrongPassword,
    /// A message is malformed.
    #[error("a message of the log-in protocol is malformed")]
    Malformed,
}

impl From<MalformedMessage> for LogInError {
    fn from(_: MalformedMessage) -> Self {
        Self::Malformed
    }
}

/// A device that waits for the provider's answer.
pub struct ClientLogIn {
    state: ClientLogin<Suite>,
    password: Zeroizing<Vec<u8>>,
}

/// What a log-in gives to the device.
pub struct LoggedIn {
    /// Proves to the provider that the device knew the password.
    pub finalization: Vec<u8>,
    /// The same octets as at sign-up; for the device alone.
    pub export_key: ExportKey,
}

impl ClientLogIn {
    /// Begins; returns the request for the provider.
    pub fn start(
        password: &str,
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(Self, Vec<u8>), LogInError> {
        if password.is_empty() || password.len() > MAX_PASSWORD_OCTETS {
            return Err(LogInError::WrongPassword);
        }
        let started = ClientLogin::<Suite>::start(rng, password.as_bytes())
            .map_err(|_| LogInError::WrongPassword)?;
        let request = started.message.serialize().to_vec();
        let state = Self {
            state: started.state,
            password: Zeroizing::new(password.as_bytes().to_vec()),
        };
        Ok((state, request))
    }

    /// Takes the answer; costs one Argon2id (0.1 s natively, 0.4 s in a browser), with a right
    /// password as with a wrong one.
    pub fn finish(
        self,
        address: &Address,
        response: &[u8],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<LoggedIn, LogInError> {
        let response =
            CredentialResponse::deserialize(response).map_err(|_| LogInError::Malformed)?;
        let stretch = stretch();
        let client = address.canonical();
        let parameters =
            ClientLoginFinishParameters::new(Some(CONTEXT), identifiers(&client), Some(&stretch));
        let finished = self
            .state
            .finish(rng, &self.password, response, parameters)
            .map_err(|error| match error {
                ProtocolError::InvalidLoginError => LogInError::WrongPassword,
                _ => LogInError::Malformed,
            })?;
        Ok(LoggedIn {
            finalization: finished.message.serialize().to_vec(),
            export_key: ExportKey::new(&finished.export_key),
        })
    }
}

/// The provider's side of one log-in, between its answer and the finalization.
pub struct ServerLogIn {
    state: ServerLogin<Suite>,
    client: Address,
}

impl ServerLogIn {
    /// Answers a request. `record` is `None` for an unknown address.
    pub fn start(
        secret: &ServerSecret,
        address: &Address,
        record: Option<&[u8]>,
        request: &[u8],
        rng: &mut (impl CryptoRng + RngCore),
    ) -> Result<(Self, Vec<u8>), MalformedMessage> {
        let request = CredentialRequest::deserialize(request).map_err(|_| MalformedMessage)?;
        let record = secret.read_record(record)?;
        let client = address.canonical();
        let started = ServerLogin::start(
            rng,
            &secret.setup,
            record,
            request,
            client.as_str().as_bytes(),
            parameters(&client),
        )
        .map_err(|_| MalformedMessage)?;
        let response = started.message.serialize().to_vec();
        let state = started.state;
        Ok((Self { state, client }, response))
    }

    /// Whether the device knew the password.
    pub fn finish(self, finalization: &[u8]) -> Result<(), LogInError> {
        let finalization =
            CredentialFinalization::deserialize(finalization).map_err(|_| LogInError::Malformed)?;
        self.state
            .finish(finalization, parameters(&self.client))
            .map(|_| ())
            .map_err(|_| LogInError::WrongPassword)
    }
}

fn identifiers(client: &Address) -> Identifiers<'_> {
    Identifiers {
        client: Some(client.as_str().as_bytes()),
        server: None,
    }
}

fn parameters(client: &Address) -> ServerLoginParameters<'_, '_> {
    ServerLoginParameters {
        context: Some(CONTEXT),
        identifiers: identifiers(client),
    }
}
