//! Letterlock server.
