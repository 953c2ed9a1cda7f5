-- The provider's first schema. Times are milliseconds since the epoch, ids are raw octets.

-- Single values by name: the OPAQUE server secret.
CREATE TABLE provider (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- `address` is canonical (lower case). `generation` is the last one given in the account's log,
-- `incoming_count` counts messages ever accepted; both without gaps.
CREATE TABLE accounts (
    account        BLOB PRIMARY KEY CHECK (length(account) = 16),
    address        TEXT NOT NULL UNIQUE,
    record         BLOB NOT NULL,
    root_key_wrap  BLOB NOT NULL,
    generation     INTEGER NOT NULL DEFAULT 0,
    incoming_count INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The token itself is never stored.
CREATE TABLE sessions (
    token_hash  BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
    account     BLOB NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    replica     BLOB NOT NULL CHECK (length(replica) = 16),
    device_name TEXT NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_account ON sessions (account, created_at);

CREATE TABLE keys (
    account     BLOB PRIMARY KEY REFERENCES accounts (account) ON DELETE CASCADE,
    certificate BLOB NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A value is either in the row or in the folder `blobs`, under the name in `file`.
CREATE TABLE documents (
    account    BLOB NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    document   BLOB NOT NULL CHECK (length(document) = 16),
    collection BLOB NOT NULL CHECK (length(collection) = 16),
    revision   INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    value      BLOB,
    file       BLOB CHECK (length(file) = 16),
    PRIMARY KEY (account, document),
    CHECK ((value IS NULL) <> (file IS NULL))
) STRICT;
CREATE UNIQUE INDEX documents_log ON documents (account, generation);

-- Messages as the MX sealed them. A removed one stays as a mark, so that devices hear of it.
CREATE TABLE incoming (
    account     BLOB NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    incoming    BLOB NOT NULL CHECK (length(incoming) = 16),
    generation  INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    removed     INTEGER NOT NULL DEFAULT 0,
    size        INTEGER NOT NULL,
    value       BLOB,
    file        BLOB CHECK (length(file) = 16),
    PRIMARY KEY (account, incoming)
) STRICT;
CREATE UNIQUE INDEX incoming_log ON incoming (account, generation);

-- Submissions accepted, so that a repeated one changes nothing.
CREATE TABLE submissions (
    account     BLOB NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    outbox      BLOB NOT NULL CHECK (length(outbox) = 16),
    accepted_at INTEGER NOT NULL,
    PRIMARY KEY (account, outbox)
) STRICT, WITHOUT ROWID;
CREATE INDEX submissions_by_age ON submissions (accepted_at);

-- Mail for other providers, until the relay has it. `forward_paths` is a JSON array.
CREATE TABLE queue (
    position      INTEGER PRIMARY KEY AUTOINCREMENT,
    outbox        BLOB NOT NULL CHECK (length(outbox) = 16),
    reverse_path  TEXT NOT NULL,
    forward_paths TEXT NOT NULL,
    accepted_at   INTEGER NOT NULL,
    size          INTEGER NOT NULL,
    value         BLOB,
    file          BLOB CHECK (length(file) = 16),
    CHECK ((value IS NULL) <> (file IS NULL))
) STRICT;
