//! Import and export together, over a replica in memory.
