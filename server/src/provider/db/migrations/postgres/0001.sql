-- The whole schema, as SQLite's five steps left it. Times are milliseconds since the epoch, ids are
-- raw octets, texts are compared by octets.

-- Single values by name: the OPAQUE server secret, the key directory's key and head.
CREATE TABLE provider (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BYTEA NOT NULL
);

-- `address` is canonical (lower case). `generation` is the last one given in the account's log,
-- `incoming_count` counts messages ever accepted; both without gaps. `octets` counts documents and
-- incoming messages. `deleting` is 1 when its owner has ended it and what it had is being removed.
-- `recovery_verifier` is what a recovery phrase is known by, `recovery_wrap` the root key that it
-- opens: both or neither. `device_list` is as the account's own key has signed it.
CREATE TABLE accounts (
    account           BYTEA PRIMARY KEY CHECK (length(account) = 16),
    address           TEXT COLLATE "C" NOT NULL UNIQUE,
    wkd_name          TEXT COLLATE "C",
    record            BYTEA NOT NULL,
    root_key_wrap     BYTEA NOT NULL,
    recovery_verifier BYTEA,
    recovery_wrap     BYTEA,
    device_list       BYTEA,
    generation        BIGINT NOT NULL DEFAULT 0,
    incoming_count    BIGINT NOT NULL DEFAULT 0,
    octets            BIGINT NOT NULL DEFAULT 0,
    deleting          BIGINT NOT NULL DEFAULT 0,
    created_at        BIGINT NOT NULL
);
CREATE INDEX accounts_by_wkd_name ON accounts (wkd_name);
CREATE INDEX accounts_deleting ON accounts (deleting) WHERE deleting = 1;

-- The token itself is never stored.
CREATE TABLE sessions (
    token_hash  BYTEA PRIMARY KEY CHECK (length(token_hash) = 32),
    account     BYTEA NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    replica     BYTEA NOT NULL CHECK (length(replica) = 16),
    device_name TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT NOT NULL,
    last_seen   BIGINT NOT NULL
);
CREATE INDEX sessions_by_account ON sessions (account, created_at);

-- Keys by which devices of the list log in without the password.
CREATE TABLE device_keys (
    account BYTEA NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    replica BYTEA NOT NULL CHECK (length(replica) = 16),
    key     BYTEA NOT NULL CHECK (length(key) = 32),
    PRIMARY KEY (account, replica)
);

CREATE TABLE keys (
    account     BYTEA PRIMARY KEY REFERENCES accounts (account) ON DELETE CASCADE,
    certificate BYTEA NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- A value is either in the row or among the blobs, under the name in `file`. What is sealed does not
-- compress.
CREATE TABLE documents (
    account    BYTEA NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    document   BYTEA NOT NULL CHECK (length(document) = 16),
    collection BYTEA NOT NULL CHECK (length(collection) = 16),
    revision   BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    size       BIGINT NOT NULL,
    value      BYTEA,
    file       BYTEA CHECK (length(file) = 16),
    PRIMARY KEY (account, document),
    CHECK ((value IS NULL) <> (file IS NULL))
);
CREATE UNIQUE INDEX documents_log ON documents (account, generation);
ALTER TABLE documents ALTER value SET STORAGE EXTERNAL;
CREATE INDEX documents_file ON documents (file) WHERE file IS NOT NULL;

-- Messages as the MX sealed them. A removed one stays as a mark, so that devices hear of it.
CREATE TABLE incoming (
    account     BYTEA NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    incoming    BYTEA NOT NULL CHECK (length(incoming) = 16),
    generation  BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    removed     BIGINT NOT NULL DEFAULT 0,
    size        BIGINT NOT NULL,
    value       BYTEA,
    file        BYTEA CHECK (length(file) = 16),
    PRIMARY KEY (account, incoming)
);
CREATE UNIQUE INDEX incoming_log ON incoming (account, generation);
ALTER TABLE incoming ALTER value SET STORAGE EXTERNAL;
CREATE INDEX incoming_file ON incoming (file) WHERE file IS NOT NULL;

-- Submissions accepted, so that a repeated one changes nothing.
CREATE TABLE submissions (
    account     BYTEA NOT NULL REFERENCES accounts (account) ON DELETE CASCADE,
    outbox      BYTEA NOT NULL CHECK (length(outbox) = 16),
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (account, outbox)
);

-- Mail for other providers, until the relay has it. `forward_paths` is a JSON array.
CREATE TABLE queue (
    position      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outbox        BYTEA NOT NULL CHECK (length(outbox) = 16),
    reverse_path  TEXT COLLATE "C" NOT NULL,
    forward_paths TEXT COLLATE "C" NOT NULL,
    accepted_at   BIGINT NOT NULL,
    size          BIGINT NOT NULL,
    value         BYTEA,
    file          BYTEA CHECK (length(file) = 16),
    CHECK ((value IS NULL) <> (file IS NULL))
);
ALTER TABLE queue ALTER value SET STORAGE EXTERNAL;
CREATE INDEX queue_file ON queue (file) WHERE file IS NOT NULL;

-- Addresses of deleted accounts, which nobody gets for a while; canonical.
CREATE TABLE reserved_addresses (
    address TEXT COLLATE "C" PRIMARY KEY,
    until   BIGINT NOT NULL
);

-- Invite codes: the code itself is never stored.
CREATE TABLE invites (
    code_hash  BYTEA PRIMARY KEY CHECK (length(code_hash) = 32),
    name       TEXT COLLATE "C" NOT NULL,
    uses_left  BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The key directory as an append-only log: a version octet and the change in `step`, the
-- certificates that it published in `entry`.
CREATE TABLE directory_log (
    position BIGINT PRIMARY KEY,
    label    BYTEA NOT NULL CHECK (length(label) = 32),
    step     BYTEA NOT NULL,
    entry    BYTEA
);
CREATE INDEX directory_log_by_label ON directory_log (label, position);

-- Hashes of the log's perfect subtrees.
CREATE TABLE directory_nodes (
    level    BIGINT NOT NULL,
    position BIGINT NOT NULL,
    hash     BYTEA NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, position)
);

-- Hashes of the map's subtrees that have several labels.
CREATE TABLE directory_map (
    depth BIGINT NOT NULL,
    bits  BYTEA NOT NULL CHECK (length(bits) = 32),
    hash  BYTEA NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (depth, bits)
);

-- The map's entries.
CREATE TABLE directory_entries (
    label    BYTEA PRIMARY KEY CHECK (length(label) = 32),
    version  BIGINT NOT NULL,
    set_hash BYTEA NOT NULL CHECK (length(set_hash) = 32)
);
