//! Calls about enrolments: three messages that two devices leave each other at the provider.

use serde::{Deserialize, Serialize};

use super::Octets;

/// Which message a sponsor leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum SponsorStep {
    /// The first.
    Hello,
    /// The third and last.
    Handover,
}

/// A message of the device that is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RendezvousPut {
    /// Which.
    pub step: SponsorStep,
    /// Sealed; of [`MESSAGE_OCTETS`](crate::auth::enrolment::MESSAGE_OCTETS).
    pub message: Octets,
}

/// The message of the device that comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RendezvousAnswer {
    /// Sealed; of [`MESSAGE_OCTETS`](crate::auth::enrolment::MESSAGE_OCTETS).
    pub message: Octets,
}

/// What two devices have left each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RendezvousShown {
    /// From the device that is in.
    pub hello: Option<Octets>,
    /// From the one that comes.
    pub opening: Option<Octets>,
    /// From the device that is in.
    pub handover: Option<Octets>,
}
