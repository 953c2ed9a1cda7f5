//! Looking up certificates that the account lacks, at the provider's key directory.

use letterlock_core::account::Answers;
use letterlock_core::id::Address;
use letterlock_core::openpgp::Certificate;

use super::provider_client::{ProviderClient, ProviderError};

/// Adds the directory's answers for these addresses. A certificate that does not parse or an
/// address that the directory refuses counts as none.
pub async fn look_up(
    provider: &ProviderClient,
    addresses: &[Address],
    answers: &mut Answers,
) -> Result<(), ProviderError> {
    for address in addresses {
        let found = match provider.certificate(address).await {
            Ok(found) => found,
            Err(error) if error.is_temporary() => return Err(error),
            Err(_) => None,
        };
        let certificate = found.and_then(|octets| Certificate::parse(&octets).ok());
        answers.insert(address.canonical(), certificate);
    }
    Ok(())
}
