//! Sans-IO exchange of sealed documents with the provider.

pub mod wire;
