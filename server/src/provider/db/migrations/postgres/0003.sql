-- What two devices leave each other while one enrols the other: sealed, all of one size.
CREATE TABLE rendezvous (
    id         BYTEA NOT NULL CHECK (length(id) = 16),
    step       BIGINT NOT NULL CHECK (step BETWEEN 1 AND 3),
    account    BYTEA NOT NULL REFERENCES places (account) ON DELETE CASCADE,
    message    BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (id, step)
);
CREATE INDEX rendezvous_by_account ON rendezvous (account);
