-- What two devices leave each other while one enrols the other: sealed, all of one size.
CREATE TABLE rendezvous (
    id         BLOB NOT NULL CHECK (length(id) = 16),
    step       INTEGER NOT NULL CHECK (step BETWEEN 1 AND 3),
    account    BLOB NOT NULL REFERENCES places (account) ON DELETE CASCADE,
    message    BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (id, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX rendezvous_by_account ON rendezvous (account);
