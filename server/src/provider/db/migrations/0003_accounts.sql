-- What a recovery phrase is known by, and the root key that it opens: both or neither.
ALTER TABLE accounts ADD COLUMN recovery_verifier BLOB;
ALTER TABLE accounts ADD COLUMN recovery_wrap BLOB;
-- Octets of the account's documents and incoming messages.
ALTER TABLE accounts ADD COLUMN octets INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET octets =
    (SELECT coalesce(sum(size), 0) FROM documents WHERE documents.account = accounts.account)
    + (SELECT coalesce(sum(size), 0) FROM incoming WHERE incoming.account = accounts.account);
-- 1: its owner has ended it; what it had is being removed.
ALTER TABLE accounts ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0;
CREATE INDEX accounts_deleting ON accounts (deleting) WHERE deleting = 1;

-- When the device was heard of last, to a few minutes.
ALTER TABLE sessions ADD COLUMN last_seen INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET last_seen = created_at;

-- Addresses of deleted accounts, which nobody gets for a while; canonical.
CREATE TABLE reserved_addresses (
    address TEXT PRIMARY KEY,
    until   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Invite codes: the code itself is never stored.
CREATE TABLE invites (
    code_hash  BLOB PRIMARY KEY CHECK (length(code_hash) = 32),
    name       TEXT NOT NULL,
    uses_left  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
