//! The settings: what is shown of the account, and what is being done with it.

use crate::protocol::{AccountView, KeysView, Secret, Section};

/// The settings while they are open.
#[derive(Debug, Default)]
pub struct Settings {
    /// The account; `None` while it is being asked for.
    pub account: Option<AccountView>,
    /// What is compared of keys; `None` while it is being asked for.
    pub keys: Option<KeysView>,
    /// A phrase that is shown and does not hold yet.
    pub phrase: Option<Secret>,
    /// A device that wants to come in, and shows words.
    pub newcomer: Option<String>,
    /// Where something is being done.
    pub busy: Option<Section>,
    /// What came of the last thing that was done.
    pub outcome: Option<Outcome>,
    /// Counts what succeeded: forms whose work is done are drawn anew, empty.
    pub done: u32,
}

/// What came of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where it is told.
    pub section: Section,
    /// Whether it went wrong.
    pub failed: bool,
    /// For people.
    pub text: String,
}

impl Settings {
    /// The outcome that is told in a section.
    pub fn outcome_in(&self, section: Section) -> Option<&Outcome> {
        self.outcome
            .as_ref()
            .filter(|outcome| outcome.section == section)
    }
}
