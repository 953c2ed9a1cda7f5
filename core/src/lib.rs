//! Letterlock core.
