//! Round trips of every dialect.
