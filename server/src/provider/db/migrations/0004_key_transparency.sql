-- The key directory as an append-only log (letterlock_core::keys::transparency). Rows of the log and
-- of its hashes never change; what is in an ended account's entries goes, their hashes stay.
CREATE TABLE directory_log (
    position INTEGER PRIMARY KEY,
    label    BLOB NOT NULL CHECK (length(label) = 32),
    -- A version octet, then the change as it is told.
    step     BLOB NOT NULL,
    -- The certificates that it published; NULL for none, or none any more.
    entry    BLOB
) STRICT;
CREATE INDEX directory_log_by_label ON directory_log (label, position);

-- Hashes of the log's perfect subtrees.
CREATE TABLE directory_nodes (
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash     BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- Hashes of the map's subtrees that have several labels.
CREATE TABLE directory_map (
    depth INTEGER NOT NULL,
    bits  BLOB NOT NULL CHECK (length(bits) = 32),
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (depth, bits)
) STRICT, WITHOUT ROWID;

-- The map's entries.
CREATE TABLE directory_entries (
    label    BLOB PRIMARY KEY CHECK (length(label) = 32),
    version  INTEGER NOT NULL,
    set_hash BLOB NOT NULL CHECK (length(set_hash) = 32)
) STRICT, WITHOUT ROWID;
