//! Round trips of Maildir++.
