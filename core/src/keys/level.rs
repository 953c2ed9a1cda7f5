//! How well a certificate is known to belong to an address: LEAP's eight validation levels.

use serde::{Deserialize, Serialize};

/// From the weakest to the strongest; the order is the rank.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Level {
    /// From anywhere that proves nothing: a mail header, an attachment, a key server.
    #[default]
    WeakChain,
    /// The address's own provider says so, over an authenticated way (WKD, our directory, DANE).
    ProviderTrust,
    /// The provider has signed for it.
    ProviderEndorsement,
    /// A third party that we trust has signed for it.
    ThirdPartyEndorsement,
    /// Several third parties that are independent of each other agree.
    ThirdPartyConsensus,
    /// A history that others audit, without a contradiction.
    HistoricallyAuditing,
    /// Signed by the key that was known before.
    KnownKey,
    /// The user has compared the fingerprint.
    Fingerprint,
}

impl Level {
    /// All, from the weakest to the strongest.
    pub const ALL: [Self; 8] = [
        Self::WeakChain,
        Self::ProviderTrust,
        Self::ProviderEndorsement,
        Self::ThirdPartyEndorsement,
        Self::ThirdPartyConsensus,
        Self::HistoricallyAuditing,
        Self::KnownKey,
        Self::Fingerprint,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_rank() {
        assert!(Level::ALL.is_sorted());
        assert_eq!(Level::default(), Level::WeakChain);
        for (rank, level) in Level::ALL.iter().enumerate() {
            assert_eq!(
                postcard::to_stdvec(level).unwrap(),
                [u8::try_from(rank).unwrap()]
            );
        }
    }
}
